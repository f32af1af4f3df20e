//! The table of failures, row by row: what the user gets, and what is on the remote afterwards.

use std::process::Stdio;

use serde_json::json;

use crate::bench::{Bench, days, store};
use crate::fleet::hrana::Client;
use crate::fleet::proxy::{Fault, Proxy};
use crate::fleet::sqld::{self, Sqld};
use crate::fleet::url;
use crate::sandbox::{Ran, Sandbox};
use crate::server::{Reply, Server};

/// A machine with so many runs, whose remote is there.
fn machine(runs: u32, remote: std::net::SocketAddr) -> Sandbox {
    let run = |number| Bench {
        day: 1 + number % 28,
        speed: 1.0 + f64::from(number) / 1000.0,
        ..Bench::default()
    };
    let mut machine = store(&(0..runs).map(run).collect::<Vec<_>>());
    machine.set("LOCALSTORE_REMOTE", url(remote));
    machine
}

/// A server that was prepared, without tokens.
fn prepared() -> Sqld {
    let server = Sqld::start();
    let mut machine = Sandbox::new();
    machine.set("LOCALSTORE_REMOTE", url(server.address()));
    machine.run(["push", "--init"]).ok();
    server
}

/// How many runs are there, each of which must be whole and there once; and the score table must be
/// their means.
#[track_caller]
fn runs_of(server: &Sqld) -> i64 {
    let remote = Client::new(server.address());
    let runs = remote.value("SELECT count(*) FROM localstore_fleet_runs");
    for (sql, what) in [
        (
            "SELECT count(DISTINCT fingerprint) FROM localstore_fleet_runs",
            "fingerprints",
        ),
        ("SELECT count(*) FROM benchmark_runs", "rows of the site"),
        (
            "SELECT count(*) FROM localstore_fleet_log WHERE kind = 'run'",
            "lines of the log",
        ),
        ("SELECT count(*) / 9 FROM test_results", "tests"),
    ] {
        assert_eq!(remote.value(sql), runs, "{what}");
    }
    let wrong = remote.value(
        "SELECT count(*) FROM accelerator_model_performance_scores s
         WHERE abs(performance_score / (SELECT avg(nullif(performance_score, 0))
             FROM benchmark_runs b WHERE b.accelerator_id = s.accelerator_id
             AND b.model_variant_id = s.model_variant_id) - 1) > 1e-12",
    );
    assert_eq!(wrong, 0, "scores");
    assert_eq!(remote.value("PRAGMA integrity_check"), "ok");
    runs.as_i64().unwrap()
}

/// The last line of the standard output.
fn last_line(ran: &Ran) -> String {
    ran.ok();
    ran.text().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_busy_server_is_asked_up_to_six_times() {
    if sqld::is_missing() {
        return;
    }
    let server = prepared();
    let proxy = Proxy::http(server.address());
    for status in [
        "429 Too Many Requests",
        "502 Bad Gateway",
        "503 Service Unavailable",
    ] {
        let busy = Fault::Answered(status, "Retry-After: 0\r\n");
        let sandbox = machine(2, proxy.address());
        proxy.faults(vec![busy.clone(); 6]);
        proxy.forget();
        let message = sandbox.run(["push"]).failed();
        assert!(message.contains(&status[..3]), "{message}");
        assert_eq!(proxy.requests(), 6, "{status}");
        proxy.faults(vec![busy; 2]);
        last_line(&sandbox.run(["push"]));
        assert_eq!(runs_of(&server), 2);
    }
}

/// Whatever is lost on the way, a push that ends well has sent each run once.
#[test]
fn a_push_that_is_killed_goes_on_after_what_was_committed() {
    if sqld::is_missing() {
        return;
    }
    let server = prepared();
    let proxy = Proxy::http(server.address());
    let sandbox = machine(20, proxy.address());
    for sent in [2_000, 10_000, 40_000] {
        proxy.forget();
        proxy.speed(100_000);
        let mut command = sandbox.command(["push"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut push = command.spawn().unwrap();
        while proxy.sent() < sent && push.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let _ = push.kill();
        push.wait().unwrap();
        runs_of(&server);
    }
    proxy.speed(u64::MAX);
    last_line(&sandbox.run(["push"]));
    assert_eq!(runs_of(&server), 20);
}

#[test]
fn a_server_that_dies_in_a_batch_has_it_whole_or_not() {
    if sqld::is_missing() {
        return;
    }
    let mut server = prepared();
    let proxy = Proxy::http(server.address());
    let sandbox = machine(20, proxy.address());
    for sent in [1_500, 20_000, 60_000] {
        proxy.forget();
        proxy.speed(200_000);
        let mut command = sandbox.command(["push"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut push = command.spawn().unwrap();
        while proxy.sent() < sent && push.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        server.kill();
        server.restart();
        // It may have been tried again with success.
        push.wait().unwrap();
        assert_eq!(runs_of(&server) % 20, 0);
    }
    proxy.speed(u64::MAX);
    last_line(&sandbox.run(["push"]));
    assert_eq!(runs_of(&server), 20);
}

/// A server that answers anything: an error of a line, and no more memory than an answer may have.
#[test]
fn a_hostile_server_gets_an_error() {
    let pipeline = |results: serde_json::Value| {
        json!({"baton": null, "base_url": null, "results": results}).to_string()
    };
    let deep = "[".repeat(100_000);
    let bodies = [
        String::new(),
        "null".to_owned(),
        "<html>\u{1b}[31m".to_owned(),
        deep,
        pipeline(json!([])),
        pipeline(json!([{"type": "ok", "response": {"type": "batch"}}])),
        pipeline(json!([{"type": "error", "error": {"message": "\u{1b}[31mred\nline"}}])),
        pipeline(
            json!([{"type": "ok", "response": {"type": "batch", "result":
            {"step_results": [], "step_errors": []}}}]),
        ),
    ];
    for body in bodies {
        let server = Server::start(vec![Reply::status("200 OK", "", &body); 6]);
        let mut sandbox = store(&days(1..=1));
        sandbox.set("LOCALSTORE_REMOTE", server.url());
        let ran = sandbox.run(["push"]);
        ran.failed();
        assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    }
    let server = Server::start(vec![
        Reply::status(
            "302 Found",
            "Location: http://127.0.0.1:9/\r\n",
            ""
        );
        6
    ]);
    let mut sandbox = store(&days(1..=1));
    sandbox.set("LOCALSTORE_REMOTE", server.url());
    sandbox.run(["push"]).failed();
    assert_eq!(server.requests().len(), 1);
}

//! The table of failures, row by row: what the user gets, and what is on the remote afterwards.

use std::process::Stdio;

use serde_json::json;

use crate::bench::{Bench, days, store};
use crate::fleet::hrana::Client;
use crate::fleet::proxy::{Fault, Proxy};
use crate::fleet::sqld::{self, Options, Sqld};
use crate::fleet::token::Issuer;
use crate::fleet::url;
use crate::random::{Random, seed};
use crate::sandbox::{Ran, Sandbox};
use crate::server::{Deaf, Reply, Server};
use crate::torture::rounds;

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

/// The message of a command that failed, behind what a first push says of what travels.
#[track_caller]
fn message_of(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let mut lines = ran
        .stderr
        .lines()
        .filter(|line| !line.starts_with("hint: "));
    lines.next_back().unwrap_or_default().to_owned()
}

/// The last line of the standard output.
fn last_line(ran: &Ran) -> String {
    ran.ok();
    ran.text().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_remote_that_is_not_there_is_an_error_that_names_it() {
    let deaf = Deaf::new();
    let sandbox = store(&days(1..=2));
    let before = std::fs::read(sandbox.store()).unwrap();
    for (remote, host) in [
        (deaf.url(), deaf.url().replace("http://", "")),
        (
            "http://fleet.invalid".to_owned(),
            "fleet.invalid".to_owned(),
        ),
    ] {
        for command in [
            "push",
            "push --init",
            "push --dry-run",
            "pull",
            "rm -y 1 --remote",
        ] {
            let words = command.split(' ').chain([remote.as_str()]);
            let message = sandbox.run(words).failed();
            assert!(
                message.starts_with(&format!("{host}: ")),
                "{command}: {message}"
            );
        }
    }
    // No push was begun there.
    assert!(std::fs::read(sandbox.store()).unwrap() == before);
    sandbox.run(["list"]).ok();
}

#[test]
fn a_token_that_is_not_taken_stops_a_push_before_any_run_is_sent() {
    if sqld::is_missing() {
        return;
    }
    let [issuer, other] = [Issuer::new(), Issuer::new()];
    let server = Sqld::with(Options {
        key: Some(issuer.key()),
        ..Options::default()
    });
    let proxy = Proxy::http(server.address());
    let mut sandbox = machine(3, proxy.address());
    sandbox.set("LOCALSTORE_TOKEN", issuer.full());
    sandbox.run(["push", "--init"]).ok();
    for token in [
        "",
        &issuer.expired(),
        &other.full(),
        "garbage-that-is-no-token",
    ] {
        sandbox.set("LOCALSTORE_TOKEN", token);
        let withdrawal = format!("rm -y 1 --remote {}", url(proxy.address()));
        for command in ["push", "pull", "push --init", &withdrawal] {
            proxy.forget();
            let ran = sandbox.run(command.split(' '));
            let message = ran.failed();
            assert!(message.contains("401"), "{message}");
            assert!(ran.stderr.contains("LOCALSTORE_TOKEN"), "{}", ran.stderr);
            assert_eq!(proxy.requests(), 1, "{command}");
            assert!(proxy.sent() < 2048, "{}", proxy.sent());
            let loud = sandbox.run(command.split(' ').chain(["-vvv"]));
            assert_eq!(loud.code, Some(1));
            assert!(token.is_empty() || !loud.stderr.contains(token));
            assert!(!proxy.saw("GPU One"));
        }
    }
    sandbox.set("LOCALSTORE_TOKEN", issuer.full());
    assert_eq!(
        last_line(&sandbox.run(["push"])),
        "3 runs: 3 new, 0 completed, 0 known"
    );
}

#[test]
fn a_token_that_may_only_read_is_for_pull() {
    if sqld::is_missing() {
        return;
    }
    let issuer = Issuer::new();
    let server = Sqld::with(Options {
        key: Some(issuer.key()),
        ..Options::default()
    });
    let mut first = machine(3, server.address());
    first.set("LOCALSTORE_TOKEN", issuer.full());
    first.run(["push", "--init"]).ok();
    first.run(["push"]).ok();
    let mut second = machine(4, server.address());
    second.set("LOCALSTORE_TOKEN", issuer.read_only());
    let there = Client::with_token(server.address(), &issuer.full());
    first.set("LOCALSTORE_TOKEN", issuer.read_only());
    let withdrawal = format!("rm -y 1 --remote {}", url(server.address()));
    for (machine, command) in [(&second, "push"), (&first, &*withdrawal)] {
        let message = message_of(&machine.run(command.split(' ')));
        assert!(message.contains("the token may only read"), "{message}");
    }
    first.run(["show", "1"]).ok();
    let sql = "SELECT count(*) FROM localstore_fleet_log";
    assert_eq!(there.value(sql), 3);
    let mut third = Sandbox::new();
    third.set("LOCALSTORE_REMOTE", url(server.address()));
    third.set("LOCALSTORE_TOKEN", issuer.read_only());
    assert_eq!(
        last_line(&third.run(["pull"])),
        "3 runs: 3 new, 0 completed, 0 known"
    );
    assert_eq!(
        third.run(["export", "--all", "-o", "jsonl"]).ok(),
        first.run(["export", "--all", "-o", "jsonl"]).ok()
    );
}

/// Whatever is lost on the way, a push that ends well has sent each run once.
#[test]
fn cut_requests_and_lost_answers_are_sent_again_and_known() {
    if sqld::is_missing() {
        return;
    }
    // How many requests there are without a fault.
    let server = prepared();
    let proxy = Proxy::http(server.address());
    let sandbox = machine(5, proxy.address());
    last_line(&sandbox.run(["push"]));
    let requests = proxy.requests();
    assert!((1..10).contains(&requests), "{requests}");

    for fault in [
        Fault::RequestCut(100),
        Fault::RequestCut(700),
        Fault::AnswerCut(0),
        Fault::AnswerCut(250),
    ] {
        for place in 0..requests {
            let server = prepared();
            let proxy = Proxy::http(server.address());
            let sandbox = machine(5, proxy.address());
            let mut faults = vec![Fault::None; place];
            faults.push(fault.clone());
            proxy.faults(faults);
            let line = last_line(&sandbox.run(["push"]));
            assert!(line.starts_with("5 runs: "), "{fault:?} {place}: {line}");
            assert_eq!(runs_of(&server), 5, "{fault:?} {place}");
            let again = last_line(&sandbox.run(["push"]));
            assert_eq!(again, "0 runs: 0 new, 0 completed, 0 known");
        }
    }
}

#[test]
fn a_database_that_was_not_prepared_is_left_alone() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let remote = Client::new(server.address());
    let sandbox = machine(2, server.address());
    let tables = || remote.value("SELECT count(*) FROM sqlite_master");
    for command in ["push", "pull"] {
        let ran = sandbox.run([command]);
        ran.failed();
        assert!(ran.stderr.contains("push --init"), "{}", ran.stderr);
    }
    assert_eq!(tables(), 0);
    remote.query("CREATE TABLE customers (name)");
    sandbox.run(["push", "--init"]).failed();
    sandbox.run(["push"]).failed();
    assert_eq!(tables(), 1);
}

#[test]
fn a_full_disk_there_is_told_in_the_words_of_the_server() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::with(Options {
        file_limit: Some(512),
        ..Options::default()
    });
    let sandbox = machine(200, server.address());
    sandbox.run(["push", "--init"]).ok();
    let message = message_of(&sandbox.run(["push"]));
    assert!(message.contains("disk I/O error"), "{message}");
    runs_of(&server);
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
        proxy.faults(vec![busy.clone(); 2]);
        last_line(&sandbox.run(["push"]));
        assert_eq!(runs_of(&server), 2);
        for command in ["pull", "push --init"] {
            let mut other = Sandbox::new();
            other.set("LOCALSTORE_REMOTE", url(proxy.address()));
            proxy.faults(vec![busy.clone(); 6]);
            let message = other.run(command.split(' ')).failed();
            assert!(message.contains(&status[..3]), "{message}");
            proxy.faults(vec![busy.clone(); 2]);
            other.run(command.split(' ')).ok();
        }
    }
}

#[test]
fn a_withdrawal_whose_answer_is_lost_is_done_once() {
    if sqld::is_missing() {
        return;
    }
    for place in 0..4 {
        let server = prepared();
        let proxy = Proxy::http(server.address());
        let sandbox = machine(3, proxy.address());
        last_line(&sandbox.run(["push"]));
        let mut faults = vec![Fault::None; place];
        faults.push(Fault::AnswerCut(0));
        proxy.faults(faults);
        let remote = url(proxy.address());
        sandbox.run(["rm", "-y", "2", "--remote", &remote]).ok();
        let there = Client::new(server.address());
        let count = |table: &str| there.value(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(count("benchmark_runs"), 2, "{place}");
        let withdrawn = "localstore_fleet_log WHERE kind = 'withdrawn'";
        assert_eq!(count(withdrawn), 1, "{place}");
        assert_eq!(
            last_line(&sandbox.run(["push"])).split(' ').next(),
            Some("0")
        );
    }
}

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
fn a_store_that_is_removed_while_it_is_pushed_is_an_error() {
    if sqld::is_missing() {
        return;
    }
    let server = prepared();
    let proxy = Proxy::http(server.address());
    let sandbox = machine(300, proxy.address());
    proxy.speed(100_000);
    let mut command = sandbox.command(["push"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut push = command.spawn().unwrap();
    while proxy.sent() < 10_000 && push.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::fs::remove_file(sandbox.store()).unwrap();
    proxy.speed(u64::MAX);
    let push = push.wait_with_output().unwrap();
    assert_eq!(push.status.code(), Some(1));
    let error = String::from_utf8(push.stderr).unwrap();
    assert!(error.contains("removed or replaced"), "{error}");
    // The batch that was on its way stays.
    assert_eq!(runs_of(&server), 256);
}

#[test]
fn values_of_other_types_in_a_row_stop_no_others() {
    if sqld::is_missing() {
        return;
    }
    let server = prepared();
    machine(3, server.address()).run(["push"]).ok();
    let remote = Client::new(server.address());
    remote.query("UPDATE localstore_fleet_runs SET body = 'a text' WHERE run_id = 1");
    remote.query(
        "INSERT INTO localstore_fleet_log (nonce, store, kind, run_id, detail)
         VALUES ('a text', x'00', 'tag', 2, 'x')",
    );
    let mut machine = Sandbox::new();
    machine.set("LOCALSTORE_REMOTE", url(server.address()));
    let pulled = machine.run(["pull"]);
    pulled.failed();
    assert!(pulled.stderr.contains("run 1 there: "), "{}", pulled.stderr);
    let stdout = String::from_utf8_lossy(&pulled.stdout);
    assert!(stdout.contains(" 2 new"), "{stdout}");
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

/// Kills at any moment, of a push, of a pull and of the server.
#[test]
fn a_kill_on_either_side_leaves_nothing_in_part() {
    if sqld::is_missing() {
        return;
    }
    let (rounds, seed) = (rounds(9), seed());
    let mut server = prepared();
    let [sender, receiver] = [(); 2].map(|()| {
        let mut machine = Sandbox::new();
        machine.set("LOCALSTORE_REMOTE", url(server.address()));
        machine
    });
    let mut in_time = 0;
    for round in 0..rounds {
        let mut random = Random::new(seed, round as u64);
        let runs = (0..20).map(|number| Bench {
            speed: 1.0 + f64::from(20 * u32::try_from(round).unwrap() + number) / 1000.0,
            ..Bench::default()
        });
        let runs: String = runs.map(|run| run.document() + "\n").collect();
        sender.run_with_input(["add"], runs.as_bytes()).ok();
        let (machine, command) = match round % 3 {
            0 | 1 => (&sender, "push"),
            _ => (&receiver, "pull"),
        };
        let mut child = machine.command([command]);
        child.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(random.below(100) as u64));
        in_time += usize::from(child.try_wait().unwrap().is_none());
        if round % 3 == 1 {
            server.kill();
            server.restart();
        } else {
            let _ = child.kill();
        }
        child.wait().unwrap();
        runs_of(&server);
    }
    let all = 20 * i64::try_from(rounds).unwrap();
    last_line(&sender.run(["push"]));
    assert_eq!(runs_of(&server), all);
    last_line(&receiver.run(["pull"]));
    for machine in [&sender, &receiver] {
        machine.run(["check"]).ok();
        let listed = machine.run(["list", "-o", "jsonl", "--limit", "0"]).text();
        assert_eq!(i64::try_from(listed.lines().count()), Ok(all));
    }
    crate::report(&format!(
        "| kill -9 in push, in pull and of sqld | {rounds}, {in_time} before the end | nothing in part, \
         twice or lost |"
    ));
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

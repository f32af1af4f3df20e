//! How it ends, and starts again.

use rustix::process::Signal;

use super::backend::{Backend, Reply, word};
use super::{CHAT, Place};

const STREAMED: &str = r#"{"model":"m","stream":true}"#;

#[test]
fn what_runs_may_end_and_nothing_new_begins() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let backend = Backend::always(Reply::stream().word("a").hold().done());
        let place = Place::with(&[&backend]);
        let served = place.serve(&[]);
        let mut running = served.connect();
        running.post(CHAT, STREAMED);
        running.head();
        assert_eq!(running.event(), word("a"));
        // A connection without a request does not keep it.
        let _idle = served.connect();
        served.signal(signal);
        super::eventually("a closed door", || {
            std::net::TcpStream::connect(served.address).is_err()
        });
        backend.release(1);
        assert_eq!(running.event(), "data: [DONE]\n\n");
        assert_eq!(running.piece().unwrap(), None);
        assert_eq!(served.wait().code, Some(0));
        assert_eq!(backend.count(), 1);
    }
}

#[test]
fn open_connections_are_told_that_it_ends() {
    let backend = Backend::always(Reply::stream().word("a").hold().done());
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let (mut running, mut open) = (served.connect(), served.connect());
    running.post(CHAT, STREAMED);
    running.head();
    running.event();
    open.request("GET /health", "", "");
    assert_eq!(open.answer().json()["status"], "ok");
    served.signal(Signal::TERM);
    super::eventually("a closed door", || {
        std::net::TcpStream::connect(served.address).is_err()
    });
    open.post(CHAT, STREAMED);
    let answer = open.answer();
    assert_eq!(answer.error(), (503, "shutting_down".to_owned()));
    assert_eq!(backend.count(), 1);
    backend.release(1);
    assert_eq!(running.event(), "data: [DONE]\n\n");
    assert_eq!(served.wait().code, Some(0));
}

#[test]
fn what_runs_too_long_ends_in_an_error() {
    let backend = Backend::always(Reply::stream().word("a").then("data: {\"half").hold());
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--drain", "1s"]);
    let mut running = served.connect();
    running.post(CHAT, STREAMED);
    running.head();
    assert_eq!(running.event(), word("a"));
    served.signal(Signal::TERM);
    let last = running.event();
    assert!(last.starts_with("data: {\"error\":{"), "{last}");
    assert!(
        last.contains("\"code\":\"shutting_down\"") && last.ends_with("}}\n\n"),
        "{last}"
    );
    assert_eq!(running.piece().unwrap(), None);
    assert_eq!(served.wait().code, Some(0));
    backend.wait_for_left(1);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let backend = Backend::always(Reply::hang());
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--drain", "10m"]);
    let mut running = served.connect();
    running.post(CHAT, STREAMED);
    backend.wait_for_held(1);
    served.signal(Signal::INT);
    super::eventually("a closed door", || {
        std::net::TcpStream::connect(served.address).is_err()
    });
    served.signal(Signal::INT);
    assert_eq!(served.wait().code, Some(1));
}

#[test]
fn an_idle_gateway_ends_without_a_wait() {
    let place = Place::new();
    let served = place.serve(&["--drain", "10m"]);
    let mut client = served.connect();
    client.request("GET /health", "", "");
    assert_eq!(client.answer().status(), 200);
    let ran = served.stop();
    assert_eq!((ran.code, ran.stdout), (Some(0), Vec::new()));
    assert!(client.is_closed());
}

#[test]
fn after_a_kill_it_serves_at_once_and_the_store_is_whole() {
    let backend = Backend::always(Reply::stream().word("a").hold().done());
    let place = Place::with(&[&backend]);
    for _ in 0..3 {
        let served = place.serve(&[]);
        let mut running = served.connect();
        running.post(CHAT, STREAMED);
        running.head();
        running.event();
        served.kill();
        assert_eq!(
            running.piece().unwrap_err().kind(),
            std::io::ErrorKind::UnexpectedEof
        );
    }
    place.0.run(["check"]).ok();
    backend.now(Reply::says("hi"));
    assert_eq!(place.serve(&[]).chat("m").status(), 200);
}

#[test]
fn an_address_in_use_is_named() {
    let place = Place::new();
    let served = place.serve(&[]);
    let address = served.address.to_string();
    let ran = place.0.run(["serve", "--addr", &address]);
    let message = ran.failed();
    assert!(message.contains(&address), "{message}");
    assert!(
        ran.stderr.contains("hint: ") && ran.stderr.contains("--addr"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.text(), "");
}

#[test]
fn options_that_cannot_be_are_refused() {
    let place = Place::new();
    for options in [
        ["--addr", "nowhere"],
        ["--addr", "127.0.0.1:99999"],
        ["--auth", "maybe"],
        ["--route", "slowest"],
        ["--timeout", "soon"],
        ["--timeout", "0"],
        ["--cache-ttl", "0"],
        ["--max-inflight", "0"],
        ["--cool-down", "-1"],
        ["--max-body", "0"],
        ["--max-body", "1X"],
        ["--max-inflight", "many"],
        ["--drain", ""],
    ] {
        let ran = place.0.run([&["serve"][..], &options].concat());
        assert_eq!(ran.code, Some(1), "{options:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("localstore: "), "{}", ran.stderr);
        assert_eq!(ran.text(), "");
    }
}

#[test]
fn it_says_what_it_serves_and_where() {
    let place = Place::new();
    let ran = place.serve(&[]).stop();
    let store = place.0.store().display().to_string();
    assert!(ran.stderr.contains(&store), "{}", ran.stderr);
    assert!(ran.stderr.contains("0 models"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: localstore model add"),
        "{}",
        ran.stderr
    );
    let backend = Backend::always(Reply::says("hi"));
    place.model("m", &backend.url(), "m");
    let ran = place.serve(&[]).stop();
    assert!(ran.stderr.contains("1 model"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hint: "), "{}", ran.stderr);
}

#[test]
fn what_nobody_takes_is_ended_and_has_a_row() {
    let event = format!("data: {}\n\n", "x".repeat(64_000));
    let backend = Backend::always(Reply::stream().word("a").flood(&event, 768).done());
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--drain", "1s"]);
    let mut stuck = served.connect();
    stuck.post(CHAT, STREAMED);
    assert_eq!(stuck.head().status, 200);
    backend.wait_for_blocked(1);
    assert_eq!(served.stop().code, Some(0));
    let rows = place.rows();
    assert_eq!(
        (&rows[0]["status"], &rows[0]["error"]),
        (&503.into(), &"shutting_down".into())
    );
}

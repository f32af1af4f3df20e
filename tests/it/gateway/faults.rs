//! Backends that fail, and others that answer for them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use super::backend::{Backend, Reply, completion, word};
use super::client::request;
use super::{CHAT, Place, eventually};
use crate::server::Deaf;

const ASKED: &str = r#"{"model":"m","messages":[]}"#;

fn broken() -> Backend {
    Backend::always(Reply::json(500, "{}"))
}

fn fine() -> Backend {
    Backend::always(Reply::says("hi"))
}

#[test]
fn another_backend_answers_for_one_that_fails() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"a\":";
    for reply in [
        Reply::json(500, "{}"),
        Reply::json(503, "{}"),
        Reply::json(401, "{}"),
        Reply::json(429, "{}"),
        Reply::with(200, "content-type: text/html\r\n", "<html>"),
        Reply::raw(cut).cut(),
        Reply::raw("junk\r\n\r\n").cut(),
        Reply::nothing(),
        Reply::stream().cut(),
        Reply::stream().then("data: {\"half").cut(),
    ] {
        let (bad, good) = (Backend::always(reply), fine());
        let place = Place::with(&[&bad, &good]);
        let served = place.serve(&["--route", "first"]);
        let answer = served.post(CHAT, ASKED);
        assert_eq!(
            (answer.status(), answer.text()),
            (200, completion("hi").as_str())
        );
        assert_eq!(answer.header("x-localstore-backend"), Some("2"));
        assert_eq!(bad.only().body, good.only().body);
    }
}

#[test]
fn another_backend_answers_for_one_that_is_not_there() {
    let (deaf, good) = (Deaf::new(), fine());
    let place = Place::new();
    place.model("m", &deaf.url(), "m");
    place.model("m", &good.url(), "m");
    let answer = place.serve(&["--route", "first"]).post(CHAT, ASKED);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-localstore-backend"), Some("2"));
}

#[test]
fn each_backend_is_asked_once_and_three_of_them_at_most() {
    let two = [broken(), broken()];
    let place = Place::with(&[&two[0], &two[1]]);
    assert_eq!(place.serve(&[]).chat("m").status(), 502);
    assert_eq!(two.each_ref().map(Backend::count), [1, 1]);

    let four = [broken(), broken(), broken(), fine()];
    let place = Place::with(&[&four[0], &four[1], &four[2], &four[3]]);
    assert_eq!(place.serve(&["--route", "first"]).chat("m").status(), 502);
    assert_eq!(four.each_ref().map(Backend::count), [1, 1, 1, 0]);
}

#[test]
fn nothing_is_asked_again_once_a_byte_has_gone_on() {
    let (bad, good) = (
        Backend::always(Reply::stream().word("a").cut()),
        Backend::always(Reply::stream().word("b").done()),
    );
    let place = Place::with(&[&bad, &good]);
    let answer = place.serve(&["--route", "first"]).chat("m");
    assert!(answer.text().starts_with(&word("a")));
    assert!(!answer.text().contains(&word("b")));
    assert_eq!((bad.count(), good.count()), (1, 0));
}

/// Failures of all requests together cost few retries: ten in ten seconds, or a fifth of the requests.
#[test]
fn retries_have_a_budget() {
    const REQUESTS: usize = 30;
    let two = [broken(), broken()];
    let place = Place::with(&[&two[0], &two[1]]);
    let served = place.serve(&["--route", "first"]);
    let started = Instant::now();
    for _ in 0..REQUESTS {
        assert_eq!(
            served.chat("m").error(),
            (502, "upstream_failed".to_owned())
        );
    }
    // On a machine so slow that this took longer, more of them are free.
    if started.elapsed().as_secs() < 10 {
        let asked: usize = two.iter().map(Backend::count).sum();
        assert_eq!(asked, REQUESTS + 10);
    }
}

#[test]
fn three_failures_in_a_row_make_a_backend_the_last() {
    let (bad, good) = (broken(), fine());
    let place = Place::with(&[&bad, &good]);
    let served = place.serve(&["--route", "first", "--cool-down", "10m"]);
    for _ in 0..5 {
        assert_eq!(served.chat("m").status(), 200);
    }
    assert_eq!((bad.count(), good.count()), (3, 5));
    assert_eq!(served.get("/health").json()["up"], 1);
    // The last, but not out of use.
    good.now(Reply::json(500, "{}"));
    bad.now(Reply::says("back"));
    let answer = served.chat("m");
    assert_eq!(
        (answer.status(), answer.text()),
        (200, completion("back").as_str())
    );
    // One success ends it.
    assert_eq!(served.get("/health").json()["up"], 2);
    assert_eq!(served.chat("m").header("x-localstore-backend"), Some("1"));
}

#[test]
fn a_success_between_failures_ends_the_row() {
    let script = (0..9).map(|number| match number % 3 {
        2 => Reply::says("hi"),
        _ => Reply::json(500, "{}"),
    });
    let (shaky, good) = (Backend::playing(script), fine());
    let place = Place::with(&[&shaky, &good]);
    let served = place.serve(&["--route", "first", "--cool-down", "10m"]);
    for _ in 0..9 {
        assert_eq!(served.chat("m").status(), 200);
    }
    assert_eq!((shaky.count(), good.count()), (9, 6));
}

#[test]
fn the_only_backend_is_always_asked() {
    let bad = broken();
    let place = Place::with(&[&bad]);
    let served = place.serve(&["--cool-down", "10m"]);
    for _ in 0..6 {
        assert_eq!(served.chat("m").status(), 502);
    }
    assert_eq!(bad.count(), 6);
    bad.now(Reply::says("hi"));
    assert_eq!(served.chat("m").status(), 200);
}

#[test]
fn a_cool_down_ends_by_itself() {
    let (bad, good) = (broken(), fine());
    let place = Place::with(&[&bad, &good]);
    let served = place.serve(&["--route", "first", "--cool-down", "1s"]);
    for _ in 0..3 {
        assert_eq!(served.chat("m").status(), 200);
    }
    bad.now(Reply::says("hi"));
    eventually("the first backend", || {
        served.chat("m").header("x-localstore-backend") == Some("1")
    });
}

#[test]
fn what_clients_do_wrong_is_no_failure() {
    let (first, other) = (Backend::always(Reply::json(400, "{}")), fine());
    let place = Place::with(&[&first, &other]);
    let served = place.serve(&["--route", "first", "--cool-down", "10m"]);
    for _ in 0..5 {
        assert_eq!(served.chat("m").status(), 400);
    }
    // Nor is it when they leave.
    first.now(Reply::hang());
    for count in 1..5 {
        let mut client = served.connect();
        client.post(CHAT, ASKED);
        first.wait_for_held(1);
        drop(client);
        first.wait_for_left(count);
    }
    assert_eq!(served.get("/health").json()["up"], 2);
    assert_eq!(other.count(), 0);
}

#[test]
fn connections_are_used_again_and_replaced_when_they_are_dead() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    for _ in 0..5 {
        assert_eq!(served.chat("m").status(), 200);
    }
    let connections: Vec<_> = backend
        .requests()
        .iter()
        .map(|seen| seen.connection)
        .collect();
    assert_eq!(connections, [connections[0]; 5]);
    // One that is closed behind each answer, without a word.
    backend.now(Reply::says("hi").cut());
    for count in 1..=5 {
        assert_eq!(served.chat("m").status(), 200);
        backend.wait_for_closed(count);
    }
    let mut after: Vec<_> = backend
        .requests()
        .iter()
        .map(|seen| seen.connection)
        .collect();
    after.dedup();
    assert_eq!(after.len(), 5);
}

#[test]
fn a_request_to_a_connection_that_is_being_closed_is_sent_on_another() {
    let backend = Backend::always(Reply::says("hi").cut());
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = served.connect();
                for _ in 0..200 {
                    client.post(CHAT, ASKED);
                    assert_eq!(client.answer().status(), 200);
                }
            });
        }
    });
    assert_eq!(backend.count(), 800);
    // What it has taken is not sent again.
    backend.now(Reply::says("hi"));
    assert_eq!(served.chat("m").status(), 200);
    backend.now(Reply::nothing());
    assert_eq!(served.chat("m").status(), 502);
    assert_eq!(backend.count(), 802);
}

#[test]
fn requests_that_come_together_on_a_connection_are_answered_in_turn() {
    let backend = Backend::start(|_, seen| Reply::json(200, &seen.body));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut client = served.connect();
    let bodies: Vec<String> = (0..20)
        .map(|number| format!("{{\"model\":\"m\",\"number\":{number}}}"))
        .collect();
    let head = "content-type: application/json\r\n";
    let all: Vec<u8> = bodies
        .iter()
        .flat_map(|body| request(&format!("POST {CHAT}"), head, body.as_bytes()))
        .collect();
    client.send(all);
    for body in &bodies {
        assert_eq!(client.answer().text(), body);
    }
}

#[test]
fn a_body_that_stops_in_the_middle_asks_nobody() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    for at in 0..ASKED.len() {
        let mut client = served.connect();
        let whole = request(
            &format!("POST {CHAT}"),
            super::client::JSON,
            ASKED.as_bytes(),
        );
        client.send(&whole[..whole.len() - ASKED.len() + at]);
        client.finish();
        // An answer or none: it is the client's own matter.
        let _ = client.try_head();
    }
    assert_eq!(served.get("/health").status(), 200);
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_long_answer_passes_and_a_cut_one_is_seen_as_cut() {
    let long = format!("{{\"data\":\"{}\"}}", "x".repeat(12 << 20));
    let half = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        long.len(),
        &long[..10 << 20]
    );
    let backend = Backend::playing([Reply::json(200, &long), Reply::raw(half).cut()]);
    let other = fine();
    let place = Place::with(&[&backend, &other]);
    let served = place.serve(&["--route", "first"]);
    let answer = served.chat("m");
    assert!(!answer.is_cut && answer.body == long.as_bytes());
    assert!(served.chat("m").is_cut);
    assert_eq!(other.count(), 0);
}

#[cfg(unix)]
#[test]
fn a_long_answer_that_falls_silent_is_cut() {
    let half = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        20 << 20,
        "x".repeat(9 << 20)
    );
    let backend = Backend::always(Reply::raw(half).hold());
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--timeout", "1s"]);
    let answer = served.chat("m");
    assert!(answer.is_cut && answer.status() == 200);
    backend.wait_for_left(1);
    assert_eq!(served.stop().code, Some(0));
    let rows = place.rows();
    assert_eq!(
        (&rows[0]["status"], &rows[0]["error"]),
        (&504.into(), &"upstream_timeout".into())
    );
}

#[cfg(unix)]
#[test]
fn a_whole_answer_that_is_not_taken_still_runs() {
    let long = format!("{{\"data\":\"{}\"}}", "x".repeat(8_000_000));
    let backend = Backend::playing([Reply::json(200, &long), Reply::json(200, &long)]);
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--max-inflight", "1"]);
    let mut slow = served.connect();
    slow.post(CHAT, ASKED);
    let head = slow.head();
    assert_eq!(served.chat("m").status(), 503);
    let answer = slow.body(head);
    assert!(!answer.is_cut && answer.body == long.as_bytes());
    eventually("a free place", || {
        let mut leaving = served.connect();
        leaving.post(CHAT, ASKED);
        leaving.head().status == 200
    });
    assert_eq!(backend.count(), 2);
    eventually("the end of what nobody takes", || {
        let metrics = served.get("/metrics");
        metrics.text().contains("\nrouter_inflight 0\n")
    });
    assert_eq!(served.stop().code, Some(0));
    let statuses: Vec<_> = place
        .rows()
        .iter()
        .map(|row| row["status"].clone())
        .collect();
    assert!(
        statuses.contains(&200.into()) && statuses.contains(&499.into()),
        "{statuses:?}"
    );
}

#[test]
fn what_was_compressed_unasked_is_a_failure() {
    let zipped = |kind: &str| {
        let head = format!("content-type: {kind}\r\ncontent-encoding: gzip\r\n");
        Reply::with(200, &head, b"data: \x1f\x8b\n\n")
    };
    let plain = "content-type: application/json\r\ncontent-encoding: identity\r\n";
    let backend = Backend::playing([
        zipped("text/event-stream"),
        zipped("application/json"),
        Reply::with(200, plain, "{}"),
    ]);
    let other = fine();
    let place = Place::with(&[&backend, &other]);
    let served = place.serve(&["--route", "first"]);
    for by in ["2", "2", "1"] {
        let answer = served.chat("m");
        assert_eq!(
            (answer.status(), answer.header("x-localstore-backend")),
            (200, Some(by))
        );
    }
}

#[test]
fn an_answer_before_the_end_of_a_large_body_comes_as_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::new();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    place.model("m", &url, "m");
    let served = place.serve(&[]);
    let hasty = std::thread::spawn(move || {
        // 'model add' has looked whether somebody is there.
        let mut stream = loop {
            let (mut stream, _) = listener.accept().unwrap();
            if stream.read_exact(&mut [0; 100]).is_ok() {
                break stream;
            }
        };
        let refused = "HTTP/1.1 413 Content Too Large\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(refused.as_bytes()).unwrap();
        // It closes with most of the body unread, which resets the connection.
    });
    let body = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "x".repeat(16 << 20));
    let answer = served.post(CHAT, body);
    assert_eq!((answer.status(), answer.text()), (413, "{}"));
    hasty.join().unwrap();
}

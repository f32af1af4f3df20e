//! Streams: each event at once, every byte, and what a client sees where one is cut.

use std::time::Duration;

use serde_json::Value;

use super::backend::{Backend, Reply, word};
use super::client::{self, Client};
use super::{CHAT, Place, Served};

/// A body that asks for a stream.
const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[]}"#;

/// Asks for a stream; its head has come.
#[track_caller]
fn stream(served: &Served) -> Client {
    let mut client = served.connect();
    client.post(CHAT, STREAMED);
    let head = client.head();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    client
}

/// The code of the event that ends a stream too early.
#[track_caller]
fn code(event: &str) -> String {
    let json = event.strip_prefix("data: ").expect(event);
    let json: Value = serde_json::from_str(json.strip_suffix("\n\n").expect(event)).unwrap();
    client::code(502, &json)
}

/// Reads what is left; the stream must end as HTTP wants it.
#[track_caller]
fn rest(client: &mut Client) -> String {
    let mut text = String::new();
    while let Some(piece) = client.piece().unwrap() {
        text += std::str::from_utf8(&piece).unwrap();
    }
    text
}

#[test]
fn an_event_goes_on_before_the_next_is_there() {
    let reply = Reply::stream().word("a").hold().word("b").hold().done();
    let backend = Backend::always(reply);
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut client = stream(&served);
    // The backend sends the second event when the client has the first, and so on.
    assert_eq!(client.event(), word("a"));
    backend.release(1);
    assert_eq!(client.event(), word("b"));
    backend.release(1);
    assert_eq!(rest(&mut client), "data: [DONE]\n\n");
    // The connection stays.
    client.request("GET /health", "", "");
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn every_byte_of_a_stream_passes() {
    let odd = ": a comment\n\nevent: x\r\nid: 7\r\nretry: 1\r\ndata: {\"a\" :1.50}\r\n\r\n\n\n\
         data:no space\ndata: two lines\n\r\n: \u{fc}\n\ndata: [DONE]\n\n: after";
    let replies = [
        Reply::stream().then(odd).end(),
        Reply::with(
            200,
            "content-type: text/event-stream; charset=utf-8\r\n",
            odd,
        ),
        Reply::open_stream().then(odd).end(),
    ];
    let backend = Backend::playing(replies);
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    for _ in 0..3 {
        let mut client = served.connect();
        client.post(CHAT, STREAMED);
        let head = client.head();
        let kind = head.header("content-type").unwrap();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        assert_eq!(rest(&mut client), odd);
    }
}

/// Cut anywhere: the whole events, then an error that the client can read; before the first, an error.
#[test]
fn a_stream_that_is_cut_at_any_byte_ends_in_an_error() {
    for (end, is_chunked) in [("\n", true), ("\r\n", true), ("\n", false)] {
        let text = format!(": x\n\n{}{}", word("a"), word("b")).replace('\n', end);
        let blank = format!("{end}{end}");
        // A CR alone ends a line too: the LF that may follow is waited for by nobody.
        let ends_event = |at: &usize| {
            let text = &text[..*at];
            text.ends_with(&blank) || text.ends_with("\r\n\r")
        };
        let begun = |at: usize| {
            let reply = if is_chunked {
                Reply::stream()
            } else {
                Reply::open_stream()
            };
            match at {
                0 => reply.cut(),
                _ => reply.then(&text.as_bytes()[..at]).cut(),
            }
        };
        let backend = Backend::playing((0..=text.len()).map(begun));
        let place = Place::with(&[&backend]);
        let served = place.serve(&[]);
        for at in 0..=text.len() {
            let mut client = served.connect();
            client.post(CHAT, STREAMED);
            let answer = client.answer();
            let Some(whole) = (0..=at).rev().find(ends_event) else {
                assert_eq!(answer.error(), (502, "upstream_failed".to_owned()));
                continue;
            };
            assert_eq!((answer.status(), answer.is_cut), (200, false), "{at}");
            let answered = answer.text();
            let (events, error) = answered.split_at(whole);
            assert_eq!(events, &text[..whole], "{at}");
            assert_eq!(code(error), "upstream_cut", "{at}");
        }
        assert_eq!(backend.count(), text.len() + 1);
    }
}

#[test]
fn what_comes_after_done_is_not_missed() {
    // Connection and frame end too early, but the stream was over.
    let reply = Reply::stream().word("a").then("data: [DONE]\n\n").cut();
    let backend = Backend::always(reply);
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let answer = served.post(CHAT, STREAMED);
    assert_eq!(answer.text(), word("a") + "data: [DONE]\n\n");
    assert!(!answer.is_cut);
}

#[test]
fn a_stream_without_length_or_chunks_needs_done() {
    let backend = Backend::always(Reply::open_stream().word("a").end());
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let answer = served.post(CHAT, STREAMED);
    let error = answer.text().strip_prefix(&word("a")).unwrap();
    assert_eq!(code(error), "upstream_cut");
}

#[test]
fn a_stream_that_falls_silent_ends_in_an_error() {
    let backend = Backend::always(Reply::stream().word("a").then("data: {\"half").hold());
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--timeout", "1s"]);
    let mut client = stream(&served);
    assert_eq!(client.event(), word("a"));
    assert_eq!(code(&rest(&mut client)), "upstream_timeout");
    backend.wait_for_left(1);
}

#[test]
fn a_client_that_leaves_closes_the_connection_to_the_backend() {
    let backend = Backend::playing([
        Reply::stream().word("a").hold(),
        Reply::stream().hold(),
        Reply::hang(),
    ]);
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    // In the middle of a stream, before its first event, before any answer.
    let mut client = stream(&served);
    assert_eq!(client.event(), word("a"));
    drop(client);
    backend.wait_for_left(1);
    for count in 2..4 {
        let mut client = served.connect();
        client.post(CHAT, STREAMED);
        backend.wait_for_held(1);
        drop(client);
        backend.wait_for_left(count);
    }
}

#[test]
fn a_slow_reader_slows_the_backend() {
    const TIMES: usize = 768;
    let event = format!("data: {}\n\n", "x".repeat(64_000));
    let backend = Backend::always(Reply::stream().word("a").flood(&event, TIMES).done());
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut client = stream(&served);
    assert_eq!(client.event(), word("a"));
    // What is between them is full long before all of it, and stays so until the client reads on.
    backend.wait_for_blocked(1);
    let mut bytes = 0;
    while let Some(piece) = client.piece().unwrap() {
        let is_whole = piece.starts_with(b"data: x") && piece.ends_with(b"x\n\n");
        assert!(is_whole || piece == b"data: [DONE]\n\n");
        bytes += piece.len();
    }
    assert_eq!(bytes, event.len() * TIMES + "data: [DONE]\n\n".len());
}

#[test]
fn many_streams_at_once_are_all_whole() {
    const STREAMS: usize = 200;
    let reply = Reply::stream().word("a").hold().word("b").hold().done();
    let backend = Backend::always(reply);
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut clients: Vec<Client> = (0..STREAMS)
        .map(|_| {
            let mut client = served.connect();
            client.post(CHAT, STREAMED);
            client
        })
        .collect();
    backend.wait_for_held(STREAMS);
    for client in &mut clients {
        assert_eq!(client.head().status, 200);
        assert_eq!(client.event(), word("a"));
    }
    // A half of them leaves; that does nothing to the others.
    clients.truncate(STREAMS / 2);
    backend.wait_for_left(STREAMS / 2);
    backend.release(STREAMS);
    for client in &mut clients {
        assert_eq!(rest(client), word("b") + "data: [DONE]\n\n");
    }
}

#[test]
fn a_very_long_event_goes_on_in_parts() {
    let long = "x".repeat(100_000);
    let beginning = format!("data: {long}");
    let backend = Backend::playing([
        Reply::stream().then(&beginning).hold().then("\n\n").done(),
        Reply::stream().then(&beginning).cut(),
    ]);
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut client = stream(&served);
    let mut came = String::new();
    while came.len() <= 64 << 10 {
        came += &client.event();
    }
    assert!(beginning.starts_with(&came));
    backend.release(1);
    came += &rest(&mut client);
    assert_eq!(came, beginning.clone() + "\n\ndata: [DONE]\n\n");
    // One that was begun and cut is ended, so that the error is an event of its own.
    let answer = served.post(CHAT, STREAMED);
    let (begun, error) = answer.text().split_once("\n\n").unwrap();
    assert!(beginning.starts_with(begun));
    assert_eq!(code(error), "upstream_cut");
}

#[test]
fn pauses_between_the_bytes_of_an_event_change_nothing() {
    let event = word("a");
    let mut reply = Reply::stream();
    for byte in event.as_bytes() {
        reply = reply.then([*byte]).sleep(Duration::from_millis(1));
    }
    let backend = Backend::always(reply.done());
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut client = stream(&served);
    assert_eq!(client.event(), event);
    assert_eq!(rest(&mut client), "data: [DONE]\n\n");
}

/// Whoever does not read costs no more than what is on its way.
#[test]
fn the_memory_of_slow_readers_is_bounded() {
    const STREAMS: u64 = 50;
    let event = format!("data: {}\n\n", "x".repeat(8_000));
    let backend = Backend::always(Reply::stream().word("a").flood(&event, 2_000).done());
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut clients: Vec<Client> = (0..STREAMS).map(|_| stream(&served)).collect();
    for client in &mut clients {
        assert_eq!(client.event(), word("a"));
    }
    backend.wait_for_blocked(clients.len());
    if let Some(kilobytes) = served.memory() {
        assert!(kilobytes <= 64 * STREAMS + (30 << 10), "{kilobytes} KiB");
    }
    let last = clients.pop().map(|mut client| rest(&mut client));
    assert_eq!(last.unwrap(), event.repeat(2_000) + "data: [DONE]\n\n");
}

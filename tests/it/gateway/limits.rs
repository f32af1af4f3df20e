//! What a client may send, and who may be a client without a key.

use std::process::Command;

use super::backend::{Backend, Reply};
use super::client::JSON;
use super::{CHAT, Place};

const ASKED: &str = r#"{"model":"m","messages":[]}"#;

#[test]
fn clients_leave_files_for_the_backends() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let serve = place.0.command(["serve", "--addr", "127.0.0.1:0"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -n 80; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .env_clear()
        .envs(
            serve
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let served = Place::start_command(shell);
    let mut clients: Vec<_> = (0..100).map(|_| served.connect()).collect();
    clients[0].post(CHAT, ASKED);
    assert_eq!(clients[0].answer().status(), 200);
    drop(clients);
    assert_eq!(served.chat("m").status(), 200);
}

#[test]
fn headers_have_a_limit() {
    let place = Place::new();
    let served = place.serve(&[]);
    let mut client = served.connect();
    client.request(
        "GET /health",
        &format!("x: {}\r\n", "x".repeat(30 << 10)),
        "",
    );
    assert_eq!(client.answer().status(), 200);
    let mut client = served.connect();
    client.request(
        "GET /health",
        &format!("x: {}\r\n", "x".repeat(65 << 10)),
        "",
    );
    let refused = client.answer();
    assert_eq!(refused.error(), (431, "headers_too_large".to_owned()));
    let mut client = served.connect();
    // It may answer before it has read all.
    let _ = client.try_send(format!(
        "GET /health HTTP/1.1\r\nx: {}",
        "x".repeat(1 << 20)
    ));
    if let Ok(Some(head)) = client.try_head() {
        assert_eq!(head.status, 431);
    }
    assert_eq!(served.get("/health").status(), 200);
}

#[test]
fn headers_must_come_in_time() {
    let place = Place::new();
    let served = place.serve(&[]);
    let mut client = served.connect();
    client.send("GET /health HTTP/1.1\r\nhost: localhost\r\nx: ");
    // The patience of the client is longer than the time that it has.
    assert!(client.is_closed() || client.head().status == 408);
}

#[test]
fn junk_is_no_request() {
    let place = Place::new();
    let served = place.serve(&[]);
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\r\n\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 18446744073709551616\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/models/%ff%00%f HTTP/1.1\r\nhost: localhost\r\nx-request-id: \xff\r\n\r\n",
        b"\0",
    ] {
        let mut client = served.connect();
        let _ = client.try_send(junk);
        client.finish();
        while let Ok(Some(_)) = client.try_head() {}
    }
    assert_eq!(served.get("/health").status(), 200);
    assert_eq!(served.stop().code, Some(0));
}

#[test]
fn a_web_page_cannot_use_an_open_gateway() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    for host in [
        "example.org",
        "example.org:80",
        "127.0.0.1.nip.io",
        "localhost.example.org",
        "10.0.0.1",
        "",
        "a b",
        "x@localhost",
        "localhost:x",
        "localhost:99999",
        "localhost\r\nhost: example.org",
        "example.org\r\nhost: localhost",
    ] {
        for line in [&format!("POST {CHAT}"), "GET /v1/models", "GET /metrics"] {
            let mut client = served.connect();
            let body = if line.starts_with("POST") { ASKED } else { "" };
            client.request(line, &format!("host: {host}\r\n{JSON}"), body);
            assert_eq!(
                client.answer().error(),
                (403, "bad_host".to_owned()),
                "{host} {line}"
            );
        }
    }
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:80",
        "127.9.9.9",
        "[::1]:80",
        "[::1]",
    ] {
        let mut client = served.connect();
        client.request("GET /v1/models", &format!("host: {host}\r\n"), "");
        assert_eq!(client.answer().status(), 200, "{host}");
    }
    // A page asks first whether it may; it is not told so.
    let mut client = served.connect();
    client.request(
        &format!("OPTIONS {CHAT}"),
        "origin: https://example.org\r\naccess-control-request-method: POST\r\n",
        "",
    );
    let asked = client.answer();
    assert_eq!(asked.error().0, 405);
    let mut client = served.connect();
    client.request(
        &format!("POST {CHAT}"),
        &format!("{JSON}origin: https://example.org\r\n"),
        ASKED,
    );
    let answer = client.answer();
    for answer in [asked, answer] {
        let names = answer.head.headers.iter().map(|(name, _)| name);
        assert!(
            names
                .into_iter()
                .all(|name| !name.starts_with("access-control"))
        );
    }
    assert_eq!(backend.count(), 1);
}

#[test]
fn the_clients_id_of_a_request_is_kept_if_it_is_a_plain_one() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let long = "a".repeat(64);
    for (id, is_kept) in [
        ("a.B_c-9", true),
        (long.as_str(), true),
        (&format!("{long}a"), false),
        ("a b", false),
        ("\u{fc}", false),
        ("", false),
    ] {
        let before = backend.count();
        let mut client = served.connect();
        client.request(
            &format!("POST {CHAT}"),
            &format!("{JSON}x-request-id: {id}\r\n"),
            ASKED,
        );
        let answer = client.answer();
        let told = answer.header("x-request-id").unwrap();
        assert_eq!(told == id, is_kept, "{id}");
        assert!(!told.is_empty());
        let seen = backend.requests().swap_remove(before);
        assert_eq!(seen.header("x-request-id"), Some(told));
    }
}

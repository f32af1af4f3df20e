//! Errors, as clients of `OpenAI` understand them.

use super::backend::{Backend, Reply};
use super::client::JSON;
use super::{CHAT, Place};
use crate::server::Deaf;

const ASKED: &str = r#"{"model":"m","messages":[]}"#;

/// What a backend says that nobody else may read.
const PRIVATE: &str = "private words of a backend";

#[track_caller]
fn is(answer: &super::Answer, status: u16, code: &str) {
    assert_eq!(answer.error(), (status, code.to_owned()));
    assert!(!answer.text().contains(PRIVATE));
    assert!(answer.header("x-request-id").is_some());
}

#[test]
fn a_body_that_is_no_request_is_refused() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    for (body, code) in [
        (&b"{"[..], "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b"\"model\"", "invalid_json"),
        (b"{\"model\":\"m\"", "invalid_json"),
        (b"{\"model\":\"m\"}}", "invalid_json"),
        (b"{'model':'m'}", "invalid_json"),
        (b"{\"model\":\"m\",\"x\":01}", "invalid_json"),
        (b"{\"model\":\"m\",\"x\":\"\xff\"}", "invalid_json"),
        (b"\xef\xbb\xbf{\"model\":\"m\"}", "invalid_json"),
        (b"{}", "missing_model"),
        (b"{\"Model\":\"m\"}", "missing_model"),
        (b"{\"x\":{\"model\":\"m\"}}", "missing_model"),
        (b"{\"model\":null}", "missing_model"),
        (b"{\"model\":[\"m\"]}", "missing_model"),
        (b"{\"model\":\"m\",\"model\":\"m\"}", "duplicate_model"),
        (
            b"{\"model\":\"m\",\"mod\\u0065l\":\"m\"}",
            "duplicate_model",
        ),
    ] {
        is(&served.post(CHAT, body), 400, code);
    }
    let mut client = served.connect();
    client.request(
        &format!("POST {CHAT}"),
        &format!("{JSON}content-length: 0\r\n"),
        "",
    );
    is(&client.answer(), 400, "invalid_json");
    assert_eq!(backend.count(), 0);
}

#[test]
fn what_is_not_there_is_not_found() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    for model in ["", "M", "m ", "other", "a/b", "a/", "/", "llmd", "\u{1}\n"] {
        is(&served.chat(model), 404, "model_not_found");
    }
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/chat/completions/",
        "/v1/audio/speech",
        "/v2/models",
        "/metric",
    ] {
        is(&served.get(path), 404, "unknown_url");
        is(&served.post(path, ASKED), 404, "unknown_url");
    }
    for path in [CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses"] {
        let answer = served.get(path);
        is(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    for path in ["/health", "/metrics", "/v1/models", "/v1/models/m"] {
        let answer = served.post(path, ASKED);
        is(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("GET"));
    }
    is(&served.get("/v1/models/other"), 404, "model_not_found");
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_rule_whose_variable_is_missing_names_it() {
    let place = Place::new();
    let served = place.serve(&[]);
    for (model, variable) in [
        ("gpt-4o", "EXTERNAL_OPENAI_KEY"),
        ("claude-x", "EXTERNAL_ANTHROPIC_KEY"),
        ("gemini-x", "EXTERNAL_GOOGLE_KEY"),
        ("grok-x", "EXTERNAL_XAI_KEY"),
        ("venice-x", "EXTERNAL_VENICE_KEY"),
        ("groq/x", "EXTERNAL_GROQ_KEY"),
        ("mistral/x", "EXTERNAL_MISTRAL_KEY"),
        ("huggingface/a/b", "EXTERNAL_HUGGINGFACE_KEY"),
        ("openrouter/a/b", "EXTERNAL_OPENROUTER_KEY"),
        ("llmd-x", "LLMD_ENDPOINT"),
    ] {
        let answer = served.chat(model);
        is(&answer, 404, "model_not_found");
        assert!(
            answer.text().contains(variable),
            "{model}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--max-body", "1K"]);
    // The length alone is enough: nothing else is sent.
    let mut client = served.connect();
    client.send(format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{JSON}content-length: 1025\r\n\r\n"
    ));
    let answer = client.answer();
    is(&answer, 413, "request_too_large");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed());
    // Without a length, what comes is counted.
    let mut client = served.connect();
    client.send(format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{JSON}transfer-encoding: chunked\r\n\r\n401\r\n{}",
        "x".repeat(1025)
    ));
    is(&client.answer(), 413, "request_too_large");
    assert_eq!(backend.count(), 0);
    // One that just fits.
    let body = format!("{ASKED}{}", " ".repeat(1024 - ASKED.len()));
    assert_eq!(served.post(CHAT, &body).status(), 200);
    assert_eq!(backend.only().text(), body);
}

#[test]
fn a_body_of_another_kind_is_refused() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    for head in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/jsonp\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
    ] {
        let mut client = served.connect();
        client.request(&format!("POST {CHAT}"), head, ASKED);
        is(&client.answer(), 415, "unsupported_media_type");
    }
    assert_eq!(backend.count(), 0);
    let mut client = served.connect();
    let head = "content-type: Application/JSON; charset=utf-8\r\n";
    client.request(&format!("POST {CHAT}"), head, ASKED);
    assert_eq!(client.answer().status(), 200);
    assert_eq!(
        backend.only().header("content-type"),
        Some("Application/JSON; charset=utf-8")
    );
}

#[test]
fn what_a_backend_refuses_comes_as_it_is() {
    let json = r#"{"error": {"message":"too long", "x":1.50}}"#;
    let backend = Backend::playing([
        Reply::json(400, json),
        Reply::json(404, json),
        Reply::with(422, "content-type: text/plain\r\n", "no\0\r\n"),
        Reply::with(418, "", ""),
    ]);
    // The second would answer otherwise.
    let other = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend, &other]);
    let served = place.serve(&["--route", "first"]);
    for (status, kind, body) in [
        (400, Some("application/json"), json),
        (404, Some("application/json"), json),
        (422, Some("text/plain"), "no\0\r\n"),
        (418, None, ""),
    ] {
        let answer = served.post(CHAT, ASKED);
        assert_eq!(answer.status(), status);
        assert_eq!(answer.header("content-type"), kind);
        assert_eq!(answer.text(), body);
        assert_eq!(answer.header("x-localstore-backend"), Some("1"));
    }
    assert_eq!(other.count(), 0);
}

#[test]
fn a_busy_backend_is_passed_over_and_the_last_one_tells_so() {
    let busy = |seconds: u32| {
        let head = format!("content-type: application/json\r\nretry-after: {seconds}\r\n");
        Reply::with(429, &head, format!("{{\"wait\":{seconds}}}"))
    };
    let (first, second) = (Backend::always(busy(7)), Backend::always(busy(9)));
    let place = Place::with(&[&first, &second]);
    let served = place.serve(&["--route", "first"]);
    let answer = served.post(CHAT, ASKED);
    assert_eq!((answer.status(), answer.text()), (429, "{\"wait\":9}"));
    assert_eq!(answer.header("retry-after"), Some("9"));
    assert_eq!((first.count(), second.count()), (1, 1));
    second.now(Reply::says("hi"));
    assert_eq!(served.post(CHAT, ASKED).status(), 200);
    assert_eq!(first.count(), 2);
}

#[test]
fn a_backend_that_refuses_our_key_is_not_quoted() {
    for status in [401, 403] {
        let backend = Backend::always(Reply::json(status, format!("{{\"error\":\"{PRIVATE}\"}}")));
        let place = Place::with(&[&backend]);
        let served = place.serve(&[]);
        let answer = served.post(CHAT, ASKED);
        is(&answer, 502, "upstream_auth");
        assert_eq!(backend.count(), 1);
    }
}

#[test]
fn a_backend_that_fails_is_an_error_without_its_words() {
    let cut =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"a\":";
    let chunks = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\nxyz\r\n";
    for (reply, words) in [
        (Reply::json(500, format!("\"{PRIVATE}\"")), "500"),
        (Reply::json(599, "{}"), "599"),
        (Reply::with(200, "content-type: text/html\r\n", PRIVATE), ""),
        (Reply::json(200, ""), ""),
        (Reply::json(200, "{\"a\":1"), ""),
        (Reply::json(200, "{\"a\":1}{"), ""),
        (Reply::raw(cut).cut(), ""),
        (Reply::raw(chunks).cut(), ""),
        (Reply::nothing(), ""),
        (Reply::raw("SSH-2.0-OpenSSH\r\n").cut(), ""),
        (
            Reply::raw(format!(
                "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
                "x".repeat(1 << 20)
            ))
            .cut(),
            "",
        ),
        (
            Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}").cut(),
            "",
        ),
        (Reply::raw("HTTP/1.1 99999 OK\r\n\r\n").cut(), ""),
        (Reply::stream().cut(), ""),
        (Reply::stream().end(), ""),
    ] {
        let told = format!("{reply:?}");
        let told = &told[..told.len().min(200)];
        let backend = Backend::always(reply);
        let place = Place::with(&[&backend]);
        let served = place.serve(&[]);
        let answer = served.post(CHAT, ASKED);
        assert_eq!(answer.status(), 502, "{told}");
        is(&answer, 502, "upstream_failed");
        assert!(answer.text().contains(words), "{}", answer.text());
        assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
        assert_eq!(backend.count(), 1, "{told}");
    }
    let deaf = Deaf::new();
    let place = Place::new();
    place.model("m", &deaf.url(), "m");
    let answer = place.serve(&[]).post(CHAT, ASKED);
    is(&answer, 502, "upstream_failed");
    assert!(!answer.text().contains("127.0.0.1"));
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Backend::always(Reply::says("hi"));
    for status in [301, 302, 307, 308] {
        let head = format!(
            "location: {}{CHAT}\r\n",
            elsewhere.url().trim_end_matches("/v1")
        );
        let backend = Backend::always(Reply::with(status, &head, ""));
        let place = Place::with(&[&backend]);
        let answer = place.serve(&[]).post(CHAT, ASKED);
        assert_eq!(answer.error().0, 502);
        assert_eq!(answer.header("location"), None);
        assert_eq!(backend.count(), 1);
    }
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn a_backend_that_hangs_is_not_asked_again() {
    let (slow, other) = (
        Backend::always(Reply::hang()),
        Backend::always(Reply::says("hi")),
    );
    let place = Place::with(&[&slow, &other]);
    let served = place.serve(&["--route", "first", "--timeout", "1s"]);
    is(&served.post(CHAT, ASKED), 504, "upstream_timeout");
    slow.wait_for_left(1);
    // The head came, the body does not: the answer sends its first byte last.
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    slow.now(Reply::raw(begun).hold());
    is(&served.post(CHAT, ASKED), 504, "upstream_timeout");
    assert_eq!((slow.count(), other.count()), (2, 0));
}

#[test]
fn too_many_requests_at_once_are_refused() {
    let backend = Backend::always(Reply::hang());
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--max-inflight", "2"]);
    let mut clients = [served.connect(), served.connect()];
    for client in &mut clients {
        client.post(CHAT, ASKED);
    }
    backend.wait_for_held(2);
    let answer = served.post(CHAT, ASKED);
    is(&answer, 503, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
    // It is still there for whoever asks how it is.
    assert_eq!(served.get("/health").status(), 200);
    drop(clients);
    backend.wait_for_left(2);
    backend.now(Reply::says("hi"));
    super::eventually("a free place", || served.post(CHAT, ASKED).status() == 200);
}

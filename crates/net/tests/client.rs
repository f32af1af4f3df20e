//! The client against a real server.

#[path = "../../../tests/it/server.rs"]
mod server;

use std::time::Duration;

use net::{Client, Failure, FailureKind, Limits, Response};
use server::{Deaf, Proxy, Reply, Server, header};

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    idle: Duration::from_secs(20),
    total: Duration::from_secs(20),
    max_body_mib: 1,
};

/// A client that no proxy of the environment concerns.
fn client(url: &str) -> Client {
    Client::new(url, LIMITS, |_| None).unwrap()
}

/// A client that goes through a proxy.
fn client_through(proxy: &str, url: &str) -> Client {
    let proxy = |name: &str| (name == "http_proxy").then(|| proxy.to_owned());
    Client::new(url, LIMITS, proxy).unwrap()
}

fn post_with(client: &Client) -> Result<Response, Failure> {
    client.send("POST", "/path", &[], b"{}")
}

/// How a post ends that the server replies to like this.
fn post(reply: Reply) -> Result<Response, Failure> {
    let server = Server::start([reply]);
    post_with(&client(&server.url()))
}

#[track_caller]
fn assert_fails(sent: Result<Response, Failure>, kind: FailureKind, why: &str) {
    let failure = sent.unwrap_err();
    assert_eq!((failure.kind, failure.why.as_str()), (kind, why));
}

#[test]
fn the_request_has_its_length_and_closes_the_connection() {
    let server = Server::start([Reply::taken(12)]);
    let body = "{\"a\":\"".to_owned() + &"x".repeat(300_000) + "\"}";
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer x"),
    ];
    let client = client(&(server.url() + "/below"));
    let answer = client.send("POST", "/api/results", &headers, body.as_bytes());
    let answer = answer.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"{\"id\":12}"[..]));
    assert_eq!(answer.header("content-length"), Some("9"));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let head = &requests[0].head;
    assert!(
        head.starts_with("POST /below/api/results HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(header(head, "content-type"), Some("application/json"));
    assert_eq!(header(head, "authorization"), Some("Bearer x"));
    assert_eq!(header(head, "connection"), Some("close"));
    assert_eq!(
        header(head, "content-length"),
        Some(&*body.len().to_string())
    );
    assert_eq!(header(head, "transfer-encoding"), None);
    assert!(requests[0].body == body);
}

#[test]
fn a_request_may_have_no_body() {
    let server = Server::start([Reply::taken(1), Reply::Reset]);
    let client = client(&server.url());
    let get = || client.send("GET", "/v1/models", &[], b"");
    assert_eq!(get().unwrap().status, 200);
    let head = &server.requests()[0].head;
    assert!(head.starts_with("GET /v1/models HTTP/1.1\r\n"), "{head}");
    assert_eq!(get().unwrap_err().kind, FailureKind::MaybeSent);
    let deaf = Deaf::new();
    let sent = self::client(&deaf.url()).send("GET", "/", &[], b"");
    assert_fails(sent, FailureKind::NotSent, "no connection");
}

#[test]
fn what_cannot_be_in_a_header_is_not_sent_and_not_told() {
    let client = client("http://localhost:1");
    let headers = [("authorization", "Bearer secret\n")];
    let failure = client.send("POST", "/", &headers, b"{}").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(!failure.why.contains("secret"), "{}", failure.why);
}

#[test]
fn an_answer_may_come_in_chunks() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  4\r\n{\"id\r\n5\r\n\": 7}\r\n0\r\n\r\n";
    let answer = post(Reply::Answer(answer.into())).unwrap();
    assert_eq!(answer.body, b"{\"id\": 7}");
    assert_eq!(answer.incomplete, None);
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::start([Reply::taken(1)]);
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = format!("{}/path", other.url());
        let head = format!("Location: {location}\r\n");
        let answer = post(Reply::status(status, &head, "")).unwrap();
        assert_eq!(answer.status.to_string(), status[..3]);
        assert_eq!(answer.header("location"), Some(&*location));
    }
    assert!(other.requests().is_empty());
}

#[test]
fn what_was_sent_and_not_answered_may_have_been_taken() {
    for reply in [
        Reply::Reset,
        Reply::Answer(Vec::new()),
        Reply::Answer(b"HTTP/1.1 200".to_vec()),
        Reply::Answer(b"this is no HTTP\r\n\r\n".to_vec()),
    ] {
        let name = format!("{reply:?}");
        let failure = post(reply).unwrap_err();
        assert_eq!(failure.kind, FailureKind::MaybeSent, "{name}");
    }
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"id\":1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"id",
    ] {
        let answer = post(Reply::Answer(cut.into())).unwrap();
        let why = answer.incomplete.expect(cut);
        assert!(
            why.starts_with("the answer is cut off: localhost: "),
            "{why}"
        );
    }
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let server = Server::start([Reply::Hang]);
    let limits = Limits {
        total: Duration::from_millis(700),
        ..LIMITS
    };
    let client = Client::new(&server.url(), limits, |_| None).unwrap();
    let why = "no answer from localhost within 0.7 s";
    assert_fails(post_with(&client), FailureKind::MaybeSent, why);
    assert_eq!(server.requests().len(), 1);

    let server = Server::start([Reply::Hang]);
    let limits = Limits {
        idle: Duration::from_millis(600),
        ..LIMITS
    };
    let client = Client::new(&server.url(), limits, |_| None).unwrap();
    let why = "no answer from localhost within 0.6 s";
    assert_fails(post_with(&client), FailureKind::MaybeSent, why);
}

#[test]
fn an_answer_above_the_limit_is_not_read_to_its_end() {
    let whole = " ".repeat(1 << 20);
    let answer = post(Reply::status("200 OK", "", &whole)).unwrap();
    assert_eq!((answer.body.len(), answer.incomplete), (1 << 20, None));
    let larger = whole + " ";
    // And one without an end.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(3 << 20));
    for reply in [
        Reply::status("200 OK", "", &larger),
        Reply::Answer(endless.into()),
    ] {
        let answer = post(reply).unwrap();
        let why = answer.incomplete.unwrap();
        assert_eq!(why, "the answer is larger than 1 MiB");
    }
}

#[test]
fn where_nobody_listens_nothing_is_sent() {
    let sent = post_with(&client(&Deaf::new().url()));
    assert_fails(sent, FailureKind::NotSent, "no connection");
}

#[test]
fn a_proxy_that_cannot_be_reached_or_used_is_named() {
    let deaf = Deaf::new();
    let sent = post_with(&client_through(&deaf.url(), "http://site.invalid"));
    let address = deaf.url().replace("http://", "");
    let why = format!("site.invalid through the proxy {address}: connection refused");
    assert_fails(sent, FailureKind::NotSent, &why);
    // For good, as a server would have said it; and for now.
    for (status, kind) in [
        (401, FailureKind::Rejected),
        (403, FailureKind::Rejected),
        (407, FailureKind::Rejected),
        (502, FailureKind::NotSent),
    ] {
        let proxy = Proxy::refusing(status);
        let client = client_through(&proxy.url(), "http://site.invalid");
        let address = proxy.url().replace("http://", "");
        let why = format!("the proxy {address} answered {status}");
        assert_fails(post_with(&client), kind, &why);
        assert_eq!(proxy.asked().len(), 1);
    }
}

#[test]
fn a_proxy_without_a_host_or_with_an_invalid_port_is_an_error_that_hides_its_password() {
    for proxy in [
        "http://localhost:99999",
        "http://localhost:x",
        "http://localhost:",
        "localhost:0",
        "http://user:secret@localhost:x",
        "http://:3128",
        "http://",
        "socks5://[::1]:70000",
    ] {
        let variable = |name: &str| (name == "http_proxy").then(|| proxy.to_owned());
        let error = Client::new("http://localhost", LIMITS, variable).err();
        let told = error.expect(proxy).to_string();
        assert_eq!(told, "http_proxy: invalid proxy address", "{proxy}");
    }
    for proxy in [
        "localhost",
        "HTTP://localhost:3128",
        "user:secret@[::1]:3128",
    ] {
        client_through(proxy, "http://localhost");
    }
}

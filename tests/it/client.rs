//! The client and its schedule against a real server; the waits are noted, not waited for.

use std::time::Duration;

use localstore::submit::{Client, Exchange, Outcome, Timeouts, persist};

use crate::server::{Deaf, Proxy, Reply, Server, header};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(20),
};

/// A client that no proxy of the environment concerns.
fn client(url: &str) -> Client {
    Client::new(&url.parse().unwrap(), TIMEOUTS, |_| None).unwrap()
}

/// A client that goes through a proxy.
fn client_through(proxy: &str, url: &str) -> Client {
    let proxy = |name: &str| (name == "http_proxy").then(|| proxy.to_owned());
    Client::new(&url.parse().unwrap(), TIMEOUTS, proxy).unwrap()
}

/// How a post ends that the server replies to like this.
fn post(reply: Reply) -> Outcome {
    let server = Server::start([reply]);
    client(&server.url()).post("{}").outcome
}

#[track_caller]
fn unknown(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unknown { why } => why,
        other => panic!("{other:?}"),
    }
}

/// The number of each attempt behind the first and the seconds before it, and the end.
fn persisted(client: &Client) -> (Vec<(u32, u64)>, Outcome) {
    let mut waits = Vec::new();
    let outcome = persist(
        || Ok::<_, ()>(client.post("{}").outcome),
        |attempt, pause| waits.push((attempt, pause.as_secs())),
    );
    (waits, outcome.unwrap())
}

#[test]
fn the_request_is_that_of_the_c_tool() {
    let server = Server::start([Reply::taken(12)]);
    let payload = "{\"a\":\"".to_owned() + &"x".repeat(300_000) + "\"}";
    let exchange = client(&server.url()).post(&payload);
    assert_eq!(exchange.outcome, Outcome::Taken { id: 12 });
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let head = &requests[0].head;
    assert!(head.starts_with("POST /api/results HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(head, "content-type"), Some("application/json"));
    assert_eq!(header(head, "connection"), Some("close"));
    assert_eq!(
        header(head, "content-length"),
        Some(&*payload.len().to_string())
    );
    assert_eq!(header(head, "transfer-encoding"), None);
    assert!(requests[0].body == payload);
}

#[test]
fn an_answer_may_come_in_chunks() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  4\r\n{\"id\r\n5\r\n\": 7}\r\n0\r\n\r\n";
    assert_eq!(post(Reply::Answer(answer.into())), Outcome::Taken { id: 7 });
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::start([Reply::taken(1)]);
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = format!("Location: {}/api/results\r\n", other.url());
        let outcome = post(Reply::status(status, &location, ""));
        let code = &status[..3];
        let url = other.url();
        assert_eq!(
            outcome,
            Outcome::Later {
                why: format!("the site answered {code}, a redirect to {url}/api/results")
            }
        );
    }
    assert!(other.requests().is_empty());
}

#[test]
fn what_was_sent_and_not_answered_is_unknown_and_not_repeated() {
    for reply in [
        Reply::Reset,
        Reply::Answer(Vec::new()),
        Reply::Answer(b"HTTP/1.1 200".to_vec()),
        Reply::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"id\":1".to_vec()),
        Reply::Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"id".to_vec()),
        Reply::Answer(b"this is no HTTP\r\n\r\n".to_vec()),
    ] {
        let name = format!("{reply:?}");
        let server = Server::start([reply]);
        let (waits, outcome) = persisted(&client(&server.url()));
        assert!(
            matches!(outcome, Outcome::Unknown { .. }),
            "{name}: {outcome:?}"
        );
        assert!(waits.is_empty(), "{name}");
    }
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let server = Server::start([Reply::Hang]);
    let timeouts = Timeouts {
        connect: Duration::from_secs(10),
        total: Duration::from_millis(700),
    };
    let client = Client::new(&server.url().parse().unwrap(), timeouts, |_| None).unwrap();
    assert_eq!(
        unknown(client.post("{}").outcome),
        "no answer from localhost within 0.7 s"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_answer_above_1_mib_is_refused() {
    let mut body = "{\"id\":1".to_owned();
    body += &" ".repeat((1 << 20) - body.len() - 1);
    let whole = body.clone() + "}";
    assert_eq!(
        post(Reply::status("200 OK", "", &whole)),
        Outcome::Taken { id: 1 }
    );
    let larger = body + " }";
    assert_eq!(
        unknown(post(Reply::status("200 OK", "", &larger))),
        "the site answered 200, but the answer is larger than 1 MiB"
    );
    // No end at all.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(3 << 20));
    unknown(post(Reply::Answer(endless.into())));
}

#[test]
fn a_busy_site_is_asked_three_times_after_2_and_4_seconds() {
    let busy = Reply::status("503 Service Unavailable", "", "later");
    let server = Server::start([busy.clone(), busy.clone(), busy]);
    let (waits, outcome) = persisted(&client(&server.url()));
    assert_eq!(waits, [(2, 2), (3, 4)]);
    assert_eq!(
        outcome,
        Outcome::Again {
            why: "the site answered 503: later".into(),
            after: None
        }
    );
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn retry_after_is_honoured() {
    let wait = |seconds: &str| {
        let head = format!("Retry-After: {seconds}\r\n");
        Reply::status("429 Too Many Requests", &head, "")
    };
    let server = Server::start([wait("1"), wait("30"), Reply::taken(5)]);
    let (waits, outcome) = persisted(&client(&server.url()));
    assert_eq!(waits, [(2, 1), (3, 30)]);
    assert_eq!(outcome, Outcome::Taken { id: 5 });
    // Nobody waits an hour before a terminal.
    let server = Server::start([wait("3600")]);
    let (waits, _) = persisted(&client(&server.url()));
    assert!(waits.is_empty());
}

#[test]
fn where_nobody_listens_another_attempt_is_made() {
    let deaf = Deaf::new();
    let (waits, outcome) = persisted(&client(&deaf.url()));
    assert_eq!(waits, [(2, 2), (3, 4)]);
    assert_eq!(
        outcome,
        Outcome::Again {
            why: "127.0.0.1: connection refused".into(),
            after: None
        }
    );
}

#[test]
fn the_line_is_that_of_the_c_tool() {
    let line = |reply: Reply| {
        let server = Server::start([reply]);
        client(&server.url()).post("{}").line
    };
    let status = "Error submitting results to the public database. Status: 404";
    let reply = Reply::status("404 Not Found", "", "");
    assert_eq!(line(reply).as_deref(), Some(status));
    assert_eq!(line(Reply::taken(3)), None);
    let Exchange { line, .. } = client(&Deaf::new().url()).post("{}");
    assert_eq!(
        line.as_deref(),
        Some("Error submitting results: 127.0.0.1: connection refused")
    );
}

#[test]
fn a_proxy_that_cannot_be_reached_or_used_is_named() {
    let deaf = Deaf::new();
    let through = client_through(&deaf.url(), "http://site.invalid").post("{}");
    let address = deaf.url().replace("http://", "");
    assert_eq!(
        through.outcome,
        Outcome::Again {
            why: format!("site.invalid through the proxy {address}: connection refused"),
            after: None
        }
    );
    // For good, as a site would have said it; and for now.
    for (status, for_good) in [(401, true), (403, true), (407, true), (502, false)] {
        let proxy = Proxy::refusing(status);
        let client = client_through(&proxy.url(), "http://site.invalid");
        let (waits, outcome) = persisted(&client);
        let address = proxy.url().replace("http://", "");
        let why = format!("the proxy {address} answered {status}");
        let end = if for_good {
            Outcome::Later { why }
        } else {
            Outcome::Again { why, after: None }
        };
        assert_eq!(outcome, end);
        assert_eq!(proxy.asked().len(), if for_good { 1 } else { 3 });
        assert_eq!(waits.is_empty(), for_good);
    }
}

#[test]
fn a_proxy_without_a_host_or_with_a_port_that_is_none_is_an_error() {
    let site = "http://localhost".parse().unwrap();
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
        let error = Client::new(&site, TIMEOUTS, variable).unwrap_err();
        let told = error.to_string();
        assert_eq!(told, "http_proxy: this is no address of a proxy", "{proxy}");
    }
    for proxy in [
        "localhost",
        "HTTP://localhost:3128",
        "user:secret@[::1]:3128",
    ] {
        client_through(proxy, "http://localhost");
    }
}

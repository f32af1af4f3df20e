//! The protocol against a server that answers as it should, and against one that does not.

#[path = "../../../tests/it/server.rs"]
mod server;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::batch::MAX_STORED;
use super::client::{LIMITS, chance, pause};
use super::*;
use crate::fleet::Token;
use base::Result;
use net::Limits;
use server::{Deaf, Reply, Server, header};

const TOKEN: &str = "eyJhbGciOi.secret/secret+secret";

fn token() -> Option<Token> {
    let token =
        Token::from_environment(|name| (name == "LOCALSTORE_TOKEN").then(|| TOKEN.to_owned()));
    token.unwrap()
}

/// A remote, and the pauses that it made.
fn remote_at(url: &str) -> (Remote, Rc<RefCell<Vec<Duration>>>) {
    let pauses = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&pauses);
    let limits = Limits {
        idle: Duration::from_millis(500),
        ..LIMITS
    };
    let wait = move |pause| noted.borrow_mut().push(pause);
    let remote = Remote::with(url.parse().unwrap(), token(), |_| None, limits, wait);
    (remote.unwrap(), pauses)
}

fn ok(result: &serde_json::Value) -> Reply {
    let response = json!({"type": "batch", "result": result});
    let results = json!([{"type": "ok", "response": response}]);
    Reply::status("200 OK", "", &json!({"results": results}).to_string())
}

/// The answer to a batch of one step, which returned these rows.
fn rows(rows: &serde_json::Value) -> Reply {
    let none = json!({"cols": [], "rows": [], "affected_row_count": 0});
    let some = json!({"cols": [], "rows": rows, "affected_row_count": 3});
    ok(&json!({
        "step_results": [none, some, none, null],
        "step_errors": [null, null, null, null],
    }))
}

/// The answer to a batch of one step, which failed.
fn step_failed(message: &str, code: &str) -> Reply {
    let none = json!({"rows": []});
    ok(&json!({
        "step_results": [none, null, null, none],
        "step_errors": [null, {"message": message, "code": code}, null, null],
    }))
}

fn one_step() -> Batch {
    let mut batch = Batch::write();
    batch.then("SELECT 1", []);
    batch
}

/// The error after these replies, and the number of pauses. It never contains the token.
#[track_caller]
fn fails(replies: impl IntoIterator<Item = Reply>) -> (Failure, String, usize) {
    let server = Server::start(replies);
    let (remote, pauses) = remote_at(&server.url());
    let failure = remote.run(&one_step()).unwrap_err();
    let lines = failure.error.lines();
    assert!(!lines.contains("secret"), "{lines}");
    assert!(lines.len() < 1000, "{lines}");
    let address = server.url().split_off("http://".len());
    let start = format!("localstore: {address}: ");
    let shown = lines.strip_prefix(&start).expect(&lines).to_owned();
    let pauses = pauses.borrow().len();
    assert_eq!(server.requests().len(), pauses + 1);
    (failure, shown, pauses)
}

#[track_caller]
fn assert_fails(reply: Reply, kind: Kind, why: &str) {
    let (failure, shown, pauses) = fails([reply]);
    assert_eq!((failure.kind, pauses), (kind, 0), "{shown}");
    assert_eq!(shown.trim_end(), why);
}

#[test]
fn a_batch_is_one_request() {
    let mut batch = Batch::write();
    let guard = batch.then("INSERT INTO t VALUES (?)", [Value::Null]);
    let truth = batch.instead(guard, "SELECT 2", []);
    let last = batch.then("INSERT INTO t VALUES (?)", [0.1.into()]);
    assert_eq!((guard, truth, last), (0, 1, 2));
    let sent: serde_json::Value = serde_json::from_slice(&batch.encode().unwrap()).unwrap();
    let expected = json!({"requests": [
        {"type": "store_sql", "sql_id": 0, "sql": "INSERT INTO t VALUES (?)"},
        {"type": "batch", "batch": {"steps": [
            {"stmt": {"sql": "BEGIN IMMEDIATE"}},
            {"condition": {"type": "ok", "step": 0},
             "stmt": {"sql_id": 0, "args": [{"type": "null"}]}},
            {"condition": {"type": "error", "step": 1}, "stmt": {"sql": "SELECT 2"}},
            {"condition": {"type": "ok", "step": 1},
             "stmt": {"sql_id": 0, "args": [{"type": "float", "value": 0.1}]}},
            {"condition": {"type": "ok", "step": 3}, "stmt": {"sql": "COMMIT"}},
            {"condition": {"type": "and", "conds": [
                {"type": "ok", "step": 0},
                {"type": "not", "cond": {"type": "ok", "step": 4}}]},
             "stmt": {"sql": "ROLLBACK"}},
        ]}},
        {"type": "close"},
    ]});
    assert_eq!(sent, expected);
}

#[test]
fn no_more_texts_are_stored_than_a_server_takes() {
    let mut batch = Batch::read();
    for _ in 0..2 {
        for number in 0..100 {
            batch.then(format!("SELECT {number}"), []);
        }
    }
    let sent: serde_json::Value = serde_json::from_slice(&batch.encode().unwrap()).unwrap();
    assert_eq!(sent["requests"].as_array().unwrap().len(), MAX_STORED + 2);
}

#[test]
fn an_answer_has_the_rows_of_each_step() {
    let server = Server::start([rows(&json!([
        [{"type": "integer", "value": "-9223372036854775808"}, {"type": "text", "value": "a\0é"},
         {"type": "float", "value": 3.0}, {"type": "blob", "base64": "/w=="}, {"type": "null"}],
        [{"type": "float", "value": null}],
    ]))]);
    let (remote, _) = remote_at(&server.url());
    let answer = remote.run(&one_step()).unwrap();
    assert_eq!((answer.steps.len(), &answer.failed), (1, &None));
    let rows: Vec<Row<'_>> = answer.rows(0).collect();
    assert_eq!(rows[0].integer(0, "id").unwrap(), i64::MIN);
    assert_eq!(rows[0].text(1, "name").unwrap(), "a\0é");
    assert_eq!(rows[0].real(2, "speed").unwrap(), 3.0);
    assert_eq!(rows[0].blob(3, "body").unwrap(), [255]);
    assert_eq!(rows[0].get(4), &Value::Null);
    assert_eq!(rows[1].get(0), &Value::Null);
    let why = |result: Result<i64>| result.unwrap_err().lines();
    assert_eq!(
        why(rows[1].integer(0, "run_id")),
        "localstore: row 2: run_id is not an integer\n"
    );
    assert_eq!(
        why(rows[1].integer(9, "run_id")),
        "localstore: row 2: run_id is not an integer\n"
    );
    assert_eq!(answer.rows(7).count(), 0);

    let requests = server.requests();
    let head = &requests[0].head;
    assert!(head.starts_with("POST /v2/pipeline HTTP/1.1\r\n"), "{head}");
    assert_eq!(
        header(head, "authorization"),
        Some(&*format!("Bearer {TOKEN}"))
    );
    assert_eq!(
        header(head, "content-length"),
        Some(&*requests[0].body.len().to_string())
    );
    assert_eq!(remote.traffic().0, requests[0].body.len() as u64);
    assert!(remote.traffic().1 > 100);
}

#[test]
fn one_statement_that_reads_needs_no_transaction() {
    let mut batch = Batch::read();
    batch.then("SELECT 1", []);
    let result = |result, error| ok(&json!({"step_results": [result], "step_errors": [error]}));
    let one = json!({"rows": [[{"type": "integer", "value": "1"}]]});
    let no = json!({"message": "no such table"});
    let server = Server::start([result(one, json!(null)), result(json!(null), no)]);
    let (remote, _) = remote_at(&server.url());
    let answer = remote.run(&batch).unwrap();
    assert_eq!((answer.rows(0).count(), &answer.failed), (1, &None));
    let failed = remote.run(&batch).unwrap().failed.unwrap();
    assert_eq!(
        (failed.step, &*failed.error.message),
        (Some(0), "no such table")
    );
    let sent = &server.requests()[0].body;
    let steps = r#"{"steps":[{"stmt":{"sql":"SELECT 1"}}]}"#;
    assert!(sent.contains(steps), "{sent}");
}

#[test]
fn a_step_that_failed_is_told_with_the_answer() {
    let server = Server::start([step_failed("NOT NULL \u{1b}[2J", "SQLITE_CONSTRAINT")]);
    let (remote, pauses) = remote_at(&server.url());
    let answer = remote.run(&one_step()).unwrap();
    let failed = answer.failed.as_ref().unwrap();
    assert_eq!(
        (failed.step, &*failed.error.code),
        (Some(0), "SQLITE_CONSTRAINT")
    );
    assert_eq!(failed.error.message, "NOT NULL \\x1b[2J");
    assert!(answer.failed.is_some() && answer.steps[0].is_none());
    assert!(pauses.borrow().is_empty());
}

#[test]
fn a_busy_server_is_asked_six_times_with_growing_pauses() {
    let busy = [
        Reply::busy("429 Too Many Requests"),
        Reply::busy("502 Bad Gateway"),
        Reply::busy("503 Service Unavailable"),
        step_failed("database is locked", "SQLITE_BUSY"),
        Reply::status("500 No", "", r#"{"error":"database is locked"}"#),
    ];
    for reply in busy {
        let (_, _, pauses) = fails(vec![reply.clone(); 6]);
        assert_eq!(pauses, 5);
        let server = Server::start([reply.clone(), reply, rows(&json!([]))]);
        let (remote, pauses) = remote_at(&server.url());
        assert!(remote.run(&one_step()).is_ok());
        assert_eq!(pauses.borrow().len(), 2);
    }
}

#[test]
fn what_was_lost_is_asked_for_again() {
    let Reply::Answer(whole) = rows(&json!([])) else {
        unreachable!()
    };
    let cut = Reply::Answer(whole[..whole.len() - 5].to_vec());
    // Without its length, only the JSON shows that something lacks.
    let body = whole.windows(4).position(|at| at == b"\r\n\r\n").unwrap() + 4;
    let mut silent = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    silent.extend(&whole[body..whole.len() - 5]);
    let server = Server::start([
        cut,
        Reply::Answer(silent),
        Reply::Answer(Vec::new()),
        Reply::Hang,
        Reply::Answer(b"HTTP/1.1 200".to_vec()),
        rows(&json!([])),
    ]);
    let (remote, pauses) = remote_at(&server.url());
    assert!(remote.run(&one_step()).is_ok());
    assert_eq!((pauses.borrow().len(), server.requests().len()), (5, 6));
}

/// Such as a replica that waits for its primary.
#[test]
fn a_server_that_is_silent_is_asked_twice() {
    let server = Server::start([Reply::Hang, Reply::Hang]);
    let (remote, pauses) = remote_at(&server.url());
    let failure = remote.run(&one_step()).unwrap_err();
    let lines = failure.error.lines();
    assert!(lines.contains("no answer from "), "{lines}");
    assert_eq!((pauses.borrow().len(), server.requests().len()), (1, 2));
}

#[test]
fn a_server_is_waited_for_only_if_it_was_there() {
    let (remote, pauses) = remote_at(&Deaf::new().url());
    let failure = remote.run(&one_step()).unwrap_err();
    assert!(failure.error.lines().ends_with(": no connection\n"));
    assert!(pauses.borrow().is_empty());
    remote.has_answered.set(true);
    assert!(remote.run(&one_step()).is_err());
    assert_eq!(pauses.borrow().len(), 5);
}

#[test]
fn pauses_grow_and_differ_and_the_server_may_ask_for_them() {
    let seconds = |asked: Option<u64>, made, chance| {
        pause(asked.map(Duration::from_secs), made, chance).as_secs_f64()
    };
    let least: Vec<f64> = (1..=5).map(|made| seconds(None, made, 0.0)).collect();
    let most: Vec<f64> = (1..=5).map(|made| seconds(None, made, 1.0)).collect();
    assert_eq!(least, [0.5, 1.0, 2.0, 4.0, 8.0]);
    assert_eq!(most, [1.5, 3.0, 6.0, 12.0, 24.0]);
    assert_eq!(seconds(Some(8), 1, 0.0), 8.0);
    assert_eq!(seconds(Some(8), 1, 1.0), 10.0);
    assert_eq!(seconds(Some(59), 1, 1.0), 60.0);
    assert!((0.0..=1.0).contains(&chance()));
    let later = Reply::status("429 Later", "Retry-After: 3600\r\n", "");
    let (_, shown, pauses) = fails([later]);
    assert_eq!(pauses, 0);
    assert_eq!(shown, "it answered 429, and asks to wait 3600 s\n");
}

#[test]
fn each_refusal_has_its_words() {
    let json = "Content-Type: application/json\r\n";
    let error = |text: &str| json!({"error": text}).to_string();
    assert_fails(
        Reply::status("401 No", json, &error(&format!("bad {TOKEN}"))),
        Kind::Other,
        "the token was not accepted (401): bad ***\n\
         hint: set LOCALSTORE_TOKEN to a token of this database that has not expired",
    );
    assert_fails(
        Reply::status("403 No", json, &error("Authorization forbidden")),
        Kind::Forbidden,
        "the token may only read: Authorization forbidden",
    );
    // A replica that asked its primary.
    let words = "RPC: Authorization forbidden: no";
    assert_fails(
        Reply::status("400 No", json, &error(words)),
        Kind::Forbidden,
        &format!("the token may only read: {words}"),
    );
    assert_fails(
        Reply::status("404 No", "", ""),
        Kind::Other,
        "no libSQL database answers there (404)",
    );
    let location = format!("Location: https://a.org/{TOKEN}\r\n");
    assert_fails(
        Reply::status("307 There", &location, ""),
        Kind::Other,
        "it answered 307, a redirect to https://a.org/***, which is not followed",
    );
    assert_fails(
        Reply::status("413 No", "", "too large"),
        Kind::TooLarge,
        "it answered 413: too large",
    );
    assert_fails(
        Reply::status("500 No", "Content-Type: text/html\r\n", "<p>secret"),
        Kind::Other,
        "it answered 500: a web page",
    );
    let results =
        json!([{"type": "error", "error": {"message": "large", "code": "RESPONSE_TOO_LARGE"}}]);
    assert_fails(
        Reply::status("200 OK", json, &json!({"results": results}).to_string()),
        Kind::TooLarge,
        "large",
    );
}

#[test]
fn answers_that_do_not_fit_are_errors() {
    let not_libsql = "its answer is not that of a libSQL server";
    let deep = format!("{{\"results\":{}", "[".repeat(100_000));
    let none = json!({"rows": []});
    let bodies = [
        "<html>".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"results":[]}"#.to_owned(),
        r#"{"results":[{"type":"ok","response":{"type":"close"}}]}"#.to_owned(),
        r#"{"results":[{"type":"other"}]}"#.to_owned(),
        r#"{"results":7}"#.to_owned(),
        deep,
    ];
    for body in &bodies {
        assert_fails(Reply::status("200 OK", "", body), Kind::Other, not_libsql);
    }
    for (results, errors) in [
        (json!([]), json!([])),
        (json!([none, none, none]), json!([null, null, null])),
        // Committed without the step; the step without the commit; nothing.
        (
            json!([none, null, none, null]),
            json!([null, null, null, null]),
        ),
        (
            json!([none, none, null, none]),
            json!([null, null, null, null]),
        ),
        (
            json!([null, null, null, null]),
            json!([null, null, null, null]),
        ),
        // Failed and committed, failed and done.
        (
            json!([none, null, none, null]),
            json!([null, {"message": ""}, null, null]),
        ),
        (
            json!([none, null, none, null]),
            json!([{"message": ""}, null, null, null]),
        ),
        (
            json!([none, {"rows": 1}, none, null]),
            json!([null, null, null, null]),
        ),
        (
            json!([none, {"rows": [[7]]}, none, null]),
            json!([null, null, null, null]),
        ),
    ] {
        let result = json!({"step_results": results, "step_errors": errors});
        assert_fails(ok(&result), Kind::Other, not_libsql);
    }
    for value in [
        json!({"type": "integer", "value": "9223372036854775808"}),
        json!({"type": "integer", "value": 0.5}),
        json!({"type": "integer"}),
        json!({"type": "float", "value": "1"}),
        json!({"type": "text", "value": 1}),
        json!({"type": "text", "value": ["a"]}),
        json!({"type": "blob", "base64": "*"}),
        json!({"type": "blob"}),
        json!({"type": "date", "value": "x"}),
        json!({}),
    ] {
        assert_fails(rows(&json!([[value]])), Kind::Other, not_libsql);
    }
}

#[test]
fn an_answer_of_more_than_32_mib_is_not_read_to_its_end() {
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(33 << 20));
    assert_fails(
        Reply::Answer(endless.into()),
        Kind::TooLarge,
        "the answer is larger than 32 MiB",
    );
}

#[test]
fn long_words_of_a_server_are_cut_after_the_token_is_hidden() {
    let text = format!("{}{TOKEN}{}", "x".repeat(290), "\u{1b}é".repeat(100_000));
    let (_, shown, _) = fails([Reply::status("500 No", "", &text)]);
    assert!(
        shown.trim_end().ends_with('…') && shown.contains("xx***"),
        "{shown}"
    );
}

#[test]
fn a_token_is_not_sent_where_others_could_read_it() {
    let new = |url: &str, token: Option<Token>| {
        let remote = Remote::new(url.parse().unwrap(), token, |_| None);
        remote.map(|_| ()).map_err(|error| error.lines())
    };
    assert_eq!(
        new("http://a.org:8080", token()).unwrap_err(),
        "localstore: a.org:8080: a token is not sent over http, where others could read it\n\
         hint: use https, or remove the token\n"
    );
    for (url, token) in [
        ("http://a.org", None),
        ("https://a.org", token()),
        ("http://127.0.0.1:1", token()),
    ] {
        assert_eq!(new(url, token), Ok(()), "{url}");
    }
    // Nor to a proxy.
    let proxy = Server::start([]);
    let server = Server::start([rows(&json!([]))]);
    let variable = |name: &str| (name == "http_proxy").then(|| proxy.url());
    let remote = Remote::new(server.url().parse().unwrap(), token(), variable).unwrap();
    assert!(remote.run(&one_step()).is_ok());
    assert!(proxy.requests().is_empty());
}

#[test]
fn a_number_that_is_not_finite_is_not_sent() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let server = Server::start([]);
        let (remote, _) = remote_at(&server.url());
        let mut batch = Batch::write();
        batch.then("SELECT ?", [value.into()]);
        let failure = remote.run(&batch).unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(server.requests().is_empty());
    }
}

proptest! {
    #[test]
    fn values_come_back_as_they_were(
        integer: i64,
        bits: u64,
        text: String,
        bytes: Vec<u8>,
    ) {
        let real = f64::from_bits(bits);
        let values = [
            Value::Null,
            integer.into(),
            text.into(),
            bytes.into(),
            if real.is_finite() { real } else { -0.0 }.into(),
        ];
        let sent = serde_json::to_string(&values).unwrap();
        let back: Vec<Value> = serde_json::from_str(&sent).unwrap();
        prop_assert_eq!(&back[..], &values[..]);
        if let (Value::Real(back), Value::Real(sent)) = (&back[4], &values[4]) {
            prop_assert_eq!(back.to_bits(), sent.to_bits());
        }
    }
}

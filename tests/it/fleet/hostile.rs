//! A remote that lies: what it answers to `pull` and `push` is data. Nothing hangs, panics or spoils the
//! store, and what reaches the terminal can be printed.

use base64::Engine;
use serde_json::{Value, json};

use crate::bench::{days, store};
use crate::sandbox::{Ran, Sandbox};
use crate::server::{Reply, Server};

fn integer(value: i64) -> Value {
    json!({"type": "integer", "value": value.to_string()})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "value": text})
}

/// Bytes in base64.
fn blob(base64: &str) -> Value {
    json!({"type": "blob", "base64": base64})
}

fn null() -> Value {
    json!({"type": "null"})
}

/// The answer whose steps gave these rows; without `BEGIN` and `COMMIT` if it is one alone.
fn answer(steps: &[Vec<Vec<Value>>]) -> Reply {
    let rows = |rows: &Vec<Vec<Value>>| json!({"cols": [], "rows": rows, "affected_row_count": 0});
    let mut results: Vec<Value> = steps.iter().map(rows).collect();
    if steps.len() > 1 {
        results.insert(0, rows(&Vec::new()));
        results.extend([rows(&Vec::new()), Value::Null]);
    }
    let errors = vec![Value::Null; results.len()];
    reply(&results, &errors)
}

/// The answer in which the first of so many steps failed, and these two ran instead of it.
fn changed(steps: usize, state: Vec<Value>) -> Reply {
    let rows = |rows: Vec<Vec<Value>>| json!({"cols": [], "rows": rows, "affected_row_count": 0});
    let mut results = vec![Value::Null; steps + 3];
    let mut errors = vec![Value::Null; steps + 3];
    results[0] = rows(Vec::new());
    errors[1] = json!({"message": "NOT NULL constraint failed: x", "code": "SQLITE_CONSTRAINT"});
    results[2] = rows(vec![state]);
    results[3] = rows(Vec::new());
    results[steps + 2] = rows(Vec::new());
    reply(&results, &errors)
}

fn reply(results: &[Value], errors: &[Value]) -> Reply {
    let result = json!({"step_results": results, "step_errors": errors});
    let body = json!({"baton": null, "base_url": null, "results": [
        {"type": "ok", "response": {"type": "batch", "result": result}},
        {"type": "ok", "response": {"type": "close"}},
    ]});
    Reply::status(
        "200 OK",
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

/// The values of the state of a fleet whose log ends at this change, and which has taken over the log of
/// the store up to this one.
fn state_values(end: i64, position: Option<i64>) -> Vec<Value> {
    let nonce = "0000000000000000";
    vec![
        json!("00000000000000000000000000000000"),
        json!(1),
        json!(1),
        json!(1),
        json!(position),
        json!(position.map_or("", |_| nonce)),
        json!(end),
        json!(nonce),
        json!(""),
        json!(0),
    ]
}

/// The row with these values.
fn row(values: &[Value]) -> Vec<Value> {
    vec![text(&json!(values).to_string())]
}

/// The row of such a state.
fn state(end: i64, position: Option<i64>) -> Vec<Value> {
    row(&state_values(end, position))
}

/// The answer to the first request for the log, which asks how many runs there are as well.
fn first_page(lines: Vec<Vec<Value>>) -> Reply {
    answer(&[vec![vec![integer(1)]], lines, vec![vec![integer(1)]]])
}

/// A line of the log of a run with this body.
fn line(change: i64, kind: &str, tool: &str, format: i64, body: Value) -> Vec<Value> {
    vec![
        integer(change),
        blob("AAAAAAAAAAA"),
        blob(kind),
        integer(change),
        null(),
        integer(0),
        blob(tool),
        blob("anNvbg"),
        integer(format),
        integer(100),
        body,
        integer(change),
    ]
}

/// `run`, `localscore` and `llama-bench` in base64.
const RUN: &str = "cnVu";
const LOCALSCORE: &str = "bG9jYWxzY29yZQ";
const LLAMA_BENCH: &str = "bGxhbWEtYmVuY2g";

/// Nothing of an escape reached the terminal, nothing is wrong with the store, and it ended by itself.
#[track_caller]
fn assert_sound(sandbox: &Sandbox, ran: &Ran, what: &str) {
    assert!(matches!(ran.code, Some(0 | 1)), "{what}: {}", ran.stderr);
    let is_control = |c: char| c.is_control() && c != '\n';
    assert!(!ran.stderr.contains(is_control), "{what}: {:?}", ran.stderr);
    assert!(!ran.text().contains(is_control), "{what}: {:?}", ran.text());
    assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
    if sandbox.store().exists() {
        sandbox.run(["check"]).ok();
    }
}

/// Pulls from a server that gives these answers, one after the other.
fn pull(replies: Vec<Reply>, args: &[&str], what: &str) -> (Sandbox, Ran, usize) {
    let count = replies.len();
    let server = Server::start(replies);
    let mut sandbox = store(&days(1..=1));
    sandbox.set("LOCALSTORE_REMOTE", server.url());
    let ran = sandbox.run(["pull"].iter().chain(args).copied());
    assert_sound(&sandbox, &ran, what);
    let asked = server.requests().len();
    assert!(asked <= count, "{what}");
    (sandbox, ran, asked)
}

/// Each column of each row of another type, left out, or out of range.
#[test]
fn wrong_types_in_any_column_are_an_error_or_a_row_that_is_left_out() {
    let wrong = [
        null(),
        integer(-1),
        integer(i64::MAX),
        integer(i64::MIN),
        json!({"type": "float", "value": 1e308}),
        text("\u{1b}[31m\u{0}\u{7f}\u{202e}"),
        blob("G1szMW3/AAA"),
        blob(""),
    ];
    let there = vec![vec![integer(1)]];
    let good = line(1, RUN, LOCALSCORE, 1, blob("eJwDAAAAAAE"));
    let page = || first_page(vec![good.clone()]);
    for value in &wrong {
        let replies = vec![answer(&[vec![vec![value.clone()]]]), page()];
        pull(replies, &[], &format!("state: {value}"));
    }
    let odd = [
        json!(null),
        json!(-1),
        json!(i64::MAX),
        json!(1e308),
        json!("z"),
        json!([]),
    ];
    for place in 0..10 {
        for value in &odd {
            let mut bad = state_values(1, None);
            bad[place] = value.clone();
            let replies = vec![answer(&[vec![row(&bad)]]), page()];
            pull(replies, &[], &format!("state: value {place}: {value}"));
        }
    }
    for column in 0..good.len() {
        for value in &wrong {
            let mut bad = good.clone();
            bad[column] = value.clone();
            let replies = vec![
                answer(&[vec![state(2, None)]]),
                first_page(vec![bad, line(2, RUN, LOCALSCORE, 1, blob("AA"))]),
                answer(&[there.clone(), vec![]]),
            ];
            let what = format!("line: column {column}: {value}");
            let (_, ran, _) = pull(replies, &[], &what);
            assert_eq!(ran.code, Some(1), "{what}");
        }
    }
    // Runs that a filter asks for.
    let listed = vec![
        integer(1),
        blob("AAAAAAAAAAAAAAAAAAAAAA"),
        blob("AAAAAAAAAAA"),
        integer(10),
        integer(0),
    ];
    for column in 0..listed.len() {
        for value in &wrong {
            let mut bad = listed.clone();
            bad[column] = value.clone();
            let replies = vec![
                answer(&[vec![state(1, None)]]),
                answer(&[there.clone(), vec![bad]]),
                answer(&[there.clone(), vec![good.clone()]]),
                answer(&[there.clone(), vec![]]),
                answer(&[there.clone(), vec![]]),
            ];
            pull(
                replies,
                &["--since", "7d"],
                &format!("list: column {column}: {value}"),
            );
        }
    }
}

/// A remote that says that there is more, for ever.
#[test]
fn a_log_that_has_no_end_is_an_error() {
    let there = vec![vec![integer(1)]];
    let page = |changes: &[i64]| {
        let lines = changes.iter().map(|&change| {
            let mut line = line(change, RUN, LOCALSCORE, 1, null());
            // More is to come.
            line[11] = integer(1000);
            line
        });
        lines.collect::<Vec<_>>()
    };
    for changes in [&[5, 5][..], &[5, 4], &[0], &[-1], &[i64::MIN], &[2000]] {
        let mut replies = vec![answer(&[vec![state(1000, None)]])];
        replies.push(first_page(page(changes)));
        let (_, ran, asked) = pull(replies, &[], &format!("{changes:?}"));
        assert!(ran.failed().ends_with("its rows are not in their order"));
        assert_eq!(asked, 2, "{changes:?}");
    }
    // The same page again and again.
    let mut replies = vec![answer(&[vec![state(1000, None)]])];
    replies.push(first_page(page(&[5])));
    replies.push(answer(&[there.clone(), page(&[5])]));
    let (_, ran, asked) = pull(replies, &[], "again");
    assert!(ran.stderr.contains("not in their order"), "{}", ran.stderr);
    assert_eq!(asked, 3);
    // An end that cannot be.
    for end in [0, -1, i64::MIN, i64::MAX] {
        let replies = vec![answer(&[vec![state(end, None)]]), first_page(vec![])];
        pull(replies, &[], &format!("end {end}")).1.ok();
    }
}

/// Another tool than that of the body, a body that is none, one that blows up, a kind and names with
/// escapes.
#[test]
fn a_wrong_run_is_named_and_left_out() {
    let bomb = bomb();
    for (tool, body, why) in [
        (LLAMA_BENCH, blob("eJyrrgUAAXUA+Q"), "run 1 there: "),
        (LOCALSCORE, blob("AAAA"), "it cannot be inflated"),
        (LOCALSCORE, blob(&bomb), "it is larger than 8 MiB"),
        ("G1szMW0", blob("AAAA"), "run 1 there: tool is '"),
    ] {
        let replies = vec![
            answer(&[vec![state(1, None)]]),
            first_page(vec![line(1, RUN, tool, 1, body)]),
        ];
        let (sandbox, ran, _) = pull(replies, &[], why);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
        assert!(ran.text().ends_with("1 refused\n"), "{}", ran.text());
        assert_eq!(
            sandbox.run(["list", "-o", "jsonl"]).text().lines().count(),
            1
        );
    }
}

/// 9 MiB of spaces in zlib's format, in base64.
fn bomb() -> String {
    let body = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; 9 << 20], 9);
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(body)
}

/// Two rows where one is, an id of another length, a version that cannot be.
#[test]
fn a_fleet_that_cannot_be_is_an_error() {
    let mut long = state_values(1, None);
    long[0] = json!("000000000000000000000000000000000000");
    let mut newer = state_values(1, None);
    newer[2] = json!(i64::MAX);
    newer[3] = json!(i64::MAX);
    for (rows, why) in [
        (vec![state(1, None), state(1, None)], "more than one row"),
        (vec![row(&long)], "not as a fleet has it"),
        (vec![row(&newer)], "version 9223372036854775807"),
        (vec![], "not prepared"),
    ] {
        for command in ["push", "pull"] {
            let server = Server::start(vec![answer(std::slice::from_ref(&rows))]);
            let mut sandbox = store(&days(1..=1));
            sandbox.set("LOCALSTORE_REMOTE", server.url());
            let ran = sandbox.run([command]);
            assert!(ran.failed().contains(why), "{command}: {}", ran.stderr);
            assert_sound(&sandbox, &ran, why);
        }
    }
}

/// A remote that says each time that the store is elsewhere in its log: under another name, and back.
#[test]
fn a_push_to_a_remote_that_never_rests_ends() {
    for position in [Some(7), Some(-5), Some(i64::MIN)] {
        let mut sandbox = store(&days(1..=1));
        let mut replies = vec![answer(&[vec![state(0, None)]])];
        // The number of steps of the batch is told by what is sent.
        let steps = batch_steps(&sandbox);
        for round in 0..60_i64 {
            replies.push(answer(&[vec![]]));
            let position = if round % 2 == 0 { position } else { Some(0) };
            replies.push(changed(steps, state(0, position)));
        }
        let server = Server::start(replies);
        sandbox.set("LOCALSTORE_REMOTE", server.url());
        let ran = sandbox.run(["push"]);
        assert_eq!(ran.code, Some(1), "{position:?}: {}", ran.stderr);
        let why = "others change the same runs all the time";
        assert!(ran.stderr.contains(why), "{position:?}: {}", ran.stderr);
        assert!(server.requests().len() < 110, "{position:?}");
        assert_sound(&sandbox, &ran, "push");
    }
}

/// How many steps the batch has that pushes the runs of this store.
fn batch_steps(sandbox: &Sandbox) -> usize {
    let replies = vec![answer(&[vec![state(0, None)]]), answer(&[vec![]])];
    let server = Server::start(
        replies
            .into_iter()
            .chain([Reply::status("404 Not Found", "", "")]),
    );
    let ran = sandbox.run(["push", &server.url()]);
    assert_eq!(ran.code, Some(1));
    let requests = server.requests();
    let body: Value = serde_json::from_str(&requests.last().unwrap().body).unwrap();
    let requests = body["requests"].as_array().unwrap();
    let batch = requests.iter().find(|request| request["type"] == "batch");
    batch.unwrap()["batch"]["steps"].as_array().unwrap().len() - 3
}

//! What the store keeps of requests, and that it never holds one.

use serde_json::json;

use super::backend::{Backend, Reply};
use super::client::JSON;
use super::{CHAT, Place, eventually};

const ASKED: &str = r#"{"model":"m","messages":[]}"#;
const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[]}"#;

#[cfg(unix)]
#[test]
fn each_request_has_a_row() {
    let usage = r#"data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":12}}"#;
    let timings = r#"data: {"choices":[],"timings":{"prompt_n":21,"predicted_n":22}}"#;
    let backend = Backend::playing([
        Reply::says("hi"),
        Reply::stream()
            .word("a")
            .then(format!("{usage}\n\n"))
            .done(),
        Reply::stream()
            .word("a")
            .then(format!("{timings}\n\n"))
            .done(),
        Reply::stream().word("a").word("b").done(),
        Reply::stream().word("a").cut(),
        Reply::json(400, "{}"),
        Reply::json(500, "{}"),
        Reply::stream().word("a").hold(),
    ]);
    let place = Place::with(&[&backend]);
    place.run_model(&["alias", "m", "other"]);
    let served = place.serve(&[]);
    let mut sent = vec![(served.post(CHAT, ASKED).body.len(), ASKED)];
    for _ in 0..4 {
        sent.push((served.post(CHAT, STREAMED).body.len(), STREAMED));
    }
    served.chat("other");
    served.post(CHAT, ASKED);
    let mut client = served.connect();
    let head = format!("{JSON}x-request-id: mine\r\n");
    client.request(&format!("POST {CHAT}"), &head, STREAMED);
    client.head();
    client.event();
    drop(client);
    backend.wait_for_left(1);
    served.chat("nobody");
    served.post("/v1/embeddings", "{");
    assert_eq!(served.stop().code, Some(0));
    let rows = place.rows();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            json!([
                row["status"],
                row["error"],
                row["model"],
                row["backend"],
                row["tries"],
                row["prompt_tokens"],
                row["completion_tokens"],
                row["estimated"]
            ])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!([200, null, "m", "1", 1, 3, 2, 0]),
            json!([200, null, "m", "1", 1, 11, 12, 0]),
            json!([200, null, "m", "1", 1, 21, 22, 0]),
            json!([200, null, "m", "1", 1, null, 2, 1]),
            json!([502, "upstream_cut", "m", "1", 1, null, 1, 1]),
            json!([400, null, "m", "1", 1, null, null, 0]),
            json!([502, "upstream_failed", "m", "1", 1, null, null, 0]),
            json!([499, null, "m", "1", 1, null, 1, 1]),
            json!([404, "model_not_found", "", null, 0, null, null, 0]),
            json!([400, "invalid_json", "", null, 0, null, null, 0]),
        ]
    );
    for (row, (bytes, body)) in rows.iter().zip(sent) {
        assert_eq!(row["bytes_out"], bytes);
        assert_eq!(row["bytes_in"], body.len());
        assert_eq!(row["streamed"], i32::from(body == STREAMED));
    }
    assert_eq!(rows[7]["request_id"], "mine");
    assert_eq!(
        (&rows[0]["route"], &rows[9]["route"]),
        (&json!(CHAT), &json!("/v1/embeddings"))
    );
}

#[cfg(unix)]
#[test]
fn a_row_tells_who_asked_and_how_often_was_tried() {
    let (bad, good) = (
        Backend::always(Reply::nothing()),
        Backend::always(Reply::says("hi")),
    );
    let place = Place::with(&[&bad, &good]);
    let key = place.key("alice", &["--models", "m"]);
    let served = place.serve(&["--route", "first"]).shown(&key);
    assert_eq!(served.chat("m").status(), 200);
    assert_eq!(served.chat("n").status(), 403);
    assert_eq!(served.stop().code, Some(0));
    let rows = place.rows();
    assert_eq!(
        (&rows[0]["key_id"], &rows[0]["tries"], &rows[0]["backend"]),
        (&json!(1), &json!(2), &json!("2"))
    );
    assert_eq!(
        (&rows[1]["key_id"], &rows[1]["error"]),
        (&json!(1), &json!("model_not_allowed"))
    );
}

/// Another program writes for long: requests are answered meanwhile, with keys too.
#[cfg(unix)]
#[test]
fn a_locked_store_holds_no_request() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let key = place.key("alice", &[]);
    let served = place.serve(&[]).shown(&key);
    assert_eq!(served.chat("m").status(), 200);
    let locked = place.0.db();
    locked.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for _ in 0..50 {
        assert_eq!(served.chat("m").status(), 200);
    }
    locked.execute_batch("COMMIT").unwrap();
    drop(locked);
    assert_eq!(served.chat("m").status(), 200);
    assert_eq!(served.stop().code, Some(0));
    // The lock was short: the rows waited for it.
    assert_eq!(place.rows().len(), 52);
}

#[cfg(unix)]
#[test]
fn a_store_that_is_removed_ends_no_request() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    assert_eq!(served.chat("m").status(), 200);
    let folder = place.0.store();
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    for _ in 0..20 {
        assert_eq!(served.chat("m").status(), 200);
    }
    let ran = served.stop();
    assert_eq!(ran.code, Some(0));
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn rows_survive_a_kill_soon_after() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    for _ in 0..20 {
        assert_eq!(served.chat("m").status(), 200);
    }
    eventually("the rows", || place.rows().len() == 20);
    served.kill();
    assert_eq!(place.rows().len(), 20);
    place.0.run(["check"]).ok();
}

#[cfg(unix)]
#[test]
fn rows_of_a_store_that_stays_locked_are_lost_with_one_message() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let db = place.0.db();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..5 {
        assert_eq!(served.chat("m").status(), 200);
    }
    let ran = served.stop();
    assert_eq!(ran.code, Some(0));
    let lost = "the last 5 rows are lost";
    assert_eq!(ran.stderr.matches(lost).count(), 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("keeps the store locked"),
        "{}",
        ran.stderr
    );
    drop(db);
    assert!(place.rows().is_empty());
}

#[cfg(unix)]
#[test]
fn old_rows_become_the_sums_of_their_days() {
    let backend = Backend::playing([
        Reply::says("hi"),
        Reply::stream().word("a").word("b").done(),
        Reply::json(400, "{}"),
    ]);
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    served.chat("m");
    served.post(CHAT, STREAMED);
    served.chat("m");
    served.stop();
    let usage = |by| {
        let csv = place.0.run(["usage", "--by", by, "-o", "csv"]).text();
        // The times of days are about.
        let without_times = |line: &str| line.rsplitn(3, ',').last().unwrap().to_owned();
        csv.lines().map(without_times).collect::<Vec<_>>()
    };
    let before = ["model", "key", "backend", "day"].map(usage);
    assert_eq!(place.rows().len(), 3);
    let served = place.serve(&["--keep", "0s"]);
    eventually("the rows are gone", || place.rows().is_empty());
    served.stop();
    assert_eq!(["model", "key", "backend", "day"].map(usage), before);
    assert!(before[0][1].starts_with("m,3,1,0,3,4,"), "{before:?}");
}

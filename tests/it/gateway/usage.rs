//! `usage`: what was used, and by whom.

use serde_json::{Value, json};

use super::Place;
use crate::sandbox::Sandbox;

/// A place whose requests are these: of a model, a key, a backend, with a status, of a day.
fn place() -> Place {
    let place = Place::new();
    place.model("llama", "http://127.0.0.1:1/v1", "llama");
    super::key::create(&place.0, &["ann"]);
    super::key::create(&place.0, &[]);
    let db = place.0.db();
    for (at, model, key, backend, status, cached, streamed, ttft, total) in [
        (
            "2026-03-01 12:00",
            "llama",
            Some(1),
            json!(1),
            200,
            0,
            1,
            Some(100.0),
            1100.0,
        ),
        (
            "2026-03-01 13:00",
            "llama",
            Some(1),
            json!(1),
            200,
            0,
            1,
            Some(300.0),
            1300.0,
        ),
        (
            "2026-03-02 12:00",
            "llama",
            Some(2),
            json!(1),
            200,
            1,
            0,
            Some(0.1),
            0.2,
        ),
        (
            "2026-03-02 12:00",
            "llama",
            Some(9),
            json!(1),
            499,
            0,
            1,
            None,
            50.0,
        ),
        (
            "2026-03-03 12:00",
            "gpt-x",
            Some(1),
            json!("openai"),
            502,
            0,
            0,
            None,
            50.0,
        ),
        (
            "2026-03-03 23:59",
            "",
            None,
            Value::Null,
            400,
            0,
            0,
            None,
            0.1,
        ),
    ] {
        let sql = "INSERT INTO localstore_gateway_requests (at_ms, request_id, key_id, model, backend_id, route,
               status, tries, cached, streamed, prompt_tokens, completion_tokens, estimated, ttft_ms, total_ms,
               bytes_in, bytes_out)
             VALUES (unixepoch(?1) * 1000, 'r', ?2, ?3, ?4, '/v1/chat/completions', ?5, 1, ?6, ?7, 10, 50, 0, ?8,
               ?9, 1, 1)";
        let backend = match &backend {
            Value::Number(id) => rusqlite::types::Value::from(id.as_i64()),
            Value::String(label) => label.clone().into(),
            _ => rusqlite::types::Value::Null,
        };
        let values = rusqlite::params![
            at, key, model, backend, status, cached, streamed, ttft, total
        ];
        db.execute(sql, values).unwrap();
    }
    place
}

fn usage(place: &Place, options: &[&str]) -> Vec<Value> {
    let words = [&["usage", "-o", "json"], options].concat();
    serde_json::from_slice(&place.0.run(words).ok()).unwrap()
}

#[test]
fn what_was_used_is_counted_by_each_name() {
    let place = place();
    assert_eq!(
        usage(&place, &[])[0],
        json!({
            "model": "llama", "requests": 4, "errors": 0, "cache_hits": 1, "prompt_tokens": 40,
            "completion_tokens": 200, "gen_tps": 50.0, "ttft_p50_ms": 100.0, "ttft_p95_ms": 300.0,
        })
    );
    let prefix = place.0.db();
    let prefix: String = prefix
        .query_row(
            "SELECT prefix FROM localstore_gateway_keys WHERE id = 2",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let (url, none) = (json!("http://127.0.0.1:1/v1"), Value::Null);
    for (by, rows) in [
        ("model", vec![("llama", 4, 0), ("", 1, 1), ("gpt-x", 1, 1)]),
        (
            "key",
            vec![("ann", 3, 1), ("", 1, 1), (&prefix, 1, 0), ("9", 1, 0)],
        ),
        ("backend", vec![("1", 4, 0), ("", 1, 1), ("openai", 1, 1)]),
        (
            "day",
            vec![
                ("2026-03-01", 2, 0),
                ("2026-03-02", 2, 0),
                ("2026-03-03", 2, 2),
            ],
        ),
    ] {
        let told = usage(&place, &["--by", by]);
        let told: Vec<_> = told
            .iter()
            .map(|row| {
                let is_of_backend = by == "backend";
                let expected = if row[by] == "1" { &url } else { &none };
                assert_eq!(row.get("url"), is_of_backend.then_some(expected), "{row}");
                let number = |name: &str| row[name].as_u64().unwrap();
                (
                    row[by].as_str().unwrap(),
                    number("requests"),
                    number("errors"),
                )
            })
            .collect();
        assert_eq!(told, rows, "{by}");
    }
}

#[test]
fn a_removed_key_and_a_removed_backend_still_count() {
    let place = place();
    place.0.run(["model", "rm", "llama"]).ok();
    place.0.run(["key", "revoke", "ann"]).ok();
    assert_eq!(usage(&place, &["--by", "key"])[0]["key"], "ann");
    let backend = &usage(&place, &["--by", "backend"])[0];
    assert_eq!(
        (&backend["backend"], &backend["url"]),
        (&json!("1"), &Value::Null)
    );
}

#[test]
fn a_period_is_of_whole_days_or_of_times() {
    let place = place();
    for (options, requests) in [
        (&["--since", "2026-03-02"][..], 4),
        (&["--until", "2026-03-02"], 4),
        (&["--since", "2026-03-01T13:00", "--until", "2026-03-02"], 3),
        (&["--since", "2026-03-04"], 0),
    ] {
        let told = usage(&place, &[options, &["--by", "day"]].concat());
        let told: u64 = told
            .iter()
            .map(|row| row["requests"].as_u64().unwrap())
            .sum();
        assert_eq!(told, requests, "{options:?}");
    }
    let ran = place.0.run(["usage", "--since", "2026-03-04"]);
    assert!(
        ran.stderr.contains("from 2026-03-01 to 2026-03-03"),
        "{}",
        ran.stderr
    );
    assert!(ran.text().is_empty());
    let mistake = place.0.run(["usage", "--since", "soon"]).failed();
    assert!(mistake.contains("--since"), "{mistake}");
}

#[test]
fn people_see_a_table_that_fits() {
    let place = place();
    insta::assert_snapshot!(place.0.run(["usage", "--by", "backend"]).text());
    for width in ["60", "80"] {
        let mut command = place.0.command(["usage", "--by", "backend"]);
        let out = command.env("COLUMNS", width).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(
            text.lines()
                .all(|line| line.chars().count() <= width.parse().unwrap()),
            "{text}"
        );
        assert!(
            String::from_utf8(out.stderr)
                .unwrap()
                .contains("hidden: hits"),
            "{text}"
        );
        let has_host = text.contains("http://127.0.0.1:1/");
        assert!(has_host || width == "60", "{text}");
    }
}

#[test]
fn where_nothing_was_used_the_rows_are_none() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(["usage"]);
    assert!(ran.stderr.contains("localstore serve"), "{}", ran.stderr);
    assert!(ran.text().is_empty());
    assert_eq!(sandbox.run(["usage", "-o", "json"]).text(), "[]\n");
    assert_eq!(
        sandbox.run(["usage", "--by", "key", "-o", "csv"]).text(),
        "key,requests,errors,cache_hits,prompt_tokens,completion_tokens,gen_tps,ttft_p50_ms,ttft_p95_ms\n"
    );
    assert!(!sandbox.store().exists());
}

//! What the gateway reads of the store, and what other commands do with its tables.

use serde_json::{Value, json};

use super::Place;
use super::key::create;
use crate::bench::{Bench, days, store};
use crate::llama_history::{Document, add};
use crate::sandbox::Sandbox;

/// A URL at which nothing listens.
const URL: &str = "http://127.0.0.1:9";

/// Adds a backend with these filters; what was said.
#[track_caller]
fn model(sandbox: &Sandbox, name: &str, filters: &[&str]) -> String {
    let ran = sandbox.run([&["model", "add", name, "--url", URL], filters].concat());
    ran.ok();
    ran.stderr
}

/// The speed of a model, and where it is from.
fn speed(sandbox: &Sandbox, name: &str) -> (Value, Value) {
    let rows = sandbox.run(["model", "list", "-o", "json"]).ok();
    let rows: Vec<Value> = serde_json::from_slice(&rows).unwrap();
    let row = rows.iter().find(|row| row["model"] == name).unwrap();
    (row["gen_tps"].clone(), row["from"].clone())
}

/// What `history` has of a run.
fn history(sandbox: &Sandbox, run: i64) -> Value {
    let ran = sandbox.run(["history", &run.to_string(), "-o", "jsonl"]);
    let text = String::from_utf8(ran.ok()).unwrap();
    let rows = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.rev().find(|row| row["id"] == run).unwrap()["avg_gen_tps"].clone()
}

#[test]
fn the_newest_run_that_the_filters_match_tells_the_speed() {
    let mut benches = days(1..=3);
    benches.push(Bench {
        accelerator: "GPU Two",
        speed: 3.0,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    let said = model(&sandbox, "m", &["--accelerator", "gpu one"]);
    assert!(
        said.contains("that of run 3") && !said.contains("more than one"),
        "{said}"
    );
    assert_eq!(speed(&sandbox, "m"), (history(&sandbox, 3), json!("run 3")));
    let said = model(&sandbox, "n", &["--model", "1b"]);
    assert!(said.contains("more than one configuration"), "{said}");
    assert!(
        said.contains("GPU One") && said.contains("GPU Two"),
        "{said}"
    );
    assert_eq!(speed(&sandbox, "n").1, "run 4");
    let said = model(&sandbox, "o", &["--quant", "Q8_0"]);
    assert!(said.contains("no stored result"), "{said}");
    assert_eq!(speed(&sandbox, "o"), (Value::Null, Value::Null));
    sandbox.run(["tag", "fast", "2"]).ok();
    model(&sandbox, "p", &["--tag", "fa*"]);
    assert_eq!(speed(&sandbox, "p").1, "run 2");
    sandbox.run(["rm", "-y", "3"]).ok();
    assert_eq!(speed(&sandbox, "m").1, "run 2");
}

#[test]
fn a_run_of_llama_bench_tells_what_history_has_and_one_of_local_score_counts_first() {
    const PROMPT: &[(u64, u64, u64)] = &[(512, 0, 0)];
    const DEEP: &[(u64, u64, u64)] = &[(512, 0, 0), (0, 128, 0), (512, 0, 4096), (0, 128, 4096)];
    let sandbox = Sandbox::new();
    let documents = [
        Document {
            speed: 1.0,
            ..Document::default()
        },
        Document {
            day: 2,
            speed: 1.5,
            tests: DEEP,
            ..Document::default()
        },
        Document {
            day: 3,
            tests: PROMPT,
            ..Document::default()
        },
    ];
    add(&sandbox, &documents);
    // The third has no generation.
    model(&sandbox, "m", &["--accelerator", "GPU One"]);
    assert_eq!(speed(&sandbox, "m"), (history(&sandbox, 2), json!("run 2")));
    sandbox
        .run_with_input(["add", "-"], Bench::default().document().as_bytes())
        .ok();
    let said = model(&sandbox, "m", &["--accelerator", "GPU One"]);
    assert!(
        said.contains("LocalScore") && said.contains("llama-bench"),
        "{said}"
    );
    assert_eq!(speed(&sandbox, "m").1, "run 4");
    model(
        &sandbox,
        "m",
        &["--accelerator", "GPU One", "--tool", "llama-bench"],
    );
    assert_eq!(speed(&sandbox, "m").1, "run 2");
}

#[test]
fn the_gateways_own_variable_names_the_store_of_its_commands_alone() {
    let mut sandbox = Sandbox::new();
    sandbox.set("SQLITE_DB_PATH", "gateway.sqlite3");
    model(&sandbox, "m", &[]);
    create(&sandbox, &["alice"]);
    assert!(sandbox.path().join("gateway.sqlite3").exists() && !sandbox.store().exists());
    let path = sandbox.run(["path"]).text();
    assert!(!path.contains("gateway.sqlite3"), "{path}");
    assert_eq!(speed(&sandbox, "m").1, Value::Null);
    sandbox.set("LOCALSTORE_DB", "results.sqlite3");
    assert_eq!(
        sandbox
            .run(["model", "list", "-o", "csv"])
            .text()
            .lines()
            .count(),
        1
    );
    let csv = sandbox
        .run(["model", "list", "-o", "csv", "--db", "gateway.sqlite3"])
        .text();
    assert_eq!(csv.lines().count(), 2);
}

#[test]
fn the_database_of_another_program_is_refused_untouched() {
    let mut sandbox = Sandbox::new();
    let path = sandbox.path().join("models.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE models (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO models VALUES (1, 'a')").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    sandbox.set("SQLITE_DB_PATH", &path);
    for words in [
        &["model", "add", "m", "--url", URL][..],
        &["model", "list"],
        &["model", "rm", "m"],
        &["key", "create"],
        &["key", "list"],
        &["key", "revoke", "1"],
        &["serve", "--addr", "127.0.0.1:0"],
    ] {
        let said = sandbox.run(words).failed();
        assert!(
            said.contains("database of another program"),
            "{words:?} {said}"
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let left = std::fs::read_dir(sandbox.path()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name != ".llamafile").count(), 1);
}

#[test]
fn check_finds_what_no_command_writes() {
    let sandbox = Sandbox::new();
    model(&sandbox, "a", &["--model", "x"]);
    model(&sandbox, "b", &[]);
    create(&sandbox, &["alice"]);
    sandbox.run(["model", "alias", "a", "c"]).ok();
    sandbox.run(["model", "fallback", "a", "b"]).ok();
    sandbox.run(["check"]).ok();
    for (sql, place) in [
        (
            "UPDATE localstore_gateway_backends SET filters = 'x' WHERE id = 1",
            "backend 1: its filters",
        ),
        (
            "UPDATE localstore_gateway_backends SET url = 'http://u:p@h/v1' WHERE id = 2",
            "backend 2: its URL",
        ),
        (
            "UPDATE localstore_gateway_backends SET parallel = 'x' WHERE id = 1",
            "backend 1: it has no",
        ),
        (
            "UPDATE localstore_gateway_aliases SET model = 'c'",
            "model c: it is another name of itself",
        ),
        (
            "INSERT INTO localstore_gateway_fallbacks VALUES ('b', 0, 'a')",
            "model a: its fallbacks",
        ),
        (
            "UPDATE localstore_gateway_keys SET hash = x'00'",
            "key 1: its hash",
        ),
        (
            "UPDATE localstore_gateway_keys SET prefix = 'sk-ls-abcdefgh'",
            "key 1: more or less",
        ),
        (
            "UPDATE localstore_gateway_keys SET models = '{'",
            "key 1: its models",
        ),
        (
            "UPDATE localstore_gateway_keys SET rpm = 'x'",
            "key 1: its name, its requests",
        ),
        (
            "UPDATE localstore_gateway_keys SET expires_at = 'x'",
            "key 1: its name, its requests",
        ),
        (
            "PRAGMA foreign_keys = 0;
             INSERT INTO localstore_gateway_agents VALUES ('a', 'http://a:1/v1', '[]', 9, 0, NULL)",
            "agent a: the key",
        ),
        ("DELETE FROM localstore_gateway_generation", "generation: "),
    ] {
        sandbox.run(["backup", "copy.db"]).ok();
        let copy = sandbox.path().join("copy.db");
        rusqlite::Connection::open(&copy)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let ran = sandbox.run(["check", "--db", "copy.db"]);
        assert_eq!(ran.code, Some(1), "{sql}");
        let said = ran.text() + &ran.stderr;
        assert!(said.contains(place), "{sql}: {said}");
        std::fs::remove_file(copy).unwrap();
    }
}

#[test]
fn a_backup_has_models_and_keys_and_a_merge_takes_none() {
    let sandbox = store(&days(1..=2));
    model(&sandbox, "m", &["--model", "1b"]);
    sandbox.run(["model", "alias", "m", "n"]).ok();
    create(&sandbox, &["alice"]);
    sandbox.run(["backup", "copy.db"]).ok();
    for command in ["model", "key"] {
        let list = |options: &[&str]| {
            sandbox
                .run([&[command, "list", "-o", "json"], options].concat())
                .text()
        };
        assert_eq!(list(&["--db", "copy.db"]), list(&[]));
    }
    assert_eq!(
        sandbox
            .run(["model", "alias", "m", "--db", "copy.db"])
            .text(),
        "n\n"
    );
    let other = Sandbox::new();
    let copy = sandbox.path().join("copy.db");
    other.run(["merge".as_ref(), copy.as_os_str()]).ok();
    assert_eq!(other.run(["list", "-o", "jsonl"]).text().lines().count(), 2);
    for command in ["model", "key"] {
        assert_eq!(other.run([command, "list", "-o", "jsonl"]).text(), "");
    }
    let tables: i64 = other
        .db()
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'localstore_gateway%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(tables, 0);
}

#[test]
fn a_run_that_is_added_or_removed_or_tagged_changes_the_route() {
    let place = Place::new();
    let sandbox = &place.0;
    let slow = super::Backend::always(super::backend::Reply::says("slow"));
    let fast = super::Backend::always(super::backend::Reply::says("fast"));
    for (backend, gpu) in [(&slow, "GPU One"), (&fast, "GPU Two")] {
        let url = backend.url();
        sandbox
            .run(["model", "add", "m", "--url", &url, "--accelerator", gpu])
            .ok();
    }
    let add = |gpu: &'static str, speed: f64| {
        let bench = Bench {
            accelerator: gpu,
            speed,
            ..Bench::default()
        };
        sandbox
            .run_with_input(["add", "-"], bench.document().as_bytes())
            .ok();
    };
    add("GPU One", 1.0);
    add("GPU Two", 2.0);
    let served = place.serve(&[]);
    let answers = |text: &str| {
        let deadline = std::time::Instant::now() + super::PATIENCE;
        while !served.chat("m").text().contains(text) {
            assert!(std::time::Instant::now() < deadline, "never from {text}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    answers("fast");
    add("GPU One", 4.0);
    answers("slow");
    sandbox.run(["rm", "-y", "3"]).ok();
    answers("fast");
}

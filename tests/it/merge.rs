//! `merge`: the runs of another file.

use crate::sandbox::{Sandbox, fixture, read_fixture};

/// Everything in a store but for the ids of the sequence.
fn content(sandbox: &Sandbox) -> Vec<String> {
    let db = sandbox.db();
    let mut tables = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut all = Vec::new();
    for table in tables {
        let mut query = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = query.column_count();
        let rows = query.query_map([], |row| {
            let cells: Vec<String> = (0..columns)
                .map(|index| format!("{:?}", row.get_ref(index).unwrap()))
                .collect();
            Ok(format!("{table}: {}", cells.join(" ")))
        });
        all.extend(rows.unwrap().map(Result::unwrap));
    }
    all
}

/// The store as the site would have it: the public tables alone.
fn site_database(sandbox: &Sandbox, names: &[&str]) -> std::path::PathBuf {
    let maker = Sandbox::new();
    maker.add(names.iter().copied());
    let path = sandbox.path().join("site.sqlite");
    let db = maker.db();
    db.execute_batch(&format!("VACUUM INTO '{}'", path.display()))
        .unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA journal_mode = DELETE; UPDATE benchmark_runs SET created_at = '2025-03-19 21:50:27';").unwrap();
    let mut tables = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND (name LIKE 'localstore_%' OR name IN ('metadata', 'chats', 'messages'))")
        .unwrap();
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for table in tables {
        db.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    path
}

#[test]
fn runs_come_over_with_dates_tags_and_submissions_and_once() {
    let other = Sandbox::new();
    other.add([
        "golden/cpu-i7-14b.json",
        "golden/nan-stddev.json",
        "captures/capture-json-submitted.stdout.txt",
    ]);
    other.run(["tag", "laptop", "1", "2"]).ok();
    other
        .db()
        .execute(
            "UPDATE benchmark_runs SET created_at = '2024-01-02 03:04:05' WHERE id = 1",
            [],
        )
        .unwrap();
    let file = other.store();
    let before = std::fs::read(&file).unwrap();

    let sandbox = Sandbox::new();
    sandbox.add(["golden/nan-stddev.csv"]);
    let args = ["merge".as_ref(), file.as_os_str()];
    let dry = sandbox
        .run(["merge".as_ref(), "--dry-run".as_ref(), file.as_os_str()])
        .text();
    assert!(
        dry.ends_with("3 runs: 2 new, 1 completed, 0 known\n"),
        "{dry}"
    );
    let said = sandbox.run(args).text();
    assert!(
        said.ends_with("3 runs: 2 new, 1 completed, 0 known\n"),
        "{said}"
    );
    assert_eq!(
        sandbox.run(["export", "1", "-o", "json"]).ok(),
        read_fixture("golden/nan-stddev.json")
    );
    let line = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&sandbox.run(["export", "-o", "jsonl", name]).ok()).unwrap()
    };
    assert_eq!(line("2")["added_at"], "2024-01-02T03:04:05Z");
    assert_eq!(line("2")["tags"][0], "laptop");
    assert_eq!(line("1")["tags"][0], "laptop");
    assert!(line("3")["link"].as_str().is_some());

    let after = content(&sandbox);
    let again = sandbox.run(args).text();
    assert_eq!(again, "3 runs: 0 new, 0 completed, 3 known\n");
    assert_eq!(content(&sandbox), after);
    assert!(std::fs::read(&file).unwrap() == before);
    assert_eq!(
        std::fs::read_dir(file.parent().unwrap()).unwrap().count(),
        1
    );
}

#[test]
fn a_site_database_is_taken_over_and_completed_by_the_json() {
    let sandbox = Sandbox::new();
    let file = site_database(
        &sandbox,
        &["golden/gpu-reps4.json", "golden/second-gpu.json"],
    );
    let said = sandbox.run(["merge".as_ref(), file.as_os_str()]).text();
    assert!(
        said.ends_with("2 runs: 2 new, 0 completed, 0 known\n"),
        "{said}"
    );
    let again = sandbox.run(["merge".as_ref(), file.as_os_str()]).text();
    assert_eq!(again, "2 runs: 0 new, 0 completed, 2 known\n");
    let line: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["export", "-o", "jsonl", "1"]).ok()).unwrap();
    assert_eq!(line["added_at"], "2025-03-19T21:50:27Z");
    assert_eq!(line["results"][0]["prompt_tps"], 32_006.670_051);
    assert_eq!(line["results"][0]["samples_ns"], serde_json::Value::Null);

    let json = fixture("golden/gpu-reps4.json");
    let said = sandbox.run(["add".as_ref(), json.as_os_str()]).text();
    assert!(said.starts_with("run 1, completed: "), "{said}");
    assert_eq!(
        sandbox.run(["export", "1", "-o", "json"]).ok(),
        read_fixture("golden/gpu-reps4.json")
    );
}

/// The web site of LocalScore runs on the file too: what it inserts is taken up with the next write,
/// and the score table is the mean over all.
#[test]
fn runs_that_the_site_inserts_are_taken_up() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-rtx4090-8b.json"]);
    let db = sandbox.db();
    db.execute_batch(
        "INSERT INTO benchmark_runs (system_id, accelerator_id, model_variant_id, runtime_id,
             avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score)
         SELECT system_id, accelerator_id, model_variant_id, runtime_id, 2 * avg_prompt_tps,
                2 * avg_gen_tps, avg_ttft_ms, 2 * performance_score FROM benchmark_runs;
         INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen, avg_time_ms,
             power_watts, prompt_tps, gen_tps, prompt_tps_watt, gen_tps_watt, ttft_ms)
         SELECT 2, name, n_prompt, n_gen, avg_time_ms, power_watts, 2 * prompt_tps, 2 * gen_tps,
                prompt_tps_watt, gen_tps_watt, ttft_ms FROM test_results;",
    )
    .unwrap();
    drop(db);
    let means = || -> (f64, f64) {
        let db = sandbox.db();
        let mean = |sql: &str| db.query_row(sql, [], |row| row.get(0)).unwrap();
        (
            mean(
                "SELECT performance_score FROM accelerator_model_performance_scores WHERE accelerator_id = 1",
            ),
            mean("SELECT avg(performance_score) FROM benchmark_runs WHERE accelerator_id = 1"),
        )
    };
    sandbox.add(["golden/second-gpu.json"]);
    assert_eq!(
        sandbox.run(["list", "-o", "jsonl"]).text().lines().count(),
        3
    );
    let (stored, computed) = means();
    assert!((stored - computed).abs() < 1e-9, "{stored} {computed}");
    sandbox.run(["rm", "1"]).ok();
    let (stored, computed) = means();
    assert!((stored - computed).abs() < 1e-9, "{stored} {computed}");
    sandbox.run(["rm", "2", "3"]).ok();
    let left: i64 = sandbox
        .db()
        .query_row("SELECT count(*) FROM test_results", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

/// SQLite lets another program put anything into a column.
#[test]
fn odd_values_of_another_program_stop_nothing() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-rtx4090-8b.json"]);
    for (column, value) in [
        ("created_at", "1700000000"),
        ("created_at", "x'ff00'"),
        ("avg_gen_tps", "'x'"),
    ] {
        let sql = format!(
            "INSERT INTO benchmark_runs (avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score)
                 VALUES (1, 2, 3, 4);
             UPDATE benchmark_runs SET {column} = {value} WHERE id = last_insert_rowid();
             INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen, prompt_tps)
                 VALUES (last_insert_rowid(), 'pp1', 'abc', 2.5, 'y');"
        );
        sandbox.db().execute_batch(&sql).unwrap();
        sandbox.run(["tag", "x", "1"]).ok();
        sandbox.run(["list"]).ok();
        sandbox.run(["export", "last", "-o", "jsonl"]).ok();
        sandbox.run(["rm", "-y", "last"]).ok();
    }
    assert_eq!(
        sandbox.run(["list", "-o", "jsonl"]).text().lines().count(),
        1
    );
}

#[test]
fn what_has_no_runs_is_refused_in_a_line() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.file(
        "text",
        "no database, but a text that is long enough to be looked at",
    );
    let own = sandbox.store();
    let other = sandbox.path().join("other");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE songs (title)")
        .unwrap();
    let cases = [
        ("missing".as_ref(), "no such file or directory"),
        ("text".as_ref(), "this is not a database"),
        (".".as_ref(), "is a directory"),
        (own.as_os_str(), "this is the store itself"),
        (
            other.as_os_str(),
            "neither a file of localstore or llamafile nor a LocalScore database",
        ),
    ];
    for (file, why) in cases {
        let said = sandbox.run(["merge".as_ref(), file]).failed();
        assert!(said.ends_with(why), "{said}");
    }
}

#[test]
fn an_older_store_is_taken_over_and_stays_as_it_is() {
    for version in ["1", "2"] {
        let sandbox = Sandbox::new();
        let old = sandbox.path().join("old.sqlite3");
        let store = format!("stores/version-{version}.sqlite3");
        std::fs::copy(fixture(&store), &old).unwrap();
        let before = std::fs::read(&old).unwrap();
        let text = sandbox.run(["merge", "old.sqlite3"]).text();
        assert!(
            text.ends_with("6 runs: 6 new, 0 completed, 0 known\n"),
            "{text}"
        );
        assert_eq!(std::fs::read(&old).unwrap(), before);
        let json = sandbox.run(["export", "2", "-o", "json"]).ok();
        assert_eq!(json, read_fixture("golden/gpu-reps4.json"));
        let submitted = sandbox.run(["list", "-o", "csv"]).text();
        assert_eq!(submitted.matches(",submitted,").count(), 1, "{submitted}");
    }
}

#[test]
fn chats_are_taken_over_and_none_twice() {
    let sandbox = Sandbox::new();
    let chats = fixture("chats/llamafile.sqlite3");
    let chats = chats.to_str().unwrap();
    let first = sandbox.run(["merge", chats]).text();
    let count: i64 = sandbox
        .db()
        .query_row("SELECT count(*) FROM messages", [], |row| row.get(0))
        .unwrap();
    assert!(count > 0);
    assert!(
        first.ends_with(" 0 known\n0 runs: 0 new, 0 completed, 0 known\n"),
        "{first}"
    );
    // The same in every column but the ids.
    let all = "SELECT group_concat(json_array(c.created_at, c.model, c.title, m.created_at, m.role,
            m.content, m.temperature), char(10))
        FROM chats c JOIN messages m ON m.chat_id = c.id";
    let read = |db: &rusqlite::Connection| -> String {
        let mut lines: Vec<String> = db
            .query_row(all, [], |row| row.get::<_, String>(0))
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines.join("\n")
    };
    let there =
        rusqlite::Connection::open_with_flags(chats, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap();
    assert_eq!(read(&sandbox.db()), read(&there));

    let again = sandbox.run(["merge", chats]).text();
    assert!(again.contains(" chats: 0 new, 0 completed, "), "{again}");
    // What was written there since is appended, whatever the chat is called here.
    sandbox
        .db()
        .execute_batch(
            "DELETE FROM messages WHERE id = (SELECT max(id) FROM messages WHERE chat_id = 1);
             UPDATE chats SET title = 'renamed' WHERE id = 1",
        )
        .unwrap();
    let dry = sandbox.run(["merge", chats, "--dry-run"]).text();
    assert!(dry.starts_with("would complete chat 1: "), "{dry}");
    let completed = sandbox.run(["merge", chats]).text();
    assert!(completed.starts_with("chat 1, completed: "), "{completed}");
    assert!(completed.contains(", 1 message\n"), "{completed}");
    let left: i64 = sandbox
        .db()
        .query_row("SELECT count(*) FROM messages", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, count);
}

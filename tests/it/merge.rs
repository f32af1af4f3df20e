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
pub(crate) fn site_database(sandbox: &Sandbox, names: &[&str]) -> std::path::PathBuf {
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
    sandbox.run(["rm", "-y", "1"]).ok();
    let (stored, computed) = means();
    assert!((stored - computed).abs() < 1e-9, "{stored} {computed}");
    sandbox.run(["rm", "-y", "2", "3"]).ok();
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
        let newest = "SELECT max(id) FROM benchmark_runs";
        let newest: i64 = sandbox
            .db()
            .query_row(newest, [], |row| row.get(0))
            .unwrap();
        let newest = newest.to_string();
        sandbox.run(["tag", "x", "1"]).ok();
        sandbox.run(["list"]).ok();
        sandbox.run(["export", &newest, "-o", "jsonl"]).ok();
        sandbox.run(["rm", "-y", &newest]).ok();
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
    std::fs::hard_link(&own, sandbox.path().join("link")).unwrap();
    let other = sandbox.path().join("other");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE songs (title)")
        .unwrap();
    let cases = [
        ("missing".as_ref(), "no such file"),
        ("text".as_ref(), "not a store"),
        (".".as_ref(), "is a directory"),
        (own.as_os_str(), "this is the store itself"),
        ("link".as_ref(), "this is the store itself"),
        (
            other.as_os_str(),
            "neither a file of localstore or llamafile nor a database of LocalScore or llama-bench",
        ),
    ];
    for (file, why) in cases {
        let said = sandbox.run(["merge".as_ref(), file]).failed();
        assert!(said.ends_with(why), "{said}");
    }
}

/// What a merge of the store of an older version says at its end.
fn all_new(version: &str) -> &'static str {
    match version {
        "6" => "\n11 runs: 11 new, 0 completed, 0 known\n",
        _ => "\n6 runs: 6 new, 0 completed, 0 known\n",
    }
}

#[test]
fn an_older_store_is_taken_over_and_stays_as_it_is() {
    for version in ["1", "2", "3", "4", "5", "6"] {
        let sandbox = Sandbox::new();
        let old = sandbox.path().join("old.sqlite3");
        let store = format!("stores/version-{version}.sqlite3");
        std::fs::copy(fixture(&store), &old).unwrap();
        let before = std::fs::read(&old).unwrap();
        let text = sandbox.run(["merge", "old.sqlite3"]).text();
        assert!(text.ends_with(all_new(version)), "{text}");
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

#[cfg(unix)]
#[test]
fn the_bar_counts_what_is_done() {
    use std::io::Read;
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json", "golden/second-gpu.json"]);
    let store = sandbox.store();
    let (mut person, program) = crate::record::terminal();
    let args = ["merge", "--db", "other.db", store.to_str().unwrap()];
    let mut command = sandbox.command(args);
    command.env("TERM", "xterm").stderr(program);
    let output = command.output().unwrap();
    drop(command);
    assert!(output.status.success());
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    // The end of a terminal whose program is gone is an error.
    while let Ok(length @ 1..) = person.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..length]);
    }
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        shown.contains("merging") && shown.contains("100%"),
        "{shown:?}"
    );
}

/// A file of another program at `name`: a store with four runs and a chat, changed by this SQL.
fn changed_store(sandbox: &Sandbox, name: &str, sql: &str) {
    let maker = Sandbox::new();
    maker.add([
        "golden/gpu-reps4.json",
        "golden/nan-stddev.json",
        "golden/second-gpu.json",
        "golden/cpu-i7-14b.json",
    ]);
    maker.run(["tag", "laptop", "1"]).ok();
    maker
        .db()
        .execute_batch(
            "INSERT INTO chats (created_at, model, title) VALUES ('2025-01-01', 'm', 'a chat');
             INSERT INTO messages (chat_id, role, content) VALUES (1, 'user', 'hi')",
        )
        .unwrap();
    change(sandbox, &maker.store(), name, sql);
}

/// A copy of a database at `name`, changed by this SQL.
fn change(sandbox: &Sandbox, original: &std::path::Path, name: &str, sql: &str) {
    let path = sandbox.path().join(name);
    std::fs::copy(original, &path).unwrap();
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA journal_mode = DELETE;")
        .unwrap();
    db.execute_batch(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[test]
fn a_bad_run_is_named_and_the_others_come_over() {
    let cases = [
        (
            "UPDATE localstore_tests SET prompt_tps = x'00ff' WHERE run_id = 2 AND position = 3",
            "run 2: test 3: prompt_tps is a blob",
        ),
        (
            "UPDATE localstore_tests SET gen_tps = 'fast' WHERE run_id = 3 AND position = 0",
            "run 3: test 0: gen_tps is text",
        ),
        (
            "UPDATE localstore_tests SET n_gen = 'many' WHERE run_id = 1 AND position = 8",
            "run 1: test 8: n_gen is text",
        ),
        (
            "UPDATE localstore_tests SET samples_ns = '[1,' WHERE run_id = 4 AND position = 1",
            "run 4: test 1: samples_ns is not a list of integers",
        ),
        (
            "UPDATE localstore_tests SET n_prompt = 1.5 WHERE run_id = 4 AND position = 1",
            "run 4: test 1: n_prompt is a real number",
        ),
        (
            "UPDATE localstore_tests SET model_id = 77 WHERE run_id = 2 AND position = 3",
            "run 2: test 3: its model is not in localstore_models",
        ),
        (
            "DELETE FROM localstore_tests WHERE run_id = 2 AND position = 3",
            "run 2: test 3 is missing",
        ),
        (
            "UPDATE localstore_runs SET environment_id = 77 WHERE run_id = 2",
            "run 2: its header is not in localstore_environments",
        ),
        (
            "UPDATE localstore_runs SET source = 'hearsay' WHERE run_id = 2",
            "run 2: source is 'hearsay'",
        ),
        (
            "UPDATE localstore_runs SET measured_at = 'then' WHERE run_id = 2",
            "run 2: measured_at is text",
        ),
        (
            "DELETE FROM benchmark_runs WHERE id = 2",
            "run 2: has no row in benchmark_runs",
        ),
        (
            "UPDATE benchmark_runs SET created_at = 'soon' WHERE id = 2",
            "run 2: created_at is not a date",
        ),
        (
            "INSERT INTO localstore_tags VALUES (x'00', 2)",
            "run 2: tag is a blob",
        ),
        (
            "INSERT INTO localstore_submissions (run_id, state) VALUES (2, x'00')",
            "run 2: its submission cannot be read: ",
        ),
        (
            "UPDATE localstore_models SET model_name = CAST(zeroblob(9 * 1024 * 1024) AS TEXT)
          WHERE id = (SELECT model_id FROM localstore_runs WHERE run_id = 4)",
            "run 4: it is larger than 64 MiB",
        ),
        (
            "UPDATE localstore_models SET model_name = zeroblob(17 * 1024 * 1024)
          WHERE id = (SELECT model_id FROM localstore_runs WHERE run_id = 4)",
            "run 4: a text or blob is too large",
        ),
    ];
    for (sql, expected) in cases {
        let sandbox = Sandbox::new();
        changed_store(&sandbox, "other.db", sql);
        for args in [
            &["merge", "other.db", "--dry-run"][..],
            &["merge", "other.db"],
        ] {
            let ran = sandbox.run(args);
            assert_eq!(ran.code, Some(1), "{sql}: {}", ran.stderr);
            assert_eq!(ran.stderr.lines().count(), 1, "{sql}: {}", ran.stderr);
            let line = format!("localstore: other.db: {expected}");
            assert!(ran.stderr.starts_with(&line), "{sql}: {}", ran.stderr);
            let text = ran.text();
            assert!(
                text.ends_with("4 runs: 3 new, 0 completed, 0 known, 1 refused\n"),
                "{sql}: {text}"
            );
            assert!(text.contains("1 chat: 1 new"), "{sql}: {text}");
        }
        sandbox.run(["check"]).ok();
        assert_eq!(
            sandbox.run(["list", "-o", "jsonl"]).text().lines().count(),
            3,
            "{sql}"
        );
    }
}

#[test]
fn a_bad_run_of_the_site_is_named() {
    let sandbox = Sandbox::new();
    let site = site_database(
        &sandbox,
        &[
            "golden/gpu-reps4.json",
            "golden/nan-stddev.json",
            "golden/second-gpu.json",
            "golden/cpu-i7-14b.json",
        ],
    );
    let cases = [
        (
            "UPDATE test_results SET gen_tps = x'00' WHERE benchmark_run_id = 2 AND n_gen = 3072",
            "run 2: test 5: gen_tps is a blob",
        ),
        (
            "UPDATE test_results SET n_prompt = 'many' WHERE benchmark_run_id = 3 AND n_gen = 16",
            "run 3: test 0: n_prompt is text",
        ),
        (
            "UPDATE test_results SET name = NULL WHERE benchmark_run_id = 3 AND n_gen = 16",
            "run 3: test 0: name is null",
        ),
        (
            "UPDATE benchmark_runs SET accelerator_id = 99 WHERE id = 2",
            "run 2: the row of its accelerator is missing",
        ),
        (
            "UPDATE benchmark_runs SET created_at = 'soon' WHERE id = 2",
            "run 2: created_at is not a date",
        ),
        (
            "DELETE FROM test_results WHERE benchmark_run_id = 2",
            "run 2: it has no tests",
        ),
    ];
    for (sql, expected) in cases {
        let sandbox = Sandbox::new();
        change(&sandbox, &site, "other.db", sql);
        let ran = sandbox.run(["merge", "other.db"]);
        assert_eq!(ran.code, Some(1), "{sql}");
        assert_eq!(ran.stderr, format!("localstore: other.db: {expected}\n"));
        let text = ran.text();
        assert!(
            text.ends_with("4 runs: 3 new, 0 completed, 0 known, 1 refused\n"),
            "{text}"
        );
    }
}

#[test]
fn a_table_that_lacks_a_column_is_one_error() {
    for (sql, why) in [
        (
            "ALTER TABLE localstore_tests DROP COLUMN reps",
            "no such column: t.reps",
        ),
        ("DROP TABLE benchmark_runs", "no such table: benchmark_runs"),
    ] {
        let sandbox = Sandbox::new();
        changed_store(&sandbox, "other.db", sql);
        let said = sandbox.run(["merge", "other.db"]).failed();
        assert_eq!(said, format!("other.db: {why}"));
    }
}

#[test]
fn a_negative_id_is_an_id() {
    for sql in [
        "UPDATE benchmark_runs SET id = -7 WHERE id = 2;
         UPDATE localstore_runs SET run_id = -7 WHERE run_id = 2;
         UPDATE localstore_tests SET run_id = -7 WHERE run_id = 2",
        "UPDATE benchmark_runs SET id = -9223372036854775808 WHERE id = 2;
         UPDATE localstore_runs SET run_id = -9223372036854775808 WHERE run_id = 2;
         UPDATE localstore_tests SET run_id = -9223372036854775808 WHERE run_id = 2",
    ] {
        let sandbox = Sandbox::new();
        changed_store(&sandbox, "other.db", sql);
        let said = sandbox.run(["merge", "other.db"]);
        said.ok();
        assert!(
            said.text()
                .ends_with("4 runs: 4 new, 0 completed, 0 known\n"),
            "{}",
            said.text()
        );
        let json = sandbox.run(["export", "1", "-o", "json"]).ok();
        assert_eq!(json, read_fixture("golden/nan-stddev.json"));
    }
    let sandbox = Sandbox::new();
    let site = site_database(
        &sandbox,
        &["golden/gpu-reps4.json", "golden/second-gpu.json"],
    );
    let sql = "UPDATE benchmark_runs SET id = -7 WHERE id = 2;
         UPDATE test_results SET benchmark_run_id = -7 WHERE benchmark_run_id = 2";
    change(&sandbox, &site, "other.db", sql);
    let said = sandbox.run(["merge", "other.db"]).text();
    assert!(
        said.ends_with("2 runs: 2 new, 0 completed, 0 known\n"),
        "{said}"
    );
}

/// The program, which may not take more than 20 seconds of the processor and 1 GiB of addresses.
#[cfg(unix)]
fn merge_within_bounds(sandbox: &Sandbox, file: &str) -> crate::sandbox::Ran {
    let command = sandbox.command(["merge", file]);
    let mut bounded = std::process::Command::new("sh");
    bounded
        .args(["-c", "ulimit -t 20; ulimit -v 1048576; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env("HOME", sandbox.path())
        .current_dir(sandbox.path());
    crate::sandbox::Ran::from(bounded.output().unwrap())
}

/// A query that never ends.
#[cfg(unix)]
const ENDLESS: &str = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x)";

#[cfg(unix)]
#[test]
fn nothing_but_the_rows_of_tables_is_read() {
    let stores = Sandbox::new();
    changed_store(&stores, "store.db", "");
    let store = stores.path().join("store.db");
    let site = site_database(&stores, &["golden/gpu-reps4.json"]);
    let tables = |path: &std::path::Path| -> Vec<(String, String)> {
        let db = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT s.name, group_concat('n AS ' || x.name)
             FROM sqlite_schema s, pragma_table_info(s.name) x
             WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite_%' GROUP BY s.name";
        let mut query = db.prepare(sql).unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let mut cases = Vec::new();
    for original in [&store, &site] {
        for (table, columns) in tables(original) {
            let sql = format!(
                "DROP TABLE {table}; CREATE VIEW {table} AS {ENDLESS} SELECT {columns} FROM x"
            );
            cases.push((original.clone(), sql, format!("{table} is a view")));
        }
    }
    assert!(cases.len() > 25, "{}", cases.len());
    cases.push((
        store.clone(),
        // The SQLite of this program has no fts5.
        "DROP TABLE messages; PRAGMA writable_schema = 1;
         INSERT INTO sqlite_schema VALUES ('table', 'messages', 'messages', 0,
             'CREATE VIRTUAL TABLE messages USING fts5(id, created_at, chat_id,
                role, content, temperature, top_p, presence_penalty, frequency_penalty)')"
            .to_owned(),
        "messages is a virtual table".to_owned(),
    ));
    cases.push((
        store.clone(),
        "ALTER TABLE localstore_tests ADD COLUMN x AS (hex(hex(hex(zeroblob(99999999)))))"
            .to_owned(),
        "localstore_tests has a computed column".to_owned(),
    ));
    cases.push((
        store,
        "CREATE INDEX x ON localstore_runs (run_id) WHERE length(hex(zeroblob(9999999))) > 1"
            .to_owned(),
        "localstore_runs has an index on an expression".to_owned(),
    ));
    for (original, sql, expected) in cases {
        let sandbox = Sandbox::new();
        change(&sandbox, &original, "other.db", &sql);
        let said = merge_within_bounds(&sandbox, "other.db").failed();
        assert_eq!(
            said,
            format!("other.db: {expected}, and only plain tables are read")
        );
    }
}

/// An older store is migrated before it is read; what is in it must not take part.
#[cfg(unix)]
#[test]
fn no_trigger_or_check_of_an_older_store_runs() {
    let endless = format!("SELECT count(*) FROM ({ENDLESS} SELECT n FROM x)");
    for version in ["1", "2", "3", "4", "5", "6"] {
        let old = fixture(&format!("stores/version-{version}.sqlite3"));
        let sandbox = Sandbox::new();
        let triggers = ["localstore_runs", "metadata", "localstore_tests"].map(|table| {
            format!(
                "CREATE TRIGGER {table}_insert AFTER INSERT ON {table} BEGIN {endless}; END;
                 CREATE TRIGGER {table}_update AFTER UPDATE ON {table} BEGIN {endless}; END;"
            )
        });
        let view = "CREATE VIEW broken AS SELECT core, x FROM localstore_runs";
        change(&sandbox, &old, "other.db", &(triggers.concat() + view));
        let ran = merge_within_bounds(&sandbox, "other.db");
        ran.ok();
        assert!(ran.text().ends_with(all_new(version)), "{}", ran.text());
        let index = "CREATE INDEX x ON localstore_runs (length(hex(zeroblob(9999999)) || source))";
        change(&sandbox, &old, "other.db", index);
        let said = merge_within_bounds(&sandbox, "other.db").failed();
        assert_eq!(
            said,
            "other.db: localstore_runs has an index on an expression, and only plain tables are read"
        );
    }
}

/// Pages that lead back to where they came from, and all to one page: rows without end.
#[cfg(unix)]
#[test]
fn pages_that_are_no_tree_are_damage() {
    let maker = Sandbox::new();
    changed_store(
        &maker,
        "other.db",
        "INSERT INTO messages (chat_id, role, content)
         WITH x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x LIMIT 5000)
         SELECT 1, 'user', hex(zeroblob(200)) FROM x",
    );
    let path = maker.path().join("other.db");
    let root: usize = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let content = std::fs::read(&path).unwrap();
    let page = (root - 1) * 4096;
    assert_eq!(content[page], 5, "the root of a tree of more than a page");
    let right = page + 8;
    let own = u32::try_from(root).unwrap().to_be_bytes();
    let right_most: [u8; 4] = content[right..right + 4].try_into().unwrap();
    for child in [own, right_most] {
        let mut content = content.clone();
        let cells = usize::from(u16::from_be_bytes([content[page + 3], content[page + 4]]));
        for cell in 0..cells {
            let pointer = page + 12 + 2 * cell;
            let at = usize::from(u16::from_be_bytes([content[pointer], content[pointer + 1]]));
            content[page + at..page + at + 4].copy_from_slice(&child);
        }
        content[right..right + 4].copy_from_slice(&child);
        let sandbox = Sandbox::new();
        sandbox.file("other.db", &content);
        let said = merge_within_bounds(&sandbox, "other.db").failed();
        assert!(
            said.starts_with("other.db: the table messages is damaged: "),
            "{said}"
        );
    }
}

/// Without its key, all tests are gone over for each run.
#[cfg(unix)]
#[test]
fn what_takes_too_many_steps_is_interrupted() {
    let sandbox = Sandbox::new();
    changed_store(
        &sandbox,
        "other.db",
        "DROP VIEW localstore_view_runs;
         DROP VIEW localstore_view_tests;
         CREATE TABLE tests AS SELECT * FROM localstore_tests;
         DROP TABLE localstore_tests;
         ALTER TABLE tests RENAME TO localstore_tests;
         INSERT INTO localstore_tests (run_id)
         WITH x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x LIMIT 100000) SELECT -9 FROM x;
         INSERT INTO localstore_runs (run_id, fingerprint, core, poor, source, environment_id,
             partial, measured_at)
         WITH x(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM x LIMIT 10000)
         SELECT n, x'', x'', 0, 'json', 1, 1, 0 FROM x;
         INSERT INTO benchmark_runs (id, avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score)
         SELECT run_id, 0, 0, 0, 0 FROM localstore_runs WHERE run_id >= 1000",
    );
    let ran = merge_within_bounds(&sandbox, "other.db");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("it takes far more time to read"),
        "{}",
        ran.stderr
    );
}

/// SQLite keeps any bytes as a text, and llamafile writes what a model says.
#[test]
fn a_chat_whose_text_is_not_utf_8_comes_over_as_it_is() {
    let sandbox = Sandbox::new();
    changed_store(
        &sandbox,
        "other.db",
        "UPDATE messages SET content = CAST(x'ff41' AS TEXT);
         UPDATE chats SET title = CAST(x'ff42' AS TEXT)",
    );
    let text = sandbox.run(["merge", "other.db"]).text();
    assert!(
        text.contains("1 chat: 1 new, 0 completed, 0 known"),
        "{text}"
    );
    let stored: String = sandbox
        .db()
        .query_row(
            "SELECT typeof(content) || hex(content) || typeof(title) || hex(title)
             FROM messages JOIN chats ON chats.id = chat_id",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(stored, "textFF41textFF42");
    let again = sandbox.run(["merge", "other.db"]).text();
    assert!(
        again.contains("1 chat: 0 new, 0 completed, 1 known"),
        "{again}"
    );
}

/// What `add` would not note of a submission is not taken over either: the run is.
#[test]
fn a_submission_that_cannot_be_is_named_and_left_out() {
    let cases = [
        (
            "'submitted', 'javascript:alert(1)', 7, NULL, 1",
            "link is not that of a result",
        ),
        (
            "'submitted', 'https://x.org/result/8', 7, NULL, 1",
            "link is not that of a result",
        ),
        (
            "'submitted', 'https://x.org/result/8', NULL, NULL, 1",
            "link is not that of a result",
        ),
        (
            "'unknown', NULL, NULL, 'https://x.org' || char(27) || '[2J', 1",
            "site is not the address of a site",
        ),
        (
            "'unknown', NULL, NULL, 'file:///etc/passwd', 1",
            "site is not the address of a site",
        ),
        ("'failed', NULL, NULL, NULL, -5", "attempts is negative"),
    ];
    for (values, why) in cases {
        let sandbox = Sandbox::new();
        let sql = format!(
            "INSERT INTO localstore_submissions (run_id, state, link, remote_id, site, attempts)
             VALUES (2, {values})"
        );
        changed_store(&sandbox, "other.db", &sql);
        for args in [
            &["merge", "other.db", "--dry-run"][..],
            &["merge", "other.db"],
        ] {
            let ran = sandbox.run(args);
            assert_eq!(ran.code, Some(1), "{values}: {}", ran.stderr);
            assert_eq!(
                ran.stderr,
                format!("localstore: other.db: run 2: its submission is left out: {why}\n")
            );
            let text = ran.text();
            assert!(
                text.ends_with("4 runs: 4 new, 0 completed, 0 known\n"),
                "{text}"
            );
        }
        let list = sandbox.run(["list", "-o", "jsonl"]).text();
        assert_eq!(
            list.matches("\"submission\":\"never\"").count(),
            4,
            "{list}"
        );
    }
}

//! The store with runs of llama-bench: checked, repaired, merged, backed up, removed, brought up from an
//! older version, and beside the web site.

use std::process::Stdio;

use rusqlite::Connection;

use crate::sandbox::{Sandbox, fixture, read_fixture};

const DEPTH: &str = "golden/llama-bench/v-b5361-depth.json";
const SCORE: &str = "golden/gpu-reps4.json";

/// The golden sets that are printed as json, by name.
const SETS: [&str; 10] = [
    "v-b1065-default",
    "v-b11500-default",
    "v-b11500-utf8",
    "v-b1805-types",
    "v-b3677-threads",
    "v-b4748-cpu",
    "v-b5361-depth",
    "v-b6065-two-models",
    "v-b6700-moe",
    "v-b9437-default",
];

fn golden(set: &str, format: &str) -> String {
    format!("golden/llama-bench/{set}.{format}")
}

/// Three runs of one document, whose rows lie among each other.
fn mixed_rows() -> String {
    let text = String::from_utf8(read_fixture(&golden("v-b6065-two-models", "jsonl"))).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (even, odd): (Vec<_>, Vec<_>) = (0..lines.len()).partition(|index| index % 2 == 0);
    let mixed: Vec<&str> = even.iter().chain(&odd).map(|&index| lines[index]).collect();
    mixed.join("\n") + "\n"
}

/// A store with a run of LocalScore between documents of llama-bench; run 3 to 5 are one.
fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add([DEPTH, SCORE]);
    sandbox.file("mixed.jsonl", mixed_rows());
    sandbox.run(["add", "mixed.jsonl"]).ok();
    sandbox.add([&*golden("v-b4748-cpu", "json")]);
    sandbox.run(["tag", "deep", "1", "4"]).ok();
    assert!(sandbox.run(["check"]).text().ends_with(": no error\n"));
    sandbox
}

/// A row a run, and a row a test, of all that is stored of llama-bench.
fn rows(sandbox: &Sandbox, db: &str) -> Vec<String> {
    let path = if db.is_empty() {
        sandbox.store()
    } else {
        sandbox.path().join(db)
    };
    let db = Connection::open(path).unwrap();
    let mut all = Vec::new();
    for sql in [
        "SELECT json_array(r.run_id, hex(fingerprint), hex(core), poor, source, measured_at,
             measured_guessed, score, tool, document, tests, prompt_tps, gen_tps, mean_prompt_tps,
             mean_gen_tps, table_id IS NULL, added_at, model_name, accelerator_name)
         FROM localstore_runs r JOIN localstore_bench_runs USING (run_id)
         JOIN localstore_models m ON m.id = r.model_id
         JOIN localstore_environments e ON e.id = r.environment_id ORDER BY 1",
        "SELECT json_array(run_id, position, n_prompt, n_gen, n_depth, test_time, avg_ns, stddev_ns,
             avg_ts, stddev_ts, samples_ns, samples_ts, fields, table_name, setting_values)
         FROM localstore_bench_tests t JOIN localstore_bench_settings s ON s.id = t.setting_id
         JOIN localstore_bench_schemas f ON f.id = s.schema_id ORDER BY run_id, position",
        "SELECT tag || run_id FROM localstore_tags ORDER BY 1",
    ] {
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        all.extend(rows.map(Result::unwrap));
    }
    all
}

/// Puts the store that was moved away back, as it was.
fn restore(sandbox: &Sandbox) {
    std::fs::copy(sandbox.path().join("whole.db"), sandbox.store()).unwrap();
}

fn execute(sandbox: &Sandbox, sql: &str) {
    let db = sandbox.db();
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    db.execute_batch(sql).unwrap();
}

/// Makes a database of these statements, in which a quote in a value is doubled.
fn database(sandbox: &Sandbox, name: &str, sql: &str) -> Connection {
    let db = Connection::open(sandbox.path().join(name)).unwrap();
    db.execute_batch(&sql.replace("it's", "it''s")).unwrap();
    db
}

#[test]
fn what_is_derived_from_the_rows_is_checked_and_derived_again() {
    let sandbox = store();
    sandbox.move_store("whole.db");
    for (damage, found) in [
        (
            "UPDATE localstore_bench_runs SET tests = 9, gen_tps = 1 WHERE run_id = 1",
            "run 1: has 9 tests, but 8 rows of them\nrun 1: its speeds do not match the tests\n",
        ),
        (
            "UPDATE localstore_runs SET score = 5, partial = 1, poor = 1 WHERE run_id = 4",
            "run 4: poor does not match the tests\nrun 4: partial does not match the tests\n\
             run 4: score does not match the tests\n",
        ),
        (
            "UPDATE localstore_runs SET fingerprint = x'00', measured_guessed = 1 WHERE run_id = 6",
            "run 6: the fingerprint does not match the tests\n\
             run 6: measured_guessed does not match the tests\n",
        ),
        (
            "UPDATE localstore_runs SET core = 7 WHERE run_id = 6",
            "run 6: core does not match the tests\n",
        ),
        (
            "UPDATE localstore_runs SET (environment_id, model_id, configuration_id) =
                 (SELECT environment_id, model_id, configuration_id FROM localstore_runs
                  WHERE run_id = 2) WHERE run_id = 3",
            "run 3: environment_id does not match the tests\nrun 3: model_id does not match the \
             tests\nrun 3: configuration_id does not match the tests\n",
        ),
        (
            "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'benchmark_runs'",
            "table benchmark_runs: its ids have reached 3, but there is run 6\n",
        ),
        (
            "DELETE FROM sqlite_sequence WHERE name = 'benchmark_runs'",
            "table benchmark_runs: its ids have reached 2, but there is run 6\n",
        ),
    ] {
        restore(&sandbox);
        let before = rows(&sandbox, "");
        execute(&sandbox, damage);
        let ran = sandbox.run(["check"]);
        assert_eq!(ran.code, Some(1));
        let text = ran.text();
        let text = text.strip_prefix(found).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(text.lines().count(), 1, "{text}");
        sandbox.run(["check", "--repair"]).ok();
        assert!(sandbox.run(["check"]).text().ends_with(": no error\n"));
        assert_eq!(rows(&sandbox, ""), before, "{damage}");
    }
}

/// What was measured is never made up or removed.
#[allow(clippy::too_many_lines, reason = "a list of damages")]
#[test]
fn a_run_whose_rows_are_damaged_is_named_and_stays() {
    let sandbox = store();
    sandbox.move_store("whole.db");
    for (damage, found) in [
        (
            "UPDATE localstore_bench_tests SET avg_ts = 1 WHERE run_id = 1 AND position = 0",
            "run 1: the fingerprint does not match the tests",
        ),
        (
            "DELETE FROM localstore_bench_tests WHERE run_id = 1 AND position = 1",
            "run 1: has 8 tests, but 7 rows of them",
        ),
        (
            "UPDATE localstore_bench_tests SET samples_ns = 'x' WHERE run_id = 1 AND position = 2",
            "run 1: test 2: samples_ns is not a list of integers",
        ),
        (
            "UPDATE localstore_bench_tests SET samples_ns = x'ff' WHERE run_id = 1 AND position = 2",
            "run 1: test 2: samples_ns is not a list of integers",
        ),
        (
            "UPDATE localstore_bench_settings SET setting_values = setting_values || 'x'
             WHERE id = 1",
            "localstore_bench_settings 1: the hash does not match the values",
        ),
        (
            "UPDATE localstore_bench_tests SET n_gen = 'x' WHERE run_id = 1 AND position = 2",
            "run 1: test 2: ",
        ),
        (
            "DELETE FROM localstore_bench_settings WHERE id = 1",
            "run 1: test 0: its settings are not in localstore_bench_settings",
        ),
        (
            "UPDATE localstore_bench_settings SET setting_values = '[\"1\"]' WHERE id = 1",
            "run 1: test 0: its settings do not fit their fields",
        ),
        (
            "UPDATE localstore_bench_settings SET setting_values = '[\"1\\' WHERE id = 1",
            "run 1: test 0: its settings do not fit their fields",
        ),
        (
            "UPDATE localstore_bench_schemas SET fields = '[[\"n_prompt' WHERE id = 1",
            "run 1: test 0: its settings do not fit their fields",
        ),
        (
            "DELETE FROM localstore_bench_runs WHERE run_id = 1",
            "run 1: its row of localstore_bench_runs or localstore_bench_identities is missing",
        ),
        (
            "DELETE FROM localstore_bench_identities WHERE id = 1",
            "run 1: its row of localstore_bench_runs or localstore_bench_identities is missing",
        ),
        (
            "DELETE FROM localstore_runs WHERE run_id = 1",
            "run 1: has rows in localstore_bench_tests, but there is no such run",
        ),
        (
            "UPDATE localstore_runs SET tool = 'other' WHERE run_id = 1",
            "run 1: tool is 'other'",
        ),
        (
            "UPDATE localstore_runs SET tool = 'localscore' WHERE run_id = 1",
            "run 1: has rows in localstore_bench_tests, but is no run of llama-bench",
        ),
        (
            "UPDATE localstore_runs SET tool = 'llama-bench' WHERE run_id = 2",
            "run 2: has rows in localstore_tests, but is no run of LocalScore",
        ),
        (
            "UPDATE localstore_bench_runs SET document = 1",
            "run 6: test 0 has the place of one of run 1",
        ),
        (
            "INSERT INTO benchmark_runs (id, avg_prompt_tps, avg_gen_tps, avg_ttft_ms,
                 performance_score) VALUES (1, 0, 0, 0, 0)",
            "run 1: has a row in benchmark_runs, which is for runs of LocalScore",
        ),
    ] {
        restore(&sandbox);
        execute(&sandbox, damage);
        let stored = || -> i64 {
            let sql = "SELECT count(*) FROM localstore_bench_tests";
            sandbox.db().query_row(sql, [], |row| row.get(0)).unwrap()
        };
        let before = stored();
        let text = sandbox.run(["check"]).text();
        assert!(
            text.lines().any(|line| line.starts_with(found)),
            "{damage}: {text}"
        );
        let text = sandbox.run(["check", "--repair"]).text();
        assert!(text.contains(" (cannot be mended)"), "{damage}: {text}");
        assert_eq!(stored(), before);
        // Whatever reads it comes to an end, and says why it has none.
        for command in [
            "list",
            "show 1",
            "export 1 -o json",
            "export --all -o csv",
            "export --all -o md",
            "compare 1 4",
            "history",
            "rm -y 1",
        ] {
            let ran = sandbox.run(command.split(' '));
            assert!(
                matches!(ran.code, Some(0 | 1 | 3)) && !ran.stderr.contains("panicked"),
                "{damage}: {command}: {}",
                ran.stderr
            );
        }
    }
}

#[test]
fn another_store_is_merged_row_by_row_and_its_documents_stay_whole() {
    let from = store();
    std::fs::copy(from.store(), from.path().join("from.db")).unwrap();
    let merge = |args: &[&str]| {
        let ran = from.run(["merge", "from.db", "--db", "to.db"].iter().chain(args));
        ran.ok();
        ran.text()
    };
    // Bring the log into the file.
    let before = rows(&from, "from.db");
    let bytes = std::fs::read(from.path().join("from.db")).unwrap();
    let said = merge(&["--dry-run"]);
    assert_eq!(said.lines().count(), 7);
    assert!(!from.path().join("to.db").exists());
    let text = merge(&[]);
    assert!(
        text.ends_with("\n6 runs: 6 new, 0 completed, 0 known\n"),
        "{text}"
    );
    assert!(text.starts_with("run 1: "), "{text}");
    assert_eq!(rows(&from, "to.db"), before);
    assert!(std::fs::read(from.path().join("from.db")).unwrap() == bytes);
    for format in ["json", "csv"] {
        let export = |db: &str| from.run(["export", "--all", "-o", format, "--db", db]).ok();
        assert!(export("to.db") == export("from.db"), "{format}");
    }
    let again = "6 runs: 0 new, 0 completed, 6 known\n";
    assert_eq!(merge(&["--dry-run"]), again);
    assert_eq!(merge(&[]), again);
    assert_eq!(rows(&from, "to.db"), before);
    from.run(["check", "--db", "to.db"]).ok();
}

#[test]
fn a_merged_run_that_is_known_better_completes_the_one_that_is_there() {
    for set in SETS {
        let sandbox = Sandbox::new();
        let file = fixture(&golden(set, "json"));
        let add = ["add".as_ref(), "--db".as_ref(), "json.db".as_ref()];
        sandbox.run(add.into_iter().chain([file.as_os_str()])).ok();
        let sql = String::from_utf8(read_fixture(&golden(set, "sql"))).unwrap();
        drop(database(&sandbox, "bench.db", &sql));
        sandbox.run(["merge", "bench.db", "--db", "sql.db"]).ok();
        let merge = |to: &str, from: &str| sandbox.run(["merge", from, "--db", to]).text();
        let dry_run = sandbox.run(["merge", "json.db", "--db", "sql.db", "--dry-run"]);
        let sum = |text: &str| text.lines().last().unwrap().to_owned();
        let text = merge("sql.db", "json.db");
        assert!(text.contains(" 0 new, ") && text.ends_with(" 0 known\n"));
        assert_eq!(sum(&dry_run.text()), sum(&text));
        let json = sandbox.run(["export", "--all", "-o", "json", "--db", "sql.db"]);
        assert!(json.ok() == read_fixture(&golden(set, "json")), "{set}");
        assert!(merge("sql.db", "json.db").contains(" 0 new, 0 completed, "));
        sandbox.run(["check", "--db", "sql.db"]).ok();
        // The other way round, what is there stays, but for bytes that json loses.
        merge("json.db", "sql.db");
        let csv = sandbox.run(["export", "--all", "-o", "csv", "--db", "json.db"]);
        assert!(csv.ok() == read_fixture(&golden(set, "csv")), "{set}");
        sandbox.run(["check", "--db", "json.db"]).ok();
    }
}

#[test]
fn a_merged_date_that_is_known_takes_the_place_of_a_guessed_one() {
    let sandbox = Sandbox::new();
    let text = String::from_utf8(read_fixture(&golden("v-b4748-cpu", "json"))).unwrap();
    let lines = text.lines().filter(|line| !line.contains("\"test_time\""));
    sandbox.file("undated", lines.collect::<Vec<_>>().join("\n"));
    let ran = sandbox.run(["add", "undated", "--measured-at", "2025-02-19T21:20:07Z"]);
    ran.ok();
    sandbox.move_store("known.db");
    sandbox.run(["add", "undated"]).ok();
    let guessed = || -> bool {
        let sql = "SELECT measured_guessed FROM localstore_runs";
        sandbox.db().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert!(guessed());
    for args in [
        &["merge", "known.db", "--dry-run"][..],
        &["merge", "known.db"],
    ] {
        let text = sandbox.run(args).text();
        assert!(text.ends_with("0 new, 1 completed, 0 known\n"), "{text}");
    }
    assert!(!guessed());
    sandbox.run(["check"]).ok();
}

/// A run of another file is read as strictly as a document.
#[test]
fn a_damaged_run_of_another_store_is_named_and_left_out() {
    let from = store();
    from.move_store("whole.db");
    for (damage, why) in [
        (
            "UPDATE localstore_bench_tests SET avg_ts = 'fast' WHERE run_id = 4",
            "run 4: test 1: avg_ts is not a number: 'fast'",
        ),
        (
            "UPDATE localstore_bench_tests SET n_prompt = -1 WHERE run_id = 4",
            "run 4: test 1: n_prompt is not a number: '-1'",
        ),
        (
            "UPDATE localstore_bench_tests SET n_prompt = 0, n_gen = 0 WHERE run_id = 4",
            "run 4: test 1: n_prompt and n_gen are both 0",
        ),
        (
            "UPDATE localstore_bench_tests SET samples_ns = '[-1]' WHERE run_id = 4",
            "run 4: test 1: samples_ns is not a list of integers",
        ),
        (
            "DELETE FROM localstore_bench_tests WHERE run_id = 4",
            "run 4: its tests are those of 0 runs",
        ),
        (
            "UPDATE localstore_bench_runs SET added_at = 'x' WHERE run_id = 4",
            "run 4: added_at is not a date",
        ),
        (
            "UPDATE localstore_runs SET source = 'console' WHERE run_id = 4",
            "run 4: test 1: its fields are not those of a row",
        ),
        (
            "UPDATE localstore_runs SET environment_id = 99 WHERE run_id = 4",
            "run 4: its header is not in localstore_environments",
        ),
        (
            "DELETE FROM localstore_bench_runs WHERE run_id = 4",
            "run 4: its row of localstore_bench_runs is missing",
        ),
    ] {
        restore(&from);
        execute(&from, damage);
        from.move_store("from.db");
        let ran = from.run(["merge", "from.db"]);
        assert_eq!(ran.code, Some(1), "{damage}: {}", ran.text());
        assert_eq!(ran.stderr, format!("localstore: from.db: {why}\n"));
        let sum = "6 runs: 5 new, 0 completed, 0 known, 1 refused\n";
        assert!(ran.text().ends_with(sum), "{}", ran.text());
        from.run(["check"]).ok();
    }
}

#[test]
fn a_database_of_llama_bench_is_read_row_by_row() {
    for set in SETS {
        let sandbox = Sandbox::new();
        let sql = String::from_utf8(read_fixture(&golden(set, "sql"))).unwrap();
        drop(database(&sandbox, "bench.db", &sql));
        let before = std::fs::read(sandbox.path().join("bench.db")).unwrap();
        let dry_run = sandbox.run(["merge", "bench.db", "--dry-run"]).text();
        let text = sandbox.run(["merge", "bench.db"]).text();
        assert_eq!(dry_run.lines().last(), text.lines().last());
        assert!(
            text.contains(" new, 0 completed, 0 known\n"),
            "{set}: {text}"
        );
        assert!(std::fs::read(sandbox.path().join("bench.db")).unwrap() == before);
        let export = |format| sandbox.run(["export", "--all", "-o", format]).ok();
        assert!(export("csv") == read_fixture(&golden(set, "csv")), "{set}");
        let expected = sql.replace("it's", "it''s");
        assert!(export("sql") == expected.as_bytes(), "{set}");
        assert!(
            sandbox
                .run(["merge", "bench.db"])
                .text()
                .contains(" 0 new, 0 completed, ")
        );
        sandbox.run(["check"]).ok();
        // The same run as json completes it.
        sandbox.add([&*golden(set, "json")]);
        assert!(
            export("json") == read_fixture(&golden(set, "json")),
            "{set}"
        );
    }
}

/// Rows of several versions in one table have null where a version has no such field.
#[test]
fn rows_of_many_versions_are_the_runs_that_they_were() {
    let sandbox = Sandbox::new();
    for set in SETS.iter().filter(|set| !set.ends_with("utf8")) {
        sandbox.add([&*golden(set, "json")]);
    }
    let sql = sandbox.run(["export", "--all", "-o", "sql"]).text();
    drop(database(&sandbox, "all.db", &sql));
    let text = sandbox.run(["merge", "all.db"]).text();
    assert_eq!(text, "11 runs: 0 new, 0 completed, 11 known\n");
    let text = sandbox.run(["merge", "all.db", "--db", "new.db"]).text();
    assert!(
        text.ends_with("\n11 runs: 11 new, 0 completed, 0 known\n"),
        "{text}"
    );
    sandbox.run(["check", "--db", "new.db"]).ok();
}

#[test]
fn a_bad_row_of_a_database_refuses_its_run_alone() {
    let sandbox = Sandbox::new();
    let sql = String::from_utf8(read_fixture(&golden("v-b6065-two-models", "sql"))).unwrap();
    let db = database(&sandbox, "bench.db", &sql);
    db.execute_batch(
        "UPDATE llama_bench SET avg_ts = 'fast' WHERE model_type LIKE 'gemma3%';
         CREATE TABLE test_backend_ops (x);
         CREATE TABLE test (n_prompt, n_gen, avg_ts, other)",
    )
    .unwrap();
    let ran = sandbox.run(["merge", "bench.db"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "localstore: bench.db: the table test_backend_ops is left out: that program measures no model\n\
         localstore: bench.db: llama_bench row 3: avg_ts is not a number: 'fast'\n"
    );
    let sum = "3 runs: 2 new, 0 completed, 0 known, 1 refused\n";
    assert!(ran.text().ends_with(sum), "{}", ran.text());
    db.execute_batch("DROP TABLE llama_bench").unwrap();
    let said = sandbox.run(["merge", "bench.db"]).failed();
    let why = "this is test-backend-ops output, and only LocalScore and llama-bench are read";
    assert_eq!(said, format!("bench.db: {why}"));
    db.execute_batch(
        "DROP TABLE test_backend_ops;
         CREATE VIEW llama_bench AS SELECT 1 AS n_prompt, 0 AS n_gen, 1.0 AS avg_ts, '' AS build_commit",
    )
    .unwrap();
    let said = sandbox.run(["merge", "bench.db"]).failed();
    assert_eq!(said, "bench.db: llama_bench is no plain table");
}

/// The site takes its ids from the same sequence.
#[test]
fn the_site_and_llama_bench_never_share_an_id() {
    let sandbox = Sandbox::new();
    sandbox.add([SCORE, DEPTH]);
    let site = || {
        let db = sandbox.db();
        db.execute_batch(
            "INSERT INTO benchmark_runs (system_id, accelerator_id, model_variant_id, runtime_id,
                 avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score)
             SELECT system_id, accelerator_id, model_variant_id, runtime_id, 2, 2, 2, 2
             FROM benchmark_runs WHERE id = 1",
        )
        .unwrap();
        db.last_insert_rowid()
    };
    assert_eq!(site(), 3);
    let shown = |args: &[&str]| sandbox.run(args).text();
    assert_eq!(shown(&["list", "-o", "jsonl"]).lines().count(), 3);
    assert!(shown(&["show", "2"]).contains("llama 8B"));
    let before = shown(&["list", "-o", "jsonl"]);
    sandbox.add([&*golden("v-b4748-cpu", "json")]);
    let after = shown(&["list", "-o", "jsonl"]);
    assert!(
        after.ends_with(&before) || after.starts_with(&before),
        "{after}"
    );
    assert_eq!(site(), 5);
    sandbox.run(["rm", "-y", "4"]).ok();
    // An id is not given out again.
    sandbox.add([&*golden("v-b4748-cpu", "json")]);
    assert_eq!(site(), 7);
    assert!(shown(&["check"]).ends_with(": no error\n"));
    let sql =
        "SELECT group_concat(run_id || tool) FROM (SELECT * FROM localstore_view_runs ORDER BY 1)";
    let all: String = sandbox.db().query_row(sql, [], |row| row.get(0)).unwrap();
    let expected = "1localscore,2llama-bench,3localscore,5localscore,6llama-bench,7localscore";
    assert_eq!(all, expected);
}

#[test]
fn a_removed_run_leaves_the_others_of_its_document() {
    let sandbox = store();
    let export = |runs: &[&str]| {
        sandbox
            .run([&["export", "-o", "jsonl"][..], runs].concat())
            .text()
    };
    let (third, fifth) = (export(&["3"]), export(&["5"]));
    let both = export(&["3", "5"]);
    sandbox.run(["rm", "-y", "4"]).ok();
    assert_eq!(export(&["3"]), third);
    assert_eq!(export(&["5"]), fifth);
    assert_eq!(export(&["3", "5"]), both);
    let db = sandbox.db();
    let left: i64 = db
        .query_row(
            "SELECT (SELECT count(*) FROM localstore_bench_tests WHERE run_id = 4)
                 + (SELECT count(*) FROM localstore_bench_runs WHERE run_id = 4)
                 + (SELECT count(*) FROM localstore_tags WHERE run_id = 4)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
    sandbox.run(["rm", "-y", "1", "3", "5", "6"]).ok();
    assert!(sandbox.run(["check"]).text().ends_with(": no error\n"));
    // It is a new run, with the bytes of the document, when it is added again.
    sandbox.run(["add", "mixed.jsonl"]).ok();
    assert_eq!(export(&["7-9"]), mixed_rows());
}

#[test]
fn a_backup_has_all_of_it() {
    let sandbox = store();
    sandbox.run(["backup", "copy.db"]).ok();
    assert_eq!(rows(&sandbox, "copy.db"), rows(&sandbox, ""));
    let text = sandbox.run(["check", "--db", "copy.db"]).text();
    assert_eq!(text, sandbox.run(["check"]).text());
}

/// Older stores: whoever comes first migrates, and what others have in the file stays.
#[test]
fn an_older_store_takes_up_llama_bench_whoever_comes_first() {
    for version in ["1", "2", "3", "4", "5", "6"] {
        let sandbox = Sandbox::new();
        std::fs::create_dir_all(sandbox.store().parent().unwrap()).unwrap();
        let old = fixture(&format!("stores/version-{version}.sqlite3"));
        std::fs::copy(old, sandbox.store()).unwrap();
        sandbox
            .db()
            .execute_batch(
                "PRAGMA foreign_keys = OFF;
                 CREATE VIEW broken AS SELECT gone FROM localstore_runs;
                 CREATE VIEW lost AS SELECT * FROM no_such_table;
                 CREATE TABLE notes (run REFERENCES localstore_runs(run_id), note);
                 INSERT INTO notes VALUES (1, 'mine'), (99, 'gone')",
            )
            .unwrap();
        let sets: Vec<&str> = SETS
            .into_iter()
            .filter(|set| !set.contains("two"))
            .collect();
        let children: Vec<_> = (0..8)
            .map(|index| {
                let mut command = sandbox.command(["add"]);
                command.arg(fixture(&golden(sets[index], "json")));
                command.stdout(Stdio::null()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            assert_eq!(output.status.code(), Some(0));
        }
        let db = sandbox.db();
        let (runs, ids, notes): (i64, i64, i64) = db
            .query_row(
                "SELECT count(*), count(DISTINCT run_id), (SELECT count(*) FROM notes)
                 FROM localstore_runs",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        // That of version 6 has some already.
        let all = if version == "6" { 17 } else { 14 };
        assert_eq!((runs, ids, notes), (all, all, 2));
        db.execute_batch("DROP TABLE notes").unwrap();
        assert!(sandbox.run(["check"]).text().ends_with(": no error\n"));
    }
}

#[test]
fn the_views_have_the_runs_and_tests_of_both_tools() {
    let sandbox = store();
    let db = sandbox.db();
    let text = |sql: &str| -> String { db.query_row(sql, [], |row| row.get(0)).unwrap() };
    let run = text(
        "SELECT json_array(measured_at, model, quant, accelerator, runtime, runtime_version,
             score, round(avg_gen_tps, 2), avg_ttft_ms, tests, partial, rounded, tags, source, tool)
         FROM localstore_view_runs WHERE run_id = 1",
    );
    assert_eq!(
        run,
        "[\"2025-05-13T01:33:27Z\",\"llama 8B Q4_K - Medium\",\"Q4_K - Medium\",\
         \"NVIDIA GeForce RTX 4090\",\"llama.cpp\",\"b5361\",null,149.73,null,8,0,0,\"deep\",\"json\",\
         \"llama-bench\"]"
    );
    let test = text(
        "SELECT group_concat(json_array(test, n_depth, prompt_tps, gen_tps, tps, tps_stddev), x'0a')
         FROM localstore_view_tests WHERE run_id = 1 AND position IN (1, 2)",
    );
    assert_eq!(
        test,
        "[\"tg128\",0,null,149.729363,149.729363,1.901273]\n\
         [\"pp512 @ d4096\",4096,6142.537994,null,6142.537994,70.746599]"
    );
    let localscore = text(
        "SELECT group_concat(DISTINCT tool || n_depth || (tps IS NULL)) FROM localstore_view_tests
         WHERE run_id = 2",
    );
    assert_eq!(localscore, "localscore01");
    let counts = text(
        "SELECT (SELECT count(*) FROM localstore_view_runs) || ' '
             || (SELECT sum(tests) FROM localstore_view_runs) || ' '
             || (SELECT count(*) FROM localstore_view_tests)",
    );
    let counts: Vec<&str> = counts.split(' ').collect();
    assert_eq!(counts[0], "6");
    assert_eq!(counts[1], counts[2]);
}

/// Of a table the columns are all that another capture does not have.
#[test]
fn a_merged_table_gives_its_columns_to_the_run_that_it_is() {
    let sandbox = Sandbox::new();
    for format in ["md", "json"] {
        let file = fixture(&golden("v-b5361-depth", format));
        let db = format!("{format}.db");
        let args = ["add".as_ref(), "--db".as_ref(), db.as_ref()];
        sandbox.run(args.into_iter().chain([file.as_os_str()])).ok();
    }
    let merge = |to: &str, from: &str, sum: &str| {
        for args in [&["--dry-run"][..], &[]] {
            let ran = sandbox.run([&["merge", from, "--db", to][..], args].concat());
            let text = ran.text();
            assert!(text.ends_with(&format!("1 run: {sum}\n")), "{text}");
        }
        sandbox.run(["check", "--db", to]).ok();
        let md = sandbox.run(["export", "--all", "-o", "md", "--db", to]);
        assert!(md.ok() == read_fixture(&golden("v-b5361-depth", "md")));
    };
    merge("new.db", "md.db", "1 new, 0 completed, 0 known");
    merge("json.db", "md.db", "0 new, 1 completed, 0 known");
    merge("json.db", "md.db", "0 new, 0 completed, 1 known");
    merge("new.db", "json.db", "0 new, 1 completed, 0 known");
    let json = sandbox.run(["export", "--all", "-o", "json", "--db", "new.db"]);
    assert!(json.ok() == read_fixture(&golden("v-b5361-depth", "json")));
}

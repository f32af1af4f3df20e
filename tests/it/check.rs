//! `check`: what is wrong is found, named and, where it can be computed, made right.

use rusqlite::Connection;

use crate::sandbox::{Ran, Sandbox, fixture, read_fixture};

/// A store with runs of each kind, completed, tagged, submitted and removed.
fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/cpu-i7-14b.csv",
        "golden/gpu-rtx4090-8b.json",
        "golden/second-gpu.json",
        "golden/gpu-reps4.md",
        "golden/nan-stddev.json",
        "golden/single-test.json",
        "golden/cpu-i7-14b.json",
        "captures/capture-json-submitted.stdout.txt",
    ]);
    sandbox.run(["tag", "baseline", "2", "3"]).ok();
    sandbox.run(["rm", "-y", "5"]).ok();
    sandbox
}

fn change(sandbox: &Sandbox, sql: &str) {
    let db = sandbox.db();
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    db.execute_batch(sql).unwrap();
    assert!(db.changes() > 0, "nothing was changed by: {sql}");
}

fn export(sandbox: &Sandbox) -> String {
    sandbox.run(["export", "--all", "-o", "jsonl"]).text()
}

/// The lines before the last one, which sums up.
fn findings(ran: &Ran) -> Vec<String> {
    let text = ran.text();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.pop();
    lines
}

#[test]
fn a_store_that_was_written_to_in_every_way_is_right() {
    let sandbox = store();
    let before = std::fs::read(sandbox.store()).unwrap();
    let ran = sandbox.run(["check"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    6 runs, 46 tests, 3 scores: no error
    --- stderr
    ");
    assert!(std::fs::read(sandbox.store()).unwrap() == before);
    let json: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["check", "-o", "json"]).ok()).unwrap();
    assert_eq!(json["wrong"], 0);
    assert_eq!(json["findings"].as_array().unwrap().len(), 0);
    // Nothing to mend changes nothing.
    let all = export(&sandbox);
    sandbox.run(["check", "--repair"]).ok();
    assert_eq!(export(&sandbox), all);

    let other = Sandbox::new();
    other.add(["golden/second-gpu.csv", "golden/utf8-model.csv"]);
    let file = sandbox.store();
    other.run(["merge".as_ref(), file.as_os_str()]).ok();
    other.run(["check"]).ok();
}

/// The last line counts what was named above it.
#[test]
fn errors_are_counted_in_runs() {
    let sandbox = store();
    let check = |sql: &str| {
        sandbox.db().execute_batch(sql).unwrap();
        let ran = sandbox.run(["check"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.is_empty(), "{}", ran.stderr);
        ran.text()
    };
    let test = |run, position| {
        format!(
            "DELETE FROM test_results WHERE id = (SELECT test_result_id FROM localstore_tests
             WHERE run_id = {run} AND position = {position})"
        )
    };
    assert_eq!(
        check(&test(2, 3)),
        "run 2: test 3 has no row in test_results\n\
         1 error in 1 run; 'localstore check --repair' mends 1\n"
    );
    check(&test(2, 4));
    let text = check(&test(3, 1));
    assert!(
        text.ends_with("\n3 errors in 2 runs; 'localstore check --repair' mends 3\n"),
        "{text}"
    );
    let text = check("UPDATE localstore_scores SET runs = 77");
    assert!(text.contains(" errors, 3 of them in 2 runs; '"), "{text}");
    let ran = sandbox.run(["check", "--repair"]);
    assert!(
        ran.text().ends_with(" scores: no error\n"),
        "{}",
        ran.text()
    );
}

#[test]
fn a_file_of_llamafile_alone_and_an_empty_one_are_right() {
    let sandbox = Sandbox::new();
    let chats = fixture("stores/llamafile.sqlite3");
    let args = ["check".as_ref(), "--db".as_ref(), chats.as_os_str()];
    let text = sandbox.run(args).text();
    assert_eq!(text, "0 runs, 0 tests, 0 scores: no error\n");
    sandbox.file("empty", "");
    sandbox.run(["check", "--db", "empty"]).ok();
    let message = sandbox.run(["check"]).failed();
    assert!(message.ends_with("there is no store"), "{message}");
    assert!(!sandbox.store().exists());
}

/// A damage, and how `check` names it.
const MENDABLE: &[(&str, &str)] = &[
    (
        "UPDATE benchmark_runs SET avg_gen_tps = 7 WHERE id = 2",
        "run 2: avg_gen_tps is 7, but its tests give 133.34",
    ),
    (
        "UPDATE benchmark_runs SET created_at = NULL WHERE id = 2",
        "run 2: created_at is not a date",
    ),
    (
        "UPDATE benchmark_runs SET created_at = 'soon' WHERE id = 2",
        "run 2: created_at is not a date",
    ),
    (
        "UPDATE benchmark_runs SET performance_score = 9e9 WHERE id = 3",
        "run 3: performance_score is 9000000000, but its tests give 1875.",
    ),
    (
        "UPDATE test_results SET prompt_tps = 1 WHERE benchmark_run_id = 2 AND n_gen = 16",
        "run 2: test 0: prompt_tps differs in test_results",
    ),
    (
        "UPDATE test_results SET name = 'x' WHERE benchmark_run_id = 2 AND n_gen = 16",
        "run 2: test 0: name differs in test_results",
    ),
    (
        "DELETE FROM test_results WHERE benchmark_run_id = 3 AND n_gen = 1536",
        "run 3: test 8 has no row in test_results",
    ),
    (
        "DELETE FROM benchmark_runs WHERE id = 3",
        "run 3: has no row in benchmark_runs",
    ),
    (
        "UPDATE localstore_runs SET fingerprint = zeroblob(16) WHERE run_id = 2",
        "run 2: the fingerprint does not match the tests",
    ),
    (
        "UPDATE localstore_runs SET core = 7 WHERE run_id = 2",
        "run 2: core does not match the tests",
    ),
    (
        "UPDATE localstore_runs SET partial = 1 WHERE run_id = 2",
        "run 2: partial does not match the tests",
    ),
    (
        "UPDATE localstore_runs SET poor = 1 WHERE run_id = 2",
        "run 2: poor does not match the tests",
    ),
    (
        "UPDATE localstore_runs SET model_id = NULL WHERE run_id = 2",
        "run 2: model_id does not match the tests",
    ),
    (
        "UPDATE benchmark_runs SET accelerator_id = 3 WHERE id = 2",
        "run 2: benchmark_runs refers to another accelerator",
    ),
    (
        "UPDATE benchmark_runs SET system_id = NULL WHERE id = 2",
        "run 2: benchmark_runs refers to another system",
    ),
    (
        "UPDATE benchmark_runs SET model_variant_id = NULL WHERE id = 2",
        "run 2: benchmark_runs refers to another model variant",
    ),
    (
        "UPDATE runtimes SET version = '7'",
        "run 2: benchmark_runs refers to another runtime",
    ),
    (
        "UPDATE localstore_runs SET measured_guessed = 1 WHERE run_id = 2",
        "run 2: measured_guessed does not match the tests",
    ),
    (
        "UPDATE localstore_runs SET measured_guessed = 7 WHERE run_id = 3",
        "run 3: measured_guessed does not match the tests",
    ),
    (
        "UPDATE localstore_runs SET score = 7 WHERE run_id = 2",
        "run 2: score differs from that in benchmark_runs",
    ),
    (
        "UPDATE localstore_runs SET configuration_id = 1 WHERE run_id = 2",
        "run 2: configuration_id does not match the model, accelerator and runtime",
    ),
    (
        "UPDATE localstore_runs SET configuration_id = NULL WHERE run_id = 2",
        "run 2: configuration_id does not match the model, accelerator and runtime",
    ),
    (
        "UPDATE localstore_scores SET sums = x'00'",
        "score of accelerator 1, model variant 2: the sums are damaged",
    ),
    (
        "UPDATE localstore_scores SET sums = replace(sums, '\"sum\":', '\"sum\":1')",
        "score of accelerator 1, model variant 2: the sums do not match the runs",
    ),
    (
        "UPDATE localstore_scores SET runs = 70",
        "score of accelerator 1, model variant 2: localstore_scores counts 70 runs, but there are",
    ),
    (
        "DELETE FROM localstore_scores",
        "score of accelerator 1, model variant 2: has no row in localstore_scores",
    ),
    (
        "DELETE FROM accelerator_model_performance_scores",
        "score of accelerator 1, model variant 2: has no row in accelerator_model_performance",
    ),
    (
        "UPDATE accelerator_model_performance_scores SET avg_ttft = 1",
        "score of accelerator 1, model variant 2: is not the mean of its runs",
    ),
    (
        "INSERT INTO localstore_scores SELECT 77, 77, runs, sums FROM localstore_scores LIMIT 1",
        "table localstore_scores: has ",
    ),
    (
        "INSERT INTO localstore_tags VALUES ('lost', 77)",
        "run 77: has rows in localstore_tags, but there is no such run",
    ),
    (
        "INSERT INTO localstore_submissions (run_id, state) VALUES (77, 'pending')",
        "run 77: has rows in localstore_submissions, but there is no such run",
    ),
    (
        "UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'benchmark_runs'",
        "table benchmark_runs: the ids are used up: nothing can be added",
    ),
    (
        "UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'localstore_changes'",
        "table localstore_changes: the ids are used up: nothing can be added",
    ),
    (
        "DELETE FROM metadata WHERE key = 'localstore.store_id'",
        "table metadata: localstore.store_id is missing, or is not 32 hexadecimal digits",
    ),
    (
        "UPDATE metadata SET value = 'mine' WHERE key = 'localstore.store_id'",
        "table metadata: localstore.store_id is missing, or is not 32 hexadecimal digits",
    ),
    (
        "DELETE FROM localstore_changes WHERE run_id = 2 AND kind = 'run'",
        "run 2: is not in localstore_changes: no other database would get it",
    ),
    (
        "UPDATE localstore_changes SET nonce = 'text' WHERE change = 3",
        "localstore_changes 3: the nonce is not 8 bytes",
    ),
    (
        "INSERT INTO localstore_peers (store, change, nonce) VALUES (randomblob(16), 1, 'text')",
        "localstore_peers 1: not a place in the log of a remote",
    ),
    (
        "INSERT INTO localstore_unknown_members VALUES (77, '{}')",
        "run 77: has rows in localstore_unknown_members, but there is no such run",
    ),
];

/// What is computed from the tests is found if it is wrong, and made right again; no export changes.
#[test]
fn what_can_be_computed_is_mended() {
    let original = store();
    let all = export(&original);
    for &(sql, expected) in MENDABLE {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.store().parent().unwrap()).unwrap();
        std::fs::copy(original.store(), sandbox.store()).unwrap();
        change(&sandbox, sql);

        let ran = sandbox.run(["check"]);
        assert_eq!(ran.code, Some(1), "{sql}");
        let found = findings(&ran);
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{sql}: {found:?}"
        );
        let sum = ran.text();
        let sum = sum.lines().last().unwrap();
        assert!(
            sum.contains("; 'localstore check --repair' mends "),
            "{sum}"
        );
        assert!(ran.stderr.is_empty(), "{}", ran.stderr);

        let ran = sandbox.run(["check", "--repair"]);
        let text = ran.text();
        assert_eq!(ran.code, Some(0), "{sql}: {text}");
        assert!(
            text.lines()
                .any(|line| line.starts_with(expected) && line.ends_with(" (mended)"))
        );
        let text = sandbox.run(["check"]).text();
        assert!(text.ends_with(": no error\n"), "{sql}: {text}");
        assert_eq!(
            without_dates(&export(&sandbox)),
            without_dates(&all),
            "{sql}"
        );
        sandbox.add(["golden/utf8-model.json"]);
        sandbox.run(["check"]).ok();
    }
}

/// Other programs read the views, which nothing else here does.
#[test]
fn views_that_are_gone_or_changed_are_made_again() {
    let sandbox = store();
    let views = || -> Vec<String> {
        let db = sandbox.db();
        let mut statement = db
            .prepare("SELECT name || sql FROM sqlite_schema WHERE type = 'view' ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let before = views();
    assert_eq!(before.len(), 2);
    for sql in [
        "DROP VIEW localstore_view_tests",
        "DROP VIEW localstore_view_tests; CREATE VIEW localstore_view_tests AS SELECT 1",
    ] {
        sandbox.db().execute_batch(sql).unwrap();
        let ran = sandbox.run(["check"]);
        assert_eq!(ran.code, Some(1), "{sql}");
        let found = "view localstore_view_tests: is missing, or computes something else";
        assert_eq!(findings(&ran), [found], "{sql}");
        sandbox.run(["list"]).ok();
        sandbox.run(["check", "--repair"]).ok();
        assert_eq!(views(), before, "{sql}");
    }
    // A table is somebody's, whatever its name.
    let sql = "DROP VIEW localstore_view_runs; CREATE TABLE localstore_view_runs (a)";
    sandbox.db().execute_batch(sql).unwrap();
    let ran = sandbox.run(["check", "--repair"]);
    assert_eq!(ran.code, Some(1));
    let found =
        "view localstore_view_runs: is missing, or computes something else (cannot be mended)";
    assert_eq!(findings(&ran), [found]);
}

/// When a run was added is noted in its public row alone.
fn without_dates(jsonl: &str) -> Vec<serde_json::Value> {
    let run = |line| {
        let mut run: serde_json::Value = serde_json::from_str(line).unwrap();
        run.as_object_mut().unwrap().remove("added_at").unwrap();
        run
    };
    jsonl.lines().map(run).collect()
}

#[test]
fn what_nobody_knows_is_left_and_named() {
    let cases = [
        (
            "UPDATE localstore_tests SET prompt_tps = 1.5 WHERE run_id = 2 AND position = 4",
            "run 2: test 4: prompt_tps differs in test_results",
        ),
        (
            "DELETE FROM localstore_tests WHERE run_id = 2 AND position = 3",
            "run 2: test 3 is missing",
        ),
        (
            "DELETE FROM localstore_runs WHERE run_id = 2",
            "run 2: has rows in localstore_tests, but there is no such run",
        ),
        (
            "DELETE FROM localstore_runs WHERE run_id = 2; DELETE FROM localstore_tests WHERE run_id = 2",
            "run 2: is in benchmark_runs, but not in localstore_runs",
        ),
        (
            "UPDATE localstore_tests SET samples_ns = '[1, oh' WHERE run_id = 2 AND position = 3",
            "run 2: test 3: samples_ns is not a list of integers",
        ),
        (
            "UPDATE localstore_tests SET n_gen = 'many' WHERE run_id = 2 AND position = 3",
            "run 2: test 3: n_gen is text",
        ),
        (
            "UPDATE localstore_runs SET source = 'hearsay' WHERE run_id = 2",
            "run 2: source is 'hearsay'",
        ),
        (
            "UPDATE localstore_runs SET environment_id = 77 WHERE run_id = 2",
            "run 2: its header is not in localstore_environments",
        ),
        (
            "UPDATE localstore_tests SET model_id = 77 WHERE run_id = 2 AND position = 0",
            "run 2: test 0: its model is not in localstore_models",
        ),
        (
            "UPDATE localstore_tests SET prompt_tps = 1, stddev_time_ms = 2 WHERE run_id = 2 AND position = 0;
             UPDATE test_results SET gen_tps = 3 WHERE benchmark_run_id = 2",
            "run 2: the fingerprint does not match the tests",
        ),
        (
            "INSERT INTO test_results (benchmark_run_id, name) VALUES (2, 'pp1')",
            "test_results ",
        ),
        (
            "INSERT INTO messages (chat_id, content) VALUES (77, 'x')",
            "messages 1: refers to a row of chats that is not there",
        ),
    ];
    let original = store();
    for (sql, expected) in cases {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.store().parent().unwrap()).unwrap();
        std::fs::copy(original.store(), sandbox.store()).unwrap();
        change(&sandbox, sql);
        let ran = sandbox.run(["check"]);
        assert_eq!(ran.code, Some(1), "{sql}");
        let found = findings(&ran);
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{sql}: {found:?}"
        );

        let ran = sandbox.run(["check", "--repair", "-o", "json"]);
        assert_eq!(ran.code, Some(1), "{sql}: {}", ran.stderr);
        let json: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert!(json["wrong"].as_u64() > Some(0));
    }
}

/// Values of the public table never go into our own. Where a test of ours was changed, it is named,
/// and the public row, which may be all that is right, is left as it is.
#[test]
fn a_changed_value_is_named_and_no_copy_of_it_is_overwritten() {
    for (sql, column) in [
        ("gen_tps = 1", "gen_tps"),
        // Not in `core`: the fingerprint and the public row tell.
        ("ttft_ms = 1", "ttft_ms"),
    ] {
        let sandbox = store();
        let values = |sandbox: &Sandbox, table: &str| -> String {
            let sql = format!("SELECT group_concat(quote({column}), ' ') FROM {table}");
            sandbox.db().query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        let public = values(&sandbox, "test_results");
        change(
            &sandbox,
            &format!("UPDATE localstore_tests SET {sql} WHERE run_id = 2 AND position = 4"),
        );
        let own = values(&sandbox, "localstore_tests");
        let ran = sandbox.run(["check", "--repair"]);
        assert_eq!(ran.code, Some(1));
        for what in [
            "the fingerprint does not match the tests".to_owned(),
            format!("test 4: {column} differs in test_results"),
        ] {
            let line = format!("run 2: {what} (cannot be mended)\n");
            assert!(ran.text().contains(&line), "{}", ran.text());
        }
        assert_eq!(values(&sandbox, "test_results"), public);
        assert_eq!(values(&sandbox, "localstore_tests"), own);
    }
}

#[test]
fn an_index_that_lacks_a_row_is_made_anew() {
    let sandbox = store();
    // The only way to damage an index through SQLite: it takes it for another one.
    change(
        &sandbox,
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, '(measured_at)', '(measured_at) WHERE run_id > 2')
             WHERE name = 'localstore_runs_measured_idx'",
    );
    change(
        &sandbox,
        "REINDEX; UPDATE localstore_runs SET measured_at = measured_at",
    );
    change(
        &sandbox,
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, ' WHERE run_id > 2', '')
             WHERE name = 'localstore_runs_measured_idx'",
    );
    let found = findings(&sandbox.run(["check"]));
    assert!(found[0].starts_with("database: "), "{found:?}");
    let ran = sandbox.run(["check", "--repair"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    sandbox.run(["check"]).ok();
}

/// A run that the site has inserted counts with the next write; until then nothing is wrong.
#[test]
fn what_the_site_inserts_is_nothing_wrong() {
    let sandbox = store();
    sandbox
        .db()
        .execute_batch(
            "INSERT INTO benchmark_runs (system_id, accelerator_id, model_variant_id, runtime_id,
                 avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score)
             SELECT system_id, accelerator_id, model_variant_id, runtime_id, 1, 2, 3, 4
             FROM benchmark_runs WHERE id = 2;
             INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen, prompt_tps)
             SELECT last_insert_rowid(), name, n_prompt, n_gen, 2 * prompt_tps FROM test_results
             WHERE benchmark_run_id = 2",
        )
        .unwrap();
    sandbox.run(["check"]).ok();
    sandbox.run(["tag", "taken-up", "1"]).ok();
    sandbox.run(["check"]).ok();
}

/// Sums that cannot be read are computed from the runs by the next write.
#[test]
fn damaged_sums_do_not_make_wrong_scores() {
    for change_of in [
        "x'00'",
        "'text'",
        "'[]'",
        "zeroblob(1119)",
        "zeroblob(1120)",
    ] {
        let sandbox = Sandbox::new();
        sandbox.add(["golden/gpu-rtx4090-8b.json", "golden/nan-stddev.json"]);
        let update = format!("UPDATE localstore_scores SET sums = {change_of}");
        change(&sandbox, &update);
        sandbox.add(["golden/single-test.json", "golden/gpu-reps4.json"]);
        sandbox.run(["check"]).ok();
        change(&sandbox, &update);
        sandbox.run(["rm", "-y", "1", "2"]).ok();
        sandbox.run(["check"]).ok();
    }
}

#[test]
fn a_table_that_is_missing_is_named() {
    let sandbox = store();
    let drop = "DROP TABLE localstore_tags";
    sandbox.db().execute_batch(drop).unwrap();
    let ran = sandbox.run(["check"]);
    assert_eq!(
        findings(&ran),
        [
            "table localstore_tags: is missing, or has other columns; nothing else of the runs was \
          checked"
        ]
    );
}

/// A newer program may keep what we know nothing of.
#[test]
fn the_tables_of_a_room_that_is_not_known_are_left_alone() {
    let sandbox = store();
    change(
        &sandbox,
        "CREATE TABLE localstore_fleet (id INTEGER PRIMARY KEY,
             run INTEGER REFERENCES localstore_runs(run_id));
         PRAGMA foreign_keys = OFF;
         INSERT INTO localstore_fleet VALUES (1, 1), (2, 77)",
    );
    let ran = sandbox.run(["check", "--repair"]);
    assert_eq!(
        findings(&ran),
        [
            "localstore_fleet 2: refers to a row of localstore_runs that is not there (cannot be \
          mended)"
        ]
    );
    let sql = "SELECT count(*) FROM localstore_fleet";
    let rows: i64 = sandbox.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
}

#[test]
fn used_up_ids_are_no_full_disk() {
    let sandbox = store();
    change(
        &sandbox,
        "UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'test_results'",
    );
    let json = fixture("golden/utf8-model.json");
    let message = sandbox.run(["add".as_ref(), json.as_os_str()]).failed();
    assert!(
        message.ends_with("the ids of the table test_results are used up"),
        "{message}"
    );
    sandbox.run(["check", "--repair"]).ok();
    sandbox.run(["add".as_ref(), json.as_os_str()]).ok();
}

#[test]
fn what_is_no_store_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "text",
        "a letter that is longer than a hundred bytes, so that it is looked at. ".repeat(9),
    );
    Connection::open(sandbox.path().join("other"))
        .unwrap()
        .execute_batch("CREATE TABLE x (y)")
        .unwrap();
    for repair in [false, true] {
        for (name, why) in [
            ("text", "not a store"),
            ("other", "this is a database of another program"),
            (".", "is a directory"),
        ] {
            let args = ["check", "--db", name, "--repair"];
            let message = sandbox.run(&args[..if repair { 4 } else { 3 }]).failed();
            assert!(message.ends_with(why), "{message}");
        }
    }
}

/// Nothing is deleted or rewritten where more than one truth is left.
#[test]
fn a_lost_test_is_not_mended_away() {
    for sql in [
        "DELETE FROM localstore_tests WHERE run_id = 2 AND position = 8",
        "DELETE FROM localstore_tests WHERE run_id = 2",
        "UPDATE localstore_tests SET model_id = 99999 WHERE run_id = 2 AND position = 8;
         DELETE FROM test_results WHERE id =
             (SELECT test_result_id FROM localstore_tests WHERE run_id = 2 AND position = 0)",
        "UPDATE localstore_tests SET samples_ns = '[1,' WHERE run_id = 2 AND position = 3;
         UPDATE test_results SET prompt_tps = 1 WHERE id =
             (SELECT test_result_id FROM localstore_tests WHERE run_id = 2 AND position = 0)",
    ] {
        let sandbox = Sandbox::new();
        sandbox.add(["golden/gpu-rtx4090-8b.json", "golden/gpu-reps4.json"]);
        let db = sandbox.db();
        db.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
            .unwrap();
        let rows = |db: &rusqlite::Connection| -> (i64, String) {
            db.query_row(
                "SELECT (SELECT count(*) FROM localstore_tests),
                     (SELECT group_concat(quote(samples_ns)) FROM localstore_tests)
                     || (SELECT group_concat(quote(fingerprint)) FROM localstore_runs)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap()
        };
        let before = rows(&db);
        let ran = sandbox.run(["check", "--repair"]);
        assert_eq!(ran.code, Some(1), "{sql}: {}", ran.text());
        assert_eq!(rows(&db), before, "{sql}");
    }
}

#[test]
fn a_lost_row_of_the_newest_run_does_not_stop_the_next_one() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-rtx4090-8b.json", "golden/gpu-reps4.json"]);
    sandbox
        .db()
        .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM localstore_runs WHERE run_id = 2")
        .unwrap();
    sandbox.add(["golden/cpu-i7-14b.json"]);
    assert_eq!(sandbox.run(["check"]).code, Some(1));
    assert_eq!(sandbox.run(["check", "--repair"]).code, Some(1));
    let json = sandbox.run(["export", "1", "-o", "json"]).ok();
    assert_eq!(json, read_fixture("golden/gpu-rtx4090-8b.json"));
}

#[test]
fn a_store_that_lost_its_version_is_not_taken_for_an_empty_one() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.db().execute_batch("DELETE FROM metadata").unwrap();
    for command in ["check", "list", "add"] {
        sandbox.run([command]).failed();
    }
}

#[test]
fn samples_that_cannot_be_read_are_not_left_out_of_an_export() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox
        .db()
        .execute_batch("UPDATE localstore_tests SET samples_ns = '[1,' WHERE position = 3")
        .unwrap();
    let said = sandbox.run(["export", "-o", "json"]).failed();
    assert!(
        said.contains("samples_ns is not a list of integers"),
        "{said}"
    );
}

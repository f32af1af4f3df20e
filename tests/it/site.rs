//! Runs that the LocalScore web site inserts into our file: all commands know them, before and after
//! the next write takes them up.

use crate::bench::{days, store};
use crate::sandbox::{Sandbox, fixture};

/// A model that only the site has.
const NEW_MODEL: &str = "
    INSERT INTO models (name, params) VALUES ('Phi 4', 14000000000);
    INSERT INTO model_variants (model_id, quantization)
        SELECT id, 'Q8_0' FROM models WHERE name = 'Phi 4';
    INSERT INTO accelerators (name, type, memory_gb) VALUES ('GPU Two', 'GPU', 16);";

/// What the site does with a result: rows for the run and its tests, and a new mean of the scores.
/// The run is that of this id, so many times as fast.
fn insert(sandbox: &Sandbox, of: i64, factor: f64, created_at: &str) -> i64 {
    let db = sandbox.db();
    db.execute(
        "INSERT INTO benchmark_runs (system_id, accelerator_id, model_variant_id, runtime_id,
             avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score, created_at)
         SELECT system_id, accelerator_id, model_variant_id, runtime_id, ?2 * avg_prompt_tps,
             ?2 * avg_gen_tps, avg_ttft_ms / ?2, ?2 * performance_score, ?3
         FROM benchmark_runs WHERE id = ?1",
        (of, factor, created_at),
    )
    .unwrap();
    let id = db.last_insert_rowid();
    db.execute(
        "INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen, avg_time_ms,
             power_watts, prompt_tps, gen_tps, prompt_tps_watt, gen_tps_watt, ttft_ms)
         SELECT ?3, name, n_prompt, n_gen, avg_time_ms / ?2, power_watts, ?2 * prompt_tps,
             ?2 * gen_tps, prompt_tps_watt, gen_tps_watt, ttft_ms / ?2
         FROM test_results WHERE benchmark_run_id = ?1 ORDER BY id",
        (of, factor, id),
    )
    .unwrap();
    score(sandbox);
    id
}

/// How the site computes the mean of a column of the runs `b`: what is 0 was not measured.
pub(crate) fn mean(column: &str) -> String {
    format!("AVG(CASE WHEN b.{column} = 0 THEN NULL ELSE b.{column} END)")
}

/// The site's own statement.
fn score(sandbox: &Sandbox) {
    let sql = format!(
        "INSERT INTO accelerator_model_performance_scores
         SELECT a.id, a.name, a.type, a.memory_gb, m.id, m.name, v.id, v.quantization,
             {}, {}, {}, {}
         FROM benchmark_runs b JOIN accelerators a ON a.id = b.accelerator_id
         JOIN model_variants v ON v.id = b.model_variant_id JOIN models m ON m.id = v.model_id
         GROUP BY a.id, v.id
         ON CONFLICT DO UPDATE SET avg_prompt_tps = excluded.avg_prompt_tps,
             avg_gen_tps = excluded.avg_gen_tps, avg_ttft = excluded.avg_ttft,
             performance_score = excluded.performance_score",
        mean("avg_prompt_tps"),
        mean("avg_gen_tps"),
        mean("avg_ttft_ms"),
        mean("performance_score"),
    );
    sandbox.db().execute_batch(&sql).unwrap();
}

/// Six runs of one configuration and two captures of others; then the site inserts four runs, of
/// which the last is of a model that was not there.
pub(crate) fn inserted() -> Sandbox {
    let sandbox = store(&days(1..=6));
    sandbox.add(["golden/cpu-i7-14b.csv", "golden/gpu-rtx4090-8b.json"]);
    sandbox.run(["tag", "mine", "2", "8"]).ok();
    insert(&sandbox, 1, 1.25, "2025-01-20 12:00:00");
    insert(&sandbox, 2, 1.5, "2025-01-21 12:00:00");
    insert(&sandbox, 8, 1.25, "2025-06-20 12:00:00");
    let new = insert(&sandbox, 1, 2.0, "2025-01-22 12:00:00");
    let db = sandbox.db();
    db.execute_batch(NEW_MODEL).unwrap();
    db.execute(
        "UPDATE benchmark_runs
         SET model_variant_id = (SELECT max(id) FROM model_variants),
             accelerator_id = (SELECT max(id) FROM accelerators) WHERE id = ?1",
        [new],
    )
    .unwrap();
    score(&sandbox);
    sandbox
}

/// Every way to read runs.
const COMMANDS: &[&str] = &[
    "list",
    "list -o jsonl",
    "list -o csv --sort score",
    "list --sort date --limit 3",
    "list --model phi -o jsonl",
    "list --accelerator gpu -o jsonl",
    "list --tag mine -o jsonl",
    "list --since 2025-01-20 --until 2025-01-21 -o jsonl",
    "show",
    "show last~1",
    "show 9",
    "show mine",
    "export 11 -o json",
    "export last -o csv",
    "export --all -o md",
    "export --all -o jsonl",
    "export --model llama -o csv",
    "score",
    "score 10",
    "compare 1 9",
    "compare 6 10 -o json",
    "compare 9 10 --fail-on-regression",
    "compare --baseline last~1",
    "history --accelerator one",
    "history --accelerator one -o json",
    "best",
    "best -o json",
    "plot history --accelerator one",
    "plot compare 1 9",
    "plot context 12 1",
    "report",
    "submit --dry-run 1",
    "submit --dry-run last",
];

#[test]
fn reading_commands_show_them_as_the_next_write_takes_them_up() {
    let sandbox = inserted();
    let before = std::fs::read(sandbox.store()).unwrap();
    let said = |sandbox: &Sandbox| -> Vec<String> {
        COMMANDS
            .iter()
            .map(|command| sandbox.run(command.split(' ')).snapshot(sandbox))
            .collect()
    };
    let unwritten = said(&sandbox);
    assert!(std::fs::read(sandbox.store()).unwrap() == before);
    let folder = sandbox.store().parent().unwrap().to_owned();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);

    let ours = |sandbox: &Sandbox| -> i64 {
        let sql = "SELECT count(*) FROM localstore_runs";
        sandbox.db().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(ours(&sandbox), 8);
    sandbox.run(["tag", "seen", "1"]).ok();
    sandbox.run(["untag", "seen", "1"]).ok();
    assert_eq!(ours(&sandbox), 12);
    for ((command, unwritten), taken_up) in COMMANDS.iter().zip(unwritten).zip(said(&sandbox)) {
        assert_eq!(unwritten, taken_up, "{command}");
    }

    let list = sandbox.run(["list", "-o", "jsonl"]).text();
    let ids = list.lines().map(|line| {
        let run: serde_json::Value = serde_json::from_str(line).unwrap();
        run["id"].as_i64().unwrap()
    });
    assert!(ids.eq((1..=12).rev()), "{list}");
    let sources = list.matches("\"source\":\"site\"").count();
    assert_eq!(sources, 4, "{list}");
    let sources: String = sandbox
        .db()
        .query_row(
            "SELECT group_concat(DISTINCT source) FROM localstore_runs WHERE run_id > 8",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(sources, "site");
}

#[test]
fn a_command_that_writes_finds_them_by_id() {
    for (command, left) in [
        ("tag seen 12 last", 12),
        ("rm -y 12 9", 10),
        ("rm -y last", 11),
    ] {
        let sandbox = inserted();
        sandbox.run(command.split(' ')).ok();
        let list = sandbox.run(["list", "-o", "jsonl"]).text();
        assert_eq!(list.lines().count(), left, "{command}");
        sandbox.run(["check"]).ok();
    }
}

#[test]
fn check_counts_them_and_finds_nothing_wrong() {
    let sandbox = inserted();
    insta::assert_snapshot!(sandbox.run(["check"]).snapshot(&sandbox), @r"
    exit 0
    --- stdout
    8 runs, 72 tests, 2 scores: no error
    --- stderr
    localstore: 4 runs inserted by the LocalScore site; the next command that writes counts them in
    ");
    let json: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["check", "-o", "json"]).ok()).unwrap();
    assert_eq!(json["inserted"], 4);
    sandbox.run(["tag", "seen", "1"]).ok();
    insta::assert_snapshot!(sandbox.run(["check"]).snapshot(&sandbox), @r"
    exit 0
    --- stdout
    12 runs, 108 tests, 3 scores: no error
    --- stderr
    ");

    // A mean that is neither that of before nor that of now is wrong.
    let sandbox = inserted();
    sandbox
        .db()
        .execute_batch("UPDATE accelerator_model_performance_scores SET avg_ttft = 2 * avg_ttft")
        .unwrap();
    let said = sandbox.run(["check"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.text().contains("is not the mean of its runs"),
        "{}",
        said.text()
    );
}

#[test]
fn a_backup_is_the_file_as_it_is() {
    let sandbox = inserted();
    sandbox.run(["backup", "copy.sqlite3"]).ok();
    let copy = rusqlite::Connection::open(sandbox.path().join("copy.sqlite3")).unwrap();
    let count = |table: &str| -> i64 {
        copy.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
    };
    assert_eq!((count("localstore_runs"), count("benchmark_runs")), (8, 12));
}

/// They come over with the store that they are in.
#[test]
fn a_merge_takes_them_over() {
    let other = inserted();
    let sandbox = Sandbox::new();
    let store = other.store();
    let said = sandbox.run(["merge".as_ref(), store.as_os_str()]).text();
    assert!(
        said.ends_with("12 runs: 12 new, 0 completed, 0 known\n"),
        "{said}"
    );
    assert_eq!(
        sandbox.run(["export", "--all", "-o", "md"]).ok(),
        other.run(["export", "--all", "-o", "md"]).ok()
    );
}

/// An older store is brought up to date before it is read, and they are taken up with it.
#[test]
fn an_older_store_shows_them_too() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.store().parent().unwrap()).unwrap();
    std::fs::copy(fixture("stores/version-2.sqlite3"), sandbox.store()).unwrap();
    insert(&sandbox, 1, 2.0, "2025-06-20 12:00:00");
    let list = sandbox.run(["list", "-o", "jsonl"]).text();
    assert_eq!(list.lines().count(), 7);
}

/// What the site refers to may be missing there: its run is taken up, and counts in no score.
#[test]
fn a_run_whose_rows_are_missing_stops_no_write() {
    for lost in [
        "UPDATE benchmark_runs SET accelerator_id = 777 WHERE id = 9",
        "UPDATE benchmark_runs SET model_variant_id = 777 WHERE id = 9",
        "INSERT INTO model_variants (id, model_id, quantization) VALUES (777, 777, 'Q4');
         UPDATE benchmark_runs SET model_variant_id = 777 WHERE id = 9",
    ] {
        let sandbox = inserted();
        sandbox
            .db()
            .execute_batch(&format!("PRAGMA foreign_keys = OFF; {lost}"))
            .unwrap();
        score(&sandbox);
        sandbox.run(["tag", "seen", "9"]).ok();
        sandbox.add(["golden/second-gpu.json"]);
        let list = sandbox.run(["list", "-o", "jsonl"]).text();
        assert_eq!(list.lines().count(), 13, "{lost}");
        // The row that is missing is named, and nothing follows from it.
        for args in [&["check"][..], &["check", "--repair"]] {
            let said = sandbox.run(args).text();
            assert_eq!(said.lines().count(), 2, "{lost}: {said}");
            assert!(
                said.contains(" 777") || said.contains(" 9: refers to a row of "),
                "{said}"
            );
        }
        sandbox.run(["rm", "-y", "9"]).ok();
    }
}

/// No date is none: it is named, not made up, and the next write gives one.
#[test]
fn a_date_that_is_none_stops_nothing() {
    for date in [
        "CAST(x'ff41' AS TEXT)",
        "'garbage'",
        "'now'",
        "'2025' || char(10, 27)",
        "x'ff00'",
        "1.5",
        "NULL",
    ] {
        let sandbox = inserted();
        sandbox
            .db()
            .execute_batch(&format!(
                "UPDATE benchmark_runs SET created_at = {date} WHERE id IN (1, 9)"
            ))
            .unwrap();
        let dates = || -> Vec<serde_json::Value> {
            let list = sandbox.run(["list", "--sort", "added", "-o", "jsonl"]).ok();
            let list = String::from_utf8(list).unwrap();
            let lines = list.lines().map(serde_json::from_str::<serde_json::Value>);
            let lines: Vec<_> = lines.map(Result::unwrap).collect();
            let of =
                |id: i64| lines.iter().find(|line| line["id"] == id).unwrap()["added_at"].clone();
            vec![of(1), of(9)]
        };
        assert_eq!(
            dates(),
            [serde_json::Value::Null, serde_json::Value::Null],
            "{date}"
        );
        let csv = sandbox.run(["list", "-o", "csv"]).text();
        assert_eq!(csv.lines().count(), 13, "{date}: {csv}");
        assert!(!csv.contains('\u{1b}'), "{csv}");
        sandbox.run(["best"]).ok();
        let said = sandbox.run(["check"]).text();
        for id in [1, 9] {
            assert!(
                said.contains(&format!("run {id}: created_at is not a date\n")),
                "{date}: {said}"
            );
        }
        sandbox.run(["tag", "seen", "2"]).ok();
        let taken_up = dates();
        assert!(
            taken_up[0].is_null() && taken_up[1].is_string(),
            "{taken_up:?}"
        );
        sandbox.run(["check", "--repair"]).ok();
        assert_eq!(dates()[1], taken_up[1]);
        assert!(dates()[0].is_string());
    }
}

/// Its averages are all that is known of it.
#[test]
fn a_run_without_tests_is_taken_up_too() {
    let sandbox = inserted();
    sandbox
        .db()
        .execute_batch("DELETE FROM test_results WHERE benchmark_run_id = 10")
        .unwrap();
    let said = sandbox.run(["check"]);
    assert!(said.text().ends_with(": no error\n"), "{}", said.text());
    assert!(
        said.stderr
            .starts_with("localstore: 4 runs inserted by the LocalScore site; "),
        "{}",
        said.stderr
    );
    let listed = || -> serde_json::Value {
        let list = sandbox.run(["list", "-o", "jsonl"]).text();
        assert_eq!(list.lines().count(), 12, "{list}");
        serde_json::from_str(list.lines().nth(2).unwrap()).unwrap()
    };
    let line = listed();
    assert_eq!((&line["id"], &line["tests"]), (&10.into(), &0.into()));
    assert_eq!(line["partial"], true);
    sandbox.run(["tag", "seen", "1"]).ok();
    assert_eq!(listed(), line);
    sandbox.add(["golden/second-gpu.json"]);
    sandbox.run(["check"]).ok();
    sandbox.run(["show", "10"]).ok();
    sandbox.run(["export", "10", "-o", "jsonl"]).ok();
    sandbox.run(["rm", "-y", "10"]).ok();
    sandbox.run(["check"]).ok();
}

//! `rm`, and the score table, which every add and rm keeps true.

use rusqlite::Connection;

use crate::sandbox::{Ran, Sandbox, fixture, read_fixture};

/// What the site's own statement makes of the runs, and what the table says.
fn scores(db: &Connection) -> (Vec<String>, Vec<String>) {
    let mean =
        |column: &str| format!("AVG(CASE WHEN b.{column} = 0 THEN NULL ELSE b.{column} END)");
    let computed = format!(
        "SELECT b.accelerator_id, v.model_id, v.id, {}, {}, {}, {}
         FROM benchmark_runs b JOIN model_variants v ON v.id = b.model_variant_id
         WHERE b.accelerator_id IS NOT NULL GROUP BY 1, 3 ORDER BY 1, 2, 3",
        mean("avg_prompt_tps"),
        mean("avg_gen_tps"),
        mean("avg_ttft_ms"),
        mean("performance_score"),
    );
    let stored = "SELECT accelerator_id, model_id, model_variant_id, avg_prompt_tps, avg_gen_tps,
        avg_ttft, performance_score FROM accelerator_model_performance_scores ORDER BY 1, 2, 3";
    let rows = |sql: &str| {
        let mut query = db.prepare(sql).unwrap();
        let rows = query.query_map([], |row| {
            let ids: [i64; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            let means: [Option<f64>; 4] = [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
            // To twelve digits: SQLite's own sum is rounded at each step.
            Ok(format!(
                "{ids:?} {:?}",
                means.map(|mean| mean.map(|mean| format!("{mean:.11e}")))
            ))
        });
        rows.unwrap().map(Result::unwrap).collect()
    };
    (rows(&computed), rows(stored))
}

#[track_caller]
fn assert_scores(sandbox: &Sandbox) {
    let (computed, stored) = scores(&sandbox.db());
    assert_eq!(computed, stored);
}

#[test]
fn the_score_table_is_right_after_every_add_and_rm() {
    let sandbox = Sandbox::new();
    let mut names: Vec<String> = std::fs::read_dir(fixture("golden"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.split('.').skip(1).eq(["json"]))
        .collect();
    names.sort();
    for name in &names {
        sandbox.add([format!("golden/{name}").as_str()]);
        assert_scores(&sandbox);
    }
    // In an order that empties rows of the table in between.
    for id in [
        3, 17, 1, 9, 6, 5, 14, 2, 19, 12, 4, 8, 7, 10, 11, 13, 15, 16, 18,
    ] {
        sandbox.run(["rm", "-y", &id.to_string()]).ok();
        assert_scores(&sandbox);
    }
    for table in [
        "benchmark_runs",
        "test_results",
        "accelerator_model_performance_scores",
        "localstore_runs",
        "localstore_tests",
        "localstore_scores",
        "localstore_tags",
    ] {
        let sql = format!("SELECT count(*) FROM {table}");
        let left: i64 = sandbox.db().query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[test]
fn a_huge_run_leaves_no_trace_in_the_means() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-rtx4090-8b.json"]);
    let before = scores(&sandbox.db()).1;
    let text = String::from_utf8(read_fixture("golden/gpu-rtx4090-8b.json")).unwrap();
    sandbox.file(
        "huge",
        text.replace("\"prompt_tps\": ", "\"prompt_tps\": 1e250, \"x\": "),
    );
    sandbox.run(["add", "huge"]).ok();
    assert_ne!(scores(&sandbox.db()).1, before);
    sandbox.run(["rm", "-y", "last"]).ok();
    assert_eq!(scores(&sandbox.db()).1, before);
}

#[test]
fn a_removed_run_can_be_added_again() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json", "golden/second-gpu.json"]);
    sandbox.run(["tag", "x", "1", "2"]).ok();
    let text = sandbox.run(["rm", "1", "last", "1", "-y"]).text();
    insta::assert_snapshot!(text, @r"
    removed run 1: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986
    removed run 2: Meta Llama 3.1 8B Instruct, Q4_K_M, RX 7900 XTX, score 1875
    ");
    sandbox.add(["golden/gpu-reps4.json"]);
    assert_eq!(
        sandbox.run(["export", "-o", "json"]).ok(),
        read_fixture("golden/gpu-reps4.json")
    );
    // Ids are not used twice.
    assert!(sandbox.run(["list", "-o", "csv"]).text().contains("\n3,"));
}

#[test]
fn a_dry_run_and_a_wrong_name_remove_nothing() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    let text = sandbox.run(["rm", "last", "--dry-run"]).text();
    assert!(text.starts_with("would remove run 1: "), "{text}");
    sandbox.run(["rm", "-y", "1", "7"]).failed();
    assert_eq!(
        sandbox.run(["export", "-o", "json"]).ok(),
        read_fixture("golden/gpu-reps4.json")
    );
}

#[test]
fn that_a_run_was_submitted_is_forgotten_with_a_word() {
    let sandbox = Sandbox::new();
    sandbox.add([
        "captures/capture-json-submitted.stdout.txt",
        "golden/second-gpu.json",
    ]);
    for args in [&["rm", "--dry-run", "1", "2"], &["rm", "-y", "1", "2"]] {
        let ran = sandbox.run(args);
        assert_eq!(ran.text().lines().count(), 2);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert!(
            ran.stderr
                .starts_with("localstore: run 1 was submitted at ")
        );
        let told =
            ": https://www.localscore.ai/result/4242; removing the run removes this record\n";
        assert!(ran.stderr.ends_with(told), "{}", ran.stderr);
    }
}

/// A script must say that it means it; a person is asked.
#[test]
fn without_a_terminal_nothing_is_removed_unless_told_to() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json", "golden/second-gpu.json"]);
    for (args, stderr) in [
        (
            &["rm", "last"][..],
            "localstore: run 2: not removed: no terminal to ask on\n\
             hint: localstore rm -y 2\n",
        ),
        (
            &["rm", "2", "1", "2"],
            "localstore: runs 2, 1: not removed: no terminal to ask on\n\
             hint: localstore rm -y 2 1\n",
        ),
    ] {
        // An answer in a pipe is none.
        let ran = sandbox.run_with_input(args.iter(), b"y\n");
        assert_eq!(ran.code, Some(1));
        assert_eq!(ran.stderr, stderr);
        assert!(ran.stdout.is_empty());
    }
    assert_eq!(
        sandbox.run(["list", "-o", "jsonl"]).text().lines().count(),
        2
    );
    sandbox.run(["rm", "-y", "2", "1"]).ok();
}

#[test]
fn lines_fit_a_narrow_screen() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    let narrow = |args: &[&str]| {
        let mut command = sandbox.command(args);
        let ran = Ran::from(command.env("COLUMNS", "40").output().unwrap());
        ran.text()
    };
    insta::assert_snapshot!(narrow(&["rm", "--dry-run", "1"]), @r"
    would remove run 1: Llama 3.2 1B
    Instruct, Q4_K_M, RTX 4090, score 6986
    ");
    let other = Sandbox::new();
    let path = other.store().to_str().unwrap().to_owned();
    other.add(["golden/second-gpu.json"]);
    insta::assert_snapshot!(narrow(&["merge", &path]), @r"
    run 2: Meta Llama 3.1 8B Instruct,
    Q4_K_M, RX 7900 XTX, score 1875
    1 run: 1 new, 0 completed, 0 known
    ");
    let help = narrow(&["list", "--help"]);
    let (about, _) = help.split_once("\nUsage:").unwrap();
    assert!(about.lines().count() > 8, "{about}");
    assert!(about.lines().all(|line| line.len() <= 40), "{about}");
}

//! `history` and `best`: trends, changes of level, ranks.

use serde_json::Value;

use crate::bench::{Bench, days, store};
use crate::sandbox::Sandbox;

/// Five days on one version, four on the next, which is slower; then a run of another model.
fn changed() -> Sandbox {
    let mut benches = days(1..=5);
    benches.extend(days(6..=9).into_iter().map(|bench| Bench {
        speed: 0.85,
        version: "0.9.3",
        kernel: "6.9.1",
        ..bench
    }));
    benches.push(Bench {
        model: "Qwen2.5 14B",
        day: 1,
        ..Bench::default()
    });
    store(&benches)
}

/// The ids of the runs that the command shows.
fn ids(sandbox: &Sandbox, command: &str, args: &[&str]) -> Vec<i64> {
    let mut all = vec![command, "-o", "jsonl"];
    all.extend(args);
    let text = sandbox.run(all).text();
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64();
    text.lines().map(|line| id(line).unwrap()).collect()
}

#[test]
fn a_trend_tells_where_its_level_changed_and_what_changed_there() {
    let sandbox = changed();
    let ran = sandbox.run(["history", "--model", "llama"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    Llama 3.2 1B Instruct - Q4_K - Medium, GPU One, llamafile

    score    ██▇██▁▂▁▁  1527 to 1832
    pp t/s   ██▇██▁▂▁▁  6732 to 8080
    tg t/s   ██▇██▁▂▁▁  109.39 to 131.30
    ttft ms  ▁▁▂▁▁█▇▇█  172.41 to 206.94

    id  measured    version  score  pp t/s  tg t/s  ttft ms  change
     1  2025-01-01  0.9.2     1832  8080.0  131.30   172.41
     2  2025-01-02  0.9.2     1817  8016.0  130.26   173.79
     3  2025-01-03  0.9.2     1796  7920.0  128.70   175.90
     4  2025-01-04  0.9.2     1825  8048.0  130.78   173.10
     5  2025-01-05  0.9.2     1810  7984.0  129.74   174.49
     6  2025-01-06  0.9.3     1532  6759.2  109.84   206.10  -15.3%
     7  2025-01-07  0.9.3     1557  6868.0  111.61   202.84
     8  2025-01-08  0.9.3     1545  6813.6  110.72   204.46
     9  2025-01-09  0.9.3     1526  6732.0  109.39   206.94

    score from run 6 on -15.3%: version 0.9.2 → 0.9.3, kernel 6.8.0 → 6.9.1
    --- stderr
    ");
}

#[test]
fn a_configuration_is_chosen_by_a_run_or_by_filters() {
    let sandbox = changed();
    let model = |args: &[&str]| {
        let mut all = vec!["history", "-o", "json"];
        all.extend(args);
        let ran = sandbox.run(all);
        let document: Value = serde_json::from_slice(&ran.ok()).unwrap();
        (document["model"].as_str().unwrap().to_owned(), ran.stderr)
    };
    assert_eq!(model(&["10"]), ("Qwen2.5 14B".into(), String::new()));
    // The one measured last, and a word on the other.
    let (name, stderr) = model(&[]);
    assert_eq!(name, "Llama 3.2 1B Instruct");
    assert!(stderr.contains("1 more configuration matches"), "{stderr}");
    let (name, stderr) = model(&["--model", "QWEN"]);
    assert_eq!((name.as_str(), stderr.as_str()), ("Qwen2.5 14B", ""));
}

#[test]
fn runs_come_as_they_were_measured() {
    let mut benches = days(1..=3);
    benches.reverse();
    let sandbox = store(&benches);
    let ids = |args: &[&str]| ids(&sandbox, "history", args);
    assert_eq!(ids(&[]), [3, 2, 1]);
    assert_eq!(ids(&["--limit", "2"]), [2, 1]);
    assert_eq!(ids(&["--limit", "0"]), [3, 2, 1]);
    assert_eq!(ids(&["--until", "2025-01-02"]), [3, 2]);
    let csv = sandbox.run(["history", "-o", "csv"]).text();
    assert!(csv.starts_with("id,measured_at,runtime_version,score,"));
    assert_eq!(csv.lines().count(), 4);
}

#[test]
fn a_partial_run_is_listed_and_counts_in_no_trend() {
    let mut benches = days(1..=6);
    benches.extend(
        days(7..=9)
            .into_iter()
            .map(|bench| Bench { tests: 1, ..bench }),
    );
    let sandbox = store(&benches);
    let text = sandbox.run(["history"]).text();
    assert_eq!(text.matches("p  ").count(), 3, "{text}");
    assert!(!text.contains("from run"), "{text}");
}

#[test]
fn an_outlier_is_no_change_of_level() {
    let mut benches = days(1..=12);
    benches[6].speed = 0.7;
    let sandbox = store(&benches);
    let text = sandbox.run(["history", "-o", "json"]).text();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["changes"].as_array().unwrap().len(), 0);
    assert_eq!(text, sandbox.run(["history", "-o", "json"]).text());
}

#[test]
fn markdown_has_the_changes_below() {
    let sandbox = changed();
    let text = sandbox
        .run(["history", "1", "-o", "md", "--metric", "gen_tps"])
        .text();
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        "- tg t/s from run 6 on -15.3%: version 0.9.2 → 0.9.3, kernel 6.8.0 → 6.9.1"
    );
}

#[test]
fn nothing_to_show_is_one_clear_line() {
    let empty = Sandbox::new();
    assert!(
        empty
            .run(["history"])
            .failed()
            .ends_with("there is no store")
    );
    let sandbox = store(&days(1..=1));
    let lines = [
        sandbox.run(["history", "--model", "nobody"]).failed(),
        sandbox
            .run(["history", "1", "--since", "2026-01-01"])
            .failed(),
        sandbox.run(["history", "7"]).failed(),
        sandbox.run(["history", "1", "--model", "x"]).failed(),
        sandbox.run(["history", "--metric", "speed"]).failed(),
    ];
    let home = sandbox.path().to_str().unwrap();
    insta::assert_snapshot!(lines.join("\n").replace(home, "~"), @r"
    ~/.llamafile/llamafile.sqlite3: no run matches
    ~/.llamafile/llamafile.sqlite3: no run of this configuration matches
    run 7: no such run
    invalid parameter for: 1
    invalid parameter for: --metric
    ");
}

#[test]
fn best_ranks_the_best_run_of_each_model_on_each_accelerator() {
    let bench = |speed, model, accelerator, runtime| Bench {
        speed,
        model,
        accelerator,
        runtime,
        ..Bench::default()
    };
    let mut partial = bench(9.0, "a", "x", "llamafile");
    partial.tests = 3;
    let sandbox = store(&[
        bench(1.0, "a", "x", "llamafile"),
        bench(1.2, "a", "x", "llamafile"),
        bench(1.1, "a", "x", "other"),
        bench(2.0, "a", "y", "llamafile"),
        bench(0.5, "b", "x", "other"),
        partial,
    ]);
    let ids = |args: &[&str]| ids(&sandbox, "best", args);
    assert_eq!(ids(&[]), [4, 2, 5]);
    assert_eq!(ids(&["--runtime", "other"]), [3, 5]);
    assert_eq!(ids(&["--model", "A"]), [4, 2]);
    assert_eq!(ids(&["--limit", "1"]), [4]);
    // What was best is gone.
    sandbox.run(["rm", "-y", "2"]).ok();
    assert_eq!(ids(&[]), [4, 3, 5]);
    let nobody = sandbox.run(["best", "--model", "nobody"]);
    assert_eq!(nobody.code, Some(0));
    insta::assert_snapshot!(nobody.stderr, @r"
    localstore: no run matches --model nobody
    hint: models: a, b (2)
    ");
}

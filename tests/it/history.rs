//! `history` and `best`: trends, changes of level, ranks.

use serde_json::Value;

use crate::bench::{Bench, days, store};
use crate::sandbox::{Ran, Sandbox};

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

/// What the command prints on a screen of that width.
fn at_width(sandbox: &Sandbox, width: usize, args: &[&str]) -> String {
    let mut command = sandbox.command(args);
    let ran = Ran::from(command.env("COLUMNS", width.to_string()).output().unwrap());
    for line in ran.text().lines().chain(ran.stderr.lines()) {
        assert!(line.chars().count() <= width, "{width}: {line}");
    }
    ran.snapshot(sandbox)
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
#[allow(clippy::too_many_lines, reason = "one store at four widths")]
fn the_first_line_tells_the_level_and_the_changes_tell_their_causes() {
    let sandbox = changed();
    let ran = sandbox.run(["history", "--model", "llama"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    score 1540 since run 6 (2025-01-06): −15.2%, worse; 9 runs, 1 change
    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile

      1850 ┤●     ●
      1800 ┤  ● ●   ●
      1750 ┤
      1700 ┤
      1650 ┤
      1600 ┤
      1550 ┤          ● ● ● ●
           └──────────▼───────
            1         6     9

    ▼ run 6  2025-01-06  1816 → 1540  −15.2%  worse  version 0.9.2 → 0.9.3, kernel 6.8.0 → 6.9.1

    id  measured    version  score    pp t/s  tg t/s  ttft ms
     9  2025-01-09  0.9.3     1526    6732.0  109.39   206.94
     8  2025-01-08  0.9.3     1545    6813.6  110.72   204.46
     7  2025-01-07  0.9.3     1557    6868.0  111.61   202.84
     6  2025-01-06  0.9.3     1532 ▼  6759.2  109.84   206.10
     5  2025-01-05  0.9.2     1810    7984.0  129.74   174.49
     4  2025-01-04  0.9.2     1825    8048.0  130.78   173.10
     3  2025-01-03  0.9.2     1796    7920.0  128.70   175.90
     2  2025-01-02  0.9.2     1817    8016.0  130.26   173.79
     1  2025-01-01  0.9.2     1832    8080.0  131.30   172.41
    --- stderr
    ");
    let args = ["history", "--model", "llama"];
    insta::assert_snapshot!(at_width(&sandbox, 80, &args), @r"
    exit 0
    --- stdout
    score 1540 since run 6 (2025-01-06): −15.2%, worse; 9 runs, 1 change
    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile

      1850 ┤●     ●
      1800 ┤  ● ●   ●
      1750 ┤
      1700 ┤
      1650 ┤
      1600 ┤
      1550 ┤          ● ● ● ●
           └──────────▼───────
            1         6     9

    ▼ run 6  2025-01-06  1816 → 1540  −15.2%  worse  version 0.9.2 → 0.9.3,
                                                     kernel 6.8.0 → 6.9.1

    id  measured    version  score    pp t/s  tg t/s  ttft ms
     9  2025-01-09  0.9.3     1526    6732.0  109.39   206.94
     8  2025-01-08  0.9.3     1545    6813.6  110.72   204.46
     7  2025-01-07  0.9.3     1557    6868.0  111.61   202.84
     6  2025-01-06  0.9.3     1532 ▼  6759.2  109.84   206.10
     5  2025-01-05  0.9.2     1810    7984.0  129.74   174.49
     4  2025-01-04  0.9.2     1825    8048.0  130.78   173.10
     3  2025-01-03  0.9.2     1796    7920.0  128.70   175.90
     2  2025-01-02  0.9.2     1817    8016.0  130.26   173.79
     1  2025-01-01  0.9.2     1832    8080.0  131.30   172.41
    --- stderr
    ");
    insta::assert_snapshot!(at_width(&sandbox, 60, &args), @r"
    exit 0
    --- stdout
    score 1540 since run 6 (2025-01-06): −15.2%, worse; 9 runs,
    1 change
    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile

      1850 ┤●     ●
      1800 ┤  ● ●   ●
      1750 ┤
      1700 ┤
      1650 ┤
      1600 ┤
      1550 ┤          ● ● ● ●
           └──────────▼───────
            1         6     9

    ▼ run 6  2025-01-06  1816 → 1540  −15.2%  worse
      version 0.9.2 → 0.9.3, kernel 6.8.0 → 6.9.1

    id  measured    version  score    pp t/s  tg t/s  ttft ms
     9  2025-01-09  0.9.3     1526    6732.0  109.39   206.94
     8  2025-01-08  0.9.3     1545    6813.6  110.72   204.46
     7  2025-01-07  0.9.3     1557    6868.0  111.61   202.84
     6  2025-01-06  0.9.3     1532 ▼  6759.2  109.84   206.10
     5  2025-01-05  0.9.2     1810    7984.0  129.74   174.49
     4  2025-01-04  0.9.2     1825    8048.0  130.78   173.10
     3  2025-01-03  0.9.2     1796    7920.0  128.70   175.90
     2  2025-01-02  0.9.2     1817    8016.0  130.26   173.79
     1  2025-01-01  0.9.2     1832    8080.0  131.30   172.41
    --- stderr
    ");
    insta::assert_snapshot!(at_width(&sandbox, 40, &args), @r"
    exit 0
    --- stdout
    score 1540 since run 6 (2025-01-06):
    −15.2%, worse; 9 runs, 1 change
    Llama 3.2 1B Instruct, Q4_K_M, GPU One,
    llamafile

    ▼ run 6  1816 → 1540  −15.2%  worse
      version 0.9.2 → 0.9.3,
      kernel 6.8.0 → 6.9.1

    id  measured    version  score    tg t/s
     9  2025-01-09  0.9.3     1526    109.39
     8  2025-01-08  0.9.3     1545    110.72
     7  2025-01-07  0.9.3     1557    111.61
     6  2025-01-06  0.9.3     1532 ▼  109.84
     5  2025-01-05  0.9.2     1810    129.74
     4  2025-01-04  0.9.2     1825    130.78
     3  2025-01-03  0.9.2     1796    128.70
     2  2025-01-02  0.9.2     1817    130.26
     1  2025-01-01  0.9.2     1832    131.30
    --- stderr
    localstore: hidden: ttft ms, pp t/s; a
    wider terminal shows them
    ");
    let wide = at_width(&sandbox, 120, &args);
    assert_eq!(wide, ran.snapshot(&sandbox));
}

#[test]
fn less_time_to_first_token_is_better() {
    let sandbox = changed();
    let args = ["history", "1", "--metric", "ttft"];
    let text = sandbox.run(args).text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("run 6")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    ttft 205.08 ms since run 6 (2025-01-06): +17.9%, worse; 9 runs, 1 change
    ▼ run 6  2025-01-06  173.93 → 205.08  +17.9%  worse  version 0.9.2 → 0.9.3, kernel 6.8.0 → 6.9.1
    ");
    let json = sandbox.run(["history", "1", "--metric", "ttft", "-o", "json"]);
    let document: Value = serde_json::from_slice(&json.ok()).unwrap();
    assert_eq!(document["changes"][0]["verdict"], "worse");
    assert_eq!(document["headline"], text.lines().next().unwrap());
    assert_eq!(document["runs"][5]["verdict"], "worse");
    assert_eq!(document["runs"][6]["verdict"], Value::Null);
}

#[test]
fn repetitions_are_a_cause_if_nothing_else_changed() {
    let with = |version| {
        let mut benches = days(1..=4);
        benches.extend(days(5..=8).into_iter().map(|bench| Bench {
            speed: 0.85,
            version,
            repetitions: 4,
            ..bench
        }));
        let text = store(&benches).run(["history"]).text();
        let line = text.lines().find(|line| line.starts_with("▼ run 5"));
        line.unwrap()
            .split("worse")
            .last()
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(with("0.9.3"), "version 0.9.2 → 0.9.3");
    assert_eq!(with("0.9.2"), "repetitions 1 → 4");
}

#[test]
fn twenty_runs_are_shown_and_the_trend_is_of_all() {
    let sandbox = store(&days(1..=25));
    let ran = sandbox.run(["history"]);
    let (text, stderr) = (ran.text(), ran.stderr);
    assert!(
        text.contains(" since run 1 (2025-01-01); 25 runs, no change\n"),
        "{text}"
    );
    let table = |text: &str| text.split("\nid ").nth(1).unwrap().lines().count() - 1;
    assert_eq!(table(&text), 20);
    assert_eq!(stderr, "localstore: 5 more; '--limit 0' shows all\n");
    let all = sandbox.run(["history", "--limit", "0"]);
    assert_eq!((table(&all.text()), all.stderr.as_str()), (25, ""));
    assert_eq!(ids(&sandbox, "history", &[]).len(), 25);
}

/// A run of an unknown runtime: a csv does not name it, but the options name the machine.
fn add_csv(sandbox: &Sandbox, day: u32, cpu: &str) {
    let json = Bench {
        day,
        ..Bench::default()
    };
    let other = store(&[json]);
    let csv = other.run(["export", "1", "-o", "csv"]).ok();
    let machine = ["add", "--accelerator", "GPU One", "--cpu", cpu];
    sandbox.run_with_input(machine, &csv).ok();
}

#[test]
fn a_run_of_an_unknown_runtime_joins_the_only_known_one_of_its_machine() {
    let runs = |sandbox: &Sandbox, args: &[&str]| {
        let ran = sandbox.run([&["history"], args].concat());
        let text = ran.text();
        let mut lines = text.lines().map(str::to_owned);
        let first = lines.next().unwrap();
        let title = lines.next().unwrap();
        let runs = first.split("; ").last().unwrap().to_owned();
        (
            runs,
            title.rsplit(", ").next().unwrap().to_owned(),
            ran.stderr,
        )
    };
    let known = |name: &str| name.to_owned();
    let sandbox = store(&days(1..=3));
    add_csv(&sandbox, 4, "CPU One");
    let joined = (
        known("4 runs, no change"),
        known("llamafile"),
        String::new(),
    );
    assert_eq!(runs(&sandbox, &[]), joined);
    // Whichever of its runs is named.
    assert_eq!(runs(&sandbox, &["4"]), joined);
    assert_eq!(runs(&sandbox, &["1"]), joined);
    assert_eq!(ids(&sandbox, "history", &[]), [1, 2, 3, 4]);

    // Another machine.
    let other = store(&days(1..=3));
    add_csv(&other, 4, "CPU Two");
    assert_eq!(runs(&other, &["4"]).1, "unknown runtime");
    assert_eq!(ids(&other, "history", &["1"]), [1, 2, 3]);

    // Two known ones.
    let mut benches = days(1..=3);
    benches.push(Bench {
        runtime: "other",
        speed: 0.99,
        ..Bench::default()
    });
    let two = store(&benches);
    add_csv(&two, 4, "CPU One");
    assert_eq!(runs(&two, &["5"]).1, "unknown runtime");
    let (_, _, stderr) = runs(&two, &[]);
    assert!(
        stderr.contains("the only one with a trend; 2 have one run"),
        "{stderr}"
    );
}

#[test]
fn a_guessed_date_is_hollow_and_starts_no_level() {
    let sandbox = store(&days(1..=6));
    // Slower, and nobody knows when: they take the time of the add.
    for speed in [0.8, 0.79, 0.81] {
        let bench = Bench {
            speed,
            ..Bench::default()
        };
        let undated = bench.document().replace("2025-01-01T12:00:00Z", "");
        sandbox.run_with_input(["add"], undated.as_bytes()).ok();
    }
    let other = Bench {
        model: "Qwen2.5 14B",
        ..Bench::default()
    };
    let undated = |bench: &Bench| bench.document().replace("2025-01-01T12:00:00Z", "");
    sandbox
        .run_with_input(["add"], undated(&other).as_bytes())
        .ok();
    let faster = Bench {
        speed: 1.1,
        ..other
    };
    sandbox
        .run_with_input(["add"], undated(&faster).as_bytes())
        .ok();

    // The other configuration is newer by its guesses alone.
    let ran = sandbox.run(["history"]);
    let text = ran.text();
    let first = text.lines().next().unwrap();
    assert!(
        first.ends_with("since run 1 (2025-01-01); 9 runs, no change"),
        "{first}"
    );
    assert_eq!(
        (text.matches('●').count(), text.matches('○').count()),
        (6, 3),
        "{text}"
    );
    assert_eq!(
        text.lines().filter(|line| line.contains("  ~20")).count(),
        3,
        "{text}"
    );
    let about = "localstore: ~ about (rounded, or a guessed date)";
    assert_eq!(ran.stderr.lines().next(), Some(about));
    let since = sandbox.run(["history", "--since", "2025-01-03", "--model", "llama"]);
    let note = "localstore: 3 runs with a guessed date (~) are among them\n";
    assert!(since.stderr.contains(note), "{}", since.stderr);
    let json = sandbox.run(["history", "-o", "jsonl"]).text();
    assert_eq!(json.matches("\"guessed\":true").count(), 3, "{json}");
    let svg = sandbox.run(["plot", "history"]).text();
    assert_eq!(svg.matches("<g class=\"guessed\">").count(), 3);
}

#[test]
fn configurations_that_match_are_listed_with_their_commands() {
    let mut benches = days(1..=3);
    for (runtime, speed) in [("llamafile", 1.1), ("other", 1.2)] {
        benches.extend(days(2..=3).into_iter().map(|bench| Bench {
            accelerator: "GPU Two",
            runtime,
            speed,
            ..bench
        }));
    }
    benches.push(Bench {
        model: "Qwen2.5 14B",
        day: 20,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    let ran = sandbox.run(["history"]);
    // The newest run has no trend.
    assert!(
        ran.text()
            .contains("\nLlama 3.2 1B Instruct, Q4_K_M, GPU Two, other\n")
    );
    insta::assert_snapshot!(ran.stderr, @r"
    localstore: shown: the one measured last of 3 with a trend; 1 has one run
      2 runs  Llama 3.2 1B Instruct, Q4_K_M, GPU Two, other       localstore history 7
      2 runs  Llama 3.2 1B Instruct, Q4_K_M, GPU Two, llamafile   localstore history 5
      3 runs  Llama 3.2 1B Instruct, Q4_K_M, GPU One              localstore history 3
    ");
    for line in ran.stderr.lines().skip(1) {
        let (_, id) = line.rsplit_once("localstore history ").unwrap();
        sandbox.run(["history", id]).ok();
    }
    let narrow = at_width(&sandbox, 60, &["history"]);
    assert!(narrow.contains("localstore history 7"), "{narrow}");
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
    assert_eq!(
        stderr,
        "localstore: shown: the only one with a trend; 1 has one run\n"
    );
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
    let scores = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3));
    assert_eq!(
        scores.filter(|score| score.ends_with('p')).count(),
        3,
        "{text}"
    );
    assert!(text.contains("; 9 runs, no change"), "{text}");
    assert_eq!(text.matches('●').count(), 6, "{text}");
}

/// The geometric mean of its runs, as 'compare' has it.
#[test]
fn a_level_is_the_same_in_history_and_in_a_comparison() {
    let speeds = [1.0, 1.002, 1.004, 1.03, 1.001, 0.8, 0.801, 0.802, 0.84];
    let benches = (1..).zip(speeds).map(|(day, speed)| Bench {
        speed,
        day,
        ..Bench::default()
    });
    let sandbox = store(&benches.collect::<Vec<_>>());
    let of = |args: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&sandbox.run(args).stdout).unwrap()
    };
    let comparison = of(&["compare", "5", "6", "-o", "json"]);
    let comparison = &comparison["comparisons"][0];
    assert_eq!(
        comparison["reference"]["runs"],
        serde_json::json!([1, 2, 3, 4, 5])
    );
    let rows = comparison["rows"].as_array().unwrap();
    let level = rows.iter().find(|row| row["kind"] == "score").unwrap();
    let level = level["reference"].as_f64().unwrap();
    let history = of(&["history", "-o", "json"]);
    let before = history["changes"][0]["before"].as_f64().unwrap();
    assert!((before / level - 1.0).abs() < 1e-9, "{before} {level}");
    let scores = history["runs"].as_array().unwrap().iter();
    let scores: Vec<f64> = scores.map(|run| run["score"].as_f64().unwrap()).collect();
    let mean = scores[..5].iter().product::<f64>().powf(0.2);
    assert!((before / mean - 1.0).abs() < 1e-9, "{before} {mean}");
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
fn markdown_has_the_same_answer_without_a_chart() {
    let sandbox = changed();
    let text = sandbox
        .run(["history", "1", "-o", "md", "--metric", "gen_tps"])
        .text();
    insta::assert_snapshot!(text, @r"
    **tg 110.39 t/s since run 6 (2025-01-06): −15.2%, worse; 9 runs, 1 change**

    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile

    - ▼ run 6 (2025-01-06): 130.15 → 110.39, −15.2%, worse: version 0.9.2 → 0.9.3, kernel 6.8.0 → 6.9.1

    | id | measured   | version | score | pp t/s |   tg t/s | ttft ms |
    |---:|------------|---------|------:|-------:|---------:|--------:|
    |  9 | 2025-01-09 | 0.9.3   |  1526 | 6732.0 |   109.39 |  206.94 |
    |  8 | 2025-01-08 | 0.9.3   |  1545 | 6813.6 |   110.72 |  204.46 |
    |  7 | 2025-01-07 | 0.9.3   |  1557 | 6868.0 |   111.61 |  202.84 |
    |  6 | 2025-01-06 | 0.9.3   |  1532 | 6759.2 | 109.84 ▼ |  206.10 |
    |  5 | 2025-01-05 | 0.9.2   |  1810 | 7984.0 |   129.74 |  174.49 |
    |  4 | 2025-01-04 | 0.9.2   |  1825 | 8048.0 |   130.78 |  173.10 |
    |  3 | 2025-01-03 | 0.9.2   |  1796 | 7920.0 |   128.70 |  175.90 |
    |  2 | 2025-01-02 | 0.9.2   |  1817 | 8016.0 |   130.26 |  173.79 |
    |  1 | 2025-01-01 | 0.9.2   |  1832 | 8080.0 |   131.30 |  172.41 |
    ");
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
    no run matches --model nobody
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

#[test]
fn since_when_a_level_holds_is_told_only_if_all_runs_were_examined() {
    let sandbox = store(&days(1..=9));
    let svg = |limit: &str| {
        let ran = sandbox.run(["plot", "history", "--limit", limit]);
        ran.text()
    };
    assert!(svg("0").contains(" since run 1 (2025-01-01); 9 runs, no change"));
    let last = svg("4");
    assert!(last.contains("; the last 4 of 9 runs, no change"), "{last}");
    assert!(!last.contains(" since run "), "{last}");
}

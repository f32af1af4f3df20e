//! `compare`: what is printed, which runs are meant, and the gate.

use serde_json::Value;

use crate::bench::{Bench, days, store};
use crate::sandbox::{Ran, Sandbox};

fn json(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// Four repetitions; the second run generates a tenth slower, with a newer runtime.
fn slower() -> Sandbox {
    let base = Bench {
        repetitions: 4,
        ..Bench::default()
    };
    let new = Bench {
        repetitions: 4,
        generation: 0.9,
        version: "0.9.3",
        ..Bench::default()
    };
    store(&[base, new])
}

#[test]
fn what_differs_comes_first_and_a_row_tells_values_change_interval_verdict_and_method() {
    let sandbox = slower();
    let ran = sandbox.run(["compare", "1", "2", "--metric", "gen_tps,ttft_ms"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    run 2 is slower: tg −10.0% (certain in 10 of 20 rows)
    change: from run 1 to run 2

    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile
              run 1 v0.9.2   run 2 v0.9.3
    version   0.9.2          0.9.3

    geo. mean    run 1    run 2   change  95% interval  verdict     method
    tg t/s      131.30   118.17   −10.0%   −10.1…−9.9   worse       welch 4,4
    ttft ms      98.39   100.36    +2.0%                unverified
    score         1832     1766    −3.6%
    the 18 rows of single tests agree; '--tests' shows them
    --- stderr
    ");
}

#[test]
fn several_runs_have_a_column_each_and_the_best_is_marked() {
    let fast = Bench {
        speed: 1.2,
        version: "0.9.4",
        ..Bench::default()
    };
    let other = Bench {
        speed: 0.9,
        accelerator: "GPU Two",
        ..Bench::default()
    };
    let sandbox = store(&[Bench::default(), fast, other]);
    let ran = sandbox.run(["compare", "1", "2", "3", "--metric", "tg"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    fastest: run 2 (GPU One v0.9.4); the others tg −16.7% to −25.0%
    changes are from run 1

    Llama 3.2 1B Instruct, Q4_K_M, llamafile
    name            run  tg t/s           score   verdict
    GPU One v0.9.2    1  131.30            1832
    GPU One v0.9.4    2  157.56*  +20.0%   2198*  unverified
    GPU Two v0.9.2    3  118.17   −10.0%   1649   unverified
    --- stderr
    ");
}

#[test]
fn markdown_pastes_into_a_pull_request() {
    let sandbox = slower();
    let ran = sandbox.run(["compare", "1", "2", "--metric", "pp", "-o", "md"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    **no difference larger than 5%: pp 0.0% (10 of 10 rows)**

    change: from run 1 to run 2

    - Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile
    - version: 0.9.2 → 0.9.3

    | geo. mean |   run 1 |   run 2 |  change | 95% interval | verdict | method    |
    |-----------|--------:|--------:|--------:|--------------|---------|-----------|
    | pp t/s    |  8080.0 |  8080.0 |    0.0% |  −0.1…+0.1   | same    | welch 4,4 |
    | score     |    1832 |    1766 |   −3.6% |              |         |           |

    <details><summary>9 rows of single tests</summary>

    | test                 |   run 1 |   run 2 |  change | 95% interval | verdict | method    |
    |----------------------|--------:|--------:|--------:|--------------|---------|-----------|
    | pp t/s pp1024+tg16   |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |
    | pp t/s pp4096+tg256  |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |
    | pp t/s pp2048+tg256  |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |
    | pp t/s pp2048+tg768  |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |
    | pp t/s pp1024+tg1024 |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |
    | pp t/s pp1280+tg3072 |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |
    | pp t/s pp384+tg1152  |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |
    | pp t/s pp64+tg1024   |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |
    | pp t/s pp16+tg1536   |  8080.0 |  8080.0 |    0.0% |  −0.5…+0.5   | same    | welch 4,4 |

    </details>
    --- stderr
    ");
}

#[test]
fn formats_for_programs_hold_the_same_rows() {
    let sandbox = slower();
    let document = json(&sandbox.run(["compare", "1", "2", "-o", "json"]));
    let rows = document["comparisons"][0]["rows"].as_array().unwrap();
    // Nine tests and a mean for each of four metrics, and the score.
    assert_eq!(rows.len(), 41);
    assert_eq!(document["gate"], Value::Null);
    assert_eq!(document["differences"][0]["name"], "version");
    assert_eq!(document["differences"][0]["new"][0], "0.9.3");
    let slow = |row: &&Value| row["metric"] == "gen_tps" && row["kind"] == "test";
    for row in rows.iter().filter(slow) {
        let change = row["change_percent"].as_f64().unwrap();
        assert!((change + 10.0).abs() < 0.01, "{change}");
        assert_eq!(row["verdict"], "worse");
        assert_eq!(row["method"], "welch");
    }
    let jsonl = sandbox.run(["compare", "1", "2", "-o", "jsonl"]).text();
    let lines: Vec<Value> = jsonl
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(&lines, rows);
    let csv = sandbox.run(["compare", "1", "2", "-o", "csv"]).text();
    assert_eq!(csv.lines().count(), 42);
    assert!(csv.starts_with("base_id,new_id,kind,test,"));
}

#[test]
fn tests_of_one_side_are_named_and_not_averaged_in() {
    let fewer = Bench {
        tests: 8,
        ..Bench::default()
    };
    let sandbox = store(&[Bench::default(), fewer]);
    let ran = sandbox.run(["compare", "1", "2"]);
    let text = ran.text();
    assert!(text.contains("only the base has pp16+tg1536\n"), "{text}");
    assert!(
        text.contains("cannot be compared: other tests, a partial run\n"),
        "{text}"
    );
    assert!(!text.contains("\n pp16+tg1536"), "{text}");
    // The score is that of the tests in common.
    assert!(
        text.contains("\nscore         1765     1765     0.0%\n"),
        "{text}"
    );
    let document = json(&sandbox.run(["compare", "1", "2", "-o", "json"]));
    assert_eq!(document["comparisons"][0]["only_base"][0], "pp16+tg1536");
}

#[test]
fn the_gate_tells_by_its_exit_code() {
    let gate = |sandbox: &Sandbox, args: &[&str]| {
        let mut all = vec!["compare", "--fail-on-regression"];
        all.extend(args);
        sandbox.run(all)
    };
    let sandbox = slower();
    let ran = gate(&sandbox, &["1", "2"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.stderr,
        "localstore: regression: tg −10.0% (20 of 30 rows)\n"
    );
    assert!(ran.text().contains("run 2 is slower"), "{}", ran.text());
    // Faster is no regression, nor is a change that is too small to matter.
    assert_eq!(gate(&sandbox, &["2", "1"]).code, Some(0));
    assert_eq!(
        gate(&sandbox, &["1", "2", "--min-change", "15"]).code,
        Some(0)
    );
    assert_eq!(gate(&sandbox, &["1", "2", "--metric", "pp"]).code, Some(0));
    assert_eq!(gate(&sandbox, &["1", "99"]).code, Some(1));
    let document = json(&gate(&sandbox, &["1", "2", "-o", "json"]));
    assert_eq!(document["gate"]["outcome"], "regression");
    assert_eq!(document["gate"]["exit_code"], 2);
}

#[test]
fn runs_of_different_things_cannot_pass_the_gate() {
    type Difference = (&'static str, fn(&mut Bench));
    let differences: [Difference; 4] = [
        ("another model", |bench| bench.model = "Qwen2.5 14B"),
        ("another quantisation", |bench| bench.quant = "Q8_0"),
        ("another kind of accelerator", |bench| bench.kind = "CPU"),
        ("other tests, a partial run", |bench| bench.tests = 5),
    ];
    for (reason, change) in differences {
        let mut other = Bench {
            day: 2,
            ..Bench::default()
        };
        change(&mut other);
        let sandbox = store(&[Bench::default(), other]);
        let args = ["compare", "1", "2", "--fail-on-regression"];
        let ran = sandbox.run(args);
        assert_eq!(ran.code, Some(3), "{reason}");
        let line = format!("cannot be compared: {reason}\n");
        assert!(ran.text().contains(&line), "{}", ran.text());
        let forced = sandbox.run(args.into_iter().chain(["--force"]));
        assert!(!forced.stderr.contains("cannot be compared"), "{reason}");
        // Without the gate it is said, and no failure.
        assert_eq!(sandbox.run(["compare", "1", "2"]).code, Some(0));
    }
}

#[test]
fn single_repetitions_are_judged_by_earlier_runs() {
    let mut benches = days(1..=10);
    benches.push(Bench {
        day: 11,
        speed: 0.9,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    let args = ["compare", "--fail-on-regression", "--min-change", "3"];
    let with = |more: &[&'static str]| sandbox.run(args.iter().chain(more));
    for more in [
        &["last~1", "last"][..],
        &["1", "last"],
        &["--baseline", "last"],
        &["--baseline", "median-of-10", "last"],
        &["--baseline=median-of-10"],
        &["--baseline", "median-of 10"],
        &["last", "--baseline", "median-of-10"],
    ] {
        let ran = with(more);
        assert_eq!(ran.code, Some(2), "{more:?}: {}", ran.text());
        assert!(ran.text().contains("history 10"), "{more:?}");
    }
    assert_eq!(with(&["--baseline", "median-of-5", "10"]).code, Some(0));
}

#[test]
fn without_earlier_runs_a_single_repetition_is_unverified() {
    let new = Bench {
        speed: 0.8,
        ..Bench::default()
    };
    let sandbox = store(&[Bench::default(), new]);
    let ran = sandbox.run(["compare", "1", "2", "--fail-on-regression"]);
    assert_eq!(ran.code, Some(3));
    insta::assert_snapshot!(ran.stderr, @r"
    localstore: undecided: one repetition, 1 earlier run: noise unknown
    hint: 'localscore --reps 4' or 2 more runs; '--undecided pass' accepts this
    ");
    let accepted = [
        "compare",
        "1",
        "2",
        "--fail-on-regression",
        "--undecided=pass",
    ];
    assert_eq!(sandbox.run(accepted).code, Some(0));
    assert!(ran.text().contains("  unverified\n"), "{}", ran.text());
}

#[test]
fn earlier_runs_before_a_change_of_level_tell_nothing() {
    let mut benches = days(1..=6);
    benches.extend(days(7..=13).into_iter().map(|bench| Bench {
        speed: 0.7,
        ..bench
    }));
    let sandbox = store(&benches);
    let document = json(&sandbox.run(["compare", "12", "13", "-o", "json"]));
    let row = &document["comparisons"][0]["rows"][0];
    assert_eq!(row["method"], "history");
    // Over both levels the interval would be wider than the change between them.
    assert!(row["high_percent"].as_f64().unwrap() < 5.0, "{row}");
    assert!(row["low_percent"].as_f64().unwrap() > -5.0, "{row}");
}

#[test]
fn a_baseline_is_of_the_same_configuration_and_machine() {
    let other_model = Bench {
        day: 2,
        model: "Qwen2.5 14B",
        ..Bench::default()
    };
    let other_machine = Bench {
        day: 3,
        cpu: "CPU Two",
        ..Bench::default()
    };
    let new = Bench {
        day: 4,
        ..Bench::default()
    };
    let sandbox = store(&[Bench::default(), other_model, other_machine, new]);
    let base = |args: &[&str]| {
        let mut all = vec!["compare", "-o", "json"];
        all.extend(args);
        let document = json(&sandbox.run(all));
        document["base"][0]["id"].as_i64().unwrap()
    };
    assert_eq!(base(&["--baseline", "last"]), 1);
    // A tag may be on a run of each configuration.
    sandbox.run(["tag", "main", "1", "2"]).ok();
    assert_eq!(base(&["--baseline", "main"]), 1);
    assert_eq!(base(&["--baseline", "2"]), 2);
    let two = sandbox
        .run(["compare", "--baseline", "last", "1", "4"])
        .failed();
    assert_eq!(two, "invalid parameter for: 4");
    let few = sandbox.run(["compare", "--baseline", "median-of-9"]);
    assert_eq!(few.code, Some(0));
    assert!(few.stderr.contains("the median of 1"), "{}", few.stderr);
    insta::assert_snapshot!(sandbox.run(["compare", "--baseline", "last", "2"]).failed(), @"run 2: no earlier run of this configuration and machine");
}

#[test]
fn what_cannot_be_meant_is_one_clear_line() {
    let sandbox = slower();
    let failed = |args: &[&str]| {
        let mut all = vec!["compare"];
        all.extend(args);
        sandbox.run(all).failed()
    };
    let lines = [
        failed(&["1", "1"]),
        failed(&["last", "2"]),
        failed(&["1"]),
        failed(&[]),
        failed(&["1", "77"]),
        failed(&["1", "2", "--metric", "speed"]),
        failed(&["1", "2", "--min-change", "-1"]),
        failed(&["1", "2", "--alpha", "2"]),
        failed(&["1", "2", "--baseline", "median-of-0"]),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    run 1: on both sides
    run 2: on both sides
    missing parameter: NEW
    missing parameter: BASE
    run 77: no such run
    invalid parameter for: --metric
    invalid parameter for: -1
    invalid parameter for: --alpha
    invalid parameter for: --baseline
    ");
    let empty = Sandbox::new();
    let missing = empty.run(["compare", "1", "2"]).failed();
    assert!(missing.ends_with("there is no store"), "{missing}");
}

#[test]
fn a_deviation_that_is_no_number_is_not_used() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/nan-stddev.json", "golden/gpu-reps4.json"]);
    let text = sandbox.run(["compare", "2", "1", "--metric", "pp"]).text();
    assert!(!text.to_lowercase().contains("nan"), "{text}");
    assert!(text.contains(": noise unknown\n"), "{text}");
}

#[test]
fn the_verdict_stands_if_nobody_reads_the_report() {
    let sandbox = slower();
    let mut command = sandbox.command(["compare", "1", "2", "--fail-on-regression"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_slow_run_that_was_stopped_does_not_let_the_next_pass() {
    let mut benches = days(1..=10);
    benches.extend(days(11..=12).into_iter().map(|bench| Bench {
        speed: 0.9,
        ..bench
    }));
    let sandbox = store(&benches);
    let gate = [
        "compare",
        "--baseline",
        "median-of 10",
        "--fail-on-regression",
    ];
    assert_eq!(sandbox.run(gate.iter().chain(&["11"])).code, Some(2));
    assert_eq!(sandbox.run(gate.iter().chain(&["12"])).code, Some(2));
}

#[test]
fn another_machine_is_no_history() {
    let other = |bench: Bench| Bench {
        cpu: "CPU Two",
        speed: 0.6 * bench.speed,
        ..bench
    };
    // Both machines by turns, one of which gets slower in the end.
    let mut benches = Vec::new();
    for (one, two) in days(1..=8).into_iter().zip(days(1..=8)) {
        benches.push(one);
        benches.push(other(two));
    }
    benches.push(Bench {
        day: 9,
        speed: 0.9,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    let ran = sandbox.run(["compare", "--baseline", "last", "--fail-on-regression"]);
    assert_eq!(ran.code, Some(2), "{}", ran.text());
    assert!(ran.text().contains("history 8"), "{}", ran.text());
    let stderr = sandbox.run(["history"]).stderr;
    assert!(
        stderr.contains("from 2 machines (CPU One, CPU Two)"),
        "{stderr}"
    );
}

#[test]
fn a_baseline_reaches_back_to_the_last_change_of_level() {
    let mut benches = days(1..=7);
    benches.extend(days(8..=11).into_iter().map(|bench| Bench {
        speed: 1.2,
        ..bench
    }));
    benches.push(Bench {
        day: 12,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    let gate = [
        "compare",
        "--baseline",
        "median-of 10",
        "--fail-on-regression",
    ];
    let ran = sandbox.run(gate);
    assert_eq!(ran.code, Some(2), "{}", ran.text());
    assert!(
        ran.text().contains("\ngeo. mean   median "),
        "{}",
        ran.text()
    );
    assert!(ran.stderr.contains("the median of 4"), "{}", ran.stderr);
    let document = json(&sandbox.run(gate.iter().chain(&["-o", "json"])));
    let base = document["base"].as_array().unwrap().iter();
    let base: Vec<i64> = base.map(|run| run["id"].as_i64().unwrap()).collect();
    assert_eq!(base, [8, 9, 10, 11]);
}

#[test]
fn a_tag_means_the_run_that_fits_best() {
    let other = Bench {
        day: 3,
        cpu: "CPU Two",
        ..Bench::default()
    };
    let partial = Bench {
        day: 4,
        tests: 3,
        ..Bench::default()
    };
    let mut benches = days(1..=2);
    benches.extend([other, partial]);
    benches.extend(days(5..=6));
    let sandbox = store(&benches);
    sandbox.run(["tag", "main", "1", "2", "3", "4", "6"]).ok();
    let ran = sandbox.run(["compare", "--baseline", "main", "5", "-o", "json"]);
    assert_eq!(json(&ran)["base"][0]["id"], 2);
}

#[test]
fn the_interval_is_named_by_its_confidence() {
    let sandbox = slower();
    for (alpha, title) in [("0.05", "95%"), ("0.1", "90%"), ("0.001", "99.9%")] {
        let text = sandbox.run(["compare", "1", "2", "--alpha", alpha]).text();
        assert!(text.contains(&format!("  {title} interval")), "{text}");
    }
}

#[test]
fn runs_with_other_tests_have_no_means_in_common() {
    let partial = Bench {
        day: 2,
        tests: 1,
        ..Bench::default()
    };
    let mut benches = vec![Bench::default(), partial];
    benches.extend(days(3..=3));
    let sandbox = store(&benches);
    let text = sandbox.run(["compare", "1", "2", "3"]).text();
    assert!(
        !text.contains("geo. mean") && !text.contains("\nscore"),
        "{text}"
    );
    assert!(text.contains("no means over all"), "{text}");
}

#[test]
fn names_are_no_markdown() {
    let hostile = Bench {
        model: "<img src=x> | `a` [b](c)",
        ..Bench::default()
    };
    let next = Bench {
        day: 2,
        version: "*1*",
        ..hostile
    };
    let hostile = Bench {
        model: next.model,
        ..Bench::default()
    };
    let sandbox = store(&[hostile, next]);
    let text = sandbox.run(["compare", "1", "2", "-o", "md"]).text();
    assert!(
        text.contains(r"- \<img src=x\> \| \`a\` \[b\](c), "),
        "{text}"
    );
    assert!(text.contains(r"0.9.2 → \*1\*"), "{text}");
}

#[test]
fn a_median_names_none_of_its_runs_as_the_base() {
    let sandbox = store(&days(1..=6));
    let compare = ["compare", "--baseline", "median-of-5", "-o"];
    let run = |format| sandbox.run(compare.iter().chain(&[format]));
    let document = json(&run("json"));
    assert_eq!(document["base"].as_array().unwrap().len(), 5);
    let jsonl = run("jsonl").text();
    let lines = jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let rows: Vec<Value> = lines.collect();
    assert_eq!(
        &rows,
        document["comparisons"][0]["rows"].as_array().unwrap()
    );
    assert!(rows.iter().all(|row| row["base_id"].is_null()));
    let csv = run("csv").text();
    assert!(
        csv.lines().skip(1).all(|line| line.starts_with(",6,")),
        "{csv}"
    );
    let sandbox = level();
    let args = ["compare", "--baseline", "median-of-5"];
    insta::assert_snapshot!(at_width(&sandbox, "80", &args).text(), @r"
    run 11 is slower: pp −15.2%, tg −15.2%, ttft +18.0% (certain in 40 of 40 rows)
    change: from the level of 10 runs (1–10) to run 11

    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile
                  the median of runs 6–10   run 11
    version       0.9.2                     0.9.3
    kernel        6.8.0                     6.11.0-29-generic
    repetitions   1                         4

    geo. mean   median    level   run 11   change  95% interval  verdict
    pp t/s      8016.0   8006.2   6786.4   −15.2%  −16.7…−13.7   worse
    tg t/s      130.26   130.10   110.28   −15.2%  −16.7…−13.7   worse
    ttft ms      99.18    99.30   117.15   +18.0%  +15.9…+20.1   worse
    total ms    4781.1   4787.0   5654.2   +18.1%  +16.0…+20.3   worse
    score         1817     1815     1539   −15.2%
    the 36 rows of single tests agree; '--tests' shows them
    ");
}

/// Another client keeps in `samples_ns` how long the prompt and the generation of one repetition
/// took.
#[test]
fn phases_are_not_taken_for_repetitions() {
    let sandbox = Sandbox::new();
    for generation in [1.0, 0.8] {
        let bench = Bench {
            generation,
            ..Bench::default()
        };
        let mut run: Value = serde_json::from_str(&bench.document()).unwrap();
        for test in run["results"].as_array_mut().unwrap() {
            let all = test["samples_ns"][0].as_u64().unwrap();
            test["samples_ns"] = serde_json::json!([all / 3, all - all / 3]);
        }
        let text = run.to_string();
        sandbox.run_with_input(["add"], text.as_bytes()).ok();
        // They come back as they came.
        let exported = sandbox.run(["export", "-o", "json"]).ok();
        let exported: Value = serde_json::from_slice(&exported).unwrap();
        let samples = |run: &Value| -> Vec<Value> {
            let tests = run["results"].as_array().unwrap().iter();
            tests.map(|test| test["samples_ns"].clone()).collect()
        };
        assert_eq!(samples(&exported), samples(&run));
    }
    let shown = sandbox.run(["show", "1"]).text();
    assert!(shown.contains("|   pp1024+tg16 | ?          |"), "{shown}");
    let ran = sandbox.run(["compare", "1", "2", "--fail-on-regression"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    let text = ran.text();
    assert!(!text.contains("worse"), "{text}");
    assert!(
        text.contains("why: repetitions not known, 1 earlier run: "),
        "{text}"
    );
}

/// A store of runs at one level, of which the last got slower, with another runtime.
fn level() -> Sandbox {
    let mut benches = days(1..=10);
    benches.push(Bench {
        day: 11,
        speed: 0.85,
        version: "0.9.3",
        kernel: "6.11.0-29-generic",
        repetitions: 4,
        ..Bench::default()
    });
    store(&benches)
}

fn at_width(sandbox: &Sandbox, width: &str, args: &[&str]) -> Ran {
    let mut command = sandbox.command(args);
    command.env("COLUMNS", width);
    command.output().unwrap().into()
}

#[test]
fn the_answer_and_its_reference_come_first_at_any_width() {
    let sandbox = level();
    let at = |width| at_width(&sandbox, width, &["compare", "10", "11"]).text();
    insta::assert_snapshot!(at("40"), @r"
    run 11 is slower: pp −15.2%, tg −15.2%,
    ttft +18.0% (certain in 40 of 40 rows)
    change: from the level of 10 runs (1–10;
    run 10 is one) to run 11

    Llama 3.2 1B Instruct, Q4_K_M, GPU One,
    llamafile
                  run 10   run 11
    version       0.9.2    0.9.3
    kernel        6.8.0    6.11.0-29…
    repetitions   1        4

    geo. mean   run 11   change  verdict
    pp t/s      6786.4   −15.2%  worse
    tg t/s      110.28   −15.2%  worse
    ttft ms     117.15   +18.0%  worse
    total ms    5654.2   +18.1%  worse
    score         1539   −15.2%
    the 36 rows of single tests agree;
    '--tests' shows them
    ");
    insta::assert_snapshot!(at("60"), @r"
    run 11 is slower: pp −15.2%, tg −15.2%, ttft +18.0% (certain
    in 40 of 40 rows)
    change: from the level of 10 runs (1–10; run 10 is one) to
    run 11

    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile
                  run 10 v0.9.2   run 11 v0.9.3
    version       0.9.2           0.9.3
    kernel        6.8.0           6.11.0-29-generic
    repetitions   1               4

    geo. mean    level   run 11   change  verdict
    pp t/s      8006.2   6786.4   −15.2%  worse
    tg t/s      130.10   110.28   −15.2%  worse
    ttft ms      99.30   117.15   +18.0%  worse
    total ms    4787.0   5654.2   +18.1%  worse
    score         1815     1539   −15.2%
    the 36 rows of single tests agree; '--tests' shows them
    ");
    insta::assert_snapshot!(at("80"), @r"
    run 11 is slower: pp −15.2%, tg −15.2%, ttft +18.0% (certain in 40 of 40 rows)
    change: from the level of 10 runs (1–10; run 10 is one) to run 11

    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile
                  run 10 v0.9.2   run 11 v0.9.3
    version       0.9.2           0.9.3
    kernel        6.8.0           6.11.0-29-generic
    repetitions   1               4

    geo. mean   run 10    level   run 11   change  95% interval  verdict
    pp t/s      8048.0   8006.2   6786.4   −15.2%  −16.7…−13.7   worse
    tg t/s      130.78   130.10   110.28   −15.2%  −16.7…−13.7   worse
    ttft ms      98.78    99.30   117.15   +18.0%  +15.9…+20.1   worse
    total ms    4762.1   4787.0   5654.2   +18.1%  +16.0…+20.3   worse
    score         1825     1815     1539   −15.2%
    the 36 rows of single tests agree; '--tests' shows them
    ");
    insta::assert_snapshot!(at("120"), @r"
    run 11 is slower: pp −15.2%, tg −15.2%, ttft +18.0% (certain in 40 of 40 rows)
    change: from the level of 10 runs (1–10; run 10 is one) to run 11

    Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile
                  run 10 v0.9.2   run 11 v0.9.3
    version       0.9.2           0.9.3
    kernel        6.8.0           6.11.0-29-generic
    repetitions   1               4

    geo. mean   run 10    level   run 11   change  95% interval  verdict  method
    pp t/s      8048.0   8006.2   6786.4   −15.2%  −16.7…−13.7   worse    history 10
    tg t/s      130.78   130.10   110.28   −15.2%  −16.7…−13.7   worse    history 10
    ttft ms      98.78    99.30   117.15   +18.0%  +15.9…+20.1   worse    history 10
    total ms    4762.1   4787.0   5654.2   +18.1%  +16.0…+20.3   worse    history 10
    score         1825     1815     1539   −15.2%
    the 36 rows of single tests agree; '--tests' shows them
    ");
    for width in ["40", "60", "80", "120"] {
        for args in [
            &["compare", "10", "11"][..],
            &["compare", "10", "11", "--tests"],
            &["compare", "8-11"],
            &["compare", "8-11", "--tests"],
        ] {
            let text = at_width(&sandbox, width, args).text();
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= width.parse().ok(), "{args:?} at {width}:\n{text}");
        }
    }
    // In a pipe all columns are there.
    let text = sandbox.run(["compare", "10", "11"]).text();
    assert!(text.contains("history 10"), "{text}");
}

#[test]
fn runs_of_another_quantisation_are_side_by_side() {
    let other = Bench {
        day: 2,
        quant: "Q8_0",
        speed: 0.6,
        ..Bench::default()
    };
    let third = Bench {
        day: 3,
        quant: "Q2_K - Medium",
        speed: 1.3,
        ..Bench::default()
    };
    let sandbox = store(&[Bench::default(), other, third]);
    insta::assert_snapshot!(sandbox.run(["compare", "1", "2"]).text(), @r"
    cannot be compared: another quantisation
    side by side: pp −40.5%, tg −40.5%, ttft +68.0%

    Llama 3.2 1B Instruct, GPU One, llamafile 0.9.2
            run 1 Q4_K_M   run 2 Q8_0
    quant   Q4_K_M         Q8_0

    geo. mean    run 1    run 2   change
    pp t/s      8080.0   4809.6   −40.5%
    tg t/s      131.30    78.16   −40.5%
    ttft ms      98.39   165.29   +68.0%
    total ms    4743.3   7968.6   +68.0%
    score         1832     1090   −40.5%
    '--tests' shows the 36 rows of single tests
    ");
    insta::assert_snapshot!(sandbox.run(["compare", "1", "2", "3"]).text(), @r"
    fastest: run 3 (Q2_K); the others pp −21.5% to −53.3%
    cannot be compared: another quantisation; changes are from run 1

    Llama 3.2 1B Instruct, GPU One, llamafile 0.9.2
    quant   run  pp t/s           tg t/s           ttft ms           score
    Q4_K_M    1  8080.0           131.30             98.39            1832
    Q8_0      2  4809.6   −40.5%   78.16   −40.5%   165.29   +68.0%   1090
    Q2_K      3   10296*  +27.4%  167.31*  +27.4%    77.21*  −21.5%   2335*
    ");
    let forced = sandbox.run(["compare", "1", "2", "--force"]).text();
    assert!(forced.contains("  unverified"), "{forced}");
    let document = json(&sandbox.run(["compare", "1", "2", "-o", "json"]));
    let comparison = &document["comparisons"][0];
    assert_eq!(comparison["headline"]["outcome"], "not_comparable");
    assert_eq!(comparison["reference"]["kind"], "run");
    assert_eq!(comparison["reference"]["runs"], serde_json::json!([1]));
}

#[test]
fn json_has_the_answer_the_reference_and_the_gate() {
    let sandbox = level();
    let args = ["compare", "10", "11", "--fail-on-regression", "-o", "json"];
    let document = json(&sandbox.run(args));
    let comparison = &document["comparisons"][0];
    let headline = &comparison["headline"];
    assert_eq!(headline["outcome"], "slower");
    let text = sandbox.run(["compare", "10", "11"]).text();
    assert_eq!(headline["text"], text.lines().next().unwrap());
    assert_eq!(headline["rows"], 40);
    assert_eq!(headline["certain_rows"], 40);
    let reference = &comparison["reference"];
    assert_eq!(reference["kind"], "level");
    let runs: Vec<i64> = (1..=10).collect();
    assert_eq!(reference["runs"], serde_json::json!(runs));
    assert_eq!(comparison["base_off_level_percent"], Value::Null);
    let gate = serde_json::json!({"outcome": "regression", "exit_code": 2, "reasons": []});
    assert_eq!(comparison["gate"], gate);
    assert_eq!(document["gate"], gate);
    for row in comparison["rows"].as_array().unwrap() {
        let number = |name: &str| row[name].as_f64().unwrap();
        let change = number("change_percent");
        let new = number("reference") * (1.0 + change / 100.0);
        assert!((new / number("new") - 1.0).abs() < 1e-9, "{row}");
        let own = 100.0 * (number("new") / number("base") - 1.0);
        assert!((own - number("from_base_percent")).abs() < 1e-9, "{row}");
        if row["kind"] != "score" {
            assert!(number("low_percent") <= change && change <= number("high_percent"));
        }
        assert!(row.get("estimate_percent").is_none());
    }
}

#[test]
fn a_base_off_its_level_is_named() {
    let mut benches = days(1..=8);
    benches.extend(days(9..=10).into_iter().map(|bench| Bench {
        speed: 1.15,
        ..bench
    }));
    let sandbox = store(&benches);
    let head = |args: &[&str]| {
        let text = at_width(&sandbox, "200", args).text();
        text.lines().take(3).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(head(&["compare", "9", "10"]), @r"
    no difference larger than 5%: pp +1.6%, tg +1.6%, ttft −1.6% (40 of 40 rows)
    change: from run 9 to run 10
    note: run 9 is off the level of runs 1–8 (pp +13.7%): changes are from run 9
    ");
    insta::assert_snapshot!(head(&["compare", "--baseline", "last"]), @r"
    run 10 is faster: pp +15.5%, tg +15.5%, ttft −13.4% (certain in 40 of 40 rows)
    change: from the level of 8 runs (1–8) to run 10
    warning: run 9 is itself off this level (pp +13.7%); from run 9: pp +1.6%
    ");
    let document = json(&sandbox.run(["compare", "9", "10", "-o", "json"]));
    let comparison = &document["comparisons"][0];
    assert!(comparison["base_off_level_percent"].as_f64().unwrap() > 10.0);
    assert_eq!(comparison["reference"]["kind"], "run");
}

/// One repetition, and few earlier runs or none: 60% slower is a regression, else the gate says that
/// it cannot decide.
#[test]
fn the_first_jobs_of_a_ci_do_not_pass_unseen() {
    let gate = ["compare", "--baseline", "last", "--fail-on-regression"];
    let after = |earlier: u32, speed: f64| {
        let mut benches = days(1..=earlier);
        benches.push(Bench {
            day: earlier + 1,
            speed,
            ..Bench::default()
        });
        store(&benches)
    };
    let first = after(0, 1.0);
    insta::assert_snapshot!(first.run(gate).snapshot(&first), @r"
    exit 3
    --- stdout
    not decided: no earlier run of this configuration and machine
    --- stderr
    localstore: undecided: no earlier run of this configuration and machine
    hint: '--undecided pass' accepts this
    ");
    let accepted = first.run(gate.iter().chain(&["--undecided", "pass"]));
    insta::assert_snapshot!(accepted.snapshot(&first), @r"
    exit 0
    --- stdout
    not decided: no earlier run of this configuration and machine
    --- stderr
    localstore: undecided, accepted: no earlier run of this configuration and machine
    ");
    assert_eq!(first.run(["compare", "--baseline", "last"]).code, Some(1));
    let document = json(&first.run(gate.iter().chain(&["-o", "json"])));
    assert_eq!(document["gate"]["exit_code"], 3);

    let mut lines = Vec::new();
    for (earlier, speed) in [(1, 1.0), (2, 1.0), (3, 1.0), (1, 0.4), (2, 0.4), (3, 0.4)] {
        let sandbox = after(earlier, speed);
        let ran = sandbox.run(gate);
        let pass = sandbox.run(gate.iter().chain(&["--undecided=pass"]));
        lines.push(format!("{:?} {:?} {}", ran.code, pass.code, ran.stderr));
    }
    insta::assert_snapshot!(lines.concat(), @r"
    Some(3) Some(0) localstore: undecided: one repetition, 1 earlier run: noise unknown
    hint: 'localscore --reps 4' or 2 more runs; '--undecided pass' accepts this
    Some(3) Some(0) localstore: undecided: one repetition, 2 earlier runs: noise unknown
    hint: 'localscore --reps 4' or 1 more run; '--undecided pass' accepts this
    Some(0) Some(0) localstore: no regression of 5% or more (40 rows judged)
    Some(2) Some(2) localstore: regression: pp −60.3% is over 25% ('--fail-above'); noise unknown
    Some(2) Some(2) localstore: regression: pp −60.5% is over 25% ('--fail-above'); noise unknown
    Some(2) Some(2) localstore: regression: pp −59.8%, tg −59.8%, ttft +148.7% (4 of 40 rows)
    ");
    let other = after(2, 1.0);
    let ran = other.run([
        "compare",
        "1",
        "3",
        "--fail-on-regression",
        "--fail-above=0.1",
    ]);
    assert_ne!(ran.code, Some(0), "{}", ran.stderr);
    let different = Bench {
        day: 2,
        model: "Qwen2.5 14B",
        ..Bench::default()
    };
    let different = store(&[Bench::default(), different]);
    let args = [
        "compare",
        "1",
        "2",
        "--fail-on-regression",
        "--undecided=pass",
    ];
    let ran = different.run(args);
    assert_eq!(ran.code, Some(3));
    assert_eq!(
        ran.stderr,
        "localstore: cannot be compared: another model\n"
    );
}

#[test]
fn too_much_noise_is_undecided_and_no_regression_is_said() {
    let speeds = [1.0, 1.16, 1.15, 0.93];
    let benches: Vec<Bench> = (1..)
        .zip(speeds)
        .map(|(day, speed)| Bench {
            speed,
            day,
            ..Bench::default()
        })
        .collect();
    let sandbox = store(&benches);
    let ran = sandbox.run(["compare", "--baseline", "last", "--fail-on-regression"]);
    assert_eq!(ran.code, Some(3));
    insta::assert_snapshot!(ran.stderr, @r"
    localstore: undecided: too noisy, a loss of 25% could pass unseen
    hint: 'localscore --reps 4' or more runs; '--undecided pass' accepts this
    ");
    let why = ran.text();
    assert!(
        why.contains("\nwhy: the 3 runs at this level (1–3) vary too much: pp "),
        "{why}"
    );
    let sandbox = store(&days(1..=8));
    let ran = sandbox.run(["compare", "7", "8", "--fail-on-regression"]);
    assert_eq!(
        ran.stderr,
        "localstore: no regression of 5% or more (40 rows judged)\n"
    );
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.text().starts_with("no difference larger than 5%: pp "),
        "{}",
        ran.text()
    );
}

#[test]
fn of_several_runs_those_that_cannot_be_compared_are_named() {
    let mut benches = days(1..=5);
    benches.extend((6..=8).map(|day| Bench {
        day,
        quant: "Q8_0",
        ..Bench::default()
    }));
    let sandbox = store(&benches);
    let text = sandbox.run(["compare", "4", "5-8"]).text();
    insta::assert_snapshot!(text.lines().nth(1).unwrap(), @"cannot be compared: another quantisation (runs 6–8); side by side with run 4; changes are from the level of 4 runs (1–4; run 4 is one)");
}

#[test]
fn a_run_is_named_by_best_a_range_a_list_or_a_file() {
    let mut benches = days(1..=4);
    benches[1].speed = 1.5;
    let sandbox = store(&benches);
    let ids = |args: &[&str]| -> Vec<Value> {
        let mut all = vec!["compare", "-o", "json"];
        all.extend(args);
        let document = json(&sandbox.run(all));
        let base = document["base"].as_array().unwrap().iter();
        let new = document["comparisons"].as_array().unwrap().iter();
        let new = new.map(|one| one["new"]["id"].clone());
        base.map(|run| run["id"].clone()).chain(new).collect()
    };
    assert_eq!(ids(&["best", "last"]), [2, 4]);
    assert_eq!(ids(&["1-4"]), [1, 2, 3, 4]);
    assert_eq!(ids(&["3,1"]), [3, 1]);
    assert_eq!(ids(&["4", "1-2,3"]), [4, 1, 2, 3]);
    // Only those that there are.
    assert_eq!(ids(&["3-9"]), [3, 4]);

    sandbox.file("old.json", days(5..=5)[0].document());
    let new = Bench {
        day: 6,
        speed: 0.5,
        ..Bench::default()
    };
    sandbox.file("new.json", new.document());
    let before = sandbox.run(["list"]).text();
    let ran = sandbox.run(["compare", "old.json", "./new.json"]);
    let text = ran.text();
    assert!(text.contains(" old.json "), "{text}");
    assert!(text.contains(" to new.json\n"), "{text}");
    let mixed = sandbox.run(["compare", "4", "new.json"]).text();
    assert!(mixed.contains("to new.json\n"), "{mixed}");
    assert_eq!(sandbox.run(["list"]).text(), before);
    let document = json(&sandbox.run(["compare", "old.json", "new.json", "-o", "json"]));
    assert_eq!(document["base"][0]["id"], Value::Null);
    assert_eq!(document["base"][0]["file"], "old.json");
    // A tag of that name comes first.
    sandbox.run(["tag", "new.json", "1"]).ok();
    let tagged = sandbox.run(["compare", "4", "new.json"]).text();
    assert!(tagged.contains("to run 1\n"), "{tagged}");
    for name in ["best", "3-7", "3,5"] {
        sandbox.run(["tag", name, "1"]).failed();
    }
    let many = sandbox.run(["score", "1-3"]).failed();
    assert_eq!(many, "1-3: 3 runs, and one is meant");
}

#[test]
fn files_are_compared_without_a_store() {
    let sandbox = Sandbox::new();
    for (name, speed) in [("a.json", 1.0), ("b.json", 0.9)] {
        let bench = Bench {
            speed,
            repetitions: 4,
            ..Bench::default()
        };
        sandbox.file(name, bench.document());
    }
    let text = sandbox.run(["compare", "a.json", "b.json"]).text();
    assert!(
        text.starts_with("b.json is slower: pp −10.0%, tg −10.0%"),
        "{text}"
    );
    assert!(
        sandbox
            .run(["list"])
            .failed()
            .ends_with("there is no store")
    );
    let missing = sandbox.run(["compare", "./none.json", "b.json"]).failed();
    assert!(
        missing.starts_with("./none.json: no such file"),
        "{missing}"
    );
}

#[test]
fn a_large_loss_amid_known_noise_is_not_called_unknown() {
    let speeds = [1.0, 1.7, 0.6, 0.45];
    let benches: Vec<Bench> = days(1..=4)
        .into_iter()
        .zip(speeds)
        .map(|(bench, speed)| Bench { speed, ..bench })
        .collect();
    let ran = store(&benches).run(["compare", "--baseline=last", "--fail-on-regression"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(
        ran.stderr,
        "localstore: regression: pp −55.1% is over 25% ('--fail-above'); not certain\n"
    );
}

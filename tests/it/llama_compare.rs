//! `compare`, its gate and the line beneath `add`, for runs of llama-bench.

use serde_json::{Value, json};

use crate::bench::{Bench, store};
use crate::sandbox::{Ran, Sandbox, read_fixture};

/// A document of llama-bench.
#[derive(Clone)]
struct Document {
    /// Prompt, generated and earlier tokens of each test.
    tests: Vec<(u64, u64, u64)>,
    n_batch: u64,
    build: u64,
    model: &'static str,
    cpu: &'static str,
    /// The day on which it was measured.
    day: u32,
    speed: f64,
    /// The time of each sample, as a multiple of the usual one.
    samples: Vec<f64>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            tests: vec![(512, 0, 0), (0, 128, 0)],
            n_batch: 2048,
            build: 6700,
            model: "llama 8B Q4_K - Medium",
            cpu: "CPU One",
            day: 1,
            speed: 1.0,
            samples: vec![1.0, 1.001, 0.999, 1.002, 0.998],
        }
    }
}

impl Document {
    fn row(&self, (n_prompt, n_gen, n_depth): (u64, u64, u64)) -> Value {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let tokens = (n_prompt + n_gen) as f64;
        let speed = self.speed * if n_gen == 0 { 8000.0 } else { 100.0 };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "so it prints"
        )]
        let times: Vec<u64> = self
            .samples
            .iter()
            .map(|factor| (1e9 * tokens / speed * factor) as u64)
            .collect();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let speeds: Vec<f64> = times.iter().map(|&ns| 1e9 * tokens / ns as f64).collect();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let mean = speeds.iter().sum::<f64>() / speeds.len() as f64;
        let mut row = json!({
            "build_commit": format!("c{}", self.build),
            "build_number": self.build,
            "cpu_info": self.cpu,
            "gpu_info": "GPU One",
            "backends": "CUDA",
            "model_filename": "models/8b.gguf",
            "model_type": self.model,
            "model_size": 4_920_733_824_u64,
            "model_n_params": 8_030_261_312_u64,
            "n_batch": self.n_batch,
            "n_threads": 8,
            "n_prompt": n_prompt,
            "n_gen": n_gen,
            "n_depth": n_depth,
            "test_time": format!("2025-10-{:02}T12:00:00Z", self.day),
            "avg_ns": times.iter().sum::<u64>() / times.len() as u64,
            "stddev_ns": 0,
            "avg_ts": mean,
            "stddev_ts": 0.5,
            "samples_ns": times,
            "samples_ts": speeds,
        });
        if self.build >= 6700 {
            row["no_host"] = json!(false);
        }
        row
    }

    fn rows(&self) -> Vec<Value> {
        self.tests.iter().map(|&test| self.row(test)).collect()
    }

    fn text(&self) -> String {
        serde_json::to_string_pretty(&self.rows()).unwrap()
    }
}

/// A store with these documents, added one by one.
fn stored(documents: &[Document]) -> Sandbox {
    let sandbox = Sandbox::new();
    for document in documents {
        sandbox
            .run_with_input(["add", "-"], document.text().as_bytes())
            .ok();
    }
    sandbox
}

/// So many runs like this one, a day each, which differ a little.
fn series(like: &Document, count: u32) -> Vec<Document> {
    let of_day = |day| Document {
        day,
        speed: like.speed * (1.0 + f64::from(day * 7 % 5) / 1000.0),
        ..like.clone()
    };
    (1..=count).map(of_day).collect()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[test]
fn the_samples_of_two_files_tell_how_certain_a_change_is() {
    let sandbox = Sandbox::new();
    let slow = Document {
        speed: 0.9,
        build: 6701,
        ..Document::default()
    };
    sandbox.file("base.json", Document::default().text());
    sandbox.file("new.json", slow.text());
    let ran = sandbox.run(["compare", "base.json", "new.json", "--tests"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    new.json is slower: t/s −10.0% (certain in 3 of 3 rows)
    change: from base.json to new.json

    llama 8B, Q4_K_M, GPU One, llama.cpp
                     base.json b6700   new.json b6701
    version          b6700             b6701
    runtime commit   c6700             c6701

    geo. mean  base.json  new.json   change  95% interval  verdict  method
    t/s           894.43    804.99   −10.0%   −10.1…−9.9   worse    welch 5,5
     pp512        8000.0    7200.0   −10.0%   −10.3…−9.7   worse    rank 5,5
     tg128        100.00     90.00   −10.0%   −10.3…−9.7   worse    rank 5,5
    --- stderr
    ");
    let ran = sandbox.run(["compare", "base.json", "new.json", "-o", "json"]);
    let document = json(&ran);
    assert_eq!(document["base"][0]["score"], Value::Null);
    let new = &document["comparisons"][0];
    assert_eq!(new["new"]["score"], Value::Null);
    let changes = new["headline"]["changes_percent"].as_object().unwrap();
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["tps"]);
    let rows = new["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["metric"] == "tps"), "{rows:?}");
    for format in ["csv", "md"] {
        let ran = sandbox.run(["compare", "base.json", "new.json", "-o", format]);
        assert!(!ran.text().contains("score"), "{format}");
    }
    // A store is not made.
    assert!(!sandbox.store().exists());
}

#[test]
fn other_settings_are_named_and_nothing_is_compared() {
    let sandbox = Sandbox::new();
    let other = Document {
        n_batch: 512,
        ..Document::default()
    };
    sandbox.file("base.json", Document::default().text());
    sandbox.file("new.json", other.text());
    let gate = [
        "compare",
        "base.json",
        "new.json",
        "--fail-on-regression",
        "--force",
        "--undecided",
        "pass",
    ];
    let ran = sandbox.run(gate);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 3
    --- stdout
    cannot be compared: n_batch 2048 against 512

    llama 8B, Q4_K_M, GPU One, llama.cpp b6700
    only the base has pp512 (n_batch 2048), tg128 (n_batch 2048)
    only the new run has pp512 (n_batch 512), tg128 (n_batch 512)
    --- stderr
    localstore: cannot be compared: n_batch 2048 against 512
    ");
    let ran = sandbox.run(["plot", "compare", "base.json", "new.json"]);
    let why = "nothing to draw: cannot be compared: n_batch 2048 against 512";
    assert_eq!(ran.failed(), why);
}

#[test]
fn a_sweep_is_compared_where_the_settings_are_equal() {
    let sandbox = Sandbox::new();
    let mut rows = Document::default().rows();
    let other = Document {
        n_batch: 512,
        ..Document::default()
    };
    rows.extend(other.rows());
    sandbox.file("sweep.json", serde_json::to_string(&rows).unwrap());
    sandbox.file("new.json", other.text());
    let ran = sandbox.run(["compare", "sweep.json", "new.json", "--tests"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    no difference larger than 5%: t/s 0.0% (3 of 3 rows)
    change: from sweep.json to new.json

    llama 8B, Q4_K_M, GPU One, llama.cpp b6700
    only the base has pp512 (n_batch 2048), tg128 (n_batch 2048)

    geo. mean             sweep.json  new.json   change  95% interval  verdict  method
    t/s                       894.43    894.43     0.0%   −0.1…+0.2    same     welch 5,5
     pp512 (n_batch 512)      8000.0    8000.0     0.0%   −0.3…+0.3    same     rank 5,5
     tg128 (n_batch 512)      100.00    100.00     0.0%   −0.3…+0.3    same     rank 5,5
    --- stderr
    ");
}

#[test]
fn a_field_of_one_version_alone_is_taken_for_its_default_and_that_is_said_once() {
    let sandbox = Sandbox::new();
    let old = Document {
        build: 6600,
        ..Document::default()
    };
    sandbox.file("old.json", old.text());
    sandbox.file("new.json", Document::default().text());
    let mut off = Document::default().rows();
    for row in &mut off {
        row["no_host"] = json!(true);
    }
    sandbox.file("off.json", serde_json::to_string(&off).unwrap());
    let ran = sandbox.run(["compare", "old.json", "new.json"]);
    assert!(ran.text().starts_with("no difference larger than 5%"));
    let assumed = "assumed where a version does not print it: no_host 0\n";
    assert_eq!(ran.text().matches(assumed).count(), 1, "{}", ran.text());
    let ran = sandbox.run(["compare", "old.json", "off.json"]);
    let first = "cannot be compared: no_host 1 in the new run alone\n";
    assert!(ran.text().starts_with(first), "{}", ran.text());
    // One line for several runs as well.
    let ran = sandbox.run(["compare", "old.json", "new.json", "off.json"]);
    assert_eq!(ran.text().matches(assumed).count(), 1, "{}", ran.text());
}

#[test]
fn the_tools_are_never_compared_with_each_other() {
    let sandbox = store(&[Bench::default()]);
    let text = Document::default().text();
    sandbox.run_with_input(["add", "-"], text.as_bytes()).ok();
    for runs in [["1", "2"], ["2", "1"]] {
        let [base, new] = runs;
        let gate = ["compare", base, new, "--force", "--fail-on-regression"];
        let ran = sandbox.run(gate);
        assert_eq!(ran.code, Some(3));
        assert!(ran.text().starts_with("cannot be compared: another tool\n"));
        assert!(!ran.text().contains("side by side"), "{}", ran.text());
        let ran = sandbox.run(["compare", base, new, "--force", "-o", "json"]);
        assert_eq!(json(&ran)["comparisons"][0]["rows"], json!([]));
    }
    let gate = ["compare", "--baseline", "last", "--fail-on-regression"];
    let ran = sandbox.run(gate);
    assert_eq!(ran.code, Some(3));
    assert!(ran.text().contains("no earlier run of this configuration"));
}

#[test]
fn another_model_or_machine_is_not_compared() {
    let sandbox = Sandbox::new();
    let model = Document {
        model: "llama 8B Q8_0",
        ..Document::default()
    };
    let machine = Document {
        cpu: "CPU Two",
        ..Document::default()
    };
    sandbox.file("base.json", Document::default().text());
    for (other, why) in [(model, "another model"), (machine, "another machine")] {
        sandbox.file("other.json", other.text());
        let gate = ["compare", "base.json", "other.json", "--fail-on-regression"];
        let ran = sandbox.run(gate);
        assert_eq!(ran.code, Some(3));
        let first = format!("cannot be compared: {why}\n");
        assert!(ran.text().starts_with(&first), "{}", ran.text());
    }
}

#[test]
fn one_sample_is_judged_by_earlier_runs_alone() {
    let single = Document {
        samples: vec![1.0],
        ..Document::default()
    };
    let mut runs = series(&single, 2);
    let gate = ["compare", "--baseline", "last", "--fail-on-regression"];
    let ran = stored(&runs).run(gate);
    assert_eq!(ran.code, Some(3));
    assert!(ran.text().starts_with("not decided: "), "{}", ran.text());
    assert!(ran.text().contains("'llama-bench -r 5'"), "{}", ran.text());
    runs = series(&single, 6);
    runs.push(Document {
        speed: 0.9,
        day: 7,
        ..single
    });
    let ran = stored(&runs).run(gate);
    assert_eq!(ran.code, Some(2));
    assert!(ran.text().starts_with("run 7 is slower"), "{}", ran.text());
    assert!(ran.text().contains("history 6"), "{}", ran.text());
}

#[test]
fn the_baseline_passes_over_runs_with_other_settings() {
    let other = Document {
        n_batch: 512,
        speed: 0.5,
        day: 2,
        ..Document::default()
    };
    let last = Document {
        day: 3,
        ..Document::default()
    };
    let sandbox = stored(&[Document::default(), other.clone(), last]);
    let ran = sandbox.run(["compare", "--baseline", "last", "-o", "json"]);
    assert_eq!(json(&ran)["base"][0]["id"], 1);
    // The tag of a run with the same settings is preferred.
    sandbox.run(["tag", "good", "1,2"]).ok();
    let ran = sandbox.run(["compare", "--baseline", "good", "-o", "json"]);
    assert_eq!(json(&ran)["base"][0]["id"], 1);

    let sandbox = stored(&[Document::default(), other]);
    let ran = sandbox.run(["compare", "--baseline", "last"]);
    let why = "run 2: no earlier run of this configuration and machine; run 1 cannot be compared: \
               n_batch 2048 against 512";
    assert!(ran.failed().contains(why), "{}", ran.failed());
    let gate = ["compare", "--baseline", "last", "--fail-on-regression"];
    let ran = sandbox.run(gate);
    assert_eq!(ran.code, Some(3));
    assert!(ran.text().contains("n_batch 2048 against 512"));
}

#[test]
fn a_run_with_more_tests_or_another_build_still_matches_test_by_test() {
    let mut runs = series(&Document::default(), 4);
    let more = Document {
        tests: vec![(512, 0, 0), (0, 128, 4096), (0, 128, 0)],
        build: 6702,
        day: 5,
        ..Document::default()
    };
    runs.push(more.clone());
    // Of the next, the level is that of the runs with its tests.
    runs.push(Document {
        tests: vec![(0, 128, 0)],
        speed: 0.8,
        day: 6,
        ..more
    });
    let sandbox = stored(&runs);
    let ran = sandbox.run(["compare", "--baseline", "last", "5"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    no difference larger than 5%: t/s −0.2% (3 of 3 rows)
    change: from the level of 4 runs (1–4; run 4 is one) to run 5

    llama 8B, Q4_K_M, GPU One, llama.cpp
                     run 4 b6700   run 5 b6702
    version          b6700         b6702
    runtime commit   c6700         c6702
    only the new run has tg128 @ d4096

    geo. mean    run 4    level    run 5   change  95% interval  verdict  method
    t/s         897.11   896.66   894.43    −0.2%   −0.7…+0.2    same     history 4
    the 2 rows of single tests agree; '--tests' shows them
    --- stderr
    ");
    let ran = sandbox.run(["compare", "--baseline", "last", "6", "-o", "json"]);
    let document = json(&ran);
    let new = &document["comparisons"][0];
    assert_eq!(new["headline"]["outcome"], "slower");
    assert_eq!(new["reference"]["runs"], json!([1, 2, 3, 4, 5]));
    assert_eq!(new["only_base"], json!(["pp512", "tg128 @ d4096"]));
}

#[test]
fn a_slow_first_sample_that_makes_the_verdict_is_named() {
    let sandbox = Sandbox::new();
    let cold = Document {
        samples: vec![1.6, 1.001, 0.999, 1.002, 0.998],
        ..Document::default()
    };
    for document in series(&Document::default(), 5) {
        sandbox
            .run_with_input(["add", "-"], document.text().as_bytes())
            .ok();
    }
    let cold = Document { day: 9, ..cold };
    sandbox
        .run_with_input(["add", "-"], cold.text().as_bytes())
        .ok();
    let ran = sandbox.run(["compare", "5", "6"]);
    let line = "first sample: it alone makes the mean t/s worse; without it ";
    assert!(ran.text().contains(line), "{}", ran.text());
    let ran = sandbox.run(["compare", "5", "6", "-o", "json"]);
    let first = &json(&ran)["comparisons"][0]["first_sample"][0];
    assert_eq!(first["verdict"], "worse");
    assert_eq!(first["without_verdict"], "same");
    let ran = sandbox.run(["compare", "4", "5"]);
    assert!(!ran.text().contains("first sample"), "{}", ran.text());
}

/// Without it nothing is open.
#[test]
fn a_slow_first_sample_that_leaves_the_verdict_open_is_named() {
    let sandbox = Sandbox::new();
    sandbox.file("warm.jsonl", Document::default().text());
    let cold = Document {
        samples: vec![1.5, 1.001, 0.999, 1.002, 0.998],
        ..Document::default()
    };
    sandbox.file("cold.jsonl", cold.text());
    let ran = sandbox.run(["compare", "warm.jsonl", "cold.jsonl"]);
    let text = ran.text();
    assert!(text.starts_with("not decided: "), "{text}");
    let named: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("first sample: it alone makes "))
        .map(|line| line.split_once(';').unwrap().0)
        .collect();
    assert_eq!(
        named,
        ["the mean t/s noise", "pp512 t/s noise", "tg128 t/s noise"],
        "{text}"
    );
}

/// Of a table the fields at their defaults are not known, and nothing is said of them.
#[test]
fn a_test_of_one_side_is_named_by_what_is_not_a_default() {
    let sandbox = Sandbox::new();
    for format in ["csv", "md"] {
        let golden = format!("golden/llama-bench/v-b11500-default.{format}");
        sandbox.file(&format!("run.{format}"), read_fixture(&golden));
    }
    let text = sandbox.run(["compare", "run.csv", "run.md"]).text();
    assert_eq!(
        text.lines().next(),
        Some("cannot be compared: n_threads 16 in the base alone")
    );
    assert!(
        text.contains(
            "\nonly the base has pp512 (n_threads 16), tg128 (n_threads 16), \
             pp512 @ d16384 (n_threads 16), tg128 @ d16384 (n_threads 16)\n\
             only the new run has pp512, tg128, pp512 @ d16384, tg128 @ d16384\n"
        ),
        "{text}"
    );
}

#[test]
fn metrics_choose_tests_by_kind() {
    let sandbox = Sandbox::new();
    let base = Document {
        tests: vec![(512, 0, 0), (0, 128, 0), (512, 128, 0)],
        ..Document::default()
    };
    sandbox.file("base.json", base.text());
    sandbox.file("new.json", Document { speed: 1.2, ..base }.text());
    let tests = |metric: &str| {
        let ran = sandbox.run([
            "compare",
            "base.json",
            "new.json",
            "--metric",
            metric,
            "-o",
            "json",
        ]);
        let rows = json(&ran)["comparisons"][0]["rows"].clone();
        let rows = rows.as_array().unwrap().clone();
        let names = rows.iter().filter_map(|row| row["test"].as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tests("t/s"), ["pp512", "tg128", "pp512+tg128"]);
    assert_eq!(tests("tps"), ["pp512", "tg128", "pp512+tg128"]);
    assert_eq!(tests("pp"), ["pp512"]);
    assert_eq!(tests("tg"), ["tg128"]);
    assert_eq!(tests("time"), ["pp512", "tg128", "pp512+tg128"]);
    let ran = sandbox.run(["compare", "base.json", "new.json", "--metric", "ttft"]);
    let hint = "hint: llama-bench measures t/s, pp, tg, time\n";
    assert!(ran.stderr.ends_with(hint), "{}", ran.stderr);
    let local = store(&[
        Bench::default(),
        Bench {
            speed: 1.1,
            ..Bench::default()
        },
    ]);
    let ran = local.run(["compare", "1", "2", "--metric", "t/s"]);
    let hint = "hint: LocalScore measures pp, tg, ttft, time\n";
    assert!(ran.stderr.ends_with(hint), "{}", ran.stderr);
}

#[test]
fn the_line_beneath_add_has_speeds_and_no_score() {
    let runs = series(&Document::default(), 4);
    let sandbox = stored(&runs);
    let slow = Document {
        speed: 0.9,
        day: 8,
        ..Document::default()
    };
    let ran = sandbox.run_with_input(["add", "-"], slow.text().as_bytes());
    let text = ran.text();
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with("  slower: t/s −10."), "{text}");
    assert!(line.ends_with("% (4 runs)"), "{text}");
    assert!(!text.contains("best") && !text.contains("score"), "{text}");
}

#[test]
fn a_picture_has_a_bar_for_each_test() {
    let sandbox = stored(&series(&Document::default(), 2));
    let ran = sandbox.run(["plot", "compare", "1", "2"]);
    for name in ["pp512", "tg128", "tokens/s"] {
        assert!(ran.text().contains(name), "{name}");
    }
}

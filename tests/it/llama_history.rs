//! `history`, `plot history`, `plot context` and `report` for runs of llama-bench.

use serde_json::{Value, json};

use crate::bench::{Bench, days, store};
use crate::sandbox::Sandbox;

/// A run of llama-bench with tests of 512 and 128 tokens.
#[derive(Clone, Copy)]
pub(crate) struct Document {
    pub(crate) day: u32,
    pub(crate) speed: f64,
    pub(crate) build: u64,
    pub(crate) flash_attn: bool,
    pub(crate) cpu: &'static str,
    /// Prompt, generated and earlier tokens of each test.
    pub(crate) tests: &'static [(u64, u64, u64)],
}

const BOTH: &[(u64, u64, u64)] = &[(512, 0, 0), (0, 128, 0)];

impl Default for Document {
    fn default() -> Self {
        Self {
            day: 1,
            speed: 1.0,
            build: 6690,
            flash_attn: false,
            cpu: "CPU One",
            tests: BOTH,
        }
    }
}

impl Document {
    fn rows(&self) -> Vec<Value> {
        let row = |&(n_prompt, n_gen, n_depth): &(u64, u64, u64)| {
            let speed = self.speed * if n_gen == 0 { 8000.0 } else { 100.0 };
            let mut row = json!({
                "build_commit": format!("c{}", self.build),
                "build_number": self.build,
                "cpu_info": self.cpu,
                "gpu_info": "GPU One",
                "backends": "CUDA",
                "model_filename": "models/8b.gguf",
                "model_type": "llama 8B Q4_K - Medium",
                "model_size": 4_920_733_824_u64,
                "model_n_params": 8_030_261_312_u64,
                "n_batch": 2048,
                "n_threads": 8,
                "flash_attn": self.flash_attn,
                "n_prompt": n_prompt,
                "n_gen": n_gen,
                "n_depth": n_depth,
                "test_time": format!("2025-10-{:02}T12:00:00Z", self.day),
                "avg_ns": 1_000_000,
                "stddev_ns": 0,
                "avg_ts": speed,
                "stddev_ts": 0.5,
            });
            if self.build >= 6700 {
                row["no_host"] = json!(false);
            }
            row
        };
        self.tests.iter().map(row).collect()
    }
}

pub(crate) fn add(sandbox: &Sandbox, documents: &[Document]) {
    for document in documents {
        let text = serde_json::to_string_pretty(&document.rows()).unwrap();
        sandbox.run_with_input(["add", "-"], text.as_bytes()).ok();
    }
}

fn stored(documents: &[Document]) -> Sandbox {
    let sandbox = Sandbox::new();
    add(&sandbox, documents);
    sandbox
}

/// Five days, then four on a build with another field, which is slower.
fn changed() -> Vec<Document> {
    let day = |day: u32| {
        let noise = 1.0 + f64::from(day * 7 % 5) / 1000.0;
        let (speed, build) = if day <= 5 { (1.0, 6690) } else { (0.85, 6700) };
        Document {
            day,
            speed: speed * noise,
            build,
            ..Document::default()
        }
    };
    (1..=9).map(day).collect()
}

fn trend(sandbox: &Sandbox, args: &[&str]) -> (Vec<i64>, Value) {
    let all = [&["history", "-o", "json"], args].concat();
    let document: Value = serde_json::from_slice(&sandbox.run(all).ok()).unwrap();
    let runs = document["runs"].as_array().unwrap();
    let ids = runs.iter().map(|run| run["id"].as_i64().unwrap());
    (ids.collect(), document)
}

#[test]
fn a_trend_goes_on_where_the_build_and_its_fields_change() {
    let sandbox = stored(&changed());
    let ran = sandbox.run(["history"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    tg 85.21 t/s since run 6 (2025-10-06): −15.0%, worse; 9 runs, 1 change
    llama 8B, Q4_K_M, GPU One, llama.cpp, tg128

      100 ┤● ● ● ● ●
       98 ┤
       96 ┤
       94 ┤
       92 ┤
       90 ┤
       88 ┤
       86 ┤          ● ● ● ●
          └──────────▼───────
           1         6     9

    ▼ run 6  2025-10-06  100.20 → 85.21  −15.0%  worse  version b6690 → b6700

    id  measured    version  pp t/s  tg t/s
     9  2025-10-09  b6700    6820.4   85.25
     8  2025-10-08  b6700    6806.8   85.08
     7  2025-10-07  b6700    6827.2   85.34
     6  2025-10-06  b6700    6813.6   85.17 ▼
     5  2025-10-05  b6690    8000.0  100.00
     4  2025-10-04  b6690    8024.0  100.30
     3  2025-10-03  b6690    8008.0  100.10
     2  2025-10-02  b6690    8032.0  100.40
     1  2025-10-01  b6690    8016.0  100.20
    --- stderr
    ");
}

#[test]
fn runs_with_other_settings_or_tests_are_left_out_and_named() {
    let mut documents = changed();
    let flash = |day| Document {
        day,
        flash_attn: true,
        ..Document::default()
    };
    documents.extend([flash(11), flash(12)]);
    documents.push(Document {
        day: 13,
        tests: &[(512, 0, 0)],
        ..Document::default()
    });
    documents.push(Document {
        day: 14,
        cpu: "CPU Two",
        ..Document::default()
    });
    let sandbox = stored(&documents);
    let (ids, _) = trend(&sandbox, &["9"]);
    assert_eq!(ids, (1..=9).collect::<Vec<_>>());
    let ran = sandbox.run(["history", "9"]);
    assert_eq!(
        ran.stderr,
        "localstore: 4 runs with other settings (flash_attn 1) or tests or machine are left out: \
         'localstore history 13'\n"
    );
    assert_eq!(trend(&sandbox, &["11"]).0, [10, 11]);
    // A run of a prompt alone is of a trend of the prompt, to which all with that test belong.
    let (ids, document) = trend(&sandbox, &["12"]);
    let with_prompt = (1..=9).chain([12]).collect::<Vec<_>>();
    assert_eq!(
        (ids, &document["metric"]),
        (with_prompt, &json!("prompt_tps"))
    );
    let ran = sandbox.run(["history"]);
    assert!(ran.stderr.contains("flash_attn"), "{}", ran.stderr);
    for line in ran.stderr.lines() {
        if let Some((_, id)) = line.rsplit_once("localstore history ") {
            sandbox.run(["history", id.trim_end_matches('\'')]).ok();
        }
    }
}

#[test]
fn a_run_with_more_tests_counts_with_those_of_the_reference() {
    let more = Document {
        day: 2,
        tests: &[(512, 0, 0), (0, 128, 0), (0, 128, 4096), (512, 128, 0)],
        speed: 1.1,
        ..Document::default()
    };
    let sandbox = stored(&[Document::default(), more]);
    let (ids, document) = trend(&sandbox, &["1"]);
    assert_eq!(ids, [1, 2]);
    assert_eq!(
        document["runs"][1]["avg_gen_tps"],
        json!(110.000_000_000_000_01)
    );
    assert_eq!(document["runs"][1]["score"], Value::Null);
    // The first one with a test more goes on with its predecessors.
    assert_eq!(trend(&sandbox, &["2"]).0, [1, 2]);
    let ran = sandbox.run(["history", "2"]);
    assert!(ran.text().contains(", tg128\n"), "{}", ran.text());
    // A second one makes them a trend of their own, in which the others lack a test.
    add(&sandbox, &[Document { day: 3, ..more }]);
    assert_eq!(trend(&sandbox, &["2"]).0, [2, 3]);
    let (ids, _) = trend(&sandbox, &["2", "--metric", "pp"]);
    assert_eq!(ids, [1, 2, 3]);
    let ran = sandbox.run(["history", "2"]);
    assert!(ran.text().contains(", mean of tg128 and tg128 @ d4096\n"));
}

#[test]
fn what_llama_bench_does_not_measure_is_refused() {
    let sandbox = stored(&[
        Document::default(),
        Document {
            tests: &[(512, 0, 0)],
            day: 2,
            ..Document::default()
        },
        Document {
            tests: &[(512, 128, 0)],
            day: 3,
            ..Document::default()
        },
    ]);
    for (args, said) in [
        (
            &["history", "--metric", "score"][..],
            "--metric score: llama-bench has no score\nhint: gen_tps or prompt_tps",
        ),
        (
            &["plot", "history", "1", "--metric", "ttft_ms"],
            "--metric ttft_ms: llama-bench does not measure the time to the first token\n\
             hint: gen_tps or prompt_tps",
        ),
        (
            &["history", "2", "--metric", "gen_tps"],
            "run 2: no test is of generation alone\nhint: localstore history 2",
        ),
        (
            &["history", "3"],
            "run 3: no test is of a prompt or of generation alone",
        ),
    ] {
        let ran = sandbox.run(args);
        assert_eq!(ran.code, Some(1));
        assert_eq!(ran.stderr, format!("localstore: {said}\n"));
    }
}

#[test]
fn the_tools_are_never_in_one_trend() {
    // The names could be the same.
    let like = |bench: Bench| Bench {
        model: "llama 8B Q4_K - Medium",
        accelerator: "GPU One",
        runtime: "llama.cpp",
        ..bench
    };
    let sandbox = store(&days(1..=3).into_iter().map(like).collect::<Vec<_>>());
    add(&sandbox, &changed());
    let (ids, document) = trend(&sandbox, &[]);
    assert_eq!(ids, (4..=12).collect::<Vec<_>>());
    assert_eq!(document["metric"], json!("gen_tps"));
    let (ids, document) = trend(&sandbox, &["--tool", "localscore"]);
    assert_eq!((ids, &document["metric"]), (vec![1, 2, 3], &json!("score")));
    // Only one of them has a score.
    assert_eq!(trend(&sandbox, &["--metric", "score"]).0, [1, 2, 3]);
    let ran = sandbox.run(["plot", "context", "1", "4"]);
    assert_eq!(
        ran.failed(),
        "run 1 and run 4: LocalScore and llama-bench measure different things"
    );
}

#[test]
fn the_picture_has_the_speed_of_generation() {
    let sandbox = stored(&changed());
    let svg = sandbox.run(["plot", "history"]).text();
    for said in ["Generation, tokens/s, tg128", "run 6", "b6690 → b6700"] {
        assert!(svg.contains(said), "{said}: {svg}");
    }
    let svg = sandbox.run(["plot", "history", "--metric", "pp"]).text();
    assert!(svg.contains("Prompt processing, tokens/s, pp512"), "{svg}");
}

#[test]
fn speed_is_drawn_over_the_depth_else_over_the_prompt() {
    let deep = Document {
        tests: &[
            (512, 0, 0),
            (512, 0, 4096),
            (2048, 0, 0),
            (0, 128, 0),
            (0, 128, 4096),
        ],
        ..Document::default()
    };
    let sizes = Document {
        day: 2,
        tests: &[(512, 0, 0), (2048, 0, 0), (0, 128, 0)],
        ..Document::default()
    };
    let sandbox = stored(&[deep, sizes]);
    let svg = sandbox.run(["plot", "context", "1"]).text();
    for said in [
        "pp512, tokens/s, more is better",
        "tokens before the test",
        "run 1, pp512: 8000",
        "run 1, pp512 @ d4096: 8000",
        "run 1, tg128 @ d4096: 100",
    ] {
        assert!(svg.contains(said), "{said}: {svg}");
    }
    // Another size at the same depth is another thing.
    assert!(!svg.contains("pp2048"), "{svg}");
    let svg = sandbox.run(["plot", "context", "2"]).text();
    for said in [
        "prompt processing, tokens/s",
        "tokens of the prompt",
        "run 2, pp2048: 8000",
    ] {
        assert!(svg.contains(said), "{said}: {svg}");
    }
}

#[test]
fn a_run_has_a_line_for_each_of_its_settings() {
    let mut rows = Document::default().rows();
    rows.extend(
        Document {
            flash_attn: true,
            ..Document::default()
        }
        .rows(),
    );
    let sandbox = Sandbox::new();
    let text = serde_json::to_string(&rows).unwrap();
    sandbox.run_with_input(["add", "-"], text.as_bytes()).ok();
    let svg = sandbox.run(["plot", "context"]).text();
    assert!(
        svg.contains("flash_attn 0") && svg.contains("flash_attn 1"),
        "{svg}"
    );
}

#[test]
fn the_page_has_a_section_of_its_own() {
    let sandbox = store(&days(1..=3));
    let before = sandbox.run(["report"]).text();
    assert!(!before.contains("llama-bench"), "{before}");
    add(&sandbox, &changed());
    let page = sandbox.run(["report"]).text();
    for said in [
        "<h1>LocalScore and llama-bench runs</h1>",
        "12 runs, 2 configurations, to 2025-10-09",
        "<section id=\"llama-bench\"><h2>llama-bench</h2>",
        "Best runs, by the speed of generation",
        "<h2>llama 8B, Q4_K_M, GPU One</h2>",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // What LocalScore's runs say is as before.
    let part = |page: &str| {
        let start = page.find("<main>").unwrap();
        let end = page.find("<section id=\"llama-bench\">");
        let end = end.or_else(|| page.find("</main>")).unwrap();
        page[start..end].to_owned()
    };
    assert_eq!(part(&page), part(&before));
    let alone = sandbox.run(["report", "--tool", "localscore"]).text();
    assert_eq!(part(&alone), part(&before));
    let page = sandbox.run(["report", "--tool", "llama-bench"]).text();
    assert!(page.contains("<h1>llama-bench runs</h1>"), "{page}");
}

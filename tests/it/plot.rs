//! `plot`: the pictures are well-formed and say what the store says.

use roxmltree::Document;

use crate::bench::{Bench, days, store};
use crate::sandbox::Sandbox;

/// A name that means something to XML, to a terminal and to readers of right-to-left text.
const HOSTILE: &str = "</text><script>x</script> \"'&amp; \u{1b}[2J\u{202e}\u{ffff}";

/// Five days on one version, four on the next, which is slower.
fn changed() -> Sandbox {
    let mut benches = days(1..=5);
    benches.extend(days(6..=9).into_iter().map(|bench| Bench {
        speed: 0.85,
        version: "0.9.3",
        ..bench
    }));
    store(&benches)
}

/// All that a picture says, a line each.
fn words(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let texts = document.descendants();
    let texts = texts.filter(|node| matches!(node.tag_name().name(), "text" | "title"));
    texts
        .filter_map(|node| node.text().map(str::to_owned))
        .collect()
}

#[track_caller]
fn assert_says(svg: &str, wanted: &[&str]) {
    let words = words(svg);
    for wanted in wanted {
        assert!(
            words.iter().any(|line| line == wanted),
            "{wanted}: {words:#?}"
        );
    }
}

#[test]
fn a_trend_marks_its_changes_and_tells_their_cause() {
    let sandbox = changed();
    let svg = sandbox.run(["plot", "history"]).text();
    assert_says(
        &svg,
        &[
            "Llama 3.2 1B Instruct - Q4_K - Medium, GPU One, llamafile",
            "LocalScore, score of all tests; more is better",
            "run 1, 2025-01-01 12:00: 1,832.5, version 0.9.2",
            "1: \u{2212}15.3%, worse, 1,818.0 → 1,539.1, run 6 of 2025-01-06",
            "version 0.9.2 → 0.9.3",
        ],
    );
    // A mark for each run.
    assert_eq!(svg.matches("<circle class=\"mark\"").count(), 9);
    let ttft = sandbox
        .run(["plot", "history", "last", "--metric", "ttft_ms"])
        .text();
    assert_says(
        &ttft,
        &["Time to first token, ms, mean of all tests; less is better"],
    );
    let last = sandbox.run(["plot", "history", "--limit", "2"]);
    assert_eq!(last.text().matches("<circle class=\"mark\"").count(), 2);
    assert!(last.stderr.contains("the last 2 runs"), "{}", last.stderr);
}

#[test]
fn a_comparison_has_a_bar_a_run_and_a_verdict() {
    let sandbox = store(&[
        Bench {
            repetitions: 4,
            ..Bench::default()
        },
        Bench {
            repetitions: 4,
            speed: 0.8,
            day: 2,
            ..Bench::default()
        },
    ]);
    let svg = sandbox.run(["plot", "compare", "1", "2"]).text();
    let table = sandbox.run(["compare", "1", "2", "-o", "csv"]).text();
    let row = "pp1024+tg16";
    assert!(table.contains(row), "{table}");
    assert_says(&svg, &[row, "geo. mean", "run 1", "run 2"]);
    let said = words(&svg);
    assert!(
        said.iter().any(|line| line.ends_with("% worse")),
        "{said:#?}"
    );
    // Three metrics of each test and their mean, two runs; the legend has a bar a run.
    assert_eq!(svg.matches("class=\"bar\"").count(), 3 * 10 * 2 + 2);
    let one = sandbox
        .run(["plot", "compare", "1", "2", "--metric", "tg"])
        .text();
    assert_eq!(one.matches("class=\"bar\"").count(), 10 * 2 + 2);
}

#[test]
fn speed_is_drawn_against_the_context() {
    let sandbox = changed();
    let svg = sandbox.run(["plot", "context", "1", "last"]).text();
    assert_says(
        &svg,
        &[
            "prompt processing, tokens/s, more is better",
            "tokens of the prompt and the answer",
            "run 1, pp16+tg1536: 131.3",
            "4,096",
        ],
    );
}

#[test]
fn a_file_is_written_whole_and_the_same_each_time() {
    let sandbox = changed();
    let ran = sandbox.run(["plot", "history", "--out", "trend.svg"]);
    assert!(ran.ok().is_empty());
    let written = std::fs::read(sandbox.path().join("trend.svg")).unwrap();
    assert_eq!(written, sandbox.run(["plot", "history"]).ok());
    let failed = sandbox.run(["plot", "history", "--out", "missing/trend.svg"]);
    assert!(failed.failed().starts_with("missing/trend.svg: "));
}

#[test]
fn hostile_names_are_text() {
    let sandbox = store(&[Bench {
        model: HOSTILE,
        quant: HOSTILE,
        accelerator: HOSTILE,
        version: HOSTILE,
        ..Bench::default()
    }]);
    for args in [&["plot", "history"][..], &["plot", "context"]] {
        let svg = sandbox.run(args).text();
        let document = Document::parse(&svg).unwrap();
        let scripts = document.descendants();
        assert_eq!(
            scripts.filter(|node| node.has_tag_name("script")).count(),
            0
        );
        assert!(!svg.contains(['\u{1b}', '\u{202e}', '\u{ffff}']), "{svg}");
    }
    let svg = sandbox.run(["plot", "history"]).text();
    assert!(svg.contains("\\x1b[2J\\u{202e}\\u{ffff}"), "{svg}");
}

#[test]
fn nothing_to_draw_is_an_error_and_no_file() {
    let sandbox = store(&[Bench {
        tests: 3,
        ..Bench::default()
    }]);
    let ran = sandbox.run(["plot", "history", "--out", "x.svg"]);
    assert_eq!(
        ran.failed(),
        "nothing to draw: no run of this configuration has all tests of the benchmark and a value"
    );
    assert!(!sandbox.path().join("x.svg").exists());
    let none = sandbox.run(["plot", "history", "--model", "gpt"]);
    assert!(none.failed().ends_with("no run matches"));
    let many = vec!["1"; 9];
    let many = [vec!["plot", "context"], many].concat();
    assert_eq!(
        sandbox.run(many).failed(),
        "9 runs: only 8 can be distinguished in one picture"
    );
}

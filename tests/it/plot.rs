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
    let texts = texts.filter(|node| matches!(node.tag_name().name(), "text" | "title" | "desc"));
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
            "Llama 3.2 1B Instruct, Q4_K_M, GPU One, llamafile",
            "LocalScore, score of all tests; more is better",
            "run 1, 2025-01-01 12:00: 1832, version 0.9.2",
            "▼ run 6 (2025-01-06): 1816 → 1540, −15.2%, worse",
            "version 0.9.2 → 0.9.3",
        ],
    );
    // What is said in words is what 'history' says.
    let history = sandbox.run(["history"]).text();
    let document = Document::parse(&svg).unwrap();
    let says = |name: &str| {
        let node = document.descendants().find(|node| node.has_tag_name(name));
        node.unwrap().text().unwrap().to_owned()
    };
    let said: Vec<&str> = history.lines().take(2).collect();
    assert_eq!([says("desc"), says("title")].as_slice(), said);
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
    assert!(
        last.stderr.contains("the last 2 of 9 runs"),
        "{}",
        last.stderr
    );
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
    let answer = sandbox.run(["compare", "1", "2"]).text();
    let answer = answer.lines().next().unwrap();
    assert_says(
        &svg,
        &[row, "geo. mean", "2025-01-01  run 1", "2025-01-02  run 2"],
    );
    let said = words(&svg);
    assert!(
        said.iter().any(|line| line.ends_with("% ▼ worse")),
        "{said:#?}"
    );
    // The sentence may be on several lines, but is whole for those who listen.
    assert_says(&svg, &[answer]);
    // Three metrics of each test and their mean, two runs; the legend has a bar a run.
    assert_eq!(svg.matches("class=\"bar\"").count(), 3 * 10 * 2 + 2);
    let one = sandbox
        .run(["plot", "compare", "1", "2", "--metric", "tg"])
        .text();
    assert_eq!(one.matches("class=\"bar\"").count(), 10 * 2 + 2);
}

#[test]
fn the_whiskers_are_around_the_level_which_is_a_tick() {
    let mut benches = days(1..=6);
    benches.push(Bench {
        speed: 0.8,
        day: 7,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    let svg = sandbox
        .run(["plot", "compare", "6", "7", "--metric", "tg"])
        .text();
    assert_says(&svg, &["level of 6 runs"]);
    let json = sandbox
        .run(["compare", "6", "7", "--metric", "tg", "-o", "json"])
        .ok();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let rows = json["comparisons"][0]["rows"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["kind"] == "geometric_mean")
        .unwrap();
    let number = |name: &str| row[name].as_f64().unwrap();
    // The last group is the mean; its axis is linear and begins at the bars.
    let document = Document::parse(&svg).unwrap();
    let lines = |class: &str| -> Vec<(f64, f64)> {
        let nodes = document.descendants();
        let nodes = nodes.filter(|node| node.attribute("class") == Some(class));
        let place = |node: roxmltree::Node<'_, '_>, name| node.attribute(name)?.parse().ok();
        nodes
            .filter_map(|node| Some((place(node, "x1")?, place(node, "x2")?)))
            .collect()
    };
    let bars = document.descendants();
    let mut bars = bars.filter(|node| node.attribute("class") == Some("bar"));
    let bar = bars.next_back().unwrap();
    let part = |name| bar.attribute(name).unwrap().parse::<f64>().unwrap();
    let (zero, scale) = (part("x"), part("width") / number("new"));
    let tick = lines("tick").last().unwrap().0;
    let at = |value: f64| zero + scale * value;
    assert!((tick - at(number("reference"))).abs() < 0.3, "{tick}");
    // A whisker is a line and its two ends.
    let whiskers = lines("whisker");
    let (from, to) = whiskers[whiskers.len() - 3];
    for (end, name) in [(from, "low_percent"), (to, "high_percent")] {
        let wanted = at(number("reference") * (1.0 + number(name) / 100.0));
        assert!((end - wanted).abs() < 0.3, "{name}: {end} {wanted}");
    }
}

#[test]
fn runs_that_cannot_be_compared_have_no_verdict() {
    let other = Bench {
        day: 2,
        quant: "Q8_0",
        speed: 0.6,
        ..Bench::default()
    };
    let sandbox = store(&[Bench::default(), other]);
    let svg = sandbox.run(["plot", "compare", "1", "2"]).text();
    assert_says(
        &svg,
        &[
            "cannot be compared: another quantisation",
            "pp1024+tg16, run 1: 8080.0",
        ],
    );
    assert!(!svg.contains("unverified"), "{svg}");
}

#[test]
fn other_pictures_than_svg_are_refused_by_name() {
    let sandbox = changed();
    for (args, command) in [
        (
            &["plot", "history", "--out", "x.png"][..],
            "localstore plot history --out x.svg",
        ),
        (
            &["plot", "compare", "1", "9", "--out", "x.PNG"],
            "localstore plot compare 1 9 --out x.svg",
        ),
        (
            &["plot", "context", "--out", "x.pdf"],
            "localstore plot context --out x.svg",
        ),
    ] {
        let ran = sandbox.run(args);
        let file = args.last().unwrap();
        assert_eq!(
            ran.stderr,
            format!("localstore: {file}: only SVG is drawn\nhint: {command}\n")
        );
        assert_eq!(ran.code, Some(1));
        assert!(!sandbox.path().join(file).exists());
        sandbox.run(command.split(' ').skip(1)).ok();
        assert!(sandbox.path().join("x.svg").exists());
    }
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
            "run 1, pp16+tg1536: 131.30",
            "4096",
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
    assert_eq!(none.failed(), "no run matches --model gpt");
    let many = vec!["1"; 9];
    let many = [vec!["plot", "context"], many].concat();
    assert_eq!(
        sandbox.run(many).failed(),
        "9 runs: only 8 can be distinguished in one picture"
    );
}

/// The README shows them: `sh examples/pictures.sh` draws them again.
#[cfg(unix)]
#[test]
fn the_pictures_of_the_readme_are_what_this_program_draws() {
    let sandbox = Sandbox::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let drawn = std::process::Command::new("sh")
        .arg(root.join("examples/pictures.sh"))
        .arg(sandbox.path())
        .env("LOCALSTORE", assert_cmd::cargo::cargo_bin!("localstore"))
        .env("HOME", sandbox.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&drawn.stderr);
    assert!(drawn.status.success(), "{stderr}");
    let readme = std::fs::read_to_string(root.join("README_localstore.md")).unwrap();
    for name in ["history.svg", "compare.svg"] {
        let [new, old] = [sandbox.path(), &root.join("docs")].map(|folder| folder.join(name));
        let [new, old] = [new, old].map(|path| std::fs::read_to_string(path).unwrap());
        assert!(new == old, "docs/{name} is old: sh examples/pictures.sh");
        assert!(readme.contains(&format!("](docs/{name})")), "{name}");
    }
}

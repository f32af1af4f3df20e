use serde_json::{Value, json};

use super::Work;
use super::made::Made;

/// Two turns of five parts, with tests that the agent ran itself.
fn made<'a>(work: &'a Work, id: &'static str) -> Made<'a> {
    work.write("n", "1");
    let mut made = Made::begin(work, id);
    made.turn("go").part("text", "looks");
    work.write("n", "2");
    made.part("patch", "n").turn("on").part("tool", "tests");
    work.write("n", "3");
    made.part("patch", "n").part("tool", "tests");
    for (part, path, passed) in [(2, "unit", 1), (3, "lint & <b>", 2), (5, "unit", 4)] {
        made.trace["parts"][part - 1]["envoi_calls"] = json!([{
            "path": path, "timestamp": "2025-10-09T08:00:00+00:00", "duration_ms": 5, "status_code": 200,
            "error": null, "result": {"passed": passed, "failed": 4 - passed, "total": 4, "tests": []},
        }]);
    }
    made.end("completed");
    made
}

#[test]
fn each_turn_has_its_tests_tokens_and_time() {
    let work = Work::new();
    let made = made(&work, "turns");
    let mask = |text: &str| {
        let text = text.replace(&made.commit_of(2)[..8], "<part 2>");
        text.replace(&made.commit_of(5)[..8], "<part 5>")
    };
    let ran = work.run(&["analyze", "turns"]);
    let text = mask(&ran.snapshot(work.sandbox()));
    insta::assert_snapshot!(text, @r"
    exit 0
    --- stdout
    6 of 8 tests pass at part 5, as the agent's own calls say

    turn  parts  commit    elapsed  tokens in/out  unit  lint & <b>  total
       1  1-2    <part 2>    2.0 s         100/20   1/4                1/4
       2  3-5    <part 5>    5.0 s         200/40   4/4         2/4    6/8
    --- stderr
    ");
    // An evaluation knows better.
    work.run(&["eval", "turns", "--suite", "it=test $(cat n) = 2"])
        .ok();
    let text = work.run(&["analyze", "turns"]).text();
    assert!(
        text.starts_with("0 of 1 test passes at part 5, as the evaluation of "),
        "{text}"
    );
    let table = text.split_once("\n\n").unwrap().1;
    insta::assert_snapshot!(mask(table), @r"
    turn  parts  commit    elapsed  tokens in/out   it  total
       1  1-2    <part 2>    2.0 s         100/20  1/1    1/1
       2  3-5    <part 5>    5.0 s         200/40  0/1    0/1
    ");
}

#[test]
fn the_formats_for_programs_have_every_suite() {
    let work = Work::new();
    let made = made(&work, "turns");
    let analyze = |format: &str| work.run(&["analyze", "turns", "-o", format]).text();
    let json: Value = serde_json::from_str(&analyze("json")).unwrap();
    assert_eq!(json[0]["suites"]["lint & <b>"], Value::Null);
    assert_eq!(json[1]["suites"]["unit"]["passed"], 4);
    assert_eq!(
        (&json[1]["passed"], &json[1]["total"]),
        (&6.into(), &8.into())
    );
    assert_eq!(json[1]["commit"], made.commit_of(5));
    assert_eq!(
        (&json[1]["tokens_input"], &json[1]["elapsed_ms"]),
        (&200.into(), &5000.into())
    );
    assert_eq!(analyze("jsonl").lines().count(), 2);
    assert_eq!(analyze("csv").lines().count(), 5);
    assert!(analyze("md").contains(r"lint & \<b\>") || analyze("md").contains(r"lint \& \<b\>"));
}

#[test]
fn suites_that_do_not_fit_are_named() {
    let mut work = Work::new();
    work.sandbox_mut().set("COLUMNS", "60");
    made(&work, "turns");
    let suites: Vec<String> = (1..=12).map(|n| format!("suite number {n}=true")).collect();
    let mut words = vec!["eval", "turns"];
    for suite in &suites {
        words.extend(["--suite", suite]);
    }
    work.run(&words).ok();
    for command in [&["analyze", "turns"][..], &words] {
        let ran = work.run(command);
        assert!(
            ran.text().lines().all(|line| line.len() <= 60),
            "{}",
            ran.text()
        );
        assert!(ran.stderr.contains("hidden: "), "{}", ran.stderr);
        assert!(ran.stderr.contains("suite number 12"), "{}", ran.stderr);
        assert!(ran.text().contains("suite number 1 "), "{}", ran.text());
    }
}

#[test]
fn the_picture_is_whole_and_its_names_are_text() {
    let work = Work::new();
    made(&work, "turns");
    let file = work.sandbox().path().join("tests.svg");
    let draw = || work.run(&["analyze", "turns", "--svg", file.to_str().unwrap()]);
    draw().ok();
    let text = std::fs::read_to_string(&file).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let titles: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name("title") || node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .collect();
    for expected in [
        "lint & <b>, part 3: 2/4",
        "unit, part 2: 1/4",
        "unit, part 5: 4/4",
        "unit  4/4",
    ] {
        assert!(titles.contains(&expected), "{expected}: {titles:?}");
    }
    draw().ok();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn without_tests_there_is_a_table_and_no_picture() {
    let work = Work::new();
    work.write("n", "1");
    let mut made = Made::begin(&work, "none");
    made.turn("go").part("text", "hello").end("completed");
    let ran = work.run(&["analyze", "none"]);
    ran.ok();
    assert!(ran.text().starts_with(
        "no tests are recorded in 1 part; 'localstore trace eval' runs some\n\nturn "
    ));
    let error = work.run(&["analyze", "none", "--svg", "x.svg"]).failed();
    assert_eq!(error, "x.svg: there are no tests to draw");
    assert!(!work.repo().join("x.svg").exists());
}

#[test]
fn a_report_of_another_trajectory_or_a_damaged_one_is_passed_over() {
    let work = Work::new();
    made(&work, "turns");
    let file = work.folder("turns").join("eval.json");
    work.run(&["eval", "turns", "--suite", "it=true"]).ok();
    let report = std::fs::read_to_string(&file).unwrap();
    for other in [
        &report.replace("\"turns\"", "\"others\""),
        "{",
        "[]",
        "\u{0}",
    ] {
        std::fs::write(&file, other).unwrap();
        let text = work.run(&["analyze", "turns"]).text();
        assert!(text.contains("as the agent's own calls say"), "{text}");
    }
}

use serde_json::{Value, json};

use super::Work;
use super::made::Made;

fn made(work: &Work) -> Made<'_> {
    work.write("a", "1");
    let mut made = Made::begin(work, "shown");
    made.turn("Fix\tit").part("reasoning", "thought");
    work.write("a", "2");
    work.write("b/c d", "1");
    made.part("patch", "a b");
    made.turn("Go on");
    made.part("tool", "cargo test\u{1b}[2J");
    let call = json!({"path": "unit", "timestamp": "t", "duration_ms": 5, "status_code": 200,
        "error": null, "result": {"passed": 3, "failed": 1, "total": 4, "tests": []}});
    made.trace["parts"][2]["envoi_calls"] = json!([call]);
    made
}

#[test]
fn a_trajectory_is_shown_by_turns() {
    let work = Work::new();
    made(&work).end("completed");
    insta::assert_snapshot!(work.run(&["show", "shown"]).snapshot(work.sandbox()));
    let document: Value =
        serde_json::from_slice(&work.run(&["show", "last", "-o", "json"]).ok()).unwrap();
    assert_eq!(document["turns"][0]["part_end"], 2);
    assert_eq!(document["session_end"]["reason"], "completed");
    assert_eq!(document["parts"], 3);
}

#[test]
fn a_part_is_shown_with_its_lines() {
    let work = Work::new();
    made(&work).end("completed");
    let text = work.run(&["show", "shown", "--part", "2"]).text();
    assert!(text.starts_with("part 2 of 3: patch an_item\n"), "{text}");
    assert!(text.contains("changed 2 files\n  a\n  b/c d\n"), "{text}");
    assert!(
        text.contains("\n{\n  \"event\": \"part.completed\","),
        "{text}"
    );
    let part = work
        .run(&["show", "shown", "--part", "3", "-o", "json"])
        .ok();
    let part: Value = serde_json::from_slice(&part).unwrap();
    assert_eq!(part["part"]["envoi_calls"][0]["result"]["passed"], 3);
    assert_eq!(part["events"][0]["summary"], "cargo test\u{1b}[2J");

    std::fs::remove_file(work.folder("shown").join("events.jsonl")).unwrap();
    let ran = work.run(&["show", "shown", "--part", "3"]);
    assert!(ran.text().contains("test call unit: 3 of 4 passed"));
    assert!(
        ran.stderr.contains("there is no events.jsonl"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_lines_of_a_part_are_found_behind_those_that_were_not_recorded() {
    let work = Work::new();
    work.write("a", "1");
    let mut made = Made::begin(&work, "two");
    made.part("text", "first");
    // The limit of the first recording was reached before this line.
    made.line(&json!({"event": "part.completed", "part_type": "tool", "item_type": "beyond"}));
    made.part("patch", "second").end("completed");
    let part = work.run(&["show", "two", "--part", "2", "-o", "json"]).ok();
    let part: Value = serde_json::from_slice(&part).unwrap();
    assert_eq!(part["events"][0]["summary"], "second");
}

#[test]
fn a_message_in_pieces_has_all_of_its_lines() {
    let work = Work::new();
    work.write("a", "1");
    let mut made = Made::begin(&work, "gemini");
    made.trace["agent"] = "gemini".into();
    made.part("text", "a b");
    made.trace["parts"][0]["item_type"] = "message".into();
    made.clear_lines();
    let piece = |content| json!({"type": "message", "role": "assistant", "delta": true, "content": content});
    made.line(&piece("a"));
    made.line(&piece(" b"));
    made.end("completed");
    let part = work
        .run(&["show", "gemini", "--part", "1", "-o", "json"])
        .ok();
    let part: Value = serde_json::from_slice(&part).unwrap();
    assert_eq!(part["events"].as_array().unwrap().len(), 2);
}

#[test]
fn a_part_that_is_not_there_is_an_error() {
    let work = Work::new();
    made(&work).end("completed");
    for (part, why) in [("0", "part 0: "), ("4", "part 4: ")] {
        let error = work.run(&["show", "shown", "--part", part]).failed();
        assert!(
            error.starts_with(why) && error.ends_with("parts 1 to 3"),
            "{error}"
        );
    }
}

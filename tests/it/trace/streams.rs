//! Lines of any kind.

use serde_json::{Value, json};

use super::Work;
use crate::sandbox::{fixture, read_fixture};

#[test]
fn the_streams_of_real_agents_are_recorded_as_their_parts() {
    let work = Work::new();
    for name in [
        "claude-fail",
        "codex-notes",
        "gemini-notes",
        "opencode-notes",
        "qwen-calc",
    ] {
        let stream = fixture(&format!("trace/{name}.jsonl"));
        let ran = work.run(&[
            "record",
            "--id",
            name,
            "--",
            "cat",
            stream.to_str().unwrap(),
        ]);
        assert_eq!(ran.ok(), std::fs::read(&stream).unwrap());
        let expected: Value =
            serde_json::from_slice(&read_fixture(&format!("trace/{name}.expected.json"))).unwrap();
        let trace = work.trace(name);
        let fields = |parts: &Value| -> Vec<Value> {
            let parts = parts.as_array().unwrap().iter();
            parts
                .map(|part| json!([part["part_type"], part["item_type"], part["summary"]]))
                .collect()
        };
        assert_eq!(
            fields(&trace["parts"]),
            fields(&expected["parts"]),
            "{name}"
        );
        assert_eq!(trace["session_id"], expected["session_id"], "{name}");
        let reason = match expected["failed"].as_bool() {
            Some(true) => "agent_error",
            _ => "completed",
        };
        assert_eq!(trace["session_end"]["reason"], reason, "{name}");
    }
}

#[test]
fn lines_that_are_no_objects_pass_through_and_count_nothing() {
    let work = Work::new();
    let deep = "[".repeat(100_000);
    let lines = [
        "text\n".as_bytes(),
        b"\xff\xfe\x00\n",
        b"\n\n",
        b"[1]\n\"a\"\nnull\n",
        br#"{"event":"part.completed","part_type":"text","n":1e999}"#,
        b"\n",
        deep.as_bytes(),
        b"\n",
        br#"{"event":"part.completed","part_type":"text","part_type":"tool"}"#,
        b"\n",
        br#"{"event":"part.completed","part_type":"text","summary":"last""#,
    ];
    let stream = work.sandbox().file("stream", lines.concat());
    let ran = work.run(&["record", "--id", "t", "--", "cat", stream.to_str().unwrap()]);
    assert_eq!(ran.ok(), lines.concat());
    let trace = work.trace("t");
    assert_eq!(trace["parts"].as_array().unwrap().len(), 1);
    assert_eq!(trace["parts"][0]["part_type"], "tool");
}

#[test]
fn the_names_of_a_stream_do_not_reach_a_terminal_as_they_are() {
    let work = Work::new();
    let script = r#"
        echo '{"type":"thread.started","thread_id":"\u001b[2J"}'
        echo '{"type":"\u001b[31mnew"}'
        echo '{"type":"\u001b[31mnew"}'"#;
    let ran = work.record("t", &[], script);
    ran.ok();
    assert!(!ran.stderr.contains('\x1b'), "{}", ran.stderr);
}

#[test]
fn a_line_of_many_megabytes_counts_and_one_of_more_than_64_only_passes_through() {
    let work = Work::new();
    let agent = r#"
        line() {
            printf '{"event":"part.completed","part_type":"text","summary":"'
            head -c "$1" /dev/zero | tr '\0' x
            echo '"}'
        }
        line 30000000; line 68000000; line 3"#;
    let ran = work.record("t", &[], agent);
    assert_eq!(ran.ok().len(), 98_000_003 + 3 * 59);
    let parts = &work.trace("t")["parts"];
    assert_eq!(parts.as_array().unwrap().len(), 2);
    assert_eq!(parts[0]["summary"], "x".repeat(240) + "...");
    assert_eq!(parts[1]["summary"], "xxx");
    let told = "lines of more than 64 MiB are passed on, but not read";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

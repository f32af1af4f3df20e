//! What real agents print, recorded.

use serde_json::{Value, json};

use super::Work;
use crate::sandbox::fixture;

/// The tokens that each turn used, in the order of the file.
fn tokens(trace: &Value) -> Vec<[u64; 5]> {
    let turns = trace["turns"].as_array().unwrap().iter();
    let fields = ["input", "output", "reasoning", "cached", "total"];
    turns
        .map(|turn| fields.map(|field| turn["token_usage"][field].as_u64().unwrap()))
        .collect()
}

#[test]
fn the_tokens_of_all_agents_mean_the_same() {
    let work = Work::new();
    for (agent, used) in [
        // Claude counts what it reads from its cache apart, OpenCode what it reasons too.
        ("claude", [13_070, 400, 0, 4000, 13_470]),
        ("codex", [9280, 400, 160, 4000, 9680]),
        ("gemini", [8000, 400, 0, 4000, 8400]),
        ("opencode", [9230, 400, 160, 4000, 9630]),
        ("qwen", [9070, 400, 0, 4000, 9470]),
    ] {
        let stream = fixture(&format!("trace/{agent}-calc.jsonl"));
        let ran = work.run(&[
            "record",
            "--id",
            agent,
            "--",
            "cat",
            stream.to_str().unwrap(),
        ]);
        ran.ok();
        let trace = work.trace(agent);
        assert_eq!(trace["agent"], agent);
        assert_eq!(trace["session_end"]["reason"], "completed");
        assert_eq!(tokens(&trace), [used], "{agent}");
    }
}

#[test]
fn tokens_of_a_session_that_goes_on_are_counted_once() {
    let work = Work::new();
    let resumed = fixture("trace/codex-resumed.jsonl");
    let stream = std::fs::read_to_string(&resumed).unwrap();
    let first: Value = serde_json::from_str(stream.lines().next().unwrap()).unwrap();
    let usage = json!({
        "input_tokens": 8000, "cached_input_tokens": 4000,
        "output_tokens": 400, "reasoning_output_tokens": 160,
    });
    let turn = json!({"type": "turn.completed", "usage": usage});
    let ran = work.record("t", &[], &format!("echo '{first}'; echo '{turn}'"));
    ran.ok();
    // Codex tells 16,000: those of both turns.
    let resumed = resumed.to_str().unwrap();
    work.run(&["record", "--continue", "t", "--", "cat", resumed])
        .ok();
    let trace = work.trace("t");
    let used = [8000, 400, 160, 4000, 8400];
    assert_eq!(tokens(&trace), [used, used]);
    assert_eq!(trace["turns"][1]["turn"], 2);
    assert_eq!(trace["session_id"], first["thread_id"]);
    // In another session all of its tokens are its own.
    let other = json!({"type": "thread.started", "thread_id": "another"});
    let script = format!("echo '{other}'; echo '{turn}'");
    work.run(&["record", "--continue", "t", "--", "sh", "-c", &script])
        .ok();
    assert_eq!(tokens(&work.trace("t")), [used, used, used]);
}

#[test]
fn an_agent_that_says_nothing_is_generic() {
    let work = Work::new();
    work.record("t", &[], "echo hello").ok();
    assert_eq!(work.trace("t")["agent"], "generic");
    // Of one that goes on, what it was is known.
    let first = json!({"type": "thread.started", "thread_id": "s"});
    work.record("u", &[], &format!("echo '{first}'")).ok();
    work.run(&["record", "--continue", "u", "--", "true"]).ok();
    let trace = work.trace("u");
    assert_eq!([&trace["agent"], &trace["session_id"]], ["codex", "s"]);
}

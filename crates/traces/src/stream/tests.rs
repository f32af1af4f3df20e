//! What real agents printed, and the parts that it must become.

use serde_json::{Value, json};

use super::{Agent, Event, Reader, TokenUsage};

const STREAMS: [&str; 15] = [
    "claude-calc",
    "claude-fail",
    "claude-hooks",
    "claude-notes",
    "codex-calc",
    "codex-fail",
    "codex-notes",
    "codex-resumed",
    "gemini-calc",
    "gemini-notes",
    "opencode-calc",
    "opencode-fail",
    "opencode-notes",
    "qwen-calc",
    "qwen-tests",
];

#[test]
fn the_streams_of_real_agents_become_their_parts() {
    for name in STREAMS {
        let path = format!("{}/../../fixtures/trace/{name}", env!("CARGO_MANIFEST_DIR"));
        let stream = std::fs::read(format!("{path}.jsonl")).unwrap();
        let expected = std::fs::read(format!("{path}.expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let mut reader = Reader::new(None);
        let (mut parts, mut failed, mut session) = (Vec::new(), false, String::new());
        for line in stream.split(|byte| *byte == b'\n') {
            for event in reader.line(line) {
                match event {
                    Event::Part(part) => {
                        let call = part.calls.first();
                        let counts = call.and_then(|call| call.result.as_ref());
                        parts.push(json!({
                            "part_type": part.kind,
                            "item_type": part.item_type,
                            "summary": part.summary,
                            "test_path": call.map(|call| &call.path),
                            "passed": counts.map(|counts| counts.passed),
                            "total": counts.map(|counts| counts.total),
                        }));
                    }
                    Event::Failed => failed = true,
                    Event::Session { id: Some(id), .. } => session = id,
                    Event::Unknown(kind) => panic!("{name}: unknown event {kind}"),
                    _ => {}
                }
            }
        }
        assert!(reader.end().is_empty());
        let mut wanted = expected["parts"].as_array().unwrap().clone();
        for part in &mut wanted {
            part.as_object_mut().unwrap().remove("line");
        }
        assert_eq!(parts, wanted, "{name}");
        assert_eq!(reader.agent().unwrap().name(), expected["agent"], "{name}");
        assert_eq!(session, expected["session_id"], "{name}");
        assert_eq!(failed, expected["failed"], "{name}");
    }
}

#[test]
fn what_is_known_but_no_part_is_not_told() {
    let lines: [&[u8]; 4] = [
        br#"{"type":"system","subtype":"init","session_id":"s"}"#,
        br#"{"type":"rate_limit_event","rate_limit_info":{}}"#,
        br#"{"type":"stream_event","event":{"type":"message_stop"}}"#,
        br#"{"type":"tool_progress","tool_name":"Bash"}"#,
    ];
    let mut reader = Reader::new(None);
    let events: Vec<_> = lines.iter().flat_map(|line| reader.line(line)).collect();
    assert!(matches!(events[..], [Event::Session { .. }]), "{events:?}");
    let mut reader = Reader::new(None);
    let list = br#"{"type":"item.completed","item":{"type":"todo_list","items":[]}}"#;
    assert_eq!(reader.line(list), []);
    let other = br#"{"type":"item.completed","item":{"type":"new"}}"#;
    assert_eq!(reader.line(other), [Event::Unknown("new".to_owned())]);
}

#[test]
fn half_a_character_is_no_reason_to_pass_over_a_line() {
    for (given, whole) in [
        (r#""\ud83d\ude00 \ud83d""#, r#""\ud83d\ude00 \ufffd""#),
        (
            r#""\ude00\ud83d\ud83d\ude00""#,
            r#""\ufffd\ufffd\ud83d\ude00""#,
        ),
        (r#""\\ud83d \u00e9 \uD8""#, r#""\\ud83d \u00e9 \uD8""#),
        ("\\", "\\"),
    ] {
        assert_eq!(super::whole_characters(given), whole);
    }
    let line = br#"{"type":"item.completed","item":{"type":"agent_message","text":"a \ud83d"}}"#;
    let events = Reader::new(Some(Agent::Codex)).line(line);
    let [Event::Part(part)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(part.summary.as_deref(), Some("a \u{fffd}"));
}

#[test]
fn what_gemini_and_opencode_say_of_errors_and_tokens() {
    let mut reader = Reader::new(Some(Agent::Gemini));
    let warning = br#"{"type":"error","timestamp":"x","severity":"warning","message":"a loop"}"#;
    assert_eq!(reader.line(warning), []);
    let failed = br#"{"type":"tool_result","tool_id":"a","status":"error","error":{"type":"x","message":"no such file"}}"#;
    let events = reader.line(failed);
    let [Event::Part(part)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(part.summary.as_deref(), Some("no such file"));

    let line = br#"{"type":"step_finish","sessionID":"s","part":{"tokens":{"input":1,"output":2,"reasoning":4,"cache":{"read":8,"write":16}}}}"#;
    let events = Reader::new(Some(Agent::Opencode)).line(line);
    let tokens = TokenUsage {
        input: 25,
        output: 6,
        reasoning: 4,
        cached: 8,
        total: 31,
    };
    assert_eq!(events[1], Event::Tokens(tokens));
}

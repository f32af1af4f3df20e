//! What real agents printed, and the parts that it must become.

use serde_json::{Value, json};

use super::{Event, Reader};

const STREAMS: [&str; 12] = [
    "claude-calc",
    "claude-fail",
    "claude-notes",
    "codex-calc",
    "codex-fail",
    "codex-notes",
    "gemini-calc",
    "gemini-notes",
    "opencode-calc",
    "opencode-fail",
    "opencode-notes",
    "qwen-calc",
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
                            "part_type": part.part_type,
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

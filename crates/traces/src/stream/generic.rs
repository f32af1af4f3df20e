//! Our own event lines, for any program.

use super::calls::calls;
use super::{
    Event, Object, Part, PartType, TokenUsage, count, milliseconds, object, summary, text,
};

pub(super) fn events(line: &Object) -> Vec<Event> {
    match text(line, "event").unwrap_or_default() {
        "session.started" => vec![Event::Session {
            id: text(line, "session_id").map(str::to_owned),
            model: text(line, "agent_model").map(str::to_owned),
        }],
        "turn.started" => vec![Event::TurnStarted {
            prompt: text(line, "prompt").map(str::to_owned),
        }],
        "turn.completed" => {
            vec![Event::TurnCompleted {
                usage: object(line, "token_usage").map(usage),
            }]
        }
        "turn.failed" => vec![Event::Failed, Event::TurnCompleted { usage: None }],
        "part.completed" => part(line).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn usage(usage: &Object) -> TokenUsage {
    TokenUsage {
        input: count(usage, "input"),
        output: count(usage, "output"),
        reasoning: count(usage, "reasoning"),
        cached: count(usage, "cached"),
        total: count(usage, "total"),
    }
}

fn part(line: &Object) -> Option<Event> {
    let part_type = match text(line, "part_type")? {
        "reasoning" => PartType::Reasoning,
        "text" => PartType::Text,
        "tool" => PartType::Tool,
        "tool_use" => PartType::ToolUse,
        "tool_result" => PartType::ToolResult,
        "patch" => PartType::Patch,
        _ => return None,
    };
    let item_type = text(line, "item_type").or(text(line, "part_type"))?;
    Some(Event::Part(Part {
        kind: part_type,
        item_type: item_type.to_owned(),
        summary: summary(text(line, "summary").unwrap_or_default()),
        timestamp: milliseconds(line.get("timestamp_ms")),
        calls: calls(line.get("test_call")),
    }))
}

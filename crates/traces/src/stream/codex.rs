//! `codex exec --json`.

use serde_json::Value;

use super::calls::{calls, runs_tests};
use super::{Event, Object, Part, PartType, TokenUsage, count, object, of_input, summary, text};

pub(super) fn events(line: &Object) -> Vec<Event> {
    match text(line, "type").unwrap_or_default() {
        "thread.started" => vec![Event::Session {
            id: text(line, "thread_id").map(str::to_owned),
            model: None,
        }],
        "turn.started" => vec![Event::TurnStarted { prompt: None }],
        "turn.completed" => vec![Event::TurnCompleted {
            usage: object(line, "usage").map(usage),
        }],
        "turn.failed" => vec![Event::Failed, Event::TurnCompleted { usage: None }],
        "item.completed" => object(line, "item").and_then(part).into_iter().collect(),
        "item.started" | "item.updated" | "error" => Vec::new(),
        other => vec![Event::Unknown(other.to_owned())],
    }
}

fn usage(usage: &Object) -> TokenUsage {
    let (input, output) = (count(usage, "input_tokens"), count(usage, "output_tokens"));
    TokenUsage {
        input,
        output,
        reasoning: count(usage, "reasoning_output_tokens"),
        cached: count(usage, "cached_input_tokens"),
        total: input.saturating_add(output),
    }
}

fn part(item: &Object) -> Option<Event> {
    let item_type = text(item, "type")?;
    let said = || summary(text(item, "text").unwrap_or_default());
    let (part_type, summary) = match item_type {
        "reasoning" => (PartType::Reasoning, said()),
        "agent_message" => (PartType::Text, said()),
        "command_execution" => (
            PartType::Tool,
            summary(text(item, "command").unwrap_or_default()),
        ),
        "mcp_tool_call" | "collab_tool_call" => {
            let tool = text(item, "tool").unwrap_or(item_type);
            (PartType::Tool, of_input(tool, object(item, "arguments")))
        }
        "web_search" => (
            PartType::Tool,
            summary(text(item, "query").unwrap_or_default()),
        ),
        "file_change" => (PartType::Patch, paths(item)),
        "error" | "todo_list" => return None,
        other => return Some(Event::Unknown(other.to_owned())),
    };
    let answer = text(item, "tool")
        .filter(|tool| runs_tests(tool))
        .and(item.get("result"));
    Some(Event::Part(Part {
        kind: part_type,
        item_type: item_type.to_owned(),
        summary,
        timestamp: None,
        calls: calls(answer),
    }))
}

fn paths(item: &Object) -> Option<String> {
    let changes = item.get("changes").and_then(Value::as_array)?;
    let paths = changes
        .iter()
        .filter_map(|change| change.get("path")?.as_str());
    summary(&paths.collect::<Vec<_>>().join(" "))
}

//! `claude -p --verbose --output-format stream-json`, and qwen's stream, which is the same.

use std::collections::HashMap;

use serde_json::Value;

use super::calls::{calls, runs_tests};
use super::{
    Event, Object, Part, PartType, TokenUsage, count, object, of_input, summary, text, time,
};

/// The tools whose answers are awaited, by the ids of their calls.
#[derive(Debug, Default)]
pub(super) struct State {
    tools: HashMap<String, String>,
}

impl State {
    pub(super) fn events(&mut self, line: &Object) -> Vec<Event> {
        match text(line, "type").unwrap_or_default() {
            "system" if text(line, "subtype") == Some("init") => vec![Event::Session {
                id: text(line, "session_id").map(str::to_owned),
                model: text(line, "model").map(str::to_owned),
            }],
            "system" | "auth_status" | "prompt_suggestion" | "rate_limit_event"
            | "stream_event" | "tool_progress" | "tool_use_summary" => Vec::new(),
            role @ ("assistant" | "user") => self.blocks(line, role),
            "result" => {
                let usage = object(line, "usage").map(usage);
                let is_failed = line.get("is_error") == Some(&Value::Bool(true));
                let failed = is_failed.then_some(Event::Failed);
                failed
                    .into_iter()
                    .chain([Event::TurnCompleted { usage }])
                    .collect()
            }
            other => vec![Event::Unknown(other.to_owned())],
        }
    }

    fn blocks(&mut self, line: &Object, role: &str) -> Vec<Event> {
        let content = object(line, "message").and_then(|message| message.get("content"));
        let blocks = content
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let timestamp = time(text(line, "timestamp"));
        let parts = blocks
            .iter()
            .filter_map(|block| self.part(block.as_object()?, role));
        parts
            .map(|part| Event::Part(Part { timestamp, ..part }))
            .collect()
    }

    fn part(&mut self, block: &Object, role: &str) -> Option<Part> {
        let kind = text(block, "type")?;
        let said = |key| summary(text(block, key).unwrap_or_default());
        let mut found = Vec::new();
        let (part_type, item_type, summary) = match (role, kind) {
            ("assistant", "thinking") => (PartType::Reasoning, kind, said("thinking")),
            ("assistant", "text") => (PartType::Text, kind, said("text")),
            ("assistant", "tool_use") => {
                let tool = text(block, "name").unwrap_or(kind);
                if let Some(id) = text(block, "id") {
                    self.tools.insert(id.to_owned(), tool.to_owned());
                }
                (
                    PartType::ToolUse,
                    tool,
                    of_input(tool, object(block, "input")),
                )
            }
            ("user", "tool_result") => {
                let id = text(block, "tool_use_id").unwrap_or_default();
                let tool = self.tools.get(id).map_or(kind, String::as_str);
                let answer = block.get("content");
                if runs_tests(tool) {
                    found = calls(answer);
                }
                (PartType::ToolResult, tool, answer.and_then(of_answer))
            }
            _ => return None,
        };
        Some(Part {
            kind: part_type,
            item_type: item_type.to_owned(),
            summary,
            timestamp: None,
            calls: found,
        })
    }
}

/// The text of an answer: a string, or the texts of its blocks.
fn of_answer(answer: &Value) -> Option<String> {
    match answer {
        Value::String(text) => summary(text),
        Value::Array(blocks) => {
            let texts = blocks
                .iter()
                .filter_map(|block| block.get("text")?.as_str());
            summary(&texts.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

fn usage(usage: &Object) -> TokenUsage {
    let cached = count(usage, "cache_read_input_tokens");
    let (mut input, output) = (count(usage, "input_tokens"), count(usage, "output_tokens"));
    // Claude counts apart what it reads from its cache and what it adds to it; qwen does not.
    if let Some(added) = usage.get("cache_creation_input_tokens") {
        let added = added.as_u64().unwrap_or_default();
        input = input.saturating_add(cached).saturating_add(added);
    }
    TokenUsage {
        input,
        output,
        reasoning: 0,
        cached,
        total: input.saturating_add(output),
    }
}

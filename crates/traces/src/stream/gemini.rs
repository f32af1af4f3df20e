//! `gemini --output-format stream-json`.

use std::collections::HashMap;

use super::calls::{calls, runs_tests};
use super::{
    Event, Object, Part, PartType, TokenUsage, count, object, of_input, summary, text, time,
};

/// The longest text of which a summary is made; what comes after it is passed over.
const LONGEST: usize = 64 << 10;

/// What a line leaves for those after it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The tools whose answers are awaited, by the ids of their calls.
    tools: HashMap<String, String>,
    /// The text of which more may come, and the part that it will be.
    message: Option<(String, Part)>,
}

impl State {
    pub(super) fn events(&mut self, line: &Object) -> Vec<Event> {
        let kind = text(line, "type").unwrap_or_default();
        let is_piece = line.get("delta").and_then(serde_json::Value::as_bool) == Some(true);
        if kind == "message" && text(line, "role") == Some("assistant") {
            let content = text(line, "content").unwrap_or_default();
            let before = if is_piece { None } else { self.flush() };
            let new = || {
                let part = part(PartType::Text, "message", None, line);
                (String::new(), part)
            };
            let (message, _) = self.message.get_or_insert_with(new);
            if message.len() < LONGEST {
                message.push_str(content);
            }
            let after = if is_piece { None } else { self.flush() };
            return before.into_iter().chain(after).collect();
        }
        let before = self.flush();
        let event = match kind {
            "init" => Some(Event::Session {
                id: text(line, "session_id").map(str::to_owned),
                model: text(line, "model").map(str::to_owned),
            }),
            // Warnings too; 'result' says whether it failed.
            "message" | "error" => None,
            "tool_use" => Some(self.tool_use(line)),
            "tool_result" => Some(self.tool_result(line)),
            "result" => {
                let usage = object(line, "stats").map(usage);
                let failed = text(line, "status").is_some_and(|status| status != "success");
                let failed = failed.then_some(Event::Failed);
                let completed = [Event::TurnCompleted { usage }];
                return before.into_iter().chain(failed).chain(completed).collect();
            }
            other => Some(Event::Unknown(other.to_owned())),
        };
        before.into_iter().chain(event).collect()
    }

    /// Whether more may come of the last text.
    pub(super) fn is_holding(&self) -> bool {
        self.message.is_some()
    }

    /// The text that is complete now.
    pub(super) fn flush(&mut self) -> Option<Event> {
        let (message, part) = self.message.take()?;
        Some(Event::Part(Part {
            summary: summary(&message),
            ..part
        }))
    }

    fn tool_use(&mut self, line: &Object) -> Event {
        let tool = text(line, "tool_name").unwrap_or("tool_use");
        if let Some(id) = text(line, "tool_id") {
            self.tools.insert(id.to_owned(), tool.to_owned());
        }
        let about = of_input(tool, object(line, "parameters"));
        Event::Part(part(PartType::ToolUse, tool, about, line))
    }

    fn tool_result(&mut self, line: &Object) -> Event {
        let id = text(line, "tool_id").unwrap_or_default();
        let tool = self.tools.get(id).map_or("tool_result", String::as_str);
        let error = object(line, "error").and_then(|error| text(error, "message"));
        let about = summary(text(line, "output").or(error).unwrap_or_default());
        let mut part = part(PartType::ToolResult, tool, about, line);
        if runs_tests(tool) {
            part.calls = calls(line.get("output"));
        }
        Event::Part(part)
    }
}

fn part(part_type: PartType, item_type: &str, summary: Option<String>, line: &Object) -> Part {
    Part {
        kind: part_type,
        item_type: item_type.to_owned(),
        summary,
        timestamp: time(text(line, "timestamp")),
        calls: Vec::new(),
    }
}

fn usage(stats: &Object) -> TokenUsage {
    TokenUsage {
        input: count(stats, "input_tokens"),
        output: count(stats, "output_tokens"),
        reasoning: 0,
        cached: count(stats, "cached"),
        total: count(stats, "total_tokens"),
    }
}

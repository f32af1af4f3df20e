//! `opencode run --format json`. The run is one turn.

use super::calls::{calls, runs_tests};
use super::{
    Event, Object, Part, PartType, TokenUsage, count, milliseconds, object, of_input, summary, text,
};

pub(super) fn events(line: &Object) -> Vec<Event> {
    let session = Event::Session {
        id: text(line, "sessionID").map(str::to_owned),
        model: None,
    };
    let event = match text(line, "type").unwrap_or_default() {
        "text" => said(line, PartType::Text),
        "reasoning" => said(line, PartType::Reasoning),
        "tool_use" => object(line, "part").and_then(|part| tool(line, part)),
        "step_finish" => object(line, "part")
            .and_then(|part| object(part, "tokens"))
            .map(tokens),
        "step_start" => None,
        "error" => Some(Event::Failed),
        other => Some(Event::Unknown(other.to_owned())),
    };
    [session].into_iter().chain(event).collect()
}

fn said(line: &Object, part_type: PartType) -> Option<Event> {
    let part = object(line, "part")?;
    Some(Event::Part(Part {
        kind: part_type,
        item_type: text(line, "type")?.to_owned(),
        summary: summary(text(part, "text").unwrap_or_default()),
        timestamp: milliseconds(line.get("timestamp")),
        calls: Vec::new(),
    }))
}

fn tool(line: &Object, part: &Object) -> Option<Event> {
    let (tool, state) = (text(part, "tool")?, object(part, "state")?);
    if !matches!(text(state, "status"), Some("completed" | "error")) {
        return None;
    }
    let answer = state.get("output").filter(|_| runs_tests(tool));
    Some(Event::Part(Part {
        kind: PartType::Tool,
        item_type: tool.to_owned(),
        summary: of_input(tool, object(state, "input")),
        timestamp: milliseconds(line.get("timestamp")),
        calls: calls(answer),
    }))
}

fn tokens(tokens: &Object) -> Event {
    let cache = |key| object(tokens, "cache").map_or(0, |cache| count(cache, key));
    let (cached, reasoning) = (cache("read"), count(tokens, "reasoning"));
    // What it reads from its cache, what it adds to it and what it reasons are counted apart.
    let input = count(tokens, "input").saturating_add(cached);
    let input = input.saturating_add(cache("write"));
    let output = count(tokens, "output").saturating_add(reasoning);
    let total = tokens.get("total").and_then(serde_json::Value::as_u64);
    Event::Tokens(TokenUsage {
        input,
        output,
        reasoning,
        cached,
        total: total.unwrap_or(input.saturating_add(output)),
    })
}

//! What agents print while they work, line by line, as events of a trajectory.
//!
//! A file an agent. Names and texts of a stream are data: nothing of them is run, opened or trusted.

mod calls;
mod claude;
mod codex;
mod gemini;
mod generic;
mod opencode;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use calls::{Call, Counts};

/// The longest summary, in characters.
const SUMMARY: usize = 240;

/// The longest name of something, in characters: of a session, a model, an item, a suite. Names are
/// repeated in many records.
const NAME: usize = 1000;

/// An object of JSON.
type Object = Map<String, Value>;

/// Which program prints the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Agent {
    /// `codex exec --json`
    Codex,
    /// `opencode run --format json`
    Opencode,
    /// `claude -p --verbose --output-format stream-json`
    Claude,
    /// `gemini --output-format stream-json`
    Gemini,
    /// `qwen`, whose stream is that of claude
    Qwen,
    /// Our own event lines
    Generic,
}

/// What a line tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The session began, or one of its properties is known now.
    Session {
        /// Its id.
        id: Option<String>,
        /// The model that works.
        model: Option<String>,
    },
    /// A turn began.
    TurnStarted {
        /// The request.
        prompt: Option<String>,
    },
    /// A part is complete.
    Part(Part),
    /// A turn ended.
    TurnCompleted {
        /// The tokens that it used.
        usage: Option<TokenUsage>,
    },
    /// Tokens of the turn that goes on; they add up.
    Tokens(TokenUsage),
    /// The agent says that it failed.
    Failed,
    /// A kind of event that is not known.
    Unknown(String),
}

/// The smallest thing seen of the agent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// What it is.
    pub(crate) kind: PartType,
    /// The agent's own word for it.
    pub(crate) item_type: String,
    /// In a few words; none if there is nothing to say.
    pub(crate) summary: Option<String>,
    /// When it was complete, if the stream tells.
    pub(crate) timestamp: Option<Timestamp>,
    /// The test calls that it shows.
    pub(crate) calls: Vec<Call>,
}

/// The kinds of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum PartType {
    /// What the agent thinks.
    Reasoning,
    /// What it says.
    Text,
    /// A call of a tool with its answer.
    Tool,
    /// A call of a tool.
    ToolUse,
    /// The answer of a tool.
    ToolResult,
    /// A change of files.
    Patch,
}

impl PartType {
    /// The word in the file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::Text => "text",
            Self::Tool => "tool",
            Self::ToolUse => "tool_use",
            Self::ToolResult => "tool_result",
            Self::Patch => "patch",
        }
    }
}

/// The tokens of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TokenUsage {
    /// Tokens of the request, cached ones included.
    pub(crate) input: u64,
    /// Tokens of the answer.
    pub(crate) output: u64,
    /// Of these, what the agent thought.
    pub(crate) reasoning: u64,
    /// Of the request's, those that were cached.
    pub(crate) cached: u64,
    /// All together.
    pub(crate) total: u64,
}

impl Agent {
    /// The agent of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = <Self as clap::ValueEnum>::value_variants();
        all.iter().copied().find(|agent| agent.name() == name)
    }

    /// Its name, as in `--agent`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Codex => "codex",
            Self::Opencode => "opencode",
            Self::Claude => "claude",
            Self::Gemini => "gemini",
            Self::Qwen => "qwen",
            Self::Generic => "generic",
        }
    }

    /// Whether the tokens that it tells are those of the whole session: what a turn used is what they
    /// have grown by.
    pub(crate) fn counts_sessions(self) -> bool {
        matches!(self, Self::Codex | Self::Qwen)
    }
}

impl Event {
    /// With names of a length that can be repeated, and no empty ones of items.
    fn bounded(self) -> Self {
        match self {
            Self::Session { id, model } => Self::Session {
                id: id.map(name),
                model: model.map(name),
            },
            Self::Unknown(kind) => Self::Unknown(name(kind)),
            Self::Part(mut part) => {
                part.item_type = name(part.item_type);
                if part.item_type.is_empty() {
                    part.kind.word().clone_into(&mut part.item_type);
                }
                for call in &mut part.calls {
                    call.path = name(std::mem::take(&mut call.path));
                }
                Self::Part(part)
            }
            other => other,
        }
    }
}

impl TokenUsage {
    /// The sum of both.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        self.with(other, |ours, others| Some(ours.saturating_add(others)))
            .unwrap_or(self)
    }

    /// What is left of these without the others; none if the others are more.
    #[must_use]
    pub(crate) fn minus(self, other: Self) -> Option<Self> {
        self.with(other, u64::checked_sub)
    }

    fn with(self, other: Self, count: fn(u64, u64) -> Option<u64>) -> Option<Self> {
        Some(Self {
            input: count(self.input, other.input)?,
            output: count(self.output, other.output)?,
            reasoning: count(self.reasoning, other.reasoning)?,
            cached: count(self.cached, other.cached)?,
            total: count(self.total, other.total)?,
        })
    }
}

/// Reads the lines of one agent.
#[derive(Debug)]
pub(crate) struct Reader {
    agent: Option<Agent>,
    claude: claude::State,
    gemini: gemini::State,
}

impl Reader {
    /// A reader; without an agent the first line that is an object tells it.
    #[must_use]
    pub(crate) fn new(agent: Option<Agent>) -> Self {
        Self {
            agent,
            claude: claude::State::default(),
            gemini: gemini::State::default(),
        }
    }

    /// The agent, once it is known.
    #[must_use]
    pub(crate) fn agent(&self) -> Option<Agent> {
        self.agent
    }

    /// The events of a line. One that is not a JSON object has none.
    pub(crate) fn line(&mut self, line: &[u8]) -> Vec<Event> {
        let Some(Value::Object(object)) = std::str::from_utf8(line).ok().and_then(value) else {
            return Vec::new();
        };
        let agent = *self.agent.get_or_insert_with(|| detect(&object));
        let events = match agent {
            Agent::Codex => codex::events(&object),
            Agent::Opencode => opencode::events(&object),
            Agent::Claude | Agent::Qwen => self.claude.events(&object),
            Agent::Gemini => self.gemini.events(&object),
            Agent::Generic => generic::events(&object),
        };
        events.into_iter().map(Event::bounded).collect()
    }

    /// Whether what was read last belongs to a part of which more may come.
    pub(crate) fn is_holding(&self) -> bool {
        self.gemini.is_holding()
    }

    /// The events that were held back until the stream ended.
    pub(crate) fn end(&mut self) -> Vec<Event> {
        self.gemini.flush().into_iter().collect()
    }
}

/// Which agent begins with this line.
fn detect(object: &Object) -> Agent {
    let kind = text(object, "type");
    match kind {
        Some("thread.started" | "turn.started" | "item.started" | "item.completed") => Agent::Codex,
        _ if object.contains_key("sessionID") => Agent::Opencode,
        Some("init") if object.contains_key("session_id") => Agent::Gemini,
        Some("system") if object.contains_key("qwen_code_version") => Agent::Qwen,
        // Hooks speak before 'init' does.
        Some("system") if object.contains_key("session_id") => Agent::Claude,
        _ => Agent::Generic,
    }
}

/// The value of a JSON text; none if it is not valid.
pub(crate) fn value(text: &str) -> Option<Value> {
    serde_json::from_str(&whole_characters(text)).ok()
}

/// The JSON text with no half of a character: programs in JavaScript print such where they cut a text.
pub(crate) fn whole_characters(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut whole = String::new();
    let (mut done, mut from) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', &text.as_bytes()[from..]) {
        let at = from + found;
        from = match unit(at) {
            Some(0xD800..0xDC00) if matches!(unit(at + 6), Some(0xDC00..0xE000)) => at + 12,
            Some(0xD800..0xE000) => {
                whole += &text[done..at];
                whole += "\\ufffd";
                done = at + 6;
                done
            }
            _ => (at + 2).min(text.len()),
        };
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    whole += &text[done..];
    Cow::Owned(whole)
}

/// A string of the object.
fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

/// An object within the object.
fn object<'a>(object: &'a Object, key: &str) -> Option<&'a Object> {
    object.get(key)?.as_object()
}

/// A count of the object; 0 if it is missing or no count.
fn count(object: &Object, key: &str) -> u64 {
    object.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// The text, cut if it is too long for a name.
pub(crate) fn name(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(NAME) {
        text.truncate(end);
    }
    text
}

/// White space folded, and at most 240 characters and then `...`; none if nothing is left.
fn summary(text: &str) -> Option<String> {
    let mut folded = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        if length > SUMMARY {
            break;
        }
        if length > 0 {
            folded.push(' ');
            length += 1;
        }
        let taken = word
            .char_indices()
            .nth(SUMMARY + 1)
            .map_or(word, |(end, _)| &word[..end]);
        folded += taken;
        length += taken.chars().count();
    }
    if let Some((end, _)) = folded.char_indices().nth(SUMMARY) {
        folded.truncate(end);
        folded += "...";
    }
    (!folded.is_empty()).then_some(folded)
}

/// What a call of a tool is about: its command, the path, or the tool's name with the path.
fn of_input(tool: &str, input: Option<&Object>) -> Option<String> {
    let first = |keys: &[&str]| keys.iter().find_map(|key| text(input?, key));
    let commands = ["command", "cmd"];
    let paths = [
        "file_path",
        "filePath",
        "path",
        "absolute_path",
        "notebook_path",
    ];
    if let Some(about) = first(&commands).or_else(|| first(&paths)) {
        return summary(about);
    }
    match first(&["test_path"]) {
        Some(path) => summary(&format!("{tool} {path}")),
        None => summary(tool),
    }
}

/// A time of a stream: ISO 8601.
fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// A time of a stream: milliseconds since 1970.
fn milliseconds(value: Option<&Value>) -> Option<Timestamp> {
    Timestamp::from_millisecond(value?.as_i64()?).ok()
}

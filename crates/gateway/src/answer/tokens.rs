//! The tokens of an answer, as far as it tells them.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The most tokens of one answer that are believed.
const MOST: f64 = 1e9;

/// What is kept of a line that is too long to be read: the tokens stand at its end.
const TAIL: usize = 8 << 10;

/// What an answer tells of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// 0 if it is not told.
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    /// Whether the completion was counted by chunks.
    pub(crate) estimated: bool,
}

/// What is read of an answer or of a chunk, each value by itself: one that is not what it should be does not
/// hide the others.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    timings: Option<&'a RawValue>,
    /// The last event of a response has all of it in here.
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    /// Of a message, whose first event has its tokens in here.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    /// The text of an event of a response.
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Nested<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[allow(clippy::struct_field_names, reason = "as engines call them")]
struct Usage {
    prompt_tokens: Option<f64>,
    completion_tokens: Option<f64>,
    // Of responses and messages.
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
}

/// llama.cpp's.
#[derive(Deserialize)]
#[allow(clippy::struct_field_names, reason = "as llama.cpp calls them")]
struct Timings {
    prompt_n: Option<f64>,
    /// The tokens of the prompt that were known from before.
    cache_n: Option<f64>,
    predicted_n: Option<f64>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
}

/// The tokens that an answer or a chunk tells.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    prompt: Option<u64>,
    completion: Option<u64>,
}

/// Reads a value; `None` if it is not there or not what it should be.
fn value<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number from 0 to the most"
)]
fn number(number: f64) -> u64 {
    number.clamp(0.0, MOST) as u64
}

impl Usage {
    fn told(&self) -> Told {
        Told {
            prompt: self.prompt_tokens.or(self.input_tokens).map(number),
            completion: self.completion_tokens.or(self.output_tokens).map(number),
        }
    }
}

impl Told {
    fn is_empty(self) -> bool {
        self.prompt.is_none() && self.completion.is_none()
    }

    /// These, and of others what is missing.
    fn or(self, other: Self) -> Self {
        Self {
            prompt: self.prompt.or(other.prompt),
            completion: self.completion.or(other.completion),
        }
    }
}

impl Event<'_> {
    fn told(&self) -> Told {
        let nested = |raw| value::<Nested<'_>>(raw).and_then(|nested| value(nested.usage));
        let usage: Option<Usage> = value(self.usage);
        let usage = usage
            .or_else(|| nested(self.response))
            .or_else(|| nested(self.message));
        let timings: Option<Timings> = value(self.timings);
        let timings = timings.map_or_else(Told::default, |timings| Told {
            prompt: timings
                .prompt_n
                .map(|new| number(new + timings.cache_n.unwrap_or(0.0))),
            completion: timings.predicted_n.map(number),
        });
        usage
            .map_or_else(Told::default, |usage| usage.told())
            .or(timings)
    }

    /// The choices that go on in this chunk: with text, a thought or a piece of a call. The chunk of a role, or
    /// of a reason to finish, has none.
    fn pieces(&self) -> u64 {
        let choices: Vec<Choice<'_>> = value(self.choices).unwrap_or_default();
        let has_piece = |choice: &&Choice<'_>| {
            is_filled(choice.text)
                || choice.delta.as_ref().is_some_and(|delta| {
                    [
                        delta.content,
                        delta.reasoning_content,
                        delta.reasoning,
                        delta.refusal,
                        delta.tool_calls,
                        delta.function_call,
                    ]
                    .into_iter()
                    .any(is_filled)
                })
        };
        let pieces = choices.iter().filter(has_piece).count() as u64;
        let is_text = |delta: &&RawValue| delta.get().starts_with('"') && is_filled(Some(*delta));
        pieces + u64::from(self.delta.as_ref().is_some_and(is_text))
    }
}

fn is_filled(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\"" | "[]" | "{}"))
}

impl Tokens {
    /// Those that a whole answer tells; `None` if it tells none.
    pub(crate) fn of(json: &[u8]) -> Option<Self> {
        let told = serde_json::from_slice::<Event<'_>>(json).ok()?.told();
        (!told.is_empty()).then(|| Self {
            prompt: told.prompt.unwrap_or(0),
            completion: told.completion.unwrap_or(0),
            estimated: false,
        })
    }
}

/// Counts the tokens of a stream from its events.
#[derive(Debug, Default)]
pub(super) struct Counter {
    told: Told,
    pieces: u64,
    /// The end of a line that is so long that it comes in parts.
    tail: Vec<u8>,
    /// Whether `[DONE]` has come.
    pub(super) is_done: bool,
}

impl Counter {
    /// Looks at whole events, or at a part of a very long one.
    pub(super) fn feed(&mut self, events: &[u8]) {
        for line in events.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let is_whole = line.ends_with(b"\n") || line.ends_with(b"\r");
            if is_whole && self.tail.is_empty() {
                self.line(line);
                continue;
            }
            self.tail
                .extend_from_slice(&line[line.len().saturating_sub(TAIL)..]);
            let excess = self.tail.len().saturating_sub(TAIL);
            self.tail.drain(..excess);
            if is_whole {
                self.finish();
            }
        }
    }

    /// Looks at what is left of a line at the end of the stream.
    pub(super) fn finish(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        if tail.len() < TAIL {
            self.line(&tail);
        } else {
            self.told = last_usage(&tail).or(self.told);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(data) = line.strip_prefix(b"data:") else {
            return;
        };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_done = true;
        } else if let Ok(event) = serde_json::from_slice::<Event<'_>>(data) {
            self.told = event.told().or(self.told);
            self.pieces += event.pieces();
        }
    }

    /// What the stream has told, else the number of its pieces.
    pub(super) fn tokens(&self) -> Tokens {
        Tokens {
            prompt: self.told.prompt.unwrap_or(0),
            completion: self.told.completion.unwrap_or(self.pieces),
            estimated: self.told.completion.is_none(),
        }
    }
}

/// What the last field `usage` tells in the end of a document.
fn last_usage(end: &[u8]) -> Told {
    let mut told = Told::default();
    for at in memmem::rfind_iter(end, b"\"usage\"") {
        let rest = end[at + b"\"usage\"".len()..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b":") else {
            continue;
        };
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Usage>();
        if let Some(Ok(usage)) = values.next() {
            told = told.or(usage.told());
        }
        if !told.is_empty() {
            break;
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Option<(u64, u64)> {
        let tokens = Tokens::of(json.as_bytes())?;
        assert!(!tokens.estimated);
        Some((tokens.prompt, tokens.completion))
    }

    fn counted(events: &[&str]) -> (u64, u64, bool) {
        let mut counter = Counter::default();
        for event in events {
            counter.feed(format!("data: {event}\n\n").as_bytes());
        }
        let Tokens {
            prompt,
            completion,
            estimated,
        } = counter.tokens();
        (prompt, completion, estimated)
    }

    #[test]
    fn each_route_and_engine_tells_its_tokens() {
        for (json, tokens) in [
            (
                r#"{"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
                Some((3, 2)),
            ),
            (
                r#"{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
                Some((8, 0)),
            ),
            (
                r#"{"usage":{"input_tokens":4,"output_tokens":6}}"#,
                Some((4, 6)),
            ),
            (
                r#"{"usage":{"prompt_tokens":3,"completion_tokens":2,"input_tokens":3,"output_tokens":2}}"#,
                Some((3, 2)),
            ),
            (
                r#"{"timings":{"cache_n":5,"prompt_n":3,"predicted_n":7}}"#,
                Some((8, 7)),
            ),
            (
                r#"{"timings":{"prompt_n":3,"predicted_n":7},"usage":{"prompt_tokens":9,"completion_tokens":7}}"#,
                Some((9, 7)),
            ),
            (
                r#"{"timings":"x","usage":{"prompt_tokens":3.0,"completion_tokens":2}}"#,
                Some((3, 2)),
            ),
            (
                r#"{"usage":{"prompt_tokens":99999999999999999999,"completion_tokens":-1}}"#,
                Some((1_000_000_000, 0)),
            ),
            (r#"{"usage":null}"#, None),
            (r#"{"usage":[]}"#, None),
            (r#"{"usage":{"prompt_tokens":"3"}}"#, None),
            (r#"{"usage":{"#, None),
            ("[]", None),
            ("\u{1}", None),
        ] {
            assert_eq!(of(json), tokens, "{json}");
        }
    }

    #[test]
    fn the_last_usage_of_a_stream_counts() {
        let word = r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#;
        let last = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9}}"#;
        assert_eq!(counted(&[word, word, last, "[DONE]"]), (3, 9, false));
        let timed = r#"{"choices":[{"delta":{}}],"timings":{"prompt_n":3,"predicted_n":9}}"#;
        assert_eq!(counted(&[word, timed]), (3, 9, false));
        let grows = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
        assert_eq!(counted(&[grows, last, word]), (3, 9, false));
        let completed = r#"{"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":6}}}"#;
        let created = r#"{"type":"response.created","response":{"usage":null}}"#;
        assert_eq!(counted(&[created, completed]), (5, 6, false));
        let start =
            r#"{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}"#;
        let delta = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":6}}"#;
        assert_eq!(counted(&[start, delta]), (5, 6, false));
    }

    #[test]
    fn without_usage_the_pieces_of_all_choices_are_counted() {
        for (event, pieces) in [
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
                0,
            ),
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#,
                0,
            ),
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":"a"}}]}"#,
                1,
            ),
            (
                r#"{"choices":[{"delta":{"content":"\"usage\": \"delta\""}}]}"#,
                1,
            ),
            (r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, 0),
            (r#"{"choices":[{"delta":{"reasoning_content":"a"}}]}"#, 1),
            (r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, 1),
            (r#"{"choices":[{"delta":{"tool_calls":[]}}]}"#, 0),
            (r#"{"choices":[{"text":"a"},{"text":"b"},{"text":""}]}"#, 2),
            (r#"{"type":"response.output_text.delta","delta":"a"}"#, 1),
            (r#"{"type":"response.output_text.done","text":"a"}"#, 0),
            (r#"{"choices":7,"delta":{"x":1}}"#, 0),
            (r#"{"choices":[{"#, 0),
            ("", 0),
        ] {
            assert_eq!(counted(&[event]), (0, pieces, true), "{event}");
        }
    }

    #[test]
    fn the_tokens_of_an_event_that_comes_in_parts_are_found_at_its_end() {
        let text = "x".repeat(100_000);
        let event = format!(
            r#"data: {{"response":{{"output":"{text}","usage":{{"input_tokens":5,"output_tokens":6}},"metadata":{{"usage":"x"}}}}}}"#
        );
        for size in [1_000, 65_536, 99_999, 1 << 20] {
            let mut counter = Counter::default();
            for part in event.as_bytes().chunks(size) {
                counter.feed(part);
                assert!(counter.tail.len() <= TAIL);
            }
            counter.feed(b"\n\ndata: [DONE]\n\n");
            assert!(counter.is_done);
            assert_eq!(
                counter.tokens(),
                Tokens {
                    prompt: 5,
                    completion: 6,
                    estimated: false
                }
            );
        }
    }

    #[test]
    fn a_stream_without_a_last_line_end_is_done_too() {
        let mut counter = Counter::default();
        counter.feed(b"data: [DONE]");
        assert!(!counter.is_done);
        counter.finish();
        assert!(counter.is_done);
    }
}

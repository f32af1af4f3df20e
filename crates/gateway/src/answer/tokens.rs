//! The tokens of an answer, as far as it tells them.

use serde::Deserialize;

/// What an answer tells of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    /// Whether the completion was counted by chunks.
    pub(crate) estimated: bool,
}

#[derive(Deserialize)]
struct Answer {
    usage: Option<Usage>,
    timings: Option<Timings>,
    /// The last event of a response has all of it in here.
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Usage {
    // Chat and completions; responses have the other names.
    #[serde(alias = "input_tokens")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u64>,
}

/// llama.cpp's.
#[derive(Deserialize)]
struct Timings {
    prompt_n: Option<u64>,
    predicted_n: Option<u64>,
}

impl Tokens {
    /// Those of a whole answer, or of a chunk of a stream; `None` if it tells none.
    pub(crate) fn of(json: &[u8]) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(json).ok()?;
        let usage = answer.usage.or_else(|| answer.response?.usage);
        let of_usage = usage.and_then(|usage| {
            let prompt = usage.prompt_tokens?;
            Some((prompt, usage.completion_tokens.unwrap_or(0)))
        });
        let of_timings = || {
            let timings = answer.timings?;
            timings.prompt_n.zip(timings.predicted_n)
        };
        let (prompt, completion) = of_usage.or_else(of_timings)?;
        Some(Self {
            prompt,
            completion,
            estimated: false,
        })
    }
}

/// Counts the tokens of a stream from its events.
#[derive(Debug, Default)]
pub(super) struct Counter {
    told: Option<Tokens>,
    chunks: u64,
    /// Whether `[DONE]` has come.
    pub(super) is_done: bool,
}

impl Counter {
    /// Looks at whole events.
    pub(super) fn feed(&mut self, events: &[u8]) {
        for line in events.split(|byte| *byte == b'\n' || *byte == b'\r') {
            let Some(data) = line.strip_prefix(b"data:") else {
                continue;
            };
            let data = data.trim_ascii();
            if data == b"[DONE]" {
                self.is_done = true;
                continue;
            }
            // Most chunks have neither; the search is cheaper than reading them.
            let has = |word: &[u8]| memchr::memmem::find(data, word).is_some();
            if has(b"\"usage\"") || has(b"\"timings\"") {
                self.told = Tokens::of(data).or(self.told);
            }
            if has(b"\"delta\"") || has(b"\"text\"") {
                self.chunks += 1;
            }
        }
    }

    /// What the stream told, else the number of its chunks.
    pub(super) fn tokens(&self) -> Tokens {
        self.told.unwrap_or(Tokens {
            prompt: 0,
            completion: self.chunks,
            estimated: true,
        })
    }
}

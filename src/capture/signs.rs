//! What tells what a line is.

use super::Link;
use crate::formats::{console, csv};
use crate::submit::Site;

/// Whether a line begins a document of any kind.
pub fn begins_something(line: &[u8]) -> bool {
    match line.first() {
        Some(b'{') => true,
        Some(b'+') => console::is_border(line),
        // A banner of LocalScore.
        Some(b'=') => line.starts_with(b"====="),
        _ => csv::is_header(line),
    }
}

/// What is said of something that is cut off.
pub fn cut_off(what: &str, tests: usize) -> String {
    match tests {
        0 => format!("the {what} is cut off before its first test is whole"),
        1 => format!("the {what} is cut off after 1 whole test; --partial stores it"),
        n => format!("the {what} is cut off after {n} whole tests; --partial stores them"),
    }
}

/// The link to a submitted result: an address on a site as LocalScore prints it.
pub fn link(line: &[u8]) -> Option<Link> {
    let url = line.strip_prefix(b"Result Link: ")?.trim_ascii();
    let url = std::str::from_utf8(url).ok()?;
    let id = url.rsplit('/').next()?.parse().ok().filter(|&id| id >= 0)?;
    Site::of_link(url, id)?;
    Some(Link {
        id,
        url: url.to_owned(),
    })
}

const LLAMA_BENCH: &str = "this is llama-bench output, not LocalScore's";

/// The name of another program whose output the line belongs to.
pub fn foreign(line: &[u8]) -> Option<&'static str> {
    let has = |words: &[u8]| memchr::memmem::find(line, words).is_some();
    if has(b"NVIDIA-SMI") || has(b"utilization.gpu") || has(b"memory.used [") {
        return Some("this is nvidia-smi output, not LocalScore's");
    }
    let table = line.starts_with(b"| model ") && has(b"| t/s");
    let sql = line.starts_with(b"INSERT INTO") && has(b"avg_ts");
    let csv = has(b"n_prompt,n_gen,") && has(b",avg_ts,");
    (table || sql || csv || has(b"\"avg_ts\":")).then_some(LLAMA_BENCH)
}

/// The same for a json document.
pub fn foreign_json(text: &[u8]) -> Option<&'static str> {
    let has = |key: &[u8]| memchr::memmem::find(text, key).is_some();
    (has(b"\"avg_ts\"") || has(b"\"n_batch\"") || has(b"\"backends\"") || has(b"\"cpu_info\""))
        .then_some(LLAMA_BENCH)
}

/// The lines before us that have been searched together for words that make a line worth a closer
/// look: in a large log there are nearly none.
#[derive(Debug, Default)]
pub struct Stretch {
    pub length: usize,
    quiet: bool,
}

impl Stretch {
    /// At most so much is searched at once.
    const LENGTH: usize = 64 << 10;

    const WORDS: [&[u8]; 6] = [
        b"\x1b",
        b"n_prompt",
        b"avg_ts",
        b"NVIDIA-SMI",
        b"utilization.gpu",
        b"memory.used [",
    ];

    /// Whether the first line of the text, which ends at `end`, has none of the words.
    pub fn is_quiet(&mut self, text: &[u8], end: usize) -> bool {
        if self.length < end {
            let text = &text[..text.len().min(Self::LENGTH.max(end))];
            let last = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
            let text = &text[..last.max(end)];
            self.length = text.len();
            self.quiet = Self::WORDS
                .iter()
                .all(|word| memchr::memmem::find(text, word).is_none());
        }
        self.quiet
    }
}

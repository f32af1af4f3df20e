//! Finds the runs in any text: a file, a pipe, a terminal log.
//!
//! The text is read in a stream; of a json document as much is kept as it is long, of a table one
//! line at a time. What is no document is passed over, but for the banners and the result link of
//! LocalScore, which belong to the run after or before them.

mod banner;
mod encoding;
mod input;

use std::io::{self, Read};

use crate::formats::{Document, Flaw, FlawKind, console, csv, json};
use banner::Banner;
use encoding::Decoder;
use input::{Input, MAX_DOCUMENT, newlines};

/// What a capture gives, one after the other.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, and nearly all are runs"
)]
pub enum Found {
    /// A run.
    Run(Document),
    /// The run before was submitted: here is its result.
    Link(Link),
    /// Nothing yet: more must be read, which may take its time. Only of a live text, and only after
    /// a find.
    Pause,
    /// Something that should have been a run.
    Bad {
        /// The line in question, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Where LocalScore shows a submitted result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The id of the result there.
    pub id: i64,
    /// The whole address.
    pub url: String,
}

/// How a text is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The text may still be growing, such as that of a pipe: there is a [`Found::Pause`] before it
    /// is waited for, so that what was found can be stored meanwhile.
    pub live: bool,
    /// Of a document that is cut off, the tests that are whole are a run.
    pub partial: bool,
}

/// A text in which runs are looked for.
pub struct Capture<R> {
    input: Input<Decoder<R>>,
    options: Options,
    reading: Reading,
    stretch: Stretch,
    banner: Banner,
    /// A find that must wait for its turn.
    waiting: Option<Found>,
    found_any: bool,
    foreign: Option<(u64, String)>,
}

/// What is being read.
#[allow(clippy::large_enum_variant, reason = "there is one")]
enum Reading {
    /// The text has ended.
    Nothing,
    Text,
    /// A csv, and whether the text begins with it.
    Csv(csv::Assembler, bool),
    /// A table of the console, and the line on which it begins.
    Table(console::Reader, u64),
}

/// The lines before us that have been searched together for words that make a line worth a closer
/// look: in a large log there are nearly none.
#[derive(Debug, Default)]
struct Stretch {
    length: usize,
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
    fn is_quiet(&mut self, text: &[u8], end: usize) -> bool {
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

impl<R: Read> Capture<R> {
    /// Looks for runs in this text.
    pub fn new(text: R, options: Options) -> Self {
        Self {
            input: Input::new(Decoder::new(text)),
            options,
            reading: Reading::Text,
            stretch: Stretch::default(),
            banner: Banner::default(),
            waiting: None,
            found_any: false,
            foreign: None,
        }
    }

    /// The remark on a text without any run.
    fn nothing_found(&mut self) -> Found {
        self.found_any = true;
        let (line, why) = self.foreign.take().unwrap_or_else(|| {
            let why = if self.input.is_empty() {
                "it is empty"
            } else {
                "no LocalScore result in it: neither a json document with \"results\", nor a csv \
                 header with n_prompt, n_gen and speeds, nor a table of the console"
            };
            (1, why.to_owned())
        });
        Found::Bad { line, why }
    }

    fn search(&mut self) -> io::Result<Option<Found>> {
        loop {
            let found = match self.reading {
                Reading::Text => self.text_line()?,
                Reading::Csv(..) => self.csv_record()?,
                Reading::Table(..) => self.table_line()?,
                Reading::Nothing => return Ok(None),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Looks whether the next line begins something.
    fn text_line(&mut self) -> io::Result<Option<Found>> {
        // A document is found by its first byte: its line may be as long as the text.
        let line = self.input.unread();
        let content = trim_start(line);
        let indent = line.len() - content.len();
        if content.first() == Some(&b'{') {
            let spaces = line[..indent].iter().rev();
            let spaces = spaces.take_while(|byte| matches!(byte, b' ' | b'\t'));
            let spaces = spaces.count();
            self.input.consume(indent);
            self.stretch = Stretch::default();
            return self.json(spaces);
        }
        if content.is_empty() && self.input.fill()? {
            return Ok(None);
        }
        let Some(end) = self.input.line_end(0)? else {
            self.reading = Reading::Nothing;
            return Ok(None);
        };
        // What stands before the brace may have come in pieces.
        if trim_start(&self.input.unread()[..end]).first() == Some(&b'{') {
            return Ok(None);
        }
        let quiet = self.stretch.is_quiet(self.input.unread(), end);
        let line = &self.input.unread()[..end];
        if !quiet && csv::is_header(trim_start(line)) {
            let header = trim_start(line);
            let alone = self.input.line() == 1 && header.ends_with(b"\n");
            let table = csv::Assembler::new(header.trim_ascii_end());
            self.reading = Reading::Csv(table, alone);
            self.stretch = Stretch::default();
            self.input.consume(end);
            return Ok(None);
        }
        let plain = if quiet {
            line.trim_ascii_end().into()
        } else {
            console::plain(line)
        };
        if console::is_border(&plain) {
            self.reading = Reading::Table(console::Reader::default(), self.input.line());
            self.stretch = Stretch::default();
            return Ok(None);
        }
        self.banner.line(&plain);
        let link = link(&plain);
        if !quiet || plain.first() == Some(&b'|') {
            let foreign = foreign(&plain);
            self.note_foreign(foreign);
        }
        self.stretch.length -= end;
        self.input.consume(end);
        Ok(link.map(Found::Link))
    }

    /// Keeps the first sign of another program's output.
    fn note_foreign(&mut self, why: Option<&str>) {
        if let Some(why) = why {
            let line = self.input.line();
            self.foreign.get_or_insert((line, why.to_owned()));
        }
    }

    /// The run, with what the banners told of it.
    fn run(&mut self, mut document: Document) -> Found {
        // LocalScore prints the banner anew for each run.
        std::mem::take(&mut self.banner).complete(&mut document.run);
        Found::Run(document)
    }

    /// What should have been a run, and is none.
    fn bad(&mut self, line: u64, why: String) -> Found {
        self.banner = Banner::default();
        Found::Bad { line, why }
    }

    /// Takes the next record of the csv, or ends it.
    fn csv_record(&mut self) -> io::Result<Option<Found>> {
        let end = self.record_end()?;
        let Reading::Csv(table, alone) = &mut self.reading else {
            return Ok(None);
        };
        let record = trim_end(&self.input.unread()[..end]);
        if record.is_empty() && end > 0 {
            table.blank_line();
            self.input.consume(end);
            return Ok(None);
        }
        let line = self.input.line();
        if !table.fits(record) {
            if !record.is_empty() && !table.is_interrupted() && !begins_something(record) {
                // Such as a message of another program in between.
                self.input.consume(end);
                return Ok(None);
            }
            // A csv without rows is a run without tests only if nothing else is there.
            if table.has_no_rows() && !(*alone && record.is_empty()) {
                return Ok(self.csv_is_cut(line));
            }
            let done = table.finish();
            self.reading = Reading::Text;
            return Ok(done.map(|document| self.run(document)));
        }
        let (done, result) = table.push(trim_nuls(&self.input.unread()[..end]));
        let done = done.map(|document| self.run(document));
        let bad = match result {
            Err(flaw) if flaw.kind == FlawKind::Cut => {
                // The lines behind an open quote are no part of the row.
                let end = self.input.line_end(0)?.unwrap_or(end);
                self.input.consume(end);
                return Ok(self.csv_is_cut(line));
            }
            Err(flaw) => Some(self.bad(line, flaw.why)),
            Ok(()) => None,
        };
        self.input.consume(end);
        let mut found = done.into_iter().chain(bad);
        let first = found.next();
        self.waiting = found.next();
        Ok(first)
    }

    /// Ends a csv whose last row is cut off.
    fn csv_is_cut(&mut self, line: u64) -> Option<Found> {
        let Reading::Csv(mut table, _) = std::mem::replace(&mut self.reading, Reading::Text) else {
            return None;
        };
        let tests = table.tests();
        if self.options.partial && tests > 0 {
            return table.finish().map(|document| self.run(document));
        }
        Some(self.bad(line, cut_off("csv", tests)))
    }

    /// Where the record that begins here ends: at the first newline outside of quotes.
    fn record_end(&mut self) -> io::Result<usize> {
        // A name may have a newline in it, but not many.
        const MAX_LINES: usize = 16;
        let (mut end, mut lines) = (0, 0);
        let mut inside = false;
        while let Some(next) = self.input.line_end(end)? {
            let line = &self.input.unread()[end..next];
            // A value may have a newline with a brace behind it, but not a whole line like these.
            let is_value = line.first() == Some(&b'{')
                && line.trim_ascii_end() != b"{"
                && !json::is_ours(line);
            if inside && !is_value && begins_something(line) {
                break;
            }
            inside ^= memchr::memchr_iter(b'"', line).count() % 2 == 1;
            end = next;
            lines += 1;
            if !inside || lines > MAX_LINES || end > MAX_DOCUMENT {
                break;
            }
        }
        Ok(end)
    }

    /// Takes the next line of the table, or ends it.
    fn table_line(&mut self) -> io::Result<Option<Found>> {
        let end = self.input.line_end(0)?;
        let at = self.input.line();
        // A border with a title below it begins the next table: this one has not been closed.
        let begins_another = match end {
            Some(end) if console::is_border(&console::plain(&self.input.unread()[..end])) => {
                let next = self.input.line_end(end)?.unwrap_or(end);
                console::is_row(&self.input.unread()[end..next])
            }
            _ => false,
        };
        let Reading::Table(table, begin) = &mut self.reading else {
            return Ok(None);
        };
        let begin = *begin;
        let line = &self.input.unread()[..end.unwrap_or(0)];
        let foreign = foreign(line);
        let step = match end {
            Some(_) if begins_another && table.has_rows() => table.end(),
            Some(_) => table.push(trim_nuls(line)),
            None => table.end(),
        };
        let consumed = match &step {
            // The line belongs to what follows.
            console::Step::Cut(_) | console::Step::NoTable => 0,
            _ => line.len(),
        };
        if !matches!(step, console::Step::More) {
            self.reading = Reading::Text;
        }
        self.note_foreign(foreign);
        self.input.consume(consumed);
        Ok(match step {
            console::Step::More | console::Step::NoTable => None,
            console::Step::Done(document) => Some(self.run(document)),
            console::Step::Cut(document) => {
                let tests = document.run.tests.len();
                if self.options.partial && tests > 0 {
                    Some(self.run(document))
                } else {
                    Some(self.bad(begin, cut_off("table", tests)))
                }
            }
            console::Step::Bad(why) => Some(self.bad(at, why)),
        })
    }

    /// Reads the json document that begins here, after so many spaces.
    fn json(&mut self, indent: usize) -> io::Result<Option<Found>> {
        let Some(mut end) = self.json_end(indent)? else {
            // An opening brace of some other text.
            let end = self.input.line_end(0)?.unwrap_or(1);
            self.input.consume(end);
            return Ok(None);
        };
        let text = trim_nuls(&self.input.unread()[..end]);
        let (document, flaw) = if end > MAX_DOCUMENT {
            let why = "a json document of more than 16 MiB";
            (Document::default(), Some(Flaw::new(0, why)))
        } else {
            let (document, length, flaw) = read_json(text);
            end = if flaw.is_none() {
                length
            } else {
                length.max(1)
            };
            (document, flaw)
        };
        let found = match flaw {
            None => Some(self.run(document)),
            Some(flaw) => {
                let before = &text[..flaw.offset.min(trim_end(text).len())];
                let line = self.input.line() + newlines(before);
                let tests = document.run.tests.len();
                match flaw.kind {
                    FlawKind::Foreign => {
                        let why = foreign_json(text).map_or(flaw.why, str::to_owned);
                        self.foreign.get_or_insert((line, why));
                        None
                    }
                    FlawKind::Cut if self.options.partial && tests > 0 => Some(self.run(document)),
                    FlawKind::Cut => Some(self.bad(line, cut_off("document", tests))),
                    FlawKind::Bad => Some(self.bad(line, flaw.why)),
                }
            }
        };
        self.input.consume(end);
        Ok(found)
    }

    /// Where the json text that begins here ends. `None` if it is none.
    fn json_end(&mut self, indent: usize) -> io::Result<Option<usize>> {
        // Whether the brace is alone on its line.
        let mut first = 1;
        loop {
            match self.input.unread().get(first).copied() {
                Some(b' ' | b'\t' | b'\r') => first += 1,
                Some(b'\n') => break,
                None if first < MAX_DOCUMENT && self.input.fill()? => {}
                _ => return self.balanced_end(),
            }
        }
        first += 1;
        let second = self.input.line_end(first)?.unwrap_or(first);
        if indentation(&self.input.unread()[first..second]) > indent {
            self.indented_end(first, indent).map(Some)
        } else {
            self.balanced_end()
        }
    }

    /// The end of a text that is laid out in lines: the brace that stands below the first one.
    /// Quotes do not count here, since the C tool leaves those in its header as they are.
    fn indented_end(&mut self, first: usize, indent: usize) -> io::Result<usize> {
        let mut end = first;
        loop {
            // The brace is the end, whether or not its line has ended.
            let rest = &self.input.unread()[end..];
            let spaces = indentation(rest);
            if spaces <= indent && rest.get(spaces) == Some(&b'}') {
                return Ok(end + spaces + 1);
            }
            let Some(next) = self.input.line_end(end)? else {
                return Ok(end);
            };
            let line = &self.input.unread()[end..next];
            let spaces = indentation(line);
            let inner = trim_start(line).first() == Some(&b'{') && spaces > indent;
            // Something else begins before this one has ended.
            if !inner && begins_something(trim_start(line)) {
                return Ok(end);
            }
            if spaces <= indent && line.get(spaces) == Some(&b'}') {
                return Ok(end + spaces + 1);
            }
            end = next;
            if end > MAX_DOCUMENT {
                return Ok(end);
            }
        }
    }

    /// The end of any other text: its closing brace.
    fn balanced_end(&mut self) -> io::Result<Option<usize>> {
        let mut pos = 0;
        let mut depth = 0_usize;
        let mut in_string = false;
        let mut first = true;
        loop {
            while pos < self.input.unread().len() {
                let byte = self.input.unread()[pos];
                pos += 1;
                if in_string {
                    match byte {
                        b'\\' => pos += 1,
                        b'"' => in_string = false,
                        b'\n' => return Ok(Some(pos)),
                        _ => {}
                    }
                    continue;
                }
                match byte {
                    b'\n' if self.begins_document(pos)? => return Ok(Some(pos)),
                    b'"' => in_string = true,
                    b'{' => depth += 1,
                    b'}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    return Ok(Some(pos));
                }
                if pos > 1 && first && !byte.is_ascii_whitespace() {
                    if byte != b'"' {
                        return Ok(None);
                    }
                    first = false;
                }
            }
            if pos > MAX_DOCUMENT || !self.input.fill()? {
                return Ok(Some(pos.min(self.input.unread().len())));
            }
        }
    }

    /// Whether the line at `from` begins something of its own: the document before was cut off. The
    /// lines of one document may begin with a brace too, but those are tests.
    fn begins_document(&mut self, from: usize) -> io::Result<bool> {
        let Some(end) = self.input.line_end(from)? else {
            return Ok(false);
        };
        let line = &self.input.unread()[from..end];
        Ok(match line.first() {
            Some(b'{') => json::is_ours(line),
            _ => begins_something(line),
        })
    }
}

/// Gives the runs, and what is wrong where one should be. A text without any run is one bad find.
impl<R: Read> Iterator for Capture<R> {
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match self.waiting.take() {
            Some(found) => Some(found),
            None => match self.search() {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Some(Ok(Found::Pause));
                }
                Err(error) => return Some(Err(error)),
            },
        };
        match found {
            Some(found) => {
                self.found_any |= !matches!(found, Found::Link(_));
                if self.options.live {
                    self.input.pause_before_reading();
                }
                Some(Ok(found))
            }
            None if self.found_any => None,
            None => Some(Ok(self.nothing_found())),
        }
    }
}

/// Reads a json text: what there is, how long it is, and what is wrong with it.
///
/// Behind a document that was interrupted there may be other text: a `^C`, or a line that begins
/// at the margin, such as a shell's prompt. Where the flaw is there, the document is cut off.
fn read_json(text: &[u8]) -> (Document, usize, Option<Flaw>) {
    // Logs may hold any number of other documents.
    if !json::is_ours(text) {
        let flaw = Flaw {
            kind: FlawKind::Foreign,
            ..Flaw::new(0, "no \"results\" in this json document")
        };
        return (Document::default(), text.len(), Some(flaw));
    }
    let (document, flaw) = match json::read_what_there_is(text) {
        Ok((document, length, None)) => return (document, length, None),
        Ok((document, _, Some(flaw))) => (document, flaw),
        Err(flaw) => (Document::default(), flaw),
    };
    if flaw.kind != FlawKind::Bad {
        return (document, text.len(), Some(flaw));
    }
    let at = flaw.offset.min(text.len());
    let line = memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
    let interrupt = memchr::memmem::find(&text[line..], b"^C").map(|step| line + step);
    let margin = margin(text, line);
    for end in [interrupt, margin, Some(text.len())].into_iter().flatten() {
        match json::read_what_there_is(trim_end(&text[..end])) {
            Ok((document, _, Some(cut))) if cut.kind == FlawKind::Cut => {
                return (document, end, Some(cut));
            }
            Err(cut) if cut.kind == FlawKind::Cut => {
                return (Document::default(), end, Some(cut));
            }
            _ => {}
        }
    }
    (document, margin.unwrap_or(text.len()), Some(flaw))
}

/// The first line from `from` on that begins at the margin and not as a line of a document does.
fn margin(text: &[u8], from: usize) -> Option<usize> {
    let mut begin = from;
    for line in text[from..].split_inclusive(|&byte| byte == b'\n') {
        let inner = b" \t\r\n{}]\"";
        if begin > 0 && line.first().is_some_and(|byte| !inner.contains(byte)) {
            return Some(begin);
        }
        begin += line.len();
    }
    None
}

/// Whether a line begins a document of any kind.
fn begins_something(line: &[u8]) -> bool {
    match line.first() {
        Some(b'{') => true,
        Some(b'+') => console::is_border(line),
        // A banner of LocalScore.
        Some(b'=') => line.starts_with(b"====="),
        _ => csv::is_header(line),
    }
}

/// What is said of something that is cut off.
fn cut_off(what: &str, tests: usize) -> String {
    match tests {
        0 => format!("the {what} is cut off before its first test is whole"),
        1 => format!("the {what} is cut off after 1 whole test; --partial stores it"),
        n => format!("the {what} is cut off after {n} whole tests; --partial stores them"),
    }
}

/// The link to a submitted result.
fn link(line: &[u8]) -> Option<Link> {
    let url = line.strip_prefix(b"Result Link: ")?.trim_ascii();
    let url = std::str::from_utf8(url).ok()?;
    let id = url.rsplit('/').next()?.parse().ok().filter(|&id| id >= 0)?;
    Some(Link {
        id,
        url: url.to_owned(),
    })
}

const LLAMA_BENCH: &str = "this is llama-bench output, not LocalScore's";

/// The name of another program whose output the line belongs to.
fn foreign(line: &[u8]) -> Option<&'static str> {
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
fn foreign_json(text: &[u8]) -> Option<&'static str> {
    let has = |key: &[u8]| memchr::memmem::find(text, key).is_some();
    (has(b"\"avg_ts\"") || has(b"\"n_batch\"") || has(b"\"backends\"") || has(b"\"cpu_info\""))
        .then_some(LLAMA_BENCH)
}

/// The number of spaces and tabs with which the line begins.
fn indentation(line: &[u8]) -> usize {
    let spaces = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    spaces.count()
}

/// The text without white space at its end, and without the zeros of a file that was made larger
/// before it was written.
fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t' | b'\r' | b'\n' | 0, rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// The text without zeros at its end.
fn trim_nuls(mut text: &[u8]) -> &[u8] {
    while let Some((0, rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// The text after what may stand before a document on its line: white space, a byte order mark,
/// and the brackets and commas of an array of documents.
fn trim_start(mut line: &[u8]) -> &[u8] {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    loop {
        if let Some(rest) = line.strip_prefix(BOM) {
            line = rest;
        }
        // Such as the end of a colour.
        if let Some(sequence) = line.strip_prefix(b"\x1b[") {
            let end = sequence
                .iter()
                .position(|byte| (0x40..=0x7e).contains(byte));
            line = end.map_or(&[][..], |end| &sequence[end + 1..]);
        }
        match line.split_first() {
            Some((b' ' | b'\t' | b'\r' | b',' | b'[' | b']' | 0, rest)) => line = rest,
            _ => return line,
        }
    }
}

#[cfg(test)]
mod tests;

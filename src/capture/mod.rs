//! Finds the runs in any text: a file, a pipe, a terminal log.
//!
//! The text is read as a stream: memory holds one json document, or one line of a table. Other text
//! is skipped, except LocalScore's banners, which belong to the next run, and its result link, which
//! belongs to the previous one.

mod banner;
mod bench;
mod console;
mod csv;
mod encoding;
mod input;
mod json;
mod link;
mod list;
mod prefix;
mod reader;
mod recording;
mod scan;
mod signs;
mod text;

use std::io::{self, Read};

use base::Error;

use crate::formats::{Document, console::plain};
use crate::model::bench::Document as BenchDocument;
use input::MAX_DOCUMENT;
use reader::{Begun, CaptureReader, OpenDocument};
use scan::{Beginning, Scan, one_line_document};
use signs::{Signs, other_program};
use text::trim_start;

/// An item in a capture.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, and nearly all are runs"
)]
pub(crate) enum Found {
    /// A run.
    Run(Document),
    /// A document of llama-bench, whose runs may be refused.
    Bench(Box<BenchDocument>),
    /// The link to the result of the previous run.
    Link(Link),
    /// Before the next item, more text must be read, which may block. Only in live mode.
    Pause,
    /// Something was skipped that a user may look for.
    Note {
        /// Its line number, from 1.
        line: u64,
        /// The message.
        message: String,
    },
    /// An invalid run.
    Bad {
        /// Its line number, from 1.
        line: u64,
        /// The message.
        why: String,
        /// How many of its tests are whole, if it is cut off: `partial` makes them a run.
        whole_tests: usize,
    },
    /// There was no run, not even an invalid one.
    Nothing(Nothing),
}

/// What a text without runs is.
#[derive(Debug)]
pub(crate) enum Nothing {
    /// It has no byte.
    Empty,
    /// It is not text.
    Binary,
    /// It is some other text.
    Other,
    /// It is the output of another program, by this line.
    Foreign {
        /// Its line number, from 1.
        line: u64,
        /// The message.
        why: String,
    },
}

impl Nothing {
    /// The error for the text of this name.
    pub(crate) fn error(&self, name: &str) -> Error {
        match self {
            Self::Empty => Error::new(name, "empty"),
            Self::Binary => Error::new(name, "not text"),
            Self::Other => Error::new(name, "no benchmark result")
                .hint("LocalScore or llama-bench output is read"),
            Self::Foreign { line, why } => Error::new(format_args!("{name}:{line}"), why),
        }
    }
}

/// Options for reading a capture.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// The text may still be growing, such as that of a pipe: a [`Found::Pause`] precedes a read
    /// that may block, so that the runs before it can be stored.
    pub live: bool,
    /// The complete tests of a document that is cut off are a run.
    pub partial: bool,
}

/// The link to a submitted result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// The id of the result on the site.
    pub id: i64,
    /// The address of the result.
    pub url: String,
}

/// Iterates over the items in a text.
pub(crate) struct Capture<'a> {
    scan: Scan<'a>,
    /// The document that is being read.
    open: Option<Box<dyn OpenDocument>>,
    ended: bool,
}

/// Longer lines, with their prefixes, cannot be lines of a table.
const LONGEST_LINE: usize = 64 << 10;

/// A csv or a list of tests ends after this many bytes of other programs' lines.
const MAX_FOREIGN: usize = 1 << 20;

impl<'a> Capture<'a> {
    /// Finds the runs in this text.
    pub(crate) fn new(text: impl Read + 'a, options: Options) -> Self {
        Self {
            scan: Scan::new(text, options),
            open: None,
            ended: false,
        }
    }

    /// The end of a text without runs.
    fn nothing_found(&mut self) -> Found {
        let scan = &mut self.scan;
        scan.found_any = true;
        let others = std::mem::take(&mut scan.others);
        if let Some((line, name)) = others.first() {
            let (line, why) = (*line, format!("this is {name} output"));
            return Found::Nothing(Nothing::Foreign { line, why });
        }
        if let Some((line, why)) = scan.foreign.take() {
            return Found::Nothing(Nothing::Foreign { line, why });
        }
        if let Some(line) = scan.suspicious {
            return Found::Bad {
                line,
                why: SUSPICIOUS.to_owned(),
                whole_tests: 0,
            };
        }
        Found::Nothing(match scan.input.consumed() {
            0 => Nothing::Empty,
            _ if scan.is_binary => Nothing::Binary,
            _ => Nothing::Other,
        })
    }

    fn search(&mut self) -> io::Result<Option<Found>> {
        loop {
            if let Some(found) = self.scan.found.pop_front() {
                return Ok(Some(found));
            }
            match &mut self.open {
                Some(document) => {
                    if !document.read(&mut self.scan)? {
                        self.open = None;
                    }
                }
                None if self.ended => return Ok(None),
                None => self.next_line()?,
            }
        }
    }

    /// Skips to the next line that has a sign of a document, and reads it.
    fn next_line(&mut self) -> io::Result<()> {
        let scan = &mut self.scan;
        if scan.input.has_prefix() {
            return self.line_with_prefix();
        }
        let reads_lines = scan.bench.reads_lines();
        let unread = scan.input.unread();
        let whole = memchr::memrchr(b'\n', unread).map_or(0, |at| at + 1);
        if whole > 0 && !reads_lines {
            let Some(at) = scan.search.next(&unread[..whole], scan.input.consumed()) else {
                scan.skip(whole);
                return Ok(());
            };
            let begin = memchr::memrchr(b'\n', &unread[..at]).map_or(0, |at| at + 1);
            let end = memchr::memchr(b'\n', &unread[at..whole]).map_or(whole, |step| at + step + 1);
            let signs = scan.search.in_line(scan.input.consumed() + end as u64);
            scan.skip(begin);
            return self.line(end - begin, signs);
        }
        let Some(end) = scan.input.line_end_within(0, LONGEST_LINE)? else {
            scan.end_tests();
            self.ended = true;
            return Ok(());
        };
        let line = &scan.input.unread()[..end];
        if line.ends_with(b"\n") {
            if reads_lines {
                let signs = scan.search.signs_in(line);
                return self.line(end, signs);
            }
            return Ok(());
        }
        // The last line, or a very long one, which can only begin a json document.
        let content = trim_start(line);
        if end <= LONGEST_LINE || content.first() == Some(&b'{') {
            let begin = scan.input.consumed();
            scan.search.next(line, begin);
            let signs = scan.search.in_line(begin + end as u64);
            return self.line(end, signs);
        }
        if !content.is_empty() {
            if scan.bench.may_have_row(content) {
                // A row may be longer than lines of other texts.
                let end = scan.input.line_end(0)?.unwrap_or(end);
                if end <= MAX_DOCUMENT {
                    let signs = scan.search.signs_in(&scan.input.unread()[..end]);
                    return self.line(end, signs);
                }
                scan.refuse_long_row(end);
            }
            self.open = Some(Box::new(LongLine));
        }
        scan.skip(end);
        Ok(())
    }

    /// Reads the next line without its prefix; a line that has no prefix ends the prefixed text.
    fn line_with_prefix(&mut self) -> io::Result<()> {
        let scan = &mut self.scan;
        let Some(end) = scan.input.line_end(0)? else {
            scan.end_tests();
            self.ended = true;
            return Ok(());
        };
        if scan.input.stripped().is_none() {
            scan.input.set_prefix(None);
            return Ok(());
        }
        let signs = scan.search.signs_in(&scan.input.unread()[..end]);
        self.line(end, signs)
    }

    /// Reads the document that begins with the line up to `end`, which has these signs, or skips the
    /// line.
    fn line(&mut self, end: usize, signs: Signs) -> io::Result<()> {
        if self.scan.bench_line(end)? {
            return Ok(());
        }
        if signs.has_warning() {
            let other = other_program(&plain(&self.scan.input.unread()[..end]));
            self.scan.note_other(other);
        }
        for reader in signs.readers() {
            if self.begin(reader, end)? {
                return Ok(());
            }
        }
        let scan = &mut self.scan;
        let start = match scan.beginning(end, signs)? {
            Some(Beginning::AfterPrefix(at)) if scan.strip_prefix(at, end) => return Ok(()),
            Some(Beginning::AfterText(at, reader)) => Some((at, reader)),
            _ => one_line_document(&scan.input.unread()[..end], signs),
        };
        if let Some((at, reader)) = start {
            scan.skip(at);
            self.begin(reader, end - at)?;
        } else {
            scan.end_bench_before(end);
            scan.skip_line(end);
        }
        Ok(())
    }

    /// Begins to read a document with the line up to `end`; returns whether it is one.
    fn begin(&mut self, reader: &dyn CaptureReader, end: usize) -> io::Result<bool> {
        match reader.begin(&mut self.scan, end)? {
            Begun::Nothing => return Ok(false),
            Begun::Complete => {}
            Begun::Open(document) => self.open = Some(document),
        }
        Ok(true)
    }
}

/// A line that is too long for any document.
struct LongLine;

impl OpenDocument for LongLine {
    fn read(&mut self, scan: &mut Scan<'_>) -> io::Result<bool> {
        let unread = scan.input.unread();
        let end = memchr::memchr(b'\n', unread).map(|at| at + 1);
        let length = end.unwrap_or(unread.len());
        scan.input.consume(length);
        Ok(end.is_none() && scan.input.fill()?)
    }
}

/// The error for text that looks like a result and cannot be read.
const SUSPICIOUS: &str = "this looks like a part of a LocalScore result, but not as LocalScore prints \
     it: remove the text before its lines, or save the output itself";

/// Returns a single error for a text without runs.
impl Iterator for Capture<'_> {
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match self.search() {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Some(Ok(Found::Pause));
            }
            Err(error) => return Some(Err(error)),
        };
        match found {
            Some(found) => {
                self.scan.found_any |=
                    matches!(found, Found::Run(_) | Found::Bench(_) | Found::Bad { .. });
                if self.scan.options.live {
                    self.scan.input.pause_before_reading();
                }
                Some(Ok(found))
            }
            None if self.scan.found_any => {
                let (line, name) = self.scan.others.pop()?;
                let message = format!("passed over {name} output");
                Some(Ok(Found::Note { line, message }))
            }
            None => Some(Ok(self.nothing_found())),
        }
    }
}

#[cfg(test)]
mod tests;

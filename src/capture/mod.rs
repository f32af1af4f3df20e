//! Finds the runs in any text: a file, a pipe, a terminal log.
//!
//! The text is read in a stream; of a json document as much is kept as it is long, of a table one
//! line at a time. What is no document is passed over, but for the banners and the result link of
//! LocalScore, which belong to the run after or before them.

mod banner;
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

use crate::formats::{Document, console::plain};
use reader::{Begun, CaptureReader, OpenDocument};
use scan::{Beginning, Scan, whole};
use signs::{Signs, foreign};
use text::trim_start;

/// What a capture gives, one after the other.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, and nearly all are runs"
)]
pub(crate) enum Found {
    /// A run.
    Run(Document),
    /// The run before was submitted: here is its result.
    Link(Link),
    /// Nothing yet: more must be read, which may take its time. Only of a live text, and only after
    /// a find.
    Pause,
    /// Something was passed over that somebody may look for.
    Note {
        /// The line in question, from 1.
        line: u64,
        /// What it is.
        what: String,
    },
    /// Something that should have been a run.
    Bad {
        /// The line in question, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// How a text is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// The text may still be growing, such as that of a pipe: there is a [`Found::Pause`] before it
    /// is waited for, so that what was found can be stored meanwhile.
    pub live: bool,
    /// Of a document that is cut off, the tests that are whole are a run.
    pub partial: bool,
}

/// Where LocalScore shows a submitted result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// The id of the result there.
    pub id: i64,
    /// The whole address.
    pub url: String,
}

/// Finds the runs in a text.
pub(crate) struct Capture<'a> {
    scan: Scan<'a>,
    /// The document that is being read.
    open: Option<Box<dyn OpenDocument>>,
    ended: bool,
}

/// A line of a table, with what may stand before it, is not longer.
const LONGEST_LINE: usize = 64 << 10;

/// A csv or a list of tests ends where nothing but other programs' lines come for so long.
const MAX_FOREIGN: usize = 1 << 20;

impl<'a> Capture<'a> {
    /// Looks for runs in this text.
    pub(crate) fn new(text: impl Read + 'a, options: Options) -> Self {
        Self {
            scan: Scan::new(text, options),
            open: None,
            ended: false,
        }
    }

    /// The remark on a text without any run.
    fn nothing_found(&mut self) -> Found {
        self.scan.found_any = true;
        let suspicious = self
            .scan
            .suspicious
            .map(|line| (line, SUSPICIOUS.to_owned()));
        let (line, why) = self.scan.foreign.take().or(suspicious).unwrap_or_else(|| {
            let why = if self.scan.input.is_empty() {
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
                None => self.text()?,
            }
        }
    }

    /// Skips to the next line that may begin something, and reads it.
    fn text(&mut self) -> io::Result<()> {
        let scan = &mut self.scan;
        if scan.input.has_prefix() {
            return self.line_with_prefix();
        }
        let unread = scan.input.unread();
        let whole = memchr::memrchr(b'\n', unread).map_or(0, |at| at + 1);
        if whole > 0 {
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
            self.end();
            return Ok(());
        };
        let line = &scan.input.unread()[..end];
        if line.ends_with(b"\n") {
            return Ok(());
        }
        // The last line, or one that is longer than any but that of a json document, which is known
        // by its first byte.
        let content = trim_start(line);
        if end <= LONGEST_LINE || content.first() == Some(&b'{') {
            let begin = scan.input.consumed();
            scan.search.next(line, begin);
            let signs = scan.search.in_line(begin + end as u64);
            return self.line(end, signs);
        }
        if !content.is_empty() {
            self.open = Some(Box::new(LongLine));
        }
        scan.skip(end);
        Ok(())
    }

    /// Reads the next line behind a prefix; the first one without it ends that.
    fn line_with_prefix(&mut self) -> io::Result<()> {
        let scan = &mut self.scan;
        let Some(end) = scan.input.line_end(0)? else {
            self.end();
            return Ok(());
        };
        if !scan.input.is_stripped() {
            scan.input.set_prefix(None);
            return Ok(());
        }
        let signs = scan.search.of_line(&scan.input.unread()[..end]);
        self.line(end, signs)
    }

    fn end(&mut self) {
        self.scan.end_tests();
        self.ended = true;
    }

    /// Decides what the line up to `end` begins, which has these signs in it.
    fn line(&mut self, end: usize, signs: Signs) -> io::Result<()> {
        for reader in signs.readers() {
            if self.begin(reader, end)? {
                return Ok(());
            }
        }
        let scan = &mut self.scan;
        if signs.has_warning()
            && let Some(why) = foreign(&plain(&scan.input.unread()[..end]))
        {
            scan.note_foreign(why);
        }
        let glued = match scan.beginning(end, signs)? {
            Some(Beginning::BehindPrefix(at)) if scan.take_off(at, end) => return Ok(()),
            Some(Beginning::Glued(at, reader)) => Some((at, reader)),
            _ => whole(&scan.input.unread()[..end], signs),
        };
        if let Some((at, reader)) = glued {
            scan.skip(at);
            self.begin(reader, end - at)?;
        } else {
            scan.pass_over(end);
        }
        Ok(())
    }

    /// Whether a document of this kind begins with the line up to `end`.
    fn begin(&mut self, reader: &dyn CaptureReader, end: usize) -> io::Result<bool> {
        match reader.begin(&mut self.scan, end)? {
            Begun::Nothing => return Ok(false),
            Begun::Whole => {}
            Begun::Open(document) => self.open = Some(document),
        }
        Ok(true)
    }
}

/// A line that is too long to be anything.
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

/// What is said of what looks like a result and cannot be read.
const SUSPICIOUS: &str = "this looks like a part of a LocalScore result, but not as LocalScore prints \
     it: take off what stands before its lines, or save the output itself";

/// Gives the runs, and what is wrong where one should be. A text without any run is one bad find.
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
                self.scan.found_any |= matches!(found, Found::Run(_) | Found::Bad { .. });
                if self.scan.options.live {
                    self.scan.input.pause_before_reading();
                }
                Some(Ok(found))
            }
            None if self.scan.found_any => None,
            None => Some(Ok(self.nothing_found())),
        }
    }
}

#[cfg(test)]
mod tests;

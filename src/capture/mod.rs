//! Finds the runs in any text: a file, a pipe, a terminal log.
//!
//! The text is read in a stream; of a json document as much is kept as it is long, of a table one
//! line at a time. What is no document is passed over, but for the banners and the result link of
//! LocalScore, which belong to the run after or before them.

mod banner;
mod document;
mod encoding;
mod input;
mod signs;
mod text;

use std::io::{self, Read};

use crate::formats::{Document, FlawKind, console, csv, json};
use banner::Banner;
use encoding::Decoder;
use input::{Input, MAX_DOCUMENT};
use signs::{Stretch, begins_something, cut_off, foreign, link};
use text::{trim_end, trim_nuls, trim_start};

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

#[cfg(test)]
mod tests;

//! Finds the runs in any text: a file, a pipe, a terminal log.
//!
//! The text is read in a stream; of a json document as much is kept as it is long, of a table one
//! line at a time. What is no document is passed over, but for the banners and the result link of
//! LocalScore, which belong to the run after or before them.

mod banner;
mod document;
mod encoding;
mod input;
mod prefix;
mod recording;
mod signs;
mod text;

use std::collections::VecDeque;
use std::io::{self, Read};

use crate::formats::grouping::Grouping;
use crate::formats::{Document, Flaw, FlawKind, console, csv, json};
use crate::model::Run;
use banner::{Banner, Block};
use encoding::Decoder;
use input::{Input, MAX_DOCUMENT};
use prefix::Prefix;
pub use signs::Link;
use signs::{
    BORDER, BRACE, HEADER, LINK, Search, Signs, TITLE, begins_something, cut_off, foreign,
    foreign_json, is_junk, is_suspicious, link, prefix_length,
};
use text::{indentation, trim_end, trim_lead, trim_nuls, trim_start};

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
    search: Search,
    banner: Banner,
    /// Tests that stand outside of a document, and the line of the last one.
    tests: Grouping,
    /// What was found, in its order.
    found: VecDeque<Found>,
    found_any: bool,
    /// Where the last run ended, in bytes.
    last_end: u64,
    /// How many bytes have been looked at as documents, some of them several times.
    scanned: u64,
    /// Another program whose output it is, or what looks like a result and cannot be read.
    foreign: Option<(u64, String)>,
    suspicious: Option<u64>,
}

/// What is being read.
#[allow(clippy::large_enum_variant, reason = "there is one")]
enum Reading {
    /// The text has ended.
    Nothing,
    Text,
    /// A line that is too long to be anything.
    LongLine,
    /// A block of a banner, and its line.
    Block(Block, u64),
    /// A csv.
    Csv(Rows),
    /// A table of the console, and the line on which it begins.
    Table(console::Reader, u64),
}

/// A csv that is being read.
struct Rows {
    table: csv::Assembler,
    /// Whether the text begins with it.
    alone: bool,
    /// The bytes of other programs' lines since its last row.
    foreign: usize,
    /// Whether such a line was told of.
    noted: bool,
}

/// A line of a table, with what may stand before it, is not longer.
const LONGEST_LINE: usize = 64 << 10;

/// A csv ends where nothing but other programs' lines come for so long.
const MAX_FOREIGN: usize = 1 << 20;

impl<R: Read> Capture<R> {
    /// Looks for runs in this text.
    pub fn new(text: R, options: Options) -> Self {
        Self {
            input: Input::new(Decoder::new(text)),
            options,
            reading: Reading::Text,
            search: Search::new(),
            banner: Banner::default(),
            tests: Grouping::default(),
            found: VecDeque::new(),
            found_any: false,
            last_end: 0,
            scanned: 0,
            foreign: None,
            suspicious: None,
        }
    }

    /// The remark on a text without any run.
    fn nothing_found(&mut self) -> Found {
        self.found_any = true;
        let suspicious = self.suspicious.map(|line| {
            let why = "this looks like a part of a LocalScore result, but not as LocalScore prints \
                       it: take off what stands before its lines, or save the output itself";
            (line, why.to_owned())
        });
        let (line, why) = self.foreign.take().or(suspicious).unwrap_or_else(|| {
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
            if let Some(found) = self.found.pop_front() {
                return Ok(Some(found));
            }
            match self.reading {
                Reading::Text => self.text()?,
                Reading::LongLine => self.long_line()?,
                Reading::Block(..) => self.block_line()?,
                Reading::Csv(..) => self.csv_record()?,
                Reading::Table(..) => self.table_line()?,
                Reading::Nothing => return Ok(None),
            }
        }
    }

    /// Goes on to the next line that may begin something.
    fn text(&mut self) -> io::Result<()> {
        let unread = self.input.unread();
        let whole = memchr::memrchr(b'\n', unread).map_or(0, |at| at + 1);
        if whole > 0 {
            let Some(at) = self.search.next(&unread[..whole], self.input.consumed()) else {
                self.pass(whole);
                return Ok(());
            };
            let begin = memchr::memrchr(b'\n', &unread[..at]).map_or(0, |at| at + 1);
            let end = memchr::memchr(b'\n', &unread[at..whole]).map_or(whole, |step| at + step + 1);
            let signs = self.search.in_line(self.input.consumed() + end as u64);
            self.pass(begin);
            return self.line(end - begin, signs);
        }
        let Some(end) = self.input.line_end_within(0, LONGEST_LINE)? else {
            self.end_tests();
            self.reading = Reading::Nothing;
            return Ok(());
        };
        let line = &self.input.unread()[..end];
        if line.ends_with(b"\n") {
            return Ok(());
        }
        // The last line, or one that is longer than any but that of a json document, which is known
        // by its first byte.
        let content = trim_start(line);
        if end <= LONGEST_LINE || content.first() == Some(&b'{') {
            let begin = self.input.consumed();
            self.search.next(line, begin);
            let signs = self.search.in_line(begin + end as u64);
            return self.line(end, signs);
        }
        if !content.is_empty() {
            self.reading = Reading::LongLine;
        }
        self.pass(end);
        Ok(())
    }

    /// Is done with text that is no document.
    fn pass(&mut self, length: usize) {
        if self.tests.tests() > 0 && !is_junk(&self.input.unread()[..length]) {
            self.end_tests();
        }
        self.input.consume(length);
    }

    fn long_line(&mut self) -> io::Result<()> {
        let unread = self.input.unread();
        let end = memchr::memchr(b'\n', unread).map(|at| at + 1);
        let length = end.unwrap_or(unread.len());
        self.input.consume(length);
        if end.is_some() || !self.input.fill()? {
            self.reading = Reading::Text;
        }
        Ok(())
    }

    /// Looks what the line begins that ends here and has these signs in it.
    fn line(&mut self, end: usize, signs: Signs) -> io::Result<()> {
        let line = &self.input.unread()[..end];
        if signs.has(BRACE) {
            let content = trim_start(line);
            if content.first() == Some(&b'{') {
                let before = end - content.len();
                return self.brace(before, end);
            }
        }
        if signs.has(HEADER) {
            let lead = end - trim_lead(line).len();
            if csv::is_header(&line[lead..]) {
                self.begin_csv(lead, end);
                return Ok(());
            }
        }
        let plain = console::plain(line);
        if signs.has(BORDER) && console::is_border(&plain) {
            if self.is_prefixed() {
                self.end_tests();
                self.reading = Reading::Table(console::Reader::default(), self.input.line());
            }
            return Ok(());
        }
        if signs.has(TITLE)
            && let Some(block) = Block::begin(&plain)
        {
            if self.is_prefixed() {
                self.reading = Reading::Block(block, self.input.line());
                self.pass(end);
            }
            return Ok(());
        }
        if signs.has(LINK)
            && let Some(link) = link(&plain)
        {
            self.pass(end);
            self.found.push_back(Found::Link(link));
            return Ok(());
        }
        if signs.has_warning()
            && let Some(why) = foreign(&plain)
        {
            self.note_foreign(why);
        }
        self.behind_a_prefix(end, signs)
    }

    /// Looks whether a json document begins with the brace before which so much of the line stands.
    fn brace(&mut self, before: usize, end: usize) -> io::Result<()> {
        if !self.is_prefixed() {
            return Ok(());
        }
        let line = &self.input.unread()[..end];
        let next = line[before + 1..].trim_ascii_start().first();
        // Such as that of a block of code.
        let is_object = next.is_none_or(|byte| matches!(byte, b'"' | b'}'));
        if !is_object {
            self.pass(end);
            return Ok(());
        }
        // Logs may hold any number of other documents, most of them on one line.
        if is_complete_object(&line[before..]) && !may_be_ours(&line[before..]) {
            let is_first = self.foreign.is_none() && !self.found_any;
            let why = is_first.then(|| foreign_json(line)).flatten();
            self.note_foreign(why.unwrap_or(NO_RESULTS));
            self.pass(end);
            return Ok(());
        }
        let spaces = line[..before].iter().rev();
        let spaces = spaces.take_while(|byte| matches!(byte, b' ' | b'\t'));
        let spaces = spaces.count();
        self.pass(before);
        self.json(spaces)
    }

    /// Whether the next line had the prefix that is taken off, if there is one; else none is taken
    /// off any more, and the line is to be looked at again.
    fn is_prefixed(&mut self) -> bool {
        let is_prefixed = !self.input.has_prefix() || self.input.is_stripped();
        if !is_prefixed {
            self.set_prefix(None);
        }
        is_prefixed
    }

    fn set_prefix(&mut self, prefix: Option<Prefix>) {
        self.input.set_prefix(prefix);
        self.search.reset();
    }

    /// Looks whether something begins in the middle of the line, behind what a log put there.
    fn behind_a_prefix(&mut self, end: usize, signs: Signs) -> io::Result<()> {
        let is_open = trim_end(&self.input.unread()[..end]).ends_with(b"{");
        let next = if is_open || signs.has_beginning() {
            self.input.line_end(end)?.unwrap_or(end)
        } else {
            end
        };
        let (line, next) = self.input.unread()[..next].split_at(end);
        if let Some(at) = prefix_length(signs, line, next) {
            let prefix = Prefix::of(&line[..at]);
            if prefix.is_indentation() || prefix.length(next).is_some() {
                self.set_prefix(Some(prefix));
                return Ok(());
            }
        }
        // A document on one line needs nothing of the others.
        let is_ours = |at: &usize| {
            let text = &line[*at..];
            is_complete_object(text) && json::is_ours(text) && json::read(text).is_ok()
        };
        let object = signs
            .has(BRACE)
            .then(|| memchr::memmem::find(line, b"{\""))
            .flatten();
        if let Some(at) = object.filter(is_ours) {
            self.pass(at);
            return self.json(0);
        }
        if signs.has_warning() && is_suspicious(line) {
            let line = self.input.line();
            self.suspicious.get_or_insert(line);
        }
        self.pass(end);
        Ok(())
    }

    /// Keeps the first sign of another program's output.
    fn note_foreign(&mut self, why: &str) {
        if self.foreign.is_none() && !self.found_any {
            self.foreign = Some((self.input.line(), why.to_owned()));
        }
    }

    /// The run, with what the banners told of it.
    fn run(&mut self, mut document: Document) {
        // LocalScore prints the banner anew for each run.
        std::mem::take(&mut self.banner).complete(&mut document.run);
        let end = self.input.consumed();
        document.length = usize::try_from(end - self.last_end).unwrap_or(usize::MAX);
        self.last_end = end;
        self.search.found_run();
        self.found.push_back(Found::Run(document));
    }

    /// What should have been a run, and is none.
    fn bad(&mut self, line: u64, why: String) {
        self.banner = Banner::default();
        self.found.push_back(Found::Bad { line, why });
    }

    /// A test that stands outside of a document, on this line.
    fn test(&mut self, test: Result<crate::model::Test, Flaw>, bytes: usize, line: u64) {
        let (run, result) = self.tests.push(test, bytes);
        self.run_of_tests(run);
        if let Err(flaw) = result {
            self.bad(line, flaw.why);
        }
    }

    /// There are no more tests outside of a document.
    fn end_tests(&mut self) {
        let run = self.tests.end();
        self.run_of_tests(run);
        self.tests = Grouping::default();
    }

    fn run_of_tests(&mut self, run: Option<Run>) {
        if let Some(run) = run {
            self.run(Document {
                run,
                ..Document::default()
            });
        }
    }

    /// Takes the next line of a banner's block.
    fn block_line(&mut self) -> io::Result<()> {
        let end = self.input.line_end(0)?;
        let Reading::Block(block, line) = &mut self.reading else {
            return Ok(());
        };
        let begin = *line;
        let text = &self.input.unread()[..end.unwrap_or(0)];
        let step = match end {
            Some(_) => block.push(trim_end(&console::plain(text))),
            None => banner::Step::Broken,
        };
        let is_taken = match step {
            banner::Step::More => {
                self.input.consume(text.len());
                return Ok(());
            }
            banner::Step::Whole => {
                let length = text.len();
                self.input.consume(length);
                self.banner.take(block)
            }
            banner::Step::Broken => false,
        };
        if !is_taken {
            let what = block.left_out();
            self.found.push_back(Found::Note { line: begin, what });
        }
        self.reading = Reading::Text;
        Ok(())
    }

    /// Begins the csv of this header, before which stand so many bytes.
    fn begin_csv(&mut self, lead: usize, end: usize) {
        if !self.is_prefixed() {
            return;
        }
        let line = &self.input.unread()[..end];
        let indent = indentation(line);
        if indent > 0 && indent == lead && !self.input.has_prefix() {
            let prefix = Prefix::of(&line[..indent]);
            self.set_prefix(Some(prefix));
            return;
        }
        let header = &line[lead..];
        let rows = Rows {
            alone: self.input.line() == 1 && header.ends_with(b"\n"),
            table: csv::Assembler::new(header.trim_ascii_end()),
            foreign: 0,
            noted: false,
        };
        self.end_tests();
        self.reading = Reading::Csv(rows);
        self.input.consume(end);
    }

    /// Ends the document that is being read.
    fn end_document(&mut self) {
        self.reading = Reading::Text;
        if self.input.has_prefix() {
            self.set_prefix(None);
        }
    }

    /// Takes the next record of the csv, or ends it.
    fn csv_record(&mut self) -> io::Result<()> {
        let end = self.record_end()?;
        let line = self.input.line();
        let Reading::Csv(rows) = &mut self.reading else {
            return Ok(());
        };
        let table = &mut rows.table;
        let record = trim_end(&self.input.unread()[..end]);
        if record.is_empty() && end > 0 {
            table.blank_line();
            self.input.consume(end);
            return Ok(());
        }
        if !table.fits(record) {
            let is_foreign =
                !record.is_empty() && !table.is_interrupted() && !begins_something(record);
            rows.foreign += end;
            if is_foreign && rows.foreign <= MAX_FOREIGN {
                // Such as a message of another program in between.
                let is_comment = record.starts_with(b"#");
                if !is_comment && !std::mem::replace(&mut rows.noted, true) {
                    let what = "passed over lines of another program between the rows".to_owned();
                    self.found.push_back(Found::Note { line, what });
                }
                self.input.consume(end);
                return Ok(());
            }
            // A csv without rows is a run without tests only if nothing else is there.
            if table.has_no_rows() && !(rows.alone && record.is_empty()) {
                self.csv_is_cut(line);
                return Ok(());
            }
            let done = table.finish();
            self.end_document();
            if let Some(document) = done {
                self.run(document);
            }
            return Ok(());
        }
        rows.foreign = 0;
        let (done, result) = table.push(trim_nuls(&self.input.unread()[..end]));
        if let Some(document) = done {
            self.run(document);
        }
        match result {
            Err(flaw) if flaw.kind == FlawKind::Cut => {
                // The lines behind an open quote are no part of the row.
                let end = self.input.line_end(0)?.unwrap_or(end);
                self.input.consume(end);
                self.csv_is_cut(line);
                return Ok(());
            }
            Err(flaw) => self.bad(line, flaw.why),
            Ok(()) => {}
        }
        self.input.consume(end);
        Ok(())
    }

    /// Ends a csv whose last row is cut off.
    fn csv_is_cut(&mut self, line: u64) {
        let Reading::Csv(Rows { mut table, .. }) =
            std::mem::replace(&mut self.reading, Reading::Text)
        else {
            return;
        };
        self.end_document();
        let tests = table.tests();
        if self.options.partial && tests > 0 {
            if let Some(document) = table.finish() {
                self.run(document);
            }
            return;
        }
        self.bad(line, cut_off("csv", tests));
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
    fn table_line(&mut self) -> io::Result<()> {
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
            return Ok(());
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
            console::Step::Cut(_) => 0,
            // But the border of a table that is none of ours to nothing.
            console::Step::NoTable if at > begin => 0,
            _ => line.len(),
        };
        if let Some(why) = foreign {
            self.note_foreign(why);
        }
        self.input.consume(consumed);
        if matches!(step, console::Step::More) {
            return Ok(());
        }
        self.end_document();
        match step {
            console::Step::More | console::Step::NoTable => {}
            console::Step::Done(document) => self.run(document),
            console::Step::Cut(document) => {
                let tests = document.run.tests.len();
                if self.options.partial && tests > 0 {
                    self.run(document);
                } else {
                    self.bad(begin, cut_off("table", tests));
                }
            }
            console::Step::Bad(why) => self.bad(at, why),
        }
        Ok(())
    }
}

/// What is said of a json document that is none of ours.
const NO_RESULTS: &str = "no \"results\" in this json document";

/// Whether a json text may hold a result of ours.
fn may_be_ours(text: &[u8]) -> bool {
    json::is_ours(text) || json::may_list_tests(text)
}

/// Whether the line holds as many closing braces as opening ones, and ends with one.
fn is_complete_object(line: &[u8]) -> bool {
    let line = trim_end(line);
    let line = line.strip_suffix(b",").unwrap_or(line);
    let count = |brace| memchr::memchr_iter(brace, line).count();
    line.ends_with(b"}") && count(b'{') == count(b'}')
}

/// Gives the runs, and what is wrong where one should be. A text without any run is one bad find.
impl<R: Read> Iterator for Capture<R> {
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
                self.found_any |= matches!(found, Found::Run(_) | Found::Bad { .. });
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

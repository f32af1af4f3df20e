//! Finds the runs in any text: a file, a pipe, a terminal log.
//!
//! The text is read in a stream; of a json document as much is kept as it is long, of a table one
//! line at a time. What is no document is passed over, but for the banners and the result link of
//! LocalScore, which belong to the run after or before them.

mod banner;
mod beginning;
mod document;
mod encoding;
mod input;
mod list;
mod prefix;
mod recording;
mod rows;
mod signs;
mod table;
mod text;

use std::collections::VecDeque;
use std::io::{self, Read};

use crate::formats::grouping::Grouping;
use crate::formats::{Document, console, json};
use banner::{Banner, Block, MAX_BYTES};
use encoding::Decoder;
use input::Input;
use list::List;
use rows::{Rows, header_lead};
pub use signs::Link;
use signs::{
    BORDER, BRACE, HEADER, LINK, Search, Signs, TITLE, foreign, foreign_json, is_junk, link,
};
use text::{trailing_spaces, trim_end, trim_start};

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
    /// Tests that stand outside of a document, and how they are listed.
    tests: Grouping,
    list: Option<List>,
    /// The bytes of other text since the last of them.
    since_test: usize,
    /// The last byte before this that is no white space, and whether nothing but brackets and commas
    /// stands before it on its line.
    before: (u8, bool),
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
    /// Behind an element of an array of tests.
    TestList,
    /// A csv.
    Csv(Rows),
    /// A table of the console, and the line on which it begins.
    Table(console::Reader, u64),
}

/// A line of a table, with what may stand before it, is not longer.
const LONGEST_LINE: usize = 64 << 10;

/// A csv or a list of tests ends where nothing but other programs' lines come for so long.
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
            list: None,
            since_test: 0,
            before: (0, true),
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
        let suspicious = self.suspicious.map(|line| (line, SUSPICIOUS.to_owned()));
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
                Reading::TestList => self.test_list()?,
                Reading::Csv(..) => self.csv_record()?,
                Reading::Table(..) => self.table_line()?,
                Reading::Nothing => return Ok(None),
            }
        }
    }

    /// Skips to the next line that may begin something, and reads it.
    fn text(&mut self) -> io::Result<()> {
        if self.input.has_prefix() {
            return self.line_with_prefix();
        }
        let unread = self.input.unread();
        let whole = memchr::memrchr(b'\n', unread).map_or(0, |at| at + 1);
        if whole > 0 {
            let Some(at) = self.search.next(&unread[..whole], self.input.consumed()) else {
                self.skip(whole);
                return Ok(());
            };
            let begin = memchr::memrchr(b'\n', &unread[..at]).map_or(0, |at| at + 1);
            let end = memchr::memchr(b'\n', &unread[at..whole]).map_or(whole, |step| at + step + 1);
            let signs = self.search.in_line(self.input.consumed() + end as u64);
            self.skip(begin);
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
        self.skip(end);
        Ok(())
    }

    /// Reads the next line behind a prefix; the first one without it ends that.
    fn line_with_prefix(&mut self) -> io::Result<()> {
        let Some(end) = self.input.line_end(0)? else {
            self.end_tests();
            self.reading = Reading::Nothing;
            return Ok(());
        };
        if !self.input.is_stripped() {
            self.input.set_prefix(None);
            return Ok(());
        }
        let signs = self.search.of_line(&self.input.unread()[..end]);
        self.line(end, signs)
    }

    /// Skips text outside of any document.
    fn skip(&mut self, length: usize) {
        self.since_test = self.since_test.saturating_add(length);
        if self.since_test > MAX_FOREIGN && self.list == Some(List::Lines) {
            self.end_tests();
        }
        let text = &self.input.unread()[..length];
        if let Some(last) = text.iter().rposition(|byte| !byte.is_ascii_whitespace()) {
            let line = memchr::memrchr(b'\n', &text[..last]).map_or(0, |at| at + 1);
            let begins_its_line = is_junk(&text[line..last]);
            self.before = (text[last], begins_its_line);
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

    /// Decides what the line up to `end` begins, which has these signs in it.
    fn line(&mut self, end: usize, signs: Signs) -> io::Result<()> {
        let line = &self.input.unread()[..end];
        if signs.has(BRACE) {
            let content = trim_start(line);
            if content.first() == Some(&b'{') {
                let before = end - content.len();
                return self.brace(before, end);
            }
        }
        if signs.has(HEADER)
            && let Some(lead) = header_lead(line)
        {
            self.begin_csv(lead, end);
            return Ok(());
        }
        let plain = console::plain(line);
        if signs.has(BORDER) && console::is_border(&plain) {
            self.end_tests();
            self.reading = Reading::Table(console::Reader::default(), self.input.line());
            return Ok(());
        }
        if signs.has(TITLE)
            && let Some(block) = Block::begin(&plain)
        {
            return self.block(block, end);
        }
        if signs.has(LINK)
            && let Some(link) = link(plain.trim_ascii_start())
        {
            self.skip(end);
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

    /// Reads the json document that begins with the brace `before` bytes into the line, if one does.
    fn brace(&mut self, before: usize, end: usize) -> io::Result<()> {
        let line = &self.input.unread()[..end];
        let next = line[before + 1..].trim_ascii_start().first();
        // Such as that of a block of code.
        let is_object = next.is_none_or(|byte| matches!(byte, b'"' | b'}'));
        if !is_object {
            self.skip(end);
            return Ok(());
        }
        // Logs may hold any number of other documents, most of them on one line.
        if is_complete_object(&line[before..]) && !may_be_ours(&line[before..]) {
            let is_first = self.foreign.is_none() && !self.found_any;
            let why = is_first.then(|| foreign_json(line)).flatten();
            self.note_foreign(why.unwrap_or(NO_RESULTS));
            self.skip(end);
            return Ok(());
        }
        let indent = trailing_spaces(&line[..before]);
        self.skip(before);
        self.json(indent)
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

    /// Reports something that should have been a run.
    fn bad(&mut self, line: u64, why: String) {
        self.banner = Banner::default();
        self.found.push_back(Found::Bad { line, why });
    }

    /// Takes the block of a banner whose title ends here, if it is whole.
    fn block(&mut self, mut block: Block, title: usize) -> io::Result<()> {
        let line = self.input.line();
        let mut end = title;
        let is_whole = loop {
            let Some(next) = self.input.line_end_within(end, MAX_BYTES)? else {
                break false;
            };
            let step = block.push(trim_end(&console::plain(&self.input.unread()[end..next])));
            end = next;
            match step {
                banner::Step::More if end < MAX_BYTES => {}
                banner::Step::Whole => break true,
                _ => break false,
            }
        };
        if is_whole && self.banner.take(&block) {
            self.skip(end);
        } else {
            let what = block.left_out();
            self.found.push_back(Found::Note { line, what });
            self.skip(title);
        }
        Ok(())
    }
}

/// What is said of what looks like a result and cannot be read.
const SUSPICIOUS: &str = "this looks like a part of a LocalScore result, but not as LocalScore prints \
     it: take off what stands before its lines, or save the output itself";

/// What is said of a json document that does not come from LocalScore.
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

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
use crate::model::{Run, Test};
use banner::{Banner, Block, MAX_BYTES};
use encoding::Decoder;
use input::{Input, MAX_DOCUMENT};
use prefix::Prefix;
pub use signs::Link;
use signs::{
    BORDER, BRACE, HEADER, LINK, Search, Signs, TITLE, begins_something, cut_off, foreign,
    foreign_json, is_junk, is_suspicious, link, prefix_length,
};
use text::{trim_end, trim_lead, trim_nuls, trim_start};

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

/// Something that begins in the middle of a line, behind so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// What stands before it stands before the next lines too.
    BehindPrefix(usize),
    /// What stands before it is on its first line alone.
    Glued(usize),
}

/// How tests are listed that stand outside of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    /// In an array that has not ended yet.
    Array,
    /// In an array that has ended.
    Whole,
    /// One on each line.
    Lines,
    /// In something that is not whole.
    Broken,
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

    /// Goes on to the next line that may begin something.
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

    /// Decides what the line begins that ends here and has these signs in it.
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

    /// Looks whether a json document begins with the brace before which so much of the line stands.
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
        let spaces = line[..before].iter().rev();
        let spaces = spaces.take_while(|byte| matches!(byte, b' ' | b'\t'));
        let spaces = spaces.count();
        self.skip(before);
        self.json(spaces)
    }

    fn set_prefix(&mut self, text: &[u8]) {
        // What is taken off already belongs to it.
        let whole = [self.input.stripped(), text].concat();
        self.input.set_prefix(Some(Prefix::of(&whole)));
    }

    /// Looks whether something begins in the middle of the line, behind what a log put there.
    fn behind_a_prefix(&mut self, end: usize, signs: Signs) -> io::Result<()> {
        match self.beginning(end, signs)? {
            Some(Beginning::BehindPrefix(at)) => {
                let text = self.input.unread()[..at].to_vec();
                self.set_prefix(&text);
                return Ok(());
            }
            Some(Beginning::Glued(at)) if self.input.unread()[at] == b'{' => {
                self.skip(at);
                return self.json(0);
            }
            Some(Beginning::Glued(at)) => {
                self.skip(at);
                self.begin_csv(0, end - at);
                return Ok(());
            }
            None => {}
        }
        let line = &self.input.unread()[..end];
        if let Some(at) = signs.has(BRACE).then(|| object_behind(line)).flatten() {
            // A document on one line needs nothing of the others.
            self.skip(at);
            return self.json(0);
        }
        if signs.has_warning() && is_suspicious(line) {
            let is_header = memchr::memmem::find(line, csv::OWN_HEADER).is_some();
            let line = self.input.line();
            if is_header {
                self.bad(line, SUSPICIOUS.to_owned());
            } else if self.found_any {
                let what = SUSPICIOUS.to_owned();
                self.found.push_back(Found::Note { line, what });
            }
            self.suspicious.get_or_insert(line);
        }
        self.skip(end);
        Ok(())
    }

    /// What begins in the middle of the line, if the next lines go on with it.
    fn beginning(&mut self, end: usize, signs: Signs) -> io::Result<Option<Beginning>> {
        let is_open = signs.has(BRACE) && trim_end(&self.input.unread()[..end]).ends_with(b"{");
        let has_key = || memchr::memmem::find(&self.input.unread()[..end], b"{\"").is_some();
        let lines = if signs.has_beginning() {
            1
        } else if is_open || (signs.has(BRACE) && has_key()) {
            MAX_WRAPPER
        } else {
            return Ok(None);
        };
        // A document that tells something else first is known by the lines behind it.
        let mut behind = end;
        for number in 0..lines {
            let Some(next) = self.input.line_end_within(behind, LONGEST_LINE)? else {
                break;
            };
            let line = &self.input.unread()[std::mem::replace(&mut behind, next)..next];
            let is_code = number == 0 && memchr::memchr(b'"', line).is_none();
            if lines > 1 && (is_code || json::is_ours(line)) {
                break;
            }
        }
        let (line, behind) = self.input.unread()[..behind].split_at(end);
        let Some(at) = prefix_length(signs, line, behind) else {
            return Ok(None);
        };
        let prefix = Prefix::of(&line[..at]);
        let mut others = behind.split_inclusive(|&byte| byte == b'\n');
        if prefix.is_indentation() || others.all(|line| prefix.length(line).is_some()) {
            return Ok(Some(Beginning::BehindPrefix(at)));
        }
        // Text that did not end its line stands before the document alone.
        let goes_on = match line[at] {
            b'{' => behind.starts_with(b" ") && behind.trim_ascii_start().starts_with(b"\""),
            b'+' | b'=' => false,
            _ => behind.starts_with(b"\""),
        };
        Ok(goes_on.then_some(Beginning::Glued(at)))
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

    /// A test that stands outside of a document, on this line.
    fn test(&mut self, test: Result<Test, Flaw>, bytes: usize, line: u64) {
        let (run, result) = self.tests.push(test, bytes);
        self.run_of_tests(run);
        self.since_test = 0;
        if let Err(flaw) = result {
            self.bad(line, flaw.why);
        }
    }

    /// How the tests are listed of which one begins here and has this length.
    fn list_at(&mut self, length: usize) -> io::Result<List> {
        let end = self.input.line_end(length)?.unwrap_or(length);
        let text = &self.input.unread()[..end];
        let is_alone = text[length..].trim_ascii().is_empty()
            && memchr::memchr(b'\n', &text[..length]).is_none();
        Ok(match (self.list, self.before) {
            (Some(List::Array), (b',', true)) | (_, (b'[', true)) => List::Array,
            (Some(List::Array), _) | (_, (b',', true)) => List::Broken,
            _ if is_alone => List::Lines,
            _ => List::Broken,
        })
    }

    /// Takes a test of such a list.
    fn test_of_a_list(&mut self, list: List, test: Result<Test, Flaw>, bytes: usize, line: u64) {
        if list == List::Broken {
            self.broken_list(line);
            return;
        }
        // Each array is a list of its own.
        if self.list != Some(list) || self.before.0 == b'[' {
            self.end_tests();
        }
        self.list = Some(list);
        self.test(test, bytes, line);
        self.before = (b'}', false);
        if list == List::Array {
            self.reading = Reading::TestList;
        }
    }

    /// Refuses tests that are part of something that is not whole, once.
    fn broken_list(&mut self, line: u64) {
        self.tests = Grouping::default();
        if self.list.replace(List::Broken) != Some(List::Broken) {
            let why = "tests of a document whose beginning is missing or damaged";
            self.bad(line, why.to_owned());
        }
        self.before = (b'}', false);
    }

    /// Looks how an array of tests goes on.
    fn test_list(&mut self) -> io::Result<()> {
        let mut next = [None; 2];
        loop {
            let unread = self.input.unread();
            let mut bytes = unread.iter().filter(|byte| !byte.is_ascii_whitespace());
            next = next.map(|_| bytes.next().copied());
            let is_known = match next {
                [Some(b']'), None] | [None, _] => unread.len() > LONGEST_LINE,
                _ => true,
            };
            if is_known || !self.input.fill()? {
                break;
            }
        }
        self.reading = Reading::Text;
        match next {
            [Some(b','), _] => {}
            // Else it is the end of a document that was never begun.
            [Some(b']'), after] if !matches!(after, Some(b'}' | b',')) => {
                self.list = Some(List::Whole);
                self.end_tests();
            }
            _ => {
                let line = self.input.line();
                self.broken_list(line);
            }
        }
        Ok(())
    }

    /// There are no more tests outside of a document.
    fn end_tests(&mut self) {
        let list = self.list.take();
        if list.is_none() && self.tests.is_empty() {
            return;
        }
        if list == Some(List::Array) && !self.options.partial {
            let why = cut_off("list", self.tests.tests());
            self.bad(self.input.line(), why);
            self.tests = Grouping::default();
            return;
        }
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

    /// Begins the csv of this header, before which stand so many bytes.
    fn begin_csv(&mut self, lead: usize, end: usize) {
        let line = &self.input.unread()[..end];
        let spaces = line[..lead].iter().rev();
        let spaces = spaces.take_while(|byte| matches!(byte, b' ' | b'\t'));
        let indent = spaces.count();
        if indent > 0 {
            // The rows have it too.
            let spaces = line[lead - indent..lead].to_vec();
            self.skip(lead - indent);
            self.set_prefix(&spaces);
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

    /// Takes the next record of the csv, or ends it.
    fn csv_record(&mut self) -> io::Result<()> {
        let first = self.input.line_end(0)?.unwrap_or(0);
        let line = self.input.line();
        let Reading::Csv(rows) = &mut self.reading else {
            return Ok(());
        };
        let table = &mut rows.table;
        let record = trim_end(&self.input.unread()[..first]);
        if record.is_empty() && first > 0 {
            table.blank_line();
            self.input.consume(first);
            return Ok(());
        }
        if !table.fits(record) {
            return self.no_row(first);
        }
        rows.foreign = 0;
        let end = self.record_end()?;
        let Reading::Csv(Rows { table, .. }) = &mut self.reading else {
            return Ok(());
        };
        let (done, result) = table.push(trim_nuls(&self.input.unread()[..end]));
        if let Some(document) = done {
            self.run(document);
        }
        match result {
            Err(flaw) if flaw.kind == FlawKind::Cut => {
                // The lines behind an open quote are no part of the row.
                self.input.consume(first);
                self.csv_is_cut(line);
                return Ok(());
            }
            Err(flaw) => self.bad(line, flaw.why),
            Ok(()) => {}
        }
        self.input.consume(end);
        Ok(())
    }

    /// Passes over a line that is no row of the csv, or ends the csv before it.
    fn no_row(&mut self, end: usize) -> io::Result<()> {
        let record = trim_end(&self.input.unread()[..end]);
        let signs = self.search.of_line(record);
        let begins = begins_something(trim_start(record))
            || (signs.has(BRACE) && object_behind(record).is_some())
            || self.beginning(end, signs)?.is_some();
        let line = self.input.line();
        let record = trim_end(&self.input.unread()[..end]);
        let Reading::Csv(rows) = &mut self.reading else {
            return Ok(());
        };
        let table = &mut rows.table;
        if !record.is_empty() && !begins && !table.is_interrupted() {
            if table.has_a_row(record) {
                let (done, result) = table.spoil();
                if let Some(document) = done {
                    self.run(document);
                }
                if let Err(flaw) = result {
                    self.bad(line, flaw.why);
                }
                self.input.consume(end);
                return Ok(());
            }
            rows.foreign += end;
            if rows.foreign <= MAX_FOREIGN {
                // Such as a message of another program in between.
                let is_comment = record.starts_with(b"#");
                if !is_comment && !std::mem::replace(&mut rows.noted, true) {
                    let what = "passed over lines of another program between the rows".to_owned();
                    self.found.push_back(Found::Note { line, what });
                }
                self.input.consume(end);
                return Ok(());
            }
        }
        // A csv without rows is a run without tests only if nothing else is there.
        if table.has_no_rows() && !(rows.alone && record.is_empty()) {
            self.csv_is_cut(line);
            return Ok(());
        }
        let done = table.finish();
        self.reading = Reading::Text;
        if let Some(document) = done {
            self.run(document);
        }
        Ok(())
    }

    /// Ends a csv whose last row is cut off.
    fn csv_is_cut(&mut self, line: u64) {
        let Reading::Csv(Rows { mut table, .. }) =
            std::mem::replace(&mut self.reading, Reading::Text)
        else {
            return;
        };
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
            // But the border of another program's table belongs to nothing.
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
        self.reading = Reading::Text;
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

/// A document that wraps another one tells so many lines first.
const MAX_WRAPPER: usize = 8;

/// What is said of what looks like a result and cannot be read.
const SUSPICIOUS: &str = "this looks like a part of a LocalScore result, but not as LocalScore prints \
     it: take off what stands before its lines, or save the output itself";

/// How much of the line stands before the header of a csv, if it is one.
fn header_lead(line: &[u8]) -> Option<usize> {
    let lead = line.len() - trim_lead(line).len();
    match csv::delimiter(&line[lead..])? {
        // The column of an index has no name, but a tab behind it.
        b'\t' if lead > 0 && line[lead - 1] == b'\t' => Some(lead - 1),
        _ => Some(lead),
    }
}

/// Where a whole json document of ours begins in the line, or one that holds such a one.
fn object_behind(line: &[u8]) -> Option<usize> {
    let is_ours = |at: &usize| {
        let text = &line[*at..];
        is_complete_object(text) && may_be_ours(text) && json::find_inner(text).is_ok()
    };
    let mut objects = memchr::memmem::find_iter(line, b"{\"").take(8);
    objects.find(is_ours)
}

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

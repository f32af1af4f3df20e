//! The text with all that is known of it so far, which the readers share.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::banner::Banner;
use super::encoding::Decoder;
use super::input::Input;
use super::list::List;
use super::prefix::{LONGEST, Prefix};
use super::reader::CaptureReader;
use super::signs::{Search, Signs, is_junk, is_suspicious};
use super::{Found, LONGEST_LINE, MAX_FOREIGN, Options, SUSPICIOUS};
use crate::formats::grouping::Grouping;
use crate::formats::{Document, csv};

/// A text in which runs are looked for.
pub(super) struct Scan<'a> {
    pub input: Input<'a>,
    pub options: Options,
    pub search: Search,
    pub banner: Banner,
    /// Tests that stand outside of a document, and how they are listed.
    pub tests: Grouping,
    pub list: Option<List>,
    /// The bytes of other text since the last of them.
    pub since_test: usize,
    /// The last byte before this that is no white space, and whether nothing but brackets and commas
    /// stands before it on its line.
    pub before: (u8, bool),
    /// What was found, in its order.
    pub found: VecDeque<Found>,
    pub found_any: bool,
    /// Where the last run ended, in bytes.
    last_end: u64,
    /// How many bytes have been looked at as json documents, some of them several times.
    pub scanned: u64,
    /// Another program whose output it is, or what looks like a result and cannot be read.
    pub foreign: Option<(u64, String)>,
    pub suspicious: Option<u64>,
}

/// Something that begins in the middle of a line, behind so many bytes.
pub(super) enum Beginning {
    /// What stands before it stands before the next lines too.
    BehindPrefix(usize),
    /// What stands before it is on its first line alone.
    Glued(usize, &'static dyn CaptureReader),
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: impl Read + 'a, options: Options) -> Self {
        Self {
            input: Input::new(Decoder::new(text)),
            options,
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

    /// Skips text outside of any document.
    pub(super) fn skip(&mut self, length: usize) {
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

    /// The run, with what the banners told of it.
    pub(super) fn run(&mut self, mut document: Document) {
        // LocalScore prints the banner anew for each run.
        std::mem::take(&mut self.banner).complete(&mut document.run);
        let end = self.input.consumed();
        document.length = usize::try_from(end - self.last_end).unwrap_or(usize::MAX);
        self.last_end = end;
        self.search.found_run();
        self.found.push_back(Found::Run(document));
    }

    /// Reports something that should have been a run, and is wrong on this line.
    pub(super) fn bad(&mut self, line: u64, why: String) {
        self.banner = Banner::default();
        self.found.push_back(Found::Bad { line, why });
    }

    /// Notes something that is passed over and that somebody may look for.
    pub(super) fn note(&mut self, line: u64, what: impl Into<String>) {
        let what = what.into();
        self.found.push_back(Found::Note { line, what });
    }

    /// Keeps the first sign of another program's output.
    pub(super) fn note_foreign(&mut self, why: &str) {
        if self.foreign.is_none() && !self.found_any {
            self.foreign = Some((self.input.line(), why.to_owned()));
        }
    }

    /// Takes a prefix of `length` bytes off this line, which ends at `end`, and the next ones; false if
    /// the line itself does not match it.
    pub(super) fn take_off(&mut self, length: usize, end: usize) -> bool {
        // What is taken off already belongs to it.
        let line = [self.input.stripped(), &self.input.unread()[..end]].concat();
        let whole = self.input.stripped().len() + length;
        let prefix = Prefix::of(&line[..whole]);
        let is_prefix = prefix.length(&line) == Some(whole);
        if is_prefix {
            self.input.set_prefix(Some(prefix));
        }
        is_prefix
    }

    /// The end of the line behind the one that ends here.
    pub(super) fn next_line(&mut self, end: usize) -> io::Result<usize> {
        let next = self.input.line_end_within(end, LONGEST_LINE)?;
        Ok(next.unwrap_or(end))
    }

    /// What begins in the middle of the line, if the next lines go on with it.
    pub(super) fn beginning(&mut self, end: usize, signs: Signs) -> io::Result<Option<Beginning>> {
        let alone = signs.readers().count() == 1;
        // The last one first: a brace tells the least.
        for reader in signs.readers().rev() {
            let Some(start) = reader.find(self, end, alone)? else {
                continue;
            };
            if !(1..=LONGEST).contains(&start.at) {
                return Ok(None);
            }
            let (line, behind) = self.input.unread()[..start.until].split_at(end);
            let prefix = Prefix::of(&line[..start.at]);
            let mut others = behind.split_inclusive(|&byte| byte == b'\n');
            let is_prefix =
                prefix.is_indentation() || others.all(|line| prefix.length(line).is_some());
            if is_prefix {
                return Ok(Some(Beginning::BehindPrefix(start.at)));
            }
            // Text that did not end its line stands before the document alone.
            let glued = Beginning::Glued(start.at, reader);
            return Ok(start.goes_on.then_some(glued));
        }
        Ok(None)
    }

    /// Passes over a line with which nothing begins, and keeps what it tells of the text.
    pub(super) fn pass_over(&mut self, end: usize) {
        let text = &self.input.unread()[..end];
        if is_suspicious(text) {
            let is_header = memchr::memmem::find(text, csv::OWN_HEADER).is_some();
            let line = self.input.line();
            if is_header {
                self.bad(line, SUSPICIOUS.to_owned());
            } else if self.found_any {
                self.note(line, SUSPICIOUS);
            }
            self.suspicious.get_or_insert(line);
        }
        self.skip(end);
    }
}

/// A document that stands in the middle of the line and is whole there.
pub(super) fn whole(line: &[u8], signs: Signs) -> Option<(usize, &'static dyn CaptureReader)> {
    let mut readers = signs.readers();
    readers.find_map(|reader| Some((reader.find_whole(line)?, reader)))
}

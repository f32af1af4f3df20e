//! The state of reading a capture, which the readers share.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::banner::Banner;
use super::bench::Bench;
use super::encoding::Decoder;
use super::input::Input;
use super::list::List;
use super::prefix::{LONGEST, Prefix};
use super::reader::{CaptureReader, Start};
use super::signs::{Search, Signs, cut_off, is_junk, is_suspicious};
use super::text::trailing_spaces;
use super::{Found, LONGEST_LINE, MAX_FOREIGN, Options, SUSPICIOUS};
use crate::formats::grouping::Grouping;
use crate::formats::{Document, Flaw, csv};

/// The text of a capture, and what has been found in it so far.
pub(super) struct Scan<'a> {
    pub input: Input<'a>,
    pub options: Options,
    pub search: Search,
    pub banner: Banner,
    /// Tests outside documents, and how they are listed.
    pub tests: Grouping,
    pub list: Option<List>,
    /// The documents of llama-bench that have begun.
    pub bench: Bench,
    /// The number of bytes since the last of these tests.
    pub since_test: usize,
    /// The last byte before the unread text that is not white space, and whether only brackets and
    /// commas precede it on its line.
    pub before: (u8, bool),
    /// Items that have not been returned yet.
    pub found: VecDeque<Found>,
    /// Whether there is a byte near the beginning that no text has.
    pub is_binary: bool,
    /// Whether there was a run or an error.
    pub found_any: bool,
    /// The end of the last run, in bytes.
    last_end: u64,
    /// The number of bytes read as json, some of them several times.
    pub scanned: u64,
    /// The first line of another program's output, and the error for it.
    pub foreign: Option<(u64, String)>,
    /// Other programs by name, and the first line of each.
    pub others: Vec<(u64, &'static str)>,
    /// The first line that looks like a result and cannot be read.
    pub suspicious: Option<u64>,
}

/// The number of bytes in which a control character such as NUL shows that the input is not text.
const BEGINNING: u64 = 64 << 10;

/// A document that begins in the middle of a line, after this number of bytes.
pub(super) enum Beginning {
    /// The text before it is a prefix of the next lines, too.
    AfterPrefix(usize),
    /// Only its first line has text before it.
    AfterText(usize, &'static dyn CaptureReader),
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
            bench: Bench::default(),
            since_test: 0,
            before: (0, true),
            found: VecDeque::new(),
            is_binary: false,
            found_any: false,
            last_end: 0,
            scanned: 0,
            foreign: None,
            others: Vec::new(),
            suspicious: None,
        }
    }

    /// Skips text outside documents.
    pub(super) fn skip(&mut self, length: usize) {
        self.since_test = self.since_test.saturating_add(length);
        if self.since_test > MAX_FOREIGN && self.list == Some(List::Lines) {
            self.end_list();
        }
        let text = &self.input.unread()[..length];
        if self.input.consumed() < BEGINNING {
            self.is_binary |= memchr::memchr3(0, 1, 2, text).is_some();
        }
        if let Some(last) = text.iter().rposition(|byte| !byte.is_ascii_whitespace()) {
            let line = memchr::memrchr(b'\n', &text[..last]).map_or(0, |at| at + 1);
            let begins_its_line = is_junk(&text[line..last]);
            self.before = (text[last], begins_its_line);
        }
        self.input.consume(length);
    }

    /// Returns a run, completed by the banners before it.
    pub(super) fn run(&mut self, mut document: Document) {
        // LocalScore prints the banner again for each run.
        std::mem::take(&mut self.banner).complete(&mut document.run);
        document.length = self.length_since_last();
        self.search.found_run();
        self.found.push_back(Found::Run(document));
    }

    /// The size of the text since the last run, in bytes.
    pub(super) fn length_since_last(&mut self) -> usize {
        let end = self.input.consumed();
        let length = end - std::mem::replace(&mut self.last_end, end);
        usize::try_from(length).unwrap_or(usize::MAX)
    }

    /// Reports an invalid run.
    pub(super) fn bad(&mut self, line: u64, why: String) {
        self.bad_after(line, why, 0);
    }

    /// Reports a run that is cut off after so many whole tests.
    pub(super) fn bad_after(&mut self, line: u64, why: String, whole_tests: usize) {
        self.banner = Banner::default();
        self.found.push_back(Found::Bad {
            line,
            why,
            whole_tests,
        });
    }

    /// Takes the result of [`Grouping::push`] for the test on this line.
    pub(super) fn grouped(&mut self, line: u64, run: Option<Document>, result: Result<(), Flaw>) {
        if let Some(run) = run {
            self.run(run);
        }
        if let Err(flaw) = result {
            self.bad(line, flaw.why);
        }
    }

    /// Returns the complete tests of a document that is cut off if the options ask for them; else
    /// reports it.
    pub(super) fn cut_off(&mut self, line: u64, tests: usize, document: Option<Document>) {
        if !self.options.partial || tests == 0 {
            self.bad_after(line, cut_off(tests), tests);
        } else if let Some(document) = document {
            self.run(document);
        }
    }

    /// Reports skipped text that a user may look for.
    pub(super) fn note(&mut self, line: u64, message: impl Into<String>) {
        let message = message.into();
        self.found.push_back(Found::Note { line, message });
    }

    /// Remembers the first line of another program's output.
    pub(super) fn note_foreign(&mut self, why: &str) {
        if self.foreign.is_none() && !self.found_any {
            self.foreign = Some((self.input.line(), why.to_owned()));
        }
    }

    /// Remembers the program whose output the next line is, if it is known.
    pub(super) fn note_other(&mut self, name: Option<&'static str>) {
        if let Some(name) = name
            && self.others.iter().all(|(_, other)| *other != name)
        {
            self.others.push((self.input.line(), name));
        }
    }

    /// Strips the first `length` bytes of this line, which ends at `end`, and the same prefix of the
    /// next lines; returns false if the line itself does not match the prefix.
    pub(super) fn strip_prefix(&mut self, length: usize, end: usize) -> bool {
        // The prefix that is stripped now is a part of the new one.
        let stripped = self.input.stripped().unwrap_or_default();
        let line = [stripped, &self.input.unread()[..end]].concat();
        let whole = stripped.len() + length;
        let prefix = Prefix::new(&line[..whole]);
        let is_prefix = prefix.length(&line) == Some(whole);
        if is_prefix {
            self.input.set_prefix(Some(prefix));
        }
        is_prefix
    }

    /// Skips the text before a table in the line up to `end`; returns the end of the rest. `None` if
    /// that text is an indentation: then the next lines, which are probably indented as well, come
    /// without it, and this one again.
    pub(super) fn skip_lead(&mut self, lead: usize, end: usize) -> Option<usize> {
        let indent = trailing_spaces(&self.input.unread()[..lead]);
        self.skip(lead - indent);
        if indent > 0 && self.strip_prefix(indent, end - (lead - indent)) {
            return None;
        }
        self.skip(indent);
        Some(end - lead)
    }

    /// The start of a document in the line up to `end`, with the next line to examine.
    pub(super) fn start(&mut self, at: Option<usize>, end: usize) -> io::Result<Option<Start>> {
        let Some(at) = at else {
            return Ok(None);
        };
        let next = self.input.line_end_within(end, LONGEST_LINE)?;
        Ok(Some(Start {
            at,
            until: next.unwrap_or(end),
            is_continued: false,
        }))
    }

    /// Finds a document that begins in the middle of the line and continues on the next ones.
    pub(super) fn beginning(&mut self, end: usize, signs: Signs) -> io::Result<Option<Beginning>> {
        let alone = signs.readers().count() == 1;
        // The last one first, since the first one's sign, a brace, is the least specific.
        for reader in signs.readers().rev() {
            let Some(start) = reader.find(self, end, alone)? else {
                continue;
            };
            if !(1..=LONGEST).contains(&start.at) {
                return Ok(None);
            }
            let (line, behind) = self.input.unread()[..start.until].split_at(end);
            let prefix = Prefix::new(&line[..start.at]);
            let mut others = behind.split_inclusive(|&byte| byte == b'\n');
            let is_prefix =
                prefix.is_indentation() || others.all(|line| prefix.length(line).is_some());
            if is_prefix {
                return Ok(Some(Beginning::AfterPrefix(start.at)));
            }
            let beginning = Beginning::AfterText(start.at, reader);
            return Ok(start.is_continued.then_some(beginning));
        }
        Ok(None)
    }

    /// Skips a line that begins no document; notes it if it looks like a result.
    pub(super) fn skip_line(&mut self, end: usize) {
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

/// Finds a complete document in the middle of a line.
pub(super) fn one_line_document(
    line: &[u8],
    signs: Signs,
) -> Option<(usize, &'static dyn CaptureReader)> {
    let mut readers = signs.readers();
    readers.find_map(|reader| Some((reader.find_complete(line)?, reader)))
}

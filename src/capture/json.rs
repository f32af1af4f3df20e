//! The reader of json documents: finds the end of a document, and reads it.

use std::io;

use memchr::memmem;

use super::LONGEST_LINE;
use super::input::{MAX_DOCUMENT, newlines};
use super::list::List;
use super::reader::{Begun, CaptureReader, Start, interrupts};
use super::scan::Scan;
use super::signs::foreign_json;
use super::text::{indentation, trailing_spaces, trim_end, trim_nuls, trim_start};
use crate::formats::json::{Inner, NO_RESULTS};
use crate::formats::{Document, Flaw, FlawKind, bench, json};
use crate::model::Test;

/// How often the same bytes may be read, if many invalid documents overlap.
const MAX_SCANS: u64 = 8;

/// The most lines that another document may have before the result inside it.
const MAX_WRAPPER: usize = 8;

pub(super) struct Reader;

impl CaptureReader for Reader {
    fn sign(&self) -> &'static [u8] {
        b"{"
    }

    fn interrupts(&self, line: &[u8]) -> bool {
        line.first() == Some(&b'{')
    }

    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun> {
        let line = &scan.input.unread()[..end];
        let content = trim_start(line);
        if content.first() != Some(&b'{') {
            return Ok(Begun::Nothing);
        }
        let before = end - content.len();
        let next = content[1..].trim_ascii_start().first();
        // Not the brace of a code block.
        let is_object = next.is_none_or(|byte| matches!(byte, b'"' | b'}'));
        if !is_object {
            scan.skip(end);
            return Ok(Begun::Complete);
        }
        // Logs may contain any number of other documents, most of them on one line.
        if is_complete_object(content)
            && !may_be_ours(content)
            && !scan.may_be_bench_object(content)
        {
            let is_first = scan.foreign.is_none() && !scan.found_any;
            let why = is_first.then(|| foreign_json(line)).flatten();
            scan.note_foreign(why.unwrap_or(NO_RESULTS));
            scan.skip(end);
            return Ok(Begun::Complete);
        }
        let indent = trailing_spaces(&line[..before]);
        scan.skip(before);
        scan.json(indent)
    }

    /// Examines the next lines, since a document may begin with something else.
    fn find(&self, scan: &mut Scan<'_>, end: usize, alone: bool) -> io::Result<Option<Start>> {
        let line = trim_end(&scan.input.unread()[..end]);
        let open = line.ends_with(b"{").then(|| line.len() - 1);
        let Some(at) = memmem::find(line, b"{\"").or(open) else {
            return Ok(None);
        };
        let mut until = end;
        for number in 0..if alone { MAX_WRAPPER } else { 1 } {
            let Some(next) = scan.input.line_end_within(until, LONGEST_LINE)? else {
                break;
            };
            let line = &scan.input.unread()[std::mem::replace(&mut until, next)..next];
            let is_code = number == 0 && memchr::memchr(b'"', line).is_none();
            if is_code || begins_result(line) {
                break;
            }
        }
        let behind = &scan.input.unread()[end..until];
        let is_continued = behind.starts_with(b" ") && behind.trim_ascii_start().starts_with(b"\"");
        Ok(begins_result(behind).then_some(Start {
            at,
            until,
            is_continued,
        }))
    }

    fn find_complete(&self, line: &[u8]) -> Option<usize> {
        let is_ours = |at: &usize| {
            let text = &line[*at..];
            let is_ours = bench::json::may_be_row(text)
                || (may_be_ours(text) && json::find_inner(text).is_ok());
            is_complete_object(text) && is_ours
        };
        let mut objects = memmem::find_iter(line, b"{\"").take(8);
        objects.find(is_ours)
    }
}

/// Whether these may be the first lines of a result.
fn begins_result(text: &[u8]) -> bool {
    json::is_ours(text) || bench::json::may_begin_row(text)
}

/// Whether a json text may contain a result of LocalScore.
fn may_be_ours(text: &[u8]) -> bool {
    json::is_ours(text) || json::may_list_tests(text)
}

/// Whether the line has as many closing braces as opening ones, and ends with one.
fn is_complete_object(line: &[u8]) -> bool {
    let line = trim_end(line);
    let line = line.strip_suffix(b",").unwrap_or(line);
    let count = |brace| memchr::memchr_iter(brace, line).count();
    line.ends_with(b"}") && count(b'{') == count(b'}')
}

impl Scan<'_> {
    /// Reads the json document that begins here, after `indent` spaces.
    fn json(&mut self, indent: usize) -> io::Result<Begun> {
        let Some(mut end) = self.json_end(indent)? else {
            // The opening brace of other text.
            let end = self.input.line_end(0)?.unwrap_or(1);
            self.skip(end);
            return Ok(Begun::Complete);
        };
        if self.bench_object(end)? {
            return Ok(Begun::Complete);
        }
        let mut begun = Begun::Complete;
        let whole = end;
        self.scanned += whole as u64;
        let first = self.input.line();
        let text = trim_nuls(&self.input.unread()[..end]);
        let (document, length, flaw) = if end > MAX_DOCUMENT {
            let why = "a json document of more than 16 MiB";
            (Document::default(), end, Some(Flaw::new(0, why)))
        } else {
            read_json(text)
        };
        let inner = match &flaw {
            Some(flaw) if flaw.kind != FlawKind::Cut && end <= MAX_DOCUMENT => {
                read_inner(text, first, flaw.kind)
            }
            _ => None,
        };
        end = length.max(1);
        match (flaw, inner) {
            (Some(_), Some((inner, length))) => {
                end = length.max(1);
                begun = self.add_results(inner, end)?;
            }
            (None, _) => {
                self.end_tests();
                self.run(document);
            }
            // A complete object with such keys may come from another program, a damaged one hardly.
            (Some(flaw), None)
                if flaw.kind == FlawKind::Foreign
                    && (json::may_list_tests(text) || self.list.is_some())
                    && json::find_inner(text).is_err() =>
            {
                let why = "a test that is cut off or damaged";
                let flaw = Flaw::new(flaw.offset, why);
                self.test(Err(flaw), end, first);
            }
            (Some(flaw), None) if flaw.kind == FlawKind::Foreign => {
                let why = foreign_json(text).map_or(flaw.why, str::to_owned);
                if self.list != Some(List::Lines) {
                    self.end_list();
                }
                self.note_foreign(&why);
            }
            (Some(flaw), None) => {
                let before = &text[..flaw.offset.min(trim_end(text).len())];
                let line = first + newlines(before);
                let tests = document.run.tests.len();
                self.end_tests();
                match flaw.kind {
                    FlawKind::Cut => self.cut_off(line, tests, Some(document)),
                    _ => self.bad(line, flaw.why),
                }
                if self.scanned > MAX_SCANS * (self.input.consumed() + MAX_DOCUMENT as u64) {
                    end = whole;
                }
            }
        }
        self.input.consume(end);
        self.before = (b'}', false);
        Ok(begun)
    }

    /// Adds the results inside a document of this length.
    fn add_results(&mut self, mut results: Vec<InnerResult>, length: usize) -> io::Result<Begun> {
        if results.len() == 1
            && let Some(InnerResult::Test(test, bytes, _)) =
                results.pop_if(|result| matches!(result, InnerResult::Test(..)))
        {
            return self.listed_test(length, test, bytes);
        }
        self.end_tests();
        for result in results {
            if !matches!(result, InnerResult::Test(..)) {
                self.end_tests();
            }
            match result {
                InnerResult::Test(test, bytes, line) => self.test(test, bytes, line),
                InnerResult::End => {}
                InnerResult::Document(document) => self.run(document),
                InnerResult::Bad(line, why) => self.bad(line, why),
            }
        }
        self.end_tests();
        Ok(Begun::Complete)
    }

    /// The end of the json text that begins here; `None` if it is not json.
    fn json_end(&mut self, indent: usize) -> io::Result<Option<usize>> {
        // Is the brace alone on its line?
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

    /// The end of a text that is laid out in lines: the closing brace with the indentation of the
    /// first one. Quotes do not count, since the C tool does not escape those in its header.
    fn indented_end(&mut self, first: usize, indent: usize) -> io::Result<usize> {
        let mut end = first;
        loop {
            // The rest of the brace's line need not have been read.
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
            // Another document begins before the end of this one.
            if !inner && interrupts(trim_start(line)) {
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
                // Fast: most bytes of a document do not matter.
                let rest = &self.input.unread()[pos..];
                let next = if in_string {
                    memchr::memchr3(b'\\', b'"', b'\n', rest)
                } else if first {
                    Some(0)
                } else {
                    let matters = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b'\n');
                    rest.iter().position(matters)
                };
                let Some(next) = next else {
                    pos += rest.len();
                    break;
                };
                pos += next;
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

    /// Whether another document begins with the line at `from`, so that this one is cut off. Lines of
    /// one document may begin with a brace, too, but those are tests.
    fn begins_document(&mut self, from: usize) -> io::Result<bool> {
        let Some(end) = self.input.line_end(from)? else {
            return Ok(false);
        };
        if self.input.unread()[from] != b'{' {
            return Ok(interrupts(&self.input.unread()[from..end]));
        }
        // If the brace is alone on its line, the next line is needed, too.
        let is_alone = self.input.unread()[from + 1..end].trim_ascii().is_empty();
        let end = if is_alone {
            self.input.line_end(end)?.unwrap_or(end)
        } else {
            end
        };
        Ok(json::is_ours(&self.input.unread()[from..end]))
    }
}

/// A result inside another document, as it was read.
enum InnerResult {
    Document(Document),
    /// A test, its size and its line.
    Test(Result<Test, Flaw>, usize, u64),
    /// The end of a list of tests.
    End,
    /// The line of an error, and its message.
    Bad(u64, String),
}

/// A document with more tests inside it is refused.
const MAX_INNER_TESTS: usize = 20_000;

/// Reads the results inside a document that begins on the line `first` and has a flaw of this kind,
/// and returns its length; `None` if there are none.
fn read_inner(text: &[u8], first: u64, kind: FlawKind) -> Option<(Vec<InnerResult>, usize)> {
    if !may_be_ours(text) {
        return None;
    }
    let line_of = |offset: usize| first + newlines(&text[..offset]);
    let (inner, length) = match json::find_inner(text) {
        Ok(found) => found,
        Err(flaw) if kind == FlawKind::Foreign && json::has_header(text) => {
            let why = format!("a document inside another one: {}", flaw.why);
            return Some((
                vec![InnerResult::Bad(line_of(flaw.offset), why)],
                text.len(),
            ));
        }
        Err(_) => return None,
    };
    // An invalid document may contain others, but is not a result inside itself.
    let is_inside = |result: &Inner| matches!(result, Inner::Document(at) if at.start > 0);
    if inner.is_empty() || (kind == FlawKind::Bad && !inner.iter().any(is_inside)) {
        return None;
    }
    let mut tests = 0;
    let mut read = Vec::new();
    for one in inner {
        read.push(match one {
            Inner::End => InnerResult::End,
            Inner::Test(at) => {
                tests += 1;
                let test = json::read_test(&text[at.clone()]);
                InnerResult::Test(test, at.len(), line_of(at.start))
            }
            Inner::Document(at) => match json::read(&text[at.clone()]) {
                (document, _, None) => {
                    tests += document.run.tests.len();
                    InnerResult::Document(document)
                }
                (_, _, Some(flaw)) => InnerResult::Bad(line_of(at.start + flaw.offset), flaw.why),
            },
        });
        if tests > MAX_INNER_TESTS {
            let why = format!("more than {MAX_INNER_TESTS} tests in one json document");
            read = vec![InnerResult::Bad(first, why)];
            break;
        }
    }
    Some((read, length))
}

/// Reads a json text, and returns its document, its length and its flaw.
///
/// An interrupted document may be followed by other text: a `^C`, or a line without indentation, such
/// as a shell's prompt. If the flaw is in that text, the document is cut off before it.
fn read_json(text: &[u8]) -> (Document, usize, Option<Flaw>) {
    // Fast: logs may contain any number of other documents.
    if !json::is_ours(text) {
        let flaw = Flaw {
            kind: FlawKind::Foreign,
            ..Flaw::new(0, NO_RESULTS)
        };
        return (Document::default(), text.len(), Some(flaw));
    }
    let (document, length, flaw) = json::read(text);
    let Some(flaw) = flaw else {
        return (document, length, None);
    };
    if flaw.kind != FlawKind::Bad {
        return (document, text.len(), Some(flaw));
    }
    let line = line_start(text, flaw.offset);
    let interrupt = memchr::memmem::find(&text[line..], b"^C").map(|step| line + step);
    let margin = margin(text, line);
    for end in [interrupt, margin, Some(text.len())].into_iter().flatten() {
        if let (document, _, Some(cut)) = json::read(trim_end(&text[..end]))
            && cut.kind == FlawKind::Cut
        {
            return (document, end, Some(cut));
        }
    }
    (document, margin.unwrap_or(text.len()), Some(flaw))
}

/// Where the line of this place begins.
pub(super) fn line_start(text: &[u8], offset: usize) -> usize {
    let before = &text[..offset.min(text.len())];
    memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1)
}

/// The first line from `from` on that begins, without indentation, unlike the lines of a document.
pub(super) fn margin(text: &[u8], from: usize) -> Option<usize> {
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

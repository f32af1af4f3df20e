//! Finds the runs in any text: a file, a pipe, a terminal log.
//!
//! The text is read in a stream; of a json document as much is kept as it is long, of a csv one
//! record at a time. What is no document is passed over.

use std::io::{self, Read};

use crate::formats::{Document, Flaw, csv, json};

/// A run's document that is larger than this is none.
const MAX_DOCUMENT: usize = 16 << 20;

/// The least room that a read is given; the buffer grows with the documents.
const CHUNK: usize = 16 << 10;

/// What a capture gives, one after the other.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, and nearly all are runs"
)]
pub enum Found {
    /// A run, and the line on which its document begins.
    Run(Document),
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

/// A text in which runs are looked for.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Capture<R> {
    input: R,
    /// Whether the text may still be growing.
    live: bool,
    buffer: Vec<u8>,
    /// Where the unread part of the buffer begins, and where it ends.
    start: usize,
    end: usize,
    /// The line on which it begins, from 1.
    line: u64,
    ended: bool,
    table: Option<csv::Assembler>,
    /// A find that must wait for its turn.
    waiting: Option<Found>,
    /// How much was read.
    length: u64,
    /// Whether something was found since the last pause.
    news: bool,
    found_any: bool,
    foreign: Option<(u64, String)>,
}

impl<R: Read> Capture<R> {
    /// Looks for runs in this text. Of a `live` one, such as a pipe, there is a [`Found::Pause`]
    /// before it is waited for, so that what was found can be stored meanwhile.
    pub fn new(input: R, live: bool) -> Self {
        Self {
            input,
            live,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            line: 1,
            ended: false,
            table: None,
            waiting: None,
            length: 0,
            news: false,
            found_any: false,
            foreign: None,
        }
    }

    /// The remark on a text without any run.
    fn nothing_found(&mut self) -> Found {
        self.found_any = true;
        let (line, why) = self.foreign.take().unwrap_or_else(|| {
            let why = if self.length == 0 {
                "it is empty".to_owned()
            } else {
                "no LocalScore result in it: neither a json document with \"results\" nor a csv \
                 header with n_prompt and n_gen"
                    .to_owned()
            };
            (1, why)
        });
        Found::Bad { line, why }
    }

    fn search(&mut self) -> io::Result<Option<Found>> {
        loop {
            if self.table.is_some() {
                if let Some(found) = self.table_row()? {
                    return Ok(Some(found));
                }
                continue;
            }
            let Some(end) = self.line_end(0)? else {
                return Ok(None);
            };
            let line = &self.unread()[..end];
            let content = trim_start(line);
            let indent = line.len() - content.len();
            if content.first() == Some(&b'{') {
                let spaces = line[..indent].iter().rev();
                let spaces = spaces
                    .take_while(|byte| matches!(byte, b' ' | b'\t'))
                    .count();
                self.consume(indent);
                if let Some(found) = self.document(spaces)? {
                    return Ok(Some(found));
                }
            } else if csv::is_header(content) {
                self.table = Some(csv::Assembler::new(content.trim_ascii_end()));
                self.consume(end);
            } else {
                self.consume(end);
            }
        }
    }

    /// Takes the next record of the table, or ends it.
    fn table_row(&mut self) -> io::Result<Option<Found>> {
        let end = self.record_end()?;
        let Some(mut table) = self.table.take() else {
            return Ok(None);
        };
        let record = self.unread()[..end].trim_ascii_end();
        if record.is_empty() && end > 0 {
            table.blank_line();
            self.consume(end);
            self.table = Some(table);
            return Ok(None);
        }
        if !table.fits(record) {
            return Ok(table.finish().map(Found::Run));
        }
        let (done, result) = table.push(&self.unread()[..end]);
        let bad = result.err().map(|flaw| Found::Bad {
            line: self.line,
            why: flaw.why,
        });
        self.consume(end);
        self.table = Some(table);
        let mut found = done.map(Found::Run).into_iter().chain(bad);
        let first = found.next();
        self.waiting = found.next();
        Ok(first)
    }

    /// Where the record that begins here ends: at the first newline outside of quotes.
    fn record_end(&mut self) -> io::Result<usize> {
        let mut end = 0;
        let mut inside = false;
        while let Some(next) = self.line_end(end)? {
            let line = &self.unread()[end..next];
            inside ^= memchr::memchr_iter(b'"', line).count() % 2 == 1;
            end = next;
            if !inside || end > MAX_DOCUMENT {
                break;
            }
        }
        Ok(end)
    }

    /// Reads the json document that begins here, after so many spaces.
    fn document(&mut self, indent: usize) -> io::Result<Option<Found>> {
        let Some(mut end) = self.document_end(indent)? else {
            // An opening brace of some other text.
            let end = self.line_end(0)?.unwrap_or(1);
            self.consume(end);
            return Ok(None);
        };
        let text = &self.unread()[..end];
        let result = if end > MAX_DOCUMENT {
            Err(Flaw::new(0, "a json document of more than 16 MiB"))
        } else {
            json::read(text)
        };
        let found = match result {
            Ok((document, length)) => {
                end = length;
                Some(Found::Run(document))
            }
            Err(flaw) => {
                let end = text.trim_ascii_end().len();
                let before = &text[..flaw.offset.min(end)];
                let line = self.line + newlines(before);
                if flaw.foreign {
                    self.foreign.get_or_insert((line, flaw.why));
                    None
                } else {
                    Some(Found::Bad {
                        line,
                        why: flaw.why,
                    })
                }
            }
        };
        self.consume(end);
        Ok(found)
    }

    /// Where the json text that begins here ends. `None` if it is none.
    fn document_end(&mut self, indent: usize) -> io::Result<Option<usize>> {
        let first = self.line_end(0)?.unwrap_or(0);
        let second = self.line_end(first)?.unwrap_or(first);
        let opening = self.unread()[1..first].trim_ascii().is_empty();
        let indented = indentation(&self.unread()[first..second]) > indent;
        if opening && indented {
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
            let rest = &self.unread()[end..];
            let spaces = indentation(rest);
            if spaces <= indent && rest.get(spaces) == Some(&b'}') {
                return Ok(end + spaces + 1);
            }
            let Some(next) = self.line_end(end)? else {
                return Ok(end);
            };
            let line = &self.unread()[end..next];
            let spaces = indentation(line);
            match line.get(spaces) {
                Some(b'}') if spaces <= indent => return Ok(end + spaces + 1),
                // The next document begins before this one has ended.
                Some(b'{') if spaces <= indent => return Ok(end),
                _ => end = next,
            }
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
            while pos < self.unread().len() {
                let byte = self.unread()[pos];
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
            if pos > MAX_DOCUMENT || !self.fill()? {
                return Ok(Some(pos.min(self.unread().len())));
            }
        }
    }

    /// Whether the line at `from` begins a document of its own: the one before was cut off. The
    /// lines of one document may begin with a brace too, but those are tests.
    fn begins_document(&mut self, from: usize) -> io::Result<bool> {
        let Some(end) = self.line_end(from)? else {
            return Ok(false);
        };
        let line = &self.unread()[from..end];
        let has = |key: &[u8]| memchr::memmem::find(line, key).is_some();
        Ok(line.first() == Some(&b'{') && (has(b"\"runtime_info\"") || has(b"\"results\"")))
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The end of the line at `from`, its newline included; the end of the text ends it too.
    fn line_end(&mut self, from: usize) -> io::Result<Option<usize>> {
        let mut searched = from;
        loop {
            let unread = self.unread();
            if let Some(step) = memchr::memchr(b'\n', &unread[searched..]) {
                return Ok(Some(searched + step + 1));
            }
            searched = unread.len();
            if searched > MAX_DOCUMENT || !self.fill()? {
                return Ok((searched > from).then_some(searched));
            }
        }
    }

    fn consume(&mut self, length: usize) {
        self.line += newlines(&self.unread()[..length]);
        self.start += length;
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.live && self.news {
            self.news = false;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // What has been used makes room once it is the larger part.
        if self.start > self.end - self.start {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < CHUNK {
            self.buffer
                .resize((2 * self.buffer.len()).max(2 * CHUNK), 0);
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += read;
        self.length += read as u64;
        self.ended = read == 0;
        Ok(!self.ended)
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
                self.found_any = true;
                self.news = true;
                Some(Ok(found))
            }
            None if self.found_any => None,
            None => Some(Ok(self.nothing_found())),
        }
    }
}

/// The number of spaces and tabs with which the line begins.
fn indentation(line: &[u8]) -> usize {
    let spaces = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    spaces.count()
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// The text after what may stand before a document on its line: white space, a byte order mark,
/// and the brackets and commas of an array of documents.
fn trim_start(mut line: &[u8]) -> &[u8] {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    loop {
        if let Some(rest) = line.strip_prefix(BOM) {
            line = rest;
        }
        match line.split_first() {
            Some((b' ' | b'\t' | b'\r' | b',' | b'[' | b']', rest)) => line = rest,
            _ => return line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<String> {
        let describe = |found| match found {
            Found::Run(document) => format!("run of {} tests", document.run.tests.len()),
            Found::Bad { line, why } => format!("{line}: {why}"),
            Found::Pause => unreachable!("the text is not live"),
        };
        Capture::new(text, false)
            .map(|found| describe(found.unwrap()))
            .collect()
    }

    const TEST: &str = r#"{"name":"a","n_prompt":1,"n_gen":1,"prompt_tps":1,"gen_tps":1}"#;

    #[test]
    fn documents_may_follow_one_another_in_any_way() {
        let one = format!("{{\"results\":[{TEST}]}}");
        for between in ["", "\n", "\n\n", ",\n", "\r\n \u{feff}"] {
            let text = format!("[{one}{between}{one}]");
            assert_eq!(all(text.as_bytes()), ["run of 1 tests"; 2], "{between:?}");
        }
    }

    #[test]
    fn a_document_that_is_cut_off_does_not_swallow_the_next_one() {
        let text = format!("{{\n  \"results\": [\n    {{\n{{\n  \"results\": [{TEST}]\n}}\n");
        let found = all(text.as_bytes());
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1], "run of 1 tests");
    }

    #[test]
    fn a_compact_document_that_is_cut_off_ends_with_its_line() {
        let text =
            format!("{{\"results\":[{{\"name\":\"a\",\n{{\"results\":[\n{TEST},\n{TEST}]}}\n");
        let found = all(text.as_bytes());
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1], "run of 2 tests");
    }

    #[test]
    fn the_documents_of_an_indented_array_are_all_found() {
        let one = format!("  {{\n    \"results\": [\n      {TEST}\n    ]\n  }}");
        let text = format!("[\n{one},\n{one},\n{one}\n]\n");
        assert_eq!(all(text.as_bytes()), ["run of 1 tests"; 3]);
    }

    #[test]
    fn a_csv_ends_where_its_rows_end_and_splits_where_tests_repeat() {
        let text = "noise\nname,n_prompt,n_gen,prompt_tps,gen_tps\na,1,1,1,1\nb,2,1,1,1\n\
                    a,1,1,1,1\n\nLocalScore: 7\n";
        assert_eq!(all(text.as_bytes()), ["run of 2 tests", "run of 1 tests"]);
    }

    #[test]
    fn a_bad_row_spoils_its_run_only() {
        let text = "name,n_prompt,n_gen,prompt_tps,gen_tps\na,1,1,1,1\nb,x,1,1,1\na,1,1,1,1\n";
        let found = all(text.as_bytes());
        assert_eq!(
            found,
            ["3: \"n_prompt\" is 'x', not an integer", "run of 1 tests"]
        );
    }

    #[test]
    fn a_text_without_runs_says_so_once() {
        assert_eq!(all(b""), ["1: it is empty"]);
        assert!(all(b"hello\nworld\n")[0].starts_with("1: no LocalScore result"));
        assert!(all(b"{}")[0].starts_with("1: no \"results\""));
    }
}

//! The documents of llama-bench that a text contains.
//!
//! A call may print two of them, in two formats, row by row in turn, and log lines in between. So a
//! document stays open in the [`Scan`] while the text goes on: each next line is offered to the open
//! ones, and what none of them takes is read as if there were none.

pub(super) mod csv;
pub(super) mod json;
pub(super) mod md;
pub(super) mod sql;

use std::io;
use std::sync::Arc;

use super::Found;
use super::scan::Scan;
use super::text::trim_lead;
use crate::model::Source;
use crate::model::bench::{Builder, Samples, Schema};

/// The documents that have begun and not ended.
#[derive(Default)]
pub(super) struct Bench {
    json: Option<json::Objects>,
    /// Those that are read line by line, at most one of each format.
    lines: Vec<Box<dyn Lines>>,
    /// A table that has ended, while the array printed in turn with it has not.
    ended: Option<Box<dyn Lines>>,
}

/// A document that is read line by line.
pub(super) trait Lines {
    /// The name of its format; another document of that format ends it.
    fn format(&self) -> &'static str;

    /// Reads the line up to `end`, and more lines if a row needs them, and consumes them; if the line
    /// is not a part of the document, it consumes nothing.
    fn read(&mut self, scan: &mut Scan<'_>, end: usize) -> io::Result<Step>;

    /// Whether a line that begins so may be a row, although it is very long.
    fn may_be_long_row(&self, begin: &[u8]) -> bool;

    /// The rows that have been read.
    fn rows(&mut self) -> &mut Rows;

    /// Whether this line, which no reader knows, ends the document.
    fn ends_before(&self, line: &[u8]) -> bool;

    /// Ends the document: passes it to [`Scan::bench`].
    fn end(self: Box<Self>, scan: &mut Scan<'_>);
}

/// What [`Lines::read`] has read.
pub(super) enum Step {
    /// Nothing.
    Other,
    /// A part of the document.
    More,
    /// The last line of the document.
    Last,
}

/// The rows of a document, and its errors.
pub(super) struct Rows(pub Builder);

impl Rows {
    /// No rows yet.
    pub(super) fn new(source: Source) -> Self {
        Self(Builder::new(source))
    }

    /// Adds the row that begins on this line, or reports why it is refused, once for its run.
    pub(super) fn push(
        &mut self,
        scan: &mut Scan<'_>,
        line: u64,
        schema: &Arc<Schema>,
        values: &[Option<&[u8]>],
        samples: Samples,
    ) -> io::Result<()> {
        let pushed = self.0.push(schema, values, samples);
        if let Err(refusal) = pushed.map_err(io::Error::other)?
            && !refusal.is_known
        {
            scan.bad(line, refusal.why);
        }
        Ok(())
    }

    /// Refuses the run of an invalid row, as far as the row tells it, and reports that once.
    pub(super) fn refuse(
        &mut self,
        scan: &mut Scan<'_>,
        line: u64,
        schema: &Arc<Schema>,
        values: &[Option<&[u8]>],
        why: String,
    ) {
        let refusal = self.0.refuse_row(schema, values, why);
        if !refusal.is_known {
            scan.bad(line, refusal.why);
        }
    }

    /// Refuses the document because of a row that tells nothing, and reports that once.
    pub(super) fn refuse_all(&mut self, scan: &mut Scan<'_>, line: u64, why: &str) {
        if !self.0.refuse() {
            scan.bad(line, why.to_owned());
        }
    }
}

impl Bench {
    /// Whether an open document has lines without a sign, so that each line must be offered to it.
    pub(super) fn reads_lines(&self) -> bool {
        !self.lines.is_empty() || self.json.as_ref().is_some_and(json::Objects::is_array)
    }

    /// Whether a very long line that begins so may be a row of an open document.
    pub(super) fn may_have_row(&self, begin: &[u8]) -> bool {
        self.lines.iter().any(|open| open.may_be_long_row(begin))
    }
}

impl Scan<'_> {
    /// Begins a document that is read line by line.
    pub(super) fn begin_lines(&mut self, document: Box<dyn Lines>) {
        self.end_list();
        self.end_lines(document.format());
        self.bench.lines.push(document);
    }

    /// Ends the document of this format that is read line by line.
    fn end_lines(&mut self, format: &str) {
        let lines = &mut self.bench.lines;
        let open = lines.iter().position(|open| open.format() == format);
        if let Some(place) = open {
            let ended = lines.remove(place);
            ended.end(self);
        }
    }

    /// Offers the line up to `end` to the open documents; returns whether one of them took it.
    pub(super) fn bench_line(&mut self, end: usize) -> io::Result<bool> {
        if self.ends_array(end) {
            return Ok(true);
        }
        let mut lines = std::mem::take(&mut self.bench.lines);
        let mut taken = Ok(false);
        for place in 0..lines.len() {
            match lines[place].read(self, end) {
                Ok(Step::Other) => continue,
                Ok(Step::More) => taken = Ok(true),
                Ok(Step::Last) => {
                    let ended = lines.remove(place);
                    self.end_last(ended);
                    taken = Ok(true);
                }
                Err(error) => taken = Err(error),
            }
            break;
        }
        self.bench.lines = lines;
        taken
    }

    /// Ends a document whose call is over. Objects that were printed in turn with it tell more, so
    /// they come first.
    fn end_last(&mut self, ended: Box<dyn Lines>) {
        match &self.bench.json {
            Some(open) if open.is_in_turn && open.is_array() => {
                let before = self.bench.ended.replace(ended);
                if let Some(before) = before {
                    before.end(self);
                }
            }
            Some(open) if open.is_in_turn => {
                self.end_objects();
                ended.end(self);
            }
            _ => ended.end(self),
        }
    }

    /// Ends the table that waits for the end of an array.
    fn end_waiting(&mut self) {
        if let Some(ended) = self.bench.ended.take() {
            ended.end(self);
        }
    }

    /// Refuses the document of which the text up to `end` is a part of a row, since that is too long.
    pub(super) fn refuse_long_row(&mut self, end: usize) {
        let mut lines = std::mem::take(&mut self.bench.lines);
        let text = trim_lead(&self.input.unread()[..end]);
        let open = lines.iter_mut().find(|open| open.may_be_long_row(text));
        if let Some(open) = open {
            let why = "a row of more than 16 MiB";
            open.rows().refuse_all(self, self.input.line(), why);
        }
        self.bench.lines = lines;
    }

    /// Ends the open documents that the line up to `end`, which no reader knows, is no part of.
    pub(super) fn end_bench_before(&mut self, end: usize) {
        let mut place = 0;
        while place < self.bench.lines.len() {
            if self.bench.lines[place].ends_before(&self.input.unread()[..end]) {
                self.bench.lines.remove(place).end(self);
            } else {
                place += 1;
            }
        }
    }

    /// Ends the open documents.
    pub(super) fn end_bench(&mut self) {
        self.end_objects();
        for document in std::mem::take(&mut self.bench.lines) {
            document.end(self);
        }
    }

    /// Ends a document that is cut off on this line.
    fn cut_off_rows(&mut self, rows: Rows, line: u64) {
        let tests = usize::try_from(rows.0.rows()).unwrap_or(usize::MAX);
        if self.options.partial && tests > 0 {
            return self.bench(rows);
        }
        let s = if tests == 1 { "" } else { "s" };
        self.bad_after(line, format!("cut off after {tests} whole test{s}"), tests);
    }

    /// Returns a document with these rows, if it has any.
    pub(super) fn bench(&mut self, rows: Rows) {
        if rows.0.is_empty() {
            return;
        }
        let mut document = rows.0.end();
        document.length = self.length_since_last();
        self.search.found_run();
        self.found.push_back(Found::Bench(Box::new(document)));
    }
}

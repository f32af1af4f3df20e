//! Rows as json objects: in an array, or one by one, as in jsonl.
//!
//! LocalScore's reader finds the objects and passes those of llama-bench on.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::Rows;
use crate::capture::input::{MAX_DOCUMENT, newlines};
use crate::capture::json::{line_start, margin};
use crate::capture::prefix::Prefix;
use crate::capture::scan::Scan;
use crate::capture::text::{trim_end, trim_lead, trim_nuls};
use crate::formats::FlawKind;
use crate::formats::bench::json;
use crate::formats::json::is_ours;
use crate::model::Source;
use crate::model::bench::Schema;

/// Rows as objects.
pub(in crate::capture) struct Objects {
    rows: Rows,
    /// The fields of the row before: nearly always those of the next.
    schema: Option<Arc<Schema>>,
    /// Whether they are the elements of an array, which must end.
    is_array: bool,
    /// Whether another document was open while they came.
    pub(super) is_in_turn: bool,
    /// The prefix of their lines, which the closing bracket has too, but for the indentation.
    prefix: Prefix,
}

impl Objects {
    pub(super) fn is_array(&self) -> bool {
        self.is_array
    }

    /// Adds the row at this place of the unread text, or refuses it because of its flaw.
    fn push(
        &mut self,
        scan: &mut Scan<'_>,
        row: Range<usize>,
        flaw: Option<(u64, String)>,
    ) -> io::Result<()> {
        let text = scan.input.unread();
        let first = scan.input.line() + newlines(&text[..row.start]);
        let object = json::read(&text[row]);
        let schema = match self.schema.take() {
            Some(schema) if schema.columns() == object.columns => schema,
            _ => Arc::new(Schema::new(object.columns, None)),
        };
        let values: Vec<Option<&[u8]>> =
            object.values.iter().map(|value| Some(&value[..])).collect();
        let why = object.why.map(|why| (first, why));
        match flaw.or(why) {
            Some((line, why)) => self.rows.refuse(scan, line, &schema, &values, why),
            None => self
                .rows
                .push(scan, first, &schema, &values, object.samples)?,
        }
        self.schema = Some(schema);
        Ok(())
    }
}

impl Scan<'_> {
    /// Whether the object with which the unread text begins may be, or contain, rows.
    pub(in crate::capture) fn may_be_bench_object(&self, text: &[u8]) -> bool {
        self.is_next_element(text) || json::may_be_row(text)
    }

    /// Whether the object is the next element of an open array, whatever it is.
    fn is_next_element(&self, text: &[u8]) -> bool {
        let is_array = self.bench.json.as_ref().is_some_and(Objects::is_array);
        is_array && self.before == (b',', true) && !is_ours(text)
    }

    /// Reads the object up to `end` if it is a row, or contains rows; returns whether it does.
    pub(in crate::capture) fn bench_object(&mut self, end: usize) -> io::Result<bool> {
        let text = trim_nuls(&self.input.unread()[..end.min(MAX_DOCUMENT)]);
        if !self.may_be_bench_object(text) {
            return Ok(false);
        }
        let first = self.input.line();
        if end > MAX_DOCUMENT {
            let mut open = self.open_objects(true);
            let why = "a json object of more than 16 MiB";
            open.rows.refuse_all(self, first, why);
            self.bench.json = Some(open);
            self.consume_object(end);
            return Ok(true);
        }
        let (mut rows, length, flaw) = json::find_rows(trim_end(text));
        if rows.is_empty() && self.is_next_element(text) {
            rows.push(0..length);
        }
        let Some(is_row) = rows.first().map(|row| row.start == 0) else {
            return Ok(false);
        };
        let line_of = |offset: usize| first + newlines(&text[..offset.min(trim_end(text).len())]);
        let mut end = end;
        let mut flaw = flaw.map(|flaw| (line_of(flaw.offset), flaw));
        if let Some((_, flaw)) = &mut flaw
            && flaw.kind != FlawKind::Cut
            && let Some(margin) = margin(text, line_start(text, flaw.offset))
        {
            // Another text follows, such as a prompt.
            let (_, _, cut) = json::find_rows(trim_end(&text[..margin]));
            if let Some(cut) = cut.filter(|cut| cut.kind == FlawKind::Cut) {
                (*flaw, end) = (cut, margin);
            }
        }
        // The object that the flaw is in comes last.
        let flawed = rows.pop_if(|row| flaw.is_some() && row.end == length);

        let mut open = self.open_objects(is_row);
        for row in rows {
            open.push(self, row, None)?;
        }
        match (flaw, flawed) {
            (Some((line, flaw)), _) if flaw.kind == FlawKind::Cut => {
                self.consume_object(end);
                self.cut_off_rows(open.rows, line);
                return Ok(true);
            }
            (Some((line, flaw)), Some(row)) => {
                open.push(self, row, Some((line, flaw.why)))?;
                self.consume_object(end);
            }
            (Some((line, flaw)), None) => {
                open.rows.refuse_all(self, line, &flaw.why);
                self.consume_object(end);
            }
            (None, _) => self.consume_object(length),
        }
        if is_row {
            self.bench.json = Some(open);
        } else {
            self.bench(open.rows);
        }
        Ok(true)
    }

    /// The rows to which an object here belongs: a row, or an object that contains rows.
    fn open_objects(&mut self, is_row: bool) -> Objects {
        let is_element = is_row && matches!(self.before, (b'[' | b',', true));
        let is_of_open = |open: &Objects| is_element || (is_row && !open.is_array);
        let is_next = self.bench.json.as_ref().is_some_and(is_of_open);
        if self.before == (b'[', true) || !is_next {
            self.end_list();
            self.end_objects();
        }
        let mut open = self.bench.json.take().unwrap_or_else(|| Objects {
            rows: Rows::new(Source::Json),
            schema: None,
            is_array: false,
            is_in_turn: false,
            prefix: Prefix::new(self.input.stripped().unwrap_or_default().trim_ascii_end()),
        });
        open.is_array |= is_element;
        open.is_in_turn |= !self.bench.lines.is_empty();
        open
    }

    /// Consumes an object of this length.
    fn consume_object(&mut self, length: usize) {
        self.input.consume(length);
        self.before = (b'}', false);
    }

    /// Ends the array if the line up to `end` begins with its bracket.
    pub(super) fn ends_array(&mut self, end: usize) -> bool {
        let Some(open) = self.bench.json.as_ref().filter(|open| open.is_array) else {
            return false;
        };
        let line = &self.input.unread()[..end];
        let before = open.prefix.length(line).unwrap_or_default();
        let lines = [line, &line[before..]].map(trim_lead);
        let Some(content) = lines.into_iter().find(|line| line.starts_with(b"]")) else {
            return false;
        };
        let length = end - content.len() + 1;
        self.input.consume(length);
        if let Some(open) = self.bench.json.take() {
            self.bench(open.rows);
        }
        self.end_waiting();
        true
    }

    /// Ends the rows; an array that has not ended is cut off.
    pub(super) fn end_objects(&mut self) {
        match self.bench.json.take() {
            Some(open) if open.is_array => {
                let line = self.input.line();
                self.cut_off_rows(open.rows, line);
            }
            Some(open) => self.bench(open.rows),
            None => {}
        }
        self.end_waiting();
    }
}

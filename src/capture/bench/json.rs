//! Rows as json objects: in an array, or one by one, as in jsonl.
//!
//! LocalScore's reader finds the objects and passes those of llama-bench on.

use std::io;
use std::sync::Arc;

use super::Rows;
use crate::capture::input::newlines;
use crate::capture::reader::Begun;
use crate::capture::scan::Scan;
use crate::capture::text::{trim_end, trim_lead, trim_nuls};
use crate::formats::FlawKind;
use crate::formats::bench::json;
use crate::model::Source;
use crate::model::bench::Schema;

/// Rows as objects.
pub(in crate::capture) struct Objects {
    rows: Rows,
    /// The fields of the row before: nearly always those of the next.
    schema: Option<Arc<Schema>>,
    /// Whether they are the elements of an array, which must end.
    is_array: bool,
}

impl Objects {
    pub(super) fn is_array(&self) -> bool {
        self.is_array
    }
}

impl Scan<'_> {
    /// Whether the object that begins the unread text is a row.
    pub(in crate::capture) fn is_bench_object(&self, text: &[u8]) -> bool {
        let is_next = || {
            let is_array = self.bench.json.as_ref().is_some_and(Objects::is_array);
            is_array && self.before == (b',', true)
        };
        json::may_be_row(text) || is_next()
    }

    /// Reads the row up to `end`.
    pub(in crate::capture) fn bench_object(&mut self, end: usize) -> io::Result<Begun> {
        let first = self.input.line();
        let is_element = matches!(self.before, (b'[' | b',', true));
        let is_of_open = |open: &Objects| is_element || !open.is_array;
        if self.before == (b'[', true) || !self.bench.json.as_ref().is_some_and(is_of_open) {
            self.end_list();
            self.end_objects();
        }
        let mut open = self.bench.json.take().unwrap_or_else(|| Objects {
            rows: Rows::new(Source::Json),
            schema: None,
            is_array: false,
        });
        open.is_array |= is_element;

        let text = trim_nuls(&self.input.unread()[..end]);
        let (object, length, flaw) = json::read(text);
        let line = |offset: usize| first + newlines(&text[..offset.min(trim_end(text).len())]);
        let flaw = flaw.map(|flaw| (line(flaw.offset), flaw));
        if let Some((line, flaw)) = &flaw
            && flaw.kind == FlawKind::Cut
        {
            let line = *line;
            self.input.consume(end);
            self.before = (b'}', false);
            self.cut_off_objects(open, line);
            return Ok(Begun::Complete);
        }
        let columns = object.columns;
        let schema = match open.schema.take() {
            Some(schema) if schema.columns() == columns => schema,
            _ => Arc::new(Schema::new(columns, None)),
        };
        let values: Vec<Option<&[u8]>> = object.values.iter().map(Option::as_deref).collect();
        let length = if flaw.is_some() { end } else { length };
        if let Some((line, flaw)) = flaw {
            open.rows.refuse(self, line, &schema, &values, flaw.why);
        } else if let Some(why) = object.why {
            open.rows.refuse(self, first, &schema, &values, why);
        } else {
            open.rows
                .push(self, first, &schema, &values, object.samples)?;
        }
        open.schema = Some(schema);
        self.bench.json = Some(open);
        self.input.consume(length);
        self.before = (b'}', false);
        Ok(Begun::Complete)
    }

    /// Ends the array if the line up to `end` begins with its bracket.
    pub(super) fn ends_array(&mut self, end: usize) -> bool {
        let line = &self.input.unread()[..end];
        let content = trim_lead(line);
        if !self.bench.json.as_ref().is_some_and(Objects::is_array)
            || content.first() != Some(&b']')
        {
            return false;
        }
        let length = end - content.len() + 1;
        self.input.consume(length);
        if let Some(open) = self.bench.json.take() {
            self.bench(open.rows);
        }
        true
    }

    /// Ends the rows; an array that has not ended is cut off.
    pub(super) fn end_objects(&mut self) {
        match self.bench.json.take() {
            Some(open) if open.is_array => {
                let line = self.input.line();
                self.cut_off_objects(open, line);
            }
            Some(open) => self.bench(open.rows),
            None => {}
        }
    }

    /// Ends rows that are cut off on this line.
    fn cut_off_objects(&mut self, open: Objects, line: u64) {
        let tests = usize::try_from(open.rows.0.rows()).unwrap_or(usize::MAX);
        if self.options.partial && tests > 0 {
            return self.bench(open.rows);
        }
        let s = if tests == 1 { "" } else { "s" };
        self.bad_after(line, format!("cut off after {tests} whole test{s}"), tests);
    }
}

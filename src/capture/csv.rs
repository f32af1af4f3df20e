//! The rows of a csv, and what may stand between them.

use std::io::{self, Read};

use super::beginning::object_behind;
use super::input::MAX_DOCUMENT;
use super::signs::{BRACE, begins_something, cut_off};
use super::text::{trailing_spaces, trim_end, trim_lead, trim_nuls, trim_start};
use super::{Capture, Found, MAX_FOREIGN, Reading};
use crate::formats::{FlawKind, csv, json};

/// A csv that is being read.
pub(super) struct Rows {
    table: csv::Assembler,
    /// Whether the text begins with it.
    alone: bool,
    /// The bytes of other programs' lines since its last row.
    foreign: usize,
    /// Whether a note was given of such lines.
    noted: bool,
}

impl<R: Read> Capture<R> {
    /// Begins a csv whose header stands `lead` bytes into the line up to `end`.
    pub(super) fn begin_csv(&mut self, lead: usize, end: usize) {
        let indent = trailing_spaces(&self.input.unread()[..lead]);
        self.skip(lead - indent);
        // The rows have it too.
        if indent > 0 && self.take_off(indent, end - (lead - indent)) {
            return;
        }
        self.skip(indent);
        let end = end - lead;
        let header = &self.input.unread()[..end];
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
    pub(super) fn csv_record(&mut self) -> io::Result<()> {
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
    pub(super) fn no_row(&mut self, end: usize) -> io::Result<()> {
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
    pub(super) fn csv_is_cut(&mut self, line: u64) {
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
    pub(super) fn record_end(&mut self) -> io::Result<usize> {
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
}

/// How much of the line stands before the header of a csv, if it is one.
pub(super) fn header_lead(line: &[u8]) -> Option<usize> {
    let lead = line.len() - trim_lead(line).len();
    match csv::delimiter(&line[lead..])? {
        // The column of an index has no name, but a tab behind it.
        b'\t' if lead > 0 && line[lead - 1] == b'\t' => Some(lead - 1),
        _ => Some(lead),
    }
}

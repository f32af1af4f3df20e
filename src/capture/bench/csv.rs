//! Rows as csv.

use std::io;

use super::{Lines, Rows, Step};
use crate::capture::csv::{header_start, record_end};
use crate::capture::reader::{Begun, CaptureReader, Start, interrupts};
use crate::capture::scan::Scan;
use crate::capture::text::{trim_end, trim_lead, trim_nuls};
use crate::formats::bench::csv::{self, BadRow, Table};
use crate::model::Source;
use crate::model::bench::{Kind, Samples, rounded};

pub(in crate::capture) struct Reader;

impl CaptureReader for Reader {
    fn sign(&self) -> &'static [u8] {
        b"avg_ts"
    }

    fn interrupts(&self, line: &[u8]) -> bool {
        csv::is_header(trim_end(line))
    }

    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun> {
        let line = &scan.input.unread()[..end];
        let lead = line.len() - trim_lead(line).len();
        if !csv::is_header(trim_end(&line[lead..])) {
            return Ok(Begun::Nothing);
        }
        let Some(end) = scan.skip_lead(lead, end) else {
            return Ok(Begun::Complete);
        };
        match Table::new(trim_end(&scan.input.unread()[..end])) {
            Ok(table) => scan.begin_lines(Box::new(Csv {
                table,
                rows: Rows::new(Source::Csv),
                quoted: false,
                interrupted: false,
                cut: None,
            })),
            Err(why) => {
                scan.end_lines(FORMAT);
                scan.bad(scan.input.line(), why);
            }
        }
        scan.input.consume(end);
        Ok(Begun::Complete)
    }

    fn find(&self, scan: &mut Scan<'_>, end: usize, _: bool) -> io::Result<Option<Start>> {
        let line = trim_end(&scan.input.unread()[..end]);
        let at = header_start(line, b"avg_ts", csv::is_header);
        let start = scan.start(at, end)?;
        let text = scan.input.unread();
        Ok(start.map(|start| Start {
            is_continued: text[end..start.until].starts_with(b"\""),
            ..start
        }))
    }
}

const FORMAT: &str = "csv";

/// A csv of which the header has been read.
struct Csv {
    table: Table,
    rows: Rows,
    /// Whether every value is in quotes, as llama-bench prints them.
    quoted: bool,
    /// Whether there was a line that cannot be a row: only whole rows continue the document.
    interrupted: bool,
    /// The line on which it is cut off.
    cut: Option<u64>,
}

impl Lines for Csv {
    fn format(&self) -> &'static str {
        FORMAT
    }

    fn read(&mut self, scan: &mut Scan<'_>, end: usize) -> io::Result<Step> {
        let mut step = self.read_row(scan, end)?;
        // Fast: rows that have been read from the source already are not offered to all documents.
        while matches!(step, Step::More) && scan.found.is_empty() {
            let unread = scan.input.unread();
            let is_row = unread.first() == Some(&b'"') && !self.interrupted;
            let Some(end) = memchr::memchr(b'\n', unread).filter(|_| is_row) else {
                break;
            };
            match self.read_row(scan, end + 1)? {
                Step::Other => break,
                next => step = next,
            }
        }
        Ok(step)
    }

    fn may_be_long_row(&self, begin: &[u8]) -> bool {
        !self.interrupted && (begin.starts_with(b"\"") || csv::count_values(begin) > 2)
    }

    fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }

    fn ends_before(&self, _: &[u8]) -> bool {
        false
    }

    fn end(self: Box<Self>, scan: &mut Scan<'_>) {
        match self.cut {
            Some(line) => scan.cut_off_rows(self.rows, line),
            None => scan.bench(self.rows),
        }
    }
}

/// What became of a line.
enum Row {
    Pushed,
    /// It is a part of another text.
    Other,
    /// Its run is refused.
    Refused(String),
    /// It does not tell its run.
    Invalid(String),
    /// It ends too early.
    Cut,
}

impl Csv {
    /// Reads the record that begins with the line up to `end`.
    fn read_row(&mut self, scan: &mut Scan<'_>, end: usize) -> io::Result<Step> {
        let record = trim_end(&scan.input.unread()[..end]);
        if !self.may_be_row(record) {
            return Ok(Step::Other);
        }
        let end = record_end(scan)?;
        let line = scan.input.line();
        let is_read = self.row(trim_nuls(&scan.input.unread()[..end]));
        match is_read.map_err(io::Error::other)? {
            Row::Pushed => {}
            Row::Other => return Ok(Step::Other),
            Row::Refused(why) => scan.bad(line, why),
            Row::Invalid(why) => self.rows.refuse_all(scan, line, &why),
            Row::Cut => {
                self.cut = Some(line);
                scan.input.consume(end);
                return Ok(Step::Last);
            }
        }
        scan.input.consume(end);
        Ok(Step::More)
    }

    /// Whether a line is a row of this table, with too few values perhaps, and not a line of a log.
    fn may_be_row(&mut self, record: &[u8]) -> bool {
        let values = csv::count_values(record);
        if values == 1 && !record.starts_with(b"\"") {
            self.interrupted = true;
        }
        if record.is_empty() || self.interrupted && values < self.table.columns() {
            return false;
        }
        if record.starts_with(b"\"") {
            return true;
        }
        if interrupts(record) {
            return false;
        }
        let first = record.split(|&byte| byte == b',').next();
        let is_of_log =
            first.is_some_and(|first| first.iter().any(|byte| b" \t:{[(<>|#".contains(byte)));
        !is_of_log || values == self.table.columns() && !self.quoted
    }

    /// Adds the row that is this record, with the end of its line.
    fn row(&mut self, record: &[u8]) -> base::Result<Row> {
        let is_ended = record.ends_with(b"\n");
        let row = trim_newline(record);
        let columns = self.table.columns();
        let mut values = Vec::with_capacity(columns);
        let schema = match self.table.row(row, &mut values) {
            Ok(schema) => schema,
            Err(_) if self.interrupted => return Ok(Row::Other),
            Err(BadRow::Cut) => return Ok(Row::Cut),
            Err(BadRow::Count(values, columns)) if values < columns && !is_ended => {
                return Ok(Row::Cut);
            }
            Err(why) => return Ok(Row::Invalid(why.message())),
        };
        // A number at the end of the text that lacks some of its six decimals may be cut off.
        let is_real = schema
            .columns()
            .last()
            .is_some_and(|column| column.kind == Kind::Real);
        if !is_ended && is_real && !row.ends_with(b"\"") && !has_six_decimals(row) {
            return Ok(Row::Cut);
        }
        if self.interrupted {
            let has_number = |name: &[u8]| {
                let mut fields = schema.columns().iter().zip(&values);
                let value = fields.find(|(column, _)| column.name.as_bytes() == name);
                value.is_some_and(|(_, value)| value.is_some_and(|value| rounded(value).is_some()))
            };
            if ![&b"n_prompt"[..], b"n_gen", b"avg_ts"]
                .into_iter()
                .all(has_number)
            {
                return Ok(Row::Other);
            }
        }
        if self.rows.0.is_empty() {
            let quoted = row.windows(3).filter(|window| window == b"\",\"").count();
            self.quoted = quoted + 1 >= columns;
        }
        Ok(
            match self.rows.0.push(schema, &values, Samples::default())? {
                Err(refusal) if !refusal.is_known => Row::Refused(refusal.why),
                _ => Row::Pushed,
            },
        )
    }
}

fn has_six_decimals(row: &[u8]) -> bool {
    let end = row.iter().rev().position(|byte| !byte.is_ascii_digit());
    end == Some(6) && row[row.len() - 7] == b'.'
}

fn trim_newline(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

//! The reader of csv documents: their rows, and other lines between them.

use std::io;

use memchr::memmem;

use super::input::MAX_DOCUMENT;
use super::prefix::LONGEST;
use super::reader::{Begun, CaptureReader, OpenDocument, Start, interrupts};
use super::scan::{Scan, one_line_document};
use super::text::{trim_end, trim_lead, trim_nuls, trim_start};
use super::{LONGEST_LINE, MAX_FOREIGN};
use crate::formats::{Flaw, FlawKind, csv, json};

pub(super) struct Reader;

impl CaptureReader for Reader {
    fn sign(&self) -> &'static [u8] {
        b"n_prompt"
    }

    fn interrupts(&self, line: &[u8]) -> bool {
        !line.first().copied().is_none_or(begins_otherwise) && csv::is_header(line)
    }

    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun> {
        let line = &scan.input.unread()[..end];
        let Some(lead) = header_lead(line) else {
            return Ok(Begun::Nothing);
        };
        let Some(end) = scan.skip_lead(lead, end) else {
            return Ok(Begun::Complete);
        };
        let header = &scan.input.unread()[..end];
        let rows = Rows {
            alone: scan.input.line() == 1 && header.ends_with(b"\n"),
            table: csv::Reader::new(header.trim_ascii_end()),
            foreign: 0,
            noted: false,
        };
        scan.end_tests();
        scan.input.consume(end);
        Ok(Begun::Open(Box::new(rows)))
    }

    fn find(&self, scan: &mut Scan<'_>, end: usize, _: bool) -> io::Result<Option<Start>> {
        let line = trim_end(&scan.input.unread()[..end]);
        let at = header_start(line, b"n_prompt", csv::is_header);
        let start = scan.start(at, end)?;
        let text = scan.input.unread();
        Ok(start.map(|start| Start {
            is_continued: !begins_otherwise(text[start.at])
                && text[end..start.until].starts_with(b"\""),
            ..start
        }))
    }
}

/// Whether other readers read lines that begin with this byte.
fn begins_otherwise(first: u8) -> bool {
    b"{+=".contains(&first)
}

/// A csv that is being read.
struct Rows {
    table: csv::Reader,
    /// Whether the text begins with it.
    alone: bool,
    /// The size of other programs' lines since its last row.
    foreign: usize,
    /// Whether other programs' lines have been noted.
    noted: bool,
}

impl OpenDocument for Rows {
    /// Reads the next record, or ends the csv.
    fn read(&mut self, scan: &mut Scan<'_>) -> io::Result<bool> {
        let first = scan.input.line_end(0)?.unwrap_or(0);
        let line = scan.input.line();
        let record = trim_end(&scan.input.unread()[..first]);
        if record.is_empty() && first > 0 {
            self.table.interrupted = true;
            scan.input.consume(first);
            return Ok(true);
        }
        if !self.table.fits(record) {
            return self.skip_line(scan, first);
        }
        self.foreign = 0;
        let end = record_end(scan)?;
        let (run, result) = self.table.push(trim_nuls(&scan.input.unread()[..end]));
        if matches!(&result, Err(flaw) if flaw.kind == FlawKind::Cut) {
            // The lines after an open quote do not belong to the row.
            scan.input.consume(first);
            self.end_cut_off(scan, line);
            return Ok(false);
        }
        scan.grouped(line, run, result);
        scan.input.consume(end);
        Ok(true)
    }
}

impl Rows {
    /// Skips a line that is not a row, or ends the csv before it.
    fn skip_line(&mut self, scan: &mut Scan<'_>, end: usize) -> io::Result<bool> {
        let record = trim_end(&scan.input.unread()[..end]);
        let signs = scan.search.signs_in(record);
        let begins = interrupts(trim_start(record))
            || one_line_document(record, signs).is_some()
            || scan.beginning(end, signs)?.is_some();
        let line = scan.input.line();
        let record = trim_end(&scan.input.unread()[..end]);
        if !record.is_empty() && !begins && !self.table.interrupted {
            if self.table.contains_row(record) {
                let flaw = Flaw::new(0, "a row that does not begin its line");
                let (run, result) = self.table.grouping.push(Err(flaw), 0);
                scan.grouped(line, run, result);
                scan.input.consume(end);
                return Ok(true);
            }
            self.foreign += end;
            if self.foreign <= MAX_FOREIGN {
                let is_comment = record.starts_with(b"#");
                if !is_comment && !std::mem::replace(&mut self.noted, true) {
                    scan.note(
                        line,
                        "passed over lines of another program between the rows",
                    );
                }
                scan.input.consume(end);
                return Ok(true);
            }
        }
        // A csv without rows is a run without tests only if there is no other text.
        if self.table.grouping.is_empty() && !(self.alone && record.is_empty()) {
            self.end_cut_off(scan, line);
        } else if let Some(document) = self.table.grouping.end_table() {
            scan.run(document);
        }
        Ok(false)
    }

    /// Ends a csv whose last row is cut off.
    fn end_cut_off(&mut self, scan: &mut Scan<'_>, line: u64) {
        let tests = self.table.grouping.tests();
        let document = self.table.grouping.end();
        scan.cut_off(line, tests, document);
    }
}

/// The end of the record that begins here: the first newline outside quotes.
pub(super) fn record_end(scan: &mut Scan<'_>) -> io::Result<usize> {
    // A name may contain a few newlines.
    const MAX_LINES: usize = 16;
    let (mut end, mut lines) = (0, 0);
    let mut inside = false;
    while let Some(next) = scan.input.line_end(end)? {
        let line = &scan.input.unread()[end..next];
        // A line of a value may begin with a brace, but not look like the start of a document.
        let is_value =
            line.first() == Some(&b'{') && line.trim_ascii_end() != b"{" && !json::is_ours(line);
        if inside && !is_value && interrupts(line) {
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

/// The length of the text before a csv header; `None` if the line is not one.
fn header_lead(line: &[u8]) -> Option<usize> {
    let lead = line.len() - trim_lead(line).len();
    match csv::delimiter(&line[lead..])? {
        // An index column has an empty name before the first tab.
        b'\t' if lead > 0 && line[lead - 1] == b'\t' => Some(lead - 1),
        _ => Some(lead),
    }
}

/// Where the header of a csv, in which this name is, begins in the middle of a line.
pub(super) fn header_start(
    line: &[u8],
    name: &[u8],
    is_header: fn(&[u8]) -> bool,
) -> Option<usize> {
    const MOST_TRIES: usize = 16;
    if line.len() > LONGEST_LINE {
        return None;
    }
    let mut end = memmem::find(line, name)?.min(LONGEST);
    for _ in 0..MOST_TRIES {
        let before = csv::last_separator(&line[..end])?;
        let start = line.len() - trim_lead(&line[before + 1..]).len();
        if is_header(&line[start..]) {
            return Some(start);
        }
        // The spaces before the separator lead to the same header.
        end = line[..before].trim_ascii_end().len();
    }
    None
}

//! The reader of csv documents: their rows, and what may stand between them.

use std::io;

use memchr::memmem;

use super::input::MAX_DOCUMENT;
use super::prefix::LONGEST;
use super::reader::{Begun, CaptureReader, OpenDocument, Start, interrupts};
use super::scan::{Scan, whole};
use super::signs::cut_off;
use super::text::{trailing_spaces, trim_end, trim_lead, trim_nuls, trim_start};
use super::{LONGEST_LINE, MAX_FOREIGN};
use crate::formats::{FlawKind, csv, json};

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
        let indent = trailing_spaces(&line[..lead]);
        scan.skip(lead - indent);
        // The rows have it too.
        if indent > 0 && scan.take_off(indent, end - (lead - indent)) {
            return Ok(Begun::Whole);
        }
        scan.skip(indent);
        let end = end - lead;
        let header = &scan.input.unread()[..end];
        let rows = Rows {
            alone: scan.input.line() == 1 && header.ends_with(b"\n"),
            table: csv::Assembler::new(header.trim_ascii_end()),
            foreign: 0,
            noted: false,
        };
        scan.end_tests();
        scan.input.consume(end);
        Ok(Begun::Open(Box::new(rows)))
    }

    fn find(&self, scan: &mut Scan<'_>, end: usize, _: bool) -> io::Result<Option<Start>> {
        let Some(at) = header_start(trim_end(&scan.input.unread()[..end])) else {
            return Ok(None);
        };
        let until = scan.next_line(end)?;
        let text = scan.input.unread();
        let goes_on = !begins_otherwise(text[at]) && text[end..until].starts_with(b"\"");
        Ok(Some(Start { at, until, goes_on }))
    }
}

/// Whether what begins with this byte is for the other readers.
fn begins_otherwise(first: u8) -> bool {
    b"{+=".contains(&first)
}

/// A csv that is being read.
struct Rows {
    table: csv::Assembler,
    /// Whether the text begins with it.
    alone: bool,
    /// The bytes of other programs' lines since its last row.
    foreign: usize,
    /// Whether a note was given of such lines.
    noted: bool,
}

impl OpenDocument for Rows {
    /// Takes the next record, or ends the csv.
    fn read(&mut self, scan: &mut Scan<'_>) -> io::Result<bool> {
        let first = scan.input.line_end(0)?.unwrap_or(0);
        let line = scan.input.line();
        let record = trim_end(&scan.input.unread()[..first]);
        if record.is_empty() && first > 0 {
            self.table.blank_line();
            scan.input.consume(first);
            return Ok(true);
        }
        if !self.table.fits(record) {
            return self.no_row(scan, first);
        }
        self.foreign = 0;
        let end = record_end(scan)?;
        let (done, result) = self.table.push(trim_nuls(&scan.input.unread()[..end]));
        if let Some(document) = done {
            scan.run(document);
        }
        match result {
            Err(flaw) if flaw.kind == FlawKind::Cut => {
                // The lines behind an open quote are no part of the row.
                scan.input.consume(first);
                self.is_cut(scan, line);
                return Ok(false);
            }
            Err(flaw) => scan.bad(line, flaw.why),
            Ok(()) => {}
        }
        scan.input.consume(end);
        Ok(true)
    }
}

impl Rows {
    /// Passes over a line that is no row, or ends the csv before it.
    fn no_row(&mut self, scan: &mut Scan<'_>, end: usize) -> io::Result<bool> {
        let record = trim_end(&scan.input.unread()[..end]);
        let signs = scan.search.of_line(record);
        let begins = interrupts(trim_start(record))
            || whole(record, signs).is_some()
            || scan.beginning(end, signs)?.is_some();
        let line = scan.input.line();
        let record = trim_end(&scan.input.unread()[..end]);
        if !record.is_empty() && !begins && !self.table.is_interrupted() {
            if self.table.has_a_row(record) {
                let (done, result) = self.table.spoil();
                if let Some(document) = done {
                    scan.run(document);
                }
                if let Err(flaw) = result {
                    scan.bad(line, flaw.why);
                }
                scan.input.consume(end);
                return Ok(true);
            }
            self.foreign += end;
            if self.foreign <= MAX_FOREIGN {
                // Such as a message of another program in between.
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
        // A csv without rows is a run without tests only if nothing else is there.
        if self.table.has_no_rows() && !(self.alone && record.is_empty()) {
            self.is_cut(scan, line);
        } else if let Some(document) = self.table.finish() {
            scan.run(document);
        }
        Ok(false)
    }

    /// Ends a csv whose last row is cut off.
    fn is_cut(&mut self, scan: &mut Scan<'_>, line: u64) {
        let tests = self.table.tests();
        if scan.options.partial && tests > 0 {
            if let Some(document) = self.table.finish() {
                scan.run(document);
            }
        } else {
            scan.bad(line, cut_off("csv", tests));
        }
    }
}

/// Where the record that begins here ends: at the first newline outside of quotes.
fn record_end(scan: &mut Scan<'_>) -> io::Result<usize> {
    // A name may have a newline in it, but not many.
    const MAX_LINES: usize = 16;
    let (mut end, mut lines) = (0, 0);
    let mut inside = false;
    while let Some(next) = scan.input.line_end(end)? {
        let line = &scan.input.unread()[end..next];
        // A value may have a newline with a brace behind it, but not a whole line like these.
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

/// How much of the line stands before the header of a csv, if it is one.
fn header_lead(line: &[u8]) -> Option<usize> {
    let lead = line.len() - trim_lead(line).len();
    match csv::delimiter(&line[lead..])? {
        // The column of an index has no name, but a tab behind it.
        b'\t' if lead > 0 && line[lead - 1] == b'\t' => Some(lead - 1),
        _ => Some(lead),
    }
}

/// Where the header of a csv begins: behind a space or a colour, and not between two names.
fn header_start(line: &[u8]) -> Option<usize> {
    const MOST_TRIES: usize = 16;
    if line.len() > LONGEST_LINE {
        return None;
    }
    let mut end = memmem::find(line, b"n_prompt")?.min(LONGEST);
    for _ in 0..MOST_TRIES {
        let before = csv::last_separator(&line[..end])?;
        let start = line.len() - trim_lead(&line[before + 1..]).len();
        if csv::is_header(&line[start..]) {
            return Some(start);
        }
        // All of the spaces before it lead to the same place.
        end = line[..before].trim_ascii_end().len();
    }
    None
}

//! The reader of console tables.

use std::io;

use super::reader::{Begun, CaptureReader, OpenDocument, Start};
use super::scan::Scan;
use super::signs::other_program;
use super::text::{trim_end, trim_nuls};
use crate::formats::console;

pub(super) struct Reader;

impl CaptureReader for Reader {
    fn sign(&self) -> &'static [u8] {
        b"+----------------"
    }

    fn interrupts(&self, line: &[u8]) -> bool {
        line.first() == Some(&b'+') && console::is_border(line)
    }

    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun> {
        if !console::is_border(&console::plain(&scan.input.unread()[..end])) {
            return Ok(Begun::Nothing);
        }
        scan.end_tests();
        let table = Table {
            rows: console::Reader::default(),
            begin: scan.input.line(),
        };
        Ok(Begun::Open(Box::new(table)))
    }

    fn find(&self, scan: &mut Scan<'_>, end: usize, _: bool) -> io::Result<Option<Start>> {
        let line = trim_end(&scan.input.unread()[..end]);
        let border = memchr::memmem::find(line, b"+----------");
        let at = border.filter(|&at| console::is_border(&line[at..]));
        scan.start(at, end)
    }
}

/// A table that is being read, and the line on which it begins.
struct Table {
    rows: console::Reader,
    begin: u64,
}

impl OpenDocument for Table {
    /// Reads the next line of the table, or ends it.
    fn read(&mut self, scan: &mut Scan<'_>) -> io::Result<bool> {
        let end = scan.input.line_end(0)?;
        let at = scan.input.line();
        // A border with a title below it begins the next table: this one has no last border.
        let begins_another = match end {
            Some(end) if console::is_border(&console::plain(&scan.input.unread()[..end])) => {
                let next = scan.input.line_end(end)?.unwrap_or(end);
                console::is_row(&scan.input.unread()[end..next])
            }
            _ => false,
        };
        let line = &scan.input.unread()[..end.unwrap_or(0)];
        let other = other_program(line);
        let step = match end {
            Some(_) if begins_another && self.rows.has_rows() => self.rows.end(),
            Some(_) => self.rows.push(trim_nuls(line)),
            None => self.rows.end(),
        };
        let consumed = match &step {
            // The line is not part of the table.
            console::Step::Cut(_) => 0,
            // The first border is consumed, or it would be read again.
            console::Step::NoTable if at > self.begin => 0,
            _ => line.len(),
        };
        scan.note_other(other);
        scan.input.consume(consumed);
        match step {
            console::Step::More => return Ok(true),
            console::Step::NoTable => {}
            console::Step::Done(document) => scan.run(document),
            console::Step::Cut(document) => {
                let tests = document.run.tests.len();
                scan.cut_off(self.begin, tests, Some(document));
            }
            console::Step::Bad(why) => scan.bad(at, why),
        }
        Ok(false)
    }
}

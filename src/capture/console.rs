//! The lines of a table of the console.

use std::io::{self, Read};

use super::signs::{cut_off, foreign};
use super::text::trim_nuls;
use super::{Capture, Reading};
use crate::formats::console;

impl<R: Read> Capture<R> {
    /// Takes the next line of the table, or ends it.
    pub(super) fn table_line(&mut self) -> io::Result<()> {
        let end = self.input.line_end(0)?;
        let at = self.input.line();
        // A border with a title below it begins the next table: this one has not been closed.
        let begins_another = match end {
            Some(end) if console::is_border(&console::plain(&self.input.unread()[..end])) => {
                let next = self.input.line_end(end)?.unwrap_or(end);
                console::is_row(&self.input.unread()[end..next])
            }
            _ => false,
        };
        let Reading::Table(table, begin) = &mut self.reading else {
            return Ok(());
        };
        let begin = *begin;
        let line = &self.input.unread()[..end.unwrap_or(0)];
        let foreign = foreign(line);
        let step = match end {
            Some(_) if begins_another && table.has_rows() => table.end(),
            Some(_) => table.push(trim_nuls(line)),
            None => table.end(),
        };
        let consumed = match &step {
            // The line belongs to what follows.
            console::Step::Cut(_) => 0,
            // But the border of another program's table belongs to nothing.
            console::Step::NoTable if at > begin => 0,
            _ => line.len(),
        };
        if let Some(why) = foreign {
            self.note_foreign(why);
        }
        self.input.consume(consumed);
        if matches!(step, console::Step::More) {
            return Ok(());
        }
        self.reading = Reading::Text;
        match step {
            console::Step::More | console::Step::NoTable => {}
            console::Step::Done(document) => self.run(document),
            console::Step::Cut(document) => {
                let tests = document.run.tests.len();
                if self.options.partial && tests > 0 {
                    self.run(document);
                } else {
                    self.bad(begin, cut_off("table", tests));
                }
            }
            console::Step::Bad(why) => self.bad(at, why),
        }
        Ok(())
    }
}

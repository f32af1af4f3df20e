//! Rows of the table that llama-bench shows.

use std::io;

use memchr::memmem;

use super::{Lines, Rows, Step};
use crate::capture::reader::{Begun, CaptureReader, Start};
use crate::capture::scan::Scan;
use crate::capture::text::{trim_end, trim_lead};
use crate::formats::bench::md::{self, Found, Header};
use crate::model::bench::Samples;
use crate::model::{Source, Text};

pub(in crate::capture) struct Reader;

impl CaptureReader for Reader {
    fn sign(&self) -> &'static [u8] {
        b"t/s"
    }

    fn interrupts(&self, line: &[u8]) -> bool {
        md::header(line).is_some()
    }

    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun> {
        let line = &scan.input.unread()[..end];
        let lead = line.len() - trim_lead(line).len();
        let Some(header) = md::header(&line[lead..]) else {
            return Ok(Begun::Nothing);
        };
        let Some(end) = scan.skip_lead(lead, end) else {
            return Ok(Begun::Complete);
        };
        if header == Header::Derived {
            scan.end_lines(FORMAT);
            scan.note(scan.input.line(), DERIVED);
        } else {
            let table = md::Reader::new(&scan.input.unread()[..end]);
            let rows = Rows::new(Source::Console);
            scan.begin_lines(Box::new(Md { table, rows }));
        }
        scan.input.consume(end);
        Ok(Begun::Complete)
    }

    fn find(&self, scan: &mut Scan<'_>, end: usize, _: bool) -> io::Result<Option<Start>> {
        let line = trim_end(&scan.input.unread()[..end]);
        let mut bars = memmem::find_iter(line, b"|").take(MOST_BARS);
        let at = bars.find(|&at| md::header(&line[at..]).is_some());
        scan.start(at, end)
    }
}

/// The prefix of a log has no more bars.
const MOST_BARS: usize = 8;

const FORMAT: &str = "md";

const DERIVED: &str = "passed over a table that was computed from results of llama-bench";

/// A table of which the header has been read.
struct Md {
    table: md::Reader,
    rows: Rows,
}

impl Lines for Md {
    fn format(&self) -> &'static str {
        FORMAT
    }

    fn read(&mut self, scan: &mut Scan<'_>, end: usize) -> io::Result<Step> {
        let line = &scan.input.unread()[..end];
        if md::header(line).is_some() {
            return Ok(Step::Other);
        }
        let step = match self.table.line(line) {
            Found::Row(values) => {
                let values: Vec<_> = values.iter().map(|value| Some(value.as_slice())).collect();
                let (line, schema) = (scan.input.line(), self.table.schema());
                self.rows
                    .push(scan, line, schema, &values, Samples::default())?;
                Step::More
            }
            Found::Rule => Step::More,
            Found::Derived(values) if !self.rows.0.is_empty() => {
                let speed = Text::from(values.last().cloned().unwrap_or_default()).to_string();
                let why = format!("t/s is not a number: '{}'", base::shortened(&speed, 40));
                let values: Vec<_> = values.iter().map(|value| Some(value.as_slice())).collect();
                let (line, schema) = (scan.input.line(), self.table.schema());
                self.rows.refuse(scan, line, schema, &values, why);
                Step::More
            }
            Found::Derived(_) => {
                scan.note(scan.input.line(), DERIVED);
                Step::Last
            }
            Found::Build(commit, number) => {
                self.rows.0.set_build(&commit, &number);
                Step::Last
            }
            Found::Other => return Ok(Step::Other),
        };
        scan.input.consume(end);
        Ok(step)
    }

    fn may_be_long_row(&self, begin: &[u8]) -> bool {
        begin.starts_with(b"|")
    }

    fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }

    fn ends_before(&self, line: &[u8]) -> bool {
        md::is_row(line)
    }

    fn end(self: Box<Self>, scan: &mut Scan<'_>) {
        scan.bench(self.rows);
    }
}

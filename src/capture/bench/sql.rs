//! Rows as statements of sql.

use std::io;

use super::{Lines, Rows, Step};
use crate::capture::input::MAX_DOCUMENT;
use crate::capture::reader::{Begun, CaptureReader, Start, interrupts};
use crate::capture::scan::Scan;
use crate::capture::text::{trim_end, trim_lead};
use crate::formats::bench::csv::Schemas;
use crate::formats::bench::sql::{self, Create};
use crate::model::Source;
use crate::model::bench::Samples;

/// Reads the statement that creates the table, or one that inserts a row where that is missing.
pub(in crate::capture) struct Reader(&'static [u8]);

/// The statement before the rows.
pub(in crate::capture) const CREATE: Reader = Reader(b"CREATE TABLE");

/// A row.
pub(in crate::capture) const INSERT: Reader = Reader(b"INSERT INTO");

impl CaptureReader for Reader {
    fn sign(&self) -> &'static [u8] {
        self.0
    }

    fn interrupts(&self, line: &[u8]) -> bool {
        line.starts_with(self.0) && sql::begins(line)
    }

    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun> {
        let line = &scan.input.unread()[..end];
        let lead = line.len() - trim_lead(line).len();
        if !line[lead..].starts_with(self.0) || !sql::begins(&line[lead..]) {
            return Ok(Begun::Nothing);
        }
        let Some(end) = scan.skip_lead(lead, end) else {
            return Ok(Begun::Complete);
        };
        let (whole, _) = statement_end(scan, end)?;
        let create = sql::create(&scan.input.unread()[..whole]);
        let is_created = create.is_some();
        let mut document = Sql {
            create,
            rows: Rows::new(Source::Csv),
            columns: None,
            cut: None,
        };
        if is_created {
            scan.input.consume(whole);
        } else {
            match document.read(scan, end)? {
                Step::Other => {
                    scan.skip(end);
                    return Ok(Begun::Complete);
                }
                Step::More => {}
                Step::Last => {
                    scan.end_lines(FORMAT);
                    Box::new(document).end(scan);
                    return Ok(Begun::Complete);
                }
            }
        }
        scan.begin_lines(Box::new(document));
        Ok(Begun::Complete)
    }

    fn find(&self, scan: &mut Scan<'_>, end: usize, _: bool) -> io::Result<Option<Start>> {
        let line = trim_end(&scan.input.unread()[..end]);
        let at = memchr::memmem::find(line, self.0);
        scan.start(at.filter(|&at| sql::begins(&line[at..])), end)
    }
}

const FORMAT: &str = "sql";

/// Statements about one table.
struct Sql {
    create: Option<Create>,
    rows: Rows,
    /// What stands before the values of the row before, and its columns, if they are valid.
    columns: Option<(Vec<u8>, Option<Schemas>)>,
    /// The line on which it is cut off.
    cut: Option<u64>,
}

impl Lines for Sql {
    fn format(&self) -> &'static str {
        FORMAT
    }

    fn read(&mut self, scan: &mut Scan<'_>, end: usize) -> io::Result<Step> {
        let line = &scan.input.unread()[..end];
        if !sql::begins(line) {
            return Ok(Step::Other);
        }
        let (end, is_whole) = statement_end(scan, end)?;
        let line = scan.input.line();
        let statement = scan.input.unread()[..end].to_vec();
        let statement = trim_end(&statement);
        if !is_whole && statement.starts_with(INSERT.0) && end == scan.input.unread().len() {
            self.cut = Some(line);
            scan.input.consume(end);
            return Ok(Step::Last);
        }
        let Some(insert) = sql::insert(statement) else {
            return Ok(Step::Other);
        };
        scan.input.consume(end);
        let is_same = self
            .columns
            .as_ref()
            .is_some_and(|(head, _)| head == insert.head);
        if !is_same {
            if self.columns.is_some() {
                let rows = std::mem::replace(&mut self.rows, Rows::new(Source::Csv));
                scan.bench(rows);
            }
            let schemas = self.schemas(&insert);
            if let Err(why) = &schemas {
                self.rows.refuse_all(scan, line, why);
            }
            self.columns = Some((insert.head.to_vec(), schemas.ok()));
        }
        let Some((_, Some(schemas))) = &mut self.columns else {
            return Ok(Step::More);
        };
        match sql::rows(insert.values, schemas.names.len()) {
            Ok(rows) => {
                for row in rows {
                    let values: Vec<Option<&[u8]>> = row.iter().map(Option::as_deref).collect();
                    let schema = schemas.of_row(|place| values[place].unwrap_or_default());
                    self.rows
                        .push(scan, line, schema, &values, Samples::default())?;
                }
            }
            Err(why) => self.rows.refuse_all(scan, line, &why),
        }
        Ok(Step::More)
    }

    fn may_be_long_row(&self, begin: &[u8]) -> bool {
        sql::begins(begin)
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

impl Sql {
    /// The fields of rows with these columns.
    fn schemas(&self, insert: &sql::Insert<'_>) -> Result<Schemas, String> {
        let created = self
            .create
            .as_ref()
            .filter(|create| create.table == insert.table);
        let created = created.map_or(&[][..], |create| &create.columns);
        let names = if insert.columns.is_empty() {
            created.iter().map(|(name, _)| name.as_slice()).collect()
        } else {
            insert.columns.clone()
        };
        if names.is_empty() {
            return Err("a row without the names of its columns".to_owned());
        }
        let kind = |name: &[u8]| {
            let column = created.iter().find(|(column, _)| column == name);
            column.and_then(|(_, kind)| *kind)
        };
        Schemas::new(&names, Some(insert.table), kind)
    }
}

/// The end of the statement that begins with the line up to `end`, and whether it is whole.
fn statement_end(scan: &mut Scan<'_>, end: usize) -> io::Result<(usize, bool)> {
    // A table of the most columns has a line for each of them.
    const MOST_LINES: usize = 1024;
    let mut end = end;
    for _ in 0..MOST_LINES {
        if trim_end(&scan.input.unread()[..end]).ends_with(b";") {
            return Ok((end, true));
        }
        let Some(next) = scan.input.line_end(end)? else {
            break;
        };
        let line = &scan.input.unread()[end..next];
        if next > MAX_DOCUMENT || interrupts(line) {
            break;
        }
        end = next;
    }
    Ok((end, false))
}

//! The csv of LocalScore: a header line of field names, then a line a test, every value quoted.
//!
//! It lacks the machine, the samples and the number of repetitions.

use std::io::{self, Write};

use super::grouping::Grouping;
use super::lexer::quoted;
use super::number::{self, Printed};
use super::{Document, Flaw, FlawKind};
use crate::model::{Draft, Field, Kind, NewValue, Run, Source, Test, Value};

/// Whether a line names the columns of results: it must have both token counts, and a speed, which
/// llama-bench calls otherwise.
#[must_use]
pub(crate) fn is_header(line: &[u8]) -> bool {
    delimiter(line).is_some()
}

/// What separates the columns of a header; `None` if the line is not a header.
#[must_use]
pub(crate) fn delimiter(line: &[u8]) -> Option<u8> {
    // The names are rare enough in other text that the search for them settles nearly every line.
    let find = |name: &[u8]| memchr::memmem::find(line, name).is_some();
    if !(find(b"n_prompt") && find(b"n_gen") && find(b"_tps")) {
        return None;
    }
    // Spreadsheets write semicolons where the comma is in numbers.
    [b',', b';', b'\t'].into_iter().find(|&delimiter| {
        if count_values(line, delimiter) > MAX_COLUMNS {
            return false;
        }
        let columns = || line.split(move |&byte| byte == delimiter).map(column_name);
        let has = |name: &[u8]| columns().any(|column| column == name);
        // In a string of a json document there is a quote somewhere.
        let is_name = |column: &[u8]| memchr::memchr(b'"', column).is_none();
        has(b"n_prompt")
            && has(b"n_gen")
            && (has(b"prompt_tps") || has(b"gen_tps"))
            && columns().all(is_name)
            && !columns()
                .take_while(|column| field(column).is_none())
                .any(is_behind_something)
    })
}

/// The name of a column, with or without quotes.
fn column_name(column: &[u8]) -> &[u8] {
    let column = column.trim_ascii();
    let quoted = column.strip_prefix(b"\"");
    quoted
        .and_then(|column| column.strip_suffix(b"\""))
        .unwrap_or(column)
}

/// Whether the name of a field stands behind something else, such as a time stamp or a colour, and
/// is not a part of a longer name.
fn is_behind_something(column: &[u8]) -> bool {
    if memchr::memchr(0x1b, column).is_some() {
        return true;
    }
    let Some(at) = last_separator(column) else {
        return false;
    };
    let is_plain = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b' ';
    match field(&column[at + 1..]) {
        Some(Field::Name) => !column[..=at].iter().all(is_plain),
        found => found.is_some(),
    }
}

/// Where what stands before the name of a field may end.
#[must_use]
pub(crate) fn last_separator(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|byte| b" \t|>:]".contains(byte))
}

fn field(name: &[u8]) -> Option<Field> {
    // Other clients call the test's name so.
    if name == b"test" {
        Some(Field::Name)
    } else {
        Field::from_name(name)
    }
}

/// How LocalScore's own header begins.
pub(crate) const OWN_HEADER: &[u8] = b"build_commit,build_number,model_name,";

/// LocalScore prints no line of more values.
const MAX_COLUMNS: usize = 1024;

/// Reads the records of a csv, which [`Grouping`] puts together to runs. A table without rows is a
/// run without tests.
pub(crate) struct Assembler {
    /// Made for the first row: it costs more than many a table.
    reader: Option<Box<csv_core::Reader>>,
    delimiter: u8,
    columns: Vec<Option<Field>>,
    unknown: Vec<String>,
    grouping: Grouping,
    /// Whether an empty line came: then text may follow that is no row.
    interrupted: bool,
    /// Whether every value is in quotes, as LocalScore prints them: then every row begins with one.
    quoted: bool,
}

impl Assembler {
    /// Begins with a header line.
    #[must_use]
    pub(crate) fn new(header: &[u8]) -> Self {
        let delimiter = delimiter(header).unwrap_or(b',');
        let mut unknown = Vec::new();
        let columns = header
            .split(|&byte| byte == delimiter)
            .map(|name| {
                let name = column_name(name);
                let field = field(name);
                // A data frame writes its index under no name.
                if field.is_none() && !name.is_empty() {
                    unknown.push(String::from_utf8_lossy(name).into_owned());
                }
                field
            })
            .collect();
        Self {
            reader: None,
            delimiter,
            columns,
            unknown,
            grouping: Grouping::default(),
            interrupted: false,
            quoted: false,
        }
    }

    /// Whether a record is a row of this table, rather than what follows it or a line of another
    /// program in between.
    #[must_use]
    pub(crate) fn fits(&self, record: &[u8]) -> bool {
        let values = || count_values(record, self.delimiter);
        match record.first() {
            None | Some(b'#' | b'{') => false,
            Some(b'"') => true,
            Some(_) if self.quoted || is_header(record) => false,
            Some(_) if self.interrupted => values() == self.columns.len(),
            Some(_) => {
                let is_open = memchr::memchr_iter(b'"', record).count() % 2 == 1;
                let opens =
                    is_open && memchr::memmem::find(record, &[self.delimiter, b'"']).is_some();
                values() > 1
                    && (values() == self.columns.len() || self.has_a_number(record) || opens)
            }
        }
    }

    /// Whether a record that does not fit has a row in it, such as behind another program's text.
    #[must_use]
    pub(crate) fn has_a_row(&self, record: &[u8]) -> bool {
        self.columns.len() > 2 && self.quotes(record) + 1 >= self.columns.len()
    }

    /// How often one value in quotes follows another one.
    fn quotes(&self, record: &[u8]) -> usize {
        memchr::memmem::find_iter(record, &[b'"', self.delimiter, b'"']).count()
    }

    /// Makes the run bad to which a row belongs that cannot be read.
    pub(crate) fn spoil(&mut self) -> (Option<Document>, Result<(), Flaw>) {
        let flaw = Flaw::new(0, "a row that does not begin its line");
        let (run, result) = self.grouping.push(Err(flaw), 0);
        (run.map(|run| self.document(run)), result)
    }

    /// Whether one of the values is a number: a row that lacks a value is an error, not another
    /// program's line.
    fn has_a_number(&self, record: &[u8]) -> bool {
        let mut values = record.split(|&byte| byte == self.delimiter);
        values.any(|value| number::parse(value.trim_ascii()).is_some_and(f64::is_finite))
    }

    /// How many tests the run has so far.
    #[must_use]
    pub(crate) fn tests(&self) -> usize {
        self.grouping.tests()
    }

    /// Whether an empty line came.
    #[must_use]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Whether there was only a header.
    #[must_use]
    pub(crate) fn has_no_rows(&self) -> bool {
        self.grouping.is_empty()
    }

    /// Takes note of an empty line.
    pub(crate) fn blank_line(&mut self) {
        self.interrupted = true;
    }

    /// Takes the next record, with the end of its line, as [`Grouping::push`] does.
    pub(crate) fn push(&mut self, record: &[u8]) -> (Option<Document>, Result<(), Flaw>) {
        let test = self.test(record);
        match test {
            Err(flaw) if flaw.kind == FlawKind::Cut => return (None, Err(flaw)),
            Ok(_) if self.grouping.is_empty() => {
                self.quoted = self.quotes(record) + 1 >= self.columns.len();
            }
            _ => {}
        }
        let (run, result) = self.grouping.push(test, record.len());
        (run.map(|run| self.document(run)), result)
    }

    /// Ends the table: the last run, if there is a good one.
    pub(crate) fn finish(&mut self) -> Option<Document> {
        let run = if self.has_no_rows() {
            Some(Run {
                source: Source::Csv,
                ..Run::default()
            })
        } else {
            self.grouping.end()
        };
        run.map(|run| self.document(run))
    }

    fn document(&self, run: Run) -> Document {
        Document {
            run,
            unknown: self.unknown.clone(),
            length: 0,
        }
    }

    fn test(&mut self, record: &[u8]) -> Result<Test, Flaw> {
        let open_quote = memchr::memchr_iter(b'"', record).count() % 2 == 1;
        let most = count_values(record, self.delimiter);
        if most > MAX_COLUMNS {
            return Err(Flaw::new(0, format!("more than {MAX_COLUMNS} values")));
        }
        let row = record.trim_ascii_end();
        // An empty value may be the last one, and a tab between two.
        let row = if self.delimiter == b'\t' {
            trim_newline(record)
        } else {
            row
        };
        let delimiter = self.delimiter;
        let reader = self.reader.get_or_insert_with(|| {
            let builder = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
            Box::new(builder)
        });
        let values = split(reader, row, delimiter);
        let ended = record.ends_with(b"\n");
        let short =
            values.len() < self.columns.len() && (!ended || row.last() == Some(&self.delimiter));
        // A number that is not quoted may go on where its line has not ended.
        if open_quote || short || (!ended && !record.ends_with(b"\"")) {
            return Err(Flaw::cut(0));
        }
        if values.len() != self.columns.len() {
            return Err(Flaw::new(
                0,
                format!("{} values for {} columns", values.len(), self.columns.len()),
            ));
        }
        let mut draft = Draft::default();
        for (field, mut value) in self.columns.iter().zip(values) {
            let Some(field) = *field else { continue };
            if self.delimiter == b';' && field.kind() != Kind::Text {
                with_point(&mut value);
            }
            set(&mut draft, field, value)?;
        }
        draft
            .build()
            .map_err(|field| Flaw::new(0, format!("no \"{}\" in this row", field.name())))
    }
}

fn trim_newline(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// Writes a number with a decimal comma with a point.
fn with_point(number: &mut [u8]) {
    let mut commas = number.iter_mut().filter(|byte| matches!(byte, b',' | b'.'));
    if let (Some(comma), None) = (commas.next(), commas.next()) {
        *comma = b'.';
    }
}

fn set(draft: &mut Draft, field: Field, value: Vec<u8>) -> Result<(), Flaw> {
    let kind = field.kind();
    let value = if kind == Kind::Text {
        // Only a model's strings may be empty; a test without a name has none.
        let missing = field == Field::Name && value.is_empty();
        (!missing).then(|| NewValue::Text(value.into()))
    } else {
        let text = value.trim_ascii();
        let wrong = || {
            let (name, wanted) = (field.name(), number::kind_name(kind));
            Flaw::new(0, format!("\"{name}\" is {}, not {wanted}", quoted(text)))
        };
        if text.is_empty() {
            return Ok(());
        }
        Some(number::parse_as(kind, text).ok_or_else(wrong)?)
    };
    draft.set(field, value).map_err(|why| Flaw::new(0, why))
}

/// The number of values, if no delimiter is quoted; else there are fewer.
fn count_values(record: &[u8], delimiter: u8) -> usize {
    memchr::memchr_iter(delimiter, record).count() + 1
}

/// The values of one record.
fn split(reader: &mut csv_core::Reader, record: &[u8], delimiter: u8) -> Vec<Vec<u8>> {
    reader.reset();
    let mut values = vec![0; record.len()];
    let mut ends = vec![0; count_values(record, delimiter)];
    let mut written = 0;
    let mut ended = 0;
    // The first call reads the text, the second one, with none, ends the last value.
    for text in [record, &[]] {
        let (_, _, bytes, fields) =
            reader.read_record(text, &mut values[written..], &mut ends[ended..]);
        written += bytes;
        ended += fields;
    }
    let mut start = 0;
    ends[..ended]
        .iter()
        .map(|&end| values[std::mem::replace(&mut start, end)..end].to_vec())
        .collect()
}

/// Writes the header line.
pub(crate) fn write_header(out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    writeln!(out, "{}", names.join(","))
}

/// Writes the tests of a run, a line each, as the C tool's `csv_printer`.
pub(crate) fn write_tests(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    for test in &run.tests {
        for (index, field) in Field::ALL.iter().enumerate() {
            out.write_all(if index > 0 { b",\"" } else { b"\"" })?;
            match field.get(test) {
                Value::Text(text) => {
                    for (index, part) in text.printed().split(|&byte| byte == b'"').enumerate() {
                        out.write_all(if index > 0 { b"\"\"" } else { b"" })?;
                        out.write_all(part)?;
                    }
                }
                value => write!(out, "{}", Printed(value, 6))?,
            }
            out.write_all(b"\"")?;
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

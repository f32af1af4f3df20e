//! The csv of LocalScore: a header line of field names, then a line per test, every value quoted.
//!
//! It does not contain the machine, the samples and the number of repetitions.

use std::io::{self, Write};

use super::grouping::Grouping;
use super::lexer::quoted;
use super::number::{self, Printed};
use super::{Document, Flaw, FlawKind};
use crate::model::{Draft, Field, Kind, NewValue, Run, Test, Value};

/// Whether a line is a header of results: it has both token counts, and a speed, which llama-bench
/// names differently.
#[must_use]
pub(crate) fn is_header(line: &[u8]) -> bool {
    delimiter(line).is_some()
}

/// The delimiter of a header; `None` if the line is not a header.
#[must_use]
pub(crate) fn delimiter(line: &[u8]) -> Option<u8> {
    // Fast: few other lines contain these names.
    let find = |name: &[u8]| memchr::memmem::find(line, name).is_some();
    if !(find(b"n_prompt") && find(b"n_gen") && find(b"_tps")) {
        return None;
    }
    // Spreadsheets write semicolons where the decimal separator is a comma.
    [b',', b';', b'\t'].into_iter().find(|&delimiter| {
        if count_values(line, delimiter) > MAX_COLUMNS {
            return false;
        }
        let columns = || line.split(move |&byte| byte == delimiter).map(column_name);
        let has = |name: &[u8]| columns().any(|column| column == name);
        // A header inside a json string has a quote somewhere.
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

/// Whether something that is not a column name, such as a time stamp or a colour, precedes the name
/// of a field.
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

/// The last character that may separate a field name from a log's prefix.
#[must_use]
pub(crate) fn last_separator(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|byte| b" \t|>:]".contains(byte))
}

fn field(name: &[u8]) -> Option<Field> {
    // Other clients use this name for the test's name.
    if name == b"test" {
        Some(Field::Name)
    } else {
        Field::from_name(name)
    }
}

/// The beginning of the header that LocalScore prints.
pub(crate) const OWN_HEADER: &[u8] = b"build_commit,build_number,model_name,";

/// A line with more values is refused.
const MAX_COLUMNS: usize = 1024;

/// Reads the records of a csv and groups them into runs. A table without rows is a run without
/// tests.
pub(crate) struct Reader {
    /// Created for the first row: it takes longer than to read a short table.
    splitter: Option<Box<csv_core::Reader>>,
    delimiter: u8,
    columns: Vec<Option<Field>>,
    pub grouping: Grouping,
    /// Whether there was an empty line: text that is not a row may follow it.
    pub interrupted: bool,
    /// Whether every value is in quotes, as LocalScore prints them: then every row begins with one.
    quoted: bool,
}

impl Reader {
    /// A reader for the table with this header line.
    #[must_use]
    pub(crate) fn new(header: &[u8]) -> Self {
        let delimiter = delimiter(header).unwrap_or(b',');
        let mut grouping = Grouping::default();
        let columns = header
            .split(|&byte| byte == delimiter)
            .map(|name| {
                let name = column_name(name);
                let field = field(name);
                // The index column of a data frame has an empty name.
                if field.is_none() && !name.is_empty() {
                    let name = String::from_utf8_lossy(name).into_owned();
                    grouping.unknown.push(name);
                }
                field
            })
            .collect();
        Self {
            splitter: None,
            delimiter,
            columns,
            grouping,
            interrupted: false,
            quoted: false,
        }
    }

    /// Whether a record is a row of this table, not another program's line or text after the table.
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
                values() > 1 && (values() == self.columns.len() || self.has_number(record) || opens)
            }
        }
    }

    /// Whether a record that is not a row contains one, such as after another program's text.
    #[must_use]
    pub(crate) fn contains_row(&self, record: &[u8]) -> bool {
        self.columns.len() > 2 && self.quotes(record) + 1 >= self.columns.len()
    }

    /// How often a quoted value follows another one.
    fn quotes(&self, record: &[u8]) -> usize {
        memchr::memmem::find_iter(record, &[b'"', self.delimiter, b'"']).count()
    }

    /// Whether one of the values is a number: then a record with too few values is an invalid row,
    /// not another program's line.
    fn has_number(&self, record: &[u8]) -> bool {
        let mut values = record.split(|&byte| byte == self.delimiter);
        values.any(|value| number::parse(value.trim_ascii()).is_some_and(f64::is_finite))
    }

    /// Adds the next record, with the end of its line, as [`Grouping::push`] does.
    pub(crate) fn push(&mut self, record: &[u8]) -> (Option<Document>, Result<(), Flaw>) {
        let test = self.test(record);
        match test {
            Err(flaw) if flaw.kind == FlawKind::Cut => return (None, Err(flaw)),
            Ok(_) if self.grouping.is_empty() => {
                self.quoted = self.quotes(record) + 1 >= self.columns.len();
            }
            _ => {}
        }
        self.grouping.push(test, record.len())
    }

    fn test(&mut self, record: &[u8]) -> Result<Test, Flaw> {
        let open_quote = memchr::memchr_iter(b'"', record).count() % 2 == 1;
        let most = count_values(record, self.delimiter);
        if most > MAX_COLUMNS {
            return Err(Flaw::new(0, format!("more than {MAX_COLUMNS} values")));
        }
        let delimiter = self.delimiter;
        let row = match delimiter {
            // An empty value may follow the last tab.
            b'\t' => trim_newline(record),
            _ => record.trim_ascii_end(),
        };
        let splitter = self.splitter.get_or_insert_with(|| {
            let builder = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
            Box::new(builder)
        });
        let values = split(splitter, row, delimiter);
        let ended = record.ends_with(b"\n");
        let short =
            values.len() < self.columns.len() && (!ended || row.last() == Some(&self.delimiter));
        // An unquoted number at the end of the text may be the beginning of a longer one.
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
                replace_decimal_comma(&mut value);
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

/// Replaces the decimal comma of a number by a point.
fn replace_decimal_comma(number: &mut [u8]) {
    let mut commas = number.iter_mut().filter(|byte| matches!(byte, b',' | b'.'));
    if let (Some(comma), None) = (commas.next(), commas.next()) {
        *comma = b'.';
    }
}

fn set(draft: &mut Draft, field: Field, value: Vec<u8>) -> Result<(), Flaw> {
    let kind = field.kind();
    let value = if kind == Kind::Text {
        // A model's strings may be empty; an empty test name is a missing one.
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

/// The number of values, or more if a delimiter is quoted.
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
    // The first call reads the text; the second one, without text, ends the last value.
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

/// Writes a line per test, as the C tool's `csv_printer`.
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

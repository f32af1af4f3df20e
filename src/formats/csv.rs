//! The csv of LocalScore: a header line of field names, then a line a test, every value quoted.
//!
//! It lacks the machine, the samples and the number of repetitions.

use std::collections::HashSet;
use std::io::{self, Write};

use super::lexer::quoted;
use super::number::{self, write_fixed};
use super::{Document, Flaw, FlawKind};
use crate::model::{BASELINE_TESTS, Draft, Field, Kind, Run, Source, Test, Text, Value};

/// Whether a line names the columns of results: it must have both token counts, and a speed, which
/// llama-bench calls otherwise.
#[must_use]
pub fn is_header(line: &[u8]) -> bool {
    // The names are rare enough in other text that the search for them settles nearly every line.
    let find = |name: &[u8]| memchr::memmem::find(line, name).is_some();
    find(b"n_prompt") && find(b"n_gen") && find(b"_tps") && count_values(line) <= MAX_COLUMNS && {
        let columns = split(&mut csv_core::Reader::new(), line);
        let has = |name: &[u8]| columns.iter().any(|column| column.trim_ascii() == name);
        has(b"n_prompt") && has(b"n_gen") && (has(b"prompt_tps") || has(b"gen_tps"))
    }
}

/// A line of more values than this is none of ours.
const MAX_COLUMNS: usize = 1024;

/// A run of more tests than this is none.
const MAX_TESTS: usize = 4096;

/// Puts the records of a csv together to runs.
///
/// A run ends where its tests begin again, that is with its first test or, after all nine, with any
/// that it has; and where the model changes. A table without rows is a run without tests.
#[derive(Debug, Default)]
pub struct Assembler {
    reader: Box<csv_core::Reader>,
    columns: Vec<Option<Field>>,
    unknown: Vec<String>,
    run: Run,
    /// The tests of the run by their place in the baseline, a bit each, and by name.
    baseline: u16,
    seen: HashSet<(i64, i64, Text)>,
    /// The first test of all: what every run is expected to begin with.
    lead: Option<(i64, i64, Text)>,
    /// Whether an empty line came: then text may follow that is no row.
    interrupted: bool,
    /// Whether the run has a bad row.
    poisoned: bool,
    found_any: bool,
}

impl Assembler {
    /// Begins with a header line.
    #[must_use]
    pub fn new(header: &[u8]) -> Self {
        let mut unknown = Vec::new();
        let mut reader = Box::new(csv_core::Reader::new());
        let columns = split(&mut reader, header)
            .iter()
            .map(|name| {
                let name = name.trim_ascii();
                // Other clients call the test's name so.
                let field = if name == b"test" {
                    Some(Field::Name)
                } else {
                    Field::from_name(name)
                };
                if field.is_none() {
                    unknown.push(String::from_utf8_lossy(name).into_owned());
                }
                field
            })
            .collect();
        Self {
            reader,
            columns,
            unknown,
            ..Self::default()
        }
    }

    /// Whether a record is a row of this table, rather than what follows it.
    #[must_use]
    pub fn fits(&self, record: &[u8]) -> bool {
        match record.first() {
            None | Some(b'#' | b'{') => false,
            Some(b'"') => true,
            Some(_) if is_header(record) => false,
            Some(_) if self.interrupted => count_values(record) == self.columns.len(),
            Some(_) => memchr::memchr(b',', record).is_some(),
        }
    }

    /// How many tests the run has so far.
    #[must_use]
    pub fn tests(&self) -> usize {
        self.run.tests.len()
    }

    /// Whether an empty line came.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Whether there was only a header.
    #[must_use]
    pub fn has_no_rows(&self) -> bool {
        !self.found_any && self.run.tests.is_empty()
    }

    /// Takes note of an empty line.
    pub fn blank_line(&mut self) {
        self.interrupted = true;
    }

    /// Takes the next record, with the end of its line; returns the run before it if this one begins another.
    ///
    /// A bad record makes its whole run bad: the rest of that run is passed over. After all nine
    /// tests it belongs to the next one.
    pub fn push(&mut self, record: &[u8]) -> (Option<Document>, Result<(), Flaw>) {
        let test = self.test(record).and_then(|test| {
            if self.run.tests.len() < MAX_TESTS || self.poisoned {
                Ok(test)
            } else {
                Err(Flaw::new(
                    0,
                    format!("a run of more than {MAX_TESTS} tests"),
                ))
            }
        });
        let test = match test {
            Ok(test) => test,
            Err(flaw) if flaw.kind == FlawKind::Cut => return (None, Err(flaw)),
            Err(flaw) => {
                let done = if self.is_complete() {
                    self.next_run()
                } else {
                    None
                };
                self.found_any = true;
                // One complaint a run is enough.
                let known = std::mem::replace(&mut self.poisoned, true);
                return (done, if known { Ok(()) } else { Err(flaw) });
            }
        };
        let done = if self.begins_a_run(&test) {
            self.next_run()
        } else {
            None
        };
        let key = key(&test);
        self.lead.get_or_insert_with(|| key.clone());
        self.baseline |= place(&test).map_or(0, |place| 1 << place);
        self.seen.insert(key);
        if self.poisoned {
            self.run.tests.truncate(1);
        }
        self.run.tests.push(test);
        (done, Ok(()))
    }

    /// Ends the table: the last run, if there is a good one.
    pub fn finish(&mut self) -> Option<Document> {
        if !self.has_no_rows() {
            return self.next_run();
        }
        Some(self.document(Run::default()))
    }

    fn next_run(&mut self) -> Option<Document> {
        let run = std::mem::take(&mut self.run);
        let good = !std::mem::take(&mut self.poisoned) && !run.tests.is_empty();
        self.baseline = 0;
        self.seen.clear();
        self.found_any = true;
        good.then(|| self.document(run))
    }

    fn is_complete(&self) -> bool {
        self.baseline.count_ones() as usize == BASELINE_TESTS.len()
    }

    fn document(&self, run: Run) -> Document {
        Document {
            run: Run {
                source: Source::Csv,
                ..run
            },
            unknown: self.unknown.clone(),
        }
    }

    fn begins_a_run(&self, test: &Test) -> bool {
        let Some(first) = self.run.tests.first() else {
            return false;
        };
        let key = key(test);
        if what(first) != what(test) {
            return true;
        }
        if self.poisoned {
            // Its first row may be the bad one, so more is taken for a sign.
            let highest = u16::BITS - self.baseline.leading_zeros();
            let starts_over = place(test).is_some_and(|place| place < highest as usize);
            return starts_over || self.lead.as_ref() == Some(&key) || self.seen.contains(&key);
        }
        (first.n_prompt, first.n_gen, &first.name) == (key.0, key.1, &key.2)
            || (self.is_complete() && self.seen.contains(&key))
    }

    fn test(&mut self, record: &[u8]) -> Result<Test, Flaw> {
        let open_quote = memchr::memchr_iter(b'"', record).count() % 2 == 1;
        let most = count_values(record);
        if most > MAX_COLUMNS {
            return Err(Flaw::new(0, format!("more than {MAX_COLUMNS} values")));
        }
        let values = split(&mut self.reader, record.trim_ascii_end());
        let ended = record.ends_with(b"\n");
        let short = values.len() < self.columns.len()
            && (!ended || record.trim_ascii_end().ends_with(b","));
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
        for (field, value) in self.columns.iter().zip(values) {
            if let Some(field) = *field {
                set(&mut draft, field, value)?;
            }
        }
        draft
            .build()
            .map_err(|field| Flaw::new(0, format!("no \"{}\" in this row", field.name())))
    }
}

fn key(test: &Test) -> (i64, i64, Text) {
    (test.n_prompt, test.n_gen, test.name.clone())
}

/// The place of the test in the baseline.
fn place(test: &Test) -> Option<usize> {
    let tokens = (test.n_prompt, test.n_gen);
    BASELINE_TESTS
        .iter()
        .position(|&baseline| baseline == tokens)
}

/// What all tests of a run have in common, by the rule of the site.
fn what(test: &Test) -> (Option<&Text>, Option<&Text>, Option<u64>) {
    let model = &test.model;
    (
        model.model_name.as_ref(),
        model.model_quant_str.as_ref(),
        model.model_n_params,
    )
}

fn set(draft: &mut Draft, field: Field, value: Vec<u8>) -> Result<(), Flaw> {
    if field.kind() == Kind::Text {
        // Only a model's strings may be empty; a test without a name has none.
        let missing = field == Field::Name && value.is_empty();
        draft.set_text(field, (!missing).then(|| value.into()));
        return Ok(());
    }
    let text = value.trim_ascii();
    if text.is_empty() {
        return Ok(());
    }
    let wrong = |wanted: &str| {
        Flaw::new(
            0,
            format!("\"{}\" is {}, not {wanted}", field.name(), quoted(text)),
        )
    };
    if field.kind() == Kind::Number {
        draft.set_number(
            field,
            Some(number::parse(text).ok_or_else(|| wrong("a number"))?),
        );
        return Ok(());
    }
    let integer = number::parse_integer(text).ok_or_else(|| wrong("an integer"))?;
    if draft.set_integer(field, Some(integer)) {
        Ok(())
    } else {
        Err(Flaw::new(
            0,
            format!("\"{}\" is out of range: {integer}", field.name()),
        ))
    }
}

/// The number of values, if no comma is quoted; else there are fewer.
fn count_values(record: &[u8]) -> usize {
    memchr::memchr_iter(b',', record).count() + 1
}

/// The values of one record.
fn split(reader: &mut csv_core::Reader, record: &[u8]) -> Vec<Vec<u8>> {
    reader.reset();
    let mut values = vec![0; record.len()];
    let mut ends = vec![0; count_values(record)];
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
pub fn write_header(out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    writeln!(out, "{}", names.join(","))
}

/// Writes the tests of a run, a line each, as the C tool's `csv_printer`.
pub fn write_tests(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    for test in &run.tests {
        for (index, field) in Field::ALL.iter().enumerate() {
            out.write_all(if index > 0 { b",\"" } else { b"\"" })?;
            match field.get(test) {
                Value::Missing => {}
                Value::Text(text) => {
                    for (index, part) in text.printed().split(|&byte| byte == b'"').enumerate() {
                        out.write_all(if index > 0 { b"\"\"" } else { b"" })?;
                        out.write_all(part)?;
                    }
                }
                Value::Integer(value) => write!(out, "{value}")?,
                Value::Unsigned(value) => write!(out, "{value}")?,
                Value::Number(value) => write_fixed(out, value, 6)?,
            }
            out.write_all(b"\"")?;
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

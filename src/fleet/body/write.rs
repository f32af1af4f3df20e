//! Writing a body.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;

use base64::Engine;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    BENCH, MOST_JSON, ROW, RUN, names, not_one, result, test_names, text_value, too_large,
};
use crate::fleet::hrana::BASE64;
use crate::formats::grouping::MAX_TESTS;
use crate::model::bench::{IDENTITY, RESULTS, Row, Schema, Settings};
use crate::model::{Environment, Field, HeaderField, Test, Text, Value};
use crate::store::foreign::{BenchRun, Foreign};
use crate::store::members::More;
use crate::store::{Dated, ForeignRun, Measured};

/// How hard miniz tries, of 10; more makes a run no smaller.
const LEVEL: i32 = 4;

/// A run as it travels.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The JSON, deflated, as zlib writes it.
    pub(crate) body: Vec<u8>,
    /// A hash of the JSON without what only the first machine decides: when the run was added, a
    /// guessed date, its place in its document.
    pub(crate) digest: [u8; 8],
}

/// The body of a run. An error in words for one that is too large or has too many tests.
pub(crate) fn encode(foreign: &mut Foreign) -> Result<Encoded, String> {
    let mut writer = Writer {
        json: Vec::with_capacity(8 << 10),
    };
    let digested = match foreign {
        // What nobody could read.
        Foreign::Run(foreign) if foreign.dated.run.tests.len() > MAX_TESTS => {
            return Err(format!("it has more than {MAX_TESTS} tests"));
        }
        Foreign::Run(foreign) => writer.run(foreign),
        Foreign::Bench(bench) => writer.bench(bench)?,
    };
    let json = writer.json;
    if json.len() > MOST_JSON {
        return Err(too_large());
    }
    Ok(Encoded {
        body: deflate(&json)?,
        digest: xxh3_64(&json[..digested]).to_be_bytes(),
    })
}

/// Deflates as zlib does.
fn deflate(json: &[u8]) -> Result<Vec<u8>, String> {
    thread_local! {
        // Its tables are larger than most runs: making them takes longer than to deflate one.
        static COMPRESSOR: RefCell<Box<CompressorOxide>> =
            RefCell::new(Box::new(CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, 1, 0))));
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        // Enough for a text that cannot be made smaller.
        let mut body = vec![0; json.len() + json.len() / 64 + 64];
        let (status, _, len) = compress(compressor, json, &mut body, TDEFLFlush::Finish);
        if status != TDEFLStatus::Done {
            return Err("it cannot be deflated".to_owned());
        }
        body.truncate(len);
        body.shrink_to_fit();
        Ok(body)
    })
}

/// Writes the JSON.
pub(super) struct Writer {
    pub(super) json: Vec<u8>,
}

impl Writer {
    pub(super) fn raw(&mut self, text: &str) {
        self.json.extend_from_slice(text.as_bytes());
    }

    /// Writes a comma unless this is the first in its object or array.
    fn comma(&mut self) {
        if !matches!(self.json.last(), None | Some(b'{' | b'[' | b':')) {
            self.json.push(b',');
        }
    }

    /// Begins a member; names are plain.
    fn key(&mut self, name: &str) {
        self.comma();
        self.raw("\"");
        self.raw(name);
        self.raw("\":");
    }

    fn integer(&mut self, integer: impl Into<i128>) {
        let integer: i128 = integer.into();
        // Writing to memory cannot fail.
        let _ = if i64::try_from(integer).is_ok() {
            write!(self.json, "{integer}")
        } else {
            write!(self.json, "\"{integer}\"")
        };
    }

    pub(super) fn number(&mut self, number: f64) {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        let size = number.abs();
        // Writing to memory cannot fail.
        let _ = if number.is_nan() {
            write!(self.json, "\"{sign}nan\"")
        } else if number.is_infinite() {
            write!(self.json, "\"{sign}inf\"")
        } else if number == 0.0 && number.is_sign_negative() {
            write!(self.json, "\"-0.0\"")
        } else if size == 0.0 || (1e-7..1e21).contains(&size) {
            write!(self.json, "{number}")
        } else {
            write!(self.json, "{number:e}")
        };
    }

    fn text(&mut self, text: &Text) {
        if let Ok(text) = std::str::from_utf8(text.as_bytes()) {
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut self.json, text);
        } else {
            self.raw("{\"base64\":\"");
            self.raw(&BASE64.encode(text.as_bytes()));
            self.raw("\"}");
        }
    }

    fn value(&mut self, name: &str, value: Value<'_>) {
        if value == Value::Missing {
            return;
        }
        self.key(name);
        match value {
            Value::Missing => {}
            Value::Text(text) => self.text(text),
            Value::Integer(integer) => self.integer(integer),
            Value::Unsigned(integer) => self.integer(integer),
            Value::Number(number) => self.number(number),
        }
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.raw("[");
        for one in items {
            self.comma();
            item(self, one);
        }
        self.raw("]");
    }

    /// Writes what is kept of an object at its end, but for what an older program has kept and this one
    /// writes by itself: members of these names.
    fn more(&mut self, more: &More, object: impl FnOnce() -> String, known: &[&str]) {
        if more.is_empty() {
            return;
        }
        for (name, value) in more.of(&object()) {
            if !known.contains(&name.as_str()) {
                self.key(name);
                self.raw(value);
            }
        }
    }

    /// Writes the objects of the header with the fields that are wanted.
    fn header(
        &mut self,
        environment: &Environment,
        more: &More,
        is_wanted: impl Fn(HeaderField) -> bool,
    ) {
        for (name, fields) in HeaderField::OBJECTS {
            self.key(name);
            self.raw("{");
            for &field in fields.iter().filter(|field| is_wanted(**field)) {
                self.value(field.name(), field.get(environment));
            }
            self.more(more, || name.to_owned(), &names(fields, HeaderField::name));
            self.raw("}");
        }
    }

    /// Writes the end of the outermost object, but for what only the first machine decides; gives
    /// the length up to there.
    fn end(
        &mut self,
        told: Option<Measured>,
        measured: Measured,
        more: &More,
        known: &[&str],
    ) -> usize {
        let is_known = told.is_none() && !measured.is_guessed;
        if is_known {
            self.key("measured_at");
            self.integer(measured.at);
        }
        self.more(more, String::new, known);
        let digested = self.json.len();
        if told.is_none() && measured.is_guessed {
            self.key("measured_guess");
            self.integer(measured.at);
        }
        digested
    }

    fn run(&mut self, foreign: &ForeignRun) -> usize {
        let Dated { run, measured } = &foreign.dated;
        let more = &foreign.more;
        self.raw("{");
        self.header(&run.environment, more, |_| true);
        self.key("results");
        let known = test_names();
        self.list(run.tests.iter().enumerate(), |writer, (index, test)| {
            writer.test(test);
            writer.more(more, || result(index), &known);
            writer.raw("}");
        });
        let digested = self.end(Measured::told_by(run), *measured, more, &RUN);
        self.key("added_at");
        self.text(&foreign.created_at.as_str().into());
        self.raw("}");
        digested
    }

    /// Writes a test without the end of its object.
    fn test(&mut self, test: &Test) {
        self.raw("{");
        for field in Field::ALL {
            self.value(field.name(), field.get(test));
        }
        self.samples(test.samples_ns.as_deref());
        self.value("reps", test.reps.map_or(Value::Missing, Value::Unsigned));
    }

    fn samples(&mut self, samples: Option<&[u64]>) {
        if let Some(samples) = samples {
            self.key("samples_ns");
            self.list(samples, |writer, &sample| writer.integer(sample));
        }
    }

    fn bench(&mut self, bench: &mut BenchRun) -> Result<usize, String> {
        let part = &mut bench.part;
        let more = &part.more;
        let [run] = part.document.runs.as_slice() else {
            return Err(not_one(part.document.runs.len()));
        };
        let (identity, tells_bytes) = (Arc::clone(&run.identity), run.tells_bytes);
        let (told, tests) = (Measured::told(run.test_time.as_ref()), run.tests);
        self.raw("{");
        // What the identity tells need not be told twice.
        let known = identity.run(part.document.source).environment;
        self.header(&part.machine, more, |field| {
            field.get(&known) != field.get(&part.machine)
        });
        self.key("identity");
        self.raw("{");
        for (name, value) in IDENTITY.iter().zip(&identity.values) {
            self.value(name, text_value(value.as_ref()));
        }
        self.more(more, || "identity".to_owned(), &IDENTITY);
        self.raw("}");
        let mut schemas: Vec<&Schema> = Vec::new();
        let settings = part.document.settings.iter().map(|settings| {
            let schema = &*settings.schema;
            let place = schemas.iter().position(|other| *other == schema);
            let place = place.unwrap_or_else(|| {
                schemas.push(schema);
                schemas.len() - 1
            });
            (place, settings)
        });
        let settings: Vec<(usize, &Arc<Settings>)> = settings.collect();
        self.key("schemas");
        self.list(schemas, Self::schema);
        self.key("settings");
        self.list(settings, |writer, (schema, settings)| {
            writer.list([()], |writer, ()| {
                writer.integer(schema as u64);
                for value in &settings.values {
                    writer.comma();
                    match value {
                        Some(text) => writer.text(text),
                        None => writer.raw("null"),
                    }
                }
            });
        });
        self.key("results");
        self.raw("[");
        let mut index = 0;
        part.document
            .each_row(|row| {
                self.comma();
                self.row(&row);
                self.more(more, || result(index), &ROW);
                self.raw("}");
                index += 1;
                if self.json.len() > MOST_JSON {
                    return Err(base::Error::new("a run", too_large()));
                }
                Ok(())
            })
            .map_err(|error| {
                if self.json.len() > MOST_JSON {
                    too_large()
                } else {
                    error.to_string()
                }
            })?;
        self.raw("]");
        if tells_bytes {
            self.key("tells_bytes");
            self.raw("true");
        }
        if let Some(table) = &part.table {
            self.key("table");
            self.schema(table);
        }
        let digested = self.end(told, part.measured, more, &BENCH);
        if let Some(added_at) = &part.added_at {
            self.key("added_at");
            self.text(&added_at.as_str().into());
        }
        if let Some(document) = bench.document {
            self.key("document");
            let _ = write!(self.json, "\"{:032x}\"", u128::from_be_bytes(document));
        }
        if !part.positions.iter().copied().eq(0..tests.cast_signed()) {
            self.key("positions");
            self.list(&part.positions, |writer, &position| {
                writer.integer(position);
            });
        }
        self.raw("}");
        Ok(digested)
    }

    fn schema(&mut self, schema: &Schema) {
        self.raw("{");
        if let Some(table) = schema.table() {
            self.key("sql_table");
            self.text(table);
        }
        self.key("fields");
        self.list(schema.columns(), |writer, column| {
            writer.raw("[");
            writer.text(&column.name);
            writer.raw(",\"");
            writer.raw(column.kind.name());
            writer.raw("\"");
            if let Some((width, is_left)) = column.width {
                let _ = write!(writer.json, ",{width},{is_left}");
            }
            writer.raw("]");
        });
        self.raw("}");
    }

    /// Writes a test of llama-bench without the end of its object.
    fn row(&mut self, row: &Row) {
        self.raw("{");
        self.key("settings");
        self.integer(row.settings as u64);
        self.value("n_prompt", Value::Integer(row.n_prompt));
        self.value("n_gen", Value::Integer(row.n_gen));
        let depth = row.n_depth.map_or(Value::Missing, Value::Integer);
        self.value("n_depth", depth);
        for (name, value) in RESULTS.iter().zip(&row.results) {
            self.value(name, text_value(value.as_ref()));
        }
        self.samples(row.samples.ns.as_deref());
        self.value("samples_ts", text_value(row.samples.ts.as_ref()));
    }
}

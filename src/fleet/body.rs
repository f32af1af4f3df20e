//! A run as a body: deflated JSON with the names of `json`, from which it comes back without loss.
//!
//! A value that is missing is a member that is absent. Strings stand for what JSON has no numbers for
//! (nan, inf, -0.0) or what its readers round (integers beyond 2^63 - 1), and `{"base64": …}` for a
//! text that is not UTF-8. The tests of llama-bench are rows, whose fields and settings are listed
//! once.
//!
//! The text is the same on every machine that has the run: members stand in one order, and behind all
//! others those that only the first machine decides, which are not in the digest. A later program may
//! add members at the end of an object, in the outermost one before those; a program that does not
//! know them keeps them as [`More`].

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use base64::Engine;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};
use xxhash_rust::xxh3::xxh3_64;

use super::hrana::BASE64;
use crate::formats::Flaw;
use crate::formats::grouping::MAX_TESTS;
use crate::formats::lexer::{Lexer, Next};
use crate::model::bench::{
    Builder, Column, IDENTITY, Identity, Kind as FieldKind, RESULTS, Refusal, Row, Samples, Schema,
    Settings,
};
use crate::model::{
    Environment, Field, HeaderField, Kind, NewValue, Run, Source, Test, Text, Tool, Value,
};
use crate::store::foreign::{BenchRun, Foreign, MOST_FIELDS, Part};
use crate::store::members::{More, check_json};
use crate::store::{Dated, ForeignRun, Measured};

/// The number of what is described here; another one is not read.
pub(crate) const FORMAT: i64 = 1;

/// The most bytes of a body's JSON.
pub(crate) const MOST_JSON: usize = 8 << 20;

/// The most samples of a run.
const MOST_SAMPLES: usize = 1_000_000;

/// The most values of all rows of llama-bench, counted with those that are listed once.
const MOST_VALUES: usize = 8 << 20;

/// How hard miniz tries, of 10; more makes a run no smaller.
const LEVEL: i32 = 4;

/// A run as it travels.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The size of the JSON in bytes.
    pub(crate) json_len: usize,
    /// The JSON, deflated, as zlib writes it.
    pub(crate) body: Vec<u8>,
    /// A hash of the JSON without what only the first machine decides: when the run was added, a
    /// guessed date, its place in its document.
    pub(crate) digest: [u8; 8],
}

/// The body of a run. An error in words for one that is too large.
pub(crate) fn encode(foreign: &mut Foreign) -> Result<Encoded, String> {
    let mut writer = Writer {
        json: Vec::with_capacity(8 << 10),
    };
    let digested = match foreign {
        Foreign::Run(foreign) => writer.run(foreign),
        Foreign::Bench(bench) => writer.bench(bench)?,
    };
    let json = writer.json;
    if json.len() > MOST_JSON {
        return Err(too_large());
    }
    Ok(Encoded {
        json_len: json.len(),
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

fn too_large() -> String {
    format!("it is larger than {} MiB", MOST_JSON >> 20)
}

/// Writes the JSON.
struct Writer {
    json: Vec<u8>,
}

impl Writer {
    fn raw(&mut self, text: &str) {
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

    fn number(&mut self, number: f64) {
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

/// The members of the outermost object of a run of LocalScore.
const RUN: [&str; 7] = [
    "runtime_info",
    "system_info",
    "accelerator_info",
    "results",
    "measured_at",
    "measured_guess",
    "added_at",
];

/// The members of the outermost object of a run of llama-bench.
const BENCH: [&str; 14] = [
    "runtime_info",
    "system_info",
    "accelerator_info",
    "identity",
    "schemas",
    "settings",
    "results",
    "tells_bytes",
    "table",
    "measured_at",
    "measured_guess",
    "added_at",
    "document",
    "positions",
];

/// The members of a test of llama-bench.
const ROW: [&str; 11] = [
    "settings",
    "n_prompt",
    "n_gen",
    "n_depth",
    RESULTS[0],
    RESULTS[1],
    RESULTS[2],
    RESULTS[3],
    RESULTS[4],
    "samples_ns",
    "samples_ts",
];

/// The members of a test of LocalScore: the fields in their order, and those behind them.
fn test_names() -> Vec<&'static str> {
    let mut all = names(Field::ALL, Field::name);
    all.extend(["samples_ns", "reps"]);
    all
}

fn names<F: Copy>(fields: &[F], name: impl Fn(F) -> &'static str) -> Vec<&'static str> {
    fields.iter().map(|field| name(*field)).collect()
}

fn text_value(text: Option<&Text>) -> Value<'_> {
    text.map_or(Value::Missing, Value::Text)
}

/// The name of a test in messages and in [`More`].
fn result(index: usize) -> String {
    format!("results[{index}]")
}

fn not_one(runs: usize) -> String {
    format!("its tests are those of {runs} runs")
}

/// The run of a body. It has neither tags nor a submission. An error in words for a body that no run
/// has.
pub(crate) fn decode(tool: Tool, source: Source, body: &[u8]) -> Result<Foreign, String> {
    let json = decompress_to_vec_zlib_with_limit(body, MOST_JSON);
    let json = json.map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => too_large(),
        _ => "it cannot be inflated".to_owned(),
    })?;
    let text = std::str::from_utf8(&json).map_err(|_| "not UTF-8".to_owned())?;
    check_json(text)?;
    let mut reader = Reader {
        text,
        lexer: Lexer::new(text.as_bytes()),
        more: More::default(),
        samples: 0,
    };
    let foreign = match tool {
        Tool::LocalScore => reader.run(source).map(Foreign::Run),
        Tool::LlamaBench => reader.bench(source).map(Foreign::Bench),
    };
    foreign.map_err(|flaw| flaw.why)
}

/// A member, for messages.
#[derive(Clone, Copy)]
struct At<'a>(&'a str, &'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            At("", name) => f.write_str(name),
            At(object, "") => f.write_str(object),
            At(object, name) => write!(f, "{object}.{name}"),
        }
    }
}

impl At<'_> {
    fn flaw(&self, why: &str) -> Flaw {
        let why = match *self {
            At("", "") => why.to_owned(),
            _ => format!("{self}: {why}"),
        };
        Flaw::new(0, why)
    }
}

/// Reads the JSON, which has been checked to be such.
struct Reader<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    more: More,
    samples: usize,
}

impl Reader<'_> {
    /// Reads an object of these members, each of which `member` must read, by its place; the others
    /// are kept. Gives which were there.
    fn object(
        &mut self,
        object: At<'_>,
        names: &[&str],
        mut member: impl FnMut(&mut Self, usize) -> Result<(), Flaw>,
    ) -> Result<u64, Flaw> {
        if self.lexer.next()? != Next::Object {
            return Err(object.flaw("not an object"));
        }
        let object = object.to_string();
        let mut seen = 0;
        let mut next = 0;
        self.lexer.expect(b'{')?;
        if self.lexer.take(b'}') {
            return Ok(0);
        }
        loop {
            let key = self.lexer.string()?;
            self.lexer.expect(b':')?;
            let is_it = |place: &usize| names[*place].as_bytes() == &*key.value;
            // Most stand in their order.
            let place = (next..names.len()).chain(0..next).find(is_it);
            match place {
                Some(place) if seen & 1 << place != 0 => {
                    return Err(At(&object, names[place]).flaw("is there twice"));
                }
                Some(place) => {
                    seen |= 1 << place;
                    next = place + 1;
                    member(self, place)?;
                }
                None => self
                    .more
                    .keep(self.text, &mut self.lexer, &object, key.raw)?,
            }
            if !self.lexer.take(b',') {
                self.lexer.expect(b'}')?;
                return Ok(seen);
            }
        }
    }

    /// Reads an array, each item of which `item` must read.
    fn array(
        &mut self,
        at: &At<'_>,
        mut item: impl FnMut(&mut Self) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        if self.lexer.next()? != Next::Array {
            return Err(at.flaw("not an array"));
        }
        self.lexer.expect(b'[')?;
        if self.lexer.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.lexer.take(b',') {
                return self.lexer.expect(b']');
            }
        }
    }

    fn text(&mut self, at: &At<'_>) -> Result<Text, Flaw> {
        match self.lexer.next()? {
            Next::String => Ok(self.lexer.string()?.value.into_owned().into()),
            Next::Object => {
                let mut bytes = None;
                let name = at.to_string();
                self.object(At(&name, ""), &["base64"], |reader, _| {
                    if reader.lexer.next()? == Next::String {
                        bytes = BASE64.decode(&reader.lexer.string()?.value).ok();
                        return Ok(());
                    }
                    reader.lexer.skip()
                })?;
                bytes
                    .map(Text::from)
                    .ok_or_else(|| at.flaw("not a text in base64"))
            }
            _ => Err(at.flaw("not a text")),
        }
    }

    fn number(&mut self, at: &At<'_>) -> Result<f64, Flaw> {
        let number = match self.lexer.next()? {
            Next::Number => Some(self.lexer.number()?),
            Next::String => match &*self.lexer.string()?.value {
                b"nan" => Some(f64::NAN.copysign(1.0)),
                b"-nan" => Some(f64::NAN.copysign(-1.0)),
                b"inf" => Some(f64::INFINITY),
                b"-inf" => Some(f64::NEG_INFINITY),
                b"-0.0" => Some(-0.0),
                _ => None,
            },
            _ => None,
        };
        number.ok_or_else(|| at.flaw("not a number"))
    }

    fn integer<T: TryFrom<i128>>(&mut self, at: &At<'_>) -> Result<T, Flaw> {
        let integer = match self.lexer.next()? {
            Next::Number => self.lexer.integer().ok(),
            Next::String => {
                let digits = self.lexer.string()?.value;
                std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|digits| digits.parse().ok())
            }
            _ => None,
        };
        let integer = integer.ok_or_else(|| at.flaw("not an integer"))?;
        T::try_from(integer).map_err(|_| at.flaw("out of range"))
    }

    fn samples(&mut self, at: &At<'_>) -> Result<Vec<u64>, Flaw> {
        let mut samples = Vec::new();
        self.array(at, |reader| {
            reader.samples += 1;
            if reader.samples > MOST_SAMPLES {
                return Err(at.flaw(&format!("more than {MOST_SAMPLES} samples in a run")));
            }
            samples.push(reader.integer(at)?);
            Ok(())
        })?;
        Ok(samples)
    }

    /// Reads an object of the header.
    fn header(
        &mut self,
        (name, fields): (&str, &[HeaderField]),
        environment: &mut Environment,
    ) -> Result<(), Flaw> {
        let names = names(fields, HeaderField::name);
        self.object(At("", name), &names, |reader, place| {
            let at = At(name, names[place]);
            let value = match fields[place].kind() {
                Kind::Text => NewValue::Text(reader.text(&at)?),
                _ => NewValue::Number(reader.number(&at)?),
            };
            fields[place].set(environment, Some(value));
            Ok(())
        })?;
        Ok(())
    }

    /// When a run was added.
    fn added_at(&mut self) -> Result<String, Flaw> {
        let at = At("", "added_at");
        let text = self.text(&at)?.to_utf8().into_owned();
        let is_date = text.len() == 19 && text.parse::<jiff::civil::DateTime>().is_ok();
        if is_date && text.as_bytes()[10] == b' ' {
            Ok(text)
        } else {
            Err(at.flaw("not a date"))
        }
    }

    fn run(&mut self, source: Source) -> Result<ForeignRun, Flaw> {
        let mut run = Run {
            source,
            ..Run::default()
        };
        let mut measured = None;
        let mut added_at = None;
        let names = test_names();
        let seen = self.object(At("", ""), &RUN, |reader, place| {
            match place {
                0..3 => reader.header(HeaderField::OBJECTS[place], &mut run.environment)?,
                3 => reader.array(&At("", RUN[3]), |reader| {
                    if run.tests.len() >= MAX_TESTS {
                        let why = format!("more than {MAX_TESTS} tests");
                        return Err(At("", RUN[3]).flaw(&why));
                    }
                    run.tests.push(reader.test(run.tests.len(), &names)?);
                    Ok(())
                })?,
                4 => measured = Some(Measured::known(reader.integer(&At("", RUN[4]))?)),
                5 => measured = Some(Measured::guessed(reader.integer(&At("", RUN[5]))?)),
                _ => added_at = Some(reader.added_at()?),
            }
            Ok(())
        })?;
        if seen & 0b1000 == 0 {
            return Err(missing(RUN[3]));
        }
        let measured = Measured::told_by(&run).or(measured);
        Ok(ForeignRun {
            dated: Dated {
                run,
                measured: measured.ok_or_else(|| missing(RUN[4]))?,
            },
            created_at: added_at.ok_or_else(|| missing(RUN[6]))?,
            tags: Vec::new(),
            submission: None,
            more: std::mem::take(&mut self.more),
        })
    }

    fn test(&mut self, index: usize, names: &[&str]) -> Result<Test, Flaw> {
        let object = result(index);
        let mut test = Test::default();
        let seen = self.object(At(&object, ""), names, |reader, place| {
            let at = At(&object, names[place]);
            let Some(field) = Field::ALL.get(place) else {
                if names[place] == "reps" {
                    test.reps = Some(reader.integer(&at)?);
                } else {
                    test.samples_ns = Some(reader.samples(&at)?);
                }
                return Ok(());
            };
            let value = match field.kind() {
                Kind::Text => NewValue::Text(reader.text(&at)?),
                Kind::Number => NewValue::Number(reader.number(&at)?),
                Kind::Integer | Kind::Unsigned => NewValue::Integer(reader.integer(&at)?),
            };
            if field.set(&mut test, Some(value)) {
                Ok(())
            } else {
                Err(at.flaw("out of range"))
            }
        })?;
        for field in [Field::Name, Field::NPrompt, Field::NGen] {
            if seen & 1 << field as u64 == 0 {
                return Err(At(&object, field.name()).flaw("is missing"));
            }
        }
        Ok(test)
    }

    fn bench(&mut self, source: Source) -> Result<BenchRun, Flaw> {
        let mut machine = Environment::default();
        let mut identity = Identity::default();
        let mut schemas: Vec<Arc<Schema>> = Vec::new();
        let mut settings: Vec<Settings> = Vec::new();
        let mut rows = Vec::new();
        let mut tells_bytes = false;
        let mut table = None;
        let mut measured = None;
        let mut added_at = None;
        let mut document = None;
        let mut positions: Option<Vec<i64>> = None;
        self.object(At("", ""), &BENCH, |reader, place| {
            let at = At("", BENCH[place]);
            match BENCH[place] {
                "identity" => {
                    reader.object(at, &IDENTITY, |reader, place| {
                        let at = At("identity", IDENTITY[place]);
                        identity.values[place] = Some(reader.text(&at)?);
                        Ok(())
                    })?;
                }
                "schemas" => reader.array(&at, |reader| {
                    schemas.push(Arc::new(reader.schema(&At("", "schemas"))?));
                    Ok(())
                })?,
                "settings" => reader.array(&at, |reader| {
                    settings.push(reader.settings(&schemas)?);
                    Ok(())
                })?,
                "results" => reader.array(&at, |reader| {
                    rows.push(reader.row(rows.len())?);
                    Ok(())
                })?,
                "tells_bytes" => {
                    tells_bytes = reader.lexer.peek() == Some(b't');
                    if reader.lexer.next()? != Next::Bool {
                        return Err(at.flaw("neither true nor false"));
                    }
                    reader.lexer.skip()?;
                }
                "table" => table = Some(Arc::new(reader.schema(&at)?)),
                "measured_at" => measured = Some(Measured::known(reader.integer(&at)?)),
                "measured_guess" => measured = Some(Measured::guessed(reader.integer(&at)?)),
                "added_at" => added_at = Some(reader.added_at()?),
                "document" => {
                    let text = reader.text(&at)?;
                    let key = std::str::from_utf8(text.as_bytes()).ok();
                    let key = key.filter(|key| key.len() == 32);
                    let key = key.and_then(|key| u128::from_str_radix(key, 16).ok());
                    let key = key.ok_or_else(|| at.flaw("not a fingerprint"))?;
                    document = Some(key.to_be_bytes());
                }
                "positions" => reader.array(&at, |reader| {
                    let positions = positions.get_or_insert_default();
                    let position = reader.integer(&at)?;
                    if position < 0 || positions.last().is_some_and(|last| position <= *last) {
                        return Err(at.flaw("not in order"));
                    }
                    positions.push(position);
                    Ok(())
                })?,
                _ => reader.header(HeaderField::OBJECTS[place], &mut machine)?,
            }
            Ok(())
        })?;
        let rows_len = rows.len();
        let positions = positions.unwrap_or_else(|| (0..rows_len.cast_signed() as i64).collect());
        if positions.len() != rows_len {
            return Err(At("", "positions").flaw("not as many as there are tests"));
        }
        let mut part = part(source, &identity, &settings, rows)?;
        part.document.runs[0].tells_bytes = tells_bytes;
        let told = Measured::told(part.document.runs[0].test_time.as_ref());
        part.measured = told.or(measured).ok_or_else(|| missing("measured_at"))?;
        part.machine = machine;
        part.positions = positions;
        part.added_at = Some(added_at.ok_or_else(|| missing("added_at"))?);
        part.table = table;
        part.more = std::mem::take(&mut self.more);
        Ok(BenchRun { part, document })
    }

    fn schema(&mut self, at: &At<'_>) -> Result<Schema, Flaw> {
        let mut sql_table = None;
        let mut columns = Vec::new();
        let name = at.to_string();
        self.object(At("", &name), &["sql_table", "fields"], |reader, place| {
            if place == 0 {
                sql_table = Some(reader.text(&At(&name, "sql_table"))?);
                return Ok(());
            }
            let at = At(&name, "fields");
            reader.array(&at, |reader| {
                if columns.len() >= MOST_FIELDS {
                    return Err(at.flaw(&format!("more than {MOST_FIELDS}")));
                }
                columns.push(reader.column(&at)?);
                Ok(())
            })
        })?;
        Ok(Schema::new(columns, sql_table))
    }

    /// A field: its name and kind, in a table the width, and whether values stand at the left.
    fn column(&mut self, at: &At<'_>) -> Result<Column, Flaw> {
        let (mut name, mut kind, mut width, mut is_left) = (None, None, None, None);
        let mut items = 0;
        self.array(at, |reader| {
            items += 1;
            match items {
                1 => name = Some(reader.text(at)?),
                2 => kind = FieldKind::from_name(&reader.text(at)?.to_utf8()),
                3 => width = Some(reader.integer(at)?),
                4 if reader.lexer.next()? == Next::Bool => {
                    is_left = Some(reader.lexer.peek() == Some(b't'));
                    reader.lexer.skip()?;
                }
                _ => return Err(at.flaw("not a field")),
            }
            Ok(())
        })?;
        let wrong = || at.flaw("not a field");
        if width.is_some() != is_left.is_some() {
            return Err(wrong());
        }
        Ok(Column {
            name: name.ok_or_else(wrong)?,
            kind: kind.ok_or_else(wrong)?,
            width: width.zip(is_left),
        })
    }

    /// Settings: the place of their fields, and the values.
    fn settings(&mut self, schemas: &[Arc<Schema>]) -> Result<Settings, Flaw> {
        let at = At("", "settings");
        let mut schema: Option<Arc<Schema>> = None;
        let mut values = Vec::new();
        self.array(&at, |reader| {
            if schema.is_none() {
                let place: usize = reader.integer(&at)?;
                let found = schemas.get(place).cloned();
                schema = Some(found.ok_or_else(|| at.flaw("there are no such fields"))?);
            } else if reader.lexer.next()? == Next::Null {
                reader.lexer.null()?;
                values.push(None);
            } else {
                values.push(Some(reader.text(&at)?));
            }
            Ok(())
        })?;
        let schema = schema.ok_or_else(|| at.flaw("no fields"))?;
        if values.len() != schema.settings() {
            return Err(at.flaw("not as many as there are fields"));
        }
        Ok(Settings { schema, values })
    }

    fn row(&mut self, index: usize) -> Result<Row, Flaw> {
        let object = result(index);
        let mut row = Row {
            run: 0,
            settings: 0,
            n_prompt: 0,
            n_gen: 0,
            n_depth: None,
            results: Default::default(),
            samples: Samples::default(),
        };
        let seen = self.object(At(&object, ""), &ROW, |reader, place| {
            let at = At(&object, ROW[place]);
            match place {
                0 => row.settings = reader.integer(&at)?,
                1 => row.n_prompt = reader.integer(&at)?,
                2 => row.n_gen = reader.integer(&at)?,
                3 => row.n_depth = Some(reader.integer(&at)?),
                9 => row.samples.ns = Some(reader.samples(&at)?),
                10 => row.samples.ts = Some(reader.text(&at)?),
                _ => row.results[place - 4] = Some(reader.text(&at)?),
            }
            Ok(())
        })?;
        for (place, name) in ROW.iter().enumerate().take(3) {
            if seen & 1 << place == 0 {
                return Err(At(&object, name).flaw("is missing"));
            }
        }
        Ok(row)
    }
}

fn missing(name: &str) -> Flaw {
    At("", name).flaw("is missing")
}

/// The run of these rows, which are taken as if they were read anew.
fn part(
    source: Source,
    identity: &Identity,
    settings: &[Settings],
    rows: Vec<Row>,
) -> Result<Part, Flaw> {
    if source == Source::Site {
        return Err(Flaw::new(0, "no run of llama-bench has the source 'site'"));
    }
    let mut builder = Builder::new(source);
    let mut count = 0;
    for (index, row) in rows.into_iter().enumerate() {
        let object = result(index);
        let at = At(&object, "");
        let settings = settings.get(row.settings);
        let settings = settings.ok_or_else(|| at.flaw("there are no such settings"))?;
        let schema = &settings.schema;
        count += schema.columns().len();
        if count > MOST_VALUES {
            return Err(at.flaw(&format!("more than {MOST_VALUES} values in a run")));
        }
        if schema.is_table() != source.is_rounded() {
            return Err(at.flaw("its fields are not those of a row"));
        }
        let values = row.values(identity, settings);
        let values: Vec<Option<&[u8]>> = values
            .iter()
            .map(|value| value.as_ref().map(Text::as_bytes))
            .collect();
        let pushed = builder.push(schema, &values, row.samples);
        let pushed = pushed.map_err(|error| Flaw::new(0, error.to_string()))?;
        pushed.map_err(|Refusal { why, .. }| at.flaw(&why))?;
    }
    if source.is_rounded()
        && let (Some(commit), Some(number)) =
            (identity.get("build_commit"), identity.get("build_number"))
    {
        builder.set_build(commit.as_bytes(), number.as_bytes());
    }
    let document = builder.end();
    match document.runs.as_slice() {
        [run] if *run.identity == *identity => {}
        [_] => return Err(At("", "identity").flaw("not that of the tests")),
        runs => return Err(Flaw::new(0, not_one(runs.len()))),
    }
    Ok(Part {
        document,
        positions: Vec::new(),
        measured: Measured::guessed(0),
        machine: Environment::default(),
        tags: Vec::new(),
        added_at: None,
        table: None,
        more: More::default(),
    })
}

#[cfg(test)]
mod tests;

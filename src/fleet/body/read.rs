//! Reading a body, of which nothing is trusted.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};

use super::{BENCH, MOST_JSON, ROW, RUN, names, not_one, result, test_names, too_large};
use crate::fleet::hrana::BASE64;
use crate::formats::Flaw;
use crate::formats::grouping::MAX_TESTS;
use crate::formats::lexer::{Lexer, Next};
use crate::model::bench::{
    Builder, Column, IDENTITY, Identity, Kind as FieldKind, Refusal, Row, Samples, Schema, Settings,
};
use crate::model::{
    Environment, Field, HeaderField, Kind, NewValue, Run, Source, Test, Text, Tool,
};
use crate::store::foreign::{BenchRun, Foreign, MOST_FIELDS, Part};
use crate::store::members::{More, check_json};
use crate::store::{Dated, ForeignRun, Measured};

/// The most samples of a run.
pub(super) const MOST_SAMPLES: usize = 1_000_000;

/// The most values of all rows of llama-bench, counted with those that are listed once.
const MOST_VALUES: usize = 8 << 20;

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
pub(super) struct At<'a>(pub(super) &'a str, pub(super) &'a str);

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
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) lexer: Lexer<'a>,
    pub(super) more: More,
    pub(super) samples: usize,
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

    pub(super) fn number(&mut self, at: &At<'_>) -> Result<f64, Flaw> {
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

//! The json of llama-bench: an object a row, its repetitions in the last two members, in an array or,
//! as jsonl, on a line.

use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;

use memchr::memmem;

use crate::formats::Flaw;
use crate::formats::lexer::{Lexer, Next, Str};
use crate::formats::number;
use crate::model::bench::{Column, Kind, Samples, general, speeds};
use crate::model::{Piece, Text};

use super::{Line, Value};

/// A row with more fields is refused.
const MAX_FIELDS: usize = 1000;

/// A row with more repetitions is refused.
const MAX_SAMPLES: usize = 1_000_000;

/// Keys of a row, of which an invalid one, or one that is cut off, may lack some.
const KEYS: [&[u8]; 6] = [
    b"\"n_prompt\"",
    b"\"n_gen\"",
    b"\"avg_ts\"",
    b"\"build_commit\"",
    b"\"cpu_info\"",
    b"\"model_filename\"",
];

/// Keys of LocalScore's tests, which have some of the others too.
const OTHER_KEYS: [&[u8]; 2] = [b"\"prompt_tps\"", b"\"gen_tps\""];

/// Rows in objects and arrays that are nested deeper are not found.
const MAX_WRAPPINGS: usize = 16;

/// Fields whose value is a number in every version, besides the real ones.
const NUMBERS: [&[u8]; 8] = [
    b"build_number",
    b"model_size",
    b"model_n_params",
    b"n_prompt",
    b"n_gen",
    b"n_depth",
    b"avg_ns",
    b"stddev_ns",
];

/// Whether the text may be a row, a part of one, or contain one.
#[must_use]
pub(crate) fn may_be_row(text: &[u8]) -> bool {
    let has = |key: &&&[u8]| memmem::find(text, key).is_some();
    KEYS.iter().filter(has).take(2).count() == 2 && !OTHER_KEYS.iter().any(|key| has(&key))
}

/// Whether these may be the first lines of a row, in the order of the tool.
#[must_use]
pub(crate) fn may_begin_row(text: &[u8]) -> bool {
    memmem::find(text, b"\"build_commit\"").is_some()
}

/// The rows in the object with which the text begins, of any depth; also returns its length and, if
/// it is no json, the flaw.
pub(crate) fn find_rows(text: &[u8]) -> (Vec<Range<usize>>, usize, Option<Flaw>) {
    let mut lexer = Lexer::new(text);
    let mut rows = Vec::new();
    let flaw = find_in_value(&mut lexer, &mut rows, 0).err();
    (rows, lexer.pos(), flaw)
}

fn find_in_value(
    lexer: &mut Lexer<'_>,
    rows: &mut Vec<Range<usize>>,
    depth: usize,
) -> Result<(), Flaw> {
    match lexer.next()? {
        Next::Object if depth < MAX_WRAPPINGS => {
            let start = lexer.pos();
            let mut keys = 0;
            let inner = rows.len();
            let read = lexer.object(|lexer, key| {
                keys += usize::from(is_key(key));
                find_in_value(lexer, rows, depth + 1)
            });
            if keys > 1 {
                rows.truncate(inner);
                rows.push(start..lexer.pos());
            }
            read
        }
        Next::Array if depth < MAX_WRAPPINGS => {
            lexer.array(|lexer| find_in_value(lexer, rows, depth + 1))
        }
        _ => lexer.skip(),
    }
}

/// Whether it is one of [`KEYS`], which are in quotes.
fn is_key(key: &Str<'_>) -> bool {
    KEYS.iter()
        .any(|quoted| quoted[1..quoted.len() - 1] == *key.value)
}

/// A row as it was read.
#[derive(Debug, Default)]
pub(crate) struct Object {
    /// The fields, without the samples.
    pub columns: Vec<Column>,
    /// Their values, without quotes.
    pub values: Vec<Vec<u8>>,
    /// The repetitions.
    pub samples: Samples,
    /// Why the row is invalid, although it is whole.
    pub why: Option<String>,
}

/// Reads the object with which the text begins, as far as it is json.
#[must_use]
pub(crate) fn read(text: &[u8]) -> Object {
    let mut lexer = Lexer::new(text);
    let mut object = Object::default();
    let mut names = HashSet::new();
    let read = lexer.object(|lexer, key| {
        if !names.insert(key.value.to_vec()) {
            let name = Text::from(key.value.to_vec()).to_string();
            object.refuse(format!("the key {name} is there twice"));
            return lexer.skip();
        }
        match &*key.value {
            b"samples_ns" => object.times(lexer),
            b"samples_ts" => object.speeds(lexer),
            _ if names.len() > MAX_FIELDS => {
                object.refuse(format!("a row of more than {MAX_FIELDS} fields"));
                lexer.skip()
            }
            name => {
                if let Some((kind, value)) = value(lexer, name)? {
                    object.columns.push(Column {
                        name: name.to_vec().into(),
                        kind,
                        width: None,
                    });
                    object.values.push(value);
                }
                Ok(())
            }
        }
    });
    if let Err(flaw) = read {
        object.refuse(flaw.why);
    }
    object
}

impl Object {
    /// Keeps the first mistake.
    fn refuse(&mut self, why: String) {
        self.why.get_or_insert(why);
    }

    fn times(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Flaw> {
        let mut times = Vec::new();
        let is_known = self.samples("samples_ns", lexer, |token| {
            times.push(u64::try_from(number::parse_integer(token)?).ok()?);
            Some(())
        })?;
        self.samples.ns = is_known.then_some(times);
        Ok(())
    }

    fn speeds(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Flaw> {
        let mut speeds = Vec::new();
        let mut count = 0;
        let is_known = self.samples("samples_ts", lexer, |token| {
            let value = number::parse(token)?;
            if count > 0 {
                speeds.extend_from_slice(b", ");
            }
            count += 1;
            let printed = general(value);
            let is_same = number::parse(printed.as_bytes()) == Some(value) || value.is_nan();
            speeds.extend_from_slice(if is_same { printed.as_bytes() } else { token });
            Some(())
        })?;
        self.samples.ts = is_known.then(|| speeds.into());
        Ok(())
    }

    /// Reads an array of numbers; false if they are not known.
    fn samples(
        &mut self,
        name: &str,
        lexer: &mut Lexer<'_>,
        mut add: impl FnMut(&[u8]) -> Option<()>,
    ) -> Result<bool, Flaw> {
        match lexer.next()? {
            Next::Array => {}
            Next::Null => return lexer.null().map(|()| false),
            other => {
                self.refuse(format!("{name} is {}, not an array", other.name()));
                return lexer.skip().map(|()| false);
            }
        }
        let (mut count, mut is_valid) = (0, true);
        lexer.array(|lexer| {
            let kind = lexer.next()?;
            let token = raw(lexer)?;
            count += 1;
            if is_valid && count <= MAX_SAMPLES {
                is_valid = kind == Next::Number && add(token).is_some();
                if !is_valid {
                    let value = Text::from(token.to_vec()).to_string();
                    self.refuse(format!(
                        "{name} holds what is not a number: '{}'",
                        base::shortened(&value, 40)
                    ));
                }
            }
            Ok(())
        })?;
        if count > MAX_SAMPLES {
            self.refuse(format!("a row of more than {MAX_SAMPLES} samples"));
        }
        Ok(true)
    }
}

/// Reads a value of any kind and returns its text.
fn raw<'a>(lexer: &mut Lexer<'a>) -> Result<&'a [u8], Flaw> {
    lexer.peek();
    let rest = lexer.rest();
    let begin = lexer.pos();
    lexer.skip()?;
    Ok(&rest[..lexer.pos() - begin])
}

/// Reads the value of this field: its kind, and the value without quotes, as the tool prints it;
/// `None` for `null` where a number is expected, as if the field were missing.
fn value(lexer: &mut Lexer<'_>, name: &[u8]) -> Result<Option<(Kind, Vec<u8>)>, Flaw> {
    // Only the kind of `flash_attn` depends on the version, and a value shows it.
    let own = std::str::from_utf8(name)
        .ok()
        .and_then(|name| Kind::of(name, 0));
    let next = lexer.next()?;
    if next == Next::String {
        let text = lexer.string()?.value.into_owned();
        let is_measured = own == Some(Kind::Real) || NUMBERS.contains(&name);
        let is_text = !is_measured || number::parse(&text).is_some();
        let kind = own.filter(|_| !is_text).unwrap_or(Kind::Text);
        return Ok(Some((kind, text)));
    }
    let token = raw(lexer)?;
    let is_plain = token.iter().all(|byte| b"+-0123456789".contains(byte));
    let is_real = own.map_or(!is_plain, |own| own == Kind::Real);
    Ok(match next {
        Next::Bool => {
            let value = if token == b"true" { "1" } else { "0" };
            Some((Kind::Bool, value.into()))
        }
        Next::Number if is_real => Some((Kind::Real, real(token))),
        Next::Number => {
            let whole = number::parse_integer(token).filter(|_| !is_plain);
            let value = whole.map_or_else(|| token.to_vec(), |whole| whole.to_string().into());
            Some((Kind::Integer, value))
        }
        Next::Null if matches!(own, Some(Kind::Integer | Kind::Real)) => None,
        _ => Some((Kind::Other, on_one_line(token))),
    })
}

/// The array or object without its line breaks, since a row of jsonl is a line. No string has any.
fn on_one_line(token: &[u8]) -> Vec<u8> {
    let lines = token.split(|&byte| byte == b'\n');
    let lines: Vec<&[u8]> = lines.map(<[u8]>::trim_ascii).collect();
    lines.join(&b' ')
}

/// The number without the words of other programs for infinity and nan.
fn real(token: &[u8]) -> Vec<u8> {
    match number::parse(token) {
        Some(value) if !value.is_finite() => general(value).into_bytes(),
        _ => token.to_vec(),
    }
}

/// Writes the object of a test.
pub(super) fn write_object(out: &mut Vec<u8>, line: Line<'_>, is_first: bool) {
    out.extend_from_slice(if is_first { b"  {\n" } else { b",\n  {\n" });
    for (column, value) in line.values() {
        out.extend_from_slice(b"    ");
        write_member(out, line, &column.name, column.kind, value);
        out.extend_from_slice(b",\n");
    }
    out.extend_from_slice(b"    ");
    write_samples_ns(out, line);
    out.extend_from_slice(b",\n    ");
    write_samples_ts(out, line);
    out.extend_from_slice(b"\n  }");
}

/// Writes `"name": value`.
pub(super) fn write_member(
    out: &mut Vec<u8>,
    line: Line<'_>,
    name: &Text,
    kind: Kind,
    value: Value<'_>,
) {
    write_string(out, name, line.tells_bytes);
    out.extend_from_slice(b": ");
    match (kind, value) {
        (_, Value::Size(_)) => out.extend_from_slice(&value.bytes()),
        (Kind::Text, Value::Text(text)) => write_string(out, text, line.tells_bytes),
        (Kind::Bool, Value::Text(text)) => out.extend_from_slice(match text.as_bytes() {
            b"0" => b"false",
            b"1" => b"true",
            other => other,
        }),
        (Kind::Integer | Kind::Real | Kind::Other, Value::Text(text)) => {
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Writes the member with the times of the repetitions.
pub(super) fn write_samples_ns(out: &mut Vec<u8>, line: Line<'_>) {
    out.extend_from_slice(b"\"samples_ns\": ");
    let Some(samples) = &line.row.samples.ns else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(b"[ ");
    for (index, sample) in samples.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        // Writing to a vector cannot fail.
        let _ = write!(out, "{comma}{sample}");
    }
    out.extend_from_slice(b" ]");
}

/// Writes the member with the speeds of the repetitions.
pub(super) fn write_samples_ts(out: &mut Vec<u8>, line: Line<'_>) {
    out.extend_from_slice(b"\"samples_ts\": ");
    let stored = line.row.samples.ts.clone();
    match stored.or_else(|| speeds(line.row)) {
        None => out.extend_from_slice(b"null"),
        Some(speeds) => {
            out.extend_from_slice(b"[ ");
            out.extend_from_slice(speeds.as_bytes());
            out.extend_from_slice(b" ]");
        }
    }
}

/// Writes a string as the tool escapes it: on most machines it takes a byte of 0x80 or more as a
/// negative number, and so loses its value.
fn write_string(out: &mut Vec<u8>, text: &Text, tells_bytes: bool) {
    out.push(b'"');
    for piece in text.pieces() {
        match piece {
            Piece::Byte(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
            Piece::Byte(byte @ 0..=0x1f) => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            Piece::Byte(byte) if byte < 0x80 || tells_bytes => out.push(byte),
            Piece::Byte(_) | Piece::Lost => out.extend_from_slice(b"\\ufffff"),
        }
    }
    out.push(b'"');
}

//! The json document of LocalScore: what `-o json` prints between its other lines.
//!
//! The C tool prints it by hand: strings of the header are not escaped, numbers are printf's, and
//! a byte of 0x80 or more in a model's string is lost. So the reader takes more than JSON, and
//! the writer gives back the same bytes.

use std::io::{self, Write};

use super::lexer::{Lexer, Next, Str};
use super::number::write_fixed;
use super::{Document, Flaw, FlawKind};
use crate::model::{
    AcceleratorInfo, Draft, Environment, Field, Kind, Piece, Run, RuntimeInfo, Source, SystemInfo,
    Test, Text, Value,
};

/// The pieces of a document that are known and not needed: the sums of a payload, and what our
/// own jsonl adds.
const PASSED_OVER: [&[u8]; 8] = [
    b"results_summary",
    b"id",
    b"tags",
    b"score",
    b"added_at",
    b"partial",
    b"rounded",
    b"link",
];

/// The keys of which one makes it a document of ours.
const OURS: [&[u8]; 4] = [
    b"runtime_info",
    b"system_info",
    b"accelerator_info",
    b"results",
];

/// Whether the text has one of the keys.
#[must_use]
pub fn is_ours(text: &[u8]) -> bool {
    OURS.iter().any(|key| {
        memchr::memmem::find_iter(text, key)
            .any(|at| at > 0 && text[at - 1] == b'"' && text.get(at + key.len()) == Some(&b'"'))
    })
}

/// The strings and numbers of one header object, by key.
type Members<'a> = Vec<Member<'a>>;

struct Member<'a> {
    key: Vec<u8>,
    /// Where the value begins.
    offset: usize,
    value: HeaderValue<'a>,
}

enum HeaderValue<'a> {
    String(Str<'a>),
    Number(f64),
    Null,
    /// An object, an array, true or false.
    Other,
}

/// Reads the document with which the text begins, and tells how long it is: any key order, any
/// spacing, unknown keys passed over.
pub fn read(text: &[u8]) -> Result<(Document, usize), Flaw> {
    match read_what_there_is(text)? {
        (document, length, None) => Ok((document, length)),
        (_, _, Some(flaw)) => Err(flaw),
    }
}

/// As [`read`], but of a document with a flaw in its tests or behind them, the whole tests before
/// it.
pub fn read_what_there_is(text: &[u8]) -> Result<(Document, usize, Option<Flaw>), Flaw> {
    let mut document = Document {
        run: Run {
            source: Source::Json,
            ..Run::default()
        },
        unknown: Vec::new(),
    };
    let mut runtime = Members::new();
    let mut system = Members::new();
    let mut accelerator = Members::new();
    let mut tests = None;
    let mut ours = false;
    let mut layout = Layout::of_header(text);

    let mut lexer = Lexer::new(text);
    let read = lexer.object(|lexer, key| {
        ours |= OURS.contains(&&*key.value);
        match &*key.value {
            b"runtime_info" => runtime = header(lexer, &layout)?,
            b"system_info" => system = header(lexer, &layout)?,
            b"accelerator_info" => accelerator = header(lexer, &layout)?,
            b"results" => {
                if lexer.next()? != Next::Array {
                    return Err(lexer.flaw("\"results\" is not an array"));
                }
                let unknown = &mut document.unknown;
                read_tests(lexer, &mut layout, unknown, tests.insert(Vec::new()))?;
            }
            // Our own jsonl tells when values are those of a console table.
            b"rounded" if lexer.rest().trim_ascii_start().starts_with(b"true") => {
                document.run.source = Source::Console;
                lexer.skip()?;
            }
            key if PASSED_OVER.contains(&key) => {
                layout.is_jsonl |= key == b"added_at";
                lexer.skip()?;
            }
            key => {
                document
                    .unknown
                    .push(String::from_utf8_lossy(key).into_owned());
                lexer.skip()?;
            }
        }
        Ok(())
    });
    let foreign = |flaw: Flaw| Flaw {
        kind: if ours { flaw.kind } else { FlawKind::Foreign },
        ..flaw
    };
    let flaw = match (read, tests.is_some()) {
        (Ok(()), true) => None,
        (Ok(()), false) => {
            let why = "no \"results\" in this json document";
            return Err(foreign(Flaw::new(0, why)));
        }
        (Err(flaw), true) => Some(flaw),
        (Err(flaw), false) => return Err(foreign(flaw)),
    };

    let mut reader = HeaderReader {
        layout: layout.is_c_tool(),
        is_jsonl: layout.is_jsonl,
        unknown: &mut document.unknown,
    };
    document.run.environment = Environment {
        runtime: reader.runtime(runtime)?,
        system: reader.system(system)?,
        accelerator: reader.accelerator(accelerator)?,
    };
    document.run.tests = tests.unwrap_or_default();
    Ok((document, lexer.pos(), flaw))
}

/// Whether the text is laid out as the C tool prints it. If so, header strings are what stands
/// between the quotes; in any other layout they are JSON.
struct Layout {
    header: bool,
    samples: bool,
    /// Whether it is a line of our own jsonl: its strings are JSON whatever they hold, and a speed,
    /// which every test has, is null where it was no number.
    is_jsonl: bool,
}

impl Layout {
    fn of_header(text: &[u8]) -> Self {
        // The first two lines and the beginning of the third are shorter.
        let mut lines = text[..text.len().min(256)]
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::trim_ascii_end);
        let wanted: [&[u8]; 2] = [b"{", b"  \"runtime_info\": {"];
        Self {
            header: wanted.iter().all(|line| lines.next() == Some(line))
                && lines
                    .next()
                    .is_some_and(|line| line.starts_with(b"    \"name\": \"")),
            samples: true,
            is_jsonl: false,
        }
    }

    fn is_c_tool(&self) -> bool {
        self.header && self.samples
    }
}

/// Reads a header object. In the C tool's layout each line is `"KEY": "VALUE",` and the last quote
/// of the line ends the value, for the C tool prints a quote or a backslash in it as it is.
fn header<'a>(lexer: &mut Lexer<'a>, layout: &Layout) -> Result<Members<'a>, Flaw> {
    if lexer.next()? == Next::Null {
        lexer.null()?;
        return Ok(Members::new());
    }
    if layout.header {
        let start = lexer.clone();
        if let Some(members) = header_by_lines(lexer) {
            return Ok(members);
        }
        *lexer = start;
    }
    header_as_json(lexer)
}

fn header_as_json<'a>(lexer: &mut Lexer<'a>) -> Result<Members<'a>, Flaw> {
    let mut members = Members::new();
    lexer.object(|lexer, key| {
        let next = lexer.next()?;
        let offset = lexer.pos();
        let value = match next {
            Next::String => HeaderValue::String(lexer.string()?),
            Next::Number => HeaderValue::Number(lexer.number()?),
            Next::Null => {
                lexer.null()?;
                HeaderValue::Null
            }
            Next::Object | Next::Array | Next::Bool => {
                lexer.skip()?;
                HeaderValue::Other
            }
        };
        let key = key.value.to_vec();
        members.push(Member { key, offset, value });
        Ok(())
    })?;
    Ok(members)
}

fn header_by_lines<'a>(lexer: &mut Lexer<'a>) -> Option<Members<'a>> {
    let mut members = Members::new();
    lexer.expect(b'{').ok()?;
    let text = lexer.rest();
    let line_end = |from: usize| memchr::memchr(b'\n', &text[from..]).map(|step| from + step);
    let mut pos = line_end(0)? + 1;
    loop {
        let mut end = line_end(pos)?;
        let start = pos;
        if matches!(text[start..end].trim_ascii(), b"}" | b"},") {
            let brace = memchr::memchr(b'}', &text[start..end])?;
            lexer.seek(lexer.pos() + start + brace + 1);
            return Some(members);
        }
        let mut key = Lexer::new(&text[start..end]);
        let name = key.string().ok()?.value.into_owned();
        key.expect(b':').ok()?;
        key.peek();
        let value = start + key.pos();
        let offset = lexer.pos() + value;
        let value = if text[value] == b'"' {
            // A name may even have a newline in it.
            let raw = loop {
                let line = text[value + 1..end].trim_ascii_end();
                let line = line.strip_suffix(b",").unwrap_or(line);
                match line.strip_suffix(b"\"") {
                    Some(raw) => break raw,
                    None => end = line_end(end + 1)?,
                }
            };
            let value = unescape(raw).unwrap_or_else(|| raw.to_vec());
            HeaderValue::String(Str {
                raw,
                value: value.into(),
            })
        } else {
            let number = text[value..end].trim_ascii_end();
            HeaderValue::Number(super::number::parse(
                number.strip_suffix(b",").unwrap_or(number),
            )?)
        };
        members.push(Member {
            key: name,
            offset,
            value,
        });
        pos = end + 1;
    }
}

/// What stands between quotes, read as JSON; `None` if it is none.
fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let text = [b"\"", raw, b"\""].concat();
    let mut lexer = Lexer::new(&text);
    let string = lexer.string().ok()?;
    lexer.rest().is_empty().then(|| string.value.into_owned())
}

/// Turns the members of header objects into what they mean.
struct HeaderReader<'d> {
    layout: bool,
    is_jsonl: bool,
    unknown: &'d mut Vec<String>,
}

impl HeaderReader<'_> {
    fn runtime(&mut self, members: Members<'_>) -> Result<RuntimeInfo, Flaw> {
        let mut info = RuntimeInfo::default();
        for member in members {
            match &*member.key {
                b"name" => info.name = self.text(member)?,
                b"version" => info.version = self.text(member)?,
                b"commit" => info.commit = self.text(member)?,
                _ => self.pass_over(&member),
            }
        }
        Ok(info)
    }

    fn system(&mut self, members: Members<'_>) -> Result<SystemInfo, Flaw> {
        let mut info = SystemInfo::default();
        for member in members {
            match &*member.key {
                b"cpu_name" => info.cpu_name = self.text(member)?,
                b"cpu_arch" => info.cpu_arch = self.text(member)?,
                b"ram_gb" => info.ram_gb = number(&member)?,
                b"kernel_type" => info.kernel_type = self.text(member)?,
                b"kernel_release" => info.kernel_release = self.text(member)?,
                b"version" => info.version = self.text(member)?,
                _ => self.pass_over(&member),
            }
        }
        Ok(info)
    }

    fn accelerator(&mut self, members: Members<'_>) -> Result<AcceleratorInfo, Flaw> {
        let mut info = AcceleratorInfo::default();
        for member in members {
            match &*member.key {
                b"name" => info.name = self.text(member)?,
                b"manufacturer" => info.manufacturer = self.text(member)?,
                b"memory_gb" => info.memory_gb = number(&member)?,
                b"type" => info.kind = self.text(member)?,
                _ => self.pass_over(&member),
            }
        }
        Ok(info)
    }

    fn text(&self, member: Member<'_>) -> Result<Option<Text>, Flaw> {
        match member.value {
            HeaderValue::String(string) if self.layout => Ok(Some(string.raw.to_vec().into())),
            HeaderValue::String(string) if self.is_jsonl => {
                Ok(Some(string.value.into_owned().into()))
            }
            HeaderValue::String(string) => Ok(Some(as_header(string.value.into_owned()))),
            HeaderValue::Null => Ok(None),
            _ => Err(member.wrong("a string")),
        }
    }

    fn pass_over(&mut self, member: &Member<'_>) {
        let name = String::from_utf8_lossy(&member.key);
        self.unknown.push(name.into_owned());
    }
}

fn number(member: &Member<'_>) -> Result<Option<f64>, Flaw> {
    match &member.value {
        HeaderValue::Number(value) => Ok(Some(*value)),
        HeaderValue::Null => Ok(None),
        HeaderValue::String(string) => {
            let text = string.value.trim_ascii();
            let number = super::number::parse(text);
            if number.is_none() && !text.is_empty() {
                return Err(member.wrong("a number"));
            }
            Ok(number)
        }
        HeaderValue::Other => Err(member.wrong("a number")),
    }
}

impl Member<'_> {
    fn wrong(&self, wanted: &str) -> Flaw {
        let key = String::from_utf8_lossy(&self.key);
        Flaw::new(self.offset, format!("\"{key}\" is not {wanted}"))
    }
}

/// A header string is what stands between the quotes in the C tool's layout, so what JSON must
/// escape there is escaped.
fn as_header(value: Vec<u8>) -> Text {
    let must_escape = |&byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    if !value.iter().any(must_escape) {
        return value.into();
    }
    let mut raw = Vec::with_capacity(value.len() + 8);
    for byte in value {
        match byte {
            b'"' | b'\\' => raw.extend_from_slice(&[b'\\', byte]),
            ..0x20 => raw.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => raw.push(byte),
        }
    }
    raw.into()
}

fn read_tests(
    lexer: &mut Lexer<'_>,
    layout: &mut Layout,
    unknown: &mut Vec<String>,
    tests: &mut Vec<Test>,
) -> Result<(), Flaw> {
    lexer.array(|lexer| {
        let next = lexer.next()?;
        if next != Next::Object {
            return Err(lexer.flaw(format!("expected a test, found {}", next.name())));
        }
        let start = lexer.pos();
        let draft = test(lexer, layout, unknown)?;
        let test = draft.build().map_err(|field| {
            let number = tests.len() + 1;
            Flaw::new(start, format!("no \"{}\" in test {number}", field.name()))
        })?;
        tests.push(test);
        Ok(())
    })
}

fn test(
    lexer: &mut Lexer<'_>,
    layout: &mut Layout,
    unknown: &mut Vec<String>,
) -> Result<Draft, Flaw> {
    let mut draft = Draft::default();
    lexer.object(|lexer, key| {
        if let Some(field) = Field::from_name(&key.value) {
            let is_speed = matches!(field, Field::PromptTps | Field::GenTps);
            if layout.is_jsonl && is_speed && lexer.next()? == Next::Null {
                draft.set_number(field, Some(f64::NAN));
                return lexer.null();
            }
            return value(lexer, field, &mut draft);
        }
        if &*key.value == b"samples_ns" {
            lexer.peek();
            // Only the C tool sets off the brackets of this array by spaces, on one line.
            layout.samples &= lexer.rest().starts_with(b"[ ");
            draft.set_samples_ns(samples(lexer)?);
            return Ok(());
        }
        unknown.push(String::from_utf8_lossy(&key.value).into_owned());
        lexer.skip()
    })?;
    Ok(draft)
}

fn value(lexer: &mut Lexer<'_>, field: Field, draft: &mut Draft) -> Result<(), Flaw> {
    let next = lexer.next()?;
    let wrong = |lexer: &Lexer<'_>, wanted: &str| {
        let name = field.name();
        lexer.flaw(format!("\"{name}\" is {}, not {wanted}", next.name()))
    };
    match (field.kind(), next) {
        (Kind::Text, Next::Null) => {
            lexer.null()?;
            draft.set_text(field, None);
        }
        (Kind::Text, Next::String) => {
            let string = lexer.string()?;
            draft.set_text(field, Some(string.value.into_owned().into()));
        }
        (Kind::Text, _) => return Err(wrong(lexer, "a string")),
        (Kind::Number, Next::Null) => {
            lexer.null()?;
            draft.set_number(field, None);
        }
        (Kind::Number, Next::Number) => draft.set_number(field, Some(lexer.number()?)),
        // Other clients write numbers as strings, and leave them empty.
        (Kind::Number, Next::String) => {
            let wrong = wrong(lexer, "a number");
            let string = lexer.string()?;
            let text = string.value.trim_ascii();
            let number = super::number::parse(text);
            if number.is_none() && !text.is_empty() {
                return Err(wrong);
            }
            draft.set_number(field, number);
        }
        (Kind::Number, _) => return Err(wrong(lexer, "a number")),
        (Kind::Integer | Kind::Unsigned, Next::Null) => {
            lexer.null()?;
            draft.set_integer(field, None);
        }
        (Kind::Integer | Kind::Unsigned, Next::Number | Next::String) => {
            let wrong = wrong(lexer, "an integer");
            let integer = if next == Next::Number {
                Some(lexer.integer()?)
            } else {
                let string = lexer.string()?;
                let text = string.value.trim_ascii();
                let integer = super::number::parse_integer(text);
                if integer.is_none() && !text.is_empty() {
                    return Err(wrong);
                }
                integer
            };
            if !draft.set_integer(field, integer) {
                let integer = integer.unwrap_or_default();
                let why = format!("\"{}\" is out of range: {integer}", field.name());
                return Err(Flaw::new(wrong.offset, why));
            }
        }
        (Kind::Integer | Kind::Unsigned, _) => return Err(wrong(lexer, "an integer")),
    }
    Ok(())
}

fn samples(lexer: &mut Lexer<'_>) -> Result<Option<Vec<u64>>, Flaw> {
    match lexer.next()? {
        Next::Null => {
            lexer.null()?;
            Ok(None)
        }
        Next::Array => {
            let mut samples = Vec::new();
            lexer.array(|lexer| {
                let at = lexer.pos();
                let sample = lexer.integer()?;
                samples.push(u64::try_from(sample).map_err(|_| {
                    Flaw::new(at, format!("\"samples_ns\" is out of range: {sample}"))
                })?);
                Ok(())
            })?;
            Ok(Some(samples))
        }
        other => Err(lexer.flaw(format!("\"samples_ns\" is {}, not an array", other.name()))),
    }
}

/// Writes the document of a run, as the C tool's `json_printer`; no newline at the end.
///
/// What the run does not know reads null: the C tool always knows.
pub fn write(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    let Environment {
        runtime,
        system,
        accelerator,
    } = &run.environment;
    out.write_all(b"{\n")?;
    object(
        out,
        "runtime_info",
        &[
            ("name", Header::Text(&runtime.name)),
            ("version", Header::Text(&runtime.version)),
            ("commit", Header::Text(&runtime.commit)),
        ],
    )?;
    object(
        out,
        "system_info",
        &[
            ("cpu_name", Header::Text(&system.cpu_name)),
            ("cpu_arch", Header::Text(&system.cpu_arch)),
            ("ram_gb", Header::Number(system.ram_gb)),
            ("kernel_type", Header::Text(&system.kernel_type)),
            ("kernel_release", Header::Text(&system.kernel_release)),
            ("version", Header::Text(&system.version)),
        ],
    )?;
    object(
        out,
        "accelerator_info",
        &[
            ("name", Header::Text(&accelerator.name)),
            ("manufacturer", Header::Text(&accelerator.manufacturer)),
            ("memory_gb", Header::Number(accelerator.memory_gb)),
            ("type", Header::Text(&accelerator.kind)),
        ],
    )?;
    out.write_all(b"  \"results\": [\n")?;
    for (index, test) in run.tests.iter().enumerate() {
        if index > 0 {
            out.write_all(b",\n")?;
        }
        write_test(out, test)?;
    }
    out.write_all(b"\n  ]\n}")
}

enum Header<'a> {
    Text(&'a Option<Text>),
    Number(Option<f64>),
}

fn object(out: &mut dyn Write, name: &str, members: &[(&str, Header<'_>)]) -> io::Result<()> {
    writeln!(out, "  \"{name}\": {{")?;
    for (index, (key, value)) in members.iter().enumerate() {
        write!(out, "    \"{key}\": ")?;
        match value {
            Header::Text(Some(text)) => {
                out.write_all(b"\"")?;
                out.write_all(text.as_bytes())?;
                out.write_all(b"\"")?;
            }
            Header::Number(Some(number)) => write_fixed(out, *number, 2)?,
            Header::Text(None) | Header::Number(None) => out.write_all(b"null")?,
        }
        let comma: &[u8] = if index + 1 < members.len() {
            b",\n"
        } else {
            b"\n"
        };
        out.write_all(comma)?;
    }
    out.write_all(b"  },\n")
}

fn write_test(out: &mut dyn Write, test: &Test) -> io::Result<()> {
    out.write_all(b"    {\n")?;
    for field in Field::ALL {
        write!(out, "      \"{}\": ", field.name())?;
        match field.get(test) {
            Value::Missing => out.write_all(b"null")?,
            Value::Text(text) => write_string(out, text)?,
            Value::Integer(value) => write!(out, "{value}")?,
            Value::Unsigned(value) => write!(out, "{value}")?,
            Value::Number(value) => write_fixed(out, value, 6)?,
        }
        out.write_all(b",\n")?;
    }
    match &test.samples_ns {
        None => out.write_all(b"      \"samples_ns\": null\n")?,
        Some(samples) => {
            out.write_all(b"      \"samples_ns\": [ ")?;
            for (index, sample) in samples.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(out, "{comma}{sample}")?;
            }
            out.write_all(b" ]\n")?;
        }
    }
    out.write_all(b"    }")
}

/// Writes a model's string as the C tool's `escape_json`, which takes a byte of 0x80 or more for a
/// negative number and so loses it.
fn write_string(out: &mut dyn Write, text: &Text) -> io::Result<()> {
    let mut escaped = Vec::with_capacity(text.as_bytes().len() + 2);
    escaped.push(b'"');
    for piece in text.pieces() {
        match piece {
            Piece::Lost | Piece::Byte(0x80..) => escaped.extend_from_slice(b"\\ufffff"),
            Piece::Byte(byte @ (b'"' | b'\\')) => escaped.extend_from_slice(&[b'\\', byte]),
            Piece::Byte(byte @ 0..=0x1f) => write!(escaped, "\\u{byte:04x}")?,
            Piece::Byte(byte) => escaped.push(byte),
        }
    }
    escaped.push(b'"');
    out.write_all(&escaped)
}

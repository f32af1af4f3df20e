//! The header of a document: runtime, system, accelerator, model.

use super::MAX_NAMES;
use crate::formats::lexer::{Lexer, Next, Str};
use crate::formats::{Document, Flaw, number};
use crate::model::{HeaderField, Kind, Model, NewValue, Source, Test, Text};

/// The members of one header object.
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

/// The header of a document: the objects that LocalScore prints or, in a document without any of
/// them, those of the web site's API.
#[derive(Default)]
pub(super) struct Header<'a> {
    own: Objects<'a>,
    site: Objects<'a>,
    is_own: bool,
    /// The keys of the site's API that have been read.
    site_keys: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Objects<'a> {
    /// In the order of [`HeaderField::OBJECTS`].
    environment: [Members<'a>; 3],
    model: Members<'a>,
}

impl<'a> Header<'a> {
    /// Reads the value of this key; returns false if the key does not belong to the header.
    pub(super) fn read(
        &mut self,
        lexer: &mut Lexer<'a>,
        key: &[u8],
        layout: &Layout,
    ) -> Result<bool, Flaw> {
        let mut objects = HeaderField::OBJECTS.iter();
        let Some(place) = objects.position(|(name, _)| name.as_bytes() == key) else {
            return self.read_site(lexer, key);
        };
        self.own.environment[place] = header(lexer, layout)?;
        self.is_own = true;
        Ok(true)
    }

    fn read_site(&mut self, lexer: &mut Lexer<'a>, key: &[u8]) -> Result<bool, Flaw> {
        let is_object = lexer.next()? == Next::Object;
        let [runtime, system, accelerator] = &mut self.site.environment;
        // The object, and the name of a member that stands outside it.
        let (object, name): (_, &[u8]) = match key {
            b"runtime" if is_object => (runtime, b""),
            b"system" if is_object => (system, b""),
            b"model" if is_object => (&mut self.site.model, b""),
            b"accelerator" if is_object => (accelerator, b""),
            b"accelerator" => (accelerator, b"name"),
            b"accelerator_type" => (accelerator, b"type"),
            b"accelerator_memory_gb" => (accelerator, b"memory_gb"),
            _ => return Ok(false),
        };
        if name.is_empty() {
            object.extend(header_as_json(lexer)?);
        } else {
            object.push(member(lexer, name)?);
        }
        object.truncate(MAX_NAMES);
        if self.site_keys.len() < MAX_NAMES {
            self.site_keys.push(key.to_vec());
        }
        Ok(true)
    }

    /// Adds the values of the header to the document.
    pub(super) fn complete(self, layout: &Layout, document: &mut Document) -> Result<(), Flaw> {
        let is_site = !self.is_own && !self.site_keys.is_empty();
        let objects = if is_site { self.site } else { self.own };
        let Document { run, unknown, .. } = document;
        if self.is_own {
            for key in &self.site_keys {
                note_unknown(unknown, key);
            }
        }
        let strings = match layout {
            _ if layout.header && layout.samples => Strings::Raw,
            _ if layout.is_jsonl || is_site => Strings::Json,
            _ => Strings::Escaped,
        };
        for ((_, fields), members) in HeaderField::OBJECTS.iter().zip(objects.environment) {
            for member in members {
                match fields.iter().find(|field| is_key(**field, &member.key)) {
                    Some(field) => {
                        let value = match field.kind() {
                            Kind::Text => member.text(strings)?.map(NewValue::Text),
                            _ => member.number()?.map(NewValue::Number),
                        };
                        field.set(&mut run.environment, value);
                    }
                    None => note_unknown(unknown, &member.key),
                }
            }
        }
        let model = Test {
            model: model(objects.model, strings, unknown)?,
            ..Test::default()
        };
        for test in &mut run.tests {
            test.complete(&model);
        }
        if is_site && run.source == Source::Json {
            run.source = Source::Site;
        }
        Ok(())
    }
}

/// Whether the field has this key; two fields have other keys in the site's API.
fn is_key(field: HeaderField, key: &[u8]) -> bool {
    match (field, key) {
        (HeaderField::RuntimeCommit, b"commit_hash")
        | (HeaderField::SystemVersion, b"system_version") => true,
        _ => field.name().as_bytes() == key,
    }
}

/// The model in the site's API, where it is the same for all tests.
fn model(members: Members<'_>, strings: Strings, unknown: &mut Vec<String>) -> Result<Model, Flaw> {
    let mut model = Model::default();
    for member in members {
        match &*member.key {
            b"name" => model.model_name = member.text(strings)?,
            b"quant" | b"quantization" => model.model_quant_str = member.text(strings)?,
            b"params" => {
                let params = member.number()?.filter(|params| *params >= 0.0);
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count"
                )]
                let params = params.map(|params| params as u64);
                model.model_n_params = params;
            }
            _ => note_unknown(unknown, &member.key),
        }
    }
    Ok(model)
}

/// How the strings of a header are read.
#[derive(Clone, Copy)]
enum Strings {
    /// The bytes between the quotes, as the C tool prints them.
    Raw,
    /// JSON.
    Json,
    /// JSON; characters that JSON must escape are kept escaped, as the C tool would print them.
    Escaped,
}

/// The layout of a document, which decides how the strings of its header are read.
pub(super) struct Layout {
    /// Whether the header begins as the C tool prints it.
    header: bool,
    /// Whether all arrays of samples are printed as by the C tool.
    pub(super) samples: bool,
    /// Whether it is a line of our own jsonl: all its strings are JSON, and a speed of nan or inf is
    /// null.
    pub(super) is_jsonl: bool,
}

impl Layout {
    pub(super) fn detect(text: &[u8]) -> Self {
        // Enough for the first two lines and the beginning of the third.
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
}

/// Reads a header object. In the C tool's layout each line is `"KEY": "VALUE",` and the last quote
/// of the line ends the value, for the C tool does not escape quotes and backslashes in it.
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
        let member = member(lexer, &key.value)?;
        if members.len() < MAX_NAMES {
            members.push(member);
        }
        Ok(())
    })?;
    Ok(members)
}

/// Reads the value of this key.
fn member<'a>(lexer: &mut Lexer<'a>, key: &[u8]) -> Result<Member<'a>, Flaw> {
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
    let key = key.to_vec();
    Ok(Member { key, offset, value })
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
            // A value may contain newlines.
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
            HeaderValue::Number(number::parse(number.strip_suffix(b",").unwrap_or(number))?)
        };
        if members.len() == MAX_NAMES {
            return None;
        }
        members.push(Member {
            key: name,
            offset,
            value,
        });
        pos = end + 1;
    }
}

/// Decodes the text between two quotes; `None` if it is not JSON.
fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let text = [b"\"", raw, b"\""].concat();
    let mut lexer = Lexer::new(&text);
    let string = lexer.string().ok()?;
    lexer.rest().is_empty().then(|| string.value.into_owned())
}

/// Adds the name of an unknown key.
pub(super) fn note_unknown(unknown: &mut Vec<String>, key: &[u8]) {
    if unknown.len() < MAX_NAMES {
        unknown.push(String::from_utf8_lossy(key).into_owned());
    }
}

impl Member<'_> {
    fn text(self, strings: Strings) -> Result<Option<Text>, Flaw> {
        Ok(match self.value {
            HeaderValue::Null => None,
            HeaderValue::String(string) => Some(match strings {
                Strings::Raw => string.raw.to_vec().into(),
                Strings::Json => string.value.into_owned().into(),
                Strings::Escaped => as_header(string.value.into_owned()),
            }),
            _ => return Err(self.wrong("a string")),
        })
    }

    fn number(&self) -> Result<Option<f64>, Flaw> {
        match &self.value {
            HeaderValue::Number(value) => Ok(Some(*value)),
            HeaderValue::Null => Ok(None),
            HeaderValue::String(string) => match string.value.trim_ascii() {
                b"" => Ok(None),
                text => number::parse(text)
                    .map(Some)
                    .ok_or_else(|| self.wrong("a number")),
            },
            HeaderValue::Other => Err(self.wrong("a number")),
        }
    }

    fn wrong(&self, wanted: &str) -> Flaw {
        let key = String::from_utf8_lossy(&self.key);
        Flaw::new(self.offset, format!("\"{key}\" is not {wanted}"))
    }
}

/// Escapes the characters that JSON must escape.
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

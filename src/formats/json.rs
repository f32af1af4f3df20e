//! The json document of LocalScore: what `-o json` prints between its other lines.
//!
//! The C tool prints it by hand: strings of the header are not escaped, numbers are printf's, and
//! a byte of 0x80 or more in a model's string is lost. So the reader takes more than JSON, and
//! the writer gives back the same bytes.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::grouping::MAX_TESTS;
use super::lexer::{Lexer, Next, Str};
use super::number::write_fixed;
use super::{Document, Flaw, FlawKind};
use crate::model::{
    AcceleratorInfo, Draft, Environment, Field, Kind, Model, Piece, Run, RuntimeInfo, Source,
    SystemInfo, Test, Text, Value,
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

/// What is kept of the members of a header object, and of the names of unknown keys.
const MAX_NAMES: usize = 64;

/// The times of all repetitions of a document.
const MAX_SAMPLES: usize = 1_000_000;

/// More results inside of one other document are refused.
const MAX_INNER: usize = 10_000;

/// A result that lies deeper inside of another document is not looked for.
const MAX_WRAPPINGS: usize = 16;

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
    static FINDERS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| OURS.map(Finder::new));
    FINDERS.iter().any(|key| has_key(text, key))
}

/// Whether the text may hold tests that stand outside of a document, such as in a list of them.
#[must_use]
pub fn may_list_tests(text: &[u8]) -> bool {
    static FINDERS: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| ["n_prompt", "prompt_tps", "gen_tps"].map(Finder::new));
    let [n_prompt, prompt_tps, gen_tps] = &*FINDERS;
    has_key(text, n_prompt) && (has_key(text, prompt_tps) || has_key(text, gen_tps))
}

fn has_key(text: &[u8], key: &Finder<'_>) -> bool {
    let length = key.needle().len();
    let is_key = |at: usize| at > 0 && text[at - 1] == b'"' && text.get(at + length) == Some(&b'"');
    // Logs are full of short objects.
    text.len() > length + 2 && key.find_iter(text).any(is_key)
}

/// A result that lies somewhere inside of a json text, by the bytes of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inner {
    /// A document.
    Document(Range<usize>),
    /// A test that is part of no document.
    Test(Range<usize>),
    /// The end of an array: the tests before it and behind it are not of one run.
    End,
}

/// Finds the documents and tests in a json text, however deep, and tells how long the text is.
pub fn find_inner(text: &[u8]) -> Result<(Vec<Inner>, usize), Flaw> {
    let mut found = Vec::new();
    let mut lexer = Lexer::new(text);
    find_in_value(&mut lexer, &mut found, 0)?;
    Ok((found, lexer.pos()))
}

/// What every test has that stands in a list of tests.
const OF_A_TEST: [&[u8]; 6] = [
    b"name",
    b"n_prompt",
    b"n_gen",
    b"prompt_tps",
    b"gen_tps",
    b"ttft_ms",
];

fn find_in_value(lexer: &mut Lexer<'_>, found: &mut Vec<Inner>, depth: usize) -> Result<(), Flaw> {
    match lexer.next()? {
        Next::Object if depth < MAX_WRAPPINGS => {
            let start = lexer.pos();
            let (mut is_ours, mut keys) = (false, 0_u8);
            lexer.object(|lexer, key| {
                if let Some(place) = OF_A_TEST.iter().position(|name| *name == &*key.value) {
                    keys |= 1 << place;
                }
                // Other programs have results too.
                if *key.value == *b"results"
                    && lexer.next()? == Next::Array
                    && may_list_tests(first_object(lexer.rest()))
                {
                    is_ours = true;
                    return lexer.skip();
                }
                find_in_value(lexer, found, depth + 1)
            })?;
            let object = start..lexer.pos();
            if is_ours {
                found.push(Inner::Document(object));
            } else if keys.count_ones() as usize == OF_A_TEST.len() {
                found.push(Inner::Test(object));
            }
            if found.len() > MAX_INNER {
                return Err(Flaw::new(start, "too many results in one json document"));
            }
            Ok(())
        }
        Next::Array if depth < MAX_WRAPPINGS => {
            let before = found.len();
            lexer.array(|lexer| find_in_value(lexer, found, depth + 1))?;
            if found.len() > before && matches!(found.last(), Some(Inner::Test(_))) {
                found.push(Inner::End);
            }
            Ok(())
        }
        _ => lexer.skip(),
    }
}

/// What there is of an array up to the end of its first object.
fn first_object(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'}', text);
    &text[..end.unwrap_or(text.len())]
}

/// Reads an object that is a test.
pub fn read_test(text: &[u8]) -> Result<Test, Flaw> {
    let mut reader = Tests::new(text);
    let draft = reader.test(&mut Lexer::new(text))?;
    draft
        .build()
        .map_err(|field| Flaw::new(0, format!("no \"{}\" in this test", field.name())))
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
        ..Document::default()
    };
    let mut header = Header::default();
    let mut tests = None;
    let mut ours = false;
    let mut reader = Tests::new(text);

    let mut lexer = Lexer::new(text);
    let read = lexer.object(|lexer, key| {
        ours |= OURS.contains(&&*key.value);
        match &*key.value {
            b"results" => {
                if lexer.next()? != Next::Array {
                    return Err(lexer.flaw("\"results\" is not an array"));
                }
                reader.read(lexer, tests.insert(Vec::new()))?;
            }
            // Our own jsonl tells when values are those of a console table.
            b"rounded" if lexer.rest().trim_ascii_start().starts_with(b"true") => {
                document.run.source = Source::Console;
                lexer.skip()?;
            }
            key if PASSED_OVER.contains(&key) => {
                reader.layout.is_jsonl |= key == b"added_at";
                lexer.skip()?;
            }
            key => {
                if !header.read(lexer, key, &reader.layout)? {
                    reader.pass_over(key);
                    lexer.skip()?;
                }
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

    document.unknown = reader.unknown;
    document.run.tests = tests.unwrap_or_default();
    header.complete(&reader.layout, &mut document)?;
    Ok((document, lexer.pos(), flaw))
}

/// What a document tells besides its tests: in LocalScore's own objects or, where it has none of
/// them, in those of its web site's API.
#[derive(Default)]
struct Header<'a> {
    own: Parts<'a>,
    site: Parts<'a>,
    is_own: bool,
    /// The site's keys that are there.
    site_keys: Vec<&'static str>,
}

#[derive(Default)]
struct Parts<'a> {
    runtime: Members<'a>,
    system: Members<'a>,
    accelerator: Members<'a>,
    model: Members<'a>,
}

impl<'a> Header<'a> {
    /// Reads the value of the key; false if the key does not belong to the header.
    fn read(&mut self, lexer: &mut Lexer<'a>, key: &[u8], layout: &Layout) -> Result<bool, Flaw> {
        let part = match key {
            b"runtime_info" => &mut self.own.runtime,
            b"system_info" => &mut self.own.system,
            b"accelerator_info" => &mut self.own.accelerator,
            _ => return self.read_site(lexer, key),
        };
        *part = header(lexer, layout)?;
        self.is_own = true;
        Ok(true)
    }

    fn read_site(&mut self, lexer: &mut Lexer<'a>, key: &[u8]) -> Result<bool, Flaw> {
        let is_object = lexer.next()? == Next::Object;
        let site = &mut self.site;
        let name = match key {
            b"runtime" if is_object => {
                site.runtime = header_as_json(lexer)?;
                "runtime"
            }
            b"system" if is_object => {
                site.system = header_as_json(lexer)?;
                "system"
            }
            b"model" if is_object => {
                site.model = header_as_json(lexer)?;
                "model"
            }
            b"accelerator" if is_object => {
                site.accelerator.extend(header_as_json(lexer)?);
                "accelerator"
            }
            b"accelerator" => {
                site.accelerator.push(member(lexer, b"name")?);
                "accelerator"
            }
            b"accelerator_type" => {
                site.accelerator.push(member(lexer, b"type")?);
                "accelerator_type"
            }
            b"accelerator_memory_gb" => {
                site.accelerator.push(member(lexer, b"memory_gb")?);
                "accelerator_memory_gb"
            }
            _ => return Ok(false),
        };
        if self.site_keys.len() < MAX_NAMES {
            self.site_keys.push(name);
        }
        if site.accelerator.len() > MAX_NAMES {
            site.accelerator.truncate(MAX_NAMES);
        }
        Ok(true)
    }

    /// Fills in what the header tells.
    fn complete(self, layout: &Layout, document: &mut Document) -> Result<(), Flaw> {
        let is_site = !self.is_own && !self.site_keys.is_empty();
        let parts = if is_site { self.site } else { self.own };
        if self.is_own {
            for key in self.site_keys {
                note_unknown(&mut document.unknown, key.as_bytes());
            }
        }
        let mut reader = HeaderReader {
            layout: layout.is_c_tool(),
            is_jsonl: layout.is_jsonl || is_site,
            unknown: &mut document.unknown,
        };
        let environment = Environment {
            runtime: reader.runtime(parts.runtime)?,
            system: reader.system(parts.system)?,
            accelerator: reader.accelerator(parts.accelerator)?,
        };
        let model = reader.model(parts.model)?;
        let run = &mut document.run;
        run.environment = environment;
        for test in &mut run.tests {
            test.model.complete(&model);
        }
        if is_site && run.source == Source::Json {
            run.source = Source::Site;
        }
        Ok(())
    }
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

/// What stands between quotes, read as JSON; `None` if it is not JSON.
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
                b"commit" | b"commit_hash" => info.commit = self.text(member)?,
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
                b"version" | b"system_version" => info.version = self.text(member)?,
                _ => self.pass_over(&member),
            }
        }
        Ok(info)
    }

    /// What the site tells of the model, once for all tests.
    fn model(&mut self, members: Members<'_>) -> Result<Model, Flaw> {
        let mut model = Model::default();
        for member in members {
            match &*member.key {
                b"name" => model.model_name = self.text(member)?,
                b"quant" | b"quantization" => model.model_quant_str = self.text(member)?,
                b"params" => {
                    let params = number(&member)?.filter(|params| *params >= 0.0);
                    #[allow(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a count"
                    )]
                    let params = params.map(|params| params as u64);
                    model.model_n_params = params;
                }
                _ => self.pass_over(&member),
            }
        }
        Ok(model)
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
        note_unknown(self.unknown, &member.key);
    }
}

/// Notes the name of a key that means nothing to us.
fn note_unknown(unknown: &mut Vec<String>, key: &[u8]) {
    if unknown.len() < MAX_NAMES {
        unknown.push(String::from_utf8_lossy(key).into_owned());
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

/// Reads the tests of a document.
struct Tests {
    layout: Layout,
    unknown: Vec<String>,
    samples: usize,
}

impl Tests {
    fn new(text: &[u8]) -> Self {
        Self {
            layout: Layout::of_header(text),
            unknown: Vec::new(),
            samples: 0,
        }
    }

    fn read(&mut self, lexer: &mut Lexer<'_>, tests: &mut Vec<Test>) -> Result<(), Flaw> {
        lexer.array(|lexer| {
            let next = lexer.next()?;
            if next != Next::Object {
                return Err(lexer.flaw(format!("expected a test, found {}", next.name())));
            }
            let start = lexer.pos();
            let draft = self.test(lexer)?;
            let test = draft.build().map_err(|field| {
                let number = tests.len() + 1;
                Flaw::new(start, format!("no \"{}\" in test {number}", field.name()))
            })?;
            if tests.len() >= MAX_TESTS {
                let why = format!("a run of more than {MAX_TESTS} tests");
                return Err(Flaw::new(start, why));
            }
            tests.push(test);
            Ok(())
        })
    }

    fn pass_over(&mut self, key: &[u8]) {
        note_unknown(&mut self.unknown, key);
    }

    fn test(&mut self, lexer: &mut Lexer<'_>) -> Result<Draft, Flaw> {
        let mut draft = Draft::default();
        lexer.object(|lexer, key| {
            if let Some(field) = Field::from_name(&key.value) {
                let is_speed = matches!(field, Field::PromptTps | Field::GenTps);
                if self.layout.is_jsonl && is_speed && lexer.next()? == Next::Null {
                    draft.set_number(field, Some(f64::NAN));
                    return lexer.null();
                }
                return value(lexer, field, &mut draft);
            }
            if &*key.value == b"samples_ns" {
                lexer.peek();
                // Only the C tool sets off the brackets of this array by spaces, on one line.
                self.layout.samples &= lexer.rest().starts_with(b"[ ");
                let samples = samples(lexer, MAX_SAMPLES - self.samples)?;
                self.samples += samples.as_ref().map_or(0, Vec::len);
                draft.set_samples_ns(samples);
                return Ok(());
            }
            self.pass_over(&key.value);
            lexer.skip()
        })?;
        Ok(draft)
    }
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

fn samples(lexer: &mut Lexer<'_>, most: usize) -> Result<Option<Vec<u64>>, Flaw> {
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
                if samples.len() >= most {
                    let why = format!("more than {MAX_SAMPLES} samples in a document");
                    return Err(Flaw::new(at, why));
                }
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
            ("name", Printed::Text(&runtime.name)),
            ("version", Printed::Text(&runtime.version)),
            ("commit", Printed::Text(&runtime.commit)),
        ],
    )?;
    object(
        out,
        "system_info",
        &[
            ("cpu_name", Printed::Text(&system.cpu_name)),
            ("cpu_arch", Printed::Text(&system.cpu_arch)),
            ("ram_gb", Printed::Number(system.ram_gb)),
            ("kernel_type", Printed::Text(&system.kernel_type)),
            ("kernel_release", Printed::Text(&system.kernel_release)),
            ("version", Printed::Text(&system.version)),
        ],
    )?;
    object(
        out,
        "accelerator_info",
        &[
            ("name", Printed::Text(&accelerator.name)),
            ("manufacturer", Printed::Text(&accelerator.manufacturer)),
            ("memory_gb", Printed::Number(accelerator.memory_gb)),
            ("type", Printed::Text(&accelerator.kind)),
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

enum Printed<'a> {
    Text(&'a Option<Text>),
    Number(Option<f64>),
}

fn object(out: &mut dyn Write, name: &str, members: &[(&str, Printed<'_>)]) -> io::Result<()> {
    writeln!(out, "  \"{name}\": {{")?;
    for (index, (key, value)) in members.iter().enumerate() {
        write!(out, "    \"{key}\": ")?;
        match value {
            Printed::Text(Some(text)) => {
                out.write_all(b"\"")?;
                out.write_all(text.as_bytes())?;
                out.write_all(b"\"")?;
            }
            Printed::Number(Some(number)) => write_fixed(out, *number, 2)?,
            Printed::Text(None) | Printed::Number(None) => out.write_all(b"null")?,
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

//! What a document tells besides its tests: runtime, system, accelerator, model.

use super::MAX_NAMES;
use crate::formats::lexer::{Lexer, Next, Str};
use crate::formats::{Document, Flaw, number};
use crate::model::{AcceleratorInfo, Environment, Model, RuntimeInfo, Source, SystemInfo, Text};

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

/// What a document tells besides its tests: in LocalScore's own objects or, where it has none of
/// them, in those of its web site's API.
#[derive(Default)]
pub(super) struct Header<'a> {
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
    pub(super) fn read(
        &mut self,
        lexer: &mut Lexer<'a>,
        key: &[u8],
        layout: &Layout,
    ) -> Result<bool, Flaw> {
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
    pub(super) fn complete(self, layout: &Layout, document: &mut Document) -> Result<(), Flaw> {
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
pub(super) struct Layout {
    header: bool,
    pub(super) samples: bool,
    /// Whether it is a line of our own jsonl: its strings are JSON whatever they hold, and a speed,
    /// which every test has, is null where it was no number.
    pub(super) is_jsonl: bool,
}

impl Layout {
    pub(super) fn of_header(text: &[u8]) -> Self {
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
pub(super) fn note_unknown(unknown: &mut Vec<String>, key: &[u8]) {
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
            let number = number::parse(text);
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

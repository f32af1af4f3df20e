//! The json document of LocalScore, which `-o json` prints.
//!
//! The C tool does not escape the strings of the header, prints numbers with printf, and loses
//! each byte of 0x80 or more in a model's string. So the reader accepts more than JSON, and the
//! writer reproduces the bytes of the C tool.

mod header;
mod inner;
mod write;

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::grouping::MAX_TESTS;
use super::lexer::{Lexer, Next};
use super::{Document, Flaw, FlawKind, number};
use crate::model::{Draft, Field, Kind, NewValue, Source, Test};
use header::{Header, Layout, note_unknown};
pub(crate) use inner::{Inner, find_inner};
pub(crate) use write::write;

/// Known keys whose values are not needed: the summary of a payload, and what our jsonl adds.
const IGNORED: [&[u8]; 8] = [
    b"results_summary",
    b"id",
    b"tags",
    b"score",
    b"added_at",
    b"partial",
    b"rounded",
    b"link",
];

/// More members of a header object, or more unknown keys, are ignored.
const MAX_NAMES: usize = 64;

/// A document with more samples in all its tests is refused.
const MAX_SAMPLES: usize = 1_000_000;

/// A document with one of these keys may come from LocalScore.
const OURS: [&[u8]; 4] = [
    b"runtime_info",
    b"system_info",
    b"accelerator_info",
    b"results",
];

/// The error for a json document that does not come from LocalScore.
pub(crate) const NO_RESULTS: &str = "no \"results\" in this json document";

/// Whether the text has a key of LocalScore's documents.
#[must_use]
pub(crate) fn is_ours(text: &[u8]) -> bool {
    OURS_FINDERS.iter().any(|key| has_key(text, key))
}

static OURS_FINDERS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| OURS.map(Finder::new));

/// Whether the text has a key of LocalScore's header; other programs have `results` too.
#[must_use]
pub(crate) fn has_header(text: &[u8]) -> bool {
    OURS_FINDERS[..3].iter().any(|key| has_key(text, key))
}

/// Whether the text has the keys of a test.
#[must_use]
pub(crate) fn may_list_tests(text: &[u8]) -> bool {
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

/// Reads an object that is a test.
pub(crate) fn read_test(text: &[u8]) -> Result<Test, Flaw> {
    let mut reader = Tests::new(text);
    let draft = reader.test(&mut Lexer::new(text))?;
    draft
        .build()
        .map_err(|field| Flaw::new(0, format!("no \"{}\" in this test", field.name())))
}

/// Reads the document at the beginning of the text, with any key order and spacing, and returns
/// its length. If there is a flaw in its tests or after them, the document has the complete tests
/// before it; if there is one elsewhere, it has none.
pub(crate) fn read(text: &[u8]) -> (Document, usize, Option<Flaw>) {
    read_parts(text).unwrap_or_else(|flaw| (Document::default(), text.len(), Some(flaw)))
}

fn read_parts(text: &[u8]) -> Result<(Document, usize, Option<Flaw>), Flaw> {
    let mut document = Document::default();
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
            // In our jsonl this marks the values of a console table.
            b"rounded" if lexer.rest().trim_ascii_start().starts_with(b"true") => {
                document.run.source = Source::Console;
                lexer.skip()?;
            }
            key if IGNORED.contains(&key) => {
                reader.layout.is_jsonl |= key == b"added_at";
                lexer.skip()?;
            }
            key => {
                if !header.read(lexer, key, &reader.layout)? {
                    note_unknown(&mut reader.unknown, key);
                    lexer.skip()?;
                }
            }
        }
        Ok(())
    });
    let flaw = read.err();
    let Some(tests) = tests else {
        let flaw = flaw.unwrap_or_else(|| Flaw::new(0, NO_RESULTS));
        let kind = if ours { flaw.kind } else { FlawKind::Foreign };
        return Err(Flaw { kind, ..flaw });
    };

    document.unknown = reader.unknown;
    document.run.tests = tests;
    header.complete(&reader.layout, &mut document)?;
    Ok((document, lexer.pos(), flaw))
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
            layout: Layout::detect(text),
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

    fn test(&mut self, lexer: &mut Lexer<'_>) -> Result<Draft, Flaw> {
        let mut draft = Draft::default();
        lexer.object(|lexer, key| {
            if let Some(field) = Field::from_name(&key.value) {
                let is_speed = matches!(field, Field::PromptTps | Field::GenTps);
                if self.layout.is_jsonl && is_speed && lexer.next()? == Next::Null {
                    field.set(&mut draft.test, Some(NewValue::Number(f64::NAN)));
                    return lexer.null();
                }
                return value(lexer, field, &mut draft);
            }
            if &*key.value == b"samples_ns" {
                lexer.peek();
                // Only the C tool prints this array on one line with spaces inside the brackets.
                self.layout.samples &= lexer.rest().starts_with(b"[ ");
                let samples = samples(lexer, MAX_SAMPLES - self.samples)?;
                self.samples += samples.as_ref().map_or(0, Vec::len);
                draft.test.samples_ns = samples;
                return Ok(());
            }
            note_unknown(&mut self.unknown, &key.value);
            lexer.skip()
        })?;
        Ok(draft)
    }
}

/// Reads the value of a field.
fn value(lexer: &mut Lexer<'_>, field: Field, draft: &mut Draft) -> Result<(), Flaw> {
    let (kind, next) = (field.kind(), lexer.next()?);
    let name = field.name();
    let at = lexer.pos();
    let wrong = || {
        let wanted = number::kind_name(kind);
        Flaw::new(at, format!("\"{name}\" is {}, not {wanted}", next.name()))
    };
    let value = match (kind, next) {
        (_, Next::Null) => {
            lexer.null()?;
            None
        }
        (Kind::Text, Next::String) => {
            Some(NewValue::Text(lexer.string()?.value.into_owned().into()))
        }
        (Kind::Number, Next::Number) => Some(NewValue::Number(lexer.number()?)),
        (Kind::Integer | Kind::Unsigned, Next::Number) => Some(NewValue::Integer(lexer.integer()?)),
        // Other clients write numbers as strings, empty ones if they are missing.
        (Kind::Number | Kind::Integer | Kind::Unsigned, Next::String) => {
            match lexer.string()?.value.trim_ascii() {
                b"" => None,
                text => Some(number::parse_as(kind, text).ok_or_else(wrong)?),
            }
        }
        _ => return Err(wrong()),
    };
    draft.set(field, value).map_err(|why| Flaw::new(at, why))
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

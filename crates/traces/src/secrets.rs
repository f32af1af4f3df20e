//! Masks secrets before anything is written.
//!
//! A secret is a value under a key such as `api_key` or `token`, and a text of a known shape.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::stream::whole_characters;

/// What stands for a secret.
const MASK: &str = "***";

/// What is remembered of a secret that goes on in the next line: its first and its last bytes.
const ENDS: usize = 128;

/// How far before the end of a piece of text a secret may begin.
const TAIL: usize = 512;

/// The longest key in a text.
const KEY: usize = 64;

/// How deep JSON within strings of JSON is read.
const DEEPEST: u8 = 4;

/// The words that make a key one of a secret.
const WORDS: [&str; 4] = ["key", "token", "secret", "password"];

/// A known shape of a secret.
struct Shape {
    prefix: &'static str,
    /// The characters of the prefix that are kept.
    kept: usize,
    is_part: fn(u8) -> bool,
    /// The number of characters behind the prefix, at least.
    least: usize,
}

const SHAPES: [Shape; 7] = [
    Shape {
        prefix: "sk-",
        kept: 0,
        is_part: is_token,
        least: 8,
    },
    Shape {
        prefix: "ghp_",
        kept: 0,
        is_part: is_token,
        least: 4,
    },
    Shape {
        prefix: "github_pat_",
        kept: 0,
        is_part: is_token,
        least: 4,
    },
    Shape {
        prefix: "AKIA",
        kept: 0,
        is_part: is_upper,
        least: 12,
    },
    Shape {
        prefix: "xox",
        kept: 0,
        is_part: is_token,
        least: 6,
    },
    Shape {
        prefix: "Bearer ",
        kept: 7,
        is_part: is_bearer,
        least: 6,
    },
    Shape {
        prefix: "bearer ",
        kept: 7,
        is_part: is_bearer,
        least: 6,
    },
];

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_bearer(byte: u8) -> bool {
    is_token(byte) || b"._~+/=".contains(&byte)
}

/// Masks lines one after the other.
#[derive(Debug, Default)]
pub(crate) struct Masker {
    /// Whether the last lines, which are no JSON, are those of a private key.
    is_in_private_key: bool,
    /// The text of which more may come.
    pieces: Pieces,
}

impl Masker {
    /// The line without secrets; of JSON, the order and the spelling of all else stay.
    pub(crate) fn line<'a>(&mut self, line: &'a [u8]) -> Cow<'a, [u8]> {
        match String::from_utf8_lossy(line) {
            Cow::Borrowed(text) => match self.text(text) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            Cow::Owned(text) => Cow::Owned(self.text(&text).into_owned().into_bytes()),
        }
    }

    fn text<'a>(&mut self, line: &'a str) -> Cow<'a, str> {
        if is_json(line) {
            self.is_in_private_key = false;
            let pieces = if is_piece(line) {
                Some(&mut self.pieces)
            } else {
                self.pieces = Pieces::default();
                None
            };
            return json(line, DEEPEST, pieces);
        }
        // It may be JSON that was cut off.
        let is_cut = !self.is_in_private_key && line.trim_start().starts_with(['{', '[']);
        match is_cut.then(|| json(line, DEEPEST, None)) {
            Some(Cow::Owned(masked)) => Cow::Owned(self.plain(&masked).into_owned()),
            _ => self.plain(line),
        }
    }

    /// A line that is no JSON. A private key is several of them.
    fn plain<'a>(&mut self, line: &'a str) -> Cow<'a, str> {
        if self.is_in_private_key {
            self.is_in_private_key = !line.contains("-----END ");
            return Cow::Owned(MASK.to_owned());
        }
        let begin = private_key(line, 0);
        self.is_in_private_key = begin.is_some_and(|(_, end)| end.is_none());
        text(line)
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether the line has a piece of a text, of which more may come. Of the agents whose lines are read,
/// gemini prints such.
fn is_piece(line: &str) -> bool {
    #[derive(Deserialize)]
    struct Piece<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        delta: bool,
    }
    let piece = || serde_json::from_str(line).ok();
    line.contains("\"delta\"")
        && piece().is_some_and(|piece: Piece| piece.kind == "message" && piece.delta)
}

/// The text without secrets.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let found = find(text, false);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::new();
    let mut done = 0;
    for (begin, end) in found {
        masked += &text[done..begin];
        masked += MASK;
        done = end;
    }
    masked += &text[done..];
    Cow::Owned(masked)
}

/// Where the secrets of a text are, in order. Where more of the text may come, also what may be the
/// beginning of one.
fn find(text: &str, goes_on: bool) -> Vec<(usize, usize)> {
    let shapes = SHAPES.iter().flat_map(|shape| shape.find(text, goes_on));
    let mut found: Vec<(usize, usize)> = shapes.collect();
    let mut from = 0;
    while let Some((begin, end)) = private_key(text, from) {
        from = end.unwrap_or(text.len());
        found.push((begin, from));
    }
    let mut from = 0;
    while let Some((begin, end)) = value(text, from) {
        from = end;
        found.push((begin, end));
    }
    found.sort_unstable();
    let mut apart: Vec<(usize, usize)> = Vec::new();
    for (begin, end) in found {
        match apart.last_mut() {
            Some(last) if begin < last.1 => last.1 = last.1.max(end),
            _ => apart.push((begin, end)),
        }
    }
    apart
}

/// A text that comes in pieces, each of which is written before the next one is known.
#[derive(Debug, Default)]
struct Pieces {
    /// The end of what has come.
    tail: String,
    /// Whether a secret may go on, whose beginning was masked.
    is_open: bool,
}

impl Pieces {
    /// The next piece without secrets, also without its share of one that began before.
    fn next(&mut self, piece: &str) -> String {
        let before = self.tail.len();
        let joined = std::mem::take(&mut self.tail) + piece;
        let mut masked = String::new();
        let mut done = before;
        let was_open = std::mem::take(&mut self.is_open);
        let mut kept = joined.len().saturating_sub(TAIL);
        for (begin, end) in find(&joined, true) {
            if end > before {
                masked += &joined[done..begin.max(done)];
                if begin >= before || !was_open {
                    masked += MASK;
                }
                done = end;
            }
            if end == joined.len() {
                self.is_open = true;
                // With what tells that it is one: 'Bearer', or a key.
                kept = begin.saturating_sub(ENDS - 1);
            }
        }
        masked += &joined[done..];
        let floor = |at| joined.floor_char_boundary(at);
        // The beginning of a long secret says as much as all of it.
        self.tail = if joined.len() - kept > TAIL + ENDS {
            let ends = (floor(kept + ENDS), floor(joined.len() - ENDS));
            [&joined[kept..ends.0], &joined[ends.1..]].concat()
        } else {
            joined[floor(kept)..].to_owned()
        };
        masked
    }
}

impl Shape {
    fn find<'a>(
        &'a self,
        text: &'a str,
        goes_on: bool,
    ) -> impl Iterator<Item = (usize, usize)> + 'a {
        let bytes = text.as_bytes();
        memchr::memmem::find_iter(bytes, self.prefix).filter_map(move |at| {
            let begin = at + self.prefix.len();
            let length = bytes[begin..]
                .iter()
                .take_while(|byte| (self.is_part)(**byte))
                .count();
            let end = begin + length;
            let is_long = length >= self.least || (goes_on && end == bytes.len());
            // Of Slack, `xoxb-` and others: a letter and a dash.
            let is_shape = self.prefix != "xox" || bytes.get(begin + 1).is_none_or(|&b| b == b'-');
            let is_found = is_long && is_shape && !is_inside(&bytes[..at]);
            (is_found && at + self.kept < end).then_some((at + self.kept, end))
        })
    }
}

/// Whether what comes behind these bytes goes on with a word.
fn is_inside(before: &[u8]) -> bool {
    // The end of a line, as it is spelled in JSON and in commands.
    let is_new = matches!(before, [.., b'\\', b'n' | b'r' | b't']);
    !is_new && before.last().is_some_and(|byte| is_token(*byte))
}

/// The next private key in PEM: its beginning, and its end if that is there.
fn private_key(text: &str, from: usize) -> Option<(usize, Option<usize>)> {
    let mut from = from;
    loop {
        let begin = from + text[from..].find("-----BEGIN ")?;
        let label = begin + "-----BEGIN ".len();
        let end_of_label = label + text[label..].find("-----")?;
        from = end_of_label;
        if !text[label..end_of_label].contains("PRIVATE KEY") {
            continue;
        }
        let end = text[end_of_label..].find("-----END ").map(|end| {
            let end = end_of_label + end + "-----END ".len();
            text[end..]
                .find("-----")
                .map_or(text.len(), |length| end + length + 5)
        });
        return Some((begin, end));
    }
}

/// The next value in quotation marks, under a key in the same ones that is one of a secret: JSON and other
/// notations within a text, at any depth of escapes.
fn value(text: &str, mut from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let escapes = |at: usize| {
        let before = bytes[..at].iter().rev();
        before.take_while(|byte| **byte == b'\\').count()
    };
    loop {
        let quote = from + memchr::memchr2(b'"', b'\'', &bytes[from..])?;
        from = quote + 1;
        let is_of_key = |byte: &&u8| is_token(**byte) || **byte == b'.';
        let key = bytes[from..].iter().take(KEY).take_while(is_of_key).count();
        let key = &text[from..from + key];
        if Under::Plain.key(key) == Under::Plain {
            continue;
        }
        let mark = &text[quote - escapes(quote)..=quote];
        let rest = text[from + key.len()..].strip_prefix(mark);
        let rest = rest.and_then(|rest| rest.trim_start().strip_prefix(':'));
        let rest = rest.and_then(|rest| rest.trim_start().strip_prefix(mark));
        let Some(rest) = rest else {
            continue;
        };
        let begin = text.len() - rest.len();
        let mut ends = memchr::memchr_iter(bytes[quote], rest.as_bytes()).map(|at| begin + at);
        let end = ends.find(|end| escapes(*end) < mark.len());
        let end = end.map_or(text.len(), |end| end - escapes(end).min(end - begin));
        return Some((begin, end));
    }
}

/// What the key above a value makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Under {
    /// Nothing.
    Plain,
    /// A secret, unless it is a number: tokens are counted.
    Token,
    /// A secret.
    Secret,
}

impl Under {
    /// What `key` makes of its value, which lies below `self`.
    fn key(self, key: &str) -> Self {
        let key = key.to_lowercase();
        let mut words = WORDS.iter().filter(|word| key.contains(**word));
        match words.next() {
            _ if self == Self::Secret => self,
            None => self,
            Some(&"token") if words.next().is_none() => Self::Token,
            Some(_) => Self::Secret,
        }
    }
}

/// The JSON without secrets. What is not valid in it is passed over. `pieces` has the text before, where the
/// `content` of the object is one that goes on.
fn json<'a>(line: &'a str, depth: u8, mut pieces: Option<&mut Pieces>) -> Cow<'a, str> {
    let bytes = line.as_bytes();
    let mut masked = String::new();
    let mut done = 0;
    // For each open object or list, what is above it, and whether it is an object.
    let mut open: Vec<(Under, bool)> = Vec::new();
    let mut under = Under::Plain;
    let mut is_content = false;
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        at += 1;
        let replaced = match bytes[begin] {
            b'{' | b'[' => {
                open.push((under, bytes[begin] == b'{'));
                continue;
            }
            b'}' | b']' => {
                under = open.pop().map_or(Under::Plain, |(above, _)| above);
                continue;
            }
            b',' => {
                under = open.last().map_or(Under::Plain, |(above, _)| *above);
                continue;
            }
            b'"' => {
                at = end_of_string(bytes, at);
                let spelled = &line[begin..at];
                let read = serde_json::from_str::<String>(&whole_characters(spelled)).ok();
                // What is no string in JSON is masked as it is spelled.
                let string = read.as_deref().unwrap_or(spelled);
                let rest = line[at..].trim_start();
                let is_key = open.last().is_some_and(|(_, is_object)| *is_object);
                let replaced = if is_key && rest.starts_with(':') {
                    let above = open.last().map_or(Under::Plain, |(above, _)| *above);
                    under = above.key(string);
                    is_content = open.len() == 1 && string == "content";
                    text(string)
                } else if under != Under::Plain {
                    Cow::Owned(MASK.to_owned())
                } else if let Some(pieces) = pieces.as_mut().filter(|_| is_content) {
                    is_content = false;
                    match pieces.next(string) {
                        masked if masked == string => Cow::Borrowed(string),
                        masked => Cow::Owned(masked),
                    }
                } else if depth > 0 && is_json(string) {
                    json(string, depth - 1, None)
                } else {
                    text(string)
                };
                match replaced {
                    Cow::Owned(replaced) if read.is_some() || replaced == MASK => {
                        serde_json::to_string(&replaced).ok()
                    }
                    Cow::Owned(replaced) => Some(replaced),
                    Cow::Borrowed(_) => None,
                }
            }
            b'-' | b'0'..=b'9' => {
                let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| is_number(byte))
                    .count();
                (under == Under::Secret).then(|| format!("\"{MASK}\""))
            }
            _ => continue,
        };
        if let Some(replaced) = replaced {
            masked += &line[done..begin];
            masked += &replaced;
            done = at;
        }
    }
    if done == 0 {
        return Cow::Borrowed(line);
    }
    masked += &line[done..];
    Cow::Owned(masked)
}

/// Where the string ends of which the first character is at `at`: behind its quotation mark, or with the text.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        at += if *byte == b'\\' { 2 } else { 1 };
        if *byte == b'"' {
            return at;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str) -> String {
        String::from_utf8(Masker::default().line(line.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn values_under_keys_of_secrets_are_masked_and_all_else_stays_as_it_was_spelled() {
        for (given, masked) in [
            (
                r#"{"z": 1.50, "api_key" : "a", "a":"\u0041"}"#,
                r#"{"z": 1.50, "api_key" : "***", "a":"\u0041"}"#,
            ),
            (
                r#"{"Password":12,"n":{"secret":["a",{"b":"c"}],"d":"e"}}"#,
                r#"{"Password":"***","n":{"secret":["***",{"b":"***"}],"d":"e"}}"#,
            ),
            (
                r#"{"tokens":{"input":5,"x":"y"},"total_tokens":7}"#,
                r#"{"tokens":{"input":5,"x":"***"},"total_tokens":7}"#,
            ),
            (
                r#"{"text":"{\"token\":\"a\",\"b\":[1,2]}"}"#,
                r#"{"text":"{\"token\":\"***\",\"b\":[1,2]}"}"#,
            ),
            (
                r#"[{"key":null,"a":true},"key","a"]"#,
                r#"[{"key":null,"a":true},"key","a"]"#,
            ),
        ] {
            assert_eq!(line(given), masked);
        }
    }

    #[test]
    fn known_shapes_are_masked_in_any_text() {
        for (given, masked) in [
            (
                r#"{"a":"use sk-abcdEFGH1234 now"}"#,
                r#"{"a":"use *** now"}"#,
            ),
            ("export T=ghp_0123456789abcdef", "export T=***"),
            (
                "a github_pat_11ABCDEFG0_x, AKIAIOSFODNN7EXAMPLE",
                "a ***, ***",
            ),
            ("xoxb-123456789-abc xox", "*** xox"),
            (
                "Authorization: Bearer abc.def-123=",
                "Authorization: Bearer ***",
            ),
            (
                "task-list-of-many-words risk-assessment",
                "task-list-of-many-words risk-assessment",
            ),
            (
                r#"{"a":"x -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- y"}"#,
                r#"{"a":"x *** y"}"#,
            ),
            (
                r#"{"a":"-----BEGIN PUBLIC KEY-----\nabc"}"#,
                r#"{"a":"-----BEGIN PUBLIC KEY-----\nabc"}"#,
            ),
        ] {
            assert_eq!(line(given), masked);
        }
    }

    #[test]
    fn what_is_no_valid_json_is_masked_as_if_it_were() {
        for (given, masked) in [
            // Cut off.
            (r#"{"api_key":"hunter2"#, r#"{"api_key":"***""#),
            (r#"{"a":{"token":"hunter2"},"#, r#"{"a":{"token":"***"},"#),
            (r#"{"a":"sk-abcdefgh12345678"#, r#"{"a":"***"#),
            (r#"{"a\"#, r#"{"a\"#),
            // Half of a character, as JavaScript prints it.
            (
                r#"{"a":"sk-abcdefgh12345678 \ud83d","key":"b\ude00"}"#,
                r#"{"a":"*** �","key":"***"}"#,
            ),
            (
                r#"{"a":"\q sk-abcdefgh12345678","key":"\q"}"#,
                r#"{"a":"\q ***","key":"***"}"#,
            ),
            // In a key, and behind the end of a line as it is spelled.
            (
                r#"{"sk-abcdefgh12345678":["\\nghp_0123456789"]}"#,
                r#"{"***":["\\n***"]}"#,
            ),
        ] {
            assert_eq!(line(given), masked);
        }
        let deep = format!(
            r#"{}"password":"hunter2"{}"#,
            r#"{"a":"#.repeat(200) + "{",
            "}".repeat(201)
        );
        assert!(!line(&deep).contains("hunter2"));
        let masked = Masker::default()
            .line(b"{\"a\":\"\xff\",\"token\":\"b\"}")
            .into_owned();
        assert_eq!(
            String::from_utf8(masked).unwrap(),
            "{\"a\":\"�\",\"token\":\"***\"}"
        );
    }

    /// The pieces of a text, each masked before the next one is known.
    fn pieces(pieces: &[&str]) -> Vec<String> {
        let mut masker = Masker::default();
        let mut next = |piece: &&str| {
            let given = serde_json::json!({
                "type": "message", "role": "assistant", "content": piece, "delta": true,
            });
            let given = given.to_string();
            let masked: serde_json::Value =
                serde_json::from_slice(&masker.line(given.as_bytes())).unwrap();
            masked["content"].as_str().unwrap().to_owned()
        };
        pieces.iter().map(&mut next).collect()
    }

    #[test]
    fn values_under_keys_within_a_text_are_masked() {
        for (given, masked) in [
            (
                r#"out: {"api_key": "a b", "n": "m"}"#,
                r#"out: {"api_key": "***", "n": "m"}"#,
            ),
            (
                r#"echo "{\"token\":\"a\",\"b\":\"c\"}""#,
                r#"echo "{\"token\":\"***\",\"b\":\"c\"}""#,
            ),
            (
                "{'Secret' : 'it\\'s', 'a': 1}",
                "{'Secret' : '***', 'a': 1}",
            ),
            (r#"x "password": "cut"#, r#"x "password": "***"#),
            (
                r#"x "password": "", "key""#,
                r#"x "password": "***", "key""#,
            ),
            (r#"a "key" and "a": "b""#, r#"a "key" and "a": "b""#),
        ] {
            assert_eq!(text(given), masked);
        }
    }

    #[test]
    fn a_secret_over_several_pieces_of_a_text_is_masked() {
        for (given, masked) in [
            (
                ["use sk-abc", "defgh12", "345678 now"],
                ["use ***", "", " now"],
            ),
            (["Bearer ", "abcdef", ". So"], ["Bearer ", "***", " So"]),
            (["the gh", "p_0123456789", " it"], ["the gh", "***", " it"]),
            (
                [
                    "-----BEGIN PRIVATE",
                    " KEY-----\nMII",
                    "Ev\n-----END PRIVATE KEY-----.",
                ],
                ["-----BEGIN PRIVATE", "***", "."],
            ),
            (
                ["a task-", "list of", " words"],
                ["a task-", "list of", " words"],
            ),
        ] {
            assert_eq!(pieces(&given), masked);
        }
        assert_eq!(
            pieces(&[r#"x {"my_password": "hunt"#, r#"er2", "a": "b"}"#]),
            [r#"x {"my_password": "***"#, r#"", "a": "b"}"#]
        );
        let long = "a".repeat(1000);
        let given: Vec<&str> = ["x sk-"]
            .into_iter()
            .chain([&*long; 10])
            .chain([" b"])
            .collect();
        assert_eq!(pieces(&given).concat(), "x *** b");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd_to_be_masked(
            text in r#"([{}\[\]":,\\unsé-]|sk-|delta|token|Bearer |-----BEGIN |PRIVATE KEY-----|\\ud83d|[0-9a-z]{9}){0,40}"#,
            at in proptest::prelude::any::<proptest::sample::Index>(),
        ) {
            let bytes = text.as_bytes();
            let mut masker = Masker::default();
            // Any bytes, and two pieces of a text that are cut anywhere.
            masker.line(&bytes[..at.index(bytes.len() + 1)]);
            masker.line(bytes);
            let cut = text.floor_char_boundary(at.index(bytes.len() + 1));
            let masked = pieces(&[&text[..cut], &text[cut..]]);
            proptest::prop_assert!(!masked.concat().contains("Bearer sk-aaaaaaaaa"));
        }
    }

    #[test]
    fn a_private_key_over_several_lines_is_masked() {
        let mut masker = Masker::default();
        let mut masked =
            |line: &str| String::from_utf8(masker.line(line.as_bytes()).into_owned()).unwrap();
        assert_eq!(masked("-----BEGIN PRIVATE KEY-----"), "***");
        assert_eq!(masked("MIIEvQ"), "***");
        assert_eq!(masked("-----END PRIVATE KEY-----"), "***");
        assert_eq!(masked("MIIEvQ"), "MIIEvQ");
    }
}

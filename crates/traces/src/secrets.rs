//! Masks secrets before anything is written.
//!
//! A secret is a value under a key such as `api_key` or `token`, and a text of a known shape.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// What stands for a secret.
const MASK: &str = "***";

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
        least: 8,
    },
    Shape {
        prefix: "github_pat_",
        kept: 0,
        is_part: is_token,
        least: 8,
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
        least: 8,
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
}

impl Masker {
    /// The line without secrets; of JSON, the order and the spelling of all else stay.
    pub(crate) fn line<'a>(&mut self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Cow::Owned(
                self.plain(&String::from_utf8_lossy(line))
                    .into_owned()
                    .into_bytes(),
            );
        };
        let masked = if is_json(text) {
            self.is_in_private_key = false;
            json(text, DEEPEST)
        } else {
            self.plain(text)
        };
        match masked {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
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

/// The text without secrets.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let mut found: Vec<(usize, usize)> = SHAPES.iter().flat_map(|shape| shape.find(text)).collect();
    let mut from = 0;
    while let Some((begin, end)) = private_key(text, from) {
        from = end.unwrap_or(text.len());
        found.push((begin, from));
    }
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_unstable();
    let mut masked = String::new();
    let mut done = 0;
    for (begin, end) in found {
        if begin >= done {
            masked += &text[done..begin];
            masked += MASK;
        }
        done = done.max(end);
    }
    masked += &text[done..];
    Cow::Owned(masked)
}

impl Shape {
    fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
        let bytes = text.as_bytes();
        memchr::memmem::find_iter(bytes, self.prefix).filter_map(move |at| {
            let begin = at + self.prefix.len();
            let is_inside = at > 0 && is_token(bytes[at - 1]);
            let length = bytes[begin..]
                .iter()
                .take_while(|byte| (self.is_part)(**byte))
                .count();
            // Of Slack, `xoxb-` and others: a letter and a dash.
            let is_shape = self.prefix != "xox" || bytes.get(begin + 1) == Some(&b'-');
            (!is_inside && is_shape && length >= self.least)
                .then_some((at + self.kept, begin + length))
        })
    }
}

/// The next private key in PEM: its beginning, and its end if that is there.
fn private_key(text: &str, from: usize) -> Option<(usize, Option<usize>)> {
    let mut from = from;
    loop {
        let begin = from + text[from..].find("-----BEGIN ")?;
        let label = begin + "-----BEGIN ".len();
        let end_of_label = label + text[label..].find("-----")?;
        from = end_of_label;
        if !text[label..end_of_label].ends_with("PRIVATE KEY") {
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

/// The JSON without secrets. It must be valid.
fn json(line: &str, depth: u8) -> Cow<'_, str> {
    let bytes = line.as_bytes();
    let mut masked = String::new();
    let mut done = 0;
    // For each open object or list, what is above it, and the last key of an object.
    let mut open: Vec<(Under, bool)> = Vec::new();
    let mut under = Under::Plain;
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        at += 1;
        match bytes[begin] {
            b'{' | b'[' => open.push((under, bytes[begin] == b'{')),
            b'}' | b']' => under = open.pop().map_or(Under::Plain, |(above, _)| above),
            b',' => under = open.last().map_or(Under::Plain, |(above, _)| *above),
            b'"' => {
                while let Some(byte) = bytes.get(at) {
                    at += if *byte == b'\\' { 2 } else { 1 };
                    if *byte == b'"' {
                        break;
                    }
                }
                let Ok(string) = serde_json::from_str::<String>(&line[begin..at]) else {
                    continue;
                };
                let rest = line[at..].trim_start();
                if open.last().is_some_and(|(_, is_object)| *is_object) && rest.starts_with(':') {
                    under = open
                        .last()
                        .map_or(Under::Plain, |(above, _)| *above)
                        .key(&string);
                    continue;
                }
                let replaced = match under {
                    Under::Plain if depth > 0 && is_json(&string) => json(&string, depth - 1),
                    Under::Plain => text(&string),
                    Under::Token | Under::Secret => Cow::Owned(MASK.to_owned()),
                };
                if let Cow::Owned(replaced) = replaced
                    && let Ok(replaced) = serde_json::to_string(&replaced)
                {
                    masked += &line[done..begin];
                    masked += &replaced;
                    done = at;
                }
            }
            b'-' | b'0'..=b'9' => {
                let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| is_number(byte))
                    .count();
                if under == Under::Secret {
                    masked += &line[done..begin];
                    masked += "\"***\"";
                    done = at;
                }
            }
            _ => {}
        }
    }
    if done == 0 {
        return Cow::Borrowed(line);
    }
    masked += &line[done..];
    Cow::Owned(masked)
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

//! A lexer for json: strict where a mistake could be taken for data, lenient where the C tool is
//! (nan and inf are numbers, strings may contain any byte except a newline).

use std::borrow::Cow;

use super::Flaw;
use super::number;

/// Deeper nesting is refused; no result needs it.
const MAX_DEPTH: usize = 64;

/// Reads one json text, value by value.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
}

/// The kind of the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Object,
    Array,
    String,
    Number,
    Null,
    Bool,
}

impl Next {
    /// The name for a message.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Null => "null",
            Self::Bool => "true or false",
        }
    }
}

/// A string.
#[derive(Debug, Clone)]
pub(crate) struct Str<'a> {
    /// The bytes between the quotes.
    pub raw: &'a [u8],
    /// The same with the escapes decoded.
    pub value: Cow<'a, [u8]>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, pos: 0 }
    }

    /// The number of bytes read so far.
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// The text that has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.text[self.pos..]
    }

    /// Goes on at another place.
    pub(crate) fn seek(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// A flaw here; at the end of the text, the document is cut off.
    pub(crate) fn flaw(&self, why: impl Into<String>) -> Flaw {
        if self.pos >= self.text.len() {
            return Flaw::cut(self.text.len());
        }
        Flaw::new(self.pos, why)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.pos) {
            self.pos += 1;
        }
    }

    /// The next byte that is not white space.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.pos).copied()
    }

    /// Takes the byte `wanted`, or fails.
    pub(crate) fn expect(&mut self, wanted: u8) -> Result<(), Flaw> {
        if self.take(wanted) {
            return Ok(());
        }
        Err(self.flaw(format!(
            "expected '{}', found {}",
            char::from(wanted),
            self.found()
        )))
    }

    /// Takes the byte if it comes next.
    pub(crate) fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.pos += 1;
        }
        found
    }

    fn found(&self) -> String {
        match self.text.get(self.pos) {
            Some(byte) if byte.is_ascii_graphic() => format!("'{}'", char::from(*byte)),
            Some(byte) => format!("byte 0x{byte:02x}"),
            None => "the end".to_owned(),
        }
    }

    /// The kind of the next value.
    pub(crate) fn next(&mut self) -> Result<Next, Flaw> {
        match self.peek() {
            Some(b'{') => Ok(Next::Object),
            Some(b'[') => Ok(Next::Array),
            Some(b'"') => Ok(Next::String),
            Some(b'n') if self.rest().starts_with(b"null") => Ok(Next::Null),
            // nan begins like null.
            Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'i' | b'I' | b'n' | b'N') => Ok(Next::Number),
            Some(b't' | b'f') => Ok(Next::Bool),
            _ => Err(self.flaw(format!("expected a value, found {}", self.found()))),
        }
    }

    /// Reads an object and calls `member` for each key, which must read the value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &Str<'a>) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.flaw(format!("expected a key, found {}", self.found())));
            }
            let key = self.string()?;
            self.expect(b':')?;
            member(self, &key)?;
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Reads an array and calls `element` for each value, which must read it.
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
    }

    /// Reads a string.
    pub(crate) fn string(&mut self) -> Result<Str<'a>, Flaw> {
        self.expect(b'"')?;
        let start = self.pos;
        let mut decoded: Option<Vec<u8>> = None;
        let mut copied = start;
        loop {
            let Some(step) = memchr::memchr3(b'"', b'\\', b'\n', &self.text[self.pos..]) else {
                self.pos = self.text.len();
                return Err(self.flaw(""));
            };
            self.pos += step;
            match self.text[self.pos] {
                b'"' => break,
                b'\n' => return Err(Flaw::new(start, "a string without its closing quote")),
                _ => {
                    let value = decoded.get_or_insert_default();
                    value.extend_from_slice(&self.text[copied..self.pos]);
                    self.escape(value)?;
                    copied = self.pos;
                }
            }
        }
        let raw = &self.text[start..self.pos];
        let value = match decoded {
            None => Cow::Borrowed(raw),
            Some(mut value) => {
                value.extend_from_slice(&self.text[copied..self.pos]);
                Cow::Owned(value)
            }
        };
        self.pos += 1;
        Ok(Str { raw, value })
    }

    /// Decodes the escape sequence here.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Flaw> {
        let at = self.pos;
        let bad = || Flaw::new(at, "a bad escape in a string");
        let Some(&letter) = self.text.get(at + 1) else {
            self.pos = self.text.len();
            return Err(self.flaw(""));
        };
        self.pos += 2;
        out.push(match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut unit = self.hex4().ok_or_else(bad)?;
                if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with(b"\\u") {
                    let back = self.pos;
                    self.pos += 2;
                    match self.hex4() {
                        Some(low) if (0xdc00..0xe000).contains(&low) => {
                            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        }
                        _ => self.pos = back,
                    }
                }
                // An unpaired surrogate is not a character.
                let c = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(bad()),
        });
        Ok(())
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.pos..self.pos + 4)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        self.pos += 4;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    /// Reads a number that may be nan or inf.
    pub(crate) fn number(&mut self) -> Result<f64, Flaw> {
        self.parsed(number::parse, "a number")
    }

    /// Reads an integer.
    pub(crate) fn integer(&mut self) -> Result<i128, Flaw> {
        self.parsed(number::parse_integer, "an integer")
    }

    fn parsed<T>(&mut self, parse: fn(&[u8]) -> Option<T>, wanted: &str) -> Result<T, Flaw> {
        self.skip_space();
        let at = self.pos;
        let rest = self.rest();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.()".contains(byte);
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        self.pos += length;
        // A number at the end of the text may be the beginning of a longer one.
        if self.pos >= self.text.len() {
            return Err(self.flaw(""));
        }
        let text = &rest[..length];
        parse(text).ok_or_else(|| Flaw::new(at, format!("{} is not {wanted}", quoted(text))))
    }

    /// Reads `null`.
    pub(crate) fn null(&mut self) -> Result<(), Flaw> {
        self.word(b"null")
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Flaw> {
        self.skip_space();
        if self.rest().starts_with(word) {
            self.pos += word.len();
            return Ok(());
        }
        if word.starts_with(self.rest()) {
            self.pos = self.text.len();
        }
        Err(self.flaw(format!("expected a value, found {}", self.found())))
    }

    /// Skips a value of any kind.
    pub(crate) fn skip(&mut self) -> Result<(), Flaw> {
        self.skip_within(MAX_DEPTH)
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), Flaw> {
        match self.next()? {
            Next::Object | Next::Array if depth == 0 => {
                self.pos += 1;
                Err(self.flaw(format!("nested more than {MAX_DEPTH} deep")))
            }
            Next::Object => self.object(|lexer, _| lexer.skip_within(depth - 1)),
            Next::Array => self.array(|lexer| lexer.skip_within(depth - 1)),
            Next::String => self.string().map(drop),
            Next::Number => self.number().map(drop),
            Next::Null => self.null(),
            Next::Bool if self.peek() == Some(b't') => self.word(b"true"),
            Next::Bool => self.word(b"false"),
        }
    }
}

/// A part of the text for a message, cut if it is long.
pub(crate) fn quoted(text: &[u8]) -> String {
    const LONGEST: usize = 40;
    let shown = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]);
    let dots = if text.len() > LONGEST { "…" } else { "" };
    format!("'{shown}{dots}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Result<Vec<u8>, Flaw> {
        Lexer::new(text.as_bytes())
            .string()
            .map(|s| s.value.into_owned())
    }

    #[test]
    fn strings_are_decoded() {
        assert_eq!(
            string(r#""a\"\\\/\u0009é""#).unwrap(),
            "a\"\\/\té".as_bytes()
        );
        assert_eq!(string(r#""\ud83d\ude00""#).unwrap(), "😀".as_bytes());
        assert_eq!(string(r#""\ud83dx""#).unwrap(), "\u{fffd}x".as_bytes());
        assert_eq!(string(r#""\ufffff""#).unwrap(), "\u{ffff}f".as_bytes());
    }

    #[test]
    fn a_string_ends_on_its_line() {
        assert!(
            string("\"abc\ndef\"")
                .unwrap_err()
                .why
                .contains("closing quote")
        );
        assert!(string("\"abc").unwrap_err().why.contains("cut off"));
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let text = "[".repeat(1_000_000);
        let flaw = Lexer::new(text.as_bytes()).skip().unwrap_err();
        assert!(flaw.why.contains("nested"), "{}", flaw.why);
        assert!(flaw.offset < 100);
    }

    #[test]
    fn any_value_can_be_passed_over() {
        let text = br#"{"a":[1,{"b":null,"c":[]},"x"],"d":{},"e":-nan,"f":true} rest"#;
        let mut lexer = Lexer::new(text);
        lexer.skip().unwrap();
        assert_eq!(lexer.rest(), b" rest");
    }
}

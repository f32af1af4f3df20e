//! JSON with what serde's own value loses: the text of numbers, the order of members, and where they
//! are. Written as Python's `json.dumps` writes it.
//!
//! Of a doubled key the last value counts, at the place of the first, as in Python.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use base::one_line;

/// The deepest nesting that is read.
const DEEPEST: usize = 128;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it is spelled.
    Number(String),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

/// The members of an object in their order; each key once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object(Vec<Member>);

/// A member of an object.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: Json,
    /// Where the value begins: a byte of the text that was read, 0 for one that was set since.
    pub(crate) at: usize,
}

/// Where it is does not make a member another one.
impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

/// What is wrong with a text that is not JSON, and at which of its bytes.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// What is wrong.
    pub(crate) why: String,
    /// At which byte.
    pub(crate) at: usize,
}

impl Json {
    /// Reads one value. Not JSON here, though Python reads them: `NaN`, `Infinity`, half of a surrogate
    /// pair, and nesting beyond 128.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut reader = Reader::new(text);
        let value = reader.value()?;
        match reader.peek() {
            None => Ok(value),
            Some(_) => reader.failed("something after the end of the value"),
        }
    }

    /// Reads all values of a text, one after the other, and of an array its elements; each with the byte
    /// at which it begins.
    pub(crate) fn parse_all(text: &str) -> Result<Vec<(usize, Self)>, Malformed> {
        let mut reader = Reader::new(text);
        let mut values = Vec::new();
        let mut take = |reader: &mut Reader<'_>| {
            reader.peek();
            values.push((reader.at, reader.value()?));
            Ok(())
        };
        while let Some(first) = reader.peek() {
            match first {
                b'[' => reader.items(b']', "array", &mut take)?,
                _ => take(&mut reader)?,
            }
        }
        Ok(values)
    }

    /// The text, if it is a string.
    #[must_use]
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The member of this name, if it is an object with such a string.
    #[must_use]
    pub(crate) fn string(&self, key: &str) -> Option<&str> {
        self.as_object()?.get(key)?.as_str()
    }

    /// The members, if it is an object.
    #[must_use]
    pub(crate) fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub(crate) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The text of a file: sorted keys, indented by two, and a final newline.
    #[must_use]
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, Some(0), false);
        out.push('\n');
        out
    }

    /// The text in one line, with sorted keys and without a newline.
    #[must_use]
    pub(crate) fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None, false);
        out
    }

    /// The text that is hashed: compact, and each number as Python prints it.
    #[must_use]
    pub(crate) fn canonical(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None, true);
        out
    }

    /// `level` is how deep the value is in an indented text; `None` for a compact one.
    fn write(&self, out: &mut String, level: Option<usize>, canonical: bool) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(text) if canonical => out.push_str(&python_number(text)),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_string(out, text),
            Self::Array(values) => {
                write_items(out, level, ['[', ']'], values, |out, value, level| {
                    value.write(out, level, canonical);
                });
            }
            Self::Object(object) => {
                let mut members: Vec<&Member> = object.0.iter().collect();
                // The order of the bytes of UTF-8 is that of the code points.
                members.sort_by(|one, two| one.key.cmp(&two.key));
                write_items(out, level, ['{', '}'], &members, |out, member, level| {
                    write_string(out, &member.key);
                    out.push_str(if level.is_some() { ": " } else { ":" });
                    member.value.write(out, level, canonical);
                });
            }
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl Object {
    /// The member of this name.
    #[must_use]
    pub(crate) fn member(&self, key: &str) -> Option<&Member> {
        self.0.iter().find(|member| member.key == key)
    }

    /// The value of this name; none for `null` either, as in most places of a record.
    #[must_use]
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        let value = &self.member(key)?.value;
        (*value != Json::Null).then_some(value)
    }

    /// The object of this name, an empty one if there is none or something else.
    pub(crate) fn object_mut(&mut self, key: &str) -> &mut Self {
        if self.get(key).and_then(Json::as_object).is_none() {
            self.set(key, Self::default());
        }
        let members = self.0.iter_mut();
        let object =
            members
                .filter(|member| member.key == key)
                .find_map(|member| match &mut member.value {
                    Json::Object(object) => Some(object),
                    _ => None,
                });
        object.expect("it was set")
    }

    /// Sets a value, at the place of the one of the same name, else at the end.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Json>) {
        let (value, at) = (value.into(), 0);
        match self.0.iter_mut().find(|member| member.key == key) {
            Some(member) => {
                *member = Member {
                    value,
                    at,
                    key: member.key.clone(),
                }
            }
            None => self.0.push(Member {
                key: key.to_owned(),
                value,
                at,
            }),
        }
    }

    /// Removes a value. Tells whether there was one.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|member| member.key != key);
        self.0.len() < before
    }

    /// The members in their order.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Member> {
        self.0.iter()
    }

    /// The members in their order.
    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Member> {
        self.0.iter_mut()
    }

    /// The number of members.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K: AsRef<str>, V: Into<Json>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let mut object = Self::default();
        for (key, value) in members {
            object.set(key.as_ref(), value);
        }
        object
    }
}

impl From<BTreeMap<String, Json>> for Object {
    fn from(members: BTreeMap<String, Json>) -> Self {
        let members = members.into_iter();
        Self(
            members
                .map(|(key, value)| Member { key, value, at: 0 })
                .collect(),
        )
    }
}

/// The line and the column, in characters, of a byte of the text; both begin at 1.
#[must_use]
pub(crate) fn position(text: &str, at: usize) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {line} column {column}")
}

/// Reads values from a text, in one pass.
struct Reader<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    fn failed<T>(&self, why: impl Into<String>) -> Result<T, Malformed> {
        let (why, at) = (why.into(), self.at);
        Err(Malformed { why, at })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not a space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Takes the bytes for as long as they are such.
    fn take_while(&mut self, is_one: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.byte().is_some_and(&is_one) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn value(&mut self) -> Result<Json, Malformed> {
        match self.peek() {
            None => self.failed("the text ends where a value should be"),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'{') => {
                let mut members = Vec::new();
                self.items(b'}', "object", |reader| {
                    members.push(reader.member()?);
                    Ok(())
                })?;
                Ok(Json::Object(Object(last_of_each(members))))
            }
            Some(b'[') => {
                let mut values = Vec::new();
                self.items(b']', "array", |reader| {
                    values.push(reader.value()?);
                    Ok(())
                })?;
                Ok(Json::Array(values))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => {
                let start = self.at;
                let value = match self.take_while(|byte| byte.is_ascii_alphanumeric()) {
                    "null" => Json::Null,
                    "true" => Json::Bool(true),
                    "false" => Json::Bool(false),
                    other => {
                        let why = match other {
                            "" => "no value".to_owned(),
                            other => format!("not a value: {}", one_line(other, 20)),
                        };
                        return Err(Malformed { why, at: start });
                    }
                };
                Ok(value)
            }
        }
    }

    /// Takes items with commas between them, and the brackets around them.
    fn items(
        &mut self,
        close: u8,
        what: &str,
        mut item: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.depth == DEEPEST {
            return self.failed(format!("nested deeper than {DEEPEST}"));
        }
        self.depth += 1;
        self.at += 1;
        let mut is_first = true;
        loop {
            match self.peek() {
                None => return self.failed(format!("the text ends within an {what}")),
                Some(byte) if byte == close => break,
                Some(b',') if !is_first => {
                    self.at += 1;
                    if self.peek() == Some(close) {
                        return self.failed(format!("the {what} ends after a comma"));
                    }
                }
                Some(_) if !is_first => {
                    return self.failed(format!("no comma between the items of an {what}"));
                }
                Some(_) => {}
            }
            item(self)?;
            is_first = false;
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn member(&mut self) -> Result<Member, Malformed> {
        match self.peek() {
            Some(b'"') => {}
            None => return self.failed("the text ends within an object"),
            Some(_) => return self.failed("a name that is not a string"),
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return self.failed("no colon after a name");
        }
        self.at += 1;
        self.peek();
        let at = self.at;
        let value = self.value()?;
        Ok(Member { key, value, at })
    }

    fn number(&mut self) -> Result<Json, Malformed> {
        let start = self.at;
        let text =
            self.take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        if !is_number(text) || self.byte().is_some_and(|byte| byte.is_ascii_alphabetic()) {
            let (why, at) = ("an invalid number".to_owned(), start);
            return Err(Malformed { why, at });
        }
        Ok(Json::Number(text.to_owned()))
    }

    fn string(&mut self) -> Result<String, Malformed> {
        let start = self.at;
        self.at += 1;
        let mut string = String::new();
        loop {
            string += self.take_while(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => string.push(self.escape()?),
                Some(_) => return self.failed("a control character in a string"),
                None => {
                    let (why, at) = ("a string without an end".to_owned(), start);
                    return Err(Malformed { why, at });
                }
            }
        }
        self.at += 1;
        Ok(string)
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let start = self.at;
        let kind = self.text.as_bytes().get(self.at + 1);
        let c = match kind {
            Some(&c @ (b'"' | b'\\' | b'/')) => c.into(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit()?;
                let is_pair =
                    (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u");
                let second = is_pair.then(|| self.unit()).transpose()?;
                let mut chars = char::decode_utf16([first].into_iter().chain(second));
                if let (Some(Ok(c)), None) = (chars.next(), chars.next()) {
                    return Ok(c);
                }
                let (why, at) = ("half of a surrogate pair".to_owned(), start);
                return Err(Malformed { why, at });
            }
            _ => return self.failed("an invalid escape in a string"),
        };
        self.at += 2;
        Ok(c)
    }

    /// Takes `\uXXXX`.
    fn unit(&mut self) -> Result<u16, Malformed> {
        let digits = self.text.get(self.at + 2..self.at + 6);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
            Some(unit) => {
                self.at += 6;
                Ok(unit)
            }
            None => self.failed("an invalid escape in a string"),
        }
    }
}

/// Of members with the same name the value of the last, at the place of the first.
fn last_of_each(members: Vec<Member>) -> Vec<Member> {
    let mut keys = HashSet::with_capacity(members.len());
    if members
        .iter()
        .all(|member| keys.insert(member.key.as_str()))
    {
        return members;
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut last: Vec<Member> = Vec::new();
    for member in members {
        if let Some(&place) = places.get(&member.key) {
            last[place] = member;
        } else {
            places.insert(member.key.clone(), last.len());
            last.push(member);
        }
    }
    last
}

/// Whether it is a number in JSON.
fn is_number(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(is_digits)
}

/// Writes the items between brackets, each on a line of its own in an indented text.
fn write_items<T>(
    out: &mut String,
    level: Option<usize>,
    [open, close]: [char; 2],
    items: &[T],
    item: impl Fn(&mut String, &T, Option<usize>),
) {
    out.push(open);
    let new_line = |out: &mut String, level: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    };
    for (index, value) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let inner = level.map(|level| level + 1);
        if let Some(inner) = inner {
            new_line(out, inner);
        }
        item(out, value, inner);
    }
    if let Some(level) = level.filter(|_| !items.is_empty()) {
        new_line(out, level);
    }
    out.push(close);
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// The number as Python prints what it has read: a whole number in all its digits, another one in the
/// shortest that mean it, with an exponent of two digits below 1e-4 and from 1e16 on.
pub(crate) fn python_number(text: &str) -> String {
    if !text.contains(['.', 'e', 'E']) {
        return if text == "-0" { "0" } else { text }.to_owned();
    }
    let Ok(value) = text.parse::<f64>() else {
        return text.to_owned();
    };
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    // Rust changes to an exponent at the same limits, and writes it without a sign or zeros.
    let shortest = format!("{value:?}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, ""));
    // Halfway between two of the shortest, Python takes the even one.
    let decimals = digits.split_once('.').map_or(0, |(_, digits)| digits.len());
    let even = match exponent {
        "" => format!("{value:.decimals$}"),
        _ => format!("{value:.decimals$e}"),
    };
    let is_one = even.parse() == Ok(value);
    let shortest = if is_one { even } else { shortest };
    let Some((digits, exponent)) = shortest.split_once('e') else {
        return shortest;
    };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_printed_as_python_does() {
        for (text, printed) in [
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1E2", "100.0"),
            ("1e-7", "1e-07"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1e16", "1e+16"),
            ("9999999999999998.0", "9999999999999998.0"),
            ("1.5e300", "1.5e+300"),
            ("5e-324", "5e-324"),
            ("2.6783471801912213e14", "267834718019122.12"),
            ("-267834718019122.125", "-267834718019122.12"),
            ("267834718019122.375", "267834718019122.38"),
            ("1e23", "1e+23"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("2.2250738585072014e-308", "2.2250738585072014e-308"),
            ("1e999", "Infinity"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
        ] {
            assert_eq!(python_number(text), printed, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_told_with_its_place() {
        for (text, place) in [
            ("{\"a\": 1,}", "line 1 column 9"),
            ("{\n \"a\": \"\\ud800\"}", "line 2 column 1"),
            ("{\"a\": NaN}", "line 1 column 7"),
            ("{} {}", "line 1 column 4"),
            ("", "line 1 column 1"),
        ] {
            let malformed = Json::parse(text).unwrap_err();
            let found = position(text, malformed.at);
            assert!(
                found.starts_with(&place[..6]),
                "{text}: {found}: {}",
                malformed.why
            );
        }
        let deep = |count| "[".repeat(count) + &"]".repeat(count);
        assert!(Json::parse(&deep(128)).is_ok());
        assert!(Json::parse(&deep(130)).is_err());
        assert!(Json::parse(&deep(1_000_000)).is_err());
    }

    #[test]
    fn of_a_doubled_key_the_last_value_counts() {
        let json = Json::parse("{\"b\": 1, \"a\": 2, \"b\": 3.0}").unwrap();
        assert_eq!(json.compact(), "{\"a\":2,\"b\":3.0}");
        let keys: Vec<&str> = json
            .as_object()
            .unwrap()
            .iter()
            .map(|member| member.key.as_str())
            .collect();
        assert_eq!(keys, ["b", "a"]);
    }
}

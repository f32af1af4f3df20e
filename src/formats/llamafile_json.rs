//! JSON as llamafile's writer prints it: chats in its pretty form, submissions in its compact form.
//!
//! Keys are in the order of their bytes. Strings are ASCII: other characters, HTML markup and
//! control characters are escaped. A double is the shortest text that parses to the same value.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

/// A value that llamafile's writer can print.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// A number without a fraction.
    Integer(i64),
    /// Any other number: infinity prints as 1e5000, which parses to infinity, nan as `null`.
    Double(f64),
    /// A string; an invalid byte of UTF-8 prints as the character with its number.
    String(Vec<u8>),
    /// A list.
    Array(Vec<Json>),
    /// Members by key.
    Object(BTreeMap<String, Json>),
}

impl From<u64> for Json {
    /// A number too large for a signed integer becomes a double, as in llamafile.
    fn from(value: u64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "llamafile loses the digits too")]
        i64::try_from(value).map_or(Self::Double(value as f64), Self::Integer)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl Json {
    /// An object with these members; of two with the same key, the last counts.
    #[must_use]
    pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'a str, Json)>) -> Self {
        let members = members.into_iter();
        Self::Object(
            members
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    }

    /// The member of an object.
    #[must_use]
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// The text in one line, without a newline.
    #[must_use]
    pub(crate) fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }

    /// The text on several lines, indented by two spaces per level, without a newline at the end.
    #[must_use]
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, Some(0));
        out
    }

    /// Writes the pretty form and a newline, as llamafile's server answers.
    pub(crate) fn write_answer(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all((self.pretty() + "\n").as_bytes())
    }

    /// `level` is the number of objects around the value; `None` for the compact form.
    fn write(&self, out: &mut String, level: Option<usize>) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Integer(value) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{value}");
            }
            Self::Double(value) => write_double(out, *value),
            Self::String(bytes) => write_string(out, bytes),
            Self::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push_str(if level.is_some() { ", " } else { "," });
                    }
                    value.write(out, level);
                }
                out.push(']');
            }
            Self::Object(members) => write_object(out, members, level),
        }
    }
}

/// In the pretty form each member has its own line, unless there is only one.
fn write_object(out: &mut String, members: &BTreeMap<String, Json>, level: Option<usize>) {
    let on_lines = level.filter(|_| members.len() > 1);
    let inner = on_lines.map(|level| level + 1).or(level);
    let new_line = |out: &mut String, level: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    };
    out.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if let Some(level) = on_lines {
            new_line(out, level + 1);
        }
        write_string(out, key.as_bytes());
        out.push_str(if level.is_some() { ": " } else { ":" });
        value.write(out, inner);
    }
    if let Some(level) = on_lines {
        new_line(out, level);
    }
    out.push('}');
}

/// Writes the shortest digits that parse to the same value: plain from 1e-6 to below 1e21, else
/// with an exponent.
fn write_double(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("null");
    }
    // Negative zero prints without a sign.
    if value < 0.0 {
        out.push('-');
    }
    if value.is_infinite() {
        return out.push_str("1e5000");
    }
    let (digits, exponent) = shortest(value.abs());
    // `whole` is the number of digits before the point.
    let _ = match (usize::try_from(exponent + 1), digits.len()) {
        _ if !(-6..=20).contains(&exponent) => match digits.split_at(1) {
            (first, "") => write!(out, "{first}e{exponent:+}"),
            (first, rest) => write!(out, "{first}.{rest}e{exponent:+}"),
        },
        (Ok(whole @ 1..), length) if whole < length => {
            write!(out, "{}.{}", &digits[..whole], &digits[whole..])
        }
        (Ok(whole @ 1..), _) => write!(out, "{digits:0<whole$}"),
        _ => {
            let zeros = exponent.unsigned_abs() as usize - 1;
            write!(out, "0.{:0<zeros$}{digits}", "")
        }
    };
}

/// The fewest digits that parse to the same number, and the exponent of the first one.
///
/// Rust's shortest form gives the number of digits only: of two equally near texts it is the upper
/// one, where llamafile prints the even one.
fn shortest(value: f64) -> (String, i32) {
    let count = |text: &str| {
        text.bytes()
            .take_while(|&b| b != b'e')
            .filter(u8::is_ascii_digit)
            .count()
    };
    let length = count(&format!("{value:e}"));
    let text = format!("{value:.*e}", length - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (
        mantissa.replace('.', ""),
        exponent.parse().unwrap_or_default(),
    )
}

fn write_string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    let mut rest = bytes;
    while let Some((c, after)) = decode(rest) {
        match u8::try_from(c) {
            Ok(b'\t') => out.push_str("\\t"),
            Ok(b'\n') => out.push_str("\\n"),
            Ok(b'\r') => out.push_str("\\r"),
            Ok(0x0c) => out.push_str("\\f"),
            Ok(c @ (b'"' | b'\\' | b'/')) => {
                out.push('\\');
                out.push(char::from(c));
            }
            Ok(b'&' | b'\'' | b'<' | b'=' | b'>') => write_escape(out, c),
            Ok(c @ b' '..=b'~') => out.push(char::from(c)),
            _ => write_escape(out, c),
        }
        rest = after;
    }
    out.push('"');
}

/// The length of a string in UTF-16, as JavaScript counts it.
#[must_use]
pub(crate) fn utf16_len(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut rest = bytes;
    while let Some((c, after)) = decode(rest) {
        length += 1 + usize::from(matches!(c, 0x1_0000..=0x10_ffff));
        rest = after;
    }
    length
}

/// Writes a code point as `\uXXXX`, or as a surrogate pair.
fn write_escape(out: &mut String, c: u32) {
    let _ = match c {
        0..=0xffff => write!(out, "\\u{c:04x}"),
        0x1_0000..=0x10_ffff => {
            let c = c - 0x1_0000;
            write!(
                out,
                "\\u{:04x}\\u{:04x}",
                0xd800 + (c >> 10),
                0xdc00 + (c & 0x3ff)
            )
        }
        _ => write!(out, "\\ufffd"),
    };
}

/// The first code point of the bytes, and the bytes after it.
///
/// As lenient as llamafile's decoder: overlong forms, surrogates and sequences of up to six bytes
/// are accepted. A byte that does not begin a complete sequence is the code point of its value.
fn decode(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let alone = Some((u32::from(first), rest));
    let length = match first {
        0x00..=0xbf => return alone,
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf7 => 3,
        0xf8..=0xfb => 4,
        0xfc..=0xff => 5,
    };
    let Some((more, after)) = rest.split_at_checked(length) else {
        return alone;
    };
    if more.iter().any(|byte| byte & 0xc0 != 0x80) {
        return alone;
    }
    // The first byte has five bits in a sequence of two bytes, four in one of three, and so on, but
    // llamafile takes at least two.
    let bits = first & (0x3f >> length | 3);
    let merged = more
        .iter()
        .fold(u32::from(bits), |c, byte| c << 6 | u32::from(byte & 0x3f));
    Some((merged, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64) -> String {
        Json::Double(value).compact()
    }

    #[test]
    fn doubles_are_the_shortest_text_that_reads_back() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (1e-6, "0.000001"),
            (9.999_999e-7, "9.999999e-7"),
            (1e-7, "1e-7"),
            (123_456_789.125, "123456789.125"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (5e-324, "5e-324"),
            (615_403_272_967_409.0 / 8.0, "76925409120926.12"),
            (5_873_740_144_812_983.0 / 4.0, "1468435036203245.8"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (0.01, "0.01"),
            (1.0 / 3.0, "0.3333333333333333"),
            (18_446_744_073_709_551_615.0, "18446744073709552000"),
            (f64::NAN, "null"),
            (-f64::NAN, "null"),
            (f64::INFINITY, "1e5000"),
            (f64::NEG_INFINITY, "-1e5000"),
        ];
        for (value, expected) in cases {
            assert_eq!(double(value), expected);
        }
        assert_eq!(Json::from(u64::MAX).compact(), "18446744073709552000");
        assert_eq!(Json::from(7).compact(), "7");
        assert_eq!(Json::Integer(i64::MIN).compact(), "-9223372036854775808");
    }

    #[test]
    fn strings_are_ascii_and_harmless() {
        let string = |bytes: &[u8]| Json::String(bytes.to_vec()).compact();
        assert_eq!(
            string(b"a\t\n\r\x0c\x08\x0b\0\x7f\"\\/"),
            r#""a\t\n\r\f\u0008\u000b\u0000\u007f\"\\\/""#
        );
        assert_eq!(string(b"<a&b'=>"), r#""\u003ca\u0026b\u0027\u003d\u003e""#);
        assert_eq!(string("é中😀".as_bytes()), r#""\u00e9\u4e2d\ud83d\ude00""#);
        // No UTF-8: single bytes, cut and overlong sequences, surrogates, beyond Unicode.
        assert_eq!(string(b"\x80\xff\xc3("), r#""\u0080\u00ff\u00c3(""#);
        assert_eq!(string(b"\xe4\xb8"), r#""\u00e4\u00b8""#);
        assert_eq!(string(b"\xc1\x81\xc0\x80"), r#""A\u0000""#);
        assert_eq!(string(b"\xed\xa0\x80"), r#""\ud800""#);
        assert_eq!(string(b"\xf4\x90\x80\x80"), r#""\ufffd""#);
        assert_eq!(string(b"\xfc\x80\x80\x80\x80\x81"), r#""\u0001""#);
    }

    #[test]
    fn both_forms_are_laid_out_as_by_llamafile() {
        let one = Json::object([("a", Json::Integer(1))]);
        let two = Json::object([
            ("b", one.clone()),
            ("a", Json::Null),
            ("B", Json::Integer(0)),
        ]);
        let value = Json::Array(vec![two, Json::Array(vec![]), Json::object([])]);
        assert_eq!(value.compact(), r#"[{"B":0,"a":null,"b":{"a":1}},[],{}]"#);
        assert_eq!(
            value.pretty(),
            "[{\n  \"B\": 0,\n  \"a\": null,\n  \"b\": {\"a\": 1}\n}, [], {}]"
        );
        let nested = Json::object([
            (
                "x",
                Json::Array(vec![Json::object([("p", one.clone()), ("q", one)])]),
            ),
            ("y", Json::Null),
        ]);
        assert_eq!(
            nested.pretty(),
            "{\n  \"x\": [{\n    \"p\": {\"a\": 1},\n    \"q\": {\"a\": 1}\n  }],\n  \"y\": null\n}"
        );
    }

    #[test]
    fn lengths_are_those_of_javascript() {
        let length = |text: &str| utf16_len(text.as_bytes());
        assert_eq!([length(""), length("aé中"), length("😀")], [0, 3, 2]);
        assert_eq!(utf16_len(b"\xff\xe4\xb8"), 3);
    }

    fn from_serde(value: &serde_json::Value) -> Json {
        match value {
            serde_json::Value::Null => Json::Null,
            serde_json::Value::Bool(_) => unreachable!("no payload has one"),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Json::Integer(integer),
                None => Json::Double(number.as_f64().unwrap()),
            },
            serde_json::Value::String(text) => text.as_str().into(),
            serde_json::Value::Array(values) => {
                Json::Array(values.iter().map(from_serde).collect())
            }
            serde_json::Value::Object(members) => Json::object(
                members
                    .iter()
                    .map(|(key, value)| (&**key, from_serde(value))),
            ),
        }
    }

    /// What LocalScore submits is printed by the same writer, in its compact form.
    #[test]
    fn the_payloads_of_the_c_tool_are_written_byte_for_byte() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden");
        let mut payloads = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.to_str().unwrap().ends_with(".payload.json") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let value = serde_json::from_str(&text).unwrap();
            assert_eq!(from_serde(&value).compact(), text, "{}", path.display());
            payloads += 1;
        }
        assert_eq!(payloads, 18);
    }

    proptest::proptest! {
        /// Other readers get back the same value from both forms.
        #[test]
        fn what_is_written_reads_back(value: f64, text: String) {
            let json = Json::object([("n", Json::Double(value)), (&*text, text.as_str().into())]);
            for written in [json.compact(), json.pretty()] {
                proptest::prop_assert!(written.is_ascii());
                let read: serde_json::Value = serde_json::from_str(&written).unwrap();
                proptest::prop_assert_eq!(read[&text].as_str().unwrap(), &*text);
                if text != "n" && value.is_finite() {
                    proptest::prop_assert_eq!(read["n"].as_f64().unwrap(), value);
                }
            }
        }
    }
}

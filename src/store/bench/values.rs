//! Values between rows as they were printed and SQLite, without loss.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::model::Text;
use crate::model::bench::{Column, Samples};
use crate::store::rows::text;

/// A text as SQLite can take it: a blob where it is not UTF-8.
pub(super) struct Bytes<'a>(pub Option<&'a Text>);

impl ToSql for Bytes<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes = self.0.map(Text::as_bytes);
        Ok(ToSqlOutput::Borrowed(match bytes {
            None => ValueRef::Null,
            Some(bytes) if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) => {
                ValueRef::Text(bytes)
            }
            Some(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A token as an integer or a real number, where these give its digits back; else as text.
pub(super) struct Number<'a>(pub Option<&'a Text>);

impl ToSql for Number<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let Some(token) = self.0 else {
            return Ok(ToSqlOutput::Borrowed(ValueRef::Null));
        };
        if let Ok(text) = std::str::from_utf8(token.as_bytes()) {
            if let Ok(integer) = text.parse::<i64>()
                && integer.to_string() == text
            {
                return Ok(integer.into());
            }
            let has_six = text.len() > 7 && text.as_bytes()[text.len() - 7] == b'.';
            if has_six
                && let Ok(real) = text.parse::<f64>()
                && (real != 0.0 || real.is_sign_positive())
                && format!("{real:.6}") == text
            {
                return Ok(real.into());
            }
        }
        let text = std::str::from_utf8(token.as_bytes());
        let bytes = token.as_bytes();
        Ok(ToSqlOutput::Borrowed(if text.is_ok() {
            ValueRef::Text(bytes)
        } else {
            ValueRef::Blob(bytes)
        }))
    }
}

/// The token that [`Number`] or [`Bytes`] has stored.
pub(super) fn token(value: ValueRef<'_>) -> Option<Text> {
    match value {
        ValueRef::Integer(integer) => Some(integer.to_string().as_str().into()),
        ValueRef::Real(real) => Some(format!("{real:.6}").as_str().into()),
        other => text(other),
    }
}

pub(super) fn samples_json(samples: &Samples) -> Option<String> {
    let samples = samples.ns.as_ref()?;
    Some(serde_json::to_string(samples).unwrap_or_default())
}

/// A JSON array of strings and nulls. Bytes that are not UTF-8 stay as they are.
pub(super) fn encode(values: &[Option<Text>]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match value {
            None => out.extend_from_slice(b"null"),
            Some(text) => quote(text.as_bytes(), &mut out),
        }
    }
    out.push(b']');
    out
}

fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

pub(super) fn encode_column(column: &Column) -> Vec<u8> {
    let mut out = vec![b'['];
    quote(column.name.as_bytes(), &mut out);
    out.push(b',');
    quote(column.kind.name().as_bytes(), &mut out);
    if let Some((width, is_left)) = column.width {
        out.extend_from_slice(format!(",{width},{is_left}").as_bytes());
    }
    out.push(b']');
    out
}

/// Reads what [`encode`] and [`encode_column`] have written: strings, `null` and bare words.
pub(super) struct Decoder<'a>(pub &'a [u8]);

impl Decoder<'_> {
    /// The next item of the array; `None` at its end.
    #[allow(clippy::option_option, reason = "null is an item")]
    pub(super) fn item(&mut self) -> Option<Option<Text>> {
        while let Some((b'[' | b',' | b' ', rest)) = self.0.split_first() {
            self.0 = rest;
        }
        match self.0.first()? {
            b']' => {
                self.0 = &self.0[1..];
                None
            }
            b'"' => {
                self.0 = &self.0[1..];
                Some(Some(self.string()))
            }
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b']');
                let end = self.0.iter().position(is_end).unwrap_or(self.0.len());
                let (word, rest) = self.0.split_at(end);
                self.0 = rest;
                Some((word != b"null").then(|| word.to_vec().into()))
            }
        }
    }

    fn string(&mut self) -> Text {
        let mut out = Vec::new();
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            match byte {
                b'"' => break,
                b'\\' => {
                    let Some((&escaped, rest)) = self.0.split_first() else {
                        break;
                    };
                    self.0 = rest;
                    if escaped == b'u' && rest.len() >= 4 {
                        let digits = std::str::from_utf8(&rest[..4]).unwrap_or_default();
                        out.push(u8::from_str_radix(digits, 16).unwrap_or_default());
                        self.0 = &rest[4..];
                    } else {
                        out.push(escaped);
                    }
                }
                _ => out.push(byte),
            }
        }
        out.into()
    }
}

//! The body of a request: the few fields that the gateway reads, and where the model stands in the bytes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What the gateway reads of a request.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fields {
    pub(crate) model: String,
    /// Where the string stands in the body, with its quotes.
    pub(crate) model_at: Range<usize>,
    pub(crate) stream: bool,
    /// `max_completion_tokens`, else `max_tokens`.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) temperature: Option<f64>,
    pub(crate) n: Option<f64>,
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not JSON, or not an object.
    InvalidJson,
    /// There is no model, or it is not a string.
    MissingModel,
    /// There are two models.
    DuplicateModel,
}

impl Fields {
    /// Reads a body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refused> {
        let text = std::str::from_utf8(body).map_err(|_| Refused::InvalidJson)?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let found = (&mut reader)
            .deserialize_map(Top)
            .map_err(|_| Refused::InvalidJson)?;
        reader.end().map_err(|_| Refused::InvalidJson)?;
        let model = match found.model.as_slice() {
            [] => return Err(Refused::MissingModel),
            [model] => *model,
            _ => return Err(Refused::DuplicateModel),
        };
        let name: String = serde_json::from_str(model.get()).map_err(|_| Refused::MissingModel)?;
        let start = model.get().as_ptr() as usize - text.as_ptr() as usize;
        Ok(Self {
            model: name,
            model_at: start..start + model.get().len(),
            stream: value(found.stream).unwrap_or_default(),
            max_tokens: value(found.max_completion_tokens).or_else(|| value(found.max_tokens)),
            temperature: value(found.temperature),
            // What cannot be read is not 1.
            n: found
                .n
                .and_then(|n| value(Some(n)).unwrap_or(Some(f64::NAN))),
        })
    }

    /// The body with another model in the place of its own; all other bytes stay.
    pub(crate) fn with_model<'a>(&self, body: &'a [u8], model: &str) -> Cow<'a, [u8]> {
        if self.model == model {
            return Cow::Borrowed(body);
        }
        let name = serde_json::Value::from(model).to_string();
        let mut replaced = Vec::with_capacity(body.len() + name.len());
        replaced.extend_from_slice(&body[..self.model_at.start]);
        replaced.extend_from_slice(name.as_bytes());
        replaced.extend_from_slice(&body[self.model_at.end..]);
        Cow::Owned(replaced)
    }
}

fn value<'a, T: serde::Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// The values of the top level that are read; of one that is there twice the last, as most servers do.
#[derive(Default)]
struct Found<'a> {
    model: Vec<&'a RawValue>,
    stream: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    max_completion_tokens: Option<&'a RawValue>,
    temperature: Option<&'a RawValue>,
    n: Option<&'a RawValue>,
}

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let value: &RawValue = map.next_value()?;
            match key.as_ref() {
                "model" if found.model.len() < 2 => found.model.push(value),
                "stream" => found.stream = Some(value),
                "max_tokens" => found.max_tokens = Some(value),
                "max_completion_tokens" => found.max_completion_tokens = Some(value),
                "temperature" => found.temperature = Some(value),
                "n" => found.n = Some(value),
                _ => {}
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_bytes_of_the_model_are_replaced() {
        for (body, replaced) in [
            (
                r#"{ "model" :"a", "x":1.50e0 }"#,
                r#"{ "model" :"b\"c", "x":1.50e0 }"#,
            ),
            (
                "{\"x\":{\"model\":\"n\"},\r\n\"model\":\"\\u0061\"}",
                "{\"x\":{\"model\":\"n\"},\r\n\"model\":\"b\\\"c\"}",
            ),
            (r#"{"\u006dodel":"a"}"#, r#"{"\u006dodel":"b\"c"}"#),
        ] {
            let fields = Fields::read(body.as_bytes()).unwrap();
            assert_eq!(fields.model, "a");
            assert_eq!(
                fields.with_model(body.as_bytes(), "b\"c"),
                replaced.as_bytes()
            );
            assert_eq!(fields.with_model(body.as_bytes(), "a"), body.as_bytes());
        }
    }

    #[test]
    fn a_body_without_one_model_is_refused() {
        for (body, refused) in [
            ("", Refused::InvalidJson),
            ("[]", Refused::InvalidJson),
            ("{\"model\":\"a\"} x", Refused::InvalidJson),
            ("{\"model\":\"a\",}", Refused::InvalidJson),
            ("{}", Refused::MissingModel),
            ("{\"model\":null}", Refused::MissingModel),
            ("{\"model\":\"a\",\"model\":\"a\"}", Refused::DuplicateModel),
            (
                "{\"model\":\"a\",\"mod\\u0065l\":1}",
                Refused::DuplicateModel,
            ),
        ] {
            assert_eq!(Fields::read(body.as_bytes()), Err(refused), "{body}");
        }
        assert_eq!(
            Fields::read(b"{\"model\":\"\xff\"}"),
            Err(Refused::InvalidJson)
        );
        let deep = format!(
            "{{\"x\":{}{},\"model\":\"a\"}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(Fields::read(deep.as_bytes()).unwrap().model, "a");
    }

    proptest! {
        #[test]
        fn any_object_with_a_model_keeps_all_other_bytes(
            before in ".{0,9}", number in "-?[1-9][0-9]{0,25}(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
            asked in ".{0,9}", given in ".{0,9}", space in "[ \\n\\r\\t]{0,3}",
        ) {
            let text = |text: &str| serde_json::to_string(text).unwrap();
            let start = format!(
                "{space}{{{space}\"x{}:{space}{{\"model\":{number},\"\":{}}},\"model\"{space}:{space}",
                &text(&before)[1..], text(&before)
            );
            let end = format!("{space},\"n\":[{number},{}]{space}}}{space}", text(&given));
            let body = format!("{start}{}{end}", text(&asked));
            let fields = Fields::read(body.as_bytes()).unwrap();
            prop_assert_eq!(&fields.model, &asked);
            let replaced = fields.with_model(body.as_bytes(), &given);
            if asked == given {
                prop_assert_eq!(&*replaced, body.as_bytes());
            } else {
                let expected = format!("{start}{}{end}", text(&given));
                prop_assert_eq!(&*replaced, expected.as_bytes());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, json in "[\\[\\]{}\":,0-9a-d\\\\ ]{0,40}") {
            for body in [bytes, format!("{{\"model\":\"a\",{json}}}").into_bytes()] {
                if let Ok(fields) = Fields::read(&body) {
                    let replaced = fields.with_model(&body, "other").into_owned();
                    let read = Fields::read(&replaced).unwrap();
                    prop_assert_eq!(read.model, "other");
                }
            }
        }
    }
}

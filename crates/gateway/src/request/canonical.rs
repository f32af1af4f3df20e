//! The key of a request in the cache: the same for requests that mean the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The deepest request that is kept.
const DEEPEST: usize = 128;

/// `KIND:MODEL:` and the hash of the request with sorted keys, no spaces, numbers as spelled, and the canonical
/// name of the model. `None` if it is too deep, or if a key is there twice: what it means is the server's choice.
pub(crate) fn cache_key(kind: &str, model: &str, body: &str) -> Option<String> {
    let mut canonical = String::with_capacity(body.len());
    let mut top: BTreeMap<String, &RawValue> = object(body)?;
    top.remove("model")?;
    let name = serde_json::Value::from(model).to_string();
    let name: Box<RawValue> = RawValue::from_string(name).ok()?;
    top.insert("model".to_owned(), &name);
    write_object(&top, &mut canonical, DEEPEST)?;
    let mut key = format!("{kind}:{model}:");
    for byte in Sha256::digest(canonical.as_bytes()) {
        let _ = write!(key, "{byte:02x}");
    }
    Some(key)
}

fn object(text: &str) -> Option<BTreeMap<String, &RawValue>> {
    struct Once;
    impl<'de> serde::de::Visitor<'de> for Once {
        type Value = BTreeMap<String, &'de RawValue>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object whose keys are there once")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some((key, value)) = map.next_entry()? {
                if found.insert(key, value).is_some() {
                    return Err(serde::de::Error::custom("twice"));
                }
            }
            Ok(found)
        }
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let found = serde::Deserializer::deserialize_map(&mut json, Once).ok()?;
    json.end().ok()?;
    Some(found)
}

fn write_object(object: &BTreeMap<String, &RawValue>, to: &mut String, depth: usize) -> Option<()> {
    to.push('{');
    for (index, (key, value)) in object.iter().enumerate() {
        if index > 0 {
            to.push(',');
        }
        *to += &serde_json::to_string(key).ok()?;
        to.push(':');
        write(value, to, depth.checked_sub(1)?)?;
    }
    to.push('}');
    Some(())
}

fn write(value: &RawValue, to: &mut String, depth: usize) -> Option<()> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'{' => write_object(&object(text)?, to, depth)?,
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            to.push('[');
            for (index, value) in values.into_iter().enumerate() {
                if index > 0 {
                    to.push(',');
                }
                write(value, to, depth.checked_sub(1)?)?;
            }
            to.push(']');
        }
        b'"' => *to += &serde_json::to_string(&serde_json::from_str::<String>(text).ok()?).ok()?,
        _ => *to += text,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_that_mean_the_same_have_the_same_key() {
        let key = |body| cache_key("chat", "m", body);
        let one = key(r#"{"model":"a","x":[1.50,{"b":"\u0041","a":null}]}"#);
        assert_eq!(
            one,
            key("{ \"x\" : [ 1.50, {\"a\":null, \"b\":\"A\"} ],\n\"model\":\"b\"}")
        );
        assert_ne!(one, key(r#"{"model":"a","x":[1.5,{"b":"A","a":null}]}"#));
        assert!(one.unwrap().starts_with("chat:m:"));
        assert_eq!(key(r#"{"model":"a","x":{"y":1,"y":2}}"#), None);
        assert_eq!(key(r#"{"model":"a"}}"#), None);
        assert_eq!(
            key(&format!(
                "{{\"model\":\"a\",\"x\":{}{}}}",
                "[".repeat(1000),
                "]".repeat(1000)
            )),
            None
        );
    }

    /// A value in JSON, and the ways to spell it.
    #[derive(Debug, Clone)]
    enum Value {
        /// A number or a word, as spelled.
        Plain(String),
        Text(String),
        List(Vec<Value>),
        Object(Vec<(String, Value)>),
    }

    fn value() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        ];
        let leaf = prop_oneof![plain.prop_map(Value::Plain), ".{0,6}".prop_map(Value::Text)];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Value::List),
                btree_map(".{0,4}", inner, 0..5)
                    .prop_map(|object| Value::Object(object.into_iter().collect())),
            ]
        })
    }

    /// Spells the value; `seed` chooses spaces, escapes and the order of keys.
    fn spell(value: &Value, seed: &mut u64, to: &mut String) {
        fn turn(seed: &mut u64) -> usize {
            *seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*seed >> 60) as usize
        }
        fn space(seed: &mut u64, to: &mut String) {
            *to += ["", "", " ", "\n\t", "\r\n"][turn(seed) % 5];
        }
        fn text(text: &str, seed: &mut u64, to: &mut String) {
            to.push('"');
            for c in text.chars() {
                if turn(seed).is_multiple_of(3) {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(to, "\\u{unit:04x}").unwrap();
                    }
                } else {
                    let plain = serde_json::to_string(&c).unwrap();
                    *to += &plain[1..plain.len() - 1];
                }
            }
            to.push('"');
        }
        space(seed, to);
        match value {
            Value::Plain(plain) => *to += plain,
            Value::Text(plain) => text(plain, seed, to),
            Value::List(values) => {
                to.push('[');
                for (index, value) in values.iter().enumerate() {
                    *to += if index > 0 { "," } else { "" };
                    spell(value, seed, to);
                }
                to.push(']');
            }
            Value::Object(fields) => {
                to.push('{');
                let first = turn(seed) % fields.len().max(1);
                for (index, (key, value)) in
                    fields[first..].iter().chain(&fields[..first]).enumerate()
                {
                    *to += if index > 0 { "," } else { "" };
                    space(seed, to);
                    text(key, seed, to);
                    space(seed, to);
                    to.push(':');
                    spell(value, seed, to);
                }
                to.push('}');
            }
        }
        space(seed, to);
    }

    fn spelled(value: &Value, seed: u64) -> String {
        let request = Value::Object(vec![
            ("model".to_owned(), Value::Text("a".to_owned())),
            ("x".to_owned(), value.clone()),
        ]);
        let mut seed = seed;
        let mut text = String::new();
        spell(&request, &mut seed, &mut text);
        text
    }

    proptest! {
        #[test]
        fn spelling_does_not_change_the_key(value in value(), one: u64, other: u64) {
            let key = |seed| cache_key("chat", "m", &spelled(&value, seed));
            prop_assert!(key(one).is_some());
            prop_assert_eq!(key(one), key(other));
        }

        #[test]
        fn another_value_has_another_key(one in value(), other in value(), seed: u64) {
            let key = |value| cache_key("chat", "m", &spelled(value, seed));
            let is_same = spelled(&one, 0) == spelled(&other, 0);
            prop_assert_eq!(key(&one) == key(&other), is_same);
        }

        #[test]
        fn any_text_has_a_key_or_none(text in ".{0,60}", json in "[\\[\\]{}\":,0-9a\\\\ ]{0,40}") {
            for text in [&text, &json] {
                let object = format!("{{\"model\":\"a\",{text}}}");
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&object).is_ok();
                prop_assert!(is_json || cache_key("chat", "m", &object).is_none());
            }
        }
    }

    #[test]
    fn a_very_deep_request_has_no_key() {
        for (depth, has_key) in [(100, true), (1000, false), (10_000, false)] {
            let deep = "[".repeat(depth) + &"]".repeat(depth);
            let key = cache_key("chat", "m", &format!("{{\"model\":\"a\",\"x\":{deep}}}"));
            assert_eq!(key.is_some(), has_key, "{depth}");
        }
    }
}

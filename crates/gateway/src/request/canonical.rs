//! The key of a request in the cache: the same for requests that mean the same.

use std::collections::BTreeMap;

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
        key += &format!("{byte:02x}");
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
    serde::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_str(text), Once).ok()
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
        assert_eq!(
            key(&format!(
                "{{\"model\":\"a\",\"x\":{}{}}}",
                "[".repeat(1000),
                "]".repeat(1000)
            )),
            None
        );
    }
}

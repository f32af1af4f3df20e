//! Overrides of examples, which are read as the library reads them, and never edited.

use crate::hash::Hash;
use crate::json::{Json, Member, Object, python_number};

/// The override of an example as the library reads it; an error that says what is malformed.
pub(crate) fn read(value: &Json) -> Result<Json, String> {
    let object = value.as_object().ok_or_else(|| not_a("an object", value))?;
    let path = object
        .get("path")
        .and_then(Json::as_array)
        .ok_or("path: not an array")?;
    let hash = object.get("expected_hash");
    let is_hash = |hash: &Json| {
        hash.as_str()
            .is_some_and(|text| text.parse::<Hash>().is_ok())
    };
    if hash.is_some_and(|hash| !is_hash(hash)) {
        return Err("expected_hash: not 64 lower-case hexadecimal digits".to_owned());
    }
    let action = object.get("action");
    if !matches!(
        action.and_then(Json::as_str),
        Some("modify" | "remove" | "append")
    ) {
        return Err("action: not modify, remove or append".to_owned());
    }
    let mut read = Object::default();
    read.set(
        "path",
        Json::Array(
            path.iter()
                .map(|key| Json::String(python_text(key)))
                .collect(),
        ),
    );
    read.set("index", integer(object)?);
    read.set("expected_hash", hash.cloned().unwrap_or(Json::Null));
    read.set("action", action.cloned().unwrap_or(Json::Null));
    strings(object, &mut read, ["objective", "outcome"])?;
    for key in ["step_overrides", "steps_to_append"] {
        let steps = list(object, key)?
            .iter()
            .map(step)
            .collect::<Result<Vec<_>, _>>()?;
        if !steps.is_empty() {
            read.set(key, Json::Array(steps));
        }
    }
    let removed = list(object, "steps_to_remove")?
        .iter()
        .filter(|step| is_integer(step));
    let removed: Vec<Json> = removed.cloned().collect();
    if !removed.is_empty() {
        read.set("steps_to_remove", Json::Array(removed));
    }
    Ok(read.into())
}

fn step(value: &Json) -> Result<Json, String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("a step: {}", not_a("an object", value)))?;
    let mut read = Object::default();
    read.set(
        "index",
        integer(object).map_err(|why| format!("a step: {why}"))?,
    );
    let keys = ["tool_name", "description", "input_json", "output_json"];
    strings(object, &mut read, keys).map_err(|why| format!("a step: {why}"))?;
    Ok(read.into())
}

fn not_a(kind: &str, value: &Json) -> String {
    format!("not {kind}, but {}", value.kind())
}

/// The index: an integer; for Python `true` and `false` are some.
fn integer(object: &Object) -> Result<Json, String> {
    let index = object.get("index").filter(|&index| is_integer(index));
    index
        .cloned()
        .ok_or_else(|| "index: not an integer".to_owned())
}

fn is_integer(value: &Json) -> bool {
    match value {
        Json::Bool(_) => true,
        Json::Number(text) => !text.contains(['.', 'e', 'E']),
        _ => false,
    }
}

/// Takes over the strings that are there.
fn strings<const N: usize>(from: &Object, to: &mut Object, keys: [&str; N]) -> Result<(), String> {
    for key in keys {
        match from.get(key) {
            None => {}
            Some(value @ Json::String(_)) => to.set(key, value.clone()),
            Some(value) => return Err(format!("{key}: {}", not_a("a string", value))),
        }
    }
    Ok(())
}

fn list<'a>(object: &'a Object, key: &str) -> Result<&'a [Json], String> {
    match object.get(key) {
        None => Ok(&[]),
        Some(value) => value
            .as_array()
            .ok_or_else(|| format!("{key}: {}", not_a("an array", value))),
    }
}

/// The value as Python's `str` gives it.
fn python_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => python_repr(other),
    }
}

/// The value as Python's `repr` gives it; of odd characters only controls are escaped here.
fn python_repr(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        // As text an infinite one is not what it is in JSON.
        Json::Number(text) => python_number(text).replace("Infinity", "inf"),
        Json::String(text) => {
            let is_double = text.contains('\'') && !text.contains('"');
            let quote = if is_double { '"' } else { '\'' };
            let escaped: String = text.chars().map(|c| python_escape(c, quote)).collect();
            format!("{quote}{escaped}{quote}")
        }
        Json::Array(values) => {
            let values: Vec<String> = values.iter().map(python_repr).collect();
            format!("[{}]", values.join(", "))
        }
        Json::Object(object) => {
            let member = |member: &Member| {
                let key = python_repr(&member.key.as_str().into());
                format!("{key}: {}", python_repr(&member.value))
            };
            let members: Vec<String> = object.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

fn python_escape(c: char, quote: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c == quote || c == '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_example_is_text_as_pythons_str_gives_it() {
        for (json, text) in [
            (r#""a'b""#, "a'b"),
            ("1e400", "inf"),
            ("[-1e400, 1E2]", "[-inf, 100.0]"),
            (
                r#"{"a'b": [null, true, "\"\t\\"]}"#,
                r#"{"a'b": [None, True, '"\t\\']}"#,
            ),
        ] {
            assert_eq!(python_text(&Json::parse(json).unwrap()), text, "{json}");
        }
    }
}

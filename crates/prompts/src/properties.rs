//! What holds for any text, any value and any record.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::document::Document;
use crate::hash::Hash;
use crate::json::{Json, Object, position, python_number};
use crate::judge::{Against, applicable, judge};
use crate::name::{Name, section_path};
use crate::record::{Bom, Format, Record};

/// A text with whatever may be in one.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter)
}

/// A number as it may be spelled.
fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        number().prop_map(Json::Number),
        text().prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let members = proptest::collection::vec((text(), inner.clone()), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Json::Array),
            members.prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// A record's member in which anything may be, most often what belongs there.
fn object(keys: &'static [&'static str]) -> impl Strategy<Value = Json> {
    let value = prop_oneof![
        json(),
        Just(Json::from(Hash::of_text("x").to_string().as_str())),
        prop::sample::select(vec!["full", "summary", "append", "x"]).prop_map(Json::from),
        Just(Json::Array(Vec::new())),
        Just(Json::Object(Object::default())),
    ];
    let members = proptest::collection::vec((prop::sample::select(keys), value), 0..8);
    members.prop_map(|members| Json::Object(members.into_iter().collect()))
}

fn entries(keys: &'static [&'static str]) -> impl Strategy<Value = Json> {
    let keyed = ("[a-c/]{0,4}", object(keys));
    let entries = proptest::collection::vec(keyed, 0..5);
    prop_oneof![
        4 => entries.prop_map(|entries| Json::Object(entries.into_iter().collect())),
        1 => json(),
    ]
}

/// A record that is whole, or not.
fn record(format: Format) -> impl Strategy<Value = Object> {
    let sections = entries(&["expected_hash", "body", "path", "summary", "visibility"]);
    let tools = entries(&[
        "expected_contract_hash",
        "description",
        "param_descriptions",
    ]);
    let example = object(&[
        "path",
        "index",
        "expected_hash",
        "action",
        "objective",
        "outcome",
        "step_overrides",
        "steps_to_remove",
        "steps_to_append",
    ]);
    let examples = proptest::collection::vec(example, 0..3).prop_map(Json::Array);
    let more = proptest::collection::vec((text(), json()), 0..3);
    (sections, tools, examples, more).prop_map(move |(sections, tools, examples, more)| {
        let mut record = Object::default();
        for (key, value) in more {
            record.set(&key, value);
        }
        record.set("version", format.to_json());
        for (key, text) in [("ns", "demo"), ("prompt_key", "x"), ("tag", "latest")] {
            record.set(key, text);
        }
        record.set("sections", sections);
        record.set("tools", tools);
        record.set("task_example_overrides", examples);
        record
    })
}

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::One, Format::Two])
}

fn name() -> Name {
    "demo/x".parse().unwrap()
}

fn read(bytes: &[u8]) -> Record {
    Record::read(Path::new("x.json"), &name(), bytes, Bom::Refuse).unwrap()
}

fn document(sections: &[&str]) -> Document {
    let hash = Hash::of_text("x");
    let sections = sections.iter().map(|path| {
        let path = section_path(path).into_iter();
        let path: Vec<Json> = path.map(|key| Json::from(key.as_str())).collect();
        let members = [
            ("path", Json::Array(path)),
            ("content_hash", Json::from(&hash)),
        ];
        Json::Object(members.into_iter().collect())
    });
    let document: Object = [
        ("ns", Json::from("demo")),
        ("prompt_key", Json::from("x")),
        ("sections", Json::Array(sections.collect())),
    ]
    .into_iter()
    .collect();
    Document::of(&document.into()).unwrap()
}

/// The values of a record without the section of this path.
fn without(record: &Object, path: &[String]) -> Json {
    let mut record = record.clone();
    if let Some(Json::Object(sections)) = record.get("sections").cloned() {
        let kept = sections
            .iter()
            .filter(|member| section_path(&member.key) != path);
        let kept: Object = kept
            .map(|member| (&member.key, member.value.clone()))
            .collect();
        record.set("sections", kept);
    }
    Json::Object(record)
}

proptest! {
    #[test]
    fn what_is_written_reads_back(json in json()) {
        let pretty = json.pretty();
        let again = Json::parse(&pretty).unwrap();
        prop_assert_eq!(again.pretty(), pretty.clone());
        prop_assert_eq!(again.compact(), json.compact());
        prop_assert_eq!(Json::parse(&json.compact()).unwrap().pretty(), pretty.clone());
        prop_assert!(pretty.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
        let serde: serde_json::Value = serde_json::from_str(&json.compact()).unwrap_or_default();
        prop_assert!(serde.is_null() || Json::parse(&serde.to_string()).is_ok());
    }

    #[test]
    fn no_text_is_too_odd_to_be_read(text in text(), at in any::<usize>()) {
        let _ = Json::parse(&text);
        let _ = Json::parse_all(&text);
        let _ = position(&text, at.min(text.len()));
        let _ = text.parse::<Name>();
        let _ = Name::of_file(Path::new(&text));
    }

    /// Pieces of JSON in any order: another reader takes the same ones, and an error has a place within
    /// the text.
    #[test]
    fn an_error_has_a_place(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"a\"", "\"a\":", "\"\\ud83d\\ude00\"", "\"\\ud800\"",
                "\"\\ude00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"\\u00e\"", "\"\\/\\b\\f\"", "\"\\v\"",
                "\"ü\n\"", "\"\u{7f}😀\"", "1", "0", "-", "+", ".5", "e5", "E+07", "-0", "01", "NaN", "null", "true",
                "tru", "nullx", "\n", "\t", "\u{c}", "\u{a0}", "\u{feff}", "\"", "\\", " ", "[1]", "{}", "[]", ", ",
            ]),
            0..9,
        ),
        is_listed in any::<bool>(),
    ) {
        let text = if is_listed { format!("[{}]", pieces.concat()) } else { pieces.concat() };
        let read = Json::parse(&text);
        let serde = serde_json::from_str::<serde_json::Value>(&text);
        // Python reads 1e501 too, as infinity.
        prop_assume!(!serde.as_ref().is_err_and(|e| e.to_string().starts_with("number out of range")));
        prop_assert_eq!(read.is_ok(), serde.is_ok(), "{:?}: {:?}", text, serde);
        match read {
            Ok(json) => {
                let again: serde_json::Value = serde_json::from_str(&json.compact()).unwrap();
                prop_assert_eq!(again, serde.unwrap());
            }
            Err(malformed) => {
                prop_assert!(malformed.at <= text.len());
                prop_assert!(position(&text, malformed.at).starts_with("line "));
            }
        }
    }

    #[test]
    fn a_number_means_the_same_as_python_prints_it(text in number()) {
        let printed = python_number(&text);
        prop_assert_eq!(python_number(&printed), printed.clone());
        let [before, after] = [&text, &printed].map(|text| text.parse::<f64>().unwrap());
        prop_assert!(before == after, "{text} {printed}");
    }

    #[test]
    fn a_float_is_printed_in_the_shortest_way(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite());
        let printed = python_number(&format!("{float:e}"));
        prop_assert_eq!(printed.parse::<f64>().unwrap().to_bits(), python_number(&printed).parse::<f64>().unwrap().to_bits());
        let digits = |text: &str| {
            let mantissa = text.split('e').next().unwrap().replace(['.', '-'], "");
            mantissa.trim_matches('0').len()
        };
        let long = format!("{float:.17e}");
        prop_assert!(digits(&printed) <= digits(&long), "{printed} {long}");
    }

    #[test]
    fn a_name_has_a_file_and_the_file_that_name(
        ns in proptest::collection::vec("[a-z0-9][a-z0-9._-]{0,9}", 1..4),
        key in "[a-z0-9][a-z0-9._-]{0,63}",
        tag in "[a-z0-9][a-z0-9._-]{0,63}",
    ) {
        let text = format!("{}/{key}@{tag}", ns.join("/"));
        let name = text.parse::<Name>();
        // Windows has no file of some names.
        prop_assume!(name.is_ok() || cfg!(unix));
        let name = name.unwrap();
        prop_assert_eq!(name.to_string(), text);
        let file: PathBuf = name.file();
        prop_assert!(file.is_relative() && file.iter().all(|part| part != ".."));
        prop_assert_eq!(Name::of_file(&file).unwrap(), name);
    }

    /// A file that we wrote has the same bytes after it was read and written.
    #[test]
    fn a_record_that_does_not_change_keeps_its_bytes(object in formats().prop_flat_map(record)) {
        let first = read(Json::Object(object).compact().as_bytes()).to_bytes();
        let second = read(&first).to_bytes();
        prop_assert!(first == second);
    }

    #[test]
    fn what_is_not_set_stays(
        object in formats().prop_flat_map(record).prop_filter("sections in an object", |record| {
            record.get("sections").is_none_or(|value| value.as_object().is_some())
        }),
        path in "[a-c]{1,2}(/[a-c]){0,1}",
        body in text(),
    ) {
        let mut record = read(Json::Object(object).compact().as_bytes());
        let path = section_path(&path);
        let before = without(&record.object, &path).pretty();
        let entry = record.section_mut(&path);
        entry.set("expected_hash", &Hash::of_text("x"));
        entry.set("body", body.as_str());
        let again = read(&record.to_bytes());
        prop_assert_eq!(again.section(&path).unwrap().get("body").unwrap().as_str(), Some(body.as_str()));
        let after = without(&again.object, &path);
        // Where there were no sections, there is an empty object now.
        if before.contains("\"sections\": {") {
            prop_assert_eq!(after.pretty(), before);
        }
    }

    /// Whatever is in a record, the verdict is one of three, and what applies can be written and read.
    #[test]
    fn any_record_is_judged(object in formats().prop_flat_map(record)) {
        let record = read(Json::Object(object).pretty().as_bytes());
        let document = document(&["a", "b/c"]);
        for against in [Against::Document(&document), Against::Nothing, Against::Unknown] {
            let problems = judge(&record, against).problems;
            prop_assert!(problems.iter().all(|problem| !problem.message.is_empty()));
        }
        if let Ok(Some(applied)) = applicable(&record, &document, "latest") {
            let again = read(applied.pretty().as_bytes());
            let twice = applicable(&again, &document, "latest").unwrap().unwrap();
            prop_assert_eq!(twice.pretty(), applied.pretty());
        }
    }
}

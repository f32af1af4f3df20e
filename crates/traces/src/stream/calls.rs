//! Test calls in the answers of tools.

use serde::Serialize;
use serde_json::Value;

use super::Object;

/// How deep an answer is searched.
const DEEPEST: usize = 6;

/// The keys that lead to an answer.
const KEYS: [&str; 6] = [
    "result",
    "structured_content",
    "output",
    "content",
    "text",
    "data",
];

/// A call of a test suite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Call {
    /// The suite.
    pub(crate) path: String,
    /// When it was called, as the answer tells it.
    pub(crate) timestamp: String,
    /// How long it took.
    pub(crate) duration_ms: i64,
    /// The status of the answer.
    pub(crate) status_code: i64,
    /// What went wrong.
    pub(crate) error: Option<String>,
    /// The counts, unless the suite could not run.
    pub(crate) result: Option<Counts>,
    /// Keys of other programs in a trace that was read.
    #[serde(flatten)]
    pub(crate) extra: Object,
}

/// How many tests passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// Those that passed.
    pub(crate) passed: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// All of them.
    pub(crate) total: u64,
    /// Each test as the answer tells it.
    pub(crate) tests: Value,
    /// Keys of other programs in a trace that was read.
    #[serde(flatten)]
    pub(crate) extra: Object,
}

/// Whether a tool of this name runs tests.
pub(super) fn runs_tests(tool: &str) -> bool {
    tool == "run_tests" || tool.ends_with("_run_tests") || tool.ends_with("/run_tests")
}

impl Call {
    /// What two records of the same call have in common.
    pub(crate) fn identity(&self) -> (String, String, i64, i64) {
        (
            self.path.clone(),
            self.timestamp.clone(),
            self.status_code,
            self.duration_ms,
        )
    }
}

/// The calls in the answer of a tool that runs tests. An answer may have the same one several times.
pub(super) fn calls(answer: Option<&Value>) -> Vec<Call> {
    let mut found = Vec::new();
    if let Some(answer) = answer {
        search(answer, 0, &mut found);
    }
    found
}

fn search(value: &Value, depth: usize, found: &mut Vec<Call>) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::String(text) => {
            let is_json = text.trim_start().starts_with(['{', '[', '"']);
            if let Some(value) = is_json.then(|| super::value(text)).flatten() {
                search(&value, depth + 1, found);
            }
        }
        Value::Array(values) => {
            for value in values {
                search(value, depth + 1, found);
            }
        }
        Value::Object(object) => {
            if let Some(call) = call(object) {
                found.push(call);
                return;
            }
            let values = KEYS.iter().filter_map(|key| object.get(*key));
            values.for_each(|value| search(value, depth + 1, found));
        }
        _ => {}
    }
}

fn call(object: &Object) -> Option<Call> {
    let text = |key| Some(object.get(key)?.as_str()?.to_owned());
    let integer = |key| object.get(key)?.as_i64();
    Some(Call {
        path: text("path")?,
        timestamp: text("timestamp")?,
        duration_ms: integer("duration_ms")?,
        status_code: integer("status_code")?,
        error: object.get("error").and_then(words),
        result: object.get("result").and_then(counts),
        extra: Object::new(),
    })
}

fn counts(value: &Value) -> Option<Counts> {
    let count = |key| value.get(key)?.as_u64();
    Some(Counts {
        passed: count("passed")?,
        failed: count("failed")?,
        total: count("total")?,
        tests: Value::Array(tests(value).cloned().collect()),
        extra: Object::new(),
    })
}

/// The tests that are objects: readers of traces expect no others.
fn tests(value: &Value) -> impl Iterator<Item = &Value> {
    let tests = value.get("tests").and_then(Value::as_array);
    tests.into_iter().flatten().filter(|test| test.is_object())
}

/// An error in words: a string as it is, anything else as JSON.
fn words(error: &Value) -> Option<String> {
    match error {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

//! What the site accepts: the schema of `src/pages/api/results.ts` in cjpais/LocalScore, checked
//! before anything is sent.

use std::fmt;

use crate::formats::llamafile_json::{Json, utf16_len};

/// Something in a payload that the site would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where it is, such as `results[0].ttft_ms`, or `results[0..8].ttft_ms` where the same is
    /// wrong in several tests.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

/// What a field must be.
enum Rule {
    /// A string.
    Text,
    /// A string, or nothing.
    OptionalText,
    /// A string, or null.
    NullableText,
    /// A string of so many characters, counted as JavaScript does.
    Length(usize, usize),
    /// CPU, GPU or TPU.
    Type,
    /// A finite number.
    Number,
    /// A number without a fraction.
    Integer,
}

const HEADER: [(&str, &[(&str, Rule)]); 4] = [
    (
        "system_info",
        &[
            ("cpu_name", Rule::Text),
            ("cpu_arch", Rule::Text),
            ("ram_gb", Rule::Number),
            ("kernel_type", Rule::Text),
            ("kernel_release", Rule::Text),
            ("version", Rule::Text),
        ],
    ),
    (
        "accelerator_info",
        &[
            ("name", Rule::Text),
            ("type", Rule::Type),
            ("memory_gb", Rule::Number),
            ("manufacturer", Rule::NullableText),
        ],
    ),
    (
        "runtime_info",
        &[
            ("name", Rule::Text),
            ("version", Rule::OptionalText),
            ("commit", Rule::OptionalText),
        ],
    ),
    (
        "results_summary",
        &[
            ("avg_prompt_tps", Rule::Number),
            ("avg_gen_tps", Rule::Number),
            ("avg_ttft_ms", Rule::Number),
            ("performance_score", Rule::Number),
        ],
    ),
];

const RESULT: [(&str, Rule); 14] = [
    ("name", Rule::Length(0, 255)),
    ("model_name", Rule::Length(1, 255)),
    ("model_quant_str", Rule::Length(1, 255)),
    ("model_params_str", Rule::Length(0, 255)),
    ("model_n_params", Rule::Integer),
    ("n_prompt", Rule::Integer),
    ("n_gen", Rule::Integer),
    ("avg_time_ms", Rule::Number),
    ("prompt_tps", Rule::Number),
    ("prompt_tps_watt", Rule::Number),
    ("gen_tps", Rule::Number),
    ("gen_tps_watt", Rule::Number),
    ("power_watts", Rule::Number),
    ("ttft_ms", Rule::Number),
];

/// The fields that must be the same in all tests.
const SAME: [&str; 3] = ["model_name", "model_quant_str", "model_n_params"];

/// The longest body that Next.js takes unless told otherwise, in bytes, and the site does not tell.
const MAX_BYTES: usize = 1 << 20;

/// What the site would refuse in a payload; nothing, if it would take it.
#[must_use]
pub fn violations(payload: &Json) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut check = |field: String, rule: &Rule, value: Option<&Json>| {
        found.extend(rule.broken_by(value).map(|why| Violation { field, why }));
    };
    for (object, rules) in &HEADER {
        for (key, rule) in *rules {
            let value = payload.get(object).and_then(|object| object.get(key));
            check(format!("{object}.{key}"), rule, value);
        }
    }
    let results = match payload.get("results") {
        Some(Json::Array(results)) => results.as_slice(),
        _ => &[],
    };
    for (key, rule) in &RESULT {
        found.extend(in_results(results, key, rule));
    }
    let mut add = |field: String, why: String| found.push(Violation { field, why });
    let Some(first) = results.first() else {
        add("results".to_owned(), "there is no test".to_owned());
        return found;
    };
    for key in SAME {
        let other = results
            .iter()
            .position(|result| result.get(key) != first.get(key));
        if let Some(index) = other {
            add(
                format!("results[{index}].{key}"),
                "differs from that of the first test".to_owned(),
            );
        }
    }
    let length = payload.compact().len();
    if length > MAX_BYTES {
        let why = format!("has {length} bytes, the site takes {MAX_BYTES}");
        add("payload".to_owned(), why);
    }
    found
}

/// What is wrong with a field of the tests: each reason once, with the tests that it is true of.
fn in_results(results: &[Json], key: &str, rule: &Rule) -> Vec<Violation> {
    let mut reasons: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, result) in results.iter().enumerate() {
        let Some(why) = rule.broken_by(result.get(key)) else {
            continue;
        };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, indices)) => indices.push(index),
            None => reasons.push((why, vec![index])),
        }
    }
    let violation = |(why, indices): (String, Vec<usize>)| Violation {
        field: format!("results[{}].{key}", ranges(&indices)),
        why,
    };
    reasons.into_iter().map(violation).collect()
}

/// Ascending numbers, neighbours put together: `0, 2..8`.
fn ranges(numbers: &[usize]) -> String {
    let neighbours = numbers.chunk_by(|one, next| one + 1 == *next);
    let range = |range: &[usize]| match range {
        [first, .., last] => format!("{first}..{last}"),
        one => one.iter().map(usize::to_string).collect(),
    };
    neighbours.map(range).collect::<Vec<_>>().join(", ")
}

impl Rule {
    /// Why the site refuses the value; `None` if it does not.
    fn broken_by(&self, value: Option<&Json>) -> Option<String> {
        let value = match (self, value) {
            (Self::OptionalText, None) | (Self::NullableText, Some(Json::Null)) => return None,
            (_, None) => return Some("is missing".to_owned()),
            (_, Some(value)) => value,
        };
        let why = match (self, value) {
            (Self::Text | Self::OptionalText | Self::NullableText, Json::String(_))
            | (Self::Number | Self::Integer, Json::Integer(_)) => return None,
            (Self::Number, Json::Double(number)) if number.is_finite() => return None,
            // The double of an unsigned integer that is too large for a signed one.
            (Self::Integer, Json::Double(number)) if number.fract() == 0.0 => return None,
            (Self::Number | Self::Integer, Json::Double(number)) => {
                format!(
                    "is {}, not a finite number",
                    number.to_string().to_lowercase()
                )
            }
            (Self::Type, Json::String(text)) => match text.as_slice() {
                b"CPU" | b"GPU" | b"TPU" => return None,
                other => format!(
                    "is '{}', not CPU, GPU or TPU",
                    String::from_utf8_lossy(other)
                ),
            },
            (Self::Length(least, most), Json::String(text)) => {
                let length = utf16_len(text);
                if (*least..=*most).contains(&length) {
                    return None;
                }
                format!("has {length} characters, not {least} to {most}")
            }
            (Self::Number | Self::Integer, _) => "is no number".to_owned(),
            _ => "is no string".to_owned(),
        };
        Some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_a_range() {
        assert_eq!(ranges(&[0]), "0");
        assert_eq!(ranges(&[0, 1, 2, 3, 4, 5, 6, 7, 8]), "0..8");
        assert_eq!(ranges(&[0, 2, 3, 7]), "0, 2..3, 7");
    }
}

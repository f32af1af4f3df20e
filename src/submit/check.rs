//! The rules of the site: the schema of `src/pages/api/results.ts` in cjpais/LocalScore, checked
//! before anything is sent.

use crate::formats::llamafile_json::{Json, utf16_len};

/// The rule for a field.
enum Rule {
    /// A string.
    Text,
    /// A string, or nothing.
    OptionalText,
    /// A string, or null.
    NullableText,
    /// A string whose length, counted as in JavaScript, is in this range.
    Length(usize, usize),
    /// CPU, GPU or TPU.
    Type,
    /// A finite number.
    Number,
    /// A number without a fraction.
    Integer,
}

const HEADER: [(&str, &str, Rule); 17] = [
    ("system_info", "cpu_name", Rule::Text),
    ("system_info", "cpu_arch", Rule::Text),
    ("system_info", "ram_gb", Rule::Number),
    ("system_info", "kernel_type", Rule::Text),
    ("system_info", "kernel_release", Rule::Text),
    ("system_info", "version", Rule::Text),
    ("accelerator_info", "name", Rule::Text),
    ("accelerator_info", "type", Rule::Type),
    ("accelerator_info", "memory_gb", Rule::Number),
    ("accelerator_info", "manufacturer", Rule::NullableText),
    ("runtime_info", "name", Rule::Text),
    ("runtime_info", "version", Rule::OptionalText),
    ("runtime_info", "commit", Rule::OptionalText),
    ("results_summary", "avg_prompt_tps", Rule::Number),
    ("results_summary", "avg_gen_tps", Rule::Number),
    ("results_summary", "avg_ttft_ms", Rule::Number),
    ("results_summary", "performance_score", Rule::Number),
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

/// The longest body that Next.js accepts by default, which the site does not change, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// The reasons why the site would refuse a payload, as `FIELD: WHY`; empty if it would accept it. A
/// reason that several tests share is given once, for a FIELD such as `results[0..8].ttft_ms`.
pub(crate) fn violations(payload: &Json) -> Vec<String> {
    let mut found = Vec::new();
    for (object, key, rule) in &HEADER {
        let value = payload.get(object).and_then(|object| object.get(key));
        found.extend(
            rule.broken_by(value)
                .map(|why| format!("{object}.{key}: {why}")),
        );
    }
    let results = match payload.get("results") {
        Some(Json::Array(results)) => results.as_slice(),
        _ => &[],
    };
    for (key, rule) in &RESULT {
        found.extend(in_results(results, key, rule));
    }
    let Some(first) = results.first() else {
        found.push("results: there are no tests".to_owned());
        return found;
    };
    for key in SAME {
        let differs = |result: &Json| result.get(key) != first.get(key);
        if let Some(index) = results.iter().position(differs) {
            found.push(format!(
                "results[{index}].{key}: differs from the first test"
            ));
        }
    }
    let length = payload.compact().len();
    if length > MAX_BYTES {
        found.push(format!(
            "payload: has {length} bytes, the site takes {MAX_BYTES}"
        ));
    }
    found
}

/// The violations of a field of the tests, each once with the tests that have it.
fn in_results(results: &[Json], key: &str, rule: &Rule) -> Vec<String> {
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
    let reasons = reasons.into_iter();
    reasons
        .map(|(why, indices)| format!("results[{}].{key}: {why}", ranges(&indices)))
        .collect()
}

/// Ascending numbers with ranges: `0, 2..8`.
fn ranges(numbers: &[usize]) -> String {
    let neighbours = numbers.chunk_by(|one, next| one + 1 == *next);
    let range = |range: &[usize]| match range {
        [first, .., last] => format!("{first}..{last}"),
        one => one.iter().map(usize::to_string).collect(),
    };
    neighbours.map(range).collect::<Vec<_>>().join(", ")
}

impl Rule {
    /// Why the site refuses the value; `None` if it accepts it.
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
            // An unsigned integer that is too large for a signed one is stored as a double.
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
            (Self::Number | Self::Integer, _) => "is not a number".to_owned(),
            _ => "is not a string".to_owned(),
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

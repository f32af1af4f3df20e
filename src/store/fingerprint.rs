//! Tells whether two captures are of the same run.

use std::io::Write;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::model::{Field, Run, Value};

/// The keys by which another capture of a run finds it.
pub(crate) struct Keys {
    pub(crate) fingerprint: [u8; 16],
    pub(crate) core: [u8; 8],
}

impl Keys {
    pub(crate) fn of(run: &Run) -> Self {
        Self {
            fingerprint: fingerprint(run),
            core: core(run),
        }
    }
}

/// A hash of 16 bytes of what every format knows of a run's tests, so that the csv and the json of
/// one run have the same one: samples are left out, a byte of 0x80 or more counts as one that the C
/// tool lost, and a number that is not finite counts as missing.
///
/// The hash of a run without tests is that of its header.
pub(crate) fn fingerprint(run: &Run) -> [u8; 16] {
    let mut bytes = Vec::with_capacity(512 * run.tests.len());
    for test in &run.tests {
        for &field in Field::IDENTITY {
            feed(&mut bytes, field.get(test));
        }
    }
    if run.tests.is_empty() {
        for value in run.environment.identity() {
            feed(&mut bytes, value);
        }
    }
    xxh3_128(&bytes).to_be_bytes()
}

/// A hash of 8 bytes of what even the table of the console tells of a run's tests, rounded as there:
/// tokens and speeds.
///
/// Rounding twice can give another number than rounding once. Such a run is not found again, and is
/// stored twice.
pub(crate) fn core(run: &Run) -> [u8; 8] {
    let mut bytes = Vec::with_capacity(32 * run.tests.len());
    for test in &run.tests {
        let speed = |tps: Option<f64>| tps.filter(|tps| tps.is_finite()).unwrap_or(0.0);
        let (pp, tg) = (speed(test.prompt_tps), speed(test.gen_tps));
        // Writing to memory cannot fail.
        let _ = writeln!(bytes, "{} {} {pp:.2} {tg:.2}", test.n_prompt, test.n_gen);
    }
    xxh3_64(&bytes).to_be_bytes()
}

/// Appends a value to the bytes that are hashed; each kind has a mark, and a string has an end.
fn feed(bytes: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Number(number) if number.is_finite() => {
            bytes.push(b'n');
            // Adding zero makes -0.0 and 0.0 one.
            bytes.extend_from_slice(&(number + 0.0).to_bits().to_le_bytes());
        }
        Value::Missing | Value::Number(_) => bytes.push(b'-'),
        Value::Integer(integer) => {
            bytes.push(b'i');
            bytes.extend_from_slice(&i128::from(integer).to_le_bytes());
        }
        Value::Unsigned(integer) => {
            bytes.push(b'i');
            bytes.extend_from_slice(&i128::from(integer).to_le_bytes());
        }
        Value::Text(text) => {
            bytes.push(b's');
            text.fold_into(bytes);
            bytes.push(0xfe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, Test};

    fn run(name: &str) -> Run {
        Run {
            tests: vec![Test {
                model: Model {
                    model_name: Some(name.into()),
                    ..Model::default()
                },
                ..Test::default()
            }],
            ..Run::default()
        }
    }

    #[test]
    fn a_name_and_what_the_c_tool_left_of_it_are_one() {
        assert_eq!(
            fingerprint(&run("é")),
            fingerprint(&run("\u{ffff}f\u{ffff}f"))
        );
        assert_ne!(fingerprint(&run("é")), fingerprint(&run("ee")));
    }

    #[test]
    fn the_value_never_changes_for_it_is_in_stores() {
        let known = u128::from_be_bytes(fingerprint(&run("Llama")));
        assert_eq!(known, KNOWN, "{known:#x}");
    }

    const KNOWN: u128 = 0xbb35_68d8_0735_348e_7257_540e_5aa0_1fb3;
}

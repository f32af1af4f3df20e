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
        let _ = write!(bytes, "{} {} ", test.n_prompt, test.n_gen);
        write_speed(&mut bytes, pp);
        bytes.push(b' ');
        write_speed(&mut bytes, tg);
        bytes.push(b'\n');
    }
    xxh3_64(&bytes).to_be_bytes()
}

/// Appends what `{:.2}` makes of a number. That takes its time; for nearly all speeds integers do.
fn write_speed(bytes: &mut Vec<u8>, speed: f64) {
    const FRACTION: u32 = 52;
    let bits = speed.to_bits();
    // The number is `mantissa` / 2^`shift`; 0 and what is negative, tiny or huge have no such shift.
    let mantissa = bits & ((1 << FRACTION) - 1) | 1 << FRACTION;
    let shift = (1023 + u64::from(FRACTION)).wrapping_sub(bits >> FRACTION);
    if (1..64).contains(&shift) {
        let hundred = mantissa * 100;
        let (floor, rest) = (hundred >> shift, hundred & ((1 << shift) - 1));
        let half = 1 << (shift - 1);
        if rest != half {
            let rounded = floor + u64::from(rest > half);
            let _ = write!(bytes, "{}.{:02}", rounded / 100, rounded % 100);
            return;
        }
    }
    let _ = write!(bytes, "{speed:.2}");
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn speeds_are_written_as_by_the_standard_library(
            any: f64,
            speed in 0.0..1e5,
            eighths in 0..1_000_000_u32,
        ) {
            for speed in [any, speed, f64::from(eighths) / 8.0, f64::from(eighths) / 200.0] {
                let mut bytes = Vec::new();
                write_speed(&mut bytes, speed);
                prop_assert_eq!(String::from_utf8(bytes).unwrap(), format!("{:.2}", speed));
            }
        }
    }

    #[test]
    fn the_value_never_changes_for_it_is_in_stores() {
        let known = u128::from_be_bytes(fingerprint(&run("Llama")));
        assert_eq!(known, KNOWN, "{known:#x}");
    }

    const KNOWN: u128 = 0xbb35_68d8_0735_348e_7257_540e_5aa0_1fb3;
}

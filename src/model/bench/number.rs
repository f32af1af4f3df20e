//! Numbers as llama-bench prints them.

use crate::model::Text;

/// The number as `%.6f` prints it, if that gives it back; a number with more digits stays as it came.
/// `inf`, `nan` and `-nan` stay too. `None` if the token is not a number.
#[must_use]
pub(crate) fn rounded(token: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(token).ok()?;
    if is_fixed(token) {
        return Some(token.to_vec());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_word = ["inf", "nan", "infinity"]
        .iter()
        .any(|word| unsigned.eq_ignore_ascii_case(word));
    if is_word {
        return Some(token.to_vec());
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let printed = format!("{value:.6}");
    if value.is_finite() && printed.parse() == Ok(value) {
        return Some(printed.into_bytes());
    }
    Some(token.to_vec())
}

/// Whether the token has the form of `%.6f` already.
fn is_fixed(token: &[u8]) -> bool {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    let Some(point) = digits.len().checked_sub(7) else {
        return false;
    };
    let (whole, rest) = digits.split_at(point);
    let is_whole = !whole.is_empty() && whole.iter().all(u8::is_ascii_digit);
    is_whole
        && (whole == b"0" || whole[0] != b'0')
        && rest[0] == b'.'
        && rest[1..].iter().all(u8::is_ascii_digit)
}

/// The number as `%g` prints it: six significant digits, without zeros at the end.
#[must_use]
pub(crate) fn general(value: f64) -> String {
    const DIGITS: i32 = 6;
    if value.is_nan() {
        return if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let without_zeros = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if (-4..DIGITS).contains(&exponent) {
        let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or_default();
        return without_zeros(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "{}e{sign}{:02}",
        without_zeros(mantissa),
        exponent.unsigned_abs()
    )
}

/// The token as a number, `inf` and `nan` included.
pub(super) fn parsed(token: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(token).ok()?;
    match text {
        "true" => return Some(1.0),
        "false" => return Some(0.0),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_word = ["inf", "nan"]
        .iter()
        .any(|word| unsigned.eq_ignore_ascii_case(word));
    if is_number || is_word {
        text.parse().ok()
    } else {
        None
    }
}

/// The token as a whole number.
pub(super) fn integer(token: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(token).ok()?;
    if let Ok(integer) = text.parse() {
        return Some(integer);
    }
    let value = parsed(token)?;
    #[allow(clippy::cast_possible_truncation, reason = "whole and in range")]
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i128)
}

/// A model's size as a table shows it.
#[must_use]
pub(crate) fn shown_size(bytes: &Text) -> Text {
    shown(bytes, &[(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB")])
}

/// A model's number of parameters as a table shows it.
#[must_use]
pub(crate) fn shown_params(count: &Text) -> Text {
    shown(count, &[(1e9, "B"), (1e6, "M")])
}

/// The number in the first of these units of which it has one or more, else in the last; a text that
/// is shown already stays.
fn shown(number: &Text, units: &[(f64, &str)]) -> Text {
    let Some(value) = parsed(number.as_bytes()) else {
        return number.clone();
    };
    let is_enough = |(unit, _): &&(f64, &str)| value >= *unit;
    let Some((unit, name)) = units.iter().find(is_enough).or(units.last()) else {
        return number.clone();
    };
    format!("{:.2} {name}", value / unit).as_str().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_six_decimals_or_stays_as_it_came() {
        for (token, expected) in [
            ("60.183114", Some("60.183114")),
            ("60", Some("60.000000")),
            ("6.0183114e1", Some("60.183114")),
            ("-1", Some("-1.000000")),
            ("60.1831141234", Some("60.1831141234")),
            ("1e300", Some("1e300")),
            ("-nan", Some("-nan")),
            ("inf", Some("inf")),
            ("0.000000", Some("0.000000")),
            ("", None),
            ("fast", None),
            ("0x10", None),
            ("1.5 ± 2", None),
        ] {
            let rounded = rounded(token.as_bytes());
            let rounded = rounded.map(|token| String::from_utf8(token).unwrap());
            if token == "1e300" {
                assert!(rounded.is_some());
                continue;
            }
            assert_eq!(rounded.as_deref(), expected, "{token}");
        }
    }

    #[test]
    fn a_general_number_is_that_of_c() {
        for (value, expected) in [
            (0.0, "0"),
            (3065.3519, "3065.35"),
            (2996.5, "2996.5"),
            (11556.0, "11556"),
            (150.4401, "150.44"),
            (999_999.5, "1e+06"),
            (123_456.7, "123457"),
            (1_234_567.0, "1.23457e+06"),
            (0.0001, "0.0001"),
            (0.000_012_345, "1.2345e-05"),
            (f64::INFINITY, "inf"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(general(value), expected);
        }
        assert_eq!(general(-f64::NAN.copysign(1.0)), "-nan");
    }
}

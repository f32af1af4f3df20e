//! Numbers: as C's printf writes them, and in every spelling that captures have.

use std::fmt;

use crate::model::{Kind, NewValue, Value};

/// A number as `%.{decimals}f` of C prints it, `nan`, `-nan` and `inf` included.
pub(crate) struct Fixed(pub f64, pub usize);

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, decimals) = *self;
        let sign = if value.is_sign_negative() { "-" } else { "" };
        if value.is_nan() {
            write!(f, "{sign}nan")
        } else if value.is_infinite() {
            write!(f, "{sign}inf")
        } else {
            write!(f, "{value:.decimals$}")
        }
    }
}

/// A numeric value as the C tool prints it, with this number of decimals; empty if it is missing.
pub(crate) struct Printed<'a>(pub Value<'a>, pub usize);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Missing | Value::Text(_) => Ok(()),
            Value::Integer(value) => value.fmt(f),
            Value::Unsigned(value) => value.fmt(f),
            Value::Number(value) => Fixed(value, self.1).fmt(f),
        }
    }
}

/// Parses a number: decimal, with or without exponent, or nan or infinity as C, Python or
/// JavaScript print it. The sign of nan is kept.
#[must_use]
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let (negative, rest) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = match rest.first()? {
        b'0'..=b'9' | b'.' => std::str::from_utf8(rest).ok()?.parse().ok()?,
        _ if is_nan(rest) => f64::NAN.copysign(1.0),
        _ if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") => {
            f64::INFINITY
        }
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Windows prints `nan(ind)`; glibc may print a payload in the same way.
fn is_nan(text: &[u8]) -> bool {
    let Some((word, rest)) = text.split_at_checked(3) else {
        return false;
    };
    word.eq_ignore_ascii_case(b"nan")
        && (rest.is_empty() || (rest.first() == Some(&b'(') && rest.last() == Some(&b')')))
}

/// Parses an integer exactly; a decimal point or an exponent is accepted if the value is whole.
#[must_use]
pub(crate) fn parse_integer(text: &[u8]) -> Option<i128> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let value = parse(text)?;
    // Beyond 2^53 a double no longer stands for one integer.
    #[allow(clippy::cast_possible_truncation, reason = "whole and in range")]
    (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i128)
}

/// Parses the value of a numeric field.
#[must_use]
pub(crate) fn parse_as(kind: Kind, text: &[u8]) -> Option<NewValue> {
    match kind {
        Kind::Number => parse(text).map(NewValue::Number),
        _ => parse_integer(text).map(NewValue::Integer),
    }
}

/// The name of the kind in error messages.
#[must_use]
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a string",
        Kind::Number => "a number",
        Kind::Integer | Kind::Unsigned => "an integer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(value: f64, decimals: usize) -> String {
        Fixed(value, decimals).to_string()
    }

    #[test]
    fn numbers_print_as_in_c() {
        assert_eq!(fixed(8_336.135_665, 6), "8336.135665");
        assert_eq!(fixed(0.125, 2), "0.12");
        assert_eq!(fixed(-f64::NAN.copysign(1.0), 6), "-nan");
        assert_eq!(fixed(f64::NAN.copysign(1.0), 6), "nan");
        assert_eq!(fixed(f64::NEG_INFINITY, 2), "-inf");
        assert_eq!(fixed(1e22, 6), "10000000000000000000000.000000");
    }

    #[test]
    fn every_spelling_of_a_number_is_read() {
        assert_eq!(parse(b"1.5e3"), Some(1500.0));
        assert_eq!(parse(b"-0.0").map(f64::is_sign_negative), Some(true));
        assert!(parse(b"-nan(ind)").is_some_and(|n| n.is_nan() && n.is_sign_negative()));
        assert!(parse(b"NaN").is_some_and(|n| n.is_nan() && n.is_sign_positive()));
        assert_eq!(parse(b"-Infinity"), Some(f64::NEG_INFINITY));
        for bad in ["", "-", "nanx", "abc", "1.2.3", "0x10", "--1", "infinit"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn integers_keep_all_their_bits() {
        assert_eq!(
            parse_integer(b"18446744073709551615"),
            Some(u64::MAX.into())
        );
        assert_eq!(parse_integer(b"1.024e3"), Some(1024));
        assert_eq!(parse_integer(b"1.5"), None);
        assert_eq!(parse_integer(b"1e300"), None);
        assert_eq!(parse_integer(b""), None);
    }
}

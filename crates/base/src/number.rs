//! Numbers for people.

/// A value that is compared with others, with the digits that matter.
#[must_use]
pub fn compared(value: f64) -> String {
    match value.abs() {
        huge if huge >= 1e9 => format!("{value:.3e}"),
        large if large >= 10_000.0 => format!("{value:.0}"),
        large if large >= 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A value in the label of a chart, with few digits.
#[must_use]
pub fn label(value: f64) -> String {
    match value.abs() {
        huge if huge >= 1e9 => format!("{value:.2e}"),
        large if large >= 1000.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// A value as LocalScore prints it; an absurdly large one is shortened.
#[must_use]
pub fn two_decimals(value: f64) -> String {
    if value.abs() < 1e9 {
        format!("{value:.2}")
    } else {
        format!("{value:.3e}")
    }
}

/// A change in percent with its sign: `+1.2%`.
#[must_use]
pub fn change(percent: f64) -> String {
    if percent.is_finite() {
        // A change that rounds to zero has no minus sign.
        let percent = if percent.abs() < 0.05 { 0.0 } else { percent };
        format!("{percent:+.1}%")
    } else {
        "?".to_owned()
    }
}

/// An interval of changes in percent, whose ends may be infinite: `-0.3…+inf`.
#[must_use]
pub fn interval(low: f64, high: f64) -> String {
    format!("{low:+.1}…{high:+.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_matter() {
        let numbers = [0.0, 12.345, 1234.56, 12_345.6, 2e9];
        let compared: Vec<String> = numbers.into_iter().map(compared).collect();
        assert_eq!(compared, ["0.00", "12.35", "1234.6", "12346", "2.000e9"]);
        let labels: Vec<String> = numbers.into_iter().map(label).collect();
        assert_eq!(labels, ["0.00", "12.35", "1235", "12346", "2.00e9"]);
        assert_eq!(two_decimals(1234.5), "1234.50");
        assert_eq!(change(-0.01), "+0.0%");
        assert_eq!(change(f64::NAN), "?");
        assert_eq!(interval(-1.25, f64::INFINITY), "-1.2…+inf");
    }
}

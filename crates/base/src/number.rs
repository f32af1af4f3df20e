//! Numbers for people.

/// A speed in t/s or a time in ms, with the digits that matter: two decimals below 1000, one below
/// 10,000, else none.
#[must_use]
pub fn amount(value: f64) -> String {
    match value.abs() {
        huge if huge >= 1e9 => format!("{value:.3e}"),
        large if large >= 9999.95 => format!("{value:.0}"),
        large if large >= 999.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A change in percent: `−11.2%`, `+0.4%`, `0.0%`, and from ±1000% on the factor, `×11`.
#[must_use]
pub fn percent(change: f64) -> String {
    match change {
        _ if !change.is_finite() => "?".to_owned(),
        _ if change >= 1000.0 => times(change),
        _ => format!("{}%", signed(change)),
    }
}

/// An interval of changes in percent, whose ends may be infinite: `−0.3…+∞`.
#[must_use]
pub fn percents(low: f64, high: f64) -> String {
    let end = |end: f64| match end {
        f64::INFINITY => "+∞".to_owned(),
        _ if end >= 1000.0 => times(end),
        _ => signed(end),
    };
    format!("{}…{}", end(low), end(high))
}

fn times(change: f64) -> String {
    format!("×{:.0}", 1.0 + change / 100.0)
}

/// One decimal, with a sign unless it rounds to zero.
fn signed(percent: f64) -> String {
    if percent.abs() < 0.05 {
        return "0.0".to_owned();
    }
    format!("{percent:+.1}").replace('-', "−")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_matter() {
        let numbers = [0.0, 12.345, 1234.56, 12_345.6, 2e9];
        let amounts = numbers.map(amount);
        assert_eq!(amounts, ["0.00", "12.35", "1234.6", "12346", "2.000e9"]);
        assert_eq!(two_decimals(1234.5), "1234.50");
        assert_eq!(amount(999.996), "1000.0");
        assert_eq!(amount(-9999.96), "-10000");
        let changes = [-11.16, 0.04, -0.04, 12.0, 999.94, 1000.0, f64::NAN];
        assert_eq!(
            changes.map(percent),
            ["−11.2%", "0.0%", "0.0%", "+12.0%", "+999.9%", "×11", "?"]
        );
        assert_eq!(percents(-13.94, -8.44), "−13.9…−8.4");
        assert_eq!(percents(-0.01, f64::INFINITY), "0.0…+∞");
    }
}

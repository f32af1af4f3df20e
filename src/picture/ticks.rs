//! The values of an axis that get a label: round ones.

use super::text::{fixed, number};

/// A value of an axis and how it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub value: f64,
    pub label: String,
}

/// What the ticks of a logarithmic axis are powers of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// For numbers of tokens.
    Two,
    /// With 2 and 5 between the powers, where there is room.
    Ten,
}

/// Ticks from the last one at or below `low` to the first at or above `high`, in steps of 1, 2 or 5
/// times a power of ten; about as many as wanted.
pub(super) fn linear(low: f64, high: f64, wanted: f64) -> Vec<Tick> {
    let span = high - low;
    let size = low.abs().max(high.abs());
    // Steps smaller than what a float of that size can tell apart are none.
    let step = round_up((span / wanted).max(size * 1e-12));
    if !(step.is_finite() && step > 0.0) {
        return Vec::new();
    }
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    let mut ticks = Vec::new();
    let mut index = first;
    while index <= last && ticks.len() < 100 {
        let value = index * step;
        let label = if size >= 1e7 || (size > 0.0 && step < 1e-5) {
            exponential(value, step, size)
        } else {
            fixed(value, decimals(step))
        };
        ticks.push(Tick { value, label });
        index += 1.0;
    }
    ticks
}

/// Ticks on a logarithmic axis: around the values, or of tokens where enough lie between, there.
pub(super) fn logarithmic(low: f64, high: f64, base: Base, wanted: f64) -> Vec<Tick> {
    let powers = |base: f64, shares: &'static [f64]| {
        let first = (low.ln() / base.ln() + 1e-9).floor();
        let last = (high.ln() / base.ln() - 1e-9).ceil().max(first + 1.0);
        let count = last - first;
        let stride = (count / wanted).ceil().max(1.0);
        let mut values = Vec::new();
        let mut power = first;
        while power <= last && values.len() < 100 {
            values.extend(shares.iter().map(|share| share * base.powf(power)));
            power += stride;
        }
        values
    };
    let values = match base {
        Base::Two => powers(2.0, &[1.0]),
        Base::Ten if (high / low).log10() * 2.0 <= wanted => powers(10.0, &[1.0, 2.0, 5.0]),
        Base::Ten => powers(10.0, &[1.0]),
    };
    let is_inside = |value: f64| value >= low * 0.97 && value <= high * 1.03;
    if base == Base::Two && values.iter().filter(|value| is_inside(**value)).count() > 1 {
        return named(values.into_iter().filter(|&value| is_inside(value)));
    }
    // Nothing beyond the first tick outside of the values on either side.
    let first = values
        .iter()
        .rposition(|&value| value <= low * (1.0 + 1e-9));
    let last = values
        .iter()
        .position(|&value| value >= high * (1.0 - 1e-9));
    let last = last.unwrap_or(values.len().saturating_sub(1));
    let inner = values.get(first.unwrap_or(0)..=last).unwrap_or(&values);
    named(inner.iter().copied())
}

fn named(values: impl Iterator<Item = f64>) -> Vec<Tick> {
    values
        .map(|value| Tick {
            value,
            label: plain(value),
        })
        .collect()
}

/// A round number without needless zeros.
fn plain(value: f64) -> String {
    if (1.0..1e7).contains(&value) {
        return fixed(value, 0);
    }
    let text = number(value);
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{exponent}")
        }
        None => text,
    }
}

/// The next number up that is 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10.0_f64.powf(value.log10().floor());
    let leading = value / power;
    let round = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|&round| leading <= round * (1.0 + 1e-9));
    round.unwrap_or(10.0) * power
}

/// The decimals that a step needs.
fn decimals(step: f64) -> usize {
    let power = (step.log10() + 1e-9).floor();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 9"
    )]
    let decimals = (-power).clamp(0.0, 9.0) as usize;
    decimals
}

fn exponential(value: f64, step: f64, size: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // As many digits as tell neighbours apart.
    let magnitude = |value: f64| (value.log10() + 1e-9).floor();
    let digits = decimals(10.0_f64.powf(magnitude(step) - magnitude(size)));
    format!("{value:.digits$e}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn steps_are_one_two_or_five() {
        assert_eq!(
            labels(&linear(0.0, 1.0, 5.0)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(&linear(1870.0, 1890.0, 4.0)),
            ["1,870", "1,875", "1,880", "1,885", "1,890"]
        );
        assert_eq!(
            labels(&linear(0.0, 1e6, 3.0)),
            ["0", "500,000", "1,000,000"]
        );
        assert_eq!(
            labels(&linear(0.0011, 0.0019, 2.0)),
            ["0.0010", "0.0015", "0.0020"]
        );
        assert_eq!(labels(&linear(0.0, 5e9, 3.0)), ["0", "2e9", "4e9", "6e9"]);
        assert_eq!(labels(&linear(-3.0, 3.0, 3.0)), ["−4", "−2", "0", "2", "4"]);
    }

    #[test]
    fn powers_on_a_logarithmic_axis() {
        let two = logarithmic(1040.0, 4352.0, Base::Two, 8.0);
        assert_eq!(labels(&two), ["1,024", "2,048", "4,096"]);
        let two = logarithmic(1100.0, 1900.0, Base::Two, 8.0);
        assert_eq!(labels(&two), ["1,024", "2,048"]);
        let ten = logarithmic(13.0, 900.0, Base::Ten, 8.0);
        assert_eq!(
            labels(&ten),
            ["10", "20", "50", "100", "200", "500", "1,000"]
        );
        let one = logarithmic(16.0, 16.0, Base::Two, 8.0);
        assert_eq!(labels(&one), ["16"]);
        let wide = logarithmic(0.001, 1e9, Base::Ten, 6.0);
        assert!(
            wide.len() <= 8 && wide[0].label == "0.001",
            "{:?}",
            labels(&wide)
        );
    }

    proptest! {
        #[test]
        fn ticks_enclose_the_range_and_are_told_apart(
            low in -1e6..1e6_f64, span in 1e-3..1e6_f64, wanted in 2.0..12.0_f64,
        ) {
            let ticks = linear(low, low + span, wanted);
            let (first, last) = (ticks.first().unwrap(), ticks.last().unwrap());
            prop_assert!(first.value <= low + span * 1e-6 && last.value >= low + span * (1.0 - 1e-6));
            prop_assert!(ticks.len() <= 14);
            prop_assert!(ticks.windows(2).all(|pair| pair[0].label != pair[1].label));
        }
    }
}

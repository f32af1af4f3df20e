//! Axes: the positions of values, and the ticks with their labels.

use maud::{Markup, html};

use crate::svg::{Anchor, line, text};
use crate::text::{SIZE, fixed, number, widest, width};

/// An axis: its range, its place in the picture, its ticks.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
    /// The positions of the low and the high end, in pixels.
    ends: (f64, f64),
    /// The ticks, the lowest first.
    pub ticks: Vec<Tick>,
}

/// Smaller values are treated as zero.
const SMALLEST: f64 = 1e-100;

/// Whether a value can be drawn: it is finite and not absurdly large.
pub(crate) fn is_drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e100
}

/// The smallest and the largest of the values; `None` without values.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

impl Scale {
    /// An axis that shows small differences: it spans the values, but at least a twentieth of
    /// their size, so that noise is not exaggerated.
    pub(crate) fn around(values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Option<Self> {
        let (low, high) = range(values)?;
        let size = low.abs().max(high.abs());
        if size < SMALLEST {
            return Some(Self::linear(0.0, 1.0, ends));
        }
        let missing = (0.05 * size - (high - low)).max(0.0);
        let below = low - missing / 2.0;
        // A series of positive values never needs a negative axis.
        let below = if low >= 0.0 { below.max(0.0) } else { below };
        Some(Self::linear(below, high + missing / 2.0, ends))
    }

    /// An axis that begins at zero, for bars and for absolute values.
    pub(crate) fn from_zero(values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Option<Self> {
        let (_, high) = range(values)?;
        let high = if high < SMALLEST { 1.0 } else { high };
        Some(Self::linear(0.0, high, ends))
    }

    fn linear(low: f64, high: f64, ends: (f64, f64)) -> Self {
        let ticks = linear_ticks(low, high, wanted(ends));
        Self::of(low, high, false, ends, ticks)
    }

    /// A logarithmic axis for the values above zero; it ignores others.
    pub(crate) fn log(
        values: impl Iterator<Item = f64>,
        base: Base,
        ends: (f64, f64),
    ) -> Option<Self> {
        let (low, high) = range(values.filter(|&value| value >= SMALLEST))?;
        let ticks = log_ticks(low, high, base, wanted(ends));
        Some(Self::of(low, high, true, ends, ticks))
    }

    /// The axis ends at its outermost ticks, unless the values go beyond them.
    fn of(low: f64, high: f64, is_log: bool, ends: (f64, f64), ticks: Vec<Tick>) -> Self {
        let first = ticks.first().map_or(low, |tick| tick.value.min(low));
        let last = ticks.last().map_or(high, |tick| tick.value.max(high));
        Self {
            low: first,
            high: last,
            is_log,
            ends,
            ticks,
        }
    }

    /// The left edge of a plot with the labels of this vertical axis beside it.
    pub(crate) fn left(&self) -> f64 {
        22.0 + widest(self.ticks.iter().map(|tick| width(&tick.label, SIZE)))
    }

    /// The labels and grid lines of this vertical axis, and the line below the plot.
    pub(crate) fn grid(&self, left: f64, right: f64) -> Markup {
        let bottom = self.ends.0;
        html! {
            @for tick in &self.ticks {
                @let y = self.at(tick.value);
                (line((left, y), (right, y), "grid"))
                (text(left - 6.0, y + 4.0, Anchor::End, "soft", &tick.label))
            }
            (line((left, bottom), (right, bottom), "axis"))
        }
    }

    /// The position of the value in pixels, within the ends of the axis.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let map = |value: f64| if self.is_log { value.ln() } else { value };
        let (low, high) = (map(self.low), map(self.high));
        let share = if high > low {
            ((map(value) - low) / (high - low)).clamp(0.0, 1.0)
        } else {
            0.5
        };
        // The logarithm of zero is out of range, that of a negative number is NaN.
        let share = if share.is_nan() { 0.0 } else { share };
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }
}

/// The number of ticks that there is room for.
fn wanted(ends: (f64, f64)) -> f64 {
    let length = (ends.1 - ends.0).abs();
    // Labels beside a vertical axis need less room than below a horizontal one.
    let each = if ends.1 < ends.0 { 36.0 } else { 72.0 };
    (length / each).max(2.0)
}

/// A value of an axis and its label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    pub label: String,
}

/// The base of the ticks of a logarithmic axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// For numbers of tokens.
    Two,
    /// With 2 and 5 between the powers, if there is room.
    Ten,
}

/// Ticks from the last one at or below `low` to the first at or above `high`, in steps of 1, 2 or 5
/// times a power of ten; about `wanted` of them.
fn linear_ticks(low: f64, high: f64, wanted: f64) -> Vec<Tick> {
    let span = high - low;
    let size = low.abs().max(high.abs());
    // A float of this size cannot represent smaller steps.
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

/// Ticks on a logarithmic axis: around the values or, for tokens with enough ticks, within them.
fn log_ticks(low: f64, high: f64, base: Base, wanted: f64) -> Vec<Tick> {
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
        return labelled(values.into_iter().filter(|&value| is_inside(value)));
    }
    // Only one tick beyond the values on either side.
    let first = values
        .iter()
        .rposition(|&value| value <= low * (1.0 + 1e-9));
    let last = values
        .iter()
        .position(|&value| value >= high * (1.0 - 1e-9));
    let last = last.unwrap_or(values.len().saturating_sub(1));
    let inner = values.get(first.unwrap_or(0)..=last).unwrap_or(&values);
    labelled(inner.iter().copied())
}

fn labelled(values: impl Iterator<Item = f64>) -> Vec<Tick> {
    values
        .map(|value| Tick {
            value,
            label: round_label(value),
        })
        .collect()
}

/// A round number without needless zeros.
fn round_label(value: f64) -> String {
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
    // Enough digits to distinguish neighbours.
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
            labels(&linear_ticks(0.0, 1.0, 5.0)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(&linear_ticks(1870.0, 1890.0, 4.0)),
            ["1870", "1875", "1880", "1885", "1890"]
        );
        assert_eq!(
            labels(&linear_ticks(0.0, 1e6, 3.0)),
            ["0", "500000", "1000000"]
        );
        assert_eq!(
            labels(&linear_ticks(0.0011, 0.0019, 2.0)),
            ["0.0010", "0.0015", "0.0020"]
        );
        assert_eq!(
            labels(&linear_ticks(0.0, 5e9, 3.0)),
            ["0", "2e9", "4e9", "6e9"]
        );
        assert_eq!(
            labels(&linear_ticks(-3.0, 3.0, 3.0)),
            ["−4", "−2", "0", "2", "4"]
        );
    }

    #[test]
    fn powers_on_a_logarithmic_axis() {
        let two = log_ticks(1040.0, 4352.0, Base::Two, 8.0);
        assert_eq!(labels(&two), ["1024", "2048", "4096"]);
        let two = log_ticks(1100.0, 1900.0, Base::Two, 8.0);
        assert_eq!(labels(&two), ["1024", "2048"]);
        let ten = log_ticks(13.0, 900.0, Base::Ten, 8.0);
        assert_eq!(
            labels(&ten),
            ["10", "20", "50", "100", "200", "500", "1000"]
        );
        let one = log_ticks(16.0, 16.0, Base::Two, 8.0);
        assert_eq!(labels(&one), ["16"]);
        let wide = log_ticks(0.001, 1e9, Base::Ten, 6.0);
        assert!(
            wide.len() <= 8 && wide[0].label == "0.001",
            "{:?}",
            labels(&wide)
        );
    }

    #[test]
    fn the_ends_are_ticks() {
        let scale = Scale::from_zero([3.0, 87.0].into_iter(), (0.0, 360.0)).unwrap();
        assert_eq!(labels(&scale.ticks), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(scale.at(0.0), 0.0);
        assert_eq!(scale.at(50.0), 180.0);
        assert_eq!(scale.at(1e9), 360.0);
    }

    #[test]
    fn noise_is_not_exaggerated() {
        let scale = Scale::around([1000.0, 1000.1].into_iter(), (200.0, 0.0)).unwrap();
        assert!((scale.at(1000.0) - scale.at(1000.1)).abs() < 1.0);
        let one = Scale::around([5.0].into_iter(), (200.0, 0.0)).unwrap();
        assert!((50.0..150.0).contains(&one.at(5.0)));
        let zero = Scale::around([0.0].into_iter(), (200.0, 0.0)).unwrap();
        assert!(zero.at(0.0).is_finite());
        assert!(Scale::around(std::iter::empty(), (0.0, 1.0)).is_none());
    }

    #[test]
    fn doublings_are_evenly_spaced_on_a_logarithmic_axis() {
        let values = [16.0, 64.0, 1024.0, 4096.0];
        let scale = Scale::log(values.into_iter(), Base::Two, (0.0, 800.0)).unwrap();
        assert_eq!(labels(&scale.ticks).first(), Some(&"16"));
        assert_eq!(labels(&scale.ticks).last(), Some(&"4096"));
        assert_eq!(scale.at(64.0).round(), 200.0);
        assert_eq!(scale.at(0.0), 0.0);
        assert_eq!(scale.at(-1.0), 0.0);
    }

    proptest! {
        #[test]
        fn ticks_enclose_the_range_and_have_different_labels(
            low in -1e6..1e6_f64, span in 1e-3..1e6_f64, wanted in 2.0..12.0_f64,
        ) {
            let ticks = linear_ticks(low, low + span, wanted);
            let (first, last) = (ticks.first().unwrap(), ticks.last().unwrap());
            prop_assert!(first.value <= low + span * 1e-6 && last.value >= low + span * (1.0 - 1e-6));
            prop_assert!(ticks.len() <= 14);
            prop_assert!(ticks.windows(2).all(|pair| pair[0].label != pair[1].label));
        }
    }
}

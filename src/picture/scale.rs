//! Where a value lies in the picture.

use super::ticks::{self, Tick};

/// An axis: its range, its place in the picture, its ticks.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
    /// Where the low and the high end are, in pixels.
    ends: (f64, f64),
    /// The values that have a tick, the lowest first.
    pub ticks: Vec<Tick>,
}

/// What is smaller is zero to an axis.
const SMALLEST: f64 = 1e-100;

/// Whether a value can be drawn: anything that is not absurd.
pub(super) fn is_drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e100
}

/// The smallest and the largest of the values; `None` if there is none.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

impl Scale {
    /// An axis that shows small differences: it spans the values, but at least a twentieth of
    /// their size, so that noise does not look like a mountain range.
    pub fn around(values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Option<Self> {
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

    /// An axis that begins at zero, for lengths and for values that are compared as such.
    pub fn from_zero(values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Option<Self> {
        let (_, high) = range(values)?;
        let high = if high < SMALLEST { 1.0 } else { high };
        Some(Self::linear(0.0, high, ends))
    }

    fn linear(low: f64, high: f64, ends: (f64, f64)) -> Self {
        let ticks = ticks::linear(low, high, wanted(ends));
        Self::of(low, high, false, ends, ticks)
    }

    /// A logarithmic axis for values above zero, which it alone looks at.
    pub fn log(
        values: impl Iterator<Item = f64>,
        base: ticks::Base,
        ends: (f64, f64),
    ) -> Option<Self> {
        let (low, high) = range(values.filter(|&value| value >= SMALLEST))?;
        let ticks = ticks::logarithmic(low, high, base, wanted(ends));
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

    /// Where the value lies, in pixels; what is out of range lies at an end.
    pub fn at(&self, value: f64) -> f64 {
        let map = |value: f64| if self.is_log { value.ln() } else { value };
        let (low, high) = (map(self.low), map(self.high));
        let share = if high > low {
            ((map(value) - low) / (high - low)).clamp(0.0, 1.0)
        } else {
            0.5
        };
        // The logarithm of zero is out of range, of less no number.
        let share = if share.is_nan() { 0.0 } else { share };
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }
}

/// How many ticks there is room for.
fn wanted(ends: (f64, f64)) -> f64 {
    let length = (ends.1 - ends.0).abs();
    // Labels beside a vertical axis need less room than below a horizontal one.
    let each = if ends.1 < ends.0 { 36.0 } else { 72.0 };
    (length / each).max(2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn the_ends_are_ticks() {
        let scale = Scale::from_zero([3.0, 87.0].into_iter(), (0.0, 360.0)).unwrap();
        assert_eq!(labels(&scale), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(scale.at(0.0), 0.0);
        assert_eq!(scale.at(50.0), 180.0);
        assert_eq!(scale.at(1e9), 360.0);
    }

    #[test]
    fn noise_is_not_blown_up() {
        let scale = Scale::around([1000.0, 1000.1].into_iter(), (200.0, 0.0)).unwrap();
        assert!((scale.at(1000.0) - scale.at(1000.1)).abs() < 1.0);
        let one = Scale::around([5.0].into_iter(), (200.0, 0.0)).unwrap();
        assert!((50.0..150.0).contains(&one.at(5.0)));
        let zero = Scale::around([0.0].into_iter(), (200.0, 0.0)).unwrap();
        assert!(zero.at(0.0).is_finite());
        assert!(Scale::around(std::iter::empty(), (0.0, 1.0)).is_none());
    }

    #[test]
    fn doublings_lie_evenly_on_a_logarithmic_axis() {
        let values = [16.0, 64.0, 1024.0, 4096.0];
        let scale = Scale::log(values.into_iter(), ticks::Base::Two, (0.0, 800.0)).unwrap();
        assert_eq!(labels(&scale).first(), Some(&"16"));
        assert_eq!(labels(&scale).last(), Some(&"4,096"));
        assert_eq!(scale.at(64.0).round(), 200.0);
        assert_eq!(scale.at(0.0), 0.0);
        assert_eq!(scale.at(-1.0), 0.0);
    }
}

//! Prediction intervals: the range that earlier runs predict for a new one.

use std::ops::RangeInclusive;

use super::basic::{DEVIATION_FLOOR, mean, median, number, robust_deviation, variance};
use super::{Estimate, Tails};

/// The minimum number of earlier runs for an interval.
pub(crate) const MIN_EARLIER: usize = 3;

/// The minimum number of earlier runs for a deviation that is certain enough to find outliers.
const MIN_FOR_OUTLIERS: usize = 8;

/// How many deviations of the other values an outlier is away at least.
const FAR: f64 = 7.0;

/// The range around their median outside of which the logarithms of earlier values are outliers: they
/// differ by at least `min_change` percent and by five deviations, or by eight for a few values, whose
/// deviation is easily underestimated; and by seven deviations of the others. Without the last, one in
/// six levels of ten runs would lose a run to plain noise, and the gate would take the rest for less
/// noisy than it is.
///
/// A slow run that the gate stopped stays in the store, and so does a disturbed one. If they counted,
/// the next slow run would pass. The scale is the median absolute deviation, which they do not
/// inflate.
pub(crate) fn plausible_range(values: &[f64], min_change: f64) -> RangeInclusive<f64> {
    let (Some(middle), true) = (median(values), values.len() > MIN_EARLIER) else {
        return f64::NEG_INFINITY..=f64::INFINITY;
    };
    let deviation = robust_deviation(values);
    let deviations = if values.len() < MIN_FOR_OUTLIERS {
        8.0
    } else {
        5.0
    };
    let limit = (deviations * deviation.max(DEVIATION_FLOOR)).max((min_change / 100.0).ln_1p());
    let near = |value: &f64| (value - middle).abs() <= limit;
    let others: Vec<f64> = values.iter().copied().filter(near).collect();
    let limit = limit.max(FAR * variance(&others).unwrap_or(0.0).sqrt());
    middle - limit..=middle + limit
}

/// Compares new runs with a reference: the level of earlier runs, or a run that is off it. All values
/// are logarithms of run values.
///
/// The t prediction interval: with k earlier values of deviation s, the mean of n new values lies
/// around that of m reference values with an error of s sqrt(1/n + 1/m), k - 1 degrees of freedom.
/// Only the spread of the earlier runs counts: one new run has none, and repetitions inside a run do
/// not measure the noise between runs (Kalibera and Jones 2013, doi 10.1145/2464157.2464160).
pub(crate) fn prediction(
    earlier: &[f64],
    reference: &[f64],
    new: &[f64],
    alpha: f64,
) -> Option<Estimate> {
    let (difference, error, df) = parts(earlier, reference, new, DEVIATION_FLOOR)?;
    Estimate::student(difference, error, df, alpha)
}

/// The probabilities of [`prediction`], with a deviation between the earlier runs of at least
/// `min_deviation`.
pub(crate) fn prediction_tails(
    earlier: &[f64],
    reference: &[f64],
    new: &[f64],
    min_deviation: f64,
) -> Option<Tails> {
    let (difference, error, df) = parts(earlier, reference, new, min_deviation)?;
    Tails::student(difference, error, df)
}

/// The difference, its error and the degrees of freedom.
fn parts(
    earlier: &[f64],
    reference: &[f64],
    new: &[f64],
    min_deviation: f64,
) -> Option<(f64, f64, f64)> {
    if earlier.len() < MIN_EARLIER {
        return None;
    }
    let difference = mean(new)? - mean(reference)?;
    let deviation = variance(earlier)?.sqrt().max(min_deviation);
    let error = deviation * (number(new.len()).recip() + number(reference.len()).recip()).sqrt();
    Some((difference, error, number(earlier.len() - 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Mean 0, deviation 0.02, k = 4: error 0.02 sqrt(1.25), t(0.025, 3) = 3.182.
    #[test]
    fn as_by_hand() {
        let step = 0.02 * 0.75_f64.sqrt();
        let earlier = [-step, -step, step, step];
        let estimate = prediction(&earlier, &earlier, &[0.1], 0.05).unwrap();
        let half_width = 3.182_446 * 0.02 * 1.25_f64.sqrt();
        assert!((estimate.low - (0.1 - half_width)).abs() < 1e-7);
        assert!(estimate.p < 0.05);
        assert!(prediction(&earlier, &earlier, &[0.07], 0.05).unwrap().p > 0.05);
    }

    /// The noise of the level, and the error of a difference between two single runs.
    #[test]
    fn from_a_run_that_is_off_the_level() {
        let step = 0.02 * 0.75_f64.sqrt();
        let earlier = [-step, -step, step, step];
        let estimate = prediction(&earlier, &[0.3], &[0.4], 0.05).unwrap();
        let half_width = 3.182_446 * 0.02 * 2.0_f64.sqrt();
        assert!((estimate.ln_ratio - 0.1).abs() < 1e-9);
        assert!((estimate.high - (0.1 + half_width)).abs() < 1e-7);
    }

    #[test]
    fn too_few_earlier_runs_or_none_new() {
        let of = |earlier: &[f64], new: &[f64]| prediction(earlier, earlier, new, 0.05);
        assert_eq!(of(&[0.0, 0.1], &[0.0]), None);
        assert_eq!(of(&[0.0, 0.1, 0.2], &[]), None);
    }

    #[test]
    fn a_slow_run_is_not_believed() {
        let good: Vec<f64> = (0..10).map(|i| f64::from(i % 3) * 0.01).collect();
        let with_slow = [&good[..], &[-0.1, -0.11]].concat();
        let range = plausible_range(&with_slow, 5.0);
        assert!(good.iter().all(|value| range.contains(value)));
        assert!(!range.contains(&-0.1));
        // What is far off may still be too small to matter.
        let close = [1.0, 1.0, 1.0, 1.0, 1.03];
        assert!(plausible_range(&close, 5.0).contains(&1.03));
        assert!(!plausible_range(&close, 2.0).contains(&1.03));
        // Nor is one that is within the noise of the others, though their median deviation is small.
        let noisy = [
            0.0, 0.001, -0.001, 0.001, 0.04, -0.04, 0.05, -0.05, 0.0, 0.1,
        ];
        assert!(plausible_range(&noisy, 5.0).contains(&0.1));
        // Of two levels, neither is an outlier.
        let range = plausible_range(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 5.0);
        assert!(range.contains(&0.0) && range.contains(&1.0));
    }

    proptest! {
        #[test]
        fn nothing_panics(
            earlier in prop::collection::vec(any::<f64>(), 0..9),
            new in prop::collection::vec(any::<f64>(), 0..4),
        ) {
            let _ = plausible_range(&earlier, 5.0);
            if let Some(estimate) = prediction(&earlier, &earlier, &new, 0.05) {
                prop_assert!((0.0..=1.0).contains(&estimate.p));
                prop_assert!(estimate.low <= estimate.high);
            }
        }
    }
}

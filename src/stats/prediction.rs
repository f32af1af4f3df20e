//! Does a new run lie where earlier runs say that it should?

use super::basic::{DEVIATION_FLOOR, mean, number, variance};
use super::{Estimate, Tails};

/// Earlier runs that are needed for an interval at all.
pub const MIN_EARLIER: usize = 3;

/// Earlier runs that are needed before the gate believes it: with fewer, only a slowdown by
/// several times the noise would be found.
pub const MIN_EARLIER_FOR_GATE: usize = 5;

/// Compares new runs with the level of earlier ones, on logarithms of run values.
///
/// The t prediction interval: with k earlier values of deviation s, the mean of n new ones lies
/// around theirs with an error of s sqrt(1/n + 1/k), k - 1 degrees of freedom. Only the spread of the earlier runs counts: one new run has none,
/// and repetitions inside a run tell nothing of the noise between runs (Kalibera and Jones 2013,
/// doi 10.1145/2464157.2464160).
#[must_use]
pub fn prediction(earlier: &[f64], new: &[f64], alpha: f64) -> Option<Estimate> {
    let (difference, error, df) = parts(earlier, new, DEVIATION_FLOOR)?;
    Estimate::student(difference, error, df, alpha)
}

/// The probabilities of [`prediction`], with a deviation between the earlier runs that is not
/// taken below `min_deviation`.
#[must_use]
pub fn prediction_tails(earlier: &[f64], new: &[f64], min_deviation: f64) -> Option<Tails> {
    let (difference, error, df) = parts(earlier, new, min_deviation)?;
    Tails::student(difference, error, df)
}

/// The difference, its error and the degrees of freedom.
fn parts(earlier: &[f64], new: &[f64], min_deviation: f64) -> Option<(f64, f64, f64)> {
    if earlier.len() < MIN_EARLIER {
        return None;
    }
    let difference = mean(new)? - mean(earlier)?;
    let deviation = variance(earlier)?.sqrt().max(min_deviation);
    let error = deviation * (number(new.len()).recip() + number(earlier.len()).recip()).sqrt();
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
        let estimate = prediction(&earlier, &[0.1], 0.05).unwrap();
        let half_width = 3.182_446 * 0.02 * 1.25_f64.sqrt();
        assert!((estimate.low - (0.1 - half_width)).abs() < 1e-7);
        assert!(estimate.p < 0.05);
        assert!(prediction(&earlier, &[0.07], 0.05).unwrap().p > 0.05);
    }

    #[test]
    fn too_few_earlier_runs_or_none_new() {
        assert_eq!(prediction(&[0.0, 0.1], &[0.0], 0.05), None);
        assert_eq!(prediction(&[0.0, 0.1, 0.2], &[], 0.05), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(
            earlier in prop::collection::vec(any::<f64>(), 0..9),
            new in prop::collection::vec(any::<f64>(), 0..4),
        ) {
            if let Some(estimate) = prediction(&earlier, &new, 0.05) {
                prop_assert!((0.0..=1.0).contains(&estimate.p));
                prop_assert!(estimate.low <= estimate.high);
            }
        }
    }
}

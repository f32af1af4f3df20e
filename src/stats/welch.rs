//! Welch's t test on logarithms.
//!
//! It needs only mean, deviation and count, which is all that a run keeps of its prompt and
//! generation speeds, and at least two values per side (de Winter 2013, doi 10.7275/e4r6-dj05).

use super::Estimate;
use super::basic::{DEVIATION_FLOOR, ln, mean, number, variance};

/// Mean, variance and count of logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    /// Mean of the logarithms.
    pub mean: f64,
    /// Their variance (divisor n - 1), not below the square of [`DEVIATION_FLOOR`].
    pub variance: f64,
    /// How many there are, at least two.
    pub n: usize,
}

impl Moments {
    /// The moments of logarithms; `None` below two, or if one is not finite.
    pub(crate) fn of_logs(logs: &[f64]) -> Option<Self> {
        Self::new(mean(logs)?, variance(logs)?, logs.len())
    }

    /// The moments of the logarithms of values of which only mean, deviation and count are known.
    ///
    /// The delta method: the deviation of ln x is that of x divided by the mean. `None` below two
    /// values, or if a number is not finite: a deviation of `nan`, which the C tool prints for equal
    /// samples, is unknown.
    pub(crate) fn of_summary(mean: f64, deviation: f64, n: usize) -> Option<Self> {
        let relative = deviation / mean;
        (relative >= 0.0)
            .then(|| Self::new(ln(mean)?, relative.powi(2), n))
            .flatten()
    }

    fn new(mean: f64, variance: f64, n: usize) -> Option<Self> {
        let usable = mean.is_finite() && variance.is_finite() && n > 1;
        usable.then(|| Self {
            mean,
            variance: variance.max(DEVIATION_FLOOR.powi(2)),
            n,
        })
    }

    /// Variance of the mean.
    fn of_mean(&self) -> f64 {
        self.variance / number(self.n)
    }
}

/// Compares two samples.
pub(crate) fn welch(base: &Moments, new: &Moments, alpha: f64) -> Option<Estimate> {
    welch_mean(&[(*base, *new)], alpha)
}

/// Compares the means over several tests, each with a sample per side, as the geometric mean over
/// the tests does.
///
/// Degrees of freedom by Welch (1947) and Satterthwaite (1946): the square of the whole variance
/// over the sum of each part's square divided by its degrees.
pub(crate) fn welch_mean(pairs: &[(Moments, Moments)], alpha: f64) -> Option<Estimate> {
    let count = number(pairs.len());
    let mut difference = 0.0;
    let mut whole = 0.0;
    let mut parts = 0.0;
    for (base, new) in pairs {
        difference += (new.mean - base.mean) / count;
        for side in [base, new] {
            let part = side.of_mean() / count.powi(2);
            whole += part;
            parts += part.powi(2) / number(side.n - 1);
        }
    }
    Estimate::student(difference, whole.sqrt(), whole.powi(2) / parts, alpha)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Variances 1.8277e-04 and 1.6504e-04, t = 5.473, df = 5.984; p by numerical integration of
    /// the density.
    #[test]
    fn as_by_hand() {
        let logs = |values: [f64; 4]| values.map(f64::ln);
        let base = Moments::of_logs(&logs([95.0, 97.0, 96.0, 94.0])).unwrap();
        let new = Moments::of_logs(&logs([101.0, 99.0, 100.0, 102.0])).unwrap();
        let estimate = welch(&base, &new, 0.05).unwrap();
        assert!(
            (estimate.ln_ratio - 0.051_038_130_6).abs() < 1e-8,
            "{estimate:?}"
        );
        assert!((estimate.p - 0.001_566_238_3).abs() < 1e-7, "{estimate:?}");
        assert!(
            estimate.low > 0.028 && estimate.high < 0.074,
            "{estimate:?}"
        );
        assert!((estimate.tails.rise * 2.0 - estimate.p).abs() < 1e-12);
    }

    #[test]
    fn a_summary_agrees_with_its_samples() {
        let values = [101.0, 99.0, 100.0, 102.0];
        let samples = Moments::of_logs(&values.map(f64::ln)).unwrap();
        let deviation = variance(&values).unwrap().sqrt();
        let summary = Moments::of_summary(100.5, deviation, 4).unwrap();
        assert!((samples.mean - summary.mean).abs() < 1e-4);
        assert!((samples.variance / summary.variance - 1.0).abs() < 0.01);
    }

    #[test]
    fn unusable_values_give_none() {
        assert_eq!(Moments::of_summary(100.0, f64::NAN, 4), None);
        assert_eq!(Moments::of_summary(100.0, f64::INFINITY, 4), None);
        assert_eq!(Moments::of_summary(100.0, -1.0, 4), None);
        assert_eq!(Moments::of_summary(0.0, 1.0, 4), None);
        assert_eq!(Moments::of_summary(-5.0, 1.0, 4), None);
        assert_eq!(Moments::of_summary(100.0, 0.0, 1), None);
        assert_eq!(Moments::of_logs(&[1.0]), None);
        assert_eq!(welch_mean(&[], 0.05), None);
    }

    #[test]
    fn equal_values_are_not_infinitely_sure() {
        let moments = Moments::of_summary(100.0, 0.0, 4).unwrap();
        let estimate = welch(&moments, &moments, 0.05).unwrap();
        assert_eq!(estimate.p, 1.0);
        assert!(estimate.high > 0.001);
    }

    proptest! {
        #[test]
        fn sides_swapped_is_the_sign_swapped(
            means in prop::array::uniform2(1e-3..1e6_f64),
            deviations in prop::array::uniform2(0.0..10.0_f64),
            n in prop::array::uniform2(2..30_usize),
        ) {
            let side = |i: usize| Moments::of_summary(means[i], deviations[i], n[i]).unwrap();
            let there = welch(&side(0), &side(1), 0.05).unwrap();
            let back = welch(&side(1), &side(0), 0.05).unwrap();
            prop_assert!((there.ln_ratio + back.ln_ratio).abs() < 1e-9);
            prop_assert!((there.p - back.p).abs() < 1e-9);
            prop_assert!((there.low + back.high).abs() < 1e-6 * (1.0 + there.low.abs()));
        }

        #[test]
        fn nothing_panics(mean in any::<f64>(), deviation in any::<f64>(), n in 0..9_usize) {
            if let Some(moments) = Moments::of_summary(mean, deviation, n) {
                let _ = welch(&moments, &moments, deviation);
            }
        }
    }
}

//! Means, medians and deviations: what all else is made of.

/// The smallest relative deviation that is believed: 0.1%.
///
/// Equal values give a deviation of zero, and with it every difference would be significant. No
/// benchmark is more repeatable than this.
pub const DEVIATION_FLOOR: f64 = 0.001;

/// A count as a number.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "no count here is near 2^53")]
pub fn number(count: usize) -> f64 {
    count as f64
}

/// The natural logarithm of a value that has one: finite and above zero.
#[must_use]
pub fn ln(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then(|| value.ln())
}

/// A difference of logarithms as a change in percent.
#[must_use]
pub fn percent(ln_ratio: f64) -> f64 {
    100.0 * ln_ratio.exp_m1()
}

/// The arithmetic mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / number(values.len()))
}

/// The variance of the sample (divisor n - 1); `None` below two values.
#[must_use]
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(squares / number(values.len() - 1))
}

/// The median, of an even count the mean of the middle two; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

/// The median of what is sorted already.
#[must_use]
pub fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// The standard deviation that a normal distribution with this median absolute deviation has, which
/// outliers do not inflate; 0 of nothing.
#[must_use]
pub fn robust_deviation(values: &[f64]) -> f64 {
    const MAD_TO_DEVIATION: f64 = 1.4826;
    let Some(centre) = median(values) else {
        return 0.0;
    };
    let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    MAD_TO_DEVIATION * median(&distances).unwrap_or(0.0)
}

/// The geometric mean of values above zero; `None` of nothing, or if one has no logarithm.
#[must_use]
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs: Option<Vec<f64>> = values.iter().map(|&value| ln(value)).collect();
    Some(mean(&logs?)?.exp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn medians_and_means_of_little_and_of_nothing() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(mean(&[]), None);
        assert_eq!(variance(&[1.0]), None);
        assert_eq!(variance(&[1.0, 3.0]), Some(2.0));
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert!((geometric_mean(&[1.0, 4.0]).unwrap() - 2.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn nothing_panics(values in prop::collection::vec(any::<f64>(), 0..9)) {
            let _ = (mean(&values), variance(&values), median(&values), geometric_mean(&values));
        }

        #[test]
        fn a_geometric_mean_lies_between(values in prop::collection::vec(1e-9..1e9_f64, 1..20)) {
            let mean = geometric_mean(&values).unwrap();
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(0.0, f64::max);
            prop_assert!(low * (1.0 - 1e-12) <= mean && mean <= high * (1.0 + 1e-12));
        }
    }
}

//! Means, medians and deviations.

/// The smallest relative deviation that is assumed: 0.1%.
///
/// Equal values have a deviation of zero, which would make every difference significant. No benchmark
/// is more repeatable than this.
pub(crate) const DEVIATION_FLOOR: f64 = 0.001;

/// A count as a number.
#[allow(clippy::cast_precision_loss, reason = "no count here is near 2^53")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// The natural logarithm of a finite value above zero.
pub(crate) fn ln(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then(|| value.ln())
}

/// A difference of logarithms as a change in percent.
pub(crate) fn percent(ln_ratio: f64) -> f64 {
    100.0 * ln_ratio.exp_m1()
}

/// The arithmetic mean; `None` without values.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / number(values.len()))
}

/// The variance of the sample (divisor n - 1); `None` below two values.
pub(crate) fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(squares / number(values.len() - 1))
}

/// The median, of an even count the mean of the middle two; `None` without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

/// The median of sorted values.
pub(crate) fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// The standard deviation of a normal distribution with the same median absolute deviation, which
/// outliers do not inflate; 0 without values.
pub(crate) fn robust_deviation(values: &[f64]) -> f64 {
    const MAD_TO_DEVIATION: f64 = 1.4826;
    let Some(centre) = median(values) else {
        return 0.0;
    };
    let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    MAD_TO_DEVIATION * median(&distances).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn medians_and_means_of_few_values_and_of_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(mean(&[]), None);
        assert_eq!(variance(&[1.0]), None);
        assert_eq!(variance(&[1.0, 3.0]), Some(2.0));
    }

    proptest! {
        #[test]
        fn nothing_panics(values in prop::collection::vec(any::<f64>(), 0..9)) {
            let _ = (mean(&values), variance(&values), median(&values));
        }
    }
}

//! The rank test of Mann and Whitney with the interval of Hodges and Lehmann.
//!
//! It makes no assumption about the shape of the noise, so a single slow outlier does not decide. But
//! with fewer than four values per side it cannot reach 5%, whatever the difference.

use super::basic::{median_of_sorted, number};
use super::special::{normal_upper, normal_upper_quantile};
use super::{Estimate, Tails};

/// The maximum number of values per side for the exact distribution of U.
pub(crate) const MAX_EXACT: usize = 20;

/// The maximum number of pairs; for more, Welch's test is used.
const MAX_PAIRS: usize = 250_000;

/// Compares two samples of logarithms.
///
/// Exact up to [`MAX_EXACT`] values per side without ties, otherwise by the normal approximation with
/// corrections for ties and continuity. `None` for an empty side, for a value that is not
/// finite, and for more than [`MAX_PAIRS`] pairs.
pub(crate) fn rank_test(base: &[f64], new: &[f64], alpha: f64) -> Option<Estimate> {
    let pairs = base.len().checked_mul(new.len())?;
    let finite = base.iter().chain(new).all(|value| value.is_finite());
    if pairs == 0 || pairs > MAX_PAIRS || !finite {
        return None;
    }
    let mut differences: Vec<f64> = new
        .iter()
        .flat_map(|new| base.iter().map(move |base| new - base))
        .collect();
    differences.sort_by(f64::total_cmp);
    let above = differences.iter().filter(|&&value| value > 0.0).count();
    let equal = differences.iter().filter(|&&value| value == 0.0).count();

    let distribution = Distribution::of(base, new);
    let u = number(above) + number(equal) / 2.0;
    let rise = distribution.at_most(number(pairs) - u);
    let fall = distribution.at_most(u);
    let cut = distribution.cut(alpha);
    let ends = cut
        .checked_sub(1)
        .and_then(|first| Some((*differences.get(first)?, *differences.get(pairs - cut)?)));
    let (low, high) = ends.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    Some(Estimate {
        ln_ratio: median_of_sorted(&differences)?,
        low,
        high,
        p: (2.0 * rise.min(fall)).min(1.0),
        tails: Tails { rise, fall },
    })
}

/// The smallest probability in one direction that the exact test can give.
pub(crate) fn smallest_p(base: usize, new: usize) -> f64 {
    let mut ways = 1.0;
    for step in 1..=base.min(new) {
        ways *= number(base.max(new) + step) / number(step);
    }
    1.0 / ways
}

/// The distribution of U under the null hypothesis.
enum Distribution {
    /// The probability of each value or a smaller one.
    Exact(Vec<f64>),
    /// Mean and deviation.
    Normal(f64, f64),
}

impl Distribution {
    fn of(base: &[f64], new: &[f64]) -> Self {
        let mut all: Vec<f64> = base.iter().chain(new).copied().collect();
        all.sort_by(f64::total_cmp);
        // + 0.0, since -0.0 and 0.0 are equal but sort apart.
        let ties: Vec<usize> = all
            .chunk_by(|left, right| left + 0.0 == right + 0.0)
            .map(<[f64]>::len)
            .collect();
        let tied = ties.iter().any(|&tie| tie > 1);
        if !tied && base.len() <= MAX_EXACT && new.len() <= MAX_EXACT {
            return Self::Exact(cumulated(base.len(), new.len()));
        }
        // The normal approximation, with the variance reduced for ties.
        let (m, n, total) = (
            number(base.len()),
            number(new.len()),
            number(base.len() + new.len()),
        );
        let ties: f64 = ties
            .iter()
            .map(|&tie| number(tie).powi(3) - number(tie))
            .sum();
        let spread = total + 1.0 - ties / (total * (total - 1.0));
        Self::Normal(m * n / 2.0, (m * n / 12.0 * spread).max(0.0).sqrt())
    }

    /// The probability that U is at most `u`.
    fn at_most(&self, u: f64) -> f64 {
        match self {
            Self::Exact(cumulated) => cumulated
                .iter()
                .enumerate()
                .take_while(|&(value, _)| number(value) <= u)
                .last()
                .map_or(0.0, |(_, &p)| p),
            Self::Normal(_, 0.0) => 1.0,
            Self::Normal(mean, deviation) => normal_upper((mean - u - 0.5) / deviation),
        }
    }

    /// The rank, counted from 1, of the difference that is the lower end of an interval with `alpha`
    /// outside; 0 if there are too few values for an interval.
    fn cut(&self, alpha: f64) -> usize {
        match self {
            Self::Exact(cumulated) => cumulated.iter().filter(|&&p| p <= alpha / 2.0).count(),
            Self::Normal(mean, deviation) => {
                let end = mean - deviation * normal_upper_quantile(alpha / 2.0) - 0.5;
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "below MAX_PAIRS; `as` turns NaN and negative numbers into 0"
                )]
                let cut = (end.floor() + 1.0) as usize;
                cut
            }
        }
    }
}

/// The probabilities of U being at most 0, 1, … without ties.
///
/// The number of ways to reach each U are the coefficients of the Gaussian binomial coefficient,
/// the product over i of (1 - q^(m+i)) / (1 - q^i).
fn cumulated(m: usize, n: usize) -> Vec<f64> {
    let mut ways = vec![0_i64; m * n + 1];
    ways[0] = 1;
    for i in 1..=n {
        for u in (m + i..ways.len()).rev() {
            ways[u] -= ways[u - m - i];
        }
        for u in i..ways.len() {
            ways[u] += ways[u - i];
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "C(40, 20) is below 2^53")]
    let ways: Vec<f64> = ways.into_iter().map(|ways| ways as f64).collect();
    let all: f64 = ways.iter().sum();
    let mut sum = 0.0;
    ways.iter()
        .map(|ways| {
            sum += ways;
            sum / all
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(base: &[f64], new: &[f64]) -> f64 {
        rank_test(base, new, 0.05).unwrap().p
    }

    /// The least two-sided probabilities, as benchstat's table has them.
    #[test]
    fn the_floor_is_the_known_one() {
        for (n, floor) in [(3, 0.1), (4, 0.028_571), (5, 0.007_937), (6, 0.002_165)] {
            let base: Vec<f64> = (0..n).map(number).collect();
            let new: Vec<f64> = base.iter().map(|value| value + 100.5).collect();
            assert!((p(&base, &new) - floor).abs() < 1e-6);
            assert!((2.0 * smallest_p(n, n) - floor).abs() < 1e-6);
        }
    }

    /// Counted by hand: 1, 1, 2, 3, 5, 5, 7, 7 of 70 orders have U = 0 to 7.
    #[test]
    fn the_distribution_is_the_counted_one() {
        let table = cumulated(4, 4);
        for (u, p) in [0.014, 0.029, 0.057, 0.100, 0.171, 0.243, 0.343, 0.443]
            .iter()
            .enumerate()
        {
            assert!((table[u] - p).abs() < 6e-4);
        }
        assert!((cumulated(20, 20)[200] - 0.5).abs() < 0.01);
    }

    #[test]
    fn the_interval_is_exact() {
        let base = [0.0, 1.0, 2.0, 3.0];
        let new = [10.1, 11.2, 12.3, 13.4];
        let estimate = rank_test(&base, &new, 0.05).unwrap();
        // Four a side: the whole range is the only interval of 95%.
        assert!((estimate.low - 7.1).abs() < 1e-9 && (estimate.high - 13.4).abs() < 1e-9);
        assert!((estimate.ln_ratio - 10.25).abs() < 0.2);
        let wide = rank_test(&base[..3], &new[..3], 0.05).unwrap();
        assert_eq!((wide.low, wide.high), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn ties_are_corrected_for() {
        assert_eq!(p(&[1.0; 4], &[1.0; 4]), 1.0);
        assert_eq!(p(&[0.0, 0.0], &[-0.0, -0.0]), 1.0);
        // By hand: U = 0.5 of mean 12.5, variance 25 / 12 (11 - 30 / 90), so z = 2.4395.
        let p = p(&[1.0, 1.0, 2.0, 2.0, 3.0], &[3.0, 4.0, 4.0, 5.0, 5.0]);
        assert!((p - 0.014_707).abs() < 2e-5, "{p}");
    }

    #[test]
    fn unusable_values_give_none() {
        assert_eq!(rank_test(&[], &[1.0], 0.05), None);
        assert_eq!(rank_test(&[f64::NAN], &[1.0], 0.05), None);
        assert_eq!(rank_test(&[f64::INFINITY], &[1.0], 0.05), None);
        assert_eq!(rank_test(&vec![0.0; 1000], &vec![1.0; 1000], 0.05), None);
    }

    proptest! {
        #[test]
        fn sides_swapped_is_the_sign_swapped(
            base in prop::collection::vec(-9.0..9.0_f64, 1..30),
            new in prop::collection::vec(-9.0..9.0_f64, 1..30),
        ) {
            let there = rank_test(&base, &new, 0.05).unwrap();
            let back = rank_test(&new, &base, 0.05).unwrap();
            prop_assert!((there.p - back.p).abs() < 1e-9);
            prop_assert!((there.ln_ratio + back.ln_ratio).abs() < 1e-9);
            prop_assert!((there.tails.rise - back.tails.fall).abs() < 1e-9);
            prop_assert!(there.low <= there.ln_ratio && there.ln_ratio <= there.high);
            prop_assert_eq!(there.low, -back.high);
        }

        #[test]
        fn nothing_panics(
            base in prop::collection::vec(any::<f64>(), 0..9),
            new in prop::collection::vec(any::<f64>(), 0..9),
            alpha in any::<f64>(),
        ) {
            let _ = rank_test(&base, &new, alpha);
        }
    }
}

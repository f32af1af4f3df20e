//! Multiple testing: probabilities adjusted so that the chance of any false alarm among many tests is
//! that of a single test.

use super::basic::number;

/// Adjusts by Holm (1979): the smallest is multiplied by the number of tests, the next by one less,
/// and so on, never below the one before. Valid for any dependence.
///
/// A `NaN` counts as 1.
pub(crate) fn holm(p_values: &[f64]) -> Vec<f64> {
    let (order, mut adjusted) = sorted(p_values);
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        let remaining = number(order.len() - rank);
        largest = largest.max(adjusted[index] * remaining).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// Adjusts by Hochberg (1988): Holm's factors, but never above the next larger one.
///
/// If all tests move together, as the metrics of a run that was slow as a whole, several small
/// probabilities count like a single one. Valid if the tests are independent or positively dependent
/// (Sarkar 1998), as speeds and times of one run are.
pub(crate) fn hochberg(p_values: &[f64]) -> Vec<f64> {
    let (order, mut adjusted) = sorted(p_values);
    let mut smallest: f64 = 1.0;
    for (rank, &index) in order.iter().enumerate().rev() {
        let remaining = number(order.len() - rank);
        smallest = smallest.min(adjusted[index] * remaining);
        adjusted[index] = smallest;
    }
    adjusted
}

/// The indices from the smallest probability to the largest, and the probabilities.
fn sorted(p_values: &[f64]) -> (Vec<usize>, Vec<f64>) {
    let probability = |&p: &f64| if (0.0..=1.0).contains(&p) { p } else { 1.0 };
    let p_values: Vec<f64> = p_values.iter().map(probability).collect();
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    (order, p_values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rounded(values: Vec<f64>) -> Vec<f64> {
        let round = |value: f64| (value * 1e9).round() / 1e9;
        values.into_iter().map(round).collect()
    }

    /// Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04; the largest so far, and the
    /// smallest from the end.
    #[test]
    fn as_by_hand() {
        let p_values = [0.01, 0.04, 0.03, 0.005];
        assert_eq!(rounded(holm(&p_values)), [0.03, 0.06, 0.06, 0.02]);
        assert_eq!(rounded(hochberg(&p_values)), [0.03, 0.04, 0.04, 0.02]);
    }

    #[test]
    fn nan_counts_as_one() {
        assert_eq!(holm(&[f64::NAN, 0.01]), [1.0, 0.02]);
        assert!(holm(&[]).is_empty());
        assert!(hochberg(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn between_the_value_and_bonferroni(p in prop::collection::vec(0.0..=1.0_f64, 0..40)) {
            let (holm, hochberg) = (holm(&p), hochberg(&p));
            for index in 0..p.len() {
                prop_assert!(p[index] <= hochberg[index]);
                prop_assert!(hochberg[index] <= holm[index]);
                prop_assert!(holm[index] <= (p[index] * number(p.len())).min(1.0));
            }
        }

        #[test]
        fn nothing_panics(p in prop::collection::vec(any::<f64>(), 0..9)) {
            let _ = (holm(&p), hochberg(&p));
        }
    }
}

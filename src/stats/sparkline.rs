//! A series as the heights of a sparkline.

/// The height of each value, from 0 for the smallest to `heights - 1` for the largest; the middle
/// if all are equal, `None` for a value that is not finite.
pub(crate) fn heights(values: &[f64], heights: u8) -> Vec<Option<u8>> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let top = heights.saturating_sub(1);
    let height = |value: f64| {
        if low >= high {
            return top / 2;
        }
        // Halved, since the difference of two huge values may be infinite.
        let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 255, and `as` saturates"
        )]
        let height = (share * f64::from(top)).round() as u8;
        height.min(top)
    };
    values
        .iter()
        .map(|&value| value.is_finite().then(|| height(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn from_the_lowest_to_the_highest() {
        let values = [1.0, f64::NAN, 4.5, 8.0];
        assert_eq!(heights(&values, 8), [Some(0), None, Some(4), Some(7)]);
        assert_eq!(heights(&[5.0, 5.0], 8), [Some(3), Some(3)]);
        assert_eq!(heights(&[f64::MAX, f64::MIN], 8), [Some(7), Some(0)]);
        assert!(heights(&[], 8).is_empty());
    }

    proptest! {
        #[test]
        fn never_above_the_top(values in prop::collection::vec(any::<f64>(), 0..9), top in any::<u8>()) {
            for height in heights(&values, top).into_iter().flatten() {
                prop_assert!(height <= top.saturating_sub(1));
            }
        }
    }
}

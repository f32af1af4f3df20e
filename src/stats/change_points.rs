//! Changes of the level of a series.
//!
//! Optimal partitioning (Jackson et al. 2005) with the L1 cost of each segment to its median, which
//! outliers do not move. Without random numbers: the same series gives the same answer.
//!
//! Instead of the cheapest last segment for each start, that for each possible median is kept
//! (Maidstone et al. 2017): of two starts with the same median, the cheaper one remains the cheaper.
//! A segment has one of its values as its median, so up to [`MAX_MEDIANS`] values the result is
//! exact; for more, the medians are quantiles of the values.

use super::basic::{DEVIATION_FLOOR, ln, mean, number, percent, robust_deviation};
use super::prediction::plausible_range;

/// The minimum number of runs at a level: fewer could be outliers.
const MIN_SEGMENT: usize = 3;

/// The number of possible medians. The work grows with it and with the number of values: a second
/// is enough for a million.
const MAX_MEDIANS: usize = 1000;

/// The gain that a change must bring, in units of the noise, times ln n.
const PENALTY: f64 = 3.0;

/// A lasting change of level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChangePoint {
    /// Index of the first value at the new level.
    pub index: usize,
    /// The level before, in the unit of the values.
    pub before: f64,
    /// The level from there on.
    pub after: f64,
    /// The change in percent.
    pub change_percent: f64,
}

/// Finds the changes of level of at least `min_change` percent in values above zero, oldest first.
///
/// Values that are not finite numbers above zero are skipped. The noise is estimated from the
/// differences of neighbours, which a change of level does not inflate, and is assumed to be at
/// least 0.1%.
pub(crate) fn change_points(values: &[f64], min_change: f64) -> Vec<ChangePoint> {
    let (places, logs): (Vec<usize>, Vec<f64>) = values
        .iter()
        .enumerate()
        .filter_map(|(index, &value)| Some((index, ln(value)?)))
        .unzip();
    let mut bounds = partition(&logs);
    let level = |segment: &[usize]| mean_log(&logs[segment[0]..segment[1]], min_change);
    let mut levels: Vec<f64> = bounds.windows(2).map(level).collect();
    loop {
        let changes = levels.windows(2).map(|pair| percent(pair[1] - pair[0]));
        let smallest = changes
            .enumerate()
            .min_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))
            .filter(|(_, change)| change.abs() < min_change);
        // A step too small to matter is removed, which joins its two levels.
        let Some((at, _)) = smallest else {
            break;
        };
        bounds.remove(at + 1);
        levels.remove(at);
        levels[at] = level(&bounds[at..=at + 1]);
    }
    let starts = bounds.iter().skip(1);
    let point = |(levels, &start): (&[f64], &usize)| ChangePoint {
        index: places[start],
        before: levels[0].exp(),
        after: levels[1].exp(),
        change_percent: percent(levels[1] - levels[0]),
    };
    levels.windows(2).zip(starts).map(point).collect()
}

/// The level of values between two changes of level, as a comparison has it: the geometric mean of
/// those above zero, without outliers; `None` if there are none.
pub(crate) fn level(values: &[f64], min_change: f64) -> Option<f64> {
    let logs: Vec<f64> = values.iter().filter_map(|&value| ln(value)).collect();
    (!logs.is_empty()).then(|| mean_log(&logs, min_change).exp())
}

/// The mean of the logarithms without outliers.
fn mean_log(logs: &[f64], min_change: f64) -> f64 {
    let plausible = plausible_range(logs, min_change);
    let logs: Vec<f64> = logs
        .iter()
        .copied()
        .filter(|log| plausible.contains(log))
        .collect();
    mean(&logs).unwrap_or_default()
}

/// The bounds of the segments of the cheapest partition, from 0 to the number of values.
fn partition(logs: &[f64]) -> Vec<usize> {
    let n = logs.len();
    if n < 2 * MIN_SEGMENT {
        return vec![0, n];
    }
    let noise = noise(logs);
    let values: Vec<f64> = logs.iter().map(|log| log / noise).collect();
    let mut last = LastSegments::new(medians(&values));
    let penalty = PENALTY * number(n).ln();
    // The cost of the cheapest partition up to each end, and the start of its last segment.
    let mut cheapest = vec![(f64::INFINITY, 0); n + 1];
    cheapest[0].0 = -penalty;
    for end in MIN_SEGMENT..=n {
        let start = end - MIN_SEGMENT;
        let first = [values[start], values[start + 1], values[start + 2]];
        cheapest[end] = last.push(start, cheapest[start].0 + penalty, first);
    }
    let mut bounds = vec![n];
    let mut bound = n;
    while bound > 0 {
        bound = cheapest[bound].1;
        bounds.push(bound);
    }
    bounds.reverse();
    bounds
}

/// The values that a segment may have as its median, each once; of very many values, quantiles.
fn medians(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    let last = sorted.len() - 1;
    if last < MAX_MEDIANS {
        return sorted;
    }
    let quantile = |index| sorted[index * last / (MAX_MEDIANS - 1)];
    (0..MAX_MEDIANS).map(quantile).collect()
}

/// For each median, the cheapest partition whose last segment has it: columns, which the processor
/// adds to several at a time.
struct LastSegments {
    medians: Vec<f64>,
    costs: Vec<f64>,
    starts: Vec<usize>,
}

impl LastSegments {
    fn new(medians: Vec<f64>) -> Self {
        Self {
            costs: vec![f64::INFINITY; medians.len()],
            starts: vec![0; medians.len()],
            medians,
        }
    }

    /// Adds a value, the last of `first`, to each segment; or begins a new one with all of `first` at
    /// `start`, before which the partition costs `before`. Returns the cost of the cheapest and where
    /// its last segment starts.
    fn push(&mut self, start: usize, before: f64, first: [f64; MIN_SEGMENT]) -> (f64, usize) {
        let [one, two, value] = first;
        let columns = self.medians.iter().zip(&mut self.costs);
        for ((median, cost), last_start) in columns.zip(&mut self.starts) {
            let distance = (value - median).abs();
            let fresh = before + (one - median).abs() + (two - median).abs() + distance;
            let longer = *cost + distance;
            let is_fresh = fresh < longer;
            *cost = if is_fresh { fresh } else { longer };
            *last_start = if is_fresh { start } else { *last_start };
        }
        let best = self.costs.iter().copied().fold(f64::INFINITY, f64::min);
        let starts = self.costs.iter().zip(&self.starts);
        let best_starts = starts.filter(|(cost, _)| **cost == best);
        let best_start = best_starts.map(|(_, start)| *start).min();
        (best, best_start.unwrap_or(start))
    }
}

/// The deviation of the noise, from the median absolute deviation of the differences of neighbours,
/// each of which contains the noise of two values.
pub(crate) fn noise(logs: &[f64]) -> f64 {
    let differences: Vec<f64> = logs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    (robust_deviation(&differences) / std::f64::consts::SQRT_2).max(DEVIATION_FLOOR)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::basic::median;
    use super::*;

    fn indices(values: &[f64]) -> Vec<usize> {
        change_points(values, 3.0).iter().map(|p| p.index).collect()
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let mut values = [100.0, 101.0, 99.0, 100.5, 99.5].repeat(4);
        assert!(indices(&values).is_empty());
        for value in &mut values[12..] {
            *value *= 0.9;
        }
        let points = change_points(&values, 3.0);
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].index, 12);
        assert!((points[0].change_percent + 10.0).abs() < 1.0);
        assert!(change_points(&values, 20.0).is_empty());
    }

    /// As in a comparison: the geometric mean, and an outlier is not at the level.
    #[test]
    fn a_level_is_a_geometric_mean() {
        let before = [100.0, 104.0, 97.0, 103.0, 98.0, 103.0];
        let after = [50.0, 51.0, 52.0, 51.0, 50.0, 52.0, 51.0, 90.0, 50.0, 52.0];
        let points = change_points(&[&before[..], &after].concat(), 5.0);
        assert_eq!(points.len(), 1);
        let product: f64 = before.iter().product();
        assert!((points[0].before - product.powf(1.0 / 6.0)).abs() < 1e-9);
        let whole: Vec<f64> = after
            .iter()
            .map(|value| value / 100.0)
            .filter(|v| *v < 0.6)
            .collect();
        let product: f64 = whole.iter().product();
        assert!((points[0].after / 100.0 - product.powf(1.0 / 9.0)).abs() < 1e-9);
        assert_eq!(level(&after, 5.0), Some(points[0].after));
        assert_eq!(level(&[f64::NAN, 0.0], 5.0), None);
    }

    #[test]
    fn an_outlier_is_not_a_change() {
        let mut values = [100.0, 101.0, 99.0, 100.5, 99.5].repeat(4);
        values[7] = 50.0;
        values[15] = 300.0;
        assert!(indices(&values).is_empty());
    }

    #[test]
    fn equal_values_have_no_changes_and_skipped_values_keep_their_place() {
        assert!(indices(&[5.0; 50]).is_empty());
        assert!(indices(&[]).is_empty());
        let gap = [f64::NAN, 0.0, -1.0];
        let values: Vec<f64> = [[100.0; 8].as_slice(), &gap, &[80.0; 8]].concat();
        assert_eq!(indices(&values), [11]);
    }

    #[test]
    fn a_long_series_is_searched_to_its_beginning() {
        let mut values = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2].repeat(1000);
        for (index, value) in values.iter_mut().enumerate() {
            // No two of them are equal.
            *value *= 1.0 + 1e-7 * number(index);
        }
        for value in &mut values[50..70] {
            *value *= 0.8;
        }
        for value in &mut values[5990..] {
            *value *= 1.3;
        }
        assert_eq!(indices(&values), [50, 70, 5990]);
    }

    /// The cost of the partition in which every value is compared with the median of its segment.
    fn cost(values: &[f64], bounds: &[usize], penalty: f64) -> f64 {
        let segment = |pair: &[usize]| {
            let values = &values[pair[0]..pair[1]];
            let centre = median(values).unwrap();
            values
                .iter()
                .map(|value| (value - centre).abs())
                .sum::<f64>()
        };
        let segments: f64 = bounds.windows(2).map(segment).sum();
        segments + penalty * number(bounds.len() - 2)
    }

    proptest! {
        /// No other partition is cheaper, tried one by one.
        #[test]
        fn the_partition_is_the_cheapest(
            values in prop::collection::vec((-3..3_i32).prop_map(f64::from), 6..12),
        ) {
            let logs: Vec<f64> = values.iter().map(|value| value * 0.01).collect();
            let n = logs.len();
            let (noise, penalty) = (noise(&logs), PENALTY * number(n).ln());
            let units: Vec<f64> = logs.iter().map(|log| log / noise).collect();
            let found = partition(&logs);
            prop_assert!(found.windows(2).all(|pair| pair[1] - pair[0] >= MIN_SEGMENT));
            let found = cost(&units, &found, penalty);
            for choice in 0..1_u32 << (n - 1) {
                let inner = (1..n).filter(|at| choice >> (at - 1) & 1 == 1);
                let bounds: Vec<usize> = std::iter::once(0).chain(inner).chain([n]).collect();
                if bounds.windows(2).all(|pair| pair[1] - pair[0] >= MIN_SEGMENT) {
                    prop_assert!(found <= cost(&units, &bounds, penalty) + 1e-6, "{bounds:?}");
                }
            }
        }

        #[test]
        fn nothing_panics(values in prop::collection::vec(any::<f64>(), 0..30), min in any::<f64>()) {
            let points = change_points(&values, min);
            prop_assert!(points.windows(2).all(|pair| pair[0].index < pair[1].index));
        }
    }
}

//! Changes of the level of a series.
//!
//! Optimal partitioning (Jackson et al. 2005) with the L1 cost of each segment to its median, which
//! outliers do not move. Exact and without random numbers: the same series gives the same answer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::basic::{DEVIATION_FLOOR, ln, median, number, percent, robust_deviation};

/// The minimum number of runs at a level: fewer could be outliers.
const MIN_SEGMENT: usize = 3;

/// The number of values examined, the last of a series: the work grows with the square of the number,
/// and takes 20 ms for this many.
pub(crate) const MAX_VALUES: usize = 1000;

/// The gain that a change must bring, in units of the noise, times ln n.
const PENALTY: f64 = 3.0;

/// A lasting change of level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChangePoint {
    /// Index of the first value at the new level.
    pub index: usize,
    /// Median of the level before, in the unit of the values.
    pub before: f64,
    /// Median of the level from there on.
    pub after: f64,
    /// The change in percent.
    pub change_percent: f64,
}

/// Finds the changes of level of at least `min_change` percent in values above zero, oldest first.
///
/// Values that are not finite numbers above zero are skipped, and of a long series only the last
/// [`MAX_VALUES`] are examined. The noise is estimated from the differences of neighbours, which
/// a change of level does not inflate, and is assumed to be at least 0.1%.
pub(crate) fn change_points(values: &[f64], min_change: f64) -> Vec<ChangePoint> {
    let mut known: Vec<(usize, f64)> = values
        .iter()
        .enumerate()
        .filter_map(|(index, &value)| Some((index, ln(value)?)))
        .collect();
    known.drain(..known.len().saturating_sub(MAX_VALUES));
    let logs: Vec<f64> = known.iter().map(|&(_, log)| log).collect();

    let mut starts = partition(&logs);
    loop {
        let points = steps(&logs, &starts);
        let smallest = points
            .iter()
            .enumerate()
            .min_by(|(_, a), (_, b)| a.change_percent.abs().total_cmp(&b.change_percent.abs()))
            .filter(|(_, point)| point.change_percent.abs() < min_change);
        // A step too small to matter is removed, which joins its two levels.
        let Some((at, _)) = smallest else {
            return points
                .into_iter()
                .map(|point| ChangePoint {
                    index: known[point.index].0,
                    ..point
                })
                .collect();
        };
        starts.remove(at);
    }
}

fn steps(logs: &[f64], starts: &[usize]) -> Vec<ChangePoint> {
    let inner = starts.iter().copied();
    let bounds: Vec<usize> = [0].into_iter().chain(inner).chain([logs.len()]).collect();
    let step = |bounds: &[usize]| {
        let &[from, index, to] = bounds else {
            return None;
        };
        let before = median(logs.get(from..index)?)?;
        let after = median(logs.get(index..to)?)?;
        Some(ChangePoint {
            index,
            before: before.exp(),
            after: after.exp(),
            change_percent: percent(after - before),
        })
    };
    bounds.windows(3).filter_map(step).collect()
}

/// The starts of all segments but the first in the cheapest partition.
fn partition(logs: &[f64]) -> Vec<usize> {
    let n = logs.len();
    if n < 2 * MIN_SEGMENT {
        return Vec::new();
    }
    let noise = noise(logs);
    let penalty = PENALTY * number(n).ln();
    // The cost of the cheapest partition up to each end, and the start of its last segment.
    let mut cheapest = vec![f64::INFINITY; n + 1];
    let mut last_start = vec![0; n + 1];
    cheapest[0] = -penalty;
    for start in 0..n {
        if !cheapest[start].is_finite() {
            continue;
        }
        let mut segment = Segment::default();
        for end in start + 1..=n {
            segment.push(logs[end - 1] / noise);
            if end - start < MIN_SEGMENT {
                continue;
            }
            let cost = cheapest[start] + penalty + segment.cost();
            if cost < cheapest[end] {
                cheapest[end] = cost;
                last_start[end] = start;
            }
        }
    }
    let mut starts = Vec::new();
    let mut start = last_start[n];
    while start > 0 {
        starts.push(start);
        start = last_start[start];
    }
    starts.reverse();
    starts
}

/// The deviation of the noise, from the median absolute deviation of the differences of neighbours,
/// each of which contains the noise of two values.
pub(crate) fn noise(logs: &[f64]) -> f64 {
    let differences: Vec<f64> = logs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    (robust_deviation(&differences) / std::f64::consts::SQRT_2).max(DEVIATION_FLOOR)
}

/// A segment that grows at its end and maintains the sum of distances to its median.
#[derive(Default)]
struct Segment {
    lower: BinaryHeap<Ordered>,
    upper: BinaryHeap<Reverse<Ordered>>,
    lower_sum: f64,
    upper_sum: f64,
}

impl Segment {
    fn push(&mut self, value: f64) {
        let is_low = self.lower.peek().is_none_or(|top| value <= top.0);
        if is_low {
            self.lower.push(Ordered(value));
            self.lower_sum += value;
        } else {
            self.upper.push(Reverse(Ordered(value)));
            self.upper_sum += value;
        }
        if self.lower.len() > self.upper.len() + 1
            && let Some(top) = self.lower.pop()
        {
            self.lower_sum -= top.0;
            self.upper_sum += top.0;
            self.upper.push(Reverse(top));
        } else if self.upper.len() > self.lower.len()
            && let Some(Reverse(top)) = self.upper.pop()
        {
            self.upper_sum -= top.0;
            self.lower_sum += top.0;
            self.lower.push(top);
        }
    }

    fn cost(&self) -> f64 {
        let median = self.lower.peek().map_or(0.0, |top| top.0);
        let below = median * number(self.lower.len()) - self.lower_sum;
        let above = self.upper_sum - median * number(self.upper.len());
        (below + above).max(0.0)
    }
}

/// A number with its total order.
struct Ordered(f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn a_long_series_is_cut() {
        let mut values = vec![100.0; 1000];
        values.extend([50.0; MAX_VALUES]);
        assert!(indices(&values).is_empty());
    }

    proptest! {
        #[test]
        fn the_cost_is_the_distance_to_the_median(
            values in prop::collection::vec(-9.0..9.0_f64, 1..30),
        ) {
            let mut segment = Segment::default();
            for &value in &values {
                segment.push(value);
            }
            let centre = median(&values).unwrap();
            let cost: f64 = values.iter().map(|value| (value - centre).abs()).sum();
            prop_assert!((segment.cost() - cost).abs() < 1e-9);
        }

        #[test]
        fn nothing_panics(values in prop::collection::vec(any::<f64>(), 0..30), min in any::<f64>()) {
            let points = change_points(&values, min);
            prop_assert!(points.windows(2).all(|pair| pair[0].index < pair[1].index));
        }
    }
}

//! The gate, which detects that something got slower.
//!
//! In simulated stores with 1% noise between runs, one effect for all tests of a run, and a third
//! of that within (10,000 comparisons each): at four repetitions, a smallest change of 5% and no
//! history, 0.2 false alarms in 100, and a slowdown by 10% is always found; at one repetition, a
//! smallest change of 3% and ten earlier runs, 0.3 in 100, and a slowdown by 5% is found 99 times
//! in 100, or 86 times if all metrics of a run share one effect.
//!
//! Its limits: without history, if runs differ by more than a third of the smallest change that
//! matters, false alarms are frequent, since repetitions do not measure that noise. And a single
//! repetition cannot distinguish a slower test from an outlier.

use super::multiple::{hochberg, holm};
use super::row::{Direction, Options, Row, is_large};

/// The share of the level for the geometric means; the rows of single tests share the rest.
///
/// All tests of a run share what made the run fast or slow, so dividing the level among all of their
/// rows would waste it: the means are a family of their own, with most of the level.
const SHARE_OF_MEANS: f64 = 0.8;

/// The result of the gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gate {
    /// The outcome.
    pub outcome: GateOutcome,
    /// The number of rows, including those of the means, that were tested.
    pub asked: usize,
    /// The number of rows that are a regression beyond the noise: none where only `fail_above` makes
    /// one.
    pub significant: usize,
}

/// The outcome of the gate, the worse the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GateOutcome {
    /// Nothing got detectably worse.
    Ok,
    /// No row could be tested, or the noise could hide a loss beyond `fail_above`.
    Undecided,
    /// Something got worse.
    Regression,
    /// The runs measured different things.
    NotComparable,
}

impl GateOutcome {
    /// The name in json.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Undecided => "undecided",
            Self::Regression => "regression",
            Self::NotComparable => "not_comparable",
        }
    }
}

/// Adjusts the probabilities of the rows, marks those that got worse, and returns the result.
///
/// A row got worse if its speed fell or its time rose by at least the smallest change that matters,
/// and if that is significant in one direction: among the geometric means by Hochberg at 0.8 of the
/// level, among the rows of single tests by Holm at 0.2 of it, which together keep the level. An
/// unverified row is not counted. Besides, a mean got worse if it did by more than `fail_above`: no
/// noise excuses that.
///
/// Without a regression the gate is undecided if no row was tested, or if the interval of a mean
/// allows a loss beyond `fail_above`: then even that could pass unseen.
pub(crate) fn decide(
    rows: &mut [Row],
    means: &mut [Row],
    is_comparable: bool,
    options: &Options,
) -> Gate {
    let asked = [&*rows, &*means].map(|rows| rows.iter().filter_map(|row| row.gate_p).count());
    let [of_rows, of_means] = match asked {
        [_, 0] => [1.0, 0.0],
        [0, _] => [0.0, 1.0],
        _ => [1.0 - SHARE_OF_MEANS, SHARE_OF_MEANS],
    };
    adjust(rows, holm, of_rows);
    adjust(means, hochberg, of_means);
    let mut significant = 0;
    for row in rows.iter_mut().chain(&mut *means) {
        row.regression = row.direction == Some(Direction::Worse)
            && is_large(row.change_percent, options)
            && row.gate_p.is_some_and(|p| p <= options.gate_alpha);
        significant += usize::from(row.regression);
    }
    // With a tolerance for rounding: 100 to 125 is a change of 25%.
    let limit = options.fail_above + 1e-9;
    let mut could_hide = false;
    for mean in &mut *means {
        let loss = |change: f64| {
            let is_speed = mean.metric.higher_is_better();
            if is_speed { -change } else { change }
        };
        mean.regression |= loss(mean.change_percent) > limit;
        could_hide |= mean
            .interval
            .is_some_and(|interval| loss(interval.low).max(loss(interval.high)) > limit);
    }
    let asked = asked.iter().sum();
    let outcome = if !is_comparable {
        GateOutcome::NotComparable
    } else if rows.iter().chain(&*means).any(|row| row.regression) {
        GateOutcome::Regression
    } else if asked == 0 || could_hide {
        GateOutcome::Undecided
    } else {
        GateOutcome::Ok
    };
    Gate {
        outcome,
        asked,
        significant,
    }
}

fn adjust(rows: &mut [Row], method: fn(&[f64]) -> Vec<f64>, share: f64) {
    let mut asked: Vec<&mut f64> = rows
        .iter_mut()
        .filter_map(|row| row.gate_p.as_mut())
        .collect();
    let p_values: Vec<f64> = asked.iter().map(|p| **p).collect();
    for (p, adjusted) in asked.iter_mut().zip(method(&p_values)) {
        **p = (adjusted / share).min(1.0);
    }
}

//! The options of a comparison, and a line of the result.

use serde::Serialize;

use super::Metric;
use super::evidence::Method;
use super::metric::change_percent;
use crate::model::bench::test_name;
use crate::model::{Text, Tool};

/// The metrics to compare, and the changes that matter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    /// The metrics of each test, in this order.
    pub metrics: Vec<Metric>,
    /// The smallest change that matters, in percent.
    pub min_change: f64,
    /// The significance level of the intervals and verdicts.
    pub alpha: f64,
    /// The significance level of the gate, over all rows.
    pub gate_alpha: f64,
    /// A geometric mean that is worse by more than this, in percent, is a regression whatever is
    /// known of the noise.
    pub fail_above: f64,
    /// Whether changes are measured from the level even if the base itself is off it.
    pub level_stays: bool,
    /// Whether runs that cannot be compared are compared in what they have in common.
    pub force: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            metrics: Metric::of(Tool::LocalScore).to_vec(),
            min_change: 5.0,
            alpha: 0.05,
            gate_alpha: 0.01,
            fail_above: 25.0,
            level_stays: false,
            force: false,
        }
    }
}

/// Identifies a test within its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TestKey {
    /// Tokens of the prompt.
    pub n_prompt: i64,
    /// Tokens generated.
    pub n_gen: i64,
    /// Tokens that were in the context before the test.
    pub n_depth: i64,
    /// The class of its settings in this comparison.
    pub class: usize,
    /// The number of tests with the same tokens and settings before it in the run.
    pub repeated: usize,
}

impl TestKey {
    /// Its name by its tokens.
    pub(crate) fn name(&self) -> String {
        let name = test_name(self.n_prompt, self.n_gen, self.n_depth);
        match self.repeated {
            0 => name,
            before => format!("{name} (time {})", before + 1),
        }
    }
}

/// A metric of a test, or its geometric mean over the tests, on both sides.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The test; `None` for the geometric mean over the tests.
    pub test: Option<TestKey>,
    /// Name of the test; empty for the mean.
    pub name: Text,
    /// The metric, which determines the unit of the values.
    pub metric: Metric,
    /// Value of the base, the median if it is several runs.
    pub base: f64,
    /// What the change is measured from: the level, or the value of the base.
    pub reference: f64,
    /// Value of the new side.
    pub new: f64,
    /// From the reference to the new value, in percent; a positive one is better for a speed, worse
    /// for a time.
    pub change_percent: f64,
    /// Better or worse; `None` if there is no change.
    pub direction: Option<Direction>,
    /// The method that determines how certain it is.
    pub method: Method,
    /// The interval around the change.
    pub interval: Option<Interval>,
    /// The verdict that is printed.
    pub verdict: Verdict,
    /// The probability of a change for the worse at least as large by chance, adjusted for the number
    /// of rows; `None` if the row is not used in the gate.
    pub gate_p: Option<f64>,
    /// Whether it makes the gate fail: `gate_p` is within the level, and the change for the worse is at
    /// least the smallest that matters; or a mean is worse by more than `fail_above`.
    pub regression: bool,
}

/// The interval around a change, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    /// Lower end: the change or less.
    pub low: f64,
    /// Upper end: the change or more; may be infinite.
    pub high: f64,
    /// The probability of a change at least as large, in either direction, by chance.
    pub p: f64,
}

/// Whether a change is for the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// Faster.
    Better,
    /// Slower.
    Worse,
}

/// The verdict on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// Significantly faster, by at least the smallest change that matters.
    Better,
    /// Significantly slower, by at least the smallest change that matters.
    Worse,
    /// The whole interval is within the changes that do not matter.
    Same,
    /// Large, but not significant.
    Noise,
    /// Small, but the interval does not rule out a large change.
    Unclear,
    /// No method determines how certain it is.
    Unverified,
}

impl Verdict {
    /// The verdict as it is printed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Noise => "noise",
            Self::Unclear => "unclear",
            Self::Unverified => "unverified",
        }
    }
}

impl Row {
    /// From the base's own value to the new one, in percent.
    pub(crate) fn percent_from_base(&self) -> f64 {
        change_percent(self.base, self.new)
    }
}

impl Direction {
    /// That of a change; `None` if there is no change.
    pub(crate) fn of(change_percent: f64, higher_is_better: bool) -> Option<Self> {
        let is_better = (change_percent > 0.0) == higher_is_better;
        let direction = if is_better { Self::Better } else { Self::Worse };
        (change_percent != 0.0).then_some(direction)
    }
}

/// Whether a change is at least the smallest that matters, with a tolerance for rounding: 100 to 95
/// is a change of 5%.
pub(crate) fn is_large(change_percent: f64, options: &Options) -> bool {
    change_percent.abs() >= options.min_change - 1e-9
}

pub(crate) fn verdict(
    change_percent: f64,
    direction: Option<Direction>,
    interval: Option<Interval>,
    options: &Options,
) -> Verdict {
    let Some(interval) = interval else {
        return Verdict::Unverified;
    };
    let excludes_zero = interval.low > 0.0 || interval.high < 0.0;
    let is_significant = interval.p < options.alpha && excludes_zero;
    let is_small = interval.low > -options.min_change && interval.high < options.min_change;
    match direction {
        Some(direction) if is_large(change_percent, options) => match direction {
            Direction::Better if is_significant => Verdict::Better,
            Direction::Worse if is_significant => Verdict::Worse,
            _ => Verdict::Noise,
        },
        _ if is_small => Verdict::Same,
        _ => Verdict::Unclear,
    }
}

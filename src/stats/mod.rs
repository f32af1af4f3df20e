//! The statistics of `compare`, `history` and the gate: pure functions on runs and series.
//!
//! **Values.** All tests work on logarithms: a change is a ratio, and a speed and its inverse time
//! give one answer. Only finite numbers above zero are values.
//!
//! **What a run keeps.** For the repetitions of a test, a run has each total time, the mean and
//! deviation of the prompt and generation speeds, and only the mean of the time to first token. So
//! total times are compared by ranks and speeds by Welch's test, while the time to first token,
//! nearly the inverse of the prompt speed, is unverified without earlier runs.
//!
//! **The gate** fails if a row got worse by at least the smallest change that matters *and* the
//! change is significant; see `gate` and the simulations in the tests. Neither alone is enough:
//! between two unchanged runs nearly every difference is significant, since repetitions do not
//! measure the noise between runs, and only the smallest change that matters prevents false alarms.
//! With earlier runs, whose spread is that noise, significance prevents them.

mod basic;
mod change_points;
mod comparable;
mod compare;
mod estimate;
mod evidence;
mod gate;
mod metric;
mod multiple;
mod outcome;
mod prediction;
mod rank;
mod row;
mod special;
mod welch;

#[cfg(test)]
mod tests;

pub(crate) use basic::{median, number};
pub(crate) use change_points::{ChangePoint, change_points, level, noise};
pub(crate) use comparable::Reason;
pub(crate) use compare::{Comparison, FirstSample, Score, Yardstick, compare};
pub(crate) use estimate::{Estimate, Tails};
#[cfg(test)]
pub(crate) use evidence::Why;
pub(crate) use evidence::{Method, Unit};
pub(crate) use gate::GateOutcome;
pub(crate) use metric::{Metric, change_percent};
pub(crate) use outcome::Outcome;
pub(crate) use row::{Direction, Interval, Options, Row, TestKey, Verdict};

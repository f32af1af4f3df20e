//! The statistics of `compare`, `history` and the gate: pure functions on runs and series.
//!
//! **Values.** All tests work on logarithms: a change is a ratio, and a speed and its inverse time
//! give one answer. Only finite numbers above zero are values.
//!
//! **What a run keeps.** Of a test's repetitions a run has the total times one by one, of the
//! prompt and generation speeds mean and deviation, of the time to first token the mean alone. So
//! ranks are for total times, Welch's test for speeds, and the time to first token, which is
//! nearly the inverse of the prompt speed, is unverified unless there are earlier runs.
//!
//! **The gate** fails if a row got worse by at least the smallest change that matters *and* that
//! is significant; see `gate` and the simulations beside it. Neither alone is enough: between
//! two runs without a change nearly every difference is significant, since repetitions tell
//! nothing of the noise between runs, and there only the smallest change that matters holds the
//! false alarms down. With earlier runs, whose spread is that noise, significance does.

mod basic;
mod change_points;
mod comparable;
mod compare;
mod estimate;
mod evidence;
mod gate;
mod metric;
mod multiple;
mod prediction;
mod rank;
mod row;
mod special;
mod welch;

#[cfg(test)]
mod tests;

pub(crate) use basic::{mean, number};
pub(crate) use change_points::{ChangePoint, change_points};
pub(crate) use comparable::Reason;
pub(crate) use compare::{Comparison, compare};
pub(crate) use estimate::{Estimate, Tails};
pub(crate) use evidence::{Method, Unit, Why};
pub(crate) use gate::GateOutcome;
pub(crate) use metric::Metric;
pub(crate) use prediction::believed;
pub(crate) use row::{Direction, Interval, Options, Row, TestKey, Verdict};

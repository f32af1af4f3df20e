//! The statistics of `compare`, `history` and the gate: pure functions on runs and series.
//!
//! **Values.** All tests work on logarithms: a change is a ratio, and a speed and its inverse time
//! give one answer. What is no finite number above zero is no value.
//!
//! **What a run keeps.** Of a test's repetitions a run has the total times one by one, of the
//! prompt and generation speeds mean and deviation, of the time to first token the mean alone. So
//! ranks are for total times, Welch's test for speeds, and the time to first token, which is
//! nearly the inverse of the prompt speed, is unverified unless there are earlier runs.
//!
//! **The gate** fails if a row got worse by at least the smallest change that matters *and* that
//! is significant; see [`Gate`] and the simulations beside it. Neither alone is enough: between
//! two runs without a change nearly every difference is significant, since repetitions tell
//! nothing of the noise between runs, and there only the smallest change that matters holds the
//! false alarms down. With earlier runs, whose spread is that noise, significance does.

pub mod basic;
pub mod special;

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
mod sparkline;
mod welch;

#[cfg(test)]
mod compare_tests;
#[cfg(test)]
mod simulation;

pub use change_points::{ChangePoint, MAX_VALUES, change_points};
pub use comparable::{Reason, reasons};
pub use compare::{Change, Comparison, Direction, Options, Row, Score, TestKey, Verdict, compare};
pub use estimate::{Estimate, Tails};
pub use evidence::{Counts, Method, Unit, Why};
pub use gate::{Gate, Outcome};
pub use metric::{Metric, change_percent};
pub use multiple::{hochberg, holm};
pub use prediction::{MIN_EARLIER, believed, prediction, prediction_tails};
pub use rank::{MAX_EXACT, rank_test, smallest_p};
pub use sparkline::heights;
pub use welch::{Moments, welch, welch_mean};

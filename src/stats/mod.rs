//! The statistics of `compare`, `history` and the gate: pure functions on runs and series.
//!
//! **Values.** All tests work on logarithms: a change is a ratio, and a speed and its inverse time
//! give one answer. What is no finite number above zero is no value.
//!
//! **What a run keeps.** Of a test's repetitions a run has the total times one by one, of the
//! prompt and generation speeds mean and deviation, of the time to first token the mean alone. So
//! ranks are for total times, Welch's test for speeds, and the time to first token, which is
//! nearly the inverse of the prompt speed, is unverified unless there are earlier runs.

pub mod basic;
pub mod special;

mod change_points;
mod estimate;
mod multiple;
mod prediction;
mod rank;
mod sparkline;
mod welch;

pub use change_points::{ChangePoint, MAX_VALUES, change_points, current_level};
pub use estimate::{Estimate, Tails};
pub use multiple::{hochberg, holm};
pub use prediction::{MIN_EARLIER, MIN_EARLIER_FOR_GATE, prediction, prediction_tails};
pub use rank::{MAX_EXACT, rank_test, smallest_p};
pub use sparkline::heights;
pub use welch::{Moments, welch, welch_mean};

//! The interface of a benchmark suite.

use super::{Run, Test};

/// The tests of a benchmark tool and the rules for its runs. [`Run::suite`] chooses.
pub(crate) trait Suite: Sync {
    /// The tests of a complete run, in their order, as `(n_prompt, n_gen)`. A run without one of them
    /// is partial; if none are expected, no run is partial.
    fn expected(&self) -> &'static [(i64, i64)];

    /// The score of these tests; `None` if the suite has no score.
    fn score(&self, tests: &[Test]) -> Option<f64>;

    /// Why two runs cannot be compared; empty if they can. Missing values are no reason.
    fn mismatches(&self, one: &Run, other: &Run) -> Vec<Mismatch>;

    /// The place of a test among the expected ones.
    fn place(&self, test: &Test) -> Option<usize> {
        let tokens = (test.n_prompt, test.n_gen);
        self.expected().iter().position(|&other| other == tokens)
    }

    /// The number of expected tests among these.
    fn present(&self, tests: &[Test]) -> usize {
        let is_there = |place: &usize| tests.iter().any(|test| self.place(test) == Some(*place));
        (0..self.expected().len()).filter(is_there).count()
    }
}

/// A property in which two runs must agree to be compared, and do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mismatch {
    /// Another model: another name, or another number of parameters.
    Model,
    /// Another quantisation.
    Quant,
    /// Other tests.
    TestSet,
    /// A GPU against a CPU: another kind of accelerator.
    Accelerator,
    /// A test that the suite expects is missing in one of them.
    Partial,
}

//! The interface of a benchmark suite.

use super::bench::LlamaBench;
use super::{Figures, LocalScore, Run, Test};

/// The program that measured a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Tool {
    /// The localscore benchmark of llamafile
    #[default]
    #[value(name = "localscore")]
    LocalScore,
    /// The benchmark of llama.cpp
    #[value(name = "llama-bench")]
    LlamaBench,
}

impl Tool {
    /// All of them; another tool needs a suite and a line here.
    pub(crate) const ALL: [Self; 2] = [Self::LocalScore, Self::LlamaBench];

    /// Its name in the store and for programs.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LocalScore => "localscore",
            Self::LlamaBench => "llama-bench",
        }
    }

    /// Its name for people.
    #[must_use]
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::LocalScore => "LocalScore",
            Self::LlamaBench => "llama-bench",
        }
    }

    /// The tool with this name.
    #[must_use]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Its tests and rules.
    #[must_use]
    pub(crate) fn suite(self) -> &'static dyn Suite {
        match self {
            Self::LocalScore => &LocalScore,
            Self::LlamaBench => &LlamaBench,
        }
    }
}

/// The tests of a benchmark tool and the rules for its runs. [`Tool::suite`] chooses.
pub(crate) trait Suite: Sync {
    /// The tests of a complete run, in their order, as `(n_prompt, n_gen)`. A run without one of them
    /// is partial; if none are expected, no run is partial.
    fn expected(&self) -> &'static [(i64, i64)];

    /// The score of these tests; `None` if the suite has no score.
    fn score(&self, tests: &[Test]) -> Option<f64>;

    /// What lists show of these tests.
    fn figures(&self, tests: &[Test]) -> Figures;

    /// Why two runs of this suite cannot be compared; empty if they can. Missing values are no reason.
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
    /// Another tool: LocalScore and llama-bench measure different things.
    Tool,
    /// Another model: another name, or another number of parameters.
    Model,
    /// Another quantisation.
    Quant,
    /// Other tests.
    TestSet,
    /// A GPU against a CPU: another kind of accelerator.
    Accelerator,
    /// Another processor, other devices, or another backend of llama.cpp.
    Machine,
    /// A test that the suite expects is missing in one of them.
    Partial,
}

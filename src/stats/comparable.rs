//! Whether runs measured the same thing.

use std::collections::BTreeSet;

use super::Metric;
use crate::model::bench::Unequal;
use crate::model::{Mismatch, Run, Text};

/// Why runs cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is no run on a side, or no test that both sides have.
    NothingInCommon,
    /// No test has the same settings on both sides: those in which two of them differ.
    Settings(Vec<Unequal>),
    /// Two of the runs have too little in common.
    Mismatch(Mismatch),
    /// A test has a value on one side and none (such as `nan`) on the other.
    MissingValue {
        /// The test.
        test: Text,
        /// What is missing.
        metric: Metric,
    },
}

/// Why these runs cannot be compared, by the rules of their suite; empty if they can.
#[must_use]
pub(crate) fn reasons(base: &[&Run], new: &[&Run]) -> Vec<Reason> {
    let Some((&first, rest)) = base.split_first().filter(|_| !new.is_empty()) else {
        return vec![Reason::NothingInCommon];
    };
    let others = rest.iter().chain(new);
    let mismatches: BTreeSet<Mismatch> = others
        .flat_map(|other| {
            if other.tool == first.tool {
                first.suite().mismatches(first, other)
            } else {
                vec![Mismatch::Tool]
            }
        })
        .collect();
    mismatches.into_iter().map(Reason::Mismatch).collect()
}

impl Reason {
    /// Whether there is nothing that could be compared all the same.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::NothingInCommon | Self::Settings(_) | Self::Mismatch(Mismatch::Tool)
        )
    }
}

/// What is in one list and not in the other, in its order.
pub(super) fn missing_from<T: Copy + Ord>(list: &[T], other: &[T]) -> Vec<T> {
    let other: BTreeSet<T> = other.iter().copied().collect();
    list.iter()
        .copied()
        .filter(|item| !other.contains(item))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LocalScore, Suite, Test};

    fn run() -> Run {
        let test = |(n_prompt, n_gen)| {
            let mut test = Test {
                n_prompt,
                n_gen,
                ..Test::default()
            };
            test.model.model_name = Some("a".into());
            test.model.model_quant_str = Some("Q4".into());
            test
        };
        let mut run = Run {
            tests: LocalScore.expected().iter().copied().map(test).collect(),
            ..Run::default()
        };
        run.environment.accelerator.kind = Some("GPU".into());
        run
    }

    fn after(change: impl FnOnce(&mut Run)) -> Vec<Reason> {
        let mut other = run();
        change(&mut other);
        let there = reasons(&[&run()], &[&other]);
        assert_eq!(there, reasons(&[&other], &[&run()]));
        there
    }

    #[test]
    fn each_reason_is_seen() {
        assert_eq!(after(|_| ()), []);
        let name = |run: &mut Run, name: &str| run.tests[0].model.model_name = Some(name.into());
        assert_eq!(
            after(|run| name(run, "b")),
            [Reason::Mismatch(Mismatch::Model)]
        );
        let quant = |run: &mut Run| run.tests[0].model.model_quant_str = Some("Q8".into());
        assert_eq!(after(quant), [Reason::Mismatch(Mismatch::Quant)]);
        let kind = |run: &mut Run| run.environment.accelerator.kind = Some("CPU".into());
        assert_eq!(after(kind), [Reason::Mismatch(Mismatch::Accelerator)]);
        let fewer = |run: &mut Run| run.tests.truncate(8);
        let expected = [Mismatch::TestSet, Mismatch::Partial].map(Reason::Mismatch);
        assert_eq!(after(fewer), expected);
        assert_eq!(reasons(&[], &[&run()]), [Reason::NothingInCommon]);
        assert_eq!(reasons(&[&run()], &[]), [Reason::NothingInCommon]);
    }

    #[test]
    fn what_is_not_known_is_no_reason() {
        assert_eq!(after(|run| run.tests[0].model.model_name = None), []);
        assert_eq!(after(|run| run.environment.accelerator.kind = None), []);
        assert_eq!(after(|run| run.tests.reverse()), []);
    }
}

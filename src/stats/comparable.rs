//! Whether two runs measured the same thing.

use std::collections::BTreeSet;

use super::Metric;
use crate::model::{Piece, Run, Text};

/// Why two runs cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is no run on a side, or no test that both sides have.
    NothingInCommon,
    /// Another model: another name, or another number of parameters.
    Model,
    /// Another quantisation.
    Quant,
    /// Other tests.
    TestSet,
    /// A GPU against a CPU: another kind of accelerator.
    Accelerator,
    /// One of the nine baseline tests is missing on a side.
    Partial,
    /// A test has a value on one side and none (such as `nan`) on the other.
    MissingValue {
        /// The test.
        test: Text,
        /// What is missing.
        metric: Metric,
    },
}

/// Why these runs cannot be compared, as far as the runs as wholes tell; empty if they can.
///
/// What a capture does not say is no reason.
#[must_use]
pub fn reasons(base: &[&Run], new: &[&Run]) -> Vec<Reason> {
    let Some((&first, rest)) = base.split_first() else {
        return vec![Reason::NothingInCommon];
    };
    if new.is_empty() {
        return vec![Reason::NothingInCommon];
    }
    let others = || rest.iter().chain(new).copied();
    let mut reasons = Vec::new();
    if others().any(|run| other_model(first, run)) {
        reasons.push(Reason::Model);
    }
    let quant = |run: &Run| run.model().and_then(|model| model.model_quant_str.clone());
    if others().any(|run| differ(&quant(first), &quant(run))) {
        reasons.push(Reason::Quant);
    }
    if others().any(|run| tokens(run) != tokens(first)) {
        reasons.push(Reason::TestSet);
    }
    if others().any(|run| other_kind(first, run)) {
        reasons.push(Reason::Accelerator);
    }
    if first.is_partial() || others().any(Run::is_partial) {
        reasons.push(Reason::Partial);
    }
    reasons
}

fn other_model(base: &Run, new: &Run) -> bool {
    let (Some(base), Some(new)) = (base.model(), new.model()) else {
        return false;
    };
    let parameters = [base.model_n_params, new.model_n_params];
    differ(&base.model_name, &new.model_name)
        || matches!(parameters, [Some(base), Some(new)] if base != new)
}

fn other_kind(base: &Run, new: &Run) -> bool {
    let kind = |run: &Run| {
        let kind = run.environment.accelerator.kind.as_ref()?;
        Some(kind.as_bytes().to_ascii_uppercase())
    };
    matches!([kind(base), kind(new)], [Some(base), Some(new)] if base != new)
}

/// The tests, whatever their order, each as often as it was run.
fn tokens(run: &Run) -> Vec<(i64, i64)> {
    let mut tokens: Vec<_> = run.tests.iter().map(|t| (t.n_prompt, t.n_gen)).collect();
    tokens.sort_unstable();
    tokens
}

/// Whether two strings that are known differ; a byte that the C tool lost may have been any.
fn differ(base: &Option<Text>, new: &Option<Text>) -> bool {
    let (Some(base), Some(new)) = (base, new) else {
        return false;
    };
    let same = |pair| match pair {
        (Piece::Byte(base), Piece::Byte(new)) => base == new,
        (Piece::Lost, Piece::Byte(byte)) | (Piece::Byte(byte), Piece::Lost) => byte >= 0x80,
        (Piece::Lost, Piece::Lost) => true,
    };
    base.c_len() != new.c_len() || !base.pieces().zip(new.pieces()).all(same)
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
    use crate::model::{BASELINE_TESTS, Test};

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
            tests: BASELINE_TESTS.into_iter().map(test).collect(),
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
        assert_eq!(after(|run| name(run, "b")), [Reason::Model]);
        let quant = |run: &mut Run| run.tests[0].model.model_quant_str = Some("Q8".into());
        assert_eq!(after(quant), [Reason::Quant]);
        let kind = |run: &mut Run| run.environment.accelerator.kind = Some("CPU".into());
        assert_eq!(after(kind), [Reason::Accelerator]);
        let fewer = |run: &mut Run| run.tests.truncate(8);
        assert_eq!(after(fewer), [Reason::TestSet, Reason::Partial]);
        assert_eq!(reasons(&[], &[&run()]), [Reason::NothingInCommon]);
        assert_eq!(reasons(&[&run()], &[]), [Reason::NothingInCommon]);
    }

    #[test]
    fn what_is_not_known_is_no_reason() {
        assert_eq!(after(|run| run.tests[0].model.model_name = None), []);
        assert_eq!(after(|run| run.environment.accelerator.kind = None), []);
        assert_eq!(after(|run| run.tests.reverse()), []);
    }

    #[test]
    fn a_lost_byte_may_have_been_any() {
        let text = |text: &str| Some(Text::from(text));
        assert!(!differ(&text("\u{ffff}f\u{ffff}f"), &text("ä")));
        assert!(differ(&text("\u{ffff}f"), &text("a")));
    }
}

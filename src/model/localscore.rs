//! The suite of LocalScore: its tests, and the score computed from their means.

use super::{Figures, Mismatch, Run, Suite, Summary, Test, Text};

/// The suite of LocalScore.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalScore;

impl Suite for LocalScore {
    fn expected(&self) -> &'static [(i64, i64)] {
        &[
            (1024, 16),
            (4096, 256),
            (2048, 256),
            (2048, 768),
            (1024, 1024),
            (1280, 3072),
            (384, 1152),
            (64, 1024),
            (16, 1536),
        ]
    }

    fn score(&self, tests: &[Test]) -> Option<f64> {
        Some(Summary::new(tests).performance_score)
    }

    fn figures(&self, tests: &[Test]) -> Figures {
        Summary::new(tests).into()
    }

    fn mismatches(&self, one: &Run, other: &Run) -> Vec<Mismatch> {
        let quant = |run: &Run| run.model().and_then(|model| model.model_quant_str.clone());
        let found = [
            (Mismatch::Model, is_other_model(one, other)),
            (Mismatch::Quant, differ(&quant(one), &quant(other))),
            (Mismatch::TestSet, tokens(one) != tokens(other)),
            (Mismatch::Accelerator, is_other_kind(one, other)),
            (Mismatch::Partial, one.is_partial() || other.is_partial()),
        ];
        let found = found.into_iter().filter(|(_, is_found)| *is_found);
        found.map(|(mismatch, _)| mismatch).collect()
    }
}

fn is_other_model(one: &Run, other: &Run) -> bool {
    let (Some(one), Some(other)) = (one.model(), other.model()) else {
        return false;
    };
    let parameters = [one.model_n_params, other.model_n_params];
    differ(&one.model_name, &other.model_name)
        || matches!(parameters, [Some(one), Some(other)] if one != other)
}

fn is_other_kind(one: &Run, other: &Run) -> bool {
    let kind = |run: &Run| {
        let kind = run.environment.accelerator.kind.as_ref()?;
        Some(kind.as_bytes().to_ascii_uppercase())
    };
    matches!([kind(one), kind(other)], [Some(one), Some(other)] if one != other)
}

/// The token counts of the tests, sorted.
fn tokens(run: &Run) -> Vec<(i64, i64)> {
    let mut tokens: Vec<_> = run.tests.iter().map(|t| (t.n_prompt, t.n_gen)).collect();
    tokens.sort_unstable();
    tokens
}

/// Whether two strings are known and differ; a byte that the C tool lost may have been any.
fn differ(one: &Option<Text>, other: &Option<Text>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if !one.is_alike(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_byte_may_have_been_any() {
        let text = |text: &str| Some(Text::from(text));
        assert!(!differ(&text("\u{ffff}f\u{ffff}f"), &text("ä")));
        assert!(differ(&text("\u{ffff}f"), &text("a")));
    }
}

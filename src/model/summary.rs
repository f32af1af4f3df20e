//! The summary of a run: its averages and its score.

use super::Test;

/// Averages over the tests of a run, and the LocalScore.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Summary {
    /// Mean of `prompt_tps`, tokens per second.
    pub avg_prompt_tps: f64,
    /// Mean of `gen_tps`, tokens per second.
    pub avg_gen_tps: f64,
    /// Mean of `ttft_ms`, milliseconds.
    pub avg_ttft_ms: f64,
    /// The score: ten times the geometric mean of the three, higher is better.
    pub performance_score: f64,
}

impl Summary {
    /// Computes the summary as `getResultsSummary` of the C tool's localscore.cpp does: over the
    /// tests with three finite values, in their order; all zero if there are none.
    #[must_use]
    pub(crate) fn new(tests: &[Test]) -> Self {
        let mut sums = [0.0; 3];
        let mut count = 0.0;
        for test in tests {
            let values = [test.prompt_tps, test.gen_tps, test.ttft_ms];
            if let [Some(pp), Some(tg), Some(ttft)] = values
                && pp.is_finite()
                && tg.is_finite()
                && ttft.is_finite()
            {
                sums[0] += pp;
                sums[1] += tg;
                sums[2] += ttft;
                count += 1.0;
            }
        }
        if count == 0.0 {
            return Self::default();
        }
        let [avg_prompt_tps, avg_gen_tps, avg_ttft_ms] = sums.map(|sum| sum / count);
        let product = avg_prompt_tps * avg_gen_tps * (1000.0 / avg_ttft_ms);
        Self {
            avg_prompt_tps,
            avg_gen_tps,
            avg_ttft_ms,
            // powf, not cbrt: the last digit of the payload depends on it.
            performance_score: product.powf(1.0 / 3.0) * 10.0,
        }
    }

    /// The score for lists.
    #[must_use]
    pub(crate) fn listed_score(&self) -> i32 {
        listed_score(self.performance_score)
    }

    /// The score as the C tool prints it.
    #[must_use]
    pub(crate) fn printed_score(&self) -> i32 {
        truncated(self.performance_score)
    }
}

/// What lists show of a run; `None` where its tool or its tests have no such value.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    /// The LocalScore.
    pub score: Option<f64>,
    /// Prompt processing, tokens per second.
    pub prompt_tps: Option<f64>,
    /// Generation, tokens per second.
    pub gen_tps: Option<f64>,
    /// Time to first token, milliseconds.
    pub ttft_ms: Option<f64>,
}

impl From<Summary> for Figures {
    fn from(summary: Summary) -> Self {
        Self {
            score: Some(summary.performance_score),
            prompt_tps: Some(summary.avg_prompt_tps),
            gen_tps: Some(summary.avg_gen_tps),
            ttft_ms: Some(summary.avg_ttft_ms),
        }
    }
}

/// A score for lists: truncated to an integer, 0 if it is not finite.
#[must_use]
pub(crate) fn listed_score(score: f64) -> i32 {
    if score.is_finite() {
        truncated(score)
    } else {
        0
    }
}

/// Truncates to a 32-bit integer. A number out of range (a time to first token of zero makes the
/// score infinite) becomes the smallest integer, as on x86.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
fn truncated(score: f64) -> i32 {
    let score = score.trunc();
    if score >= f64::from(i32::MIN) && score <= f64::from(i32::MAX) {
        score as i32
    } else {
        i32::MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(pp: f64, tg: f64, ttft: f64) -> Test {
        Test {
            prompt_tps: Some(pp),
            gen_tps: Some(tg),
            ttft_ms: Some(ttft),
            ..Test::default()
        }
    }

    #[test]
    fn a_test_without_a_number_is_left_out() {
        let tests = [test(100.0, 10.0, 100.0), test(f64::NAN, 99.0, 99.0)];
        let summary = Summary::new(&tests);
        assert_eq!(summary.avg_prompt_tps, 100.0);
        assert!((summary.performance_score - 215.44).abs() < 0.01);
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        assert_eq!(Summary::new(&[]), Summary::default());
    }

    #[test]
    fn a_score_out_of_range_prints_as_x86_converts_it() {
        let summary = Summary::new(&[test(1.0, 1.0, 0.0)]);
        assert_eq!(summary.printed_score(), i32::MIN);
    }
}

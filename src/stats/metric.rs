//! The values of a test that are compared.

use super::basic::{ln, median};
use super::welch::Moments;
use crate::model::{Test, Tool};

/// A value of a test that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Metric {
    /// Prompt processing, tokens per second.
    PromptTps,
    /// Generation, tokens per second.
    GenTps,
    /// Time to first token, milliseconds.
    TtftMs,
    /// Time of the whole test, milliseconds: the median of the repetitions, so that it agrees with the
    /// ranks; the mean if the run does not have them.
    AvgTimeMs,
    /// Speed of the whole test, tokens per second, of which only llama-bench tells.
    Tps,
}

impl Metric {
    const ALL: [Self; 5] = [
        Self::PromptTps,
        Self::GenTps,
        Self::TtftMs,
        Self::AvgTimeMs,
        Self::Tps,
    ];

    /// Those of LocalScore but the time of the whole test, which follows from them.
    pub(crate) const SPEEDS: [Self; 3] = [Self::PromptTps, Self::GenTps, Self::TtftMs];

    /// Those that are compared in runs of a tool, in the order of their columns.
    pub(crate) fn of(tool: Tool) -> &'static [Self] {
        match tool {
            Tool::LocalScore => &[Self::PromptTps, Self::GenTps, Self::TtftMs, Self::AvgTimeMs],
            Tool::LlamaBench => &[Self::Tps],
        }
    }

    /// Whether runs of a tool have it. A test of llama-bench has a prompt speed if it is of a prompt
    /// alone, and a generation speed if it is of generation alone.
    pub(crate) fn is_of(self, tool: Tool) -> bool {
        match self {
            Self::PromptTps | Self::GenTps | Self::AvgTimeMs => true,
            Self::TtftMs => tool == Tool::LocalScore,
            Self::Tps => tool == Tool::LlamaBench,
        }
    }

    /// The name of the field.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PromptTps => "prompt_tps",
            Self::GenTps => "gen_tps",
            Self::TtftMs => "ttft_ms",
            Self::AvgTimeMs => "avg_time_ms",
            Self::Tps => "tps",
        }
    }

    /// The metric with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Whether more is better: true for speeds, false for times.
    pub(crate) fn higher_is_better(self) -> bool {
        matches!(self, Self::PromptTps | Self::GenTps | Self::Tps)
    }

    /// Whether the test measures it, by its numbers of tokens.
    pub(crate) fn applies(self, test: &Test) -> bool {
        match self {
            Self::PromptTps | Self::TtftMs => test.n_prompt > 0,
            Self::GenTps => test.n_gen > 0,
            Self::AvgTimeMs | Self::Tps => true,
        }
    }

    /// The value, if it is a finite number above zero.
    pub(crate) fn value(self, test: &Test) -> Option<f64> {
        let value = match self {
            Self::PromptTps => test.prompt_tps,
            Self::GenTps => test.gen_tps,
            Self::TtftMs => test.ttft_ms,
            Self::AvgTimeMs => median_of_samples_ms(test).or(test.avg_time_ms),
            Self::Tps => test.tps,
        };
        let measured = |value: &f64| self.applies(test) && ln(*value).is_some();
        value.filter(measured)
    }

    /// The logarithms of the repetitions, which a run of LocalScore has for the total time only. A
    /// test of llama-bench is of one kind, so that its speeds follow from the times.
    pub(crate) fn samples(self, test: &Test) -> Option<Vec<f64>> {
        let times = test.repetition_times()?.iter();
        let speed = |ns| speed(test.n_prompt.saturating_add(test.n_gen), ns);
        match self {
            Self::AvgTimeMs => times.map(|&ns| ln(milliseconds(ns))).collect(),
            Self::TtftMs => None,
            _ if test.settings.is_none() => None,
            _ => times.map(|&ns| ln(speed(ns))).collect(),
        }
    }

    /// Mean and deviation of the logarithms over the repetitions, if they are known.
    ///
    /// A run has no deviation of the time to first token. The deviation of the total time overflows in
    /// the C tool, so it is computed from the samples.
    pub(crate) fn moments(self, test: &Test) -> Option<Moments> {
        if test.settings.is_some() {
            return Moments::of_logs(&self.samples(test)?);
        }
        let deviation = match self {
            Self::PromptTps => test.prompt_tps_stddev?,
            Self::GenTps => test.gen_tps_stddev?,
            Self::TtftMs | Self::Tps => return None,
            Self::AvgTimeMs => return Moments::of_logs(&self.samples(test)?),
        };
        Moments::of_summary(self.value(test)?, deviation, test.repetitions()?)
    }
}

fn median_of_samples_ms(test: &Test) -> Option<f64> {
    let times = test.repetition_times()?.iter();
    median(&times.map(|&ns| milliseconds(ns)).collect::<Vec<f64>>())
}

/// Tokens per second.
#[allow(clippy::cast_precision_loss, reason = "by far less than the noise")]
pub(super) fn speed(tokens: i64, ns: u64) -> f64 {
    1e9 * tokens as f64 / ns as f64
}

#[allow(
    clippy::cast_precision_loss,
    reason = "no test takes 2^53 ns, 104 days"
)]
fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// The change from one value to another in percent.
pub(crate) fn change_percent(base: f64, new: f64) -> f64 {
    100.0 * (new - base) / base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test() -> Test {
        Test {
            n_prompt: 16,
            n_gen: 16,
            prompt_tps: Some(100.0),
            prompt_tps_stddev: Some(f64::NAN),
            gen_tps: Some(f64::INFINITY),
            gen_tps_stddev: Some(1.0),
            ttft_ms: Some(0.0),
            avg_time_ms: Some(2.0),
            stddev_time_ms: Some(4.29e9),
            samples_ns: Some(vec![1_000_000, 3_000_000]),
            ..Test::default()
        }
    }

    #[test]
    fn only_numbers_above_zero_are_values() {
        let test = test();
        assert_eq!(Metric::PromptTps.value(&test), Some(100.0));
        assert_eq!(Metric::GenTps.value(&test), None);
        assert_eq!(Metric::TtftMs.value(&test), None);
    }

    #[test]
    fn the_total_time_comes_from_the_samples() {
        let mut test = test();
        assert_eq!(Metric::AvgTimeMs.value(&test), Some(2.0));
        let moments = Metric::AvgTimeMs.moments(&test).unwrap();
        assert_eq!(moments.n, 2);
        assert!(moments.variance < 1.0);
        for phases in [None, Some(vec![1_000_000, 8_000_000])] {
            test.avg_time_ms = Some(9.0);
            test.samples_ns = phases;
            assert_eq!(Metric::AvgTimeMs.value(&test), Some(9.0));
            assert_eq!(Metric::AvgTimeMs.moments(&test), None);
        }
    }

    #[test]
    fn a_deviation_that_is_no_number_is_unknown() {
        assert_eq!(Metric::PromptTps.moments(&test()), None);
    }

    #[test]
    fn a_test_without_a_prompt_has_no_prompt_speed() {
        let test = Test {
            n_prompt: 0,
            ..test()
        };
        assert_eq!(Metric::PromptTps.value(&test), None);
    }

    #[test]
    fn names_go_there_and_back() {
        for metric in Metric::ALL {
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
        }
        assert_eq!(Metric::from_name("x"), None);
    }
}

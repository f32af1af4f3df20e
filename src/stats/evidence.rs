//! The choice of the statistical method for a difference.

use super::basic::ln;
use super::prediction::{prediction, prediction_tails};
use super::rank::{rank_test, smallest_p};
use super::welch::{Moments, welch, welch_mean};
use super::{Estimate, Metric, Tails};
use crate::model::Test;

/// The minimum number of values per side for ranks: with three, they cannot reach 5%.
const MIN_RANKED: usize = 4;

/// The probability that a rank test must be able to reach to be used in the gate, where the level is
/// divided among all rows. It takes eight values per side; with fewer, the gate uses Welch's test on
/// the same values.
const GATE_FLOOR: f64 = 1e-4;

/// The method that determines how certain a change is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Method {
    /// Mann-Whitney test and Hodges-Lehmann interval.
    Rank(Counts),
    /// Welch's t test on logarithms; weak if it has fewer than four values on a side.
    Welch(Counts),
    /// Prediction interval from earlier runs of the same configuration.
    Prediction {
        /// The number of runs at the level.
        earlier: usize,
    },
    /// No method: the change is unverified.
    Unverified(Why),
}

/// The sizes of the samples that a test compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The unit of the samples.
    pub unit: Unit,
    /// The size for the base; for a mean over tests, the smallest of them.
    pub base: usize,
    /// The size for the new side.
    pub new: usize,
}

/// The unit of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// The repetitions of a test inside one run: they share what made the run fast or slow, so any
    /// two runs differ significantly, and only a minimum change is informative.
    Repetitions,
    /// Whole runs.
    Runs,
}

/// The reason why no method can determine how certain a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// One repetition, on at least one side.
    SingleRepetition,
    /// The captures do not contain the number of repetitions.
    UnknownRepetitions,
    /// The deviation is missing: the time to first token never has one, and the C tool prints `nan`
    /// if it cannot compute it.
    NoDeviation,
    /// A side of two runs: too few to measure the noise between runs.
    FewRuns,
    /// The runs cannot be compared.
    NotComparable,
}

impl Method {
    /// The method in a word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rank(_) => "rank",
            Self::Welch(_) => "welch",
            Self::Prediction { .. } => "history",
            Self::Unverified(_) => "unverified",
        }
    }
}

/// The evidence for a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Evidence {
    pub method: Method,
    /// For people.
    pub estimate: Option<Estimate>,
    /// For the gate; `None` if it does not count there.
    pub gate: Option<Tails>,
}

impl Evidence {
    /// None, and why.
    pub(crate) fn none(why: Why) -> Self {
        Self {
            method: Method::Unverified(why),
            estimate: None,
            gate: None,
        }
    }

    fn welch(counts: Counts, estimate: Estimate) -> Self {
        Self {
            method: Method::Welch(counts),
            estimate: Some(estimate),
            gate: Some(estimate.tails),
        }
    }
}

/// The logarithms of a value in each run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunValues<'a> {
    pub base: &'a [f64],
    pub new: &'a [f64],
    /// The runs at the level.
    pub level: &'a [f64],
    /// What changes are measured from: the level, or a base that is off it.
    pub reference: &'a [f64],
    /// The minimum deviation between earlier runs that the gate assumes.
    pub min_deviation: f64,
}

/// Chooses the first applicable method, in order of how well it measures the noise between runs:
///
/// 1. four runs per side: ranks over the runs;
/// 2. three runs at the level: the prediction interval;
/// 3. two runs per side: Welch over the runs;
/// 4. one run per side: the repetitions inside the runs (`within`).
pub(crate) fn choose(
    runs: RunValues<'_>,
    alpha: f64,
    within: impl FnOnce() -> Result<Evidence, Why>,
) -> Evidence {
    let counts = Counts {
        unit: Unit::Runs,
        base: runs.base.len(),
        new: runs.new.len(),
    };
    let fewest = counts.base.min(counts.new);
    let of_runs = || of_samples(runs.base, runs.new, counts, alpha);
    let ranked = (fewest >= MIN_RANKED).then(of_runs).flatten();
    let predicted = || {
        let (level, reference, new) = (runs.level, runs.reference, runs.new);
        Some(Evidence {
            method: Method::Prediction {
                earlier: level.len(),
            },
            estimate: Some(prediction(level, reference, new, alpha)?),
            gate: prediction_tails(level, reference, new, runs.min_deviation),
        })
    };
    let compared = || (fewest > 1).then(of_runs).flatten();
    let within = || match counts.base.max(counts.new) {
        0 | 1 => within(),
        _ => Err(Why::FewRuns),
    };
    let evidence = ranked.or_else(predicted).or_else(compared);
    evidence
        .map_or_else(within, Ok)
        .unwrap_or_else(Evidence::none)
}

/// Compares the repetitions of a test in one run with those in another.
pub(crate) fn of_tests(
    metric: Metric,
    base: &Test,
    new: &Test,
    alpha: f64,
) -> Result<Evidence, Why> {
    let counts = Counts {
        unit: Unit::Repetitions,
        base: known_repetitions(base)?,
        new: known_repetitions(new)?,
    };
    if let (Some(base), Some(new)) = (metric.samples(base), metric.samples(new)) {
        return of_samples(&base, &new, counts, alpha).ok_or(Why::NoDeviation);
    }
    let compared = || {
        let (base, new) = (metric.moments(base)?, metric.moments(new)?);
        Some(Evidence::welch(counts, welch(&base, &new, alpha)?))
    };
    compared().ok_or(Why::NoDeviation)
}

/// Compares the means over tests, whose errors follow from the repetitions of each test.
///
/// A test with an unknown deviation is assumed to be as noisy as the noisiest known one.
pub(crate) fn of_means(
    metric: Metric,
    tests: &[(&Test, &Test)],
    alpha: f64,
) -> Result<Evidence, Why> {
    let mut pairs = Vec::with_capacity(tests.len());
    let mut unknown = Vec::new();
    let mut why = Why::NoDeviation;
    for &(base, new) in tests {
        match (metric.moments(base), metric.moments(new)) {
            (Some(base), Some(new)) => pairs.push((base, new)),
            _ => unknown.push((base, new)),
        }
        if let Err(reason) = known_repetitions(base).and(known_repetitions(new)) {
            why = reason;
        }
    }
    let sides = || pairs.iter().flat_map(|&(base, new)| [base, new]);
    let noisiest = sides().map(|side| side.variance).fold(0.0, f64::max);
    let base = pairs.iter().map(|(base, _)| base.n).min().ok_or(why)?;
    let new = pairs.iter().map(|(_, new)| new.n).min().ok_or(why)?;
    for (base_test, new_test) in unknown {
        let assumed = |test: &Test, n| {
            let mean = metric.value(test).and_then(ln).ok_or(Why::NoDeviation)?;
            Ok(Moments {
                mean,
                variance: noisiest,
                n,
            })
        };
        pairs.push((assumed(base_test, base)?, assumed(new_test, new)?));
    }
    let estimate = welch_mean(&pairs, alpha).ok_or(Why::NoDeviation)?;
    let unit = Unit::Repetitions;
    Ok(Evidence::welch(Counts { unit, base, new }, estimate))
}

/// Ranks if there are enough values, or else Welch.
fn of_samples(base: &[f64], new: &[f64], counts: Counts, alpha: f64) -> Option<Evidence> {
    let welch = || welch(&Moments::of_logs(base)?, &Moments::of_logs(new)?, alpha);
    if base.len().min(new.len()) >= MIN_RANKED
        && let Some(ranks) = rank_test(base, new, alpha)
    {
        let decides = smallest_p(base.len(), new.len()) <= GATE_FLOOR;
        let gate = if decides { Some(ranks) } else { welch() };
        return Some(Evidence {
            method: Method::Rank(counts),
            estimate: Some(ranks),
            gate: gate.map(|estimate| estimate.tails),
        });
    }
    Some(Evidence::welch(counts, welch()?))
}

fn known_repetitions(test: &Test) -> Result<usize, Why> {
    match test.repetitions() {
        None => Err(Why::UnknownRepetitions),
        Some(1) => Err(Why::SingleRepetition),
        Some(n) => Ok(n),
    }
}

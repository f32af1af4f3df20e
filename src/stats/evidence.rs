//! Which statistical method tells how certain a difference is.

use super::basic::ln;
use super::prediction::{prediction, prediction_tails};
use super::rank::{rank_test, smallest_p};
use super::welch::{Moments, welch, welch_mean};
use super::{Estimate, Metric, Tails};
use crate::model::Test;

/// The fewest values a side for which ranks are used: with three, they cannot reach 5%.
const MIN_RANKED: usize = 4;

/// The probability that a rank test must be able to reach to count in the gate, where the level is
/// divided among all rows: eight values a side can, and with fewer Welch's test on the same values
/// is used there.
const GATE_FLOOR: f64 = 1e-4;

/// The method that tells how certain a change is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Method {
    /// Mann-Whitney test and Hodges-Lehmann interval.
    Rank(Counts),
    /// Welch's t test on logarithms; weak if it has fewer than four values on a side.
    Welch(Counts),
    /// Prediction interval from that many earlier runs of the same configuration.
    Prediction {
        /// Runs that the interval was made of, those of the base included.
        earlier: usize,
    },
    /// No method: the change is unverified.
    Unverified(Why),
}

/// The sizes of the samples that a test compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// What the samples consist of.
    pub unit: Unit,
    /// How many of the base; of a mean over tests, the fewest in one of them.
    pub base: usize,
    /// How many of the new side.
    pub new: usize,
}

/// What a sample consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// The repetitions of a test inside one run: they share what made the run fast or slow, so
    /// that a difference is significant between any two runs. Only a minimum change tells more.
    Repetitions,
    /// Whole runs.
    Runs,
}

/// Why no method can tell how certain a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// One repetition, or one on a side.
    SingleRepetition,
    /// The captures do not say how many repetitions there were.
    UnknownRepetitions,
    /// There is no deviation: the time to first token never has one, and the C tool prints `nan`
    /// for one that it could not compute.
    NoDeviation,
    /// A side of two runs: too few to tell the noise between runs.
    FewRuns,
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

/// What is known about a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Evidence {
    pub method: Method,
    /// For people.
    pub estimate: Option<Estimate>,
    /// For the gate; `None` if it does not count there.
    pub gate: Option<Tails>,
}

impl Evidence {
    fn welch(counts: Counts, estimate: Estimate) -> Self {
        Self {
            method: Method::Welch(counts),
            estimate: Some(estimate),
            gate: Some(estimate.tails),
        }
    }
}

/// The logarithms of one value a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunValues<'a> {
    pub base: &'a [f64],
    pub new: &'a [f64],
    /// Earlier runs at the level of the base, those of the base included.
    pub earlier: &'a [f64],
    /// What the gate takes the deviation between earlier runs to be at least.
    pub min_deviation: f64,
}

/// Chooses the method, first the one that knows most about the noise between runs:
///
/// 1. four runs a side: ranks over the runs;
/// 2. three earlier runs, those of the base included: the prediction interval;
/// 3. two runs a side: Welch over the runs;
/// 4. the repetitions inside a run a side (`within`), of which a base of several runs has none.
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
        let earlier = runs.earlier.len();
        Some(Evidence {
            method: Method::Prediction { earlier },
            estimate: Some(prediction(runs.earlier, runs.new, alpha)?),
            gate: prediction_tails(runs.earlier, runs.new, runs.min_deviation),
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
        .unwrap_or_else(|why| Evidence {
            method: Method::Unverified(why),
            estimate: None,
            gate: None,
        })
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

/// Compares the means over tests: their errors are known from the repetitions of each test.
///
/// A test whose deviation is unknown is taken to be as noisy as the noisiest that is known.
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

/// Ranks where there are enough values, else Welch.
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

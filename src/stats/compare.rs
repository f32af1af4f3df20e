//! The comparison of runs, as plain data.

use std::collections::HashMap;

use super::basic::{DEVIATION_FLOOR, ln, mean, median, variance};
use super::comparable::{self, Reason, missing_from};
use super::evidence::{self, Evidence, Method, RunValues};
use super::gate::{self, Gate};
use super::metric::change_percent;
use super::{Metric, Tails, basic, believed};
use crate::model::{Run, Summary, Test, Text};

/// What is compared, and what counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What is compared of each test, in this order.
    pub metrics: Vec<Metric>,
    /// The smallest change that matters, in percent.
    pub min_change: f64,
    /// The probability of being wrong that people are shown: intervals and verdicts.
    pub alpha: f64,
    /// The probability of a false alarm of the gate, over all rows.
    pub gate_alpha: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            metrics: Metric::ALL.to_vec(),
            min_change: 5.0,
            alpha: 0.05,
            gate_alpha: 0.01,
        }
    }
}

/// What tells a test from the others of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TestKey {
    /// Tokens of the prompt.
    pub n_prompt: i64,
    /// Tokens generated.
    pub n_gen: i64,
    /// How many tests of the same tokens came before it in the run.
    pub repeated: usize,
}

/// A metric of a test, or its geometric mean over the tests, on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The test; `None` for the geometric mean over the tests.
    pub test: Option<TestKey>,
    /// Name of the test; empty for the mean.
    pub name: Text,
    /// What was measured, which tells the unit of the values.
    pub metric: Metric,
    /// Value of the base, the median if it is several runs.
    pub base: f64,
    /// Value of the new side.
    pub new: f64,
    /// From the base to the new value, in percent: positive is more, which of a time is worse.
    pub change_percent: f64,
    /// What that means; `None` if there is no change.
    pub direction: Option<Direction>,
    /// What says how sure it is.
    pub method: Method,
    /// The change as the method sees it, with its interval. With [`Method::Prediction`] it is the
    /// change from the level of all earlier runs, not from that of the base alone.
    pub estimate: Option<Change>,
    /// What people are told.
    pub verdict: Verdict,
    /// The probability of a change for the worse as large by chance, adjusted for the number of
    /// rows; `None` if the row does not decide in the gate.
    pub gate_p: Option<f64>,
    /// Whether it makes the gate fail: `gate_p` within the level and the change for the worse at
    /// least the smallest that matters.
    pub regression: bool,
}

/// A change with its interval, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The change.
    pub percent: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end; may be infinite.
    pub high: f64,
    /// The probability of a change as large, in either direction, by chance.
    pub p: f64,
}

/// What a change means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Faster.
    Better,
    /// Slower.
    Worse,
}

/// What people are told of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Significantly faster, by at least the smallest change that matters.
    Better,
    /// Significantly slower, likewise.
    Worse,
    /// The whole interval is within what does not matter.
    Same,
    /// `~`: large, but not significant.
    Noise,
    /// Small as it stands, but it may be large as far as the interval tells.
    Unclear,
    /// Nothing tells how sure it is.
    Unverified,
}

impl Verdict {
    /// The verdict as it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Noise => "~",
            Self::Unclear => "unclear",
            Self::Unverified => "unverified",
        }
    }
}

/// A number of each side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Of the base, the median if it is several runs.
    pub base: f64,
    /// Of the new side.
    pub new: f64,
    /// From one to the other in percent; positive is better.
    pub change_percent: f64,
}

/// The comparison of a base with a new side.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// A row for each test that all runs have and each metric, in the order of the base's tests.
    pub rows: Vec<Row>,
    /// A row for each metric: its geometric mean over the tests.
    pub means: Vec<Row>,
    /// Tests that no new run has.
    pub only_base: Vec<TestKey>,
    /// Tests that no run of the base has.
    pub only_new: Vec<TestKey>,
    /// The scores over the tests that all runs have, if they are numbers above zero.
    pub score: Option<Score>,
    /// What the gate says.
    pub gate: Gate,
}

/// Compares new runs with the runs of a base.
///
/// Each side is usually one run. Of several, the unit is the run: the value of a side is the
/// median of its runs' (so `median-of-N` is a base of N runs), and their spread is the noise.
///
/// `history` holds other runs of the base's configuration that were at its level: earlier ones,
/// between the same changes of level ([`super::change_points`]). A run that is also a side is passed
/// over.
#[must_use]
pub fn compare(base: &[&Run], new: &[&Run], history: &[&Run], options: &Options) -> Comparison {
    let is_side = |run: &Run| base.iter().chain(new).any(|side| std::ptr::eq(*side, run));
    let earlier = history.iter().copied().filter(|run| !is_side(run));
    let sides = Sides {
        base: base.iter().copied().map(Tests::of).collect(),
        new: new.iter().copied().map(Tests::of).collect(),
        history: earlier.map(Tests::of).collect(),
        options,
    };
    let base_keys = keys(&sides.base);
    let new_keys = keys(&sides.new);
    let common: Vec<TestKey> = base_keys
        .iter()
        .copied()
        .filter(|key| sides.both().all(|run| run.get(*key).is_some()))
        .collect();

    let mut reasons = comparable::reasons(base, new);
    if common.is_empty() && !reasons.contains(&Reason::NothingInCommon) {
        reasons.push(Reason::NothingInCommon);
    }
    let mut rows = Vec::new();
    let earlier: Vec<Earlier> = options
        .metrics
        .iter()
        .map(|&metric| sides.earlier(&common, metric))
        .collect();
    for &key in &common {
        for (&metric, earlier) in options.metrics.iter().zip(&earlier) {
            let measured = sides.both().filter(|run| run.value(key, metric).is_some());
            match measured.count() {
                0 => {}
                n if n == sides.both().count() => rows.extend(sides.row(key, metric, earlier)),
                _ => reasons.push(Reason::MissingValue {
                    test: sides.name(key),
                    metric,
                }),
            }
        }
    }
    let mut means: Vec<Row> = options
        .metrics
        .iter()
        .zip(&earlier)
        .filter_map(|(&metric, earlier)| sides.mean(&rows, metric, earlier))
        .collect();
    let gate = gate::decide(&mut rows, &mut means, reasons, options);
    Comparison {
        rows,
        means,
        only_base: missing_from(&base_keys, &new_keys),
        only_new: missing_from(&new_keys, &base_keys),
        score: score(&sides, &common),
        gate,
    }
}

/// The tests of a run by their keys, in their order.
struct Tests<'a> {
    order: Vec<TestKey>,
    by_key: HashMap<TestKey, &'a Test>,
}

impl<'a> Tests<'a> {
    fn of(run: &'a Run) -> Self {
        let mut seen = HashMap::new();
        let mut tests = Self {
            order: Vec::with_capacity(run.tests.len()),
            by_key: HashMap::with_capacity(run.tests.len()),
        };
        for test in &run.tests {
            let count: &mut usize = seen.entry((test.n_prompt, test.n_gen)).or_default();
            let key = TestKey {
                n_prompt: test.n_prompt,
                n_gen: test.n_gen,
                repeated: *count,
            };
            *count += 1;
            tests.order.push(key);
            tests.by_key.insert(key, test);
        }
        tests
    }

    fn get(&self, key: TestKey) -> Option<&'a Test> {
        self.by_key.get(&key).copied()
    }

    fn value(&self, key: TestKey, metric: Metric) -> Option<f64> {
        metric.value(self.get(key)?)
    }
}

/// The tests that any of the runs has.
fn keys(runs: &[Tests]) -> Vec<TestKey> {
    let mut keys: Vec<TestKey> = Vec::new();
    for run in runs {
        let more = missing_from(&run.order, &keys);
        keys.extend(more);
    }
    keys
}

/// The runs that tell the noise between runs.
struct Earlier<'a> {
    runs: Vec<&'a Tests<'a>>,
    /// The deviation between them that a test typically has. With ten earlier runs a test may well
    /// have been spared the outliers that the others had, and its first one would be an alarm: in
    /// the gate no test counts as less noisy than this.
    typical_deviation: f64,
}

impl Earlier<'_> {
    fn logs(&self, log: impl Fn(&Tests) -> Option<f64>) -> Vec<f64> {
        self.runs.iter().filter_map(|run| log(run)).collect()
    }
}

struct Sides<'a> {
    base: Vec<Tests<'a>>,
    new: Vec<Tests<'a>>,
    history: Vec<Tests<'a>>,
    options: &'a Options,
}

impl<'a> Sides<'a> {
    fn both(&self) -> impl Iterator<Item = &Tests<'a>> {
        self.base.iter().chain(&self.new)
    }

    fn name(&self, key: TestKey) -> Text {
        let test = self.base.first().and_then(|run| run.get(key));
        test.map(|test| test.name.clone()).unwrap_or_default()
    }

    /// The earlier runs, those of the base included, but those whose mean of the metric over
    /// these tests is not believed.
    fn earlier(&self, keys: &[TestKey], metric: Metric) -> Earlier<'_> {
        let mean_log = |run: &Tests| evidence::mean_log(metric, keys.iter().map(|&k| run.get(k)));
        let all = || self.history.iter().chain(&self.base);
        let means: Vec<f64> = all().filter_map(mean_log).collect();
        let believed = believed(&means, self.options.min_change);
        let is_believed = |run: &&Tests| mean_log(run).is_none_or(|mean| believed.contains(&mean));
        let runs: Vec<&Tests> = all().filter(is_believed).collect();

        let variance = |&key: &TestKey| {
            let log = |run: &&Tests| run.value(key, metric).and_then(ln);
            variance(&runs.iter().filter_map(log).collect::<Vec<_>>())
        };
        let variances: Vec<f64> = keys.iter().filter_map(variance).collect();
        let typical = mean(&variances).unwrap_or(0.0).sqrt();
        Earlier {
            runs,
            typical_deviation: typical.max(DEVIATION_FLOOR),
        }
    }

    fn row(&self, key: TestKey, metric: Metric, earlier: &Earlier) -> Option<Row> {
        let values = |runs: &[Tests]| -> Vec<f64> {
            let value = |run: &Tests| run.value(key, metric);
            runs.iter().filter_map(value).collect()
        };
        let logs = |runs: &[Tests]| values(runs).into_iter().filter_map(ln).collect::<Vec<_>>();
        let (base, new) = (median(&values(&self.base))?, median(&values(&self.new))?);
        let runs = RunValues {
            base: &logs(&self.base),
            new: &logs(&self.new),
            earlier: &earlier.logs(|run| run.value(key, metric).and_then(ln)),
            min_deviation: earlier.typical_deviation,
        };
        let alpha = self.options.alpha;
        let middle_base = middle(&self.base, key, metric)?;
        let middle_new = middle(&self.new, key, metric)?;
        let evidence = evidence::choose(runs, alpha, || {
            evidence::of_tests(metric, middle_base, middle_new, alpha)
        });
        let mut row = self.finish(metric, base, new, &evidence);
        row.test = Some(key);
        row.name = self.name(key);
        Some(row)
    }

    /// The geometric mean over the tests that have a row of the metric.
    fn mean(&self, rows: &[Row], metric: Metric, earlier: &Earlier) -> Option<Row> {
        let of_metric = rows.iter().filter(|row| row.metric == metric);
        let keys: Vec<TestKey> = of_metric.filter_map(|row| row.test).collect();
        let log = |run: &Tests| {
            let tests = keys.iter().map(|&key| run.by_key.get(&key).copied());
            evidence::mean_log(metric, tests)
        };
        let logs = |runs: &[Tests]| runs.iter().filter_map(log).collect::<Vec<_>>();
        let (base, new) = (logs(&self.base), logs(&self.new));
        let runs = RunValues {
            base: &base,
            new: &new,
            earlier: &earlier.logs(log),
            min_deviation: DEVIATION_FLOOR,
        };
        let alpha = self.options.alpha;
        let evidence = evidence::choose(runs, alpha, || {
            let pair = |&key: &TestKey| {
                let base = middle(&self.base, key, metric)?;
                Some((base, middle(&self.new, key, metric)?))
            };
            let pairs: Vec<_> = keys.iter().filter_map(pair).collect();
            evidence::of_means(metric, &pairs, alpha)
        });
        let (base, new) = (median(&base)?.exp(), median(&new)?.exp());
        Some(self.finish(metric, base, new, &evidence))
    }

    fn finish(&self, metric: Metric, base: f64, new: f64, evidence: &Evidence) -> Row {
        let change_percent = change_percent(base, new);
        let p_worse = |tails: Tails| {
            if metric.higher_is_better() {
                tails.fall
            } else {
                tails.rise
            }
        };
        let direction = direction(metric, change_percent);
        let estimate = evidence.estimate.map(|estimate| Change {
            percent: basic::percent(estimate.ln_ratio),
            low: basic::percent(estimate.low),
            high: basic::percent(estimate.high),
            p: estimate.p,
        });
        Row {
            test: None,
            name: Text::default(),
            metric,
            base,
            new,
            change_percent,
            direction,
            method: evidence.method,
            estimate,
            verdict: verdict(change_percent, direction, estimate, self.options),
            gate_p: evidence.gate.map(p_worse),
            regression: false,
        }
    }
}

/// The test in the run whose value is in the middle (of an even number, the lower one).
fn middle<'a>(runs: &[Tests<'a>], key: TestKey, metric: Metric) -> Option<&'a Test> {
    let mut tests: Vec<(f64, &Test)> = runs
        .iter()
        .filter_map(|run| Some((run.value(key, metric)?, run.get(key)?)))
        .collect();
    tests.sort_by(|left, right| left.0.total_cmp(&right.0));
    let index = tests.len().checked_sub(1)? / 2;
    tests.get(index).map(|&(_, test)| test)
}

fn direction(metric: Metric, change_percent: f64) -> Option<Direction> {
    let better = (change_percent > 0.0) == metric.higher_is_better();
    (change_percent != 0.0).then_some(if better {
        Direction::Better
    } else {
        Direction::Worse
    })
}

/// Whether a change is at least the smallest that matters; 100 to 95 is a change of 5%, whatever
/// the last binary digit says.
pub(super) fn is_large(change_percent: f64, options: &Options) -> bool {
    change_percent.abs() >= options.min_change - 1e-9
}

fn verdict(
    change_percent: f64,
    direction: Option<Direction>,
    estimate: Option<Change>,
    options: &Options,
) -> Verdict {
    let Some(estimate) = estimate else {
        return Verdict::Unverified;
    };
    let agrees = (estimate.percent > 0.0) == (change_percent > 0.0);
    let sure = estimate.p < options.alpha && agrees;
    let inside = estimate.low > -options.min_change && estimate.high < options.min_change;
    match direction {
        Some(direction) if is_large(change_percent, options) => match direction {
            Direction::Better if sure => Verdict::Better,
            Direction::Worse if sure => Verdict::Worse,
            _ => Verdict::Noise,
        },
        _ if inside => Verdict::Same,
        _ => Verdict::Unclear,
    }
}

/// The scores over these tests, so that a test of one side is not averaged in.
fn score(sides: &Sides, tests: &[TestKey]) -> Option<Score> {
    let score = |runs: &[Tests]| {
        let score = |run: &Tests| {
            let tests: Vec<Test> = tests
                .iter()
                .filter_map(|&key| run.get(key).cloned())
                .collect();
            Summary::of(&tests).performance_score
        };
        let scores: Vec<f64> = runs.iter().map(score).collect();
        median(&scores).filter(|&score| ln(score).is_some())
    };
    let (base, new) = (score(&sides.base)?, score(&sides.new)?);
    Some(Score {
        base,
        new,
        change_percent: change_percent(base, new),
    })
}

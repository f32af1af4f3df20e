//! The comparison of runs, as plain data.

use std::collections::HashMap;

use super::basic::{DEVIATION_FLOOR, ln, mean, median, variance};
use super::comparable::{self, Reason, missing_from};
use super::evidence::{self, Evidence, RunValues, Why};
use super::gate::{self, Gate};
use super::metric::change_percent;
use super::row::{Direction, Interval, Options, Row, TestKey, verdict};
use super::{Metric, Tails, basic, plausible_range};
use crate::model::{Run, Summary, Test, Text};

/// The LocalScore of both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Of the base, the median if it is several runs.
    pub base: f64,
    /// Of the new side.
    pub new: f64,
    /// From one to the other in percent; positive is better.
    pub change_percent: f64,
}

/// The comparison of a base with a new side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
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
    /// The result of the gate.
    pub gate: Gate,
}

/// Compares new runs with the runs of a base.
///
/// Each side is usually one run. For several, the unit is the run: the value of a side is the median
/// of its runs (so `median-of-N` is a base of N runs), and their spread is the noise.
///
/// `history` holds other runs of the base's configuration that were at its level: earlier ones,
/// between the same changes of level ([`super::change_points`]). A run that is also a side is
/// ignored.
pub(crate) fn compare(
    base: &[&Run],
    new: &[&Run],
    history: &[&Run],
    options: &Options,
) -> Comparison {
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

    /// The mean of the logarithms over tests; `None` unless each test has the value.
    fn mean_log(&self, keys: &[TestKey], metric: Metric) -> Option<f64> {
        let log = |&key: &TestKey| self.value(key, metric).and_then(ln);
        let logs: Option<Vec<f64>> = keys.iter().map(log).collect();
        mean(&logs?)
    }
}

/// The tests of all runs.
fn keys(runs: &[Tests]) -> Vec<TestKey> {
    let mut keys: Vec<TestKey> = Vec::new();
    for run in runs {
        let more = missing_from(&run.order, &keys);
        keys.extend(more);
    }
    keys
}

/// The runs that measure the noise between runs.
struct Earlier<'a> {
    runs: Vec<&'a Tests<'a>>,
    /// The typical deviation of a test between them. In ten earlier runs a test may have had no
    /// outlier by chance, so that its first one would raise an alarm: in the gate no test counts as
    /// less noisy than this.
    typical_deviation: f64,
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

    /// The earlier runs including those of the base, without outliers in the mean of the metric over
    /// these tests.
    fn earlier(&self, keys: &[TestKey], metric: Metric) -> Earlier<'_> {
        let mean_log = |run: &Tests| run.mean_log(keys, metric);
        let all = || self.history.iter().chain(&self.base);
        let means: Vec<f64> = all().filter_map(mean_log).collect();
        let plausible = plausible_range(&means, self.options.min_change);
        let is_plausible =
            |run: &&Tests| mean_log(run).is_none_or(|mean| plausible.contains(&mean));
        let runs: Vec<&Tests> = all().filter(is_plausible).collect();

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

    /// The test with the median value on each side.
    fn middles(&self, key: TestKey, metric: Metric) -> Option<(&'a Test, &'a Test)> {
        let base = middle(&self.base, key, metric)?;
        Some((base, middle(&self.new, key, metric)?))
    }

    fn row(&self, key: TestKey, metric: Metric, earlier: &Earlier) -> Option<Row> {
        let value = |run: &Tests| run.value(key, metric);
        let values = (across(&self.base, value)?, across(&self.new, value)?);
        let log = |run: &Tests| value(run).and_then(ln);
        let (base, new) = self.middles(key, metric)?;
        let within = || evidence::of_tests(metric, base, new, self.options.alpha);
        let deviation = earlier.typical_deviation;
        Some(Row {
            test: Some(key),
            name: self.name(key),
            ..self.build_row(metric, values, &earlier.runs, deviation, log, within)
        })
    }

    /// The geometric mean over the tests that have a row of the metric.
    fn mean(&self, rows: &[Row], metric: Metric, earlier: &Earlier) -> Option<Row> {
        let of_metric = rows.iter().filter(|row| row.metric == metric);
        let keys: Vec<TestKey> = of_metric.filter_map(|row| row.test).collect();
        let log = |run: &Tests| run.mean_log(&keys, metric);
        let values = (
            across(&self.base, log)?.exp(),
            across(&self.new, log)?.exp(),
        );
        let within = || {
            let pairs = keys.iter().filter_map(|&key| self.middles(key, metric));
            evidence::of_means(metric, &pairs.collect::<Vec<_>>(), self.options.alpha)
        };
        Some(self.build_row(metric, values, &earlier.runs, DEVIATION_FLOOR, log, within))
    }

    /// The row of a value on both sides. `log` returns its logarithm in a run, and `within` the
    /// evidence of the repetitions inside the runs.
    fn build_row(
        &self,
        metric: Metric,
        (base, new): (f64, f64),
        earlier: &[&Tests],
        min_deviation: f64,
        log: impl Fn(&Tests) -> Option<f64>,
        within: impl FnOnce() -> Result<Evidence, Why>,
    ) -> Row {
        let logs = |runs: &[Tests]| runs.iter().filter_map(&log).collect::<Vec<_>>();
        let runs = RunValues {
            base: &logs(&self.base),
            new: &logs(&self.new),
            earlier: &earlier
                .iter()
                .filter_map(|run| log(run))
                .collect::<Vec<_>>(),
            min_deviation,
        };
        let evidence = evidence::choose(runs, self.options.alpha, within);
        let change_percent = change_percent(base, new);
        let p_worse = |tails: Tails| {
            let is_speed = metric.higher_is_better();
            if is_speed { tails.fall } else { tails.rise }
        };
        let direction = Direction::of(change_percent, metric.higher_is_better());
        let estimate = evidence.estimate.map(|estimate| Interval {
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

/// The median of a value over runs.
fn across(runs: &[Tests], value: impl Fn(&Tests) -> Option<f64>) -> Option<f64> {
    median(&runs.iter().filter_map(value).collect::<Vec<_>>())
}

/// The test with the median value (the lower one of two).
fn middle<'a>(runs: &[Tests<'a>], key: TestKey, metric: Metric) -> Option<&'a Test> {
    let mut tests: Vec<(f64, &Test)> = runs
        .iter()
        .filter_map(|run| Some((run.value(key, metric)?, run.get(key)?)))
        .collect();
    tests.sort_by(|left, right| left.0.total_cmp(&right.0));
    let index = tests.len().checked_sub(1)? / 2;
    tests.get(index).map(|&(_, test)| test)
}

/// The scores over these tests only, which exclude tests of one side.
fn score(sides: &Sides, tests: &[TestKey]) -> Option<Score> {
    let score = |runs: &[Tests]| {
        let score = |run: &Tests| {
            let tests: Vec<Test> = tests
                .iter()
                .filter_map(|&key| run.get(key).cloned())
                .collect();
            Summary::new(&tests).performance_score
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

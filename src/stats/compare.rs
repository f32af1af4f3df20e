//! The comparison of runs, as plain data.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::basic::{self, DEVIATION_FLOOR, ln, mean, median, variance};
use super::comparable::{self, Reason, missing_from};
use super::evidence::{self, Evidence, Method, RunValues, Why};
use super::gate::{self, Gate};
use super::metric::{change_percent, speed};
use super::outcome::Outcome;
use super::prediction::{MIN_EARLIER, plausible_range, prediction};
use super::row::{Direction, Interval, Options, Row, TestKey, Verdict, verdict};
use super::{Metric, Tails};
use crate::model::bench::{Classes, Unequal, build_of, unequal_settings};
use crate::model::{Run, Test, Text, Tool};

/// The most tests of a side that are looked through for the settings that differ.
const MAX_UNEQUAL: usize = 100;

/// The LocalScore of both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Of the base, the median if it is several runs.
    pub base: f64,
    /// What the change is measured from: the level, or the score of the base.
    pub reference: f64,
    /// Of the new side.
    pub new: f64,
    /// From the reference to the new score in percent; positive is better.
    pub change_percent: f64,
}

/// The level of the base: three or more runs of its configuration and machine between two changes of
/// level, the base included.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Level {
    /// The runs at it: positions in the history, followed by the base.
    pub runs: Vec<usize>,
    /// How far the base is off the level of the others, which then have no base among them: in each
    /// metric in which it is, the change from that level in percent. Empty if it is at the level.
    pub base_off: Vec<(Metric, f64)>,
    /// Whether changes are measured from it; else from the base, which is off it.
    pub is_reference: bool,
}

/// The comparison of a base with a new side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    /// A row for each test that all runs have and each metric, in the order of the base's tests.
    pub rows: Vec<Row>,
    /// A row for each metric: its geometric mean over the tests.
    pub means: Vec<Row>,
    /// The names of tests that no new run has.
    pub only_base: Vec<String>,
    /// The names of tests that no run of the base has.
    pub only_new: Vec<String>,
    /// Settings that a version does not print, with the default that is assumed there: the tests are
    /// compared because the other side has it.
    pub assumed: Vec<(String, Text)>,
    /// Rows whose verdict the first sample of a test alone makes.
    pub first_sample: Vec<FirstSample>,
    /// The scores over the tests that all runs have, if they are numbers above zero.
    pub score: Option<Score>,
    /// The level of the base; `None` if fewer than three runs are at it, or if the runs cannot be
    /// compared.
    pub level: Option<Level>,
    /// The reasons why the runs cannot be compared; empty if they can.
    pub reasons: Vec<Reason>,
    /// The answer.
    pub outcome: Outcome,
    /// The result of the gate.
    pub gate: Gate,
}

/// A row that has another verdict without the first sample of each test, which is often the slowest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FirstSample {
    /// Name of the test; empty for the geometric mean.
    pub name: Text,
    /// The metric.
    pub metric: Metric,
    /// The verdict with all samples.
    pub verdict: Verdict,
    /// The verdict without.
    pub without: Verdict,
    /// The change without, in percent.
    pub change_percent: f64,
}

impl Comparison {
    /// The rows of the tests, then the geometric means.
    pub(crate) fn all_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(&self.means)
    }

    /// The geometric mean of this metric.
    pub(crate) fn mean(&self, metric: Metric) -> Option<&Row> {
        self.means.iter().find(|row| row.metric == metric)
    }

    /// The number of rows that make the outcome certain: those with its verdict, and all verdicts but
    /// `noise` and `unclear` where it is undecided.
    pub(crate) fn certain_rows(&self) -> usize {
        let verdicts = self.outcome.certain_verdicts();
        let certain = |row: &&Row| verdicts.contains(&row.verdict);
        self.all_rows().filter(certain).count()
    }

    /// Whether the noise is known in any row.
    pub(crate) fn is_noise_known(&self) -> bool {
        self.all_rows().any(|row| row.interval.is_some())
    }
}

/// Compares new runs with the runs of a base.
///
/// Each side is usually one run. For several, the unit is the run: the value of a side is the median
/// of its runs (so `median-of-N` is a base of N runs), and their spread is the noise.
///
/// `history` holds other runs of the base's configuration that were at its level: earlier ones,
/// between the same changes of level ([`super::change_points`]). A run that is also a side is
/// ignored. Where three or more runs are at the level, the base included, all changes are measured
/// from it: its geometric mean is known better than the value of one run. Else they are measured from
/// the base.
pub(crate) fn compare(
    base: &[&Run],
    new: &[&Run],
    history: &[&Run],
    options: &Options,
) -> Comparison {
    let mut comparison = compare_all(base, new, history, options);
    let is_of_bench = |run: &&Run| run.tool == Tool::LlamaBench;
    if comparison.outcome != Outcome::NotComparable && base.iter().all(is_of_bench) {
        let [base, new, history] = [base, new, history].map(|runs| {
            let runs = runs.iter().map(|run| without_first_samples(run));
            runs.collect::<Vec<_>>()
        });
        comparison.first_sample = first_samples(&comparison, &base, &new, &history, options);
    }
    comparison
}

fn compare_all(base: &[&Run], new: &[&Run], history: &[&Run], options: &Options) -> Comparison {
    let is_side = |run: &Run| base.iter().chain(new).any(|side| std::ptr::eq(*side, run));
    let positions = history.len();
    let earlier = history.iter().copied().enumerate();
    let earlier = earlier.filter(|(_, run)| !is_side(run));
    let mut classes = Classes::default();
    let [base_tests, new_tests] = [base, new].map(|runs| {
        let runs = runs.iter().map(|run| Tests::of(run, &mut classes));
        runs.collect::<Vec<_>>()
    });
    let base_keys = keys(&base_tests);
    let new_keys = keys(&new_tests);
    let common: Vec<TestKey> = base_keys
        .iter()
        .copied()
        .filter(|key| {
            let mut both = base_tests.iter().chain(&new_tests);
            both.all(|run| run.get(*key).is_some())
        })
        .collect();
    let history = earlier.map(|(at, run)| (at, Tests::of(run, &mut classes)));
    let mut sides = Sides {
        // Runs without any of the tests say nothing of them.
        history: history
            .filter(|(_, run)| common.iter().any(|key| run.get(*key).is_some()))
            .collect(),
        common,
        suffixes: suffixes(base_keys.iter().chain(&new_keys), &classes),
        base: base_tests,
        new: new_tests,
        level: None,
        is_comparable: true,
        options,
    };

    let mut reasons = comparable::reasons(base, new);
    let is_final = |reasons: &[Reason]| reasons.iter().any(Reason::is_final);
    if sides.common.is_empty() && !is_final(&reasons) {
        let unequal = sides.unequal_settings();
        reasons.push(if unequal.is_empty() {
            Reason::NothingInCommon
        } else {
            Reason::Settings(unequal)
        });
    }
    let mut measured: Vec<(TestKey, Metric)> = Vec::new();
    for &key in &sides.common {
        for &metric in &options.metrics {
            let values = sides.both().filter(|run| run.value(key, metric).is_some());
            match values.count() {
                0 => {}
                n if n == sides.both().count() => measured.push((key, metric)),
                _ => reasons.push(Reason::MissingValue {
                    test: sides.name(key),
                    metric,
                }),
            }
        }
    }
    sides.is_comparable = reasons.is_empty() || (options.force && !is_final(&reasons));
    if sides.is_comparable {
        sides.level = sides.find_level(positions);
    }
    let noise: Vec<Noise> = options.metrics.iter().map(|&m| sides.noise(m)).collect();
    let noise = |metric: Metric| {
        let mut of_metrics = options.metrics.iter().zip(&noise);
        of_metrics.find_map(|(&of, noise)| (of == metric).then_some(noise))
    };
    let mut rows: Vec<Row> = measured
        .iter()
        .filter_map(|&(key, metric)| sides.row(key, metric, noise(metric)?))
        .collect();
    let mut means: Vec<Row> = options
        .metrics
        .iter()
        .filter_map(|&metric| sides.mean(&rows, metric, noise(metric)?))
        .collect();
    let gate = gate::decide(&mut rows, &mut means, sides.is_comparable, options);
    Comparison {
        outcome: Outcome::of(&rows, &means, sides.is_comparable),
        rows,
        means,
        only_base: sides.names(&base_keys, &new_keys),
        only_new: sides.names(&new_keys, &base_keys),
        assumed: sides.assumed(&mut classes),
        first_sample: Vec::new(),
        score: sides.score(),
        level: sides.level,
        reasons,
        gate,
    }
}

/// The rows whose verdict, better or worse, comes or goes with the first samples, or that are the same
/// without them.
fn first_samples(
    all: &Comparison,
    base: &[Run],
    new: &[Run],
    history: &[Run],
    options: &Options,
) -> Vec<FirstSample> {
    let [base, new, history] = [base, new, history].map(|runs| runs.iter().collect::<Vec<_>>());
    let without = compare_all(&base, &new, &history, options);
    let key = |row: &Row| (row.test, row.metric);
    let others: HashMap<_, &Row> = without.all_rows().map(|row| (key(row), row)).collect();
    let is_certain = |row: &Row| matches!(row.verdict, Verdict::Better | Verdict::Worse);
    let changed = all.all_rows().filter_map(|row| {
        let other = others.get(&key(row))?;
        let is_decided = is_certain(other) || other.verdict == Verdict::Same;
        let is_changed = row.verdict != other.verdict && (is_certain(row) || is_decided);
        is_changed.then(|| FirstSample {
            name: row.name.clone(),
            metric: row.metric,
            verdict: row.verdict,
            without: other.verdict,
            change_percent: other.change_percent,
        })
    });
    changed.collect()
}

/// The run with what is compared of it, without the first sample of each test that has two others.
fn without_first_samples(run: &Run) -> Run {
    let mut tests = Vec::with_capacity(run.tests.len());
    for test in &run.tests {
        let mut rest = Test {
            name: test.name.clone(),
            n_prompt: test.n_prompt,
            n_gen: test.n_gen,
            n_depth: test.n_depth,
            tps: test.tps,
            prompt_tps: test.prompt_tps,
            gen_tps: test.gen_tps,
            avg_time_ms: test.avg_time_ms,
            tps_stddev: test.tps_stddev,
            samples_ns: test.samples_ns.clone(),
            settings: test.settings.clone(),
            ..Test::default()
        };
        rest.model.build_number = test.model.build_number;
        if let Some([_, others @ ..]) = test.repetition_times()
            && others.len() > 1
        {
            let tokens = test.n_prompt.saturating_add(test.n_gen);
            let speeds: Vec<f64> = others.iter().map(|&ns| speed(tokens, ns)).collect();
            let mean = mean(&speeds);
            rest.tps = mean;
            rest.prompt_tps = test.prompt_tps.and(mean);
            rest.gen_tps = test.gen_tps.and(mean);
            rest.avg_time_ms = None;
            rest.samples_ns = Some(others.to_vec());
        }
        tests.push(rest);
    }
    Run {
        tests,
        tool: run.tool,
        ..Run::default()
    }
}

/// The settings that tell apart tests with the same tokens, by class: ` (n_batch 512)`.
fn suffixes<'a>(
    keys: impl Iterator<Item = &'a TestKey>,
    classes: &Classes,
) -> HashMap<usize, String> {
    let mut of_tokens: BTreeMap<(i64, i64, i64), BTreeSet<usize>> = BTreeMap::new();
    for key in keys {
        let tokens = (key.n_prompt, key.n_gen, key.n_depth);
        of_tokens.entry(tokens).or_default().insert(key.class);
    }
    of_tokens.retain(|_, classes| classes.len() > 1);
    let meant: BTreeSet<usize> = of_tokens.into_values().flatten().collect();
    let mut values: BTreeMap<&Text, HashSet<Option<&Text>>> = BTreeMap::new();
    let settings = || {
        meant
            .iter()
            .filter_map(|&class| Some((class, classes.settings(class)?)))
    };
    for (_, settings) in settings() {
        for (column, _) in settings.known() {
            values.entry(&column.name).or_default();
        }
    }
    for (_, settings) in settings() {
        let known: HashMap<&Text, &Text> = settings
            .known()
            .map(|(column, value)| (&column.name, value))
            .collect();
        for (name, values) in &mut values {
            values.insert(known.get(name).copied());
        }
    }
    // The name of the test tells what it is.
    values.retain(|name, values| values.len() > 1 && name.as_bytes() != b"test");
    let named = settings().filter_map(|(class, settings)| {
        let varied = settings.known().filter(|(column, value)| {
            values.get(&column.name).is_some_and(|values| {
                // A field that the others lack, at its default, tells nothing apart.
                let is_of_one_value = values.len() == 2 && values.contains(&None);
                !is_of_one_value || !classes.is_default(class, &column.name, value)
            })
        });
        let varied = varied.map(|(column, value)| format!("{} {value}", column.name));
        let varied: Vec<String> = varied.collect();
        (!varied.is_empty()).then(|| (class, format!(" ({})", varied.join(", "))))
    });
    named.collect()
}

/// The tests of a run by their keys, in their order.
struct Tests<'a> {
    run: &'a Run,
    order: Vec<TestKey>,
    by_key: HashMap<TestKey, &'a Test>,
}

impl<'a> Tests<'a> {
    fn of(run: &'a Run, classes: &mut Classes) -> Self {
        let mut seen = HashMap::new();
        let mut tests = Self {
            run,
            order: Vec::with_capacity(run.tests.len()),
            by_key: HashMap::with_capacity(run.tests.len()),
        };
        for test in &run.tests {
            let mut key = TestKey {
                n_prompt: test.n_prompt,
                n_gen: test.n_gen,
                n_depth: test.n_depth,
                class: classes.of(test),
                repeated: 0,
            };
            let count: &mut usize = seen.entry(key).or_default();
            key.repeated = *count;
            *count += 1;
            tests.order.push(key);
            tests.by_key.insert(key, test);
        }
        tests
    }

    fn tool(&self) -> Tool {
        self.run.tool
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

/// The runs at the level, which measure the noise between runs.
struct Noise<'a> {
    runs: Vec<&'a Tests<'a>>,
    /// The typical deviation of a test between them. In ten earlier runs a test may have had no
    /// outlier by chance, so that its first one would raise an alarm: in the gate no test counts as
    /// less noisy than this.
    typical_deviation: f64,
}

struct Sides<'a> {
    base: Vec<Tests<'a>>,
    new: Vec<Tests<'a>>,
    /// Each with its position.
    history: Vec<(usize, Tests<'a>)>,
    /// The tests that all runs of both sides have.
    common: Vec<TestKey>,
    /// By the class of the settings.
    suffixes: HashMap<usize, String>,
    level: Option<Level>,
    is_comparable: bool,
    options: &'a Options,
}

impl<'a> Sides<'a> {
    fn both(&self) -> impl Iterator<Item = &Tests<'a>> {
        self.base.iter().chain(&self.new)
    }

    /// The name of a test; with the settings that tell it from others with its tokens.
    fn name(&self, key: TestKey) -> Text {
        let test = self.both().find_map(|run| run.get(key));
        let name = test.map(|test| &test.name);
        match (name, self.suffixes.get(&key.class)) {
            (Some(name), Some(suffix)) => [name.as_bytes(), suffix.as_bytes()].concat().into(),
            (name, _) => name.cloned().unwrap_or_default(),
        }
    }

    /// The names of the tests that are in one list and not in the other.
    fn names(&self, list: &[TestKey], other: &[TestKey]) -> Vec<String> {
        let name = |key: TestKey| match key.class {
            0 => key.name(),
            _ => self.name(key).display().into_owned(),
        };
        missing_from(list, other).into_iter().map(name).collect()
    }

    /// What is assumed of the tests that are compared, each once.
    fn assumed(&self, classes: &mut Classes) -> Vec<(String, Text)> {
        let mut assumed = BTreeSet::new();
        let mut seen = HashSet::new();
        for run in self.both() {
            for test in self.common.iter().filter_map(|&key| run.get(key)) {
                let settings = test.settings.as_ref().map(Arc::as_ptr);
                if seen.insert((settings, test.model.build_number)) {
                    assumed.extend(classes.assumed(test).iter().cloned());
                }
            }
        }
        assumed.into_iter().collect()
    }

    /// The settings in which tests with the same tokens differ, of those that differ least.
    fn unequal_settings(&self) -> Vec<Unequal> {
        let tests = |runs: &[Tests<'a>]| {
            let tests = runs.iter().flat_map(|run| &run.run.tests);
            tests.take(MAX_UNEQUAL).collect::<Vec<_>>()
        };
        let (base, new) = (tests(&self.base), tests(&self.new));
        let tokens = |test: &Test| (test.n_prompt, test.n_gen, test.n_depth);
        let pairs = base
            .iter()
            .flat_map(|one| new.iter().map(move |other| (one, other)));
        let pairs = pairs.filter(|(one, other)| tokens(one) == tokens(other));
        let unequal = pairs.filter_map(|(one, other)| {
            let settings = (one.settings.as_deref()?, other.settings.as_deref()?);
            Some(unequal_settings(
                (settings.0, build_of(one)),
                (settings.1, build_of(other)),
            ))
        });
        unequal.min_by_key(Vec::len).unwrap_or_default()
    }

    /// The mean of the logarithms over the tests in common. Of a run without some of them it is that
    /// of the base, and its mean change from there in those that it has.
    fn mean_log(&self, run: &Tests, keys: &[TestKey], metric: Metric) -> Option<f64> {
        if run.tool() == Tool::LocalScore || keys.iter().all(|key| run.get(*key).is_some()) {
            return run.mean_log(keys, metric);
        }
        let base = self.base.first()?;
        let change = |&key: &TestKey| {
            let [one, other] = [run, base].map(|run| run.value(key, metric).and_then(ln));
            Some(one? - other?)
        };
        let changes: Vec<f64> = keys.iter().filter_map(change).collect();
        Some(base.mean_log(keys, metric)? + mean(&changes)?)
    }

    /// The metrics that the runs have.
    fn metrics(&self) -> &'static [Metric] {
        let tool = self.base.first().map(Tests::tool);
        Metric::of(tool.unwrap_or_default())
    }

    /// The level of the base: the runs of the history and the base without outliers, which are those
    /// in the mean of any metric. `history` is the number of all runs of the history.
    ///
    /// A base of one run is at the level unless it is outside of the interval that three or more
    /// others predict, by at least the smallest change that matters.
    fn find_level(&self, history: usize) -> Option<Level> {
        let base = self.base.iter().enumerate();
        let base = base.map(|(at, run)| (history + at, run));
        let mut candidates: Vec<(usize, &Tests)> =
            self.history.iter().map(|(at, run)| (*at, run)).collect();
        let single = match self.base.as_slice() {
            [single] => Some(single),
            _ => None,
        };
        if single.is_none() {
            candidates.extend(base.clone());
        }
        for &metric in self.metrics() {
            let mean_log = |run: &Tests| self.mean_log(run, &self.common, metric);
            let all = candidates.iter();
            let means: Vec<f64> = all.filter_map(|(_, run)| mean_log(run)).collect();
            let plausible = plausible_range(&means, self.options.min_change);
            candidates
                .retain(|(_, run)| mean_log(run).is_none_or(|mean| plausible.contains(&mean)));
        }
        let base_off = single.map_or_else(Vec::new, |single| self.off(single, &candidates));
        if base_off.is_empty() && single.is_some() {
            candidates.extend(base);
        }
        let runs: Vec<usize> = candidates.iter().map(|&(at, _)| at).collect();
        (runs.len() >= MIN_EARLIER).then_some(Level {
            runs,
            is_reference: base_off.is_empty() || self.options.level_stays,
            base_off,
        })
    }

    /// The metrics in whose mean a run is off the level of the others, with its change from it.
    fn off(&self, run: &Tests, others: &[(usize, &Tests)]) -> Vec<(Metric, f64)> {
        let change = |metric| {
            let mean_log = |run: &Tests| self.mean_log(run, &self.common, metric);
            let others: Vec<f64> = others.iter().filter_map(|(_, run)| mean_log(run)).collect();
            let estimate = prediction(&others, &others, &[mean_log(run)?], self.options.alpha)?;
            let [low, high] = [estimate.low, estimate.high].map(basic::percent);
            let min_change = self.options.min_change;
            let is_outside = low >= min_change || high <= -min_change;
            is_outside.then(|| (metric, basic::percent(estimate.ln_ratio)))
        };
        self.metrics().iter().copied().filter_map(change).collect()
    }

    /// The runs at the level.
    fn level_runs(&self) -> Vec<&Tests<'a>> {
        let Some(level) = &self.level else {
            return Vec::new();
        };
        let others = self.history.iter();
        let others = others.filter_map(|(at, run)| level.runs.contains(at).then_some(run));
        let has_base = level.base_off.is_empty();
        others
            .chain(self.base.iter().filter(|_| has_base))
            .collect()
    }

    fn noise(&self, metric: Metric) -> Noise<'_> {
        let runs = self.level_runs();
        let variance = |&key: &TestKey| {
            let log = |run: &&Tests| run.value(key, metric).and_then(ln);
            variance(&runs.iter().filter_map(log).collect::<Vec<_>>())
        };
        let variances: Vec<f64> = self.common.iter().filter_map(variance).collect();
        let typical = mean(&variances).unwrap_or(0.0).sqrt();
        Noise {
            runs,
            typical_deviation: typical.max(DEVIATION_FLOOR),
        }
    }

    /// The test with the median value on each side.
    fn middles(&self, key: TestKey, metric: Metric) -> Option<(&'a Test, &'a Test)> {
        let base = middle(&self.base, key, metric)?;
        Some((base, middle(&self.new, key, metric)?))
    }

    fn row(&self, key: TestKey, metric: Metric, noise: &Noise) -> Option<Row> {
        let value = |run: &Tests| run.value(key, metric);
        let values = (across(&self.base, value)?, across(&self.new, value)?);
        let log = |run: &Tests| value(run).and_then(ln);
        let (base, new) = self.middles(key, metric)?;
        let within = || evidence::of_tests(metric, base, new, self.options.alpha);
        let deviation = noise.typical_deviation;
        Some(Row {
            test: Some(key),
            name: self.name(key),
            ..self.build_row(metric, values, &noise.runs, deviation, log, within)
        })
    }

    /// The geometric mean over the tests that have a row of the metric.
    fn mean(&self, rows: &[Row], metric: Metric, noise: &Noise) -> Option<Row> {
        let of_metric = rows.iter().filter(|row| row.metric == metric);
        let keys: Vec<TestKey> = of_metric.filter_map(|row| row.test).collect();
        let log = |run: &Tests| self.mean_log(run, &keys, metric);
        let values = (
            across(&self.base, log)?.exp(),
            across(&self.new, log)?.exp(),
        );
        let within = || {
            let pairs = keys.iter().filter_map(|&key| self.middles(key, metric));
            evidence::of_means(metric, &pairs.collect::<Vec<_>>(), self.options.alpha)
        };
        Some(self.build_row(metric, values, &noise.runs, DEVIATION_FLOOR, log, within))
    }

    /// The row of a value on both sides. `log` returns its logarithm in a run, and `within` the
    /// evidence of the repetitions inside the runs.
    fn build_row(
        &self,
        metric: Metric,
        (base, new): (f64, f64),
        level: &[&Tests],
        min_deviation: f64,
        log: impl Fn(&Tests) -> Option<f64>,
        within: impl FnOnce() -> Result<Evidence, Why>,
    ) -> Row {
        let logs = |runs: &[Tests]| runs.iter().filter_map(&log).collect::<Vec<_>>();
        let (base_logs, new_logs) = (logs(&self.base), logs(&self.new));
        let level: Vec<f64> = level.iter().filter_map(|run| log(run)).collect();
        let is_from_level = self.level.as_ref().is_some_and(|level| level.is_reference);
        let runs = RunValues {
            base: &base_logs,
            new: &new_logs,
            level: &level,
            reference: if is_from_level { &level } else { &base_logs },
            min_deviation,
        };
        let evidence = if self.is_comparable {
            evidence::choose(runs, self.options.alpha, within)
        } else {
            Evidence::none(Why::NotComparable)
        };
        let reference = match (evidence.method, mean(&level)) {
            (Method::Prediction { .. }, Some(level)) if is_from_level => level.exp(),
            _ => base,
        };
        let change_percent = change_percent(reference, new);
        let p_worse = |tails: Tails| {
            let is_speed = metric.higher_is_better();
            if is_speed { tails.fall } else { tails.rise }
        };
        let direction = Direction::of(change_percent, metric.higher_is_better());
        // A change of medians or means may differ from the one that a method estimates, and by
        // rounding: the interval contains it.
        let interval = evidence.estimate.map(|estimate| Interval {
            low: basic::percent(estimate.low).min(change_percent),
            high: basic::percent(estimate.high).max(change_percent),
            p: estimate.p,
        });
        Row {
            test: None,
            name: Text::default(),
            metric,
            base,
            reference,
            new,
            change_percent,
            direction,
            method: evidence.method,
            interval,
            verdict: verdict(change_percent, direction, interval, self.options),
            gate_p: evidence.gate.map(p_worse),
            regression: false,
        }
    }

    /// The scores over the tests in common only, which exclude tests of one side.
    fn score(&self) -> Option<Score> {
        if self.both().any(|run| run.tool() != Tool::LocalScore) {
            return None;
        }
        let score = |run: &Tests| {
            let tests = self.common.iter();
            let tests: Vec<Test> = tests.filter_map(|&key| run.get(key).cloned()).collect();
            let score = run.run.suite().score(&tests)?;
            ln(score).map(|_| score)
        };
        let (base, new) = (across(&self.base, score)?, across(&self.new, score)?);
        let level = self.level.as_ref().filter(|level| level.is_reference);
        let reference = level.map_or(Some(base), |_| {
            let runs = self.level_runs();
            let logs = runs.iter().filter_map(|run| score(run).and_then(ln));
            mean(&logs.collect::<Vec<_>>()).map(f64::exp)
        })?;
        Some(Score {
            base,
            reference,
            new,
            change_percent: change_percent(reference, new),
        })
    }
}

/// A run that others are held against, each in the tests that it has in common with it.
pub(crate) struct Yardstick<'a> {
    classes: Classes,
    tests: Tests<'a>,
}

impl<'a> Yardstick<'a> {
    /// This run.
    pub(crate) fn of(run: &'a Run) -> Self {
        let mut classes = Classes::default();
        let tests = Tests::of(run, &mut classes);
        Self { classes, tests }
    }

    /// How fast another run of llama-bench is, as a multiple of this one's speed; `None` if it cannot
    /// be compared, or has no test in common.
    pub(crate) fn relative_speed(&mut self, other: &Run) -> Option<f64> {
        if !comparable::reasons(&[self.tests.run], &[other]).is_empty() {
            return None;
        }
        let other = Tests::of(other, &mut self.classes);
        let log = |tests: &Tests, key| tests.value(key, Metric::Tps).and_then(ln);
        let change = |&key: &TestKey| Some(log(&other, key)? - log(&self.tests, key)?);
        let changes: Vec<f64> = other.order.iter().filter_map(change).collect();
        mean(&changes).map(f64::exp)
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

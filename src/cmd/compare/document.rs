//! A comparison in the formats for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::words::in_words;
use super::{NamedRun, NewRun, Report, exit_code};
use crate::model::{Difference, Text};
use crate::stats::{self, Direction, GateOutcome, Interval, Method};
use base::time::utc;

/// A row of a comparison. Numbers that are not finite, such as the end of an interval, are null.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    /// Null where the base is the median of several runs.
    base_id: Option<i64>,
    /// Null where the run is not stored.
    new_id: Option<i64>,
    /// `test`, `geometric_mean` or `score`.
    kind: &'static str,
    test: Option<String>,
    n_prompt: Option<i64>,
    n_gen: Option<i64>,
    metric: &'static str,
    base: f64,
    /// What the change is measured from: the level, or the base.
    reference: f64,
    new: f64,
    change_percent: f64,
    direction: Option<Direction>,
    low_percent: Option<f64>,
    high_percent: Option<f64>,
    from_base_percent: f64,
    p: Option<f64>,
    method: Option<&'static str>,
    /// The number of values of each side that the method used: repetitions or runs.
    n_base: Option<usize>,
    n_new: Option<usize>,
    /// The number of earlier runs behind a prediction interval, including the base.
    earlier_runs: Option<usize>,
    verdict: Option<&'static str>,
    gate_p: Option<f64>,
    regression: bool,
}

impl Row {
    fn new(base_id: Option<i64>, new_id: Option<i64>, row: &stats::Row) -> Self {
        let interval = |value: fn(&Interval) -> f64| {
            row.interval.as_ref().map(value).filter(|v| v.is_finite())
        };
        let counts = match row.method {
            Method::Rank(counts) | Method::Welch(counts) => Some(counts),
            Method::Prediction { .. } | Method::Unverified(_) => None,
        };
        Self {
            base_id,
            new_id,
            kind: row.test.map_or("geometric_mean", |_| "test"),
            test: row.test.map(|_| row.name.display().into_owned()),
            n_prompt: row.test.map(|test| test.n_prompt),
            n_gen: row.test.map(|test| test.n_gen),
            metric: row.metric.name(),
            base: row.base,
            reference: row.reference,
            new: row.new,
            change_percent: row.change_percent,
            direction: row.direction,
            low_percent: interval(|interval| interval.low),
            high_percent: interval(|interval| interval.high),
            from_base_percent: row.percent_from_base(),
            p: interval(|interval| interval.p),
            method: Some(row.method.name()),
            n_base: counts.map(|counts| counts.base),
            n_new: counts.map(|counts| counts.new),
            earlier_runs: match row.method {
                Method::Prediction { earlier } => Some(earlier),
                _ => None,
            },
            verdict: Some(row.verdict.name()),
            gate_p: row.gate_p,
            regression: row.regression,
        }
    }
}

/// All rows: for each new run the tests, the geometric means and the score.
pub(crate) fn rows(report: &Report) -> Vec<Row> {
    let columns = report.new.iter();
    columns.flat_map(|column| rows_of(report, column)).collect()
}

fn rows_of(report: &Report, column: &NewRun) -> Vec<Row> {
    let base_id = match report.base.as_slice() {
        [base] => base.id(),
        _ => None,
    };
    let new_id = column.run.id();
    let rows = column.rows().map(|row| Row::new(base_id, new_id, row));
    let score = column.comparison.score.map(|score| Row {
        base_id,
        new_id,
        kind: "score",
        metric: "score",
        base: score.base,
        reference: score.reference,
        new: score.new,
        change_percent: score.change_percent,
        from_base_percent: stats::change_percent(score.base, score.new),
        direction: Direction::of(score.change_percent, true),
        ..Row::default()
    });
    rows.chain(score).collect()
}

#[derive(Debug, Serialize)]
pub(crate) struct Document {
    base: Vec<Side>,
    differences: Vec<DifferenceRow>,
    min_change_percent: f64,
    alpha: f64,
    gate_alpha: f64,
    comparisons: Vec<NewSide>,
    /// The gate's answer for the worst new run; null unless the gate was requested.
    gate: Option<GateAnswer>,
}

#[derive(Debug, Serialize)]
struct GateAnswer {
    outcome: &'static str,
    exit_code: u8,
    reasons: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Headline {
    outcome: &'static str,
    text: String,
    certain_rows: usize,
    rows: usize,
    changes_percent: BTreeMap<&'static str, f64>,
}

#[derive(Debug, Serialize)]
struct Reference {
    /// `level` or `run`.
    kind: &'static str,
    runs: Vec<i64>,
}

#[derive(Debug, Serialize)]
struct Side {
    /// Null where the run is not stored.
    id: Option<i64>,
    /// The base name of the file that it is in, if it is not stored.
    file: Option<String>,
    measured_at: Option<String>,
    model: Option<String>,
    quant: Option<String>,
    accelerator: Option<String>,
    runtime: Option<String>,
    runtime_version: Option<String>,
    score: Option<f64>,
    partial: bool,
    tags: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DifferenceRow {
    name: &'static str,
    base: Vec<Option<String>>,
    new: Vec<Option<String>>,
}

#[derive(Debug, Serialize)]
struct NewSide {
    new: Side,
    headline: Headline,
    reference: Reference,
    /// How far the base is off the level of the other runs; null if it is not.
    base_off_level_percent: Option<f64>,
    rows: Vec<Row>,
    only_base: Vec<String>,
    only_new: Vec<String>,
    /// Settings that a version does not print, with the default that is assumed there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    assumed: BTreeMap<String, String>,
    /// Rows whose verdict the first sample of a test alone makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    first_sample: Vec<FirstSample>,
    comparable: bool,
    reasons: Vec<String>,
    rows_asked: usize,
    regression: bool,
    /// Null unless the gate was requested.
    gate: Option<GateAnswer>,
}

/// A row and its verdict without the first sample.
#[derive(Debug, Serialize)]
struct FirstSample {
    /// Null for the geometric mean.
    test: Option<String>,
    metric: &'static str,
    verdict: &'static str,
    without_verdict: &'static str,
    without_change_percent: f64,
}

fn first_sample(row: &stats::FirstSample) -> FirstSample {
    let name = row.name.display().into_owned();
    FirstSample {
        test: Some(name).filter(|name| !name.is_empty()),
        metric: row.metric.name(),
        verdict: row.verdict.name(),
        without_verdict: row.without.name(),
        without_change_percent: row.change_percent,
    }
}

impl Document {
    /// `accepts` says that an undecided gate passes.
    pub(crate) fn new(report: &Report, accepts: bool) -> Self {
        let answer = |column: &NewRun| GateAnswer {
            outcome: column.comparison.gate.outcome.name(),
            exit_code: exit_code(column.comparison.gate.outcome, accepts),
            reasons: report.gate_reasons(column),
        };
        let compared = |column: &NewRun| {
            let comparison = &column.comparison;
            let gate = &comparison.gate;
            NewSide {
                new: Side::new(&column.run),
                headline: Headline {
                    outcome: comparison.outcome.name(),
                    text: report.headline(column),
                    certain_rows: comparison.certain_rows(),
                    rows: comparison.all_rows().count(),
                    changes_percent: comparison
                        .means
                        .iter()
                        .map(|row| (row.metric.name(), row.change_percent))
                        .collect(),
                },
                reference: Reference {
                    kind: if column.is_from_level() {
                        "level"
                    } else {
                        "run"
                    },
                    runs: if column.is_from_level() {
                        column.level.clone()
                    } else {
                        report.base.iter().filter_map(NamedRun::id).collect()
                    },
                },
                base_off_level_percent: comparison
                    .level
                    .as_ref()
                    .and_then(|level| level.base_off.first())
                    .map(|(_, off)| *off),
                rows: rows_of(report, column),
                only_base: comparison.only_base.clone(),
                only_new: comparison.only_new.clone(),
                assumed: comparison
                    .assumed
                    .iter()
                    .map(|(name, value)| (name.clone(), value.display().into_owned()))
                    .collect(),
                first_sample: comparison.first_sample.iter().map(first_sample).collect(),
                comparable: comparison.reasons.is_empty(),
                reasons: comparison.reasons.iter().map(in_words).collect(),
                rows_asked: gate.asked,
                regression: gate.outcome == GateOutcome::Regression,
                gate: report.gate.map(|_| answer(column)),
            }
        };
        let difference_row = |difference: &Difference| {
            let (base, new) = difference
                .values
                .split_at(report.base.len().min(difference.values.len()));
            DifferenceRow {
                name: difference.name,
                base: base.to_vec(),
                new: new.to_vec(),
            }
        };
        Self {
            base: report.base.iter().map(Side::new).collect(),
            differences: report.differences.iter().map(difference_row).collect(),
            min_change_percent: report.options.min_change,
            alpha: report.options.alpha,
            gate_alpha: report.options.gate_alpha,
            comparisons: report.new.iter().map(compared).collect(),
            gate: report.gate.map(|outcome| match report.worst() {
                Some(worst) => answer(worst),
                None => GateAnswer {
                    outcome: outcome.name(),
                    exit_code: exit_code(outcome, accepts),
                    reasons: vec![report.no_base.clone()],
                },
            }),
        }
    }
}

impl Side {
    fn new(stored: &NamedRun) -> Self {
        let run = &stored.listed;
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.display().into_owned());
        Self {
            id: stored.id(),
            file: stored.file.clone(),
            measured_at: utc(run.measured_at),
            model: text(&run.model),
            quant: text(&run.quant),
            accelerator: text(&run.accelerator),
            runtime: text(&run.runtime),
            runtime_version: text(&run.runtime_version),
            score: run.figures.score,
            partial: run.partial,
            tags: run.tags.clone(),
        }
    }
}

//! A comparison for programs.

use std::io::Write;

use serde::Serialize;

use super::{Column, Report, Stored, in_words, printed};
use crate::model::Text;
use crate::stats::{Direction, Method, Row, TestKey};
use base::Stdout;
use base::{Error, Result};

/// A row of a comparison. Numbers that are none (the end of an interval may be infinite) are null.
#[derive(Debug, Default, Serialize)]
struct Line {
    /// Null where the base is the median of several runs.
    base_id: Option<i64>,
    new_id: i64,
    /// `test`, `geometric_mean` or `score`.
    kind: &'static str,
    test: Option<String>,
    n_prompt: Option<i64>,
    n_gen: Option<i64>,
    metric: &'static str,
    base: f64,
    new: f64,
    change_percent: f64,
    direction: Option<&'static str>,
    estimate_percent: Option<f64>,
    low_percent: Option<f64>,
    high_percent: Option<f64>,
    p: Option<f64>,
    method: Option<&'static str>,
    /// Values a side that the method saw: repetitions, or runs.
    n_base: Option<usize>,
    n_new: Option<usize>,
    /// Earlier runs behind a prediction interval, the base included.
    earlier_runs: Option<usize>,
    verdict: Option<&'static str>,
    gate_p: Option<f64>,
    regression: bool,
}

const NAMES: [&str; 22] = [
    "base_id",
    "new_id",
    "kind",
    "test",
    "n_prompt",
    "n_gen",
    "metric",
    "base",
    "new",
    "change_percent",
    "direction",
    "estimate_percent",
    "low_percent",
    "high_percent",
    "p",
    "method",
    "n_base",
    "n_new",
    "earlier_runs",
    "verdict",
    "gate_p",
    "regression",
];

impl Line {
    fn new(base_id: Option<i64>, new_id: i64, row: &Row) -> Self {
        let estimate = |value: fn(&crate::stats::Interval) -> f64| {
            row.estimate.as_ref().map(value).filter(|v| v.is_finite())
        };
        let counts = match row.method {
            Method::Rank(counts) | Method::Welch(counts) => Some(counts),
            Method::Prediction { .. } | Method::Unverified(_) => None,
        };
        Self {
            base_id,
            new_id,
            kind: row.test.map_or("geometric_mean", |_| "test"),
            test: row.test.map(|_| printed(&row.name)),
            n_prompt: row.test.map(|test| test.n_prompt),
            n_gen: row.test.map(|test| test.n_gen),
            metric: row.metric.name(),
            base: row.base,
            new: row.new,
            change_percent: row.change_percent,
            direction: row.direction.map(|direction| match direction {
                Direction::Better => "better",
                Direction::Worse => "worse",
            }),
            estimate_percent: estimate(|change| change.percent),
            low_percent: estimate(|change| change.low),
            high_percent: estimate(|change| change.high),
            p: estimate(|change| change.p),
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

    fn cells(&self) -> [String; 22] {
        fn text(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        [
            text(self.base_id),
            self.new_id.to_string(),
            self.kind.to_owned(),
            text(self.test.as_ref()),
            text(self.n_prompt),
            text(self.n_gen),
            self.metric.to_owned(),
            self.base.to_string(),
            self.new.to_string(),
            self.change_percent.to_string(),
            text(self.direction),
            text(self.estimate_percent),
            text(self.low_percent),
            text(self.high_percent),
            text(self.p),
            text(self.method),
            text(self.n_base),
            text(self.n_new),
            text(self.earlier_runs),
            text(self.verdict),
            text(self.gate_p),
            self.regression.to_string(),
        ]
    }
}

/// The rows of one column: tests, geometric means, score.
fn lines(report: &Report, column: &Column) -> Vec<Line> {
    let base_id = match report.base.as_slice() {
        [base] => Some(base.listed.id),
        _ => None,
    };
    let new_id = column.run.listed.id;
    let comparison = &column.comparison;
    let rows = comparison.rows.iter().chain(&comparison.means);
    let mut lines: Vec<Line> = rows.map(|row| Line::new(base_id, new_id, row)).collect();
    if let Some(score) = comparison.score {
        lines.push(Line {
            base_id,
            new_id,
            kind: "score",
            metric: "score",
            base: score.base,
            new: score.new,
            change_percent: score.change_percent,
            direction: match score.change_percent {
                change if change > 0.0 => Some("better"),
                change if change < 0.0 => Some("worse"),
                _ => None,
            },
            ..Line::default()
        });
    }
    lines
}

pub fn csv(report: &Report, out: &mut Stdout) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(NAMES).map_err(Error::csv)?;
    for column in &report.new {
        for line in lines(report, column) {
            writer.write_record(line.cells()).map_err(Error::csv)?;
        }
    }
    writer.flush().map_err(|error| Error::stdout(&error))
}

pub fn jsonl(report: &Report, out: &mut Stdout) -> Result<()> {
    for column in &report.new {
        for line in lines(report, column) {
            serde_json::to_writer(&mut *out, &line).map_err(|e| Error::stdout(&e.into()))?;
            out.write_all(b"\n").map_err(|e| Error::stdout(&e))?;
        }
    }
    Ok(())
}

pub fn json(report: &Report, out: &mut Stdout) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document::new(report))
        .map_err(|e| Error::stdout(&e.into()))?;
    out.write_all(b"\n").map_err(|e| Error::stdout(&e))
}

#[derive(Debug, Serialize)]
struct Document {
    base: Vec<Side>,
    differences: Vec<Differs>,
    min_change_percent: f64,
    alpha: f64,
    gate_alpha: f64,
    comparisons: Vec<One>,
    /// Null unless the gate was asked.
    gate: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Side {
    id: i64,
    measured_at: Option<String>,
    model: Option<String>,
    quant: Option<String>,
    accelerator: Option<String>,
    runtime: Option<String>,
    runtime_version: Option<String>,
    score: f64,
    partial: bool,
    tags: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Differs {
    name: &'static str,
    base: Vec<Option<String>>,
    new: Vec<Option<String>>,
}

#[derive(Debug, Serialize)]
struct One {
    new: Side,
    rows: Vec<Line>,
    only_base: Vec<String>,
    only_new: Vec<String>,
    comparable: bool,
    reasons: Vec<String>,
    rows_asked: usize,
    regression: bool,
}

impl Document {
    fn new(report: &Report) -> Self {
        let one = |column: &Column| {
            let comparison = &column.comparison;
            let gate = &comparison.gate;
            One {
                new: Side::new(&column.run),
                rows: lines(report, column),
                only_base: names(&comparison.only_base),
                only_new: names(&comparison.only_new),
                comparable: gate.reasons.is_empty(),
                reasons: gate.reasons.iter().map(in_words).collect(),
                rows_asked: gate.asked,
                regression: gate.regression,
            }
        };
        let differs = |difference: &crate::model::Difference| {
            let (base, new) = difference
                .values
                .split_at(report.base.len().min(difference.values.len()));
            Differs {
                name: difference.name,
                base: base.to_vec(),
                new: new.to_vec(),
            }
        };
        Self {
            base: report.base.iter().map(Side::new).collect(),
            differences: report.differences.iter().map(differs).collect(),
            min_change_percent: report.options.min_change,
            alpha: report.options.alpha,
            gate_alpha: report.options.gate_alpha,
            comparisons: report.new.iter().map(one).collect(),
            gate: report.gate_in_a_word(),
        }
    }
}

impl Side {
    fn new(stored: &Stored) -> Self {
        let run = &stored.listed;
        let text = |text: &Option<Text>| text.as_ref().map(printed);
        Self {
            id: run.id,
            measured_at: super::super::time(run.measured_at),
            model: text(&run.model),
            quant: text(&run.quant),
            accelerator: text(&run.accelerator),
            runtime: text(&run.runtime),
            runtime_version: text(&run.runtime_version),
            score: run.summary.performance_score,
            partial: run.partial,
            tags: run.tags.clone(),
        }
    }
}

/// Tests by their tokens, as the C tool names them.
pub fn names(tests: &[TestKey]) -> Vec<String> {
    let name = |test: &TestKey| match (test.n_prompt, test.n_gen) {
        (prompt, 0) => format!("pp{prompt}"),
        (0, generated) => format!("tg{generated}"),
        (prompt, generated) => format!("pp{prompt}+tg{generated}"),
    };
    let again = |test: &TestKey| match test.repeated {
        0 => String::new(),
        before => format!(" (time {})", before + 1),
    };
    tests.iter().map(|test| name(test) + &again(test)).collect()
}

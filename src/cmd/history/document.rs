//! A trend in the formats for programs.

use clap::ValueEnum;
use serde::Serialize;

use super::{Trend, TrendChange, verdict};
use crate::model::{Difference, Text};
use crate::store::TrendRun;
use base::time::utc;
use base::{Result, Stdout, rows};

/// A run of a trend.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    id: i64,
    measured_at: String,
    runtime_version: Option<String>,
    score: Option<f64>,
    avg_prompt_tps: Option<f64>,
    avg_gen_tps: Option<f64>,
    avg_ttft_ms: Option<f64>,
    partial: bool,
    /// The change of level that begins with this run, in percent.
    change_percent: Option<f64>,
    /// `better` or `worse`.
    verdict: Option<&'static str>,
    /// What else changed with this run.
    changed: Option<String>,
    /// Whether the date is a guess.
    guessed: bool,
}

pub(crate) fn rows(trend: &Trend) -> Vec<Row> {
    let row = |(index, run): (usize, &TrendRun)| {
        let change = trend.change_at(index);
        Row {
            id: run.id,
            measured_at: utc(run.measured_at).unwrap_or_default(),
            runtime_version: run.version.as_ref().map(Text::to_string),
            score: run.figures.score,
            avg_prompt_tps: run.figures.prompt_tps,
            avg_gen_tps: run.figures.gen_tps,
            avg_ttft_ms: run.figures.ttft_ms,
            partial: run.partial,
            change_percent: change.map(|change| change.point.change_percent),
            verdict: change.map(|change| verdict(trend.is_better(change))),
            changed: change.map(|change| change.causes().join(", ")),
            guessed: run.is_guessed,
        }
    };
    trend.runs.iter().enumerate().map(row).collect()
}

#[derive(Debug, Serialize)]
struct Document {
    model: Option<String>,
    quant: Option<String>,
    accelerator: Option<String>,
    runtime: Option<String>,
    metric: Option<String>,
    headline: String,
    min_change_percent: f64,
    runs: Vec<Row>,
    changes: Vec<ChangeRow>,
}

#[derive(Debug, Serialize)]
struct ChangeRow {
    run_id: i64,
    before: f64,
    after: f64,
    change_percent: f64,
    verdict: &'static str,
    differences: Vec<DifferenceRow>,
}

#[derive(Debug, Serialize)]
struct DifferenceRow {
    name: &'static str,
    before: Option<String>,
    after: Option<String>,
}

pub(crate) fn json(trend: &Trend, min_change: f64, out: &mut Stdout) -> Result<()> {
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let difference_row = |difference: &Difference| DifferenceRow {
        name: difference.name,
        before: difference.values.first().cloned().flatten(),
        after: difference.values.get(1).cloned().flatten(),
    };
    let change_row = |change: &TrendChange| ChangeRow {
        run_id: trend.runs[change.point.index].id,
        before: change.point.before,
        after: change.point.after,
        change_percent: change.point.change_percent,
        verdict: verdict(trend.is_better(change)),
        differences: change.differences.iter().map(difference_row).collect(),
    };
    let metric = trend.metric.to_possible_value();
    let configuration = &trend.configuration;
    let document = Document {
        model: text(&configuration.model),
        quant: text(&configuration.quant),
        accelerator: text(&configuration.accelerator),
        runtime: text(&configuration.runtime),
        metric: metric.map(|value| value.get_name().to_owned()),
        headline: trend.headline(),
        min_change_percent: min_change,
        runs: rows(trend),
        changes: trend.changes.iter().map(change_row).collect(),
    };
    rows::json(&document, out)
}

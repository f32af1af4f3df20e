//! A trend for programs.

use clap::ValueEnum;
use serde::Serialize;

use super::{Args, Trend, TrendChange};
use crate::model::{Difference, Text};
use base::time::utc;
use base::{Result, Stdout, rows};

/// A run of a trend.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    id: i64,
    measured_at: String,
    runtime_version: Option<String>,
    score: f64,
    avg_prompt_tps: f64,
    avg_gen_tps: f64,
    avg_ttft_ms: f64,
    partial: bool,
    /// The change of level that begins here, in percent.
    change_percent: Option<f64>,
    /// What else changed there.
    changed: Option<String>,
}

pub(crate) fn rows(trend: &Trend) -> Vec<Row> {
    let row = |(index, run): (usize, &crate::store::Listed)| {
        let change = trend.change_at(index);
        Row {
            id: run.id,
            measured_at: utc(run.measured_at).unwrap_or_default(),
            runtime_version: run.runtime_version.as_ref().map(Text::to_string),
            score: run.summary.performance_score,
            avg_prompt_tps: run.summary.avg_prompt_tps,
            avg_gen_tps: run.summary.avg_gen_tps,
            avg_ttft_ms: run.summary.avg_ttft_ms,
            partial: run.partial,
            change_percent: change.map(|change| change.point.change_percent),
            changed: change.map(TrendChange::in_words),
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
    min_change_percent: f64,
    runs: Vec<Row>,
    changes: Vec<Changed>,
}

#[derive(Debug, Serialize)]
struct Changed {
    run_id: i64,
    before: f64,
    after: f64,
    change_percent: f64,
    differences: Vec<Differs>,
}

#[derive(Debug, Serialize)]
struct Differs {
    name: &'static str,
    before: Option<String>,
    after: Option<String>,
}

pub(crate) fn json(trend: &Trend, args: &Args, out: &mut Stdout) -> Result<()> {
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let differs = |difference: &Difference| Differs {
        name: difference.name,
        before: difference.values.first().cloned().flatten(),
        after: difference.values.get(1).cloned().flatten(),
    };
    let changed = |change: &TrendChange| Changed {
        run_id: trend.runs[change.point.index].id,
        before: change.point.before,
        after: change.point.after,
        change_percent: change.point.change_percent,
        differences: change.differences.iter().map(differs).collect(),
    };
    let metric = args.metric.to_possible_value();
    let configuration = &trend.configuration;
    let document = Document {
        model: text(&configuration.model),
        quant: text(&configuration.quant),
        accelerator: text(&configuration.accelerator),
        runtime: text(&configuration.runtime),
        metric: metric.map(|value| value.get_name().to_owned()),
        min_change_percent: args.min_change,
        runs: rows(trend),
        changes: trend.changes.iter().map(changed).collect(),
    };
    rows::json(&document, out)
}

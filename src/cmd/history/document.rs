//! A trend for programs.

use std::io::Write;

use serde::Serialize;

use super::{Args, Change, Metric, Trend};
use crate::model::{Difference, Text};
use base::Stdout;
use base::{Error, Result};

/// A run of a trend for programs.
#[derive(Debug, Serialize)]
struct Line {
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

const NAMES: [&str; 10] = [
    "id",
    "measured_at",
    "runtime_version",
    "score",
    "avg_prompt_tps",
    "avg_gen_tps",
    "avg_ttft_ms",
    "partial",
    "change_percent",
    "changed",
];

fn lines(trend: &Trend) -> impl Iterator<Item = Line> + '_ {
    trend.runs.iter().enumerate().map(|(index, run)| {
        let change = trend.change_at(index);
        Line {
            id: run.id,
            measured_at: super::super::time(run.measured_at).unwrap_or_default(),
            runtime_version: run.runtime_version.as_ref().map(Text::to_string),
            score: run.summary.performance_score,
            avg_prompt_tps: run.summary.avg_prompt_tps,
            avg_gen_tps: run.summary.avg_gen_tps,
            avg_ttft_ms: run.summary.avg_ttft_ms,
            partial: run.partial,
            change_percent: change.map(|change| change.point.change_percent),
            changed: change.map(Change::in_words),
        }
    })
}

pub fn csv(trend: &Trend, out: &mut Stdout) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(NAMES).map_err(Error::csv)?;
    for line in lines(trend) {
        let percent = line.change_percent.map(|percent| percent.to_string());
        writer
            .write_record([
                line.id.to_string(),
                line.measured_at,
                line.runtime_version.unwrap_or_default(),
                line.score.to_string(),
                line.avg_prompt_tps.to_string(),
                line.avg_gen_tps.to_string(),
                line.avg_ttft_ms.to_string(),
                line.partial.to_string(),
                percent.unwrap_or_default(),
                line.changed.unwrap_or_default(),
            ])
            .map_err(Error::csv)?;
    }
    writer.flush().map_err(|error| Error::stdout(&error))
}

pub fn jsonl(trend: &Trend, out: &mut Stdout) -> Result<()> {
    for line in lines(trend) {
        serde_json::to_writer(&mut *out, &line).map_err(|e| Error::stdout(&e.into()))?;
        out.write_all(b"\n").map_err(|e| Error::stdout(&e))?;
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Document {
    model: Option<String>,
    quant: Option<String>,
    accelerator: Option<String>,
    runtime: Option<String>,
    metric: &'static str,
    min_change_percent: f64,
    runs: Vec<Line>,
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

pub fn json(trend: &Trend, args: &Args, out: &mut Stdout) -> Result<()> {
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let differs = |difference: &Difference| Differs {
        name: difference.name,
        before: difference.values.first().cloned().flatten(),
        after: difference.values.get(1).cloned().flatten(),
    };
    let changed = |change: &Change| Changed {
        run_id: trend.runs[change.point.index].id,
        before: change.point.before,
        after: change.point.after,
        change_percent: change.point.change_percent,
        differences: change.differences.iter().map(differs).collect(),
    };
    let of = &trend.configuration;
    let document = Document {
        model: text(&of.model),
        quant: text(&of.quant),
        accelerator: text(&of.accelerator),
        runtime: text(&of.runtime),
        metric: match args.metric {
            Metric::Score => "score",
            Metric::PromptTps => "prompt_tps",
            Metric::GenTps => "gen_tps",
            Metric::TtftMs => "ttft_ms",
        },
        min_change_percent: args.min_change,
        runs: lines(trend).collect(),
        changes: trend.changes.iter().map(changed).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document).map_err(|e| Error::stdout(&e.into()))?;
    out.write_all(b"\n").map_err(|e| Error::stdout(&e))
}

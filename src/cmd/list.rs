use std::io::Write;

use serde::Serialize;

use super::Context;
use super::filters::Filters;
use crate::model::{Source, Submission, SubmissionState, Text};
use crate::store::{Listed, Sort, Store, select};
use base::{Column, Stdout, Table, note};
use base::{Error, Result};

/// List runs, the one added last first
///
/// The score of a partial run, one that lacks some of the nine tests, is marked: it is not
/// comparable with others. A score with ~ is of the rounded values of a console table. Times are
/// in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore list --model llama --since 7d
  localstore list --sort score -o csv")]
pub struct Args {
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// The order
    #[arg(long, value_name = "ORDER", default_value = "added")]
    sort: Sort,
    /// At most so many runs; 0: all [default: 1000 in a table, else all]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table for a terminal
    #[value(alias = "console")]
    Table,
    /// A header and a line a run
    Csv,
    /// An array of objects
    Json,
    /// An object a line
    Jsonl,
    /// A Markdown table
    Md,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let default = if args.output == Output::Table {
        1000
    } else {
        0
    };
    let limit = Some(args.limit.unwrap_or(default)).filter(|&limit| limit > 0);
    // One more than is shown tells whether there are more.
    let asked = limit.map(|limit| limit.saturating_add(1));
    let mut runs = store.read(|db| select::list(db, &(&args.filters).into(), args.sort, asked))?;
    let shown = limit.map_or(usize::MAX, |limit| limit as usize);
    let more = runs.len() > shown;
    runs.truncate(shown);

    print(&runs, args.output, &mut context.out)?;
    if more && args.limit.is_none() {
        note(&format!("the first {shown} runs; '--limit 0' lists all"));
    }
    if runs.is_empty() && args.output == Output::Table {
        note(&format!("{}: no run matches", store.path().display()));
    }
    Ok(())
}

/// Prints runs, in this order.
pub fn print(runs: &[Listed], output: Output, out: &mut Stdout) -> Result<()> {
    let stdout = |error: std::io::Error| Error::stdout(&error);
    match output {
        Output::Table => {
            let width = out.width();
            if !runs.is_empty() {
                out.write_all(table(runs, width).render(width).as_bytes())
                    .map_err(stdout)?;
            }
        }
        Output::Md => out
            .write_all(table(runs, None).markdown().as_bytes())
            .map_err(stdout)?,
        Output::Csv => {
            let mut writer = csv::Writer::from_writer(&mut *out);
            writer.write_record(Line::NAMES).map_err(Error::csv)?;
            for run in runs {
                writer
                    .write_record(Line::from(run).cells())
                    .map_err(Error::csv)?;
            }
            writer.flush().map_err(stdout)?;
        }
        Output::Json => {
            let lines: Vec<Line> = runs.iter().map(Line::from).collect();
            serde_json::to_writer_pretty(&mut *out, &lines).map_err(|e| stdout(e.into()))?;
            out.write_all(b"\n").map_err(stdout)?;
        }
        Output::Jsonl => {
            for run in runs {
                serde_json::to_writer(&mut *out, &Line::from(run)).map_err(|e| stdout(e.into()))?;
                out.write_all(b"\n").map_err(stdout)?;
            }
        }
    }
    Ok(())
}

/// In a terminal narrower than this, the score speaks for the three speeds.
const WIDE: u16 = 110;

fn table(runs: &[Listed], width: Option<u16>) -> Table {
    let speeds = width.is_none_or(|width| width >= WIDE);
    let tags = runs.iter().any(|run| !run.tags.is_empty());
    let submissions = runs.iter().any(|run| run.submission.is_some());
    let mut columns = vec![
        ("id", Column::Number),
        ("measured", Column::Whole),
        ("model", Column::Text),
        ("accelerator", Column::Text),
        ("score", Column::Number),
    ];
    if speeds {
        columns.extend(["pp t/s", "tg t/s", "ttft ms"].map(|name| (name, Column::Number)));
    }
    if submissions {
        columns.push(("submission", Column::Whole));
    }
    if tags {
        columns.push(("tags", Column::Text));
    }
    let mut table = Table::new(&columns);
    for run in runs {
        let line = Line::from(run);
        let quant = line
            .quant
            .map_or_else(String::new, |quant| format!(" - {quant}"));
        let model = line
            .model
            .map_or_else(|| "?".to_owned(), |model| model + &quant);
        let score = run.summary.listed_score();
        let rounded = if line.rounded { "~" } else { "" };
        let partial = if run.partial { " partial" } else { "" };
        let mut cells = vec![
            line.id.to_string(),
            line.measured_at.get(..10).unwrap_or_default().to_owned(),
            model,
            line.accelerator.unwrap_or_else(|| "?".to_owned()),
            format!("{rounded}{score}{partial}"),
        ];
        if speeds {
            let summary = &run.summary;
            let values = [
                summary.avg_prompt_tps,
                summary.avg_gen_tps,
                summary.avg_ttft_ms,
            ];
            cells.extend(values.map(|value| format!("{value:.2}")));
        }
        if submissions {
            cells.push(submission_cell(run.submission.as_ref()));
        }
        if tags {
            cells.push(line.tags.join(" "));
        }
        table.row(&cells);
    }
    table
}

/// How far the submission of a run has come, with the time where it is not known.
fn submission_cell(submission: Option<&Submission>) -> String {
    let Some(Submission {
        state, changed_at, ..
    }) = submission
    else {
        return String::new();
    };
    match (state, changed_at.get(..16)) {
        (SubmissionState::Unknown, Some(minute)) => format!("unknown {minute}"),
        _ => state.name().to_owned(),
    }
}

/// A run as it is listed for programs.
#[derive(Debug, Serialize)]
struct Line {
    id: i64,
    measured_at: String,
    added_at: Option<String>,
    model: Option<String>,
    quant: Option<String>,
    accelerator: Option<String>,
    runtime: Option<String>,
    runtime_version: Option<String>,
    score: f64,
    avg_prompt_tps: f64,
    avg_gen_tps: f64,
    avg_ttft_ms: f64,
    tests: i64,
    partial: bool,
    rounded: bool,
    tags: Vec<String>,
    link: Option<String>,
    submission: &'static str,
    submission_site: Option<String>,
    submission_changed_at: Option<String>,
    submission_attempts: i64,
    submission_reason: Option<String>,
    /// What kind of capture it came from; `site` if the LocalScore site inserted it.
    source: &'static str,
}

impl Line {
    const NAMES: [&str; 23] = [
        "id",
        "measured_at",
        "added_at",
        "model",
        "quant",
        "accelerator",
        "runtime",
        "runtime_version",
        "score",
        "avg_prompt_tps",
        "avg_gen_tps",
        "avg_ttft_ms",
        "tests",
        "partial",
        "rounded",
        "tags",
        "link",
        "submission",
        "submission_site",
        "submission_changed_at",
        "submission_attempts",
        "submission_reason",
        "source",
    ];

    fn cells(self) -> [String; 23] {
        [
            self.id.to_string(),
            self.measured_at,
            self.added_at.unwrap_or_default(),
            self.model.unwrap_or_default(),
            self.quant.unwrap_or_default(),
            self.accelerator.unwrap_or_default(),
            self.runtime.unwrap_or_default(),
            self.runtime_version.unwrap_or_default(),
            self.score.to_string(),
            self.avg_prompt_tps.to_string(),
            self.avg_gen_tps.to_string(),
            self.avg_ttft_ms.to_string(),
            self.tests.to_string(),
            self.partial.to_string(),
            self.rounded.to_string(),
            self.tags.join(" "),
            self.link.unwrap_or_default(),
            self.submission.to_owned(),
            self.submission_site.unwrap_or_default(),
            self.submission_changed_at.unwrap_or_default(),
            self.submission_attempts.to_string(),
            self.submission_reason.unwrap_or_default(),
            self.source.to_owned(),
        ]
    }
}

impl From<&Listed> for Line {
    fn from(run: &Listed) -> Self {
        let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
        let submission = run.submission.as_ref();
        Self {
            id: run.id,
            measured_at: super::time(run.measured_at).unwrap_or_default(),
            added_at: run.added_at.as_deref().map(super::rfc3339),
            model: text(&run.model),
            quant: text(&run.quant),
            accelerator: text(&run.accelerator),
            runtime: text(&run.runtime),
            runtime_version: text(&run.runtime_version),
            score: run.summary.performance_score,
            avg_prompt_tps: run.summary.avg_prompt_tps,
            avg_gen_tps: run.summary.avg_gen_tps,
            avg_ttft_ms: run.summary.avg_ttft_ms,
            tests: run.tests,
            partial: run.partial,
            rounded: run.source == Source::Console,
            tags: run.tags.clone(),
            link: run.link.clone(),
            submission: submission.map_or("never", |submission| submission.state.name()),
            submission_site: submission.and_then(|submission| submission.site.clone()),
            submission_changed_at: submission
                .map(|submission| super::rfc3339(&submission.changed_at)),
            submission_attempts: submission.map_or(0, |submission| submission.attempts),
            submission_reason: submission.and_then(|submission| submission.reason.clone()),
            source: run.source.name(),
        }
    }
}

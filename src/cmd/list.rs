use std::io::Write;

use serde::Serialize;

use super::Context;
use super::filters::Filters;
use crate::error::{Error, Result};
use crate::model::Text;
use crate::output::{Table, note};
use crate::store::{Listed, Sort, Store};

/// List runs, the one added last first
///
/// The score of a partial run, one that lacks some of the nine tests, is marked: it is not
/// comparable with others. Times are in UTC.
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
    /// At most so many runs; 0: all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
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
    // One more than is shown tells whether there are more.
    let asked = (args.limit > 0).then(|| args.limit.saturating_add(1));
    let mut runs = store.list(&(&args.filters).into(), args.sort, asked)?;
    let more = args.limit > 0 && runs.len() > args.limit as usize;
    if more {
        runs.truncate(args.limit as usize);
    }

    let out = &mut context.out;
    let stdout = |error: std::io::Error| Error::stdout(&error);
    match args.output {
        Output::Table => {
            if !runs.is_empty() {
                let text = table(&runs).render(out.width());
                out.write_all(text.as_bytes()).map_err(stdout)?;
            }
        }
        Output::Md => out
            .write_all(table(&runs).markdown().as_bytes())
            .map_err(stdout)?,
        Output::Csv => {
            let mut writer = csv::Writer::from_writer(&mut *out);
            writer.write_record(Line::NAMES).map_err(csv_failure)?;
            for run in &runs {
                writer
                    .write_record(Line::from(run).cells())
                    .map_err(csv_failure)?;
            }
            writer.flush().map_err(stdout)?;
        }
        Output::Json => {
            let lines: Vec<Line> = runs.iter().map(Line::from).collect();
            serde_json::to_writer_pretty(&mut *out, &lines).map_err(|e| stdout(e.into()))?;
            out.write_all(b"\n").map_err(stdout)?;
        }
        Output::Jsonl => {
            for run in &runs {
                serde_json::to_writer(&mut *out, &Line::from(run)).map_err(|e| stdout(e.into()))?;
                out.write_all(b"\n").map_err(stdout)?;
            }
        }
    }
    if more {
        note(&format!(
            "the first {} runs; '--limit 0' lists all",
            args.limit
        ));
    }
    if runs.is_empty() && args.output == Output::Table {
        note(&format!("{}: no run matches", store.path().display()));
    }
    Ok(())
}

fn csv_failure(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::stdout(&error),
        kind => Error::new("standard output", format!("{kind:?}")),
    }
}

fn table(runs: &[Listed]) -> Table {
    let mut table = Table::new(&[
        ">id",
        "measured",
        "model",
        "accelerator",
        ">score",
        ">pp t/s",
        ">tg t/s",
        ">ttft ms",
        "tags",
    ]);
    for run in runs {
        let line = Line::from(run);
        let model = match (&line.model, &line.quant) {
            (Some(model), Some(quant)) => format!("{model} - {quant}"),
            (Some(model), None) => model.clone(),
            _ => "?".to_owned(),
        };
        let score = run.summary.printed_score();
        let partial = if run.partial { " partial" } else { "" };
        table.row(&[
            line.id.to_string(),
            line.measured_at.get(..10).unwrap_or_default().to_owned(),
            model,
            line.accelerator.clone().unwrap_or_else(|| "?".to_owned()),
            format!("{score}{partial}"),
            format!("{:.2}", run.summary.avg_prompt_tps),
            format!("{:.2}", run.summary.avg_gen_tps),
            format!("{:.2}", run.summary.avg_ttft_ms),
            line.tags.join(" "),
        ]);
    }
    table
}

/// A run as it is listed for programs.
#[derive(Debug, Serialize)]
struct Line {
    id: i64,
    measured_at: String,
    added_at: String,
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
    tags: Vec<String>,
}

impl Line {
    const NAMES: [&str; 15] = [
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
        "tags",
    ];

    fn cells(self) -> [String; 15] {
        [
            self.id.to_string(),
            self.measured_at,
            self.added_at,
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
            self.tags.join(" "),
        ]
    }
}

impl From<&Listed> for Line {
    fn from(run: &Listed) -> Self {
        let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
        let measured_at = jiff::Timestamp::from_second(run.measured_at);
        Self {
            id: run.id,
            measured_at: measured_at.map_or_else(|_| String::new(), |time| time.to_string()),
            added_at: super::rfc3339(&run.added_at),
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
            tags: run.tags.clone(),
        }
    }
}

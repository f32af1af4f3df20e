use serde::Serialize;

use super::filters::Filters;
use super::{Context, words};
use crate::model::{SubmissionState, Text};
use crate::store::{Listed, Sort, Store, select};
use base::rows::{self, Limit};
use base::time::{rfc3339, utc};
use base::{Column, ColumnOf, Result, RowFormat, Stdout};

/// List runs, most recently added first
///
/// The score of a partial run is marked: a test of the benchmark is missing, so it is not comparable
/// with others. A score with ~ was computed from the rounded values of a console table. Times are
/// in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore list --model llama --since 7d
  localstore list --sort score -o csv")]
pub(crate) struct Args {
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
    /// The sort order
    #[arg(long, value_name = "ORDER", default_value = "added")]
    sort: Sort,
    /// Print at most this many runs; 0 for all [default: 1000 in a table, else all]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let default = if args.output == RowFormat::Table {
        1000
    } else {
        0
    };
    let limit = Limit(args.limit.unwrap_or(default));
    let runs =
        store.read(|db| select::list(db, &(&args.filters).into(), args.sort, limit.asked()))?;
    let (runs, more) = limit.cut(runs);
    print(&runs, args.output, &mut context.out)?;
    if more && args.limit.is_none() {
        let shown = runs.len();
        context.note(&format!("the first {shown} runs; '--limit 0' lists all"));
    }
    if runs.is_empty() && args.output == RowFormat::Table {
        context.note(&format!("{}: no run matches", store.path().display()));
    }
    Ok(())
}

/// Prints runs, in this order.
pub(crate) fn print(runs: &[Listed], format: RowFormat, out: &mut Stdout) -> Result<()> {
    let is_terminal = format == RowFormat::Table;
    let width = out.screen().width.filter(|_| is_terminal);
    let speeds = width.is_none_or(|width| width >= WIDE);
    let tags = runs.iter().any(|run| !run.tags.is_empty());
    let submissions = runs.iter().any(|run| run.submission.is_some());
    let mut columns = COLUMNS.to_vec();
    columns.retain(|(name, _, _)| match *name {
        "pp t/s" | "tg t/s" | "ttft ms" => speeds,
        "submission" => submissions,
        "tags" => tags,
        _ => true,
    });
    rows::write(runs, format, &columns, row, out)
}

/// The narrowest terminal that has room for the speeds beside the score.
const WIDE: usize = 110;

const COLUMNS: [ColumnOf<Listed>; 10] = [
    words::ID,
    words::MEASURED,
    ("model", Column::Text, |run| {
        let quant = run.quant.as_ref().filter(|_| run.model.is_some());
        words::with_quant(&words::cell(&run.model), quant)
    }),
    ("accelerator", Column::Text, |run| {
        words::cell(&run.accelerator)
    }),
    words::SCORE,
    words::PROMPT_TPS,
    words::GEN_TPS,
    words::TTFT_MS,
    ("submission", Column::Whole, submission_cell),
    ("tags", Column::Text, |run| run.tags.join(" ")),
];

/// The state of the submission of a run, with the time where the state is unknown.
fn submission_cell(run: &Listed) -> String {
    run.submission
        .as_ref()
        .map_or_else(String::new, |submission| {
            match (submission.state, submission.changed_at.get(..16)) {
                (SubmissionState::Unknown, Some(minute)) => format!("unknown {minute}"),
                (state, _) => state.name().to_owned(),
            }
        })
}

/// A run in the formats for programs.
#[derive(Debug, Default, Serialize)]
struct Row {
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
    /// The kind of capture it came from; `site` if the LocalScore site inserted it.
    source: &'static str,
    measured_guessed: bool,
}

fn row(run: &Listed) -> Row {
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let submission = run.submission.as_ref();
    Row {
        id: run.id,
        measured_at: utc(run.measured_at).unwrap_or_default(),
        added_at: run.added_at.as_deref().map(rfc3339),
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
        rounded: run.source.is_rounded(),
        tags: run.tags.clone(),
        link: run.link.clone(),
        submission: submission.map_or("never", |submission| submission.state.name()),
        submission_site: submission.and_then(|submission| submission.site.clone()),
        submission_changed_at: submission.map(|submission| rfc3339(&submission.changed_at)),
        submission_attempts: submission.map_or(0, |submission| submission.attempts),
        submission_reason: submission.and_then(|submission| submission.reason.clone()),
        source: run.source.name(),
        measured_guessed: run.measured_guessed,
    }
}

use super::Context;
use super::filters::Filters;
use super::list::{self, View};
use crate::model::Tool;
use crate::store::{Filter, Sort, Store, select, trends};
use base::{Error, Result, RowFormat, Stderr};

/// Rank the best run of each model, quantisation and accelerator
///
/// By score, the highest first. Partial runs are left out, since their score is not comparable. '~'
/// stands before a score that was computed from the rounded values of a console table.
///
/// Runs of llama-bench have no score: '--tool llama-bench' ranks them alone, by the speed of
/// generation (tg).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore best --model llama
  localstore best --accelerator 4090 --limit 10 -o md
  localstore best --tool llama-bench")]
pub(crate) struct Args {
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
    /// Print at most this many runs; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let filter = Filter::from(&args.filters);
    let limit = (args.limit > 0).then_some(args.limit);
    let (runs, all) = store.read(|db| trends::best(db, &filter, limit))?;
    let is_bench = filter.tool == Some(Tool::LlamaBench);
    let sort = if is_bench { Sort::Tg } else { Sort::Score };
    list::print(&runs, args.output, &args.view, sort, list::row, context)?;
    let guessed = runs.iter().map(|run| run.measured_guessed);
    args.filters.note_guessed(guessed, context);
    if runs.len() < all {
        list::note_more(runs.len(), all as u64, context);
    }
    if runs.is_empty() && args.output == RowFormat::Table {
        context.out.finish()?;
        let count = store.read(|db| select::count(db, &filter))?;
        Stderr::error(&match count {
            0 => args.filters.no_match(&[], &store)?,
            _ if is_bench => Error::plain("no matching run has a test of generation alone"),
            _ => Error::plain("no matching run has all tests of the benchmark"),
        });
    }
    Ok(())
}

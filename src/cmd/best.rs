use super::Context;
use super::filters::Filters;
use super::list;
use crate::store::{Store, trends};
use base::rows::Limit;
use base::{Result, RowFormat};

/// Rank the best run of each model on each accelerator
///
/// By score, the highest first. Partial runs do not count, since their score is not comparable. A
/// score with ~ was computed from the rounded values of a console table.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore best --model llama
  localstore best --accelerator 4090 --limit 10 -o md")]
pub(crate) struct Args {
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
    /// Print at most this many runs; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let limit = Limit(args.limit);
    let runs = store.read(|db| trends::best(db, &(&args.filters).into(), limit.asked()))?;
    let (runs, more) = limit.cut(runs);
    list::print(&runs, args.output, &mut context.out)?;
    if more {
        let shown = runs.len();
        context.note(&format!("the first {shown} runs; '--limit 0' ranks all"));
    }
    if runs.is_empty() && args.output == RowFormat::Table {
        let path = store.path().display();
        context.note(&format!(
            "{path}: no run matches that has all tests of the benchmark"
        ));
    }
    Ok(())
}

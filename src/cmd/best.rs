use super::Context;
use super::filters::Filters;
use super::list::{self, Output};
use crate::store::{Store, trends};
use base::Result;
use base::note;

/// Rank the best run of each model on each accelerator
///
/// By score, the highest first. Partial runs do not count, since their score is not comparable. A
/// score with ~ is of the rounded values of a console table.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore best --model llama
  localstore best --accelerator 4090 --limit 10 -o md")]
pub struct Args {
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// At most so many runs; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    filters: Filters,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    // One more than is shown tells whether there are more.
    let limit = Some(args.limit).filter(|&limit| limit > 0);
    let asked = limit.map(|limit| limit.saturating_add(1));
    let mut runs = store.read(|db| trends::best(db, &(&args.filters).into(), asked))?;
    let shown = limit.map_or(usize::MAX, |limit| limit as usize);
    let more = runs.len() > shown;
    runs.truncate(shown);
    list::print(&runs, args.output, &mut context.out)?;
    if more {
        note(&format!("the first {shown} runs; '--limit 0' ranks all"));
    }
    if runs.is_empty() && args.output == Output::Table {
        let path = store.path().display();
        note(&format!("{path}: no run matches that has all nine tests"));
    }
    Ok(())
}

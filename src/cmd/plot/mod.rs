//! The commands of `plot`, one file each.

mod compare;
mod context;
mod history;

pub(crate) use compare::tone;
pub(crate) use history::draw as draw_trend;

use super::named::NamedRun;
use super::{Context, OutFile, words};
use crate::model::Names;
use base::{Error, Result};
use picture::{MAX_SERIES, Series};

/// Draw runs as SVG: a trend, a comparison, speed against context length
///
/// The picture follows its reader's light or dark setting. In a browser, marks and bars show their
/// values under the mouse.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore plot history --metric gen_tps --out trend.svg"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    History(history::Args),
    Compare(compare::Args),
    Context(context::Args),
}

impl Args {
    /// Runs the command.
    pub(crate) fn run(&self, context: &mut Context) -> Result<()> {
        match &self.command {
            Command::History(args) => history::run(args, context),
            Command::Compare(args) => compare::run(args, context),
            Command::Context(args) => context::run(args, context),
        }
    }
}

/// The error for a picture that would be empty.
fn nothing(why: &str) -> Error {
    Error::new("nothing to draw", why).hint("'localstore list' shows the runs")
}

/// Checks that there are not more runs than a reader can distinguish.
fn check_count(runs: usize) -> Result<()> {
    if runs > MAX_SERIES {
        let why = format!("only {MAX_SERIES} can be distinguished in one picture");
        return Err(Error::new(format_args!("{runs} runs"), why).hint("name fewer runs"));
    }
    Ok(())
}

/// The runs in the legend of a picture, and what they have in common.
fn series(runs: &[&NamedRun]) -> (Vec<Series>, String) {
    let traits: Vec<_> = runs
        .iter()
        .map(|stored| words::traits(&stored.listed))
        .collect();
    let names = Names::of(&traits);
    let series = runs.iter().zip(names.each).map(|(stored, name)| {
        let partial = if stored.listed.partial {
            ", partial"
        } else {
            ""
        };
        Series {
            key: stored.name() + partial,
            name,
        }
    });
    (series.collect(), names.title)
}

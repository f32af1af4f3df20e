//! The commands of `plot`, one file each.

mod compare;
mod context;
mod history;

pub(crate) use compare::tone;
pub(crate) use history::draw as draw_trend;

use super::named::NamedRun;
use super::{Context, OutFile, words};
use base::time::date;
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

/// A run in the legend of a picture.
fn series(stored: &NamedRun) -> Series {
    let run = &stored.listed;
    let partial = if run.partial { " partial" } else { "" };
    let model = words::with_quant(&words::known(&run.model, "model"), run.quant.as_ref());
    Series {
        key: format!("run {}", run.id),
        name: format!(
            "{}, score {}{partial}, {} {}, {}, {model}",
            date(run.measured_at),
            run.summary.listed_score(),
            words::known(&run.runtime, "runtime"),
            words::known(&run.runtime_version, "version"),
            words::known(&run.accelerator, "accelerator"),
        ),
    }
}

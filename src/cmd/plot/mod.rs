//! The pictures, one file each.

mod compare;
mod context;
mod history;

pub(crate) use compare::tone;
pub(crate) use history::draw as draw_trend;

use std::path::PathBuf;

use super::compare::StoredRun;
use super::{Context, words};
use base::time::date;
use base::{Error, Result};
use picture::{MAX_SERIES, Picture, Series};

/// Draw runs as SVG: a trend, a comparison, speed against context length
///
/// The picture follows its reader's light or dark setting. In a browser, marks and bars show their
/// values under the mouse.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore plot history --metric gen_tps --out trend.svg"
)]
pub struct Args {
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

/// Where the picture goes.
#[derive(Debug, clap::Args)]
struct Target {
    /// Write to this file, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Target {
    fn write(&self, picture: &Picture, context: &mut Context) -> Result<()> {
        super::deliver(&picture.document(), self.out.as_deref(), context)
    }
}

/// No picture, and why.
fn nothing(why: &str) -> Error {
    Error::new("nothing to draw", why).hint("'localstore list' shows the runs")
}

/// An error for more runs than can be told apart.
fn check_number(runs: usize) -> Result<()> {
    if runs > MAX_SERIES {
        let why = format!("only {MAX_SERIES} can be told apart in one picture");
        return Err(Error::new(format_args!("{runs} runs"), why).hint("name fewer runs"));
    }
    Ok(())
}

/// A run as a picture names it.
fn series(stored: &StoredRun) -> Series {
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

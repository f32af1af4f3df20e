//! The commands of `trace`, one file each.

mod parts;
mod record;

use base::{ExitStatus, Result, Stdout};
use db::Location;

use crate::place::Root;

/// Records of coding agents: what they did, part by part, and the code at each part
///
/// 'record' runs an agent and keeps each part of its work: what it thought, said and called, the code as
/// it was then, and the tests that it ran. The other commands go back into that.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore trace record -- codex exec --json 'Fix the failing test'"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Record(record::Args),
    Parts(parts::Args),
}

/// What the commands work with.
struct Context<'a> {
    /// The store, which has the index.
    location: &'a Location,
    /// Where trajectories are.
    root: Root,
    out: &'a mut Stdout,
}

impl Args {
    /// Whether the output goes through the pager where the terminal is shorter.
    #[must_use]
    pub fn is_paged(&self) -> bool {
        matches!(self.command, Command::Parts(_))
    }

    /// Runs the command.
    pub fn run(&self, location: &Location, out: &mut Stdout) -> Result<ExitStatus> {
        let root = Root::of(location)?;
        let mut context = Context {
            location,
            root,
            out,
        };
        match &self.command {
            Command::Record(args) => return record::run(args, &mut context),
            Command::Parts(args) => parts::run(args, &mut context)?,
        }
        Ok(ExitStatus::Success)
    }
}

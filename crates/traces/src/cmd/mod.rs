//! The commands of `trace`, one file each.

mod checkout;
mod diff;
mod list;
mod parts;
mod record;
mod show;

use base::{Error, ExitStatus, Result, Stdout};
use db::Location;

use crate::model::{Part, Trace};
use crate::place::Root;
use crate::repo::is_hash;

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
    List(list::Args),
    Show(show::Args),
    Parts(parts::Args),
    Checkout(checkout::Args),
    Diff(diff::Args),
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
        matches!(
            self.command,
            Command::List(_) | Command::Show(_) | Command::Parts(_) | Command::Diff(_)
        )
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
            Command::List(args) => list::run(args, &mut context)?,
            Command::Show(args) => show::run(args, &mut context)?,
            Command::Parts(args) => parts::run(args, &mut context)?,
            Command::Checkout(args) => checkout::run(args, &mut context)?,
            Command::Diff(args) => diff::run(args, &mut context)?,
        }
        Ok(ExitStatus::Success)
    }
}

/// The part of this number; an error if there is none.
fn part_of(trace: &Trace, number: u64) -> Result<&Part> {
    let none = || {
        let why = match trace.part_count() {
            0 => "the trajectory has no parts".to_owned(),
            count => format!("the trajectory has parts 1 to {count}"),
        };
        Error::new(format_args!("part {number}"), why)
    };
    trace.part(number).ok_or_else(none)
}

/// The commit that holds the code as of this part; an error if there is none.
fn commit_of(part: &Part) -> Result<&str> {
    match part.git_commit.as_deref() {
        Some(commit) => check_commit(part, commit),
        None => Err(Error::new(
            format_args!("part {}", part.part),
            "nothing was committed until then",
        )),
    }
}

/// Refuses what is not the name of a commit: git might take it for an option.
fn check_commit<'a>(part: &Part, commit: &'a str) -> Result<&'a str> {
    if is_hash(commit) {
        return Ok(commit);
    }
    let why = format!("invalid commit '{commit}'");
    Err(Error::new(format_args!("part {}", part.part), why))
}

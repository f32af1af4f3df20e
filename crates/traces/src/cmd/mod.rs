//! The commands of `trace`, one file each.

#![allow(
    clippy::doc_markdown,
    reason = "the comments of arguments are help, which is plain text"
)]

mod analyze;
mod bisect;
mod checkout;
mod diff;
mod eval;
mod export;
mod import;
mod list;
mod parts;
mod pull;
mod push;
mod record;
mod repair;
mod rm;
mod show;
mod verify;

use std::ops::RangeInclusive;
use std::time::Duration;

use base::{Error, ExitStatus, Result, Screen, Stdout};
use db::Location;

use crate::exchange;
use crate::model::{Part, Trace};
use crate::place::{Folder, Root};
use crate::record::is_surely_recorded;
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
    Eval(eval::Args),
    Bisect(bisect::Args),
    Analyze(analyze::Args),
    Verify(verify::Args),
    Repair(repair::Args),
    Import(import::Args),
    Export(export::Args),
    Push(push::Args),
    Pull(pull::Args),
    Rm(rm::Args),
}

/// How something is printed that is no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
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
            Command::List(_)
                | Command::Show(_)
                | Command::Parts(_)
                | Command::Diff(_)
                | Command::Analyze(_)
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
            Command::Eval(args) => return eval::run(args, &mut context),
            Command::Bisect(args) => return bisect::run(args, &mut context),
            Command::Analyze(args) => analyze::run(args, &mut context)?,
            Command::Verify(args) => return verify::run(args, &mut context),
            Command::Repair(args) => repair::run(args, &mut context)?,
            Command::Import(args) => import::run(args, &mut context)?,
            Command::Export(args) => export::run(args, &mut context)?,
            Command::Push(args) => push::run(args, &mut context)?,
            Command::Pull(args) => pull::run(args, &mut context)?,
            Command::Rm(args) => return rm::run(args, &mut context),
        }
        Ok(ExitStatus::Success)
    }
}

/// A trajectory that is given out: an error if it is being recorded, or if something is wrong with it.
fn whole(id: &str, context: &Context) -> Result<(Folder, Trace)> {
    let folder = context.root.find(id)?;
    if is_surely_recorded(&folder) {
        return Err(Error::new(&folder.id, "it is being recorded"));
    }
    let trace = Trace::read(&folder.trace())?;
    let name = |file: &str| folder.path.join(file).display().to_string();
    let hint = if trace.session_end.is_none() {
        format!("'localstore trace repair {}' completes it", folder.id)
    } else {
        format!("'localstore trace verify {}' lists all", folder.id)
    };
    exchange::check(&trace, &folder.bundle(), &name).map_err(|error| error.hint(hint))?;
    Ok((folder, trace))
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
fn commit_of<'a>(trace: &Trace, part: &'a Part) -> Result<&'a str> {
    if let Some(commit) = part.git_commit.as_deref() {
        return check_commit(part, commit);
    }
    let count = trace.part_count();
    let mut parts = trace.parts.iter();
    let hint = match parts.find(|part| part.git_commit.is_some()) {
        Some(first) => format!(
            "of parts 1 to {count}, the first with a commit is {}",
            first.part
        ),
        None => format!("none of parts 1 to {count} has a commit"),
    };
    let what = format!("part {}", part.part);
    Err(Error::new(what, "nothing was committed until then").hint(hint))
}

/// Refuses what is not the name of a commit: git might take it for an option.
fn check_commit<'a>(part: &Part, commit: &'a str) -> Result<&'a str> {
    if is_hash(commit) {
        return Ok(commit);
    }
    let why = format!("invalid commit '{commit}'");
    Err(Error::new(format_args!("part {}", part.part), why))
}

/// The parts from one to another, else from the first or to the last of all; an error if one of them is not
/// there.
fn parts_between(trace: &Trace, from: Option<u64>, to: Option<u64>) -> Result<RangeInclusive<u64>> {
    let first = from.unwrap_or(1);
    let last = to.unwrap_or(trace.part_count());
    part_of(trace, first)?;
    part_of(trace, last)?;
    if first > last {
        let why = "the first is behind the last";
        return Err(Error::new(format_args!("parts {first} to {last}"), why));
    }
    Ok(first..=last)
}

/// The longest head of a column with a suite.
const SUITE_HEAD: usize = 16;

/// The head of the column of a suite, which is cut only on a screen.
fn suite_head(suite: &str, screen: Screen) -> String {
    match screen.width {
        Some(_) => base::cut(suite, SUITE_HEAD).into_owned(),
        None => suite.to_owned(),
    }
}

/// The first letters of a commit, as they are shown.
fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// Parts from one to another: `4-7`, or `4`.
fn span(first: u64, last: u64) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// Reads a limit of time.
fn timeout(text: &str) -> Result<Duration, String> {
    match base::time::duration(text)? {
        Duration::ZERO => Err(base::time::DURATIONS.to_owned()),
        time => Ok(time),
    }
}

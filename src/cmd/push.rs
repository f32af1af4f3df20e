use std::io::Write;

use super::Context;
use super::submission::variable;
use super::tally::Tally;
use super::words::{counted, describe_foreign};
use crate::fleet::{self, Address, Event, Prepared, Remote, Token};
use crate::store::Store;
use base::{ExitStatus, Progress, Result, Stderr, Stdout, note};

/// Send the runs that a remote database has not got from this store
///
/// The remote is a libSQL database, which many machines share; 'push --init' prepares it. Runs travel
/// whole, with their tags and with links of what was submitted. Chats never do. Pushing again sends
/// what is new. What was committed before a failure stays there, and the next push goes on behind it.
///
/// A token is read from LOCALSTORE_TOKEN, or from the first line of the file that
/// LOCALSTORE_TOKEN_FILE names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore push libsql://fleet.example.org")]
pub(crate) struct Args {
    /// libsql://HOST, https://… or http://… [default: $LOCALSTORE_REMOTE]
    remote: Option<Address>,
    /// Prepare the database, or bring its tables up to date, and send nothing
    #[arg(long)]
    init: bool,
    /// Say what would be sent, change nothing
    #[arg(long, conflicts_with = "init")]
    dry_run: bool,
}

/// The remote that is named, or that the environment names.
pub(super) fn remote(named: Option<&Address>) -> Result<Remote> {
    let address = Address::resolve(named.cloned(), variable)?;
    let token = Token::from_environment(variable)?;
    Remote::new(address, token, variable)
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let remote = remote(args.remote.as_ref())?;
    let out = &mut context.out;
    if args.init {
        let line = match fleet::prepare(&remote)? {
            Prepared::Made { site_runs: 0 } => format!("{}: prepared", remote.address()),
            Prepared::Made { site_runs } => format!(
                "{}: prepared; {} of the web site taken in",
                remote.address(),
                counted(site_runs, "run")
            ),
            Prepared::Before => format!("{}: was prepared before", remote.address()),
        };
        writeln!(out, "{}", out.screen().fold(&line))?;
        return Ok(ExitStatus::Success);
    }
    let mut store = if args.dry_run {
        Store::open_readonly(&context.location)?
    } else {
        Store::open(&context.location)?
    };
    let mut moving = Moving::new("pushing", "send", args.dry_run, out);
    let pushed = fleet::push(&mut store, &remote, args.dry_run, &mut |event| {
        moving.tell(event)
    });
    moving.end(pushed)
}

/// Shows what happens to runs that go to a remote or come from it.
pub(super) struct Moving<'a> {
    out: &'a mut Stdout,
    doing: &'static str,
    progress: Option<Progress>,
    runs: Tally,
    left_out: u64,
    newer: u64,
    removed: u64,
    withdrawn: u64,
}

impl<'a> Moving<'a> {
    /// `doing` is for the bar, `verb` for what is done with a run.
    pub(super) fn new(
        doing: &'static str,
        verb: &'static str,
        dry_run: bool,
        out: &'a mut Stdout,
    ) -> Self {
        Self {
            out,
            doing,
            progress: None,
            runs: Tally::new("run", verb, dry_run),
            left_out: 0,
            newer: 0,
            removed: 0,
            withdrawn: 0,
        }
    }

    /// Shows what happened.
    pub(super) fn tell(&mut self, event: Event<'_>) -> Result<()> {
        let screen = self.out.screen();
        match event {
            Event::Begin { runs, is_first } => {
                if is_first {
                    note(fleet::WHAT_TRAVELS);
                }
                // On a terminal the lines tell how far it is.
                if !self.out.is_terminal() {
                    self.progress = Some(Progress::new(self.doing, runs));
                }
            }
            Event::Run {
                id,
                stored,
                foreign,
            } => {
                let line = self.runs.count(id, stored, || describe_foreign(foreign));
                if let Some(line) = line {
                    writeln!(self.out, "{}", screen.fold(&line))?;
                }
            }
            Event::Known(count) => self.runs.known(count),
            Event::Newer(count) => self.newer += count,
            Event::RemovedHere(count) => self.removed += count,
            Event::Withdrawn(id) => {
                self.withdrawn += 1;
                writeln!(self.out, "run {id}, withdrawn: removed")?;
            }
            Event::Behind => {
                self.out.flush()?;
                note("the remote is behind what was pulled before: nothing is taken over");
            }
            Event::LeftOut(error) => {
                self.left_out += 1;
                self.out.flush()?;
                Stderr::error(&error);
            }
        }
        if let Some(progress) = &self.progress {
            progress.set(self.all());
        }
        Ok(())
    }

    fn all(&self) -> u64 {
        self.runs.all() + self.left_out + self.newer + self.removed
    }

    /// Prints how many runs there were, unless it failed.
    pub(super) fn end(self, done: Result<()>) -> Result<ExitStatus> {
        drop(self.progress);
        // What was committed has been said, whatever the failure.
        self.out.flush()?;
        done?;
        let all = self.runs.all() + self.left_out + self.newer + self.removed;
        let mut sum = format!("{}: {}", counted(all, "run"), self.runs.sum());
        for (count, what) in [
            (self.newer, "need a newer program"),
            (self.removed, "removed here before"),
            (self.withdrawn, "withdrawn"),
            (self.left_out, "refused"),
        ] {
            if count > 0 {
                sum += &format!(", {count} {what}");
            }
        }
        writeln!(self.out, "{}", self.out.screen().fold(&sum))?;
        if self.newer > 0 {
            note("'localstore pull' of a newer program takes over the runs that were left out");
        }
        Ok(if self.left_out > 0 {
            ExitStatus::Failure
        } else {
            ExitStatus::Success
        })
    }
}

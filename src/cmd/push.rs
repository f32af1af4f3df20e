use std::io::Write;

use super::Context;
use super::submission::variable;
use super::tally::Tally;
use super::words::{counted, describe_foreign, describe_listed, is_verbose};
use crate::fleet::{self, Address, Event, Prepared, Remote, Token};
use crate::store::Store;
use base::{ExitStatus, Progress, Result, Stderr, Stdout, note, printable};

/// Send the runs that a remote database has not got from this store
///
/// The remote is a libSQL database, which many machines share; 'push --init' prepares it. Runs travel
/// whole, with their tags and the links of their submissions; chats never do. Pushing again sends what
/// is new. What was committed before a failure stays there, and the next push goes on after it.
///
/// A token is read from LOCALSTORE_TOKEN, or from the first line of the file that
/// LOCALSTORE_TOKEN_FILE names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore push libsql://fleet.example.org")]
pub(crate) struct Args {
    #[arg(help = "libsql://HOST, https://… or http://… [default: $LOCALSTORE_REMOTE]")]
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
        let mut progress = None;
        let prepared = fleet::prepare(&remote, &mut |done, all| {
            let progress = progress.get_or_insert_with(|| Progress::new("taking in", all));
            progress.set(done);
        });
        drop(progress);
        let line = match prepared? {
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
    let mut moving = Moving::new("send", args.dry_run, &remote, out);
    let pushed = fleet::push(&mut store, &remote, args.dry_run, &mut |event| {
        moving.tell(event)
    });
    moving.end(pushed)
}

/// The most runs that have a line each on a terminal.
const MANY: u64 = 20;

/// Shows what happens to runs that go to a remote or come from it.
pub(super) struct Moving<'a> {
    out: &'a mut Stdout,
    remote: &'a Remote,
    dry_run: bool,
    /// How many runs are expected.
    expected: u64,
    progress: Option<Progress>,
    /// Whether lines were printed on a terminal, where they tell how far it is.
    has_lines: bool,
    runs: Tally,
    left_out: u64,
    newer: u64,
    removed: u64,
    withdrawn: u64,
}

impl<'a> Moving<'a> {
    /// `verb` is for what is done with a run.
    pub(super) fn new(
        verb: &'static str,
        dry_run: bool,
        remote: &'a Remote,
        out: &'a mut Stdout,
    ) -> Self {
        Self {
            out,
            remote,
            dry_run,
            expected: 0,
            progress: None,
            has_lines: false,
            runs: Tally::new("run", verb, dry_run),
            left_out: 0,
            newer: 0,
            removed: 0,
            withdrawn: 0,
        }
    }

    /// Shows what happened.
    pub(super) fn tell(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Begin { runs, is_first } => {
                self.expected = runs;
                if is_first && !self.dry_run {
                    let address = self.remote.address();
                    note(&format!("first push to {address}: {}", fleet::WHAT_TRAVELS));
                }
            }
            Event::Run {
                id,
                stored,
                foreign,
            } => {
                let line = self.runs.count(id, stored, || describe_foreign(foreign));
                if let Some(line) = line {
                    self.line(&line)?;
                }
            }
            Event::Known(count) => self.runs.known(count),
            Event::Newer(count) => self.newer += count,
            Event::RemovedHere(count) => self.removed += count,
            Event::Committed => self.out.flush()?,
            Event::Withdrawn(run) => {
                self.withdrawn += 1;
                let verb = if self.dry_run {
                    "would remove"
                } else {
                    "removed"
                };
                let line = format!("{verb} run {}, withdrawn: {}", run.id, describe_listed(run));
                self.line(&printable(&line))?;
            }
            Event::Behind => {
                self.interrupt()?;
                let address = self.remote.address();
                note(&format!(
                    "{address}: it is behind what was pulled before, so nothing is taken over"
                ));
            }
            Event::LeftOut(error) => {
                self.left_out += 1;
                self.interrupt()?;
                Stderr::error(&error);
            }
        }
        if self.has_lines {
            return Ok(());
        }
        let all = self.all();
        let progress = self.progress.get_or_insert_with(Progress::of_traffic);
        let (sent, received) = self.remote.traffic();
        progress.set_traffic(all, self.expected.max(all), sent + received);
        Ok(())
    }

    /// Prints a line; where there are many on a terminal, the progress tells how far it is.
    fn line(&mut self, line: &str) -> Result<()> {
        let is_terminal = self.out.is_terminal();
        if is_terminal && self.expected.max(self.all()) > MANY && !is_verbose() {
            return Ok(());
        }
        if is_terminal {
            self.progress = None;
            self.has_lines = true;
        }
        let line = self.out.screen().fold(line);
        Ok(writeln!(self.out, "{line}")?)
    }

    /// Makes room for a line on stderr.
    fn interrupt(&mut self) -> Result<()> {
        self.progress = None;
        Ok(self.out.flush()?)
    }

    fn all(&self) -> u64 {
        self.runs.all() + self.left_out + self.newer + self.removed
    }

    /// Prints how many runs there were, unless it failed.
    pub(super) fn end(mut self, done: Result<()>) -> Result<ExitStatus> {
        // What was committed has been said, whatever the failure.
        self.interrupt()?;
        let (sent, received) = self.remote.traffic();
        let address = self.remote.address();
        tracing::info!("{address}: {sent} bytes sent, {received} bytes received");
        done?;
        let mut sum = format!("{}: {}", counted(self.all(), "run"), self.runs.sum());
        for (count, what) in [
            (self.newer, "need a newer program"),
            (self.removed, "removed here before"),
            (self.withdrawn, "withdrawn"),
            (self.left_out, "refused"),
        ] {
            if count > 0 {
                let more = format!(", {count} {what}");
                sum.push_str(&more);
            }
        }
        writeln!(self.out, "{}", self.out.screen().fold(&sum))?;
        if self.newer > 0 {
            self.out.flush()?;
            let need = if self.newer == 1 { "needs" } else { "need" };
            let runs = counted(self.newer, "run");
            note(&format!(
                "{runs} {need} a newer localstore, whose next 'pull' takes them over"
            ));
        }
        Ok(if self.left_out > 0 {
            ExitStatus::Failure
        } else {
            ExitStatus::Success
        })
    }
}

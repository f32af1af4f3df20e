//! What `push` and `pull` show of the runs that they move.

use std::io::Write;

use super::tally::Tally;
use super::words::{describe_foreign, describe_listed, is_verbose};
use crate::fleet::{self, Event, Remote};
use base::{ExitStatus, Progress, Result, Stderr, Stdout, counted, note, printable};

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
            let (need, them) = if self.newer == 1 {
                ("needs", "it")
            } else {
                ("need", "them")
            };
            let runs = counted(self.newer, "run");
            note(&format!(
                "{runs} {need} a newer localstore, whose next 'pull' takes {them} over"
            ));
        }
        Ok(if self.left_out > 0 {
            ExitStatus::Failure
        } else {
            ExitStatus::Success
        })
    }
}

//! The lines about runs, and what is said of all of them at the end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use super::captures::Folders;
use super::{Adder, Waiting};
use crate::cmd::standing::Standing;
use crate::cmd::words::{describe, is_verbose};
use crate::store::{Dated, Measured, Stored};
use base::time::date;
use base::{Error, Progress, Result, Screen, Stderr, Stdout, counted, printable};

/// The most runs of a call that have a line each on a terminal.
const MANY: usize = 20;

/// The most ids of slower runs in the line at the end. No more are looked for, as each takes ten
/// times as long as to store a run.
pub(super) const MOST_IDS: usize = 20;

/// The stream for the lines about runs.
pub(crate) enum Messages<'a> {
    /// They are the command's output.
    Stdout(&'a mut Stdout),
    /// Standard output is a copy of a program's output.
    Stderr,
}

impl Messages<'_> {
    pub(super) fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout(out) => out.is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }
}

/// What became of a run.
pub(super) struct Outcome {
    pub(super) stored: Stored,
    /// For people.
    pub(super) line: String,
    /// How a new run stands beside the earlier ones.
    pub(super) standing: Option<Standing>,
}

impl Adder<'_> {
    /// `5000 runs: 4998 new, 2 already stored; slower: 17, 400, 401`, or the same of folders.
    pub(super) fn sum(&self) -> Option<String> {
        let all: usize = self.counts.iter().sum();
        if all <= MANY && self.folders.is_none() {
            return None;
        }
        let [new, completed, already] = self.counts;
        let new = match &self.folders {
            Some(_) => counted(new as u64, "new run"),
            None => format!("{new} new"),
        };
        let completed = (completed > 0).then(|| format!("{completed} completed"));
        let already = (already > 0).then(|| format!("{already} already stored"));
        let counts: Vec<String> = [Some(new), completed, already]
            .into_iter()
            .flatten()
            .collect();
        let counts = counts.join(", ");
        let mut line = match &self.folders {
            Some(Folders { files, .. }) => format!("{}: {counts}", counted(*files, "file")),
            None => format!("{all} runs: {counts}"),
        };
        if self.options.dry_run {
            line += "; '--dry-run' stores nothing";
        }
        if all > MANY && !self.slower.is_empty() {
            let ids = self.slower.iter().take(MOST_IDS).map(i64::to_string);
            line += "; slower: ";
            line += &ids.collect::<Vec<_>>().join(", ");
        }
        if self.slower.len() > MOST_IDS {
            line += " and more";
        }
        if let Some(Folders { without, .. }) = self.folders
            && without > 0
        {
            let files = counted(without, "file");
            let _ = write!(line, "; {files} without a result");
            if !is_verbose() {
                line += " ('-v' names them)";
            }
        }
        Some(line)
    }

    /// Whether so many more runs are too many for a line each on a terminal.
    pub(super) fn is_many(&self, more: usize) -> bool {
        let before: usize = self.counts.iter().sum();
        before + more > MANY && !is_verbose()
    }

    /// Counts the runs, and prints a line for each, unless there are many on a terminal.
    pub(super) fn tell(&mut self, outcomes: &[Outcome], is_many: bool) -> Result<()> {
        for outcome in outcomes {
            self.counts[outcome.stored as usize] += 1;
        }
        if !is_many || !self.messages.is_terminal() {
            return self.flush_messages(outcomes);
        }
        self.show_progress();
        Ok(())
    }

    /// Prints an error; other runs are still stored.
    pub(crate) fn print_error(&mut self, error: &Error) {
        self.failed = true;
        self.progress = None;
        Stderr::error(error);
    }

    pub(super) fn stored(&self) -> u64 {
        self.counts.iter().sum::<usize>() as u64
    }

    /// `1000 of 5000 runs`, where as many are expected as the bytes that are left make likely.
    pub(super) fn show_progress(&mut self) {
        let stored = self.stored();
        let total = match self.bytes {
            (Some(all), read) if read > 0 => {
                u128::from(stored) * u128::from(all) / u128::from(read)
            }
            _ => 0,
        };
        let total = u64::try_from(total).unwrap_or(u64::MAX).max(stored);
        let progress = self.progress.get_or_insert_with(Progress::of_runs);
        progress.set_of(stored, total);
    }

    /// Prints the lines and flushes them. A closed pipe does not stop storing.
    pub(super) fn flush_messages(&mut self, outcomes: &[Outcome]) -> Result<()> {
        match &mut self.messages {
            Messages::Stderr => {
                let screen = Stderr::screen();
                for outcome in outcomes {
                    Stderr::print(&outcome.lines(screen));
                }
            }
            Messages::Stdout(_) if self.is_pipe_closed => {}
            Messages::Stdout(out) => {
                let screen = out.screen();
                let printed = outcomes
                    .iter()
                    .try_for_each(|outcome| out.styled(outcome.lines(screen).as_bytes()))
                    .and_then(|()| Ok(out.flush()?));
                match printed {
                    Err(error) if error.is_closed_pipe() => self.is_pipe_closed = true,
                    printed => return printed,
                }
            }
        }
        Ok(())
    }
}

impl Outcome {
    /// The lines for people.
    pub(super) fn lines(&self, screen: Screen) -> String {
        let mut lines = screen.fold(&printable(&self.line)) + "\n";
        if let Some(standing) = &self.standing {
            lines += &standing.line(screen);
            lines.push('\n');
        }
        lines
    }
}

/// The line of a run: what became of it, or with `--dry-run` would.
pub(super) fn line(stored: Stored, id: Option<i64>, is_dry: bool, described: &str) -> String {
    let id = id.unwrap_or_default();
    match stored {
        Stored::New if is_dry => format!("would store: {described}"),
        Stored::Completed if is_dry => format!("would complete run {id}: {described}"),
        Stored::New => format!("run {id}: {described}"),
        Stored::Completed => format!("run {id}, completed: {described}"),
        Stored::Already => format!("already stored as run {id}: {described}"),
    }
}

impl Waiting {
    /// The new run on one line, with its date if that is guessed.
    pub(super) fn describe(&self) -> String {
        let Dated { run, measured } = &self.dated;
        let mut line = describe(run);
        if Measured::told_by(run).is_none() {
            line += &guess(*measured, self.is_of_file);
        }
        line
    }
}

/// The end of the line of a run without a date: the guessed one, and where it is from.
pub(super) fn guess(measured: Measured, is_of_file: bool) -> String {
    if !measured.is_guessed {
        return String::new();
    }
    let why = if is_of_file {
        "guessed from the file's date"
    } else {
        "guessed: now"
    };
    format!(", measured ~{} ({why})", date(measured.at))
}

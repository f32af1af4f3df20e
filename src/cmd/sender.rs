//! Sends runs, one attempt at a time, each recorded before it is made.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::submission::{maybe_submitted, queued_hint, remark, removed_error, unknown_hint};
use crate::model::{Submission, SubmissionState};
use crate::store::{End, Store, Taken, submissions};
use crate::submit::{ATTEMPTS, Client, Exchange, Outcome, Site, retry};
use base::{Error, Result};
use base::{Stderr, Stdout, note};

/// A run that may be sent.
pub(crate) struct Ready {
    pub id: i64,
    pub payload: String,
    /// The earlier submission that may be repeated although its outcome is unknown.
    pub again: Option<Submission>,
}

/// Sends runs to a site.
pub(crate) struct Sender<'a> {
    pub store: Store,
    pub client: &'a Client,
    pub site: &'a Site,
    /// Waits between attempts.
    pub wait: &'a dyn Fn(Duration),
    /// Whether an error was printed.
    pub failed: bool,
}

/// Why a run was not submitted.
#[derive(Debug)]
struct NotSent {
    error: Error,
    rest: Rest,
}

impl From<Error> for NotSent {
    fn from(error: Error) -> Self {
        let rest = Rest::Send;
        Self { error, rest }
    }
}

/// What to do with the other runs after one that was not submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Send them.
    Send,
    /// Leave them for later.
    Leave,
    /// Leave them for later, since they would fail too.
    LeaveSinceFutile,
}

impl Sender<'_> {
    /// Queues the runs, and drops those that cannot be queued.
    pub(crate) fn queue(&mut self, runs: &mut Vec<Ready>) {
        runs.retain(|run| {
            let error = match self
                .store
                .write(|db| submissions::queue(db, run.id, self.site.as_str()))
            {
                Ok(true) => return true,
                Ok(false) => removed_error(run.id),
                Err(error) => error,
            };
            self.print_error(&error);
            false
        });
    }

    /// Sends the runs, and prints for each the link or the error.
    pub(crate) fn send_all(&mut self, runs: &[Ready], out: &mut Stdout) -> Result<()> {
        // Sending goes on even if standard output is closed.
        let mut printed = Ok(());
        for (index, run) in runs.iter().enumerate() {
            match self.send(run) {
                Ok(Some(link)) => printed = printed.and_then(|()| print_link(out, &link)),
                Ok(None) => {}
                Err(NotSent { error, rest }) => {
                    self.print_error(&error);
                    if rest != Rest::Send {
                        self.note_left(&runs[index + 1..], rest);
                        break;
                    }
                }
            }
        }
        printed
    }

    /// Prints an error, and records that there was one.
    pub(crate) fn print_error(&mut self, error: &Error) {
        self.failed = true;
        Stderr::error(error);
    }

    /// Notes how many runs were not tried.
    fn note_left(&self, runs: &[Ready], rest: Rest) {
        let is_queued = |run: &&Ready| {
            let found = self.store.read(|db| submissions::submission(db, run.id));
            matches!(found, Ok(Some(found)) if found.state == SubmissionState::Pending)
        };
        let queued = runs.iter().filter(is_queued).count();
        let why = match rest {
            Rest::LeaveSinceFutile => ", since they would fail too",
            Rest::Send | Rest::Leave => "",
        };
        if queued > 0 {
            note(&format!("{queued} more stay queued{why}"));
        }
        if runs.len() > queued {
            let others = runs.len() - queued;
            note(&format!("{others} more were not sent again{why}"));
        }
    }

    /// Sends a run and returns the link to it; `None` if another process has submitted it.
    fn send(&mut self, run: &Ready) -> Result<Option<String>, NotSent> {
        let mut attempts = 0;
        let mut again = run.again.clone();
        let wait = self.wait;
        let attempted = retry(
            || {
                attempts += 1;
                self.attempt(run, &mut again)
            },
            |attempt, pause| {
                let seconds = pause.as_secs();
                progress(&format!(
                    "Retry attempt {attempt} of {ATTEMPTS} after {seconds} seconds...\n"
                ));
                wait(pause);
            },
        );
        attempted?.map_or(Ok(None), |outcome| {
            self.conclude(run.id, attempts, outcome).map(Some)
        })
    }

    /// The link, or the final error, after the message of the C tool.
    fn conclude(&self, id: i64, attempts: u32, outcome: Outcome) -> Result<String, NotSent> {
        let is_unknown = matches!(outcome, Outcome::Unknown { .. });
        let (why, rest) = match outcome {
            Outcome::Taken { id } => return Ok(self.site.link(id)),
            Outcome::Refused { why } => (why, Rest::Send),
            Outcome::Later { why } => (why, Rest::LeaveSinceFutile),
            Outcome::Again {
                why,
                after: Some(pause),
            } if attempts < ATTEMPTS => {
                let time = in_words(pause);
                let why = format!("{why}, and asks to wait {time}");
                (why, Rest::LeaveSinceFutile)
            }
            Outcome::Again { why, .. } | Outcome::Unknown { why } => (why, Rest::Leave),
        };
        Stderr::print(&format!(
            "Failed to submit results after {attempts} attempts\n"
        ));
        let error = Error::new(format_args!("run {id} was not submitted"), why);
        let error = match self.store.read(|db| submissions::submission(db, id)) {
            Err(error) => error,
            Ok(Some(now)) if now.state == SubmissionState::Unknown && is_unknown => {
                maybe_submitted(id, &now)
            }
            // The outcome of an earlier attempt is unknown.
            Ok(Some(now)) if now.state == SubmissionState::Unknown => {
                error.hint(unknown_hint(id, &now))
            }
            Ok(Some(now)) if now.state == SubmissionState::Pending => {
                error.hint(queued_hint(1, self.site))
            }
            Ok(_) => error,
        };
        Err(NotSent { error, rest })
    }

    /// Records an attempt, makes it, and records its outcome. `again` is the submission that may be
    /// repeated, and is replaced by that of this attempt. `None`: another process has submitted the
    /// run.
    fn attempt(
        &mut self,
        run: &Ready,
        again: &mut Option<Submission>,
    ) -> Result<Option<Outcome>, NotSent> {
        let id = run.id;
        let attempt = match self
            .store
            .write(|db| submissions::take(db, id, self.site.as_str(), again.as_ref()))?
        {
            Taken::Attempt(attempt) => attempt,
            Taken::Submitted(submission) => {
                note(&remark(id, &submission));
                return Ok(None);
            }
            Taken::Unknown(submission) => return Err(maybe_submitted(id, &submission).into()),
            Taken::Gone => return Err(removed_error(id).into()),
        };
        let length = run.payload.len();
        tracing::info!("run {id}: {length} bytes to {}{}", self.site, Site::PATH);
        let Exchange { outcome, line } = self.client.post(&run.payload);
        tracing::info!("run {id}: {outcome:?}");
        if let Some(line) = line {
            Stderr::print(&format!("{line}\n"));
        }
        *again = attempt.left_open();
        let end = match &outcome {
            Outcome::Taken { id } => End::Submitted {
                id: *id,
                link: self.site.link(*id),
                site: self.site.to_string(),
            },
            Outcome::Again { why, .. } | Outcome::Later { why } => End::Pending(why.clone()),
            Outcome::Refused { why } => End::Failed(why.clone()),
            Outcome::Unknown { why } => End::Unknown(why.clone()),
        };
        let mut settle = || {
            self.store
                .write(|db| submissions::settle(db, &attempt, &end))
        };
        let settled = settle().or_else(|error| {
            // The first try has waited for a busy store, but the outcome must not be lost.
            note(&format!("run {id}: {error}; trying once more"));
            settle()
        });
        match (settled, &end) {
            (Ok(true), _) => {}
            (Ok(false), End::Submitted { .. }) => note(&format!(
                "run {id} was removed from the store while it was sent; its link is not recorded"
            )),
            (Ok(false), _) => return Err(removed_error(id).into()),
            (Err(error), End::Submitted { link, .. }) => {
                let what = format_args!("run {id} was submitted, but this could not be recorded");
                let hint = format!(
                    "to record it: (localstore export {id} -o json; echo 'Result Link: {link}') | \
                     localstore add"
                );
                self.print_error(&Error::new(what, error).hint(hint));
            }
            (Err(error), _) => return Err(error.into()),
        }
        Ok(Some(outcome))
    }
}

/// Prints the progress messages of the C tool, if stderr is a terminal.
pub(crate) fn progress(lines: &str) {
    if io::stderr().is_terminal() {
        Stderr::print(lines);
    }
}

/// Prints the link as the C tool does, without delay: the next run may take a while.
fn print_link(out: &mut Stdout, link: &str) -> Result<()> {
    writeln!(out, "Result Link: {link}")?;
    Ok(out.flush()?)
}

/// The time that a site asks us to wait, which may be absurd.
fn in_words(time: Duration) -> String {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    match time.as_secs() {
        seconds if seconds > YEAR => "more than a year".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(all(test, feature = "network"))]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::model::Run;
    use crate::store::{Dated, Location, Measured, runs};

    #[test]
    fn a_run_is_pending_between_two_attempts() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::resolve(Some(folder.path().join("store")), None);
        let mut store = Store::open(&location).unwrap();
        let run = Dated {
            run: Run::default(),
            measured: Measured::guessed(0),
        };
        store.write(|db| runs::add_all(db, &[run], None)).unwrap();
        // No server listens at this port.
        let site: Site = "http://127.0.0.1:9".parse().unwrap();
        let client = Client::new(&site, |_| None).unwrap();
        let seen = RefCell::new(Vec::new());
        let mut sender = Sender {
            store,
            client: &client,
            site: &site,
            failed: false,
            wait: &|pause| {
                let store = Store::open_readonly(&location).unwrap();
                let now = store
                    .read(|db| submissions::submission(db, 1))
                    .unwrap()
                    .unwrap();
                let seconds = pause.as_secs();
                seen.borrow_mut().push((seconds, now.state, now.attempts));
            },
        };
        let run = Ready {
            id: 1,
            payload: "{}".to_owned(),
            again: None,
        };
        let failed = sender.send(&run).unwrap_err();
        assert_eq!(failed.rest, Rest::Leave);
        let pending = SubmissionState::Pending;
        assert_eq!(*seen.borrow(), [(2, pending, 1), (4, pending, 2)]);
    }
}

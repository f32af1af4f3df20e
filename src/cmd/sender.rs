//! Sends runs, one attempt at a time, each recorded before it is made.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::submission::{look_first, maybe_submitted, queued, remark, removed};
use crate::model::{Submission, SubmissionState};
use crate::store::{End, Store, Taken, submissions};
use crate::submit::{ATTEMPTS, Client, Exchange, Outcome, Site, retry};
use base::{Error, Result};
use base::{Stderr, Stdout, note};

/// A run that may be sent.
pub(crate) struct Ready {
    pub id: i64,
    pub payload: String,
    /// The submission that may be repeated though it is not known how it ended.
    pub again: Option<Submission>,
}

/// Sends runs to a site.
pub(crate) struct Sender<'a> {
    pub store: Store,
    pub client: &'a Client,
    pub site: &'a Site,
    /// Waits before another attempt.
    pub wait: &'a dyn Fn(Duration),
    /// Whether an error was printed.
    pub failed: bool,
}

/// A run that is not submitted.
#[derive(Debug)]
struct NotSent {
    error: Error,
    others: Others,
}

impl From<Error> for NotSent {
    fn from(error: Error) -> Self {
        let others = Others::Sent;
        Self { error, others }
    }
}

/// What happens to the other runs after one that was not submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// They are sent.
    Sent,
    /// They are left for another time.
    Left,
    /// They are left for another time, since they would fail too.
    Hopeless,
}

impl Sender<'_> {
    /// Puts the runs in the queue, and drops those that cannot be queued.
    pub(crate) fn queue(&mut self, runs: &mut Vec<Ready>) {
        runs.retain(|run| {
            let error = match self
                .store
                .write(|db| submissions::queue(db, run.id, self.site.as_str()))
            {
                Ok(true) => return true,
                Ok(false) => removed(run.id),
                Err(error) => error,
            };
            self.complain(&error);
            false
        });
    }

    /// Sends the runs, and prints the link to each, or the error that kept it from being sent.
    pub(crate) fn send_all(&mut self, runs: &[Ready], out: &mut Stdout) -> Result<()> {
        // If standard output is closed, sending goes on.
        let mut printed = Ok(());
        for (index, run) in runs.iter().enumerate() {
            match self.send(run) {
                Ok(Some(link)) => printed = printed.and_then(|()| print_link(out, &link)),
                Ok(None) => {}
                Err(NotSent { error, others }) => {
                    self.complain(&error);
                    if others != Others::Sent {
                        self.note_left(runs.get(index + 1..).unwrap_or_default(), others);
                        break;
                    }
                }
            }
        }
        printed
    }

    /// Prints an error, and remembers that there was one.
    pub(crate) fn complain(&mut self, error: &Error) {
        self.failed = true;
        Stderr::error(error);
    }

    /// Says how many runs are not tried.
    fn note_left(&self, rest: &[Ready], others: Others) {
        let waits = |run: &&Ready| {
            let now = self
                .store
                .read(|db| submissions::submission(db, run.id))
                .ok()
                .flatten();
            now.is_some_and(|now| now.state == SubmissionState::Pending)
        };
        let queued = rest.iter().filter(waits).count();
        let why = match others {
            Others::Hopeless => ", they would fare no better",
            Others::Sent | Others::Left => "",
        };
        if queued > 0 {
            note(&format!("{queued} more stay queued{why}"));
        }
        if rest.len() > queued {
            let others = rest.len() - queued;
            note(&format!("{others} more were not sent again{why}"));
        }
    }

    /// Sends a run, and gives the link to it; none if another process has submitted it.
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

    /// The link, or what is said in the end, in the words of the C tool and then in ours.
    fn conclude(&self, id: i64, attempts: u32, outcome: Outcome) -> Result<String, NotSent> {
        let is_unknown = matches!(outcome, Outcome::Unknown { .. });
        let (why, others) = match outcome {
            Outcome::Taken { id } => return Ok(self.site.link(id)),
            Outcome::Refused { why } => (why, Others::Sent),
            Outcome::Later { why } => (why, Others::Hopeless),
            Outcome::Again {
                why,
                after: Some(pause),
            } if attempts < ATTEMPTS => {
                let time = in_words(pause);
                let why = format!("{why}, and wants to be left alone for {time}");
                (why, Others::Hopeless)
            }
            Outcome::Again { why, .. } | Outcome::Unknown { why } => (why, Others::Left),
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
            // An earlier attempt is the one whose end is not known.
            Ok(Some(now)) if now.state == SubmissionState::Unknown => {
                error.hint(look_first(id, &now))
            }
            Ok(Some(now)) if now.state == SubmissionState::Pending => {
                error.hint(queued(1, self.site))
            }
            Ok(_) => error,
        };
        Err(NotSent { error, others })
    }

    /// Records an attempt, makes it, and records how it ended. `again` is what may be repeated, and
    /// becomes what this attempt leaves. No outcome: another process has submitted the run.
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
            Taken::Gone => return Err(removed(id).into()),
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
        let settled = self
            .store
            .write(|db| submissions::settle(db, &attempt, &end))
            .or_else(|error| {
                // It has waited for a busy store already, but the outcome must not be lost.
                note(&format!("run {id}: {error}; trying once more"));
                self.store
                    .write(|db| submissions::settle(db, &attempt, &end))
            });
        match (settled, &end) {
            (Ok(true), _) => {}
            (Ok(false), End::Submitted { .. }) => note(&format!(
                "run {id} was removed from the store while it was sent; its link is not noted"
            )),
            (Ok(false), _) => return Err(removed(id).into()),
            (Err(error), End::Submitted { link, .. }) => {
                let what = format_args!("run {id} was submitted, which could not be noted");
                let hint = format!(
                    "to note it: (localstore export {id} -o json; echo 'Result Link: {link}') | \
                     localstore add"
                );
                self.complain(&Error::new(what, error).hint(hint));
            }
            (Err(error), _) => return Err(error.into()),
        }
        Ok(Some(outcome))
    }
}

/// Prints what the C tool says while it works, if stderr is a terminal.
pub(crate) fn progress(lines: &str) {
    if io::stderr().is_terminal() {
        Stderr::print(lines);
    }
}

/// Prints the link as the C tool does, at once: the next run may take a while.
fn print_link(out: &mut Stdout, link: &str) -> Result<()> {
    writeln!(out, "Result Link: {link}")?;
    Ok(out.flush()?)
}

/// A time that a site asks for, which may be absurd.
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
    use crate::store::{Location, runs};

    #[test]
    fn a_run_is_known_not_to_be_sent_while_another_attempt_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::resolve(Some(folder.path().join("store")), None);
        let mut store = Store::open(&location).unwrap();
        store
            .write(|db| runs::add_all(db, &[Run::default()], None))
            .unwrap();
        // No server listens there.
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
        assert_eq!(failed.others, Others::Left);
        let pending = SubmissionState::Pending;
        assert_eq!(*seen.borrow(), [(2, pending, 1), (4, pending, 2)]);
    }
}

//! Sends runs, one attempt at a time, each recorded before it is made.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::submission::{look_first, open, queued, remark};
use crate::model::{Submission, SubmissionState};
use crate::store::{End, Store, Taken, submissions};
use crate::submit::{ATTEMPTS, Client, Outcome, Site, persist};
use base::{Error, Result};
use base::{Stderr, Stdout, note};

/// A run that may be sent.
pub struct Ready {
    pub id: i64,
    pub payload: String,
    /// The submission that may be repeated though it is not known how it ended.
    pub again: Option<Submission>,
}

/// Sends runs to a site.
pub struct Sender<'a> {
    pub store: Store,
    pub client: &'a Client,
    pub site: &'a Site,
    /// Waits before another attempt.
    pub wait: &'a dyn Fn(Duration),
}

/// What became of sending a run.
enum Sent {
    /// The site took it and shows it there.
    Link(String),
    /// The same, and it could not be noted.
    Unnoted(String, Error),
    /// Another process has submitted it: what is to be said.
    Already(String),
    /// It is not submitted.
    Not(Error, Others),
}

/// What becomes of the runs behind one that was not submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// They are sent.
    Sent,
    /// They are left for another time.
    Left,
    /// The same, for they would end the same.
    Hopeless,
}

impl Sender<'_> {
    /// Sends the runs, and prints the link to each. What keeps one of them from being sent is told.
    pub fn send_all(mut self, runs: &[Ready], out: &mut Stdout, failed: &mut bool) -> Result<()> {
        // Where nobody reads the links any more, sending goes on.
        let mut heard = Ok(());
        for (index, run) in runs.iter().enumerate() {
            match self.send(run) {
                Sent::Link(link) => heard = heard.and_then(|()| print_link(out, &link)),
                Sent::Unnoted(link, error) => {
                    heard = heard.and_then(|()| print_link(out, &link));
                    complain(&error, failed);
                }
                Sent::Already(remark) => note(&remark),
                Sent::Not(error, others) => {
                    complain(&error, failed);
                    if others != Others::Sent {
                        self.leave(runs.get(index + 1..).unwrap_or_default(), others);
                        break;
                    }
                }
            }
        }
        heard
    }

    /// Tells of the runs that are not tried.
    fn leave(&self, rest: &[Ready], how: Others) {
        let waits = |run: &&Ready| {
            let now = self
                .store
                .read(|db| submissions::submission(db, run.id))
                .ok()
                .flatten();
            now.is_some_and(|now| now.state == SubmissionState::Pending)
        };
        let queued = rest.iter().filter(waits).count();
        let others = rest.len() - queued;
        let why = match how {
            Others::Hopeless => ", they would fare no better",
            Others::Sent | Others::Left => "",
        };
        if queued > 0 {
            note(&format!("{queued} more stay queued{why}"));
        }
        if others > 0 {
            note(&format!("{others} more were not sent again{why}"));
        }
    }

    fn send(&mut self, run: &Ready) -> Sent {
        let mut attempts = 0;
        let mut again = run.again.clone();
        let wait = self.wait;
        let outcome = persist(
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
        match outcome {
            Ok(outcome) => self.conclude(run.id, attempts, outcome),
            Err(sent) => sent,
        }
    }

    /// What is said in the end, in the words of the C tool and then in ours.
    fn conclude(&self, id: i64, attempts: u32, outcome: Outcome) -> Sent {
        let is_open = matches!(outcome, Outcome::Unknown { .. });
        let (why, others) = match outcome {
            Outcome::Taken { id } => return Sent::Link(self.site.link(id)),
            Outcome::Refused { why } => (why, Others::Sent),
            Outcome::Later { why } => (why, Others::Hopeless),
            Outcome::Again {
                why,
                after: Some(pause),
            } if attempts < ATTEMPTS => {
                let time = long(pause);
                let why = format!("{why}, and wants to be left alone for {time}");
                (why, Others::Hopeless)
            }
            Outcome::Again { why, .. } | Outcome::Unknown { why } => (why, Others::Left),
        };
        Stderr::print(&format!(
            "Failed to submit results after {attempts} attempts\n"
        ));
        let submission = match self.store.read(|db| submissions::submission(db, id)) {
            Ok(submission) => submission,
            Err(error) => return Sent::Not(error, others),
        };
        let error = Error::new(format_args!("run {id} was not submitted"), why);
        let error = match &submission {
            Some(now) if now.state == SubmissionState::Unknown && is_open => open(id, now),
            // What an earlier attempt left open.
            Some(now) if now.state == SubmissionState::Unknown => error.hint(look_first(id, now)),
            Some(now) if now.state == SubmissionState::Pending => error.hint(queued(1, self.site)),
            _ => error,
        };
        Sent::Not(error, others)
    }

    /// Records an attempt, makes it, and records how it ended. `again` is what may be repeated, and
    /// becomes what this attempt leaves.
    fn attempt(&mut self, run: &Ready, again: &mut Option<Submission>) -> Result<Outcome, Sent> {
        let id = run.id;
        let taken = self
            .store
            .write(|db| submissions::take(db, id, self.site.as_str(), again.as_ref()));
        let attempt = match taken.map_err(not)? {
            Taken::Attempt(attempt) => attempt,
            Taken::Submitted(submission) => return Err(Sent::Already(remark(id, &submission))),
            Taken::Unknown(submission) => return Err(not(open(id, &submission))),
            Taken::Gone => return Err(not(gone(id))),
        };
        let length = run.payload.len();
        tracing::info!("run {id}: {length} bytes to {}", self.site.endpoint());
        let exchange = self.client.post(&run.payload);
        tracing::info!("run {id}: {:?}", exchange.outcome);
        if let Some(line) = exchange.line {
            Stderr::print(&format!("{line}\n"));
        }
        *again = attempt.left_open();
        let end = match &exchange.outcome {
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
                // It has waited for a busy store already; much depends on it.
                note(&format!("run {id}: {error}; trying once more"));
                self.store
                    .write(|db| submissions::settle(db, &attempt, &end))
            });
        match (settled, end) {
            (Ok(true), _) => Ok(exchange.outcome),
            (Ok(false), End::Submitted { .. }) => {
                note(&format!(
                    "run {id} was removed from the store while it was sent; its link is not noted"
                ));
                Ok(exchange.outcome)
            }
            (Ok(false), _) => Err(not(gone(id))),
            (Err(error), End::Submitted { link, .. }) => {
                let what = format_args!("run {id} was submitted, which could not be noted");
                let error = Error::new(what, error).hint(format!(
                    "to note it: (localstore export {id} -o json; echo 'Result Link: {link}') | \
                     localstore add"
                ));
                Err(Sent::Unnoted(link, error))
            }
            (Err(error), _) => Err(not(error)),
        }
    }
}

fn not(error: Error) -> Sent {
    Sent::Not(error, Others::Sent)
}

/// The error of a run that another process has removed.
pub fn gone(id: i64) -> Error {
    let what = format_args!("run {id} was not submitted");
    Error::new(what, "it is not in the store any more")
}

/// Prints an error, and notes that there was one.
pub fn complain(error: &Error, failed: &mut bool) {
    *failed = true;
    Stderr::error(error);
}

/// What the C tool tells while it works, where a person is watching.
pub fn progress(lines: &str) {
    if io::stderr().is_terminal() {
        Stderr::print(lines);
    }
}

/// As the C tool ends; at once, for the next run may take its time.
fn print_link(out: &mut Stdout, link: &str) -> Result<()> {
    writeln!(out, "Result Link: {link}")?;
    Ok(out.flush()?)
}

/// A time that a site asks for, which may be any.
fn long(time: Duration) -> String {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    match time.as_secs() {
        seconds if seconds > YEAR => "more than a year".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(all(test, feature = "submit"))]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::model::Run;
    use crate::store::{Location, runs};
    use crate::submit::Timeouts;

    #[test]
    fn a_run_is_known_not_to_be_sent_while_another_attempt_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::resolve(Some(folder.path().join("store")), None);
        let mut store = Store::open(&location).unwrap();
        store
            .write(|db| runs::add_all(db, &[Run::default()], None))
            .unwrap();
        // Nobody listens there.
        let site: Site = "http://127.0.0.1:9".parse().unwrap();
        let client = Client::new(&site, Timeouts::default(), |_| None).unwrap();
        let seen = RefCell::new(Vec::new());
        let mut sender = Sender {
            store,
            client: &client,
            site: &site,
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
        let sent = sender.send(&run);
        assert!(matches!(sent, Sent::Not(_, Others::Left)));
        let pending = SubmissionState::Pending;
        assert_eq!(*seen.borrow(), [(2, pending, 1), (4, pending, 2)]);
    }
}

//! Sends runs, one attempt at a time, each recorded before it is made, and asks the site for those
//! whose answer was lost.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::submission::{
    Asked, already, queued_hint, record_link, removed_error, sent_between, unknown,
};
use crate::model::{Submission, SubmissionState};
use crate::store::{End, Shown, Store, Taken, submissions};
use crate::submit::{ATTEMPTS, Client, Outcome, Site, Wanted, retry};
use base::{Error, Result};
use base::{Stderr, Stdout, note};

/// The time after which the site is asked once more for a run that it did not show: it may have been
/// storing it still.
const SECOND_LOOK: Duration = Duration::from_secs(2);

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
    /// Whether standard output is that of a benchmark: then a link is printed as the C tool does.
    pub recorded: bool,
    /// Whether the site could not be asked for a run: then it is not asked for the others.
    pub is_mute: bool,
    /// Whether an error was printed.
    pub failed: bool,
}

/// A run that is on the site.
#[derive(Debug)]
enum Sent {
    /// The site answered with this link.
    Answered(String),
    /// No answer, but the site shows it at this link.
    Found(String),
    /// Another process has submitted it.
    Before(Submission),
}

/// Why a run was not submitted.
#[derive(Debug)]
struct NotSent {
    error: Error,
    /// Whether to send the other runs; else they are left for later.
    go_on: bool,
    /// Whether the run stays in the queue.
    is_queued: bool,
}

impl From<Error> for NotSent {
    fn from(error: Error) -> Self {
        Self {
            error,
            go_on: true,
            is_queued: false,
        }
    }
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
                Ok(sent) => printed = printed.and_then(|()| self.print(run.id, &sent, out)),
                Err(not_sent) if not_sent.go_on => self.print_error(&not_sent.error),
                Err(not_sent) => {
                    self.leave(not_sent, run.id, &runs[index + 1..]);
                    break;
                }
            }
        }
        printed
    }

    /// Prints where a run is on the site, without delay: the next one may take a while.
    fn print(&self, id: i64, sent: &Sent, out: &mut Stdout) -> Result<()> {
        let line = match sent {
            Sent::Before(submission) => return self.print_submitted(id, submission, out),
            Sent::Answered(link) | Sent::Found(link) if self.recorded => {
                format!("Result Link: {link}")
            }
            Sent::Answered(link) => format!("run {id}: submitted: {link}"),
            Sent::Found(link) => {
                format!("run {id}: submitted (no answer, but the site has it): {link}")
            }
        };
        let line = out.screen().fold(&line);
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }

    /// Prints that a run was submitted before.
    pub(crate) fn print_submitted(
        &self,
        id: i64,
        submission: &Submission,
        out: &mut Stdout,
    ) -> Result<()> {
        let line = already(id, submission);
        if self.recorded {
            note(&line);
        } else {
            let line = out.screen().fold(&line);
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }

    /// Prints an error, and records that there was one.
    pub(crate) fn print_error(&mut self, error: &Error) {
        self.failed = true;
        Stderr::error(error);
    }

    /// Prints why a run was not sent, and that the others are left for later; the hint to send what
    /// is queued comes once, at the end.
    fn leave(&mut self, not_sent: NotSent, after: i64, rest: &[Ready]) {
        let mut errors = vec![(not_sent.error, not_sent.is_queued)];
        for run in rest {
            let found = self.store.read(|db| submissions::submission(db, run.id));
            let state = found.ok().flatten().map(|found| found.state);
            let is_queued = state == Some(SubmissionState::Pending);
            let how = if is_queued {
                "queued"
            } else {
                "not sent again"
            };
            let what = format_args!("run {}: {how}", run.id);
            let why = format_args!("not tried after run {after}");
            errors.push((Error::new(what, why), is_queued));
        }
        let last = errors.iter().rposition(|(_, is_queued)| *is_queued);
        for (index, (error, _)) in errors.into_iter().enumerate() {
            let error = match last {
                Some(last) if last == index => error.hint(queued_hint(self.site)),
                _ => error,
            };
            self.print_error(&error);
        }
    }

    /// Sends a run.
    fn send(&mut self, run: &Ready) -> Result<Sent, NotSent> {
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
        )?;
        if let Some(outcome) = attempted {
            return self.conclude(run, attempts, outcome);
        }
        let submission = self
            .store
            .read(|db| submissions::submission(db, run.id))?
            .ok_or_else(|| removed_error(run.id))?;
        Ok(Sent::Before(submission))
    }

    /// The link, or the final error.
    fn conclude(&mut self, run: &Ready, attempts: u32, outcome: Outcome) -> Result<Sent, NotSent> {
        let id = run.id;
        let (how, why, go_on) = match outcome {
            Outcome::Taken { id } => return Ok(Sent::Answered(self.site.link(id))),
            Outcome::Unknown { why, answered } => {
                let what = if answered { &why } else { "no answer" };
                return self.conclude_unknown(run, what);
            }
            Outcome::Refused { why } => ("refused", why, true),
            Outcome::Again {
                why,
                after: Some(pause),
            } if attempts < ATTEMPTS => {
                let time = in_words(pause);
                let why = format!("{why}, and asks to wait {time}");
                ("queued", why, false)
            }
            Outcome::Again { why, .. } | Outcome::Broken { why, .. } | Outcome::Later { why } => {
                ("queued", why, false)
            }
        };
        let error = |how: &str| Error::new(format_args!("run {id}: {how}"), &why);
        let now = self.store.read(|db| submissions::submission(db, id))?;
        let is_queued = now
            .as_ref()
            .is_some_and(|now| now.state == SubmissionState::Pending);
        let error = match &now {
            // The outcome of an earlier attempt is unknown.
            Some(now) if now.state == SubmissionState::Unknown => {
                unknown(id, &format!("not sent again ({why})"), now, &Asked::Before)
            }
            _ => error(how),
        };
        Err(NotSent {
            error,
            go_on,
            is_queued,
        })
    }

    /// Asks the site for a run that was just sent, and of which it is not known whether it arrived.
    fn conclude_unknown(&mut self, run: &Ready, what: &str) -> Result<Sent, NotSent> {
        let mut asked = self.find_sent(run)?;
        if matches!(asked, Asked::NotShown) {
            (self.wait)(SECOND_LOOK);
            match self.find_sent(run)? {
                Asked::Failed => {}
                other => asked = other,
            }
        }
        let Some(now) = self.store.read(|db| submissions::submission(db, run.id))? else {
            return Err(removed_error(run.id).into());
        };
        match asked {
            Asked::Shown(id) => Ok(Sent::Found(self.site.link(id))),
            asked => Err(NotSent {
                error: unknown(run.id, what, &now, &asked),
                go_on: false,
                is_queued: false,
            }),
        }
    }

    /// Asks the site for a run that was just sent.
    fn find_sent(&mut self, run: &Ready) -> Result<Asked> {
        let now = self.store.read(|db| submissions::submission(db, run.id))?;
        let now = now.ok_or_else(|| removed_error(run.id))?;
        self.ask(run.id, &run.payload, &now)
    }

    /// Asks the site for a run of an earlier call, whose answer was lost. Prints where it is, if the
    /// site shows it.
    pub(crate) fn find(
        &mut self,
        id: i64,
        payload: &str,
        before: &Submission,
        out: &mut Stdout,
    ) -> Result<Asked> {
        let asked = self.ask(id, payload, before)?;
        if let Asked::Shown(remote) = asked {
            self.print(id, &Sent::Found(self.site.link(remote)), out)?;
        }
        Ok(asked)
    }

    /// Asks the site for a run whose answer was lost, and records that it was submitted if the site
    /// certainly shows it.
    fn ask(&mut self, id: i64, payload: &str, before: &Submission) -> Result<Asked> {
        let other = Site::stored(before.site.as_deref());
        if other != *self.site {
            return Ok(Asked::Elsewhere(other));
        }
        let Some((from, to)) = sent_between(&self.store, id, before)? else {
            return Ok(Asked::Failed);
        };
        if self.is_mute {
            return Ok(Asked::Failed);
        }
        progress("Asking the site for it...\n");
        let found = match self.client.find(&Wanted::new(payload, from, to)) {
            Ok(found) => found,
            Err(why) => {
                tracing::info!("run {id}: {} cannot be asked: {why}", self.site);
                self.is_mute = true;
                return Ok(Asked::Failed);
            }
        };
        tracing::info!("run {id}: {} shows {found:?}", self.site);
        let site = self.site;
        let shown = self.store.write(|db| {
            submissions::set_found(db, id, &found, site.as_str(), |id| site.link(id))
        })?;
        Ok(match shown {
            Shown::One(id) => Asked::Shown(id),
            Shown::None => Asked::NotShown,
            Shown::Unclear(ids) => {
                Asked::Unclear(ids.into_iter().map(|id| site.link(id)).collect())
            }
        })
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
            Taken::Submitted(_) => return Ok(None),
            Taken::Unknown(submission) => {
                let what = "another process sends it";
                return Err(unknown(id, what, &submission, &Asked::Skipped).into());
            }
            Taken::Gone => return Err(removed_error(id).into()),
        };
        let length = run.payload.len();
        tracing::info!("run {id}: {length} bytes to {}{}", self.site, Site::PATH);
        let mut outcome = self.client.post(&run.payload);
        tracing::info!("run {id}: {outcome:?}");
        if let Outcome::Broken { why, after } = outcome {
            outcome = match self.find_sent(run)? {
                Asked::Shown(id) => Outcome::Taken { id },
                _ => Outcome::Again { why, after },
            };
        }
        *again = attempt.left_open();
        let end = match &outcome {
            Outcome::Taken { id } => End::Submitted {
                id: *id,
                link: self.site.link(*id),
                site: self.site.to_string(),
            },
            Outcome::Again { why, .. } | Outcome::Broken { why, .. } | Outcome::Later { why } => {
                End::Pending(why.clone())
            }
            Outcome::Refused { why } => End::Failed(why.clone()),
            Outcome::Unknown { why, .. } => End::Unknown(why.clone()),
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
                let what = format_args!("run {id}: submitted, but not recorded");
                self.print_error(&Error::new(what, error).hint(record_link(id, link)));
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
        let location = Location::resolve(Some(folder.path().join("store")), None, &[]);
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
            recorded: false,
            is_mute: false,
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
        assert!(failed.is_queued && !failed.go_on);
        let pending = SubmissionState::Pending;
        assert_eq!(*seen.borrow(), [(2, pending, 1), (4, pending, 2)]);
    }
}

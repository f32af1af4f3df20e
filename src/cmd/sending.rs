//! From the store to the site: what `submit` and `record` share.

use std::io::{self, BufRead, IsTerminal, Write};

use super::Context;
use super::show::partial_remark;
use super::storing::describe;
use crate::error::{Error, Result};
use crate::model::{Run, Submission, SubmissionState};
use crate::output::{Stderr, Stdout, note};
use crate::store::{End, Store, Taken};
use crate::submit::{ATTEMPTS, Client, Outcome, Payload, Site, Timeouts, persist, violations};

/// Where it is sent, and whether it is asked.
#[derive(Debug, clap::Args)]
pub struct Sending {
    // The address is no link of the documentation.
    #[arg(
        long,
        value_name = "URL",
        help = "The site [default: $LOCALSCORE_URL, else https://www.localscore.ai]"
    )]
    url: Option<Site>,
    /// Send without asking
    #[arg(
        short = 'y',
        long,
        visible_alias = "yes",
        overrides_with = "no_send_results"
    )]
    send_results: bool,
    /// Send nothing, do not ask
    #[arg(short, long, overrides_with = "send_results")]
    no_send_results: bool,
}

impl Sending {
    /// Whether any of the options is there.
    pub fn is_used(&self) -> bool {
        self.url.is_some() || self.send_results || self.no_send_results
    }

    /// Where it is sent; an error if it cannot be.
    pub fn target(&self) -> Result<Target> {
        let variable = std::env::var_os("LOCALSCORE_URL").filter(|url| !url.is_empty());
        let site = match (&self.url, variable) {
            (Some(site), _) => site.clone(),
            (None, Some(url)) => url
                .to_string_lossy()
                .parse()
                .map_err(|why| Error::new("LOCALSCORE_URL", why))?,
            (None, None) => Site::default(),
        };
        let consent = match (self.send_results, self.no_send_results) {
            (true, _) => Consent::Yes,
            (_, true) => Consent::No,
            _ if io::stdin().is_terminal() => Consent::Ask,
            _ => Consent::NobodyToAsk,
        };
        Ok(Target {
            client: Client::new(&site, Timeouts::default())?,
            site,
            consent,
        })
    }
}

/// Where runs are sent.
pub struct Target {
    site: Site,
    client: Client,
    consent: Consent,
}

/// Whether runs may be made public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    Yes,
    No,
    Ask,
    NobodyToAsk,
}

impl Target {
    /// Whether the runs may be sent; a person is asked in the words of the C tool.
    fn is_allowed(&self) -> Result<bool> {
        if self.consent != Consent::Ask {
            return Ok(self.consent == Consent::Yes);
        }
        Stderr::print(&format!(
            "\nDo you want to submit your results to {}? The results will be public (y/n): ",
            self.site.name()
        ));
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Error::new("standard input", error))?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

/// How runs are sent.
pub struct Orders {
    /// Also those that may be on the site.
    pub again: bool,
    /// They were stored, and so named, just now: where nobody can be asked, they wait.
    pub recorded: bool,
}

/// Sends runs. What keeps one of them from being sent is told, and the others are sent.
pub fn send(ids: &[i64], orders: &Orders, target: Target, context: &mut Context) -> Result<()> {
    let mut store = Store::open(&context.location)?;
    store.survive_power_failure()?;
    let mut failed = false;
    let mut ready = Vec::new();
    for &id in ids {
        match prepare(&mut store, id, orders) {
            Ok(payload) => ready.extend(payload.map(|payload| (id, payload))),
            Err(error) => complain(&error, &mut failed),
        }
    }
    let waiting: Vec<i64> = ready.iter().map(|(id, _)| *id).collect();
    if target.consent == Consent::NobodyToAsk && !waiting.is_empty() {
        let error = Error::new("not submitted", "there is no terminal to ask on");
        if !orders.recorded {
            return Err(error.hint("'-y' sends without asking"));
        }
        store.queue(&waiting)?;
        return Err(error.hint("it stays queued: 'localstore submit --pending' sends it"));
    }
    let mut heard = Ok(());
    if !waiting.is_empty() && target.is_allowed()? {
        // From here on they wait, whatever happens.
        store.queue(&waiting)?;
        progress("\nSubmitting results...\n");
        let again = orders.again;
        let sender = Sender {
            store,
            target,
            again,
        };
        heard = sender.send_all(&ready, &mut context.out, &mut failed);
    } else if !waiting.is_empty() {
        Stderr::print("\nResults Not Submitted.\n");
    }
    if failed {
        return Err(Error::reported());
    }
    heard
}

fn complain(error: &Error, failed: &mut bool) {
    *failed = true;
    Stderr::print(&error.lines().unwrap_or_default());
}

/// As the C tool ends; at once, for the next run may take its time.
fn print_link(out: &mut Stdout, link: &str) -> Result<()> {
    writeln!(out, "Result Link: {link}")
        .and_then(|()| out.flush())
        .map_err(|error| Error::stdout(&error))
}

/// The payload of a run that can be sent, which is told of; `None` if it was submitted before.
fn prepare(store: &mut Store, id: i64, orders: &Orders) -> Result<Option<String>> {
    if let Some(before) = store.submission(id)? {
        match before.state {
            SubmissionState::Submitted => {
                note(&remark(id, &before));
                return Ok(None);
            }
            SubmissionState::Unknown if !orders.again => return Err(open(id, &before)),
            _ => {}
        }
    }
    let run = store.run(id)?;
    let payload = Payload::of(&run);
    let found = violations(&payload.json);
    let Some((last, others)) = found.split_last() else {
        if !orders.recorded {
            introduce(id, &run);
        }
        remark_zeros(id, &payload);
        return Ok(Some(payload.text()));
    };
    let cannot = |violation| Error::new(format_args!("run {id} cannot be sent"), violation);
    for violation in others {
        Stderr::print(&cannot(violation).lines().unwrap_or_default());
    }
    let reason = match others.split_first() {
        Some((first, _)) => format!("{first} (and {} more)", others.len()),
        None => last.to_string(),
    };
    store.set_unsendable(id, &reason)?;
    Err(cannot(last))
}

/// What is about to be made public.
fn introduce(id: i64, run: &Run) {
    note(&format!("run {id}: {}", describe(run)));
    if let Some(remark) = partial_remark(id, run) {
        note(&remark);
    }
}

/// The submission of a run in a line.
pub fn remark(id: i64, submission: &Submission) -> String {
    let at = super::rfc3339(&submission.changed_at);
    let why = |before: &str| match &submission.reason {
        Some(reason) => format!("{before}{reason}"),
        None => String::new(),
    };
    match submission.state {
        SubmissionState::Submitted => {
            let link = submission
                .link
                .as_deref()
                .unwrap_or("its link is not known");
            format!("run {id} was submitted at {at}: {link}")
        }
        SubmissionState::Pending => {
            format!("run {id} waits to be submitted since {at}{}", why(": "))
        }
        SubmissionState::Failed => {
            let attempts = submission.attempts;
            format!(
                "run {id} was not submitted ({attempts} attempts){}",
                why(": ")
            )
        }
        SubmissionState::Unknown => {
            format!("run {id} may have been submitted at {at}{}", why(": "))
        }
    }
}

/// The error of a run that may be on the site.
fn open(id: i64, submission: &Submission) -> Error {
    Error::plain(remark(id, submission)).hint(look_first(id))
}

fn look_first(id: i64) -> String {
    format!("look whether the site shows it; 'localstore submit --again {id}' sends it again")
}

/// What became of sending a run.
enum Sent {
    /// The site took it and shows it there.
    Link(String),
    /// It did not.
    Not(Error),
    /// It did not, and would not take others either.
    Unreachable(Error),
}

struct Sender {
    store: Store,
    target: Target,
    again: bool,
}

impl Sender {
    fn send_all(
        mut self,
        runs: &[(i64, String)],
        out: &mut Stdout,
        failed: &mut bool,
    ) -> Result<()> {
        // Where nobody reads the links any more, sending goes on.
        let mut heard = Ok(());
        for (index, (id, payload)) in runs.iter().enumerate() {
            match self.send(*id, payload) {
                Ok(Sent::Link(link)) => heard = heard.and_then(|()| print_link(out, &link)),
                Ok(Sent::Not(error)) | Err(error) => complain(&error, failed),
                Ok(Sent::Unreachable(error)) => {
                    complain(&error, failed);
                    let rest = runs.len() - index - 1;
                    if rest > 0 {
                        note(&format!(
                            "{rest} more stay queued, they would fare no better"
                        ));
                    }
                    break;
                }
            }
        }
        heard
    }

    fn send(&mut self, id: i64, payload: &str) -> Result<Sent> {
        let mut attempts = 0;
        let outcome = persist(
            || {
                attempts += 1;
                self.attempt(id, payload)
            },
            |attempt, pause| {
                let seconds = pause.as_secs();
                progress(&format!(
                    "Retry attempt {attempt} of {ATTEMPTS} after {seconds} seconds...\n"
                ));
                std::thread::sleep(pause);
            },
        )?;
        let submission = self.store.submission(id)?;
        let unknown = submission.filter(|now| now.state == SubmissionState::Unknown);
        let failure = |why: &str| Error::new(format_args!("run {id} was not submitted"), why);
        let hinted = |error: Error| match &unknown {
            // What an earlier attempt left open.
            Some(_) => error.hint(look_first(id)),
            None => error.hint("it stays queued: 'localstore submit --pending' sends it"),
        };
        Ok(match outcome {
            Outcome::Taken { id } => Sent::Link(self.target.site.link(id)),
            Outcome::Again {
                why,
                after: Some(pause),
            } if attempts < ATTEMPTS => {
                let seconds = pause.as_secs();
                let why = format!("{why}, and wants to be left alone for {seconds} seconds");
                Sent::Unreachable(hinted(failure(&why)))
            }
            Outcome::Again { why, .. } => {
                // In the words of the C tool.
                let what = format!("Failed to submit results after {ATTEMPTS} attempts: {why}");
                Sent::Unreachable(hinted(Error::new(format_args!("run {id}"), what)))
            }
            Outcome::Later { why } => Sent::Unreachable(hinted(failure(&why))),
            Outcome::Refused { why } => Sent::Not(failure(&why)),
            Outcome::Unknown { why } => Sent::Unreachable(match &unknown {
                Some(submission) => open(id, submission),
                None => failure(&why),
            }),
        })
    }

    /// Records an attempt, makes it, and records how it ended.
    fn attempt(&mut self, id: i64, payload: &str) -> Result<Outcome> {
        let attempt = match self
            .store
            .take(id, &self.target.site.to_string(), self.again)?
        {
            Taken::Attempt(attempt) => attempt,
            Taken::Submitted(submission) => {
                return Err(Error::plain(remark(id, &submission)));
            }
            Taken::Unknown(submission) => return Err(open(id, &submission)),
        };
        tracing::info!(
            "run {id}: {} bytes to {}",
            payload.len(),
            self.target.site.endpoint()
        );
        let outcome = self.target.client.post(payload);
        tracing::info!("run {id}: {outcome:?}");
        if let Outcome::Again { why, .. } = &outcome {
            progress(&format!("Error submitting results: {why}\n"));
        }
        let end = match &outcome {
            Outcome::Taken { id } => End::Submitted {
                id: *id,
                link: self.target.site.link(*id),
            },
            Outcome::Again { why, .. } | Outcome::Later { why } => End::Pending(why.clone()),
            Outcome::Refused { why } => End::Failed(why.clone()),
            Outcome::Unknown { why } => {
                End::Unknown(format!("sent to {}, {why}", self.target.site))
            }
        };
        if let Err(error) = self.store.settle(&attempt, &end) {
            if let End::Submitted { link, .. } = &end {
                note(&format!(
                    "run {id} was submitted, which could not be noted: {link}"
                ));
            }
            return Err(error);
        }
        Ok(outcome)
    }
}

/// What the C tool tells while it works, where a person is watching.
fn progress(lines: &str) {
    if io::stderr().is_terminal() {
        Stderr::print(lines);
    }
}

/// What is told of a payload in which 0 stands for what is no number.
pub fn remark_zeros(id: i64, payload: &Payload) {
    for (field, tests) in &payload.zeros {
        let field = field.name();
        note(&format!(
            "run {id}: {field} is no number in {tests} tests; the site does not read it, it is sent as 0"
        ));
    }
}

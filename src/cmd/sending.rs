//! From the store to the site: what `submit` and `record` share.

use std::io::{self, BufRead, IsTerminal};

use super::Context;
use super::sender::{Ready, Sender, complain, gone, progress};
use super::show::partial_remark;
use super::storing::describe;
use super::submission::{in_flight, open, queued, remark, variable};
use crate::model::{Run, Source, SubmissionState};
use crate::store::{Store, runs, submissions};
use crate::submit::{Client, Payload, Site, Timeouts, Violation, violations};
use base::{Error, ExitStatus, Result};
use base::{Stderr, note};

/// What the C tool says where nobody agrees.
const NOT_SUBMITTED: &str = "\nResults Not Submitted.\n";

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

    /// The site that is meant.
    pub fn site(&self) -> Result<Site> {
        match (&self.url, variable("LOCALSCORE_URL")) {
            (Some(site), _) => Ok(site.clone()),
            (None, Some(url)) => url.parse().map_err(|why| Error::new("LOCALSCORE_URL", why)),
            (None, None) => Ok(Site::default()),
        }
    }

    /// Where it is sent; an error if it cannot be.
    pub fn target(&self) -> Result<Target> {
        let site = self.site()?;
        let timeouts = Timeouts::default();
        let consent = match (self.send_results, self.no_send_results) {
            (true, _) => Consent::Yes,
            (_, true) => Consent::No,
            // Who cannot see the question has not answered it.
            _ if io::stdin().is_terminal() && io::stderr().is_terminal() => Consent::Ask,
            _ => Consent::NobodyToAsk,
        };
        Ok(Target {
            client: Client::new(&site, timeouts, variable)?,
            timeouts,
            site,
            consent,
        })
    }
}

/// Where runs are sent.
pub struct Target {
    site: Site,
    client: Client,
    timeouts: Timeouts,
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
    /// The site.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Whether it was said beforehand that nothing is to be sent.
    pub fn is_forbidden(&self) -> bool {
        self.consent == Consent::No
    }

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
pub fn send(
    ids: &[i64],
    orders: &Orders,
    target: &Target,
    context: &mut Context,
) -> Result<ExitStatus> {
    let mut store = if target.is_forbidden() {
        Store::open_readonly(&context.location)?
    } else {
        let mut store = Store::open(&context.location)?;
        store.survive_power_failure()?;
        store
    };
    let mut failed = false;
    let mut ready = Vec::new();
    for &id in ids {
        match prepare(&mut store, id, orders, target) {
            Ok(run) => ready.extend(run),
            Err(error) => complain(&error, &mut failed),
        }
    }
    let mut heard = Ok(());
    let none = ready.is_empty();
    if !none && target.consent == Consent::NobodyToAsk {
        Stderr::print(NOT_SUBMITTED);
        let error = Error::new("not submitted", "there is no terminal to ask on");
        if !orders.recorded {
            return Err(error.hint("'-y' sends without asking"));
        }
        queue(&mut ready, &mut store, &target.site, &mut failed);
        return Err(match ready.len() {
            0 => error,
            runs => error.hint(queued(runs, &target.site)),
        });
    }
    if !none && target.is_allowed()? {
        // From here on they wait, whatever happens.
        queue(&mut ready, &mut store, &target.site, &mut failed);
        progress("\nSubmitting results...\n");
        let sender = Sender {
            store,
            client: &target.client,
            site: &target.site,
            wait: &std::thread::sleep,
        };
        heard = sender.send_all(&ready, &mut context.out, &mut failed);
    } else if !none {
        Stderr::print(NOT_SUBMITTED);
    }
    if failed {
        return Ok(ExitStatus::Failure);
    }
    heard.map(|()| ExitStatus::Success)
}

/// Makes the runs wait, and leaves out those of which that cannot be.
fn queue(ready: &mut Vec<Ready>, store: &mut Store, site: &Site, failed: &mut bool) {
    ready.retain(
        |run| match store.write(|db| submissions::queue(db, run.id, site.as_str())) {
            Ok(true) => true,
            Ok(false) => {
                complain(&gone(run.id), failed);
                false
            }
            Err(error) => {
                complain(&error, failed);
                false
            }
        },
    );
}

/// A run that can be sent, which is told of; `None` if it was submitted before.
fn prepare(store: &mut Store, id: i64, orders: &Orders, target: &Target) -> Result<Option<Ready>> {
    let before = store.read(|db| submissions::submission(db, id))?;
    if let Some(before) = &before {
        match before.state {
            SubmissionState::Submitted => {
                note(&remark(id, before));
                return Ok(None);
            }
            SubmissionState::Unknown if !orders.again => return Err(open(id, before)),
            _ => {}
        }
        if let Some(error) = in_flight(id, before, target.timeouts.total) {
            return Err(error);
        }
    }
    let run = store.read(|db| runs::read(db, id))?;
    let payload = Payload::of(&run);
    let found = violations(&payload.json);
    let Some((last, others)) = found.split_last() else {
        if !orders.recorded {
            introduce(id, &run);
        }
        remark_zeros(id, &payload);
        return Ok(Some(Ready {
            id,
            payload: payload.text(),
            again: before,
        }));
    };
    let what = format!("run {id} cannot be sent");
    for violation in others {
        Stderr::error(&Error::new(&what, violation));
    }
    if !target.is_forbidden() {
        let reason = match others.split_first() {
            Some((first, _)) => format!("{first} (and {} more)", others.len()),
            None => last.to_string(),
        };
        store.write(|db| submissions::set_unsendable(db, id, target.site.as_str(), &reason))?;
    }
    Err(last_violation(&what, last, run.source))
}

/// The error of the last thing that the site would refuse, with what to do where the capture told
/// too little.
pub fn last_violation(what: &str, violation: &Violation, source: Source) -> Error {
    let error = Error::new(what, violation);
    if source == Source::Json {
        return error;
    }
    error.hint("'localstore add' of the json of the same run adds what is missing")
}

/// What is about to be made public.
fn introduce(id: i64, run: &Run) {
    note(&format!("run {id}: {}", describe(run)));
    if let Some(remark) = partial_remark(id, run) {
        note(&remark);
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

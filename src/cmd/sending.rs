//! From the store to the site: what `submit` and `record` share.

use std::io::{self, BufRead, IsTerminal};

use super::Context;
use super::sender::{Ready, Sender, progress};
use super::show::partial_remark;
use super::storing::describe;
use super::submission::{in_flight, maybe_submitted, queued, remark, variable};
use crate::model::{Source, SubmissionState};
use crate::store::{Store, runs, submissions};
use crate::submit::{Client, Payload, Site, violations};
use base::{Error, ExitStatus, Result};
use base::{Stderr, note};

/// What the C tool says without consent.
const NOT_SUBMITTED: &str = "\nResults Not Submitted.\n";

/// Where runs are sent, and whether to ask first.
#[derive(Debug, clap::Args)]
pub(crate) struct Sending {
    // A doc comment would make the address a link.
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
    /// Whether any of the options was given.
    pub(crate) fn is_used(&self) -> bool {
        self.url.is_some() || self.send_results || self.no_send_results
    }

    /// The site that runs are sent to.
    pub(crate) fn site(&self) -> Result<Site> {
        match (&self.url, variable("LOCALSCORE_URL")) {
            (Some(site), _) => Ok(site.clone()),
            (None, Some(url)) => url.parse().map_err(|why| Error::new("LOCALSCORE_URL", why)),
            (None, None) => Ok(Site::default()),
        }
    }

    /// Where runs are sent; an error if this build or the environment does not allow it.
    pub(crate) fn target(&self) -> Result<Target> {
        let site = self.site()?;
        let consent = match (self.send_results, self.no_send_results) {
            (true, _) => Consent::Yes,
            (_, true) => Consent::No,
            // A question that is not seen is not answered.
            _ if io::stdin().is_terminal() && io::stderr().is_terminal() => Consent::Ask,
            _ => Consent::CannotAsk,
        };
        Ok(Target {
            client: Client::new(&site, variable)?,
            site,
            consent,
        })
    }
}

/// Where runs are sent.
pub(crate) struct Target {
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
    CannotAsk,
}

impl Target {
    /// The site.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Whether the options forbid sending.
    pub(crate) fn is_forbidden(&self) -> bool {
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
pub(crate) struct Orders {
    /// Also those that may be on the site.
    pub again: bool,
    /// They were stored, and so described, just now: if nobody can be asked, they are queued.
    pub recorded: bool,
}

/// Sends runs. If one of them cannot be sent, the error is printed and the others are sent.
pub(crate) fn send(
    ids: &[i64],
    orders: &Orders,
    target: &Target,
    context: &mut Context,
) -> Result<ExitStatus> {
    let store = if target.is_forbidden() {
        Store::open_readonly(&context.location)?
    } else {
        let mut store = Store::open(&context.location)?;
        store.survive_power_failure()?;
        store
    };
    let mut sender = Sender {
        store,
        client: &target.client,
        site: &target.site,
        wait: &std::thread::sleep,
        failed: false,
    };
    let mut ready = Vec::new();
    for &id in ids {
        match prepare(&mut sender.store, id, orders, target) {
            Ok(run) => ready.extend(run),
            Err(error) => sender.complain(&error),
        }
    }
    let mut sent = Ok(());
    if !ready.is_empty() {
        if target.is_allowed()? {
            // From here on they stay queued, whatever happens.
            sender.queue(&mut ready);
            progress("\nSubmitting results...\n");
            sent = sender.send_all(&ready, &mut context.out);
        } else {
            Stderr::print(NOT_SUBMITTED);
            if target.consent == Consent::CannotAsk {
                return Err(unasked(&mut sender, ready, orders));
            }
        }
    }
    if sender.failed {
        return Ok(ExitStatus::Failure);
    }
    sent.map(|()| ExitStatus::Success)
}

/// The error if nobody can be asked. Runs that were just recorded are queued.
fn unasked(sender: &mut Sender, mut ready: Vec<Ready>, orders: &Orders) -> Error {
    let error = Error::new("not submitted", "there is no terminal to ask on");
    if !orders.recorded {
        return error.hint("'-y' sends without asking");
    }
    sender.queue(&mut ready);
    match ready.len() {
        0 => error,
        runs => error.hint(queued(runs, sender.site)),
    }
}

/// Checks that a run can be sent, and describes it; `None` if it was submitted before.
fn prepare(store: &mut Store, id: i64, orders: &Orders, target: &Target) -> Result<Option<Ready>> {
    let before = store.read(|db| submissions::submission(db, id))?;
    if let Some(before) = &before {
        match before.state {
            SubmissionState::Submitted => {
                note(&remark(id, before));
                return Ok(None);
            }
            SubmissionState::Unknown if !orders.again => return Err(maybe_submitted(id, before)),
            _ => {}
        }
        if let Some(error) = in_flight(id, before) {
            return Err(error);
        }
    }
    let run = store.read(|db| runs::read(db, id))?;
    let payload = Payload::of(&run);
    let found = violations(&payload.json);
    if let Some(error) = refusal(&format!("run {id} cannot be sent"), &found, run.source) {
        if !target.is_forbidden() {
            let reason = match found.as_slice() {
                [first, _, rest @ ..] => format!("{first} (and {} more)", 1 + rest.len()),
                one => one.concat(),
            };
            store.write(|db| submissions::set_unsendable(db, id, target.site.as_str(), &reason))?;
        }
        return Err(error);
    }
    if !orders.recorded {
        note(&format!("run {id}: {}", describe(&run)));
        if let Some(remark) = partial_remark(id, &run) {
            note(&remark);
        }
    }
    remark_zeros(id, &payload);
    Ok(Some(Ready {
        id,
        payload: payload.text(),
        again: before,
    }))
}

/// Prints what the site would refuse but the last of it, which is the error, with a hint if the
/// capture lacks values. `None` if there is nothing.
pub(crate) fn refusal(what: &str, violations: &[String], source: Source) -> Option<Error> {
    let (last, others) = violations.split_last()?;
    for violation in others {
        note(&format!("{what}: {violation}"));
    }
    let error = Error::new(what, last);
    Some(match source {
        Source::Json => error,
        _ => error.hint("'localstore add' of the json of the same run adds what is missing"),
    })
}

/// Says in which fields of a payload 0 stands for what is not a number.
pub(crate) fn remark_zeros(id: i64, payload: &Payload) {
    for (field, tests) in &payload.zeros {
        let field = field.name();
        note(&format!(
            "run {id}: {field} is not a number in {tests} tests; the site does not read it, so 0 is sent"
        ));
    }
}

//! Sends runs from the store to the site, for `submit` and `record`.

use super::sender::{Ready, Sender, progress};
use super::submission::{Asked, in_flight, queued_hint, unknown, url_option, variable};
use super::words::describe;
use super::{Context, cannot_ask};
use crate::model::{Source, SubmissionState, Tool};
use crate::store::{Store, runs, select, submissions};
use crate::submit::{Client, Payload, Site, violations};
use base::{Error, ExitStatus, Result, answered_yes, can_ask};
use base::{Stderr, Stdout, note};

/// The message of the C tool without consent.
const NOT_SUBMITTED: &str = "\nResults Not Submitted.\n";

/// The options for the site and for consent.
#[derive(Debug, clap::Args)]
pub(crate) struct Sending {
    // In a doc comment the address would have to be a link.
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
    /// Send nothing and do not ask
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

    /// The target; an error if this build or the environment does not allow sending.
    pub(crate) fn target(&self) -> Result<Target> {
        let site = self.site()?;
        let consent = match (self.send_results, self.no_send_results) {
            (true, _) => Consent::Yes,
            (_, true) => Consent::No,
            _ if can_ask() => Consent::Ask,
            _ => Consent::CannotAsk,
        };
        Ok(Target {
            client: Client::new(&site, variable)?,
            site,
            consent,
        })
    }
}

/// The site, and whether runs may be sent to it.
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

    /// Whether the runs may be sent; asks as the C tool does.
    fn is_allowed(&self) -> Result<bool> {
        if self.consent != Consent::Ask {
            return Ok(self.consent == Consent::Yes);
        }
        let question = format!(
            "Do you want to submit your results to {}? The results will be public (y/n):",
            self.site.name()
        );
        let question = Stderr::screen().fold(&question);
        Stderr::print(&format!("\n{question} "));
        answered_yes()
    }
}

/// How to send runs.
pub(crate) struct Orders {
    /// Send even those that may be on the site.
    pub again: bool,
    /// They have just been stored, and so described: without a terminal to ask on, they are queued.
    pub recorded: bool,
}

/// Sends runs. For a run that cannot be sent, prints the error and goes on with the others.
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
        recorded: orders.recorded,
        is_mute: false,
        failed: false,
    };
    let mut ready = Vec::new();
    for &id in ids {
        match prepare(&mut sender, id, orders, target, &mut context.out) {
            Ok(run) => ready.extend(run),
            Err(error) => sender.print_error(&error),
        }
    }
    let mut sent = Ok(());
    if !ready.is_empty() {
        if target.is_allowed()? {
            // From here on they stay queued whatever happens.
            sender.queue(&mut ready);
            progress("\nSubmitting results...\n");
            sent = sender.send_all(&ready, &mut context.out);
        } else if target.consent == Consent::CannotAsk {
            return match not_asked(&mut sender, ready, orders) {
                Some(error) => Err(error),
                None => Ok(ExitStatus::Failure),
            };
        } else {
            Stderr::print(NOT_SUBMITTED);
        }
    }
    if sender.failed {
        return Ok(ExitStatus::Failure);
    }
    sent.map(|()| ExitStatus::Success)
}

/// The error without a terminal to ask on. Runs that were just recorded are queued; `None` if all of
/// them have been removed since.
fn not_asked(sender: &mut Sender, mut ready: Vec<Ready>, orders: &Orders) -> Option<Error> {
    if orders.recorded {
        sender.queue(&mut ready);
    }
    let ids: Vec<i64> = ready.iter().map(|run| run.id).collect();
    if ids.is_empty() {
        return None;
    }
    if orders.recorded {
        return Some(cannot_ask("run", &ids, "queued", "").hint(queued_hint(sender.site)));
    }
    let again = if orders.again { " --again" } else { "" };
    let command = format!("submit -y{again}{}", url_option(sender.site));
    Some(cannot_ask("run", &ids, "not submitted", &command))
}

/// Checks that a run can be sent, and describes it to who is asked; `None` if it is on the site,
/// which is printed.
fn prepare(
    sender: &mut Sender,
    id: i64,
    orders: &Orders,
    target: &Target,
    out: &mut Stdout,
) -> Result<Option<Ready>> {
    check_tool(&sender.store, id)?;
    let before = sender.store.read(|db| submissions::submission(db, id))?;
    if let Some(before) = &before
        && before.state == SubmissionState::Submitted
    {
        sender.print_submitted(id, before, out)?;
        return Ok(None);
    }
    let run = sender.store.read(|db| runs::read(db, id))?;
    let payload = Payload::of(&run);
    if let Some(before) = &before
        && before.state == SubmissionState::Unknown
    {
        let asked = if target.is_forbidden() {
            Asked::Skipped
        } else {
            sender.find(id, &payload.text(), before, out)?
        };
        if matches!(asked, Asked::Shown(_)) {
            return Ok(None);
        }
        if !orders.again {
            return Err(unknown(id, "no answer", before, &asked));
        }
        if let Some(error) = in_flight(id, before) {
            return Err(error);
        }
    }
    // Without a terminal to ask on, that is what a script has to know first.
    if run.is_partial() && target.consent != Consent::CannotAsk {
        return Err(partial(id));
    }
    let found = violations(&payload.json);
    if let [first, others @ ..] = found.as_slice() {
        let more = match others.len() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let reason = format!("{first}{more}");
        if !target.is_forbidden() {
            let site = target.site.as_str();
            sender
                .store
                .write(|db| submissions::set_unsendable(db, id, site, &reason))?;
        }
        let error = Error::new(format_args!("run {id}: not sent"), reason);
        return Err(with_source(error, run.source));
    }
    if target.consent == Consent::Ask && !orders.recorded {
        note(&format!("run {id}: {}", describe(&run)));
    }
    note_zeros(id, &payload);
    Ok(Some(Ready {
        id,
        payload: payload.text(),
        again: before,
    }))
}

/// An error for a run that LocalScore did not measure.
pub(crate) fn check_tool(store: &Store, id: i64) -> Result<()> {
    match store.read(|db| select::listed(db, id))?.tool {
        Tool::LocalScore => Ok(()),
        Tool::LlamaBench => {
            let why = "llama-bench measured it, and the site takes LocalScore's runs";
            Err(Error::new(format_args!("run {id}: not sent"), why))
        }
    }
}

/// The error for a run that lacks tests: the site would rank its score among those of whole runs.
pub(crate) fn partial(id: i64) -> Error {
    Error::new(format_args!("run {id}: not sent"), "partial")
}

/// The error for a run that the site would refuse, with a hint if its capture lacks values.
pub(crate) fn with_source(error: Error, source: Source) -> Error {
    match source {
        Source::Json => error,
        _ => error.hint("'localstore add' of the json of the same run adds what is missing"),
    }
}

/// Notes in which fields of a payload 0 stands for a value that is not a number.
pub(crate) fn note_zeros(id: i64, payload: &Payload) {
    for (field, tests) in &payload.zeros {
        let field = field.name();
        note(&format!(
            "run {id}: {field} is not a number in {tests} tests; 0 is sent, since the site ignores this field"
        ));
    }
}

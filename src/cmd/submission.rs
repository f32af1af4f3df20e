//! Notes, errors and hints about the submission of a run.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Submission, SubmissionState};
use crate::store::{Store, select};
use crate::submit::{LONGEST_ATTEMPT, Site};
use base::time::rfc3339;
use base::{Error, Result, shell_word};

/// The state of the submission of a run, in a line.
pub(crate) fn remark(id: i64, submission: &Submission) -> String {
    let at = rfc3339(&submission.changed_at);
    let site = Site::stored(submission.site.as_deref());
    let reason = submission.reason.as_ref();
    let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    match submission.state {
        SubmissionState::Submitted => {
            let link = submission.link.as_deref();
            let link = link.unwrap_or("its link is not known");
            format!("run {id} was submitted at {at}: {link}")
        }
        SubmissionState::Pending => {
            format!("run {id} has been queued for {site} since {at}{why}")
        }
        SubmissionState::Failed => {
            let attempts = submission.attempts;
            format!("run {id} was not submitted to {site} ({attempts} attempts){why}")
        }
        SubmissionState::Unknown if reason.is_none() => {
            format!(
                "run {id} may have been submitted to {site} at {at}: its outcome was not recorded"
            )
        }
        SubmissionState::Unknown => {
            format!("run {id} may have been submitted to {site} at {at}{why}")
        }
    }
}

/// The line for a run that was submitted before.
pub(crate) fn already(id: i64, submission: &Submission) -> String {
    let date = submission.changed_at.split(' ').next().unwrap_or_default();
    let link = submission.link.as_deref();
    let link = link.map_or_else(String::new, |link| format!(": {link}"));
    format!("run {id}: already submitted {date}{link}")
}

/// The error for a run that another process has removed.
pub(crate) fn removed_error(id: i64) -> Error {
    let what = format_args!("run {id}: not submitted");
    Error::new(what, "it is no longer in the store")
}

/// What the site shows of a run whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The run is the result of this id. That has been recorded.
    Shown(i64),
    /// Nothing that can be the run.
    NotShown,
    /// These results, and it is not certain which of them is the run.
    Unclear(Vec<String>),
    /// The site cannot be asked.
    Failed,
    /// It was sent to another site than the chosen one.
    Elsewhere(Site),
    /// The site was not asked.
    Skipped,
    /// The site was asked before it was to be sent again, and then it was not taken.
    Before,
}

/// The error for a run that may be on the site: `what` happened, and what the site showed then.
pub(crate) fn unknown(id: i64, what: &str, submission: &Submission, asked: &Asked) -> Error {
    let found = match asked {
        Asked::Shown(id) => format!("the site has it: {id}"),
        Asked::NotShown => "the site does not show it".to_owned(),
        Asked::Unclear(links) => {
            format!("the site shows {} like it: {}", links.len(), shown(links))
        }
        Asked::Failed => "the site cannot be asked".to_owned(),
        Asked::Elsewhere(site) => format!("it was sent to {site}"),
        Asked::Skipped => "the site was not asked".to_owned(),
        Asked::Before => "an earlier attempt had no answer".to_owned(),
    };
    let error = Error::new(
        format_args!("run {id}: unknown"),
        format!("{what}, and {found}"),
    );
    let url = url_option(&Site::stored(submission.site.as_deref()));
    error.hint(match asked {
        Asked::Unclear(links) if !links.is_empty() => record_link(id, &links[0]),
        Asked::Elsewhere(_) => format!("localstore submit {id}{url}"),
        _ => format!("localstore submit --again {id}{url}"),
    })
}

/// The first links; there may be very many.
fn shown(links: &[String]) -> String {
    const MOST: usize = 3;
    let more = if links.len() > MOST { ", …" } else { "" };
    links[..links.len().min(MOST)].join(", ") + more
}

/// The command that records that a run is on the site.
pub(crate) fn record_link(id: i64, link: &str) -> String {
    let line = shell_word(&format!("Result Link: {link}"));
    format!("(localstore export {id} -o json; echo {line}) | localstore add")
}

/// How far the clocks of this machine and of the site may differ.
const CLOCKS: Duration = Duration::from_hours(1);

/// When the site can have taken a run whose answer was lost, by its own clock. Of several attempts
/// only the time of the last one is known: any may have arrived since the run was added. `None` if
/// a time in the store is not one.
pub(crate) fn sent_between(
    store: &Store,
    id: i64,
    submission: &Submission,
) -> Result<Option<(Timestamp, Timestamp)>> {
    let time = |text: &str| rfc3339(text).parse::<Timestamp>().ok();
    let Some(last) = time(&submission.changed_at) else {
        return Ok(None);
    };
    let mut first = last;
    if submission.attempts > 1 {
        let added = store.read(|db| select::listed(db, id))?.added_at;
        first = first.min(added.as_deref().and_then(time).unwrap_or(last));
    }
    let from = first.checked_sub(LONGEST_ATTEMPT + CLOCKS);
    let to = last.checked_add(LONGEST_ATTEMPT + CLOCKS);
    Ok(from.ok().zip(to.ok()))
}

/// The error for a run with an attempt that may still be in progress; `None` after
/// [`LONGEST_ATTEMPT`], when it must have ended.
pub(crate) fn in_flight(id: i64, submission: &Submission) -> Option<Error> {
    if submission.state != SubmissionState::Unknown || submission.reason.is_some() {
        return None;
    }
    let at = rfc3339(&submission.changed_at);
    let began: Timestamp = at.parse().ok()?;
    // The store keeps whole seconds.
    let ended = began
        .checked_add(LONGEST_ATTEMPT + Duration::from_secs(1))
        .ok()?;
    let now = Timestamp::now();
    // A time in the future comes from a wrong clock and is ignored.
    if now >= ended || now.duration_until(began) > LONGEST_ATTEMPT.try_into().ok()? {
        return None;
    }
    let url = url_option(&Site::stored(submission.site.as_deref()));
    let what = format_args!("run {id}: not sent again");
    let why = format_args!("it may be on its way, an attempt began at {at}");
    Some(Error::new(what, why).hint(format!(
        "'localstore submit --again {id}{url}' works from {ended} on, unless its outcome is recorded by then"
    )))
}

/// The hint for runs that are queued for the site.
pub(crate) fn queued_hint(site: &Site) -> String {
    format!("localstore submit --pending{}", url_option(site))
}

/// The option that selects the site, with a space before it; empty for the site that is chosen
/// without it.
pub(crate) fn url_option(site: &Site) -> String {
    let chosen = variable("LOCALSCORE_URL").map_or_else(|| Ok(Site::default()), |url| url.parse());
    if chosen.as_ref() == Ok(site) {
        String::new()
    } else {
        format!(" --url {}", shell_word(site.as_str()))
    }
}

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

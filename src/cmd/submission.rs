//! The submission of a run in words, and what to do about it.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Submission, SubmissionState};
use crate::submit::{LONGEST_ATTEMPT, Site};
use base::Error;

/// The submission of a run in a line.
pub(crate) fn remark(id: i64, submission: &Submission) -> String {
    let at = super::rfc3339(&submission.changed_at);
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
            format!("run {id} waits to be submitted to {site} since {at}{why}")
        }
        SubmissionState::Failed => {
            let attempts = submission.attempts;
            format!("run {id} was not submitted to {site} ({attempts} attempts){why}")
        }
        SubmissionState::Unknown if reason.is_none() => {
            format!("run {id} may have been submitted to {site} at {at}: no end was noted")
        }
        SubmissionState::Unknown => {
            format!("run {id} may have been submitted to {site} at {at}{why}")
        }
    }
}

/// The error of a run that another process has removed.
pub(crate) fn removed(id: i64) -> Error {
    let what = format_args!("run {id} was not submitted");
    Error::new(what, "it is not in the store any more")
}

/// The error of a run that may be on the site.
pub(crate) fn maybe_submitted(id: i64, submission: &Submission) -> Error {
    Error::plain(remark(id, submission)).hint(look_first(id, submission))
}

/// What to do about a run that may be on the site.
pub(crate) fn look_first(id: i64, submission: &Submission) -> String {
    let site = Site::stored(submission.site.as_deref());
    let url = url_option(&site);
    format!(
        "if {site} shows it, 'localstore add' of its json and the line 'Result Link: URL' notes \
         that; if not, 'localstore submit --again {id}{url}' sends it again"
    )
}

/// The error of a run whose attempt may still be under way; `None` if it has ended: no attempt
/// takes longer than [`LONGEST_ATTEMPT`].
pub(crate) fn in_flight(id: i64, submission: &Submission) -> Option<Error> {
    if submission.state != SubmissionState::Unknown || submission.reason.is_some() {
        return None;
    }
    let at = super::rfc3339(&submission.changed_at);
    let began: Timestamp = at.parse().ok()?;
    // The store keeps whole seconds.
    let ended = began
        .checked_add(LONGEST_ATTEMPT + Duration::from_secs(1))
        .ok()?;
    let now = Timestamp::now();
    // A time in the future comes from a wrong clock and says nothing.
    if now >= ended || now.duration_until(began) > LONGEST_ATTEMPT.try_into().ok()? {
        return None;
    }
    let url = url_option(&Site::stored(submission.site.as_deref()));
    let what = format_args!("run {id} may be on its way at this moment");
    let error = Error::new(what, format_args!("an attempt began at {at}"));
    Some(error.hint(format!(
        "'localstore submit --again {id}{url}' works from {ended} on, if its end is not noted then"
    )))
}

/// What sends the runs that wait for the site.
pub(crate) fn queued(runs: usize, site: &Site) -> String {
    let url = url_option(site);
    let (it, sends) = match runs {
        1 => ("it stays queued", "sends it"),
        _ => ("they stay queued", "sends them"),
    };
    format!("{it}: 'localstore submit --pending{url}' {sends}")
}

/// The option that names the site, with a space before it; nothing where that site is meant
/// without it.
pub(crate) fn url_option(site: &Site) -> String {
    if site.is_public() && variable("LOCALSCORE_URL").is_none() {
        String::new()
    } else {
        format!(" --url {site}")
    }
}

/// A variable of the environment, unless it is empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

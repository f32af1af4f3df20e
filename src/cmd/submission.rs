//! Notes, errors and hints about the submission of a run.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Submission, SubmissionState};
use crate::submit::{LONGEST_ATTEMPT, Site};
use base::Error;
use base::time::rfc3339;

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

/// The error for a run that another process has removed.
pub(crate) fn removed_error(id: i64) -> Error {
    let what = format_args!("run {id} was not submitted");
    Error::new(what, "it is no longer in the store")
}

/// The error for a run that may be on the site.
pub(crate) fn maybe_submitted(id: i64, submission: &Submission) -> Error {
    Error::plain(remark(id, submission)).hint(unknown_hint(id, submission))
}

/// The hint for a run that may be on the site.
pub(crate) fn unknown_hint(id: i64, submission: &Submission) -> String {
    let site = Site::stored(submission.site.as_deref());
    let url = url_option(&site);
    format!(
        "if {site} shows it, 'localstore add' of its json and the line 'Result Link: URL' records \
         that; if not, 'localstore submit --again {id}{url}' sends it again"
    )
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
    let what = format_args!("run {id} may be on its way right now");
    let error = Error::new(what, format_args!("an attempt began at {at}"));
    Some(error.hint(format!(
        "'localstore submit --again {id}{url}' works from {ended} on, unless its outcome is recorded by then"
    )))
}

/// The hint for runs that are queued for the site.
pub(crate) fn queued_hint(runs: usize, site: &Site) -> String {
    let url = url_option(site);
    let (stay, sends) = match runs {
        1 => ("it stays queued", "sends it"),
        _ => ("they stay queued", "sends them"),
    };
    format!("{stay}: 'localstore submit --pending{url}' {sends}")
}

/// The option that selects the site, with a space before it; empty for the default site.
pub(crate) fn url_option(site: &Site) -> String {
    if site.is_public() && variable("LOCALSCORE_URL").is_none() {
        String::new()
    } else {
        format!(" --url {site}")
    }
}

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

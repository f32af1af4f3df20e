//! The submission of a run to LocalScore.

use serde::Deserialize;

/// The state of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SubmissionState {
    /// It waits to be sent.
    Pending,
    /// It cannot be sent, or the site refused it; sending it again would fail again.
    Failed,
    /// The site accepted it.
    Submitted,
    /// It was sent, but it is not known whether it arrived.
    #[serde(other)]
    Unknown,
}

impl SubmissionState {
    /// The name in the store.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Submitted => "submitted",
            Self::Unknown => "unknown",
        }
    }
}

/// The submission of a run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Submission {
    /// Its state.
    pub state: SubmissionState,
    /// The id of the result on the site.
    pub remote_id: Option<i64>,
    /// The address of the result on the site.
    pub link: Option<String>,
    /// The base address of the site; `None` if it is the public one, or unknown.
    pub site: Option<String>,
    /// The number of attempts to send it.
    pub attempts: i64,
    /// Why it is not submitted. `None` in the state unknown if the attempt has not ended, or its end
    /// was not recorded.
    pub reason: Option<String>,
    /// The time of the last change of the state: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub changed_at: String,
}

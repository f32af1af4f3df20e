//! What became of sending a run to LocalScore.

use serde::Deserialize;

/// How far the submission of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubmissionState {
    /// It waits to be sent.
    Pending,
    /// It cannot be sent, or the site refused it: sending the same again would end the same.
    Failed,
    /// It was taken.
    Submitted,
    /// It was sent, and whether it arrived is not known.
    #[serde(other)]
    Unknown,
}

impl SubmissionState {
    /// The name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Submitted => "submitted",
            Self::Unknown => "unknown",
        }
    }
}

/// The submission of a run that was to be sent at least once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Submission {
    /// How far it has come.
    pub state: SubmissionState,
    /// The id of the result on the site.
    pub remote_id: Option<i64>,
    /// Where the site shows it.
    pub link: Option<String>,
    /// The base address of the site that it is for; `None`: the public one, or not known.
    pub site: Option<String>,
    /// How often it was sent, or tried to be.
    pub attempts: i64,
    /// Why it is not submitted; `None` in the state unknown: how the attempt ended was not noted,
    /// or it has not ended yet.
    pub reason: Option<String>,
    /// When the state became what it is: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub changed_at: String,
}

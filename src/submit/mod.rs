//! Sending runs to LocalScore: the payload, the rules, the answers and the list of the site.
//!
//! No SQL: an attempt returns its outcome, and the store records it. The HTTP client is in the
//! crate `net`, which needs the feature `network`.

#[cfg(feature = "network")]
mod answer;
mod check;
#[cfg(feature = "network")]
mod client;
#[cfg(not(feature = "network"))]
#[path = "no_client.rs"]
mod client;
#[cfg_attr(
    not(feature = "network"),
    allow(dead_code, reason = "only the client reads the list")
)]
mod list;
mod payload;

pub(crate) use crate::model::Site;
pub(crate) use check::violations;
pub(crate) use client::{Client, retry};
pub(crate) use list::Wanted;
pub(crate) use payload::Payload;

use std::time::Duration;

/// The most attempts for a run, as in the C tool.
pub(crate) const ATTEMPTS: u32 = 3;

/// The time limit of an attempt; the C tool waits as long for a socket.
pub(crate) const LONGEST_ATTEMPT: Duration = Duration::from_mins(1);

/// The outcome of an attempt, which decides what may be done next.
///
/// Unless it is certain that the site did not take the run, it is [`Outcome::Unknown`]: the site
/// does not recognise a run that it has already, so a repeated attempt could store it twice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "network"),
    allow(dead_code, reason = "only the client creates one")
)]
pub(crate) enum Outcome {
    /// The site took the run.
    Taken {
        /// The id of the result there.
        id: i64,
    },
    /// The site did not get it, or was too busy to take it: another attempt may help.
    Again {
        /// What happened.
        why: String,
        /// How long the site asks us to wait.
        after: Option<Duration>,
    },
    /// The site failed while it took the run, and may have stored it: its code answers 500 and still
    /// commits what it has written. Else another attempt may help.
    Broken {
        /// What happened.
        why: String,
        /// How long the site asks us to wait.
        after: Option<Duration>,
    },
    /// The site did not get it or did not take it, and another attempt now would fail too.
    Later {
        /// What happened.
        why: String,
    },
    /// The site refused the run itself, and would do so again.
    Refused {
        /// What happened.
        why: String,
    },
    /// The run was sent, and whether the site took it is not known.
    Unknown {
        /// What happened.
        why: String,
        /// Whether the site itself answered, but not as it answers when it takes a run.
        answered: bool,
    },
}

//! Sending runs to LocalScore: the payload, the rules and the answers of the site.
//!
//! No SQL: an attempt returns its outcome, and the store records it. The HTTP client is that of the
//! crate `net`, which is there with the feature `network` only.

#[cfg(feature = "network")]
mod answer;
mod check;
#[cfg(feature = "network")]
mod client;
#[cfg(not(feature = "network"))]
#[path = "no_client.rs"]
mod client;
mod payload;

pub(crate) use crate::model::Site;
pub(crate) use check::violations;
pub(crate) use client::{Client, retry};
pub(crate) use payload::Payload;

use std::time::Duration;

/// How often a run is sent, as by the C tool.
pub(crate) const ATTEMPTS: u32 = 3;

/// How long an attempt takes at most; the C tool waits as long for a socket.
pub(crate) const LONGEST_ATTEMPT: Duration = Duration::from_mins(1);

/// How an attempt ended, and so what may be done next.
///
/// Where it is not certain that the site did not take the run, it is [`Outcome::Unknown`]: the site
/// has no means to tell that it has a run already, so that a repeated attempt may make two of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "network"),
    allow(dead_code, reason = "only the client makes one")
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
        /// How long the site wants to be left alone.
        after: Option<Duration>,
    },
    /// The site did not get it or did not take it, and another attempt now would end the same.
    Later {
        /// What happened.
        why: String,
    },
    /// The site refused the run itself: it would do so again.
    Refused {
        /// What happened.
        why: String,
    },
    /// The run was sent, and whether the site took it is not known.
    Unknown {
        /// What happened.
        why: String,
    },
}

/// An attempt as the client saw it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// How it ended.
    pub outcome: Outcome,
    /// The line that the C tool prints then.
    pub line: Option<String>,
}

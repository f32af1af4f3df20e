//! How an attempt can end.

use std::time::Duration;

/// How an attempt ended, and so what may be done next.
///
/// Where it is not certain that the site did not take the run, it is [`Outcome::Unknown`]: the site
/// has no means to tell that it has a run already, so that a repeated attempt may make two of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
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
pub struct Exchange {
    /// How it ended.
    pub outcome: Outcome,
    /// The line that the C tool prints then.
    pub line: Option<String>,
}

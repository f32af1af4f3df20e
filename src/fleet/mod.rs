//! A fleet: runs go to a libSQL database that many machines share, and come from there.
//!
//! [`hrana`] speaks the protocol of the database and knows nothing of runs, [`body`] makes a run bytes
//! that travel. No message contains a token, a user or a password of an address.

mod address;
mod body;
mod hrana;
mod known;
mod public;
mod pull;
mod push;
mod remote;
mod site;
mod withdraw;

pub(crate) use address::{Address, Token};
pub(crate) use hrana::Remote;
pub(crate) use pull::{Wanted, pull};
pub(crate) use push::{WHAT_TRAVELS, push};
pub(crate) use remote::{Prepared, prepare};
pub(crate) use withdraw::{Standing, Withdrawal, find};

use crate::store::foreign::Foreign;
use crate::store::{Listed, Stored};
use base::Error;

/// What happens to runs, for whoever shows it.
pub(crate) enum Event<'a> {
    /// So many runs are to be looked at.
    Begin {
        /// How many.
        runs: u64,
        /// Whether this store has never sent to the remote.
        is_first: bool,
    },
    /// A run was sent or taken over, or would be, or was known.
    Run {
        /// Its id here; `None` for a new one that is not stored.
        id: Option<i64>,
        /// What became of it where it went.
        stored: Stored,
        /// The run.
        foreign: &'a Foreign,
    },
    /// So many more runs were known.
    Known(u64),
    /// A run was left out.
    LeftOut(Error),
    /// So many runs need a newer program, and were left out.
    Newer(u64),
    /// So many runs were removed here, and stay so.
    RemovedHere(u64),
    /// This run was withdrawn, and was removed.
    Withdrawn(&'a Listed),
    /// All that was told so far is stored, whatever comes next.
    Committed,
    /// What answers is behind what was taken over before, and nothing is taken over.
    Behind,
}

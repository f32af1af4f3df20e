//! The commands, one file each.

#![allow(
    clippy::doc_markdown,
    reason = "the comments of arguments are help, which is plain text"
)]

/// The command `agent`.
pub mod agent;
/// The command `key`.
pub mod key;
/// The command `model`.
pub mod model;
/// The command `serve`.
pub mod serve;
/// The command `usage`.
pub mod usage;

use std::time::Duration;

use base::time::{DURATIONS, duration};
use base::{Result, Stdout, printable};
use db::{Database, Location, Room};

use crate::speeds::Speeds;

/// What the commands work with.
pub struct Context<'a> {
    /// The store.
    pub location: &'a Location,
    /// The stored results.
    pub speeds: &'static dyn Speeds,
    /// Standard output.
    pub out: &'a mut Stdout,
}

/// The most bytes of a name.
const LONGEST_NAME: usize = 256;

impl Context<'_> {
    /// The store, to be read; `None` if it is not there yet.
    fn existing_store(&self, rooms: &[&Room]) -> Result<Option<Database>> {
        if !self.location.path.exists() {
            return Ok(None);
        }
        Database::open_readonly(self.location, rooms).map(Some)
    }
}

/// The columns in which a URL tells its host.
const HOST: usize = 28;

/// Reads the name of a model, of a key, or a pattern of one.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let why = if text.trim() != text || text.is_empty() {
        "a name is not empty, and has no spaces at its ends"
    } else if text.len() > LONGEST_NAME {
        "a name has 256 bytes at most"
    } else if printable(text) != text {
        "a name has no control characters"
    } else {
        return Ok(text.to_owned());
    };
    Err(why.to_owned())
}

/// Reads a time that is not 0.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(format!("more than 0: {DURATIONS}")),
        time => Ok(time),
    }
}

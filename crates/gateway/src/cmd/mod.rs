//! The commands, one file each.

#![allow(
    clippy::doc_markdown,
    reason = "the comments of arguments are help, which is plain text"
)]

pub mod agent;
pub mod key;
pub mod model;
pub mod serve;
pub mod usage;

use base::Stdout;
use db::Location;

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

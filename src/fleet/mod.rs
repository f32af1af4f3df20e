//! A fleet: runs go to a libSQL database that many machines share, and come from there.
//!
//! [`hrana`] speaks the protocol of the database and knows nothing of runs, [`body`] makes a run bytes
//! that travel. No message contains a token, a user or a password of an address.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod hrana;
mod known;
mod public;
mod push;
mod remote;

pub(crate) use address::{Address, Token};
pub(crate) use hrana::{Answer, Batch, Remote, Rows, Value};
pub(crate) use push::{Event, WHAT_TRAVELS, push};
pub(crate) use remote::{Prepared, prepare};

//! Replaces the client in a build without the feature `network`.

use std::time::Duration;

use super::{Outcome, Site, Wanted};
use base::{Error, Result};

/// Uninhabited: this build cannot send.
pub(crate) enum Client {}

impl Client {
    /// Always returns an error that names the feature.
    pub(crate) fn new(_: &Site, _: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let why = "this program was built without the feature 'network'";
        Err(Error::new("cannot send results", why)
            .hint("'localstore submit --dry-run' prints what would be sent"))
    }

    /// Never called.
    pub(crate) fn post(&self, _: &str) -> Outcome {
        match *self {}
    }

    /// Never called.
    pub(crate) fn find(&self, _: &Wanted) -> Result<Vec<i64>, String> {
        match *self {}
    }
}

/// Never called.
pub(crate) fn retry<E>(
    mut attempt: impl FnMut() -> Result<Option<Outcome>, E>,
    _: impl FnMut(u32, Duration),
) -> Result<Option<Outcome>, E> {
    attempt()
}

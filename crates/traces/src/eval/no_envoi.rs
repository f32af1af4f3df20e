//! Replaces the client of envoi in a build without the feature `network`.

use std::convert::Infallible;
use std::time::Duration;

use base::{Error, Result};

use super::checkout::Checkout;
use super::{Job, Limits, Results};

/// Uninhabited: this build cannot send.
pub(crate) struct Envoi {
    pub(super) paths: Vec<String>,
    never: Infallible,
}

impl Envoi {
    /// Always an error that names the feature.
    pub(crate) fn new(_: &str, _: &[String], _: Option<Duration>) -> Result<Self> {
        let why = "this program was built without the feature 'network'";
        Err(Error::new("cannot reach a server of tests", why))
    }

    pub(crate) fn address(&self) -> &str {
        match self.never {}
    }

    pub(super) fn run(&self, _: &Checkout, _: &Job<'_>, _: &Limits) -> Result<Option<Results>> {
        match self.never {}
    }
}

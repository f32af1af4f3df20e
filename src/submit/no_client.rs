//! In place of the client where the program is built without the feature `submit`.

use super::{Exchange, Site, Timeouts};
use base::{Error, Result};

/// There is none.
#[derive(Debug)]
pub enum Client {}

impl Client {
    /// An error that says that this build cannot send.
    pub fn new(_: &Site, _: Timeouts, _: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let why = "this program was built without the feature 'submit'";
        Err(Error::new("cannot send results", why)
            .hint("'localstore submit --dry-run' prints what would be sent"))
    }

    /// Nobody can call it.
    #[must_use]
    pub fn post(&self, _: &str) -> Exchange {
        match *self {}
    }
}

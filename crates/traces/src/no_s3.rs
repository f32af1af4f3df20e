//! Replaces `s3` in a build without that feature: no address can be named.

use std::convert::Infallible;
use std::fs::File;
use std::str::FromStr;

use base::Result;

use crate::place::Folder;

/// Uninhabited: every text is refused.
#[derive(Debug, Clone)]
pub(crate) struct Address(Infallible);

impl FromStr for Address {
    type Err = String;

    fn from_str(_: &str) -> Result<Self, String> {
        Err("this program was built without the feature 's3'".to_owned())
    }
}

impl Address {
    /// Never called.
    pub(crate) fn trace(&self, _: &str) -> String {
        match self.0 {}
    }

    /// Never called.
    pub(crate) fn bundle(&self, _: &str) -> String {
        match self.0 {}
    }
}

/// Uninhabited: there is no address.
pub(crate) struct Storage(Infallible);

impl Storage {
    /// Never called.
    pub(crate) fn new(address: &Address) -> Result<Self> {
        match address.0 {}
    }

    /// Never called.
    pub(crate) fn push(&self, _: &Folder, _: &File) -> Result<()> {
        match self.0 {}
    }

    /// Never called.
    pub(crate) fn pull(&self, _: &str, _: &mut File, _: &mut File) -> Result<bool> {
        match self.0 {}
    }
}

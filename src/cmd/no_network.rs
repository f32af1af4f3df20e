//! Replaces `push` and `pull` in a build without the feature `network`.

use std::ffi::OsString;

use super::Context;
use base::{Error, ExitStatus, Result};

/// Any arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Any {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

/// Always returns an error that names the feature.
pub(crate) fn run<A>(_: &A, _: &mut Context) -> Result<ExitStatus> {
    let why = "this program was built without the feature 'network'";
    Err(Error::new("cannot reach a remote", why))
}

pub(super) mod push {
    pub(crate) use super::run;

    /// Send the runs that a remote database has not got from this store
    ///
    /// Needs the feature 'network', without which this program was built.
    #[derive(Debug, clap::Args)]
    #[command(after_help = "Example: localstore push libsql://fleet.example.org")]
    pub(crate) struct Args {
        #[command(flatten)]
        _any: super::Any,
    }
}

pub(super) mod pull {
    pub(crate) use super::run;

    /// Take over the runs that others have sent to a remote database
    ///
    /// Needs the feature 'network', without which this program was built.
    #[derive(Debug, clap::Args)]
    #[command(after_help = "Example: localstore pull libsql://fleet.example.org --since 7d")]
    pub(crate) struct Args {
        #[command(flatten)]
        _any: super::Any,
    }
}

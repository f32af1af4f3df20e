//! Replaces `push` and `pull` in a build without the feature `s3`.

use std::ffi::OsString;

use base::{Error, Result};

use super::Context;

/// Any arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Any {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

/// Always returns an error that names the feature.
pub(super) fn run<A>(_: &A, _: &mut Context) -> Result<()> {
    let why = "this program was built without the feature 's3'";
    Err(Error::new("cannot reach a bucket", why))
}

pub(super) mod push {
    pub(in crate::cmd) use super::run;

    /// Send a trajectory to a bucket of S3-compatible storage
    ///
    /// Needs the feature 's3', without which this program was built.
    #[derive(Debug, clap::Args)]
    #[command(after_help = "Example: localstore trace push last s3://agents/nightly")]
    pub(in crate::cmd) struct Args {
        #[command(flatten)]
        _any: super::Any,
    }
}

pub(super) mod pull {
    pub(in crate::cmd) use super::run;

    /// Take over a trajectory from a bucket of S3-compatible storage
    ///
    /// Needs the feature 's3', without which this program was built.
    #[derive(Debug, clap::Args)]
    #[command(after_help = "Example: localstore trace pull ID s3://agents/nightly")]
    pub(in crate::cmd) struct Args {
        #[command(flatten)]
        _any: super::Any,
    }
}

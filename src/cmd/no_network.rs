use std::ffi::OsString;

use super::Context;
use base::{Error, ExitStatus, Result};

/// Needs the feature 'network', without which this program was built
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(args: &Args, _: &mut Context) -> Result<ExitStatus> {
    let _ = &args.arguments;
    let why = "this program was built without the feature 'network'";
    Err(Error::new("no connection to a remote", why))
}

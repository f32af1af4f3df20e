use std::io::Write;

use super::Context;
use base::Result;

/// Print the version
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore version")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, context: &mut Context) -> Result<()> {
    Ok(writeln!(
        context.out,
        "localstore {}",
        env!("CARGO_PKG_VERSION")
    )?)
}

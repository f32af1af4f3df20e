use std::io::Write;

use super::Context;
use base::Result;

/// Print where the store is
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: sqlite3 \"$(localstore path)\" .schema")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, context: &mut Context) -> Result<()> {
    let path = context.location.path.as_os_str();
    context.out.write_all(path.as_encoded_bytes())?;
    Ok(context.out.write_all(b"\n")?)
}

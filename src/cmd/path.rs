use std::io::Write;

use super::Context;
use base::{Error, Result};

/// Print where the store is
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: sqlite3 \"$(localstore path)\" .schema")]
pub struct Args {}

pub fn run(_: &Args, context: &mut Context) -> Result<()> {
    let mut line = context
        .location
        .path
        .as_os_str()
        .as_encoded_bytes()
        .to_vec();
    line.push(b'\n');
    context
        .out
        .write_all(&line)
        .map_err(|error| Error::stdout(&error))
}

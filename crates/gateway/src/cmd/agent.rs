use base::{Error, ExitStatus, Result};

use super::Context;

/// Start a model server, and register it with a gateway
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Runs the command.
    pub fn run(&self, _context: &mut Context<'_>) -> Result<ExitStatus> {
        Err(Error::plain("not there yet"))
    }
}

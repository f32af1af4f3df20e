use base::{Error, ExitStatus, Result};

use super::Context;

/// What was used, from the requests of the gateway
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Runs the command.
    pub fn run(&self, _context: &mut Context<'_>) -> Result<ExitStatus> {
        Err(Error::plain("not there yet"))
    }
}

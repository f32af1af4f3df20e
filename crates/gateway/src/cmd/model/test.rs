use base::{Error, ExitStatus, Result};

use super::Context;
use crate::cmd::name;

/// Ask each backend of a model for 16 tokens
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore model test llama8")]
pub(super) struct Args {
    /// The model
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
}

pub(super) fn run(_args: &Args, _context: &mut Context<'_>) -> Result<ExitStatus> {
    Err(Error::plain("not there yet"))
}

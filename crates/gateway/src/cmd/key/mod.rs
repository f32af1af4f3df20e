mod create;
mod list;
mod revoke;

use base::{ExitStatus, Result};

use super::Context;

/// Keys, which let clients in
///
/// The store has a hash of each key, never the key itself.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore key create alice --models 'llama*' --expires 30d"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Create(create::Args),
    List(list::Args),
    Revoke(revoke::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(&self, context: &mut Context<'_>) -> Result<ExitStatus> {
        match &self.command {
            Command::Create(args) => create::run(args, context)?,
            Command::List(args) => list::run(args, context)?,
            Command::Revoke(args) => revoke::run(args, context)?,
        }
        Ok(ExitStatus::Success)
    }
}

mod add;
mod alias;
mod fallback;
mod list;
mod rm;
mod test;

use base::{Error, ExitStatus, Result, printable, shell_word};

use super::Context;
use crate::routing::Registry;
use crate::store::{ROOM, backends};

/// The models that the gateway serves, and their backends
///
/// A model is a name that clients ask for; one or more backends serve it. A running gateway sees every change
/// within a second.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore model add llama8 --url http://127.0.0.1:8080"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(Box<add::Args>),
    Alias(alias::Args),
    Fallback(fallback::Args),
    List(list::Args),
    Rm(rm::Args),
    Test(test::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(&self, context: &mut Context<'_>) -> Result<ExitStatus> {
        match &self.command {
            Command::Add(args) => add::run(args, context)?,
            Command::Alias(args) => alias::run(args, context)?,
            Command::Fallback(args) => fallback::run(args, context)?,
            Command::List(args) => list::run(args, context)?,
            Command::Rm(args) => rm::run(args, context)?,
            Command::Test(args) => return test::run(args, context),
        }
        Ok(ExitStatus::Success)
    }
}

/// The error for a name that no model has.
fn no_such_model(registry: &Registry, name: &str) -> Error {
    match registry.aliases.get(name) {
        Some(model) => {
            let why = format!("this is another name of {}", printable(model));
            let remove = format!("localstore model alias --rm {}", shell_word(name));
            Error::new(printable(name), why).hint(remove)
        }
        None => {
            Error::new(printable(name), "no such model").hint("'localstore model list' shows all")
        }
    }
}

/// The models that the store has; none if there is no store.
fn registry(context: &Context<'_>) -> Result<Registry> {
    match context.existing_store(&[&ROOM])? {
        Some(db) => db.read(|db| Ok(backends::registry(db)?)),
        None => Ok(Registry::default()),
    }
}

use super::Context;
use base::{Error, Result};

/// Print the manual page
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore man | man -l -")]
pub(crate) struct Args {
    /// The command to describe [default: the program]
    command: Option<String>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let root = super::command().disable_help_subcommand(true);
    let command = match &args.command {
        None => root,
        Some(name) => root
            .find_subcommand(name)
            .cloned()
            .map(|command| command.display_name(format!("localstore-{name}")))
            .ok_or_else(|| Error::invalid_parameter(name).hint("see 'localstore --help'"))?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    context.out.styled(&page)
}

use super::{Context, EntryArgs, name, say};
use crate::judge::counts;
use crate::name::Name;
use crate::record::Bom;
use base::{ExitStatus, Result, Stderr, answered_yes, can_ask, counted, note};

/// Remove a record, or one override of it
///
/// Asks first on a terminal. What is not there is no error. A record that has lost its last override
/// stays; folders that are empty go.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore prompt rm demo/welcome@candidate")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG
    #[arg(value_name = "NAME", value_parser = name)]
    name: Name,
    #[command(flatten)]
    entry: EntryArgs,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Print what would be removed without removing it
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<ExitStatus> {
    let (name, overrides) = (&args.name, &context.overrides);
    let entry = args.entry.entry();
    let (is_there, thing) = if let Some(entry) = &entry {
        let record = overrides.read(name, Bom::Ignore)?;
        let is_there = record.is_some_and(|mut record| record.remove(entry));
        (is_there, entry.to_string())
    } else if let Ok(Some(record)) = overrides.read(name, Bom::Ignore) {
        let [sections, tools] = counts(&record);
        let sections = counted(sections, "section");
        let tools = counted(tools, "tool");
        (true, format!("record of {sections} and {tools}"))
    } else {
        let thing = "record that cannot be read".to_owned();
        (overrides.is_there(name), thing)
    };
    if !is_there {
        let thing = entry.map_or("no such record".to_owned(), |entry| format!("no {entry}"));
        say(name, thing);
        return Ok(ExitStatus::Success);
    }
    if args.dry_run {
        say(name, format_args!("{thing} would be removed"));
        return Ok(ExitStatus::Success);
    }
    if !args.yes && can_ask() {
        say(name, &thing);
        Stderr::print("Remove it (y/n)? ");
        if !answered_yes()? {
            note("nothing was removed");
            return Ok(ExitStatus::Failure);
        }
    }
    match &entry {
        None => {
            overrides.delete(name)?;
        }
        Some(entry) => {
            overrides.update(name, context.known(None), |record| {
                Ok(record.map(|mut record| {
                    record.remove(entry);
                    record
                }))
            })?;
        }
    }
    say(name, format_args!("{thing} removed"));
    Ok(ExitStatus::Success)
}

use super::{Context, EntryArgs, Output, name, print_changed, say};
use crate::name::Name;
use crate::problem::Entry;
use base::{Error, Result};

/// Let a stale override apply again
///
/// Its text stays, and from now on it replaces what the code has now: after the override and the change
/// of the code have been read side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore prompt accept demo/welcome --section system/intro")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG
    #[arg(value_name = "NAME", value_parser = name)]
    name: Name,
    #[command(flatten)]
    entry: EntryArgs,
    /// All that the code still has; unknown entries stay as they are
    #[arg(long, conflicts_with_all = ["section", "tool"])]
    all: bool,
    /// The output format; json and jsonl print the record as it is then
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let name = &args.name;
    let documents = context.documents(Some(&name.prompt))?;
    let document = documents.required(&name.prompt)?;
    let one = args.entry.entry();
    match &one {
        Some(Entry::Tool(tool)) => _ = document.required_tool(tool)?,
        Some(_) => {
            let path = args.entry.section.as_deref().unwrap_or_default();
            document.required_section(path)?;
        }
        None if args.all => {}
        None => {
            let why = "--section PATH, --tool NAME or --all";
            return Err(Error::new("missing parameter", why));
        }
    }
    let mut accepted = Vec::new();
    let known = context.known(Some(document));
    let changed = context.overrides.update(name, known, |record| {
        let mut record = record.ok_or_else(|| context.overrides.missing(name))?;
        if let Some(entry) = one.as_ref().filter(|&entry| record.entry(entry).is_none()) {
            return Err(Error::new(format!("{name}: {entry}"), "not overridden"));
        }
        accepted = record.accept(|entry| {
            let is_meant = one.as_ref().is_none_or(|one| one == entry);
            document.hash(entry).filter(|_| is_meant)
        });
        Ok((!accepted.is_empty()).then_some(record))
    })?;
    for entry in &accepted {
        say(name, format_args!("{entry} accepted"));
    }
    if accepted.is_empty() {
        say(name, "nothing to accept");
    }
    print_changed(changed.record, args.output, context.out)
}

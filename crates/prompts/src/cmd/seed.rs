use super::{Context, Output, name, print_changed, print_record, say, tag};
use crate::json::Json;
use crate::name::{LATEST, Name};
use base::{Error, Result, Stderr};

/// Write records of the texts that the code has
///
/// A record gets all sections and tools of the prompts document, to be edited. One that is there stays
/// as it is; it is an error if nothing in it applies.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore prompt seed demo/welcome@candidate")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG [default: the one prompt of the document]
    #[arg(value_name = "NAME", value_parser = name, conflicts_with_all = ["tag", "all"])]
    name: Option<Name>,
    /// The tag of the records [default: latest]
    #[arg(long, value_parser = tag)]
    tag: Option<String>,
    /// Seed all prompts of the documents
    #[arg(long)]
    all: bool,
    /// The output format; json and jsonl print the record as it is then
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let prompt = args.name.as_ref().map(|name| &name.prompt);
    let documents = context.documents(prompt)?;
    let one = match prompt {
        Some(prompt) => Some(documents.required(prompt)?),
        None if args.all => None,
        None => Some(documents.one()?),
    };
    let documents = one.map_or(documents.all(), std::slice::from_ref);
    if documents.is_empty() {
        return Err(Error::new("--all", "no prompts documents").hint("--prompts FILE names some"));
    }
    let tag = match &args.name {
        Some(name) => &name.tag,
        None => args.tag.as_deref().unwrap_or(LATEST),
    };
    let format = context.options.format;
    let mut records = Vec::new();
    let mut failures = Vec::new();
    for document in documents {
        match context.overrides.seed_if_necessary(document, tag, format) {
            Ok(seeded) => records.extend(seeded.record.map(|record| (record, seeded.is_changed))),
            Err(error) => failures.push(error),
        }
    }
    for (record, is_new) in &records {
        let what = if *is_new { "seeded" } else { "there already" };
        say(&record.name, what);
    }
    // The last error is that of the command.
    if let Some(last) = failures.pop() {
        failures.iter().for_each(Stderr::error);
        return Err(last);
    }
    if args.all && args.output == Output::Json {
        let records = records.into_iter().map(|(record, _)| record.object.into());
        return print_record(&Json::Array(records.collect()), args.output, context.out);
    }
    for (record, _) in records {
        print_changed(Some(record), args.output, context.out)?;
    }
    Ok(())
}

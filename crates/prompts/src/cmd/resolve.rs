use std::io::Write;

use super::{Context, Output, name, print_record, section};
use crate::json::Json;
use crate::name::{LATEST, Name, SectionPath};
use base::{Error, Result};

/// Print what applies of a record: what the library would use
///
/// Entries that are stale or unknown are left out; 'null' if nothing is left. A record that the library
/// would refuse is an error. -v tells what was left out, and why.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore prompt resolve demo/welcome@stable --prompts prompts.jsonl
  localstore prompt resolve demo/welcome@stable --templates prompts/welcome --section system")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG [default: the prompt of the one prompts document]
    #[arg(value_name = "NAME", value_parser = asked)]
    name: Option<Asked>,
    /// The tag, where NAME has none [default: latest]
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Print the text of this section, byte for byte: the override or else the template
    #[arg(long, value_name = "PATH", value_parser = section, conflicts_with = "output")]
    section: Option<SectionPath>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

/// A name, and its tag as it was typed: the library gives that back.
#[derive(Debug, Clone)]
struct Asked {
    name: Name,
    tag: Option<String>,
}

fn asked(text: &str) -> Result<Asked, String> {
    let tag = text.split_once('@').map(|(_, tag)| tag.to_owned());
    let name = name(text)?;
    Ok(Asked { name, tag })
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let prompt = args.name.as_ref().map(|asked| &asked.name.prompt);
    let documents = context.documents(prompt)?;
    let document = match prompt {
        Some(prompt) => documents.required(prompt)?,
        None => documents.one()?,
    };
    let typed = args.name.as_ref().and_then(|asked| asked.tag.as_deref());
    let tag = match (typed, args.tag.as_deref()) {
        (Some(_), Some(_)) => return Err(Error::new("--tag", "NAME has a tag already")),
        (tag, other) => tag.or(other).unwrap_or(LATEST),
    };
    let Some(path) = &args.section else {
        let record = context.overrides.resolve(document, tag)?;
        return print_record(&record.unwrap_or(Json::Null), args.output, context.out);
    };
    let section = document.required_section(path)?;
    let record = context.overrides.resolve(document, tag)?;
    let body = record.as_ref().and_then(|record| {
        let sections = record.as_object()?.get("sections")?.as_object()?;
        sections.get(&section.name())?.string("body")
    });
    let text = match body {
        Some(body) => body,
        None => section.template()?,
    };
    Ok(context.out.write_all(text.as_bytes())?)
}

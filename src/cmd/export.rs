use std::io::{self, Write};
use std::path::PathBuf;

use super::Context;
use super::filters::Filters;
use crate::formats::{Format, console, csv, json, jsonl};
use crate::store::{Filter, Store, runs, select};
use base::write_atomically;
use base::{Error, Result};

/// Print runs as LocalScore printed them
///
/// Without RUN: the run added last, or with filters or --all every run that they choose, in the
/// order in which they were added. Of several runs, csv has one header, and json documents follow
/// one another, a newline between.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore export -o json 3 > run3.json
  localstore export -o csv --all --out runs.csv")]
pub struct Args {
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// How it is printed; md is another name of console
    #[arg(short, long, value_name = "FORMAT", default_value = "console")]
    output: Format,
    /// Write to this file, whole or not at all
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// All runs
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let ids = choose(args, &store)?;
    if let Some(path) = &args.out {
        context.location.refuse(path)?;
        return write_atomically(path, |out| {
            write(out, args.output, &store, &ids, &|error| {
                Error::file(path, error)
            })
        });
    }
    let out = &mut context.out;
    write(out, args.output, &store, &ids, &Error::stdout)?;
    // The C tool's json ends without a newline; a prompt should not follow it.
    if args.output == Format::Json && out.is_terminal() {
        out.write_all(b"\n")
            .map_err(|error| Error::stdout(&error))?;
    }
    Ok(())
}

fn choose(args: &Args, store: &Store) -> Result<Vec<i64>> {
    let filter = Filter::from(&args.filters);
    if !args.runs.is_empty() {
        if args.all || !filter.is_empty() {
            return Err(Error::invalid_parameter(&args.runs[0])
                .hint("name runs, or choose them by filters or --all, not both"));
        }
        return args
            .runs
            .iter()
            .map(|name| store.read(|db| select::resolve(db, name)))
            .collect();
    }
    if !args.all && filter.is_empty() {
        return Ok(vec![store.read(|db| select::resolve(db, "last"))?]);
    }
    let ids = store.read(|db| select::ids(db, &filter))?;
    if ids.is_empty() {
        return Err(Error::new(store.path().display(), "no run matches"));
    }
    Ok(ids)
}

fn write(
    out: &mut dyn Write,
    format: Format,
    store: &Store,
    ids: &[i64],
    failed: &dyn Fn(&io::Error) -> Error,
) -> Result<()> {
    if format == Format::Csv {
        csv::write_header(out).map_err(|error| failed(&error))?;
    }
    for (index, &id) in ids.iter().enumerate() {
        if index > 0 && matches!(format, Format::Json | Format::Console) {
            out.write_all(b"\n").map_err(|error| failed(&error))?;
        }
        let run = store.read(|db| runs::read(db, id))?;
        match format {
            Format::Csv => csv::write_tests(out, &run),
            Format::Json => json::write(out, &run),
            Format::Console => console::write(out, &run),
            Format::Jsonl => {
                let listed = store.read(|db| select::listed(db, id))?;
                let label = jsonl::Label {
                    id,
                    tags: &listed.tags,
                    added_at: listed
                        .added_at
                        .as_deref()
                        .map(super::rfc3339)
                        .unwrap_or_default(),
                    link: listed.link.as_deref(),
                };
                jsonl::write(out, &label, &run)
            }
        }
        .map_err(|error| failed(&error))?;
    }
    Ok(())
}

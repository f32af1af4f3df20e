use std::io::Write;
use std::path::PathBuf;

use super::filters::Filters;
use super::{Context, resolve, resolve_all};
use crate::formats::{Format, console, csv, json, jsonl};
use crate::store::{Filter, Store, runs, select};
use base::time::rfc3339;
use base::{Error, Result, write_atomically};

/// Print runs as LocalScore printed them
///
/// Without RUN, prints the most recently added run or, with filters or --all, every matching run in
/// the order they were added. Several runs share one csv header; their json documents are separated
/// by a newline.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore export -o json 3 > run3.json
  localstore export -o csv --all --out runs.csv")]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7) or lists (3,5)
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// The output format; md is another name of console
    #[arg(short, long, value_name = "FORMAT", default_value = "console")]
    output: Format,
    /// Write to this file, whole or not at all
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print all runs
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let ids = selected_ids(args, &store)?;
    if let Some(path) = &args.out {
        context.location.refuse(path)?;
        return write_atomically(path, |out| write(out, args.output, &store, &ids));
    }
    let out = &mut context.out;
    write(out, args.output, &store, &ids)?;
    // The C tool's json ends without a newline, so a prompt would follow on the same line.
    if args.output == Format::Json && out.is_terminal() {
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn selected_ids(args: &Args, store: &Store) -> Result<Vec<i64>> {
    let filter = Filter::from(&args.filters);
    if !args.runs.is_empty() {
        if args.all || !filter.is_empty() {
            return Err(Error::invalid_parameter(&args.runs[0])
                .hint("name runs, or select them with filters or --all, but not both"));
        }
        return resolve_all(store, &args.runs);
    }
    if !args.all && filter.is_empty() {
        return Ok(vec![resolve(store, "last")?]);
    }
    let ids = store.read(|db| select::ids(db, &filter))?;
    if ids.is_empty() {
        return Err(args.filters.no_match(&[], store)?);
    }
    Ok(ids)
}

fn write(out: &mut dyn Write, format: Format, store: &Store, ids: &[i64]) -> Result<()> {
    if format == Format::Csv {
        csv::write_header(out)?;
    }
    for (index, &id) in ids.iter().enumerate() {
        if index > 0 && matches!(format, Format::Json | Format::Console) {
            out.write_all(b"\n")?;
        }
        let run = store.read(|db| runs::read(db, id))?;
        match format {
            Format::Csv => csv::write_tests(out, &run)?,
            Format::Json => json::write(out, &run)?,
            Format::Console => console::write(out, &run)?,
            Format::Jsonl => {
                let listed = store.read(|db| select::listed(db, id))?;
                let added_at = listed.added_at.as_deref().map(rfc3339);
                let label = jsonl::Label {
                    id,
                    tags: &listed.tags,
                    added_at: added_at.unwrap_or_default(),
                    link: listed.link.as_deref(),
                };
                jsonl::write(out, &label, &run)?;
            }
        }
    }
    Ok(())
}

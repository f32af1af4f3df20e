use std::io::Write;

use super::Context;
use crate::store::{Store, select, tags};
use base::printable;
use base::{Error, Result};

/// Label runs
///
/// A tag can be on many runs. Where a run is asked for, it means the one added last of those that
/// have it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore tag baseline
  localstore tag driver-580 12 13 14")]
pub struct Args {
    /// The label
    tag: String,
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN", default_value = "last")]
    runs: Vec<String>,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let names = Names::of(&args.tag, &args.runs);
    // A wrong name is found before anything is opened for writing.
    let store = Store::open_readonly(&context.location)?;
    let ids = names
        .runs
        .iter()
        .map(|name| store.read(|db| select::resolve(db, name)))
        .collect::<Result<Vec<_>>>()?;
    drop(store);
    Store::open(&context.location)?.write(|db| tags::tag(db, names.tag, &ids))?;
    for id in ids {
        let tag = printable(names.tag);
        writeln!(context.out, "run {id}: {tag}").map_err(|e| Error::stdout(&e))?;
    }
    Ok(())
}

/// Which of the names is the tag. It comes first; but `last` or a number can be no tag, so who
/// writes `tag RUN TAG` is understood as well.
pub struct Names<'a> {
    /// The tag.
    pub tag: &'a str,
    /// The runs.
    pub runs: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Sorts the names out.
    pub fn of(first: &'a str, rest: &'a [String]) -> Self {
        let mut runs: Vec<&str> = rest.iter().map(String::as_str).collect();
        if is_run(first)
            && let Some(&last) = runs.last()
            && !is_run(last)
        {
            runs.pop();
            runs.insert(0, first);
            return Self { tag: last, runs };
        }
        Self { tag: first, runs }
    }
}

fn is_run(name: &str) -> bool {
    name == "last" || name.starts_with("last~") || name.bytes().all(|byte| byte.is_ascii_digit())
}

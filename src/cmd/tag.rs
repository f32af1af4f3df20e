use std::io::Write;

use super::Context;
use crate::store::{Store, select, tags};
use base::{Result, printable};

/// Label runs
///
/// Many runs can have the same tag. As the name of a run, a tag means the run added last that has
/// it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore tag baseline
  localstore tag driver-580 12 13 14")]
pub(crate) struct Args {
    /// The label
    tag: String,
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN", default_value = "last")]
    runs: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let Names { tag, runs } = Names::of(&args.tag, &args.runs);
    // A wrong name is found before anything is opened for writing.
    let store = Store::open_readonly(&context.location)?;
    let ids = resolve_all(&store, &runs)?;
    drop(store);
    Store::open(&context.location)?.write(|db| tags::tag(db, tag, &ids))?;
    for id in ids {
        writeln!(context.out, "run {id}: {}", printable(tag))?;
    }
    Ok(())
}

/// The ids of these runs.
pub(crate) fn resolve_all(store: &Store, names: &[&str]) -> Result<Vec<i64>> {
    names
        .iter()
        .map(|name| store.read(|db| select::resolve(db, name)))
        .collect()
}

/// A tag and runs. The tag comes first; but since `last` or a number cannot be a tag, `tag RUN TAG`
/// is understood as well.
pub(crate) struct Names<'a> {
    /// The tag.
    pub(crate) tag: &'a str,
    /// The runs.
    pub(crate) runs: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Finds the tag among the names.
    pub(crate) fn of(first: &'a str, rest: &'a [String]) -> Self {
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

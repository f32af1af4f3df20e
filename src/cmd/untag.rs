use std::io::Write;

use super::Context;
use super::tag::{Names, resolve_all};
use crate::store::{Store, tags};
use base::{Error, Result, printable};

/// Remove a label from runs
///
/// Without RUN, from every run that has it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore untag baseline 12")]
pub(crate) struct Args {
    /// The label
    tag: String,
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let Names { tag, runs } = Names::of(&args.tag, &args.runs);
    let store = Store::open_readonly(&context.location)?;
    let mut ids = store.read(|db| tags::tagged(db, tag))?;
    if !runs.is_empty() {
        let mut named = resolve_all(&store, &runs)?;
        named.retain(|id| ids.contains(id));
        ids = named;
    }
    drop(store);
    if ids.is_empty() {
        let what = format_args!("tag '{tag}'");
        return Err(Error::new(what, "no such run has it"));
    }
    Store::open(&context.location)?.write(|db| tags::untag(db, tag, &ids))?;
    for id in ids {
        writeln!(context.out, "run {id}: no longer {}", printable(tag))?;
    }
    Ok(())
}

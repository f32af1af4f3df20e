use std::io::Write;

use super::tag::Names;
use super::{Context, resolve_all};
use crate::store::{Store, tags};
use base::{Error, Result, printable};

/// Remove a tag from runs
///
/// Without RUN, removes it from every run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore untag baseline 12")]
pub(crate) struct Args {
    /// The tag
    tag: String,
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7) or lists (3,5)
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let Names { tag, runs } = Names::parse(&args.tag, &args.runs);
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
        return Err(Error::new(what, "none of the runs has it"));
    }
    Store::open(&context.location)?.write(|db| tags::untag(db, tag, &ids))?;
    for id in ids {
        writeln!(context.out, "run {id}: no longer {}", printable(tag))?;
    }
    Ok(())
}

use std::io::Write;

use super::Context;
use super::tag::Names;
use crate::store::{Store, select, tags};
use base::printable;
use base::{Error, Result};

/// Take a label off runs
///
/// Without RUN, off every run that has it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore untag baseline 12")]
pub struct Args {
    /// The label
    tag: String,
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let Names { tag, runs } = Names::of(&args.tag, &args.runs);
    let store = Store::open_readonly(&context.location)?;
    let tagged = store.read(|db| tags::tagged(db, tag))?;
    let ids = if runs.is_empty() {
        tagged.clone()
    } else {
        runs.iter()
            .map(|name| store.read(|db| select::resolve(db, name)))
            .collect::<Result<Vec<_>>>()?
    };
    drop(store);
    let ids: Vec<i64> = ids.into_iter().filter(|id| tagged.contains(id)).collect();
    if ids.is_empty() {
        return Err(Error::new(
            format_args!("tag '{tag}'"),
            "no such run has it",
        ));
    }
    Store::open(&context.location)?.write(|db| tags::untag(db, tag, &ids))?;
    let tag = printable(tag);
    for id in ids {
        writeln!(context.out, "run {id}: no longer {tag}").map_err(|e| Error::stdout(&e))?;
    }
    Ok(())
}

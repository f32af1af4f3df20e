use super::super::rm::Removal;
use super::super::{Context, unique};
use super::{describe, id};
use crate::store::{Store, chats};
use base::{ExitStatus, Result};

/// Remove messages
///
/// Prints what it will remove and asks first; without a terminal to ask on, -y is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore message rm 12 --dry-run")]
pub(crate) struct Args {
    /// The messages' ids
    #[arg(value_name = "MESSAGE", required = true, value_parser = id)]
    messages: Vec<i64>,
    #[command(flatten)]
    removal: Removal,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let store = Store::open_readonly(&context.location)?;
    let ids = unique(args.messages.iter().copied());
    let messages = ids
        .iter()
        .map(|&id| store.read(|db| chats::message(db, id)));
    let lines = messages
        .map(|message| Ok(describe(&message?)))
        .collect::<Result<Vec<_>>>()?;
    drop(store);
    args.removal
        .run("message", "message rm", &ids, &lines, context, |store| {
            store.write(|db| chats::remove_messages(db, &ids))
        })
}

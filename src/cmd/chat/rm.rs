use super::super::rm::Removal;
use super::super::{Context, unique};
use super::{count_of_messages, describe, id};
use crate::store::{Store, chats};
use base::{ExitStatus, Result};

/// Remove chats and their messages
///
/// Prints what it will remove and asks first; without a terminal to ask on, -y is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat rm 3 --dry-run")]
pub(crate) struct Args {
    /// The chats' ids
    #[arg(value_name = "CHAT", required = true, value_parser = id)]
    chats: Vec<i64>,
    #[command(flatten)]
    removal: Removal,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let store = Store::open_readonly(&context.location)?;
    let ids = unique(args.chats.iter().copied());
    let mut lines = Vec::new();
    for &id in &ids {
        let chat = describe(&store.read(|db| chats::chat(db, id))?);
        let messages = count_of_messages(store.read(|db| chats::count_messages(db, id))?);
        lines.push(format!("{chat} ({messages})"));
    }
    drop(store);
    args.removal
        .run("chat", "chat rm", &ids, &lines, context, |store| {
            chats::remove(store, &ids)
        })
}

use super::super::Context;
use super::{Format, describe, id};
use crate::formats::chat_json;
use crate::store::{Store, chats};
use base::Result;

/// Give a chat another title
///
/// Prints the chat.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat rename 3 'Rayleigh scattering'")]
pub(crate) struct Args {
    /// The chat's id
    #[arg(value_parser = id)]
    chat: i64,
    /// The new title
    title: String,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    // A wrong id is found before anything is opened for writing.
    Store::open_readonly(&context.location)?.read(|db| chats::chat(db, args.chat))?;
    let mut store = Store::open(&context.location)?;
    store.write(|db| chats::rename(db, args.chat, &args.title))?;
    let chat = store.read(|db| chats::chat(db, args.chat))?;
    args.output
        .print(&describe(&chat), &chat_json::chat(&chat), &mut context.out)
}

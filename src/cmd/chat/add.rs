use super::super::Context;
use super::{Format, describe};
use crate::formats::chat_json;
use crate::store::{Store, chats};
use base::Result;

/// Begin a chat
///
/// Prints the new chat.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat add 'Why is the sky blue?' --model m.gguf")]
pub(crate) struct Args {
    /// Its title
    title: String,
    /// The model file of the chat
    #[arg(long, default_value = "", hide_default_value = true)]
    model: String,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let mut store = Store::open(&context.location)?;
    let id = store.write(|db| chats::add(db, &args.model, &args.title))?;
    let chat = store.read(|db| chats::chat(db, id))?;
    args.output
        .print(&describe(&chat), &chat_json::chat(&chat), &mut context.out)
}

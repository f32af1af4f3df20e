use std::io::Write;

use super::super::Context;
use super::{Output, id};
use crate::formats::chat_json;
use crate::store::{Store, chats};
use base::{Error, Result};

/// Give a chat another title
///
/// Prints the chat.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat rename 3 'Rayleigh scattering'")]
pub struct Args {
    /// The chat's id
    #[arg(value_parser = id)]
    chat: i64,
    /// The new title
    title: String,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    // A wrong id is found before anything is opened for writing.
    let store = Store::open_readonly(&context.location)?;
    store.read(|db| chats::chat(db, args.chat))?;
    drop(store);
    let mut store = Store::open(&context.location)?;
    store.write(|db| chats::rename(db, args.chat, &args.title))?;
    let chat = store.read(|db| chats::chat(db, args.chat))?;
    let out = &mut context.out;
    match args.output {
        Output::Text => writeln!(out, "{}", super::describe(&chat)),
        Output::Json => chat_json::chat(&chat).write_answer(out),
    }
    .map_err(|error| Error::stdout(&error))
}

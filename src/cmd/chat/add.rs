use std::io::Write;

use super::super::Context;
use super::Output;
use crate::formats::chat_json;
use crate::store::{Store, chats};
use base::{Error, Result};

/// Begin a chat
///
/// Prints the new chat.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat add 'Why is the sky blue?' --model m.gguf")]
pub struct Args {
    /// Its title
    title: String,
    /// The model file that the chat is with
    #[arg(long, default_value = "", hide_default_value = true)]
    model: String,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let mut store = Store::open(&context.location)?;
    let id = store.write(|db| chats::add(db, &args.model, &args.title))?;
    let chat = store.read(|db| chats::chat(db, id))?;
    let out = &mut context.out;
    match args.output {
        Output::Text => writeln!(out, "{}", super::describe(&chat)),
        Output::Json => chat_json::chat(&chat).write_answer(out),
    }
    .map_err(|error| Error::stdout(&error))
}

use std::io::{self, Write};
use std::path::PathBuf;

use super::super::Context;
use super::id;
use crate::formats::chat_markdown;
use crate::model::{Chat, Message};
use crate::store::{Store, chats};
use base::write_atomically;
use base::{Error, Result};

/// Print chats as a Markdown document
///
/// Messages stand in block quotes, the first one first, so that nothing in them reaches beyond
/// its message; code stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat export 3 -o md --out chat.md")]
pub struct Args {
    /// The chats' ids
    #[arg(value_name = "CHAT", required = true, value_parser = id)]
    chats: Vec<i64>,
    /// How they are printed
    #[arg(short, long, value_name = "FORMAT", default_value = "md")]
    output: Format,
    /// Write to this file, whole or not at all
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A Markdown document
    #[value(alias = "markdown")]
    Md,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let mut chats = Vec::with_capacity(args.chats.len());
    for &id in &args.chats {
        let chat = store.read(|db| chats::chat(db, id))?;
        chats.push((chat, store.read(|db| chats::conversation(db, id))?));
    }
    match &args.out {
        Some(path) => write_atomically(path, |out| {
            write(out, args.output, &chats).map_err(|error| Error::file(path, &error))
        }),
        None => write(&mut context.out, args.output, &chats).map_err(|error| Error::stdout(&error)),
    }
}

fn write(out: &mut dyn Write, format: Format, chats: &[(Chat, Vec<Message>)]) -> io::Result<()> {
    for (index, (chat, messages)) in chats.iter().enumerate() {
        if index > 0 {
            out.write_all(b"\n")?;
        }
        match format {
            Format::Md => chat_markdown::write(out, chat, messages)?,
        }
    }
    Ok(())
}

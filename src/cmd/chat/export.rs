use std::io::Write;
use std::path::PathBuf;

use super::super::{Context, deliver};
use super::id;
use crate::formats::chat_markdown;
use crate::store::{Store, chats};
use base::Result;

/// Print chats as a Markdown document
///
/// Each message stands as it was written in a block of code, the first one first, so that nothing
/// in it reaches beyond its message.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat export 3 -o md --out chat.md")]
pub(crate) struct Args {
    /// The chats' ids
    #[arg(value_name = "CHAT", required = true, value_parser = id)]
    chats: Vec<i64>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "md")]
    output: Document,
    /// Write to this file, whole or not at all
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Document {
    /// A Markdown document
    #[value(alias = "markdown")]
    Md,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let Document::Md = args.output;
    let store = Store::open_readonly(&context.location)?;
    let mut document = Vec::new();
    for (index, &id) in args.chats.iter().enumerate() {
        if index > 0 {
            document.write_all(b"\n")?;
        }
        let chat = store.read(|db| chats::chat(db, id))?;
        chat_markdown::write(
            &mut document,
            &chat,
            &store.read(|db| chats::conversation(db, id))?,
        )?;
    }
    deliver(&document, args.out.as_deref(), context)
}

use std::io::Write;

use super::super::{Context, OutFile};
use super::id;
use crate::formats::chat_markdown;
use crate::store::{Store, chats};
use base::Result;

/// Print chats as a Markdown document
///
/// Each message is in a code block of its own, the oldest first, so that no markup in it affects the
/// rest of the document. Lines end with LF; control characters other than tabs become U+FFFD.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat export 3 -o md --out chat.md")]
pub(crate) struct Args {
    /// The chats' ids
    #[arg(value_name = "CHAT", required = true, value_parser = id)]
    chats: Vec<i64>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "md")]
    output: Document,
    #[command(flatten)]
    out: OutFile,
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
    args.out.write(&document, context)
}

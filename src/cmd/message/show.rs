use std::io::Write;

use super::super::Context;
use super::{Format, id, write_message};
use crate::formats::chat_json;
use crate::formats::llamafile_json::Json;
use crate::store::{Store, chats};
use base::Result;

/// Show a message and how it was sampled
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore message show 12 -o json")]
pub(crate) struct Args {
    /// The message's id
    #[arg(value_parser = id)]
    message: i64,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let out = &mut context.out;
    if args.output == Format::Json {
        let message = store.read(|db| chats::find_message(db, args.message))?;
        let answer = message.as_ref().map(chat_json::message);
        answer
            .unwrap_or_else(|| Json::object([]))
            .write_answer(out)?;
    }
    let message = store.read(|db| chats::message(db, args.message))?;
    if args.output == Format::Text {
        let sampling = &message.sampling;
        writeln!(
            out,
            "chat {}, temperature {}, top_p {}, presence_penalty {}, frequency_penalty {}",
            message.chat_id,
            sampling.temperature,
            sampling.top_p,
            sampling.presence_penalty,
            sampling.frequency_penalty
        )?;
        write_message(out, &message)?;
    }
    Ok(())
}

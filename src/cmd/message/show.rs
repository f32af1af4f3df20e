use std::io::Write;

use super::super::Context;
use super::{Output, id, write_message};
use crate::formats::chat_json;
use crate::formats::llamafile_json::Json;
use crate::store::{Store, chats};
use base::{Error, Result};

/// Show a message and how it was sampled
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore message show 12 -o json")]
pub struct Args {
    /// The message's id
    #[arg(value_parser = id)]
    message: i64,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let out = &mut context.out;
    if args.output == Output::Json {
        let message = store.read(|db| chats::find_message(db, args.message))?;
        message
            .as_ref()
            .map_or_else(|| Json::object([]), chat_json::message)
            .write_answer(out)
            .map_err(|error| Error::stdout(&error))?;
    }
    let message = store.read(|db| chats::message(db, args.message))?;
    if args.output == Output::Json {
        return Ok(());
    }
    let sampling = &message.sampling;
    writeln!(
        out,
        "chat {}, temperature {}, top_p {}, presence_penalty {}, frequency_penalty {}",
        message.chat_id,
        sampling.temperature,
        sampling.top_p,
        sampling.presence_penalty,
        sampling.frequency_penalty
    )
    .map_err(|error| Error::stdout(&error))?;
    write_message(out, &message)
}

use std::borrow::Cow;
use std::io::{self, Read};

use super::super::Context;
use super::{Format, describe, id};
use crate::formats::chat_json;
use crate::model::{NewMessage, Role, Sampling};
use crate::store::{Store, chats};
use base::{Error, Result};

/// Add a message to a chat
///
/// Prints the new message. Its content is stored unchanged, including the last newline. The
/// sampling options record how an answer was generated; the defaults are llamafile's.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore message add 3 user 'Why is the sky blue?'
  llamafile -p \"$question\" | localstore message add 3 assistant")]
pub(crate) struct Args {
    /// The chat's id
    #[arg(value_parser = id)]
    chat: i64,
    /// Who wrote it
    role: Role,
    /// The text; '-' or no text reads standard input
    #[arg(default_value = "-", hide_default_value = true)]
    content: String,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    sampling: SamplingArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sampling")]
struct SamplingArgs {
    /// Temperature
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = finite)]
    #[arg(default_value_t = Sampling::default().temperature)]
    temperature: f64,
    /// Nucleus sampling: the share of the probability mass to choose from
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = finite)]
    #[arg(default_value_t = Sampling::default().top_p)]
    top_p: f64,
    /// Penalty for tokens already used
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = finite)]
    #[arg(default_value_t = Sampling::default().presence_penalty)]
    presence_penalty: f64,
    /// Penalty for each earlier use of a token
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = finite)]
    #[arg(default_value_t = Sampling::default().frequency_penalty)]
    frequency_penalty: f64,
}

impl From<&SamplingArgs> for Sampling {
    fn from(args: &SamplingArgs) -> Self {
        Self {
            temperature: args.temperature,
            top_p: args.top_p,
            presence_penalty: args.presence_penalty,
            frequency_penalty: args.frequency_penalty,
        }
    }
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    // An invalid id is reported before anything is read or opened for writing.
    Store::open_readonly(&context.location)?.read(|db| chats::chat(db, args.chat))?;
    let content = content(&args.content)?;
    let mut store = Store::open(&context.location)?;
    let message = NewMessage {
        role: args.role,
        content: &content,
        sampling: (&args.sampling).into(),
    };
    let id = store.write(|db| chats::add_message(db, args.chat, &message))?;
    let message = store.read(|db| chats::message(db, id))?;
    let json = chat_json::message(&message);
    args.output
        .print(&describe(&message), &json, &mut context.out)
}

fn content(argument: &str) -> Result<Cow<'_, str>> {
    if argument != "-" {
        return Ok(Cow::Borrowed(argument));
    }
    let wrong = |why: &str| Error::new("standard input", why).hint("nothing was added");
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(&error.to_string()))?;
    let content = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text"))?;
    if content.contains('\0') {
        return Err(wrong("it contains a NUL, where llamafile would cut it off"));
    }
    Ok(Cow::Owned(content))
}

fn finite(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("'{text}' is not a number"))
}

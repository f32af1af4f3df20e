use super::super::Context;
use super::{Format, cell, first_line, id};
use crate::formats::chat_json;
use crate::model::Message;
use crate::store::{Store, chats};
use base::{Column, ColumnOf, Result};

/// List the messages of a chat, the one written last first
///
/// Shows the first line of each content; 'chat show' shows all of it. Times are in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore message list 3 -o json")]
pub(crate) struct Args {
    /// The chat's id
    #[arg(value_parser = id)]
    chat: i64,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let messages = store.read(|db| chats::messages(db, args.chat))?;
    let json = chat_json::listed_message;
    args.output
        .print_list(&messages, &COLUMNS, json, &mut context.out)?;
    // Messages of a removed chat are shown, since llamafile shows them.
    if messages.is_empty() {
        store.read(|db| chats::chat(db, args.chat))?;
        if args.output == Format::Text {
            context.note(&format!("chat {} has no messages", args.chat));
        }
    }
    Ok(())
}

const COLUMNS: [ColumnOf<Message>; 4] = [
    ("id", Column::Number, |message| message.id.to_string()),
    ("written", Column::Whole, |message| {
        cell(message.created_at.as_ref())
    }),
    ("role", Column::Whole, |message| cell(message.role.as_ref())),
    ("content", Column::Text, first_line),
];

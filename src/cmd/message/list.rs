use std::io::Write;

use super::super::Context;
use super::{Output, TITLE, first_line, id};
use crate::formats::chat_json;
use crate::formats::llamafile_json::Json;
use crate::model::{Message, Text};
use crate::store::{Store, chats};
use base::{Column, Table, note, shortened};
use base::{Error, Result};

/// List the messages of a chat, the one written last first
///
/// Of each content the first line is shown; 'chat show' shows all. Times are in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore message list 3 -o json")]
pub struct Args {
    /// The chat's id
    #[arg(value_parser = id)]
    chat: i64,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let messages = store.read(|db| chats::messages(db, args.chat))?;
    let out = &mut context.out;
    match args.output {
        Output::Text if messages.is_empty() => Ok(()),
        Output::Text => out.write_all(table(&messages).render(out.width()).as_bytes()),
        Output::Json => {
            Json::Array(messages.iter().map(chat_json::listed_message).collect()).write_answer(out)
        }
    }
    .map_err(|error| Error::stdout(&error))?;
    // Messages of a chat that is gone are shown, since llamafile shows them.
    if messages.is_empty() {
        store.read(|db| chats::chat(db, args.chat))?;
        if args.output == Output::Text {
            note(&format!("chat {} has no messages", args.chat));
        }
    }
    Ok(())
}

fn table(messages: &[Message]) -> Table {
    let text = |text: Option<&Text>| {
        let text = text.map(Text::display).unwrap_or_default();
        shortened(&text, TITLE).into_owned()
    };
    let mut table = Table::new(&[
        ("id", Column::Number),
        ("written", Column::Whole),
        ("role", Column::Whole),
        ("content", Column::Text),
    ]);
    for message in messages {
        table.row(&[
            message.id.to_string(),
            text(message.created_at.as_ref()),
            text(message.role.as_ref()),
            first_line(message),
        ]);
    }
    table
}

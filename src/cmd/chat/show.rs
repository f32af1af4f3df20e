use std::io::Write;

use super::super::Context;
use super::{Format, count_of_messages, id};
use crate::formats::chat_json;
use crate::formats::llamafile_json::Json;
use crate::model::{Chat, Message, Text};
use crate::store::{Store, chats};
use base::{Result, Stdout, color_wanted, printable};

/// Show a chat as a conversation, the first message first
///
/// Control characters are shown as escapes. As json it is the chat alone, as llamafile's server
/// answers; 'message list' has the messages, with each content as it is. Times are in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat show 3 | less")]
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
    let out = &mut context.out;
    if args.output == Format::Json {
        let chat = store.read(|db| chats::find(db, args.chat))?;
        let answer = chat.as_ref().map(chat_json::chat);
        answer
            .unwrap_or_else(|| Json::object([]))
            .write_answer(out)?;
    }
    let chat = store.read(|db| chats::chat(db, args.chat))?;
    if args.output == Format::Text {
        let messages = store.read(|db| chats::conversation(db, chat.id))?;
        write_head(out, &chat, messages.len())?;
        for message in &messages {
            write_message(out, message)?;
        }
    }
    Ok(())
}

fn write_head(out: &mut Stdout, chat: &Chat, messages: usize) -> Result<()> {
    let title = chat.title.as_ref().map(Text::display).unwrap_or_default();
    if !title.is_empty() {
        writeln!(out, "{}", printable(&title))?;
    }
    let mut facts = vec![format!("chat {}", chat.id)];
    for (fact, unit) in [(&chat.model, ""), (&chat.created_at, " UTC")] {
        if let Some(fact) = fact.as_ref().filter(|fact| !fact.as_bytes().is_empty()) {
            facts.push(format!("{}{unit}", printable(&fact.display())));
        }
    }
    facts.push(count_of_messages(messages as u64));
    Ok(writeln!(out, "{}", facts.join(", "))?)
}

/// Writes a message under a line that says whose it is. On a terminal that line is bold.
pub(crate) fn write_message(out: &mut Stdout, message: &Message) -> Result<()> {
    let text = |text: Option<&Text>| {
        let text = text.map(Text::display).unwrap_or_default();
        printable(&text).into_owned()
    };
    let role = match text(message.role.as_ref()) {
        role if role.is_empty() => "unknown".to_owned(),
        role => role,
    };
    let time = text(message.created_at.as_ref());
    let head = format!("--- {role}, message {}, {time}", message.id);
    let head = if out.is_terminal() && color_wanted() {
        format!("\n\x1b[1m{head}\x1b[0m\n")
    } else {
        format!("\n{head}\n")
    };
    out.styled(head.as_bytes())?;
    let content = message.content.as_ref().map_or(&[][..], Text::as_bytes);
    out.styled(shown(content).as_bytes())
}

/// A content for people, with a newline at its end. Of control characters, tabs and line ends stay.
fn shown(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content).replace("\r\n", "\n");
    let line = |line: &str| {
        line.split('\t')
            .map(printable)
            .collect::<Vec<_>>()
            .join("\t")
    };
    let mut shown = text.split('\n').map(line).collect::<Vec<_>>().join("\n");
    if !shown.is_empty() && !shown.ends_with('\n') {
        shown.push('\n');
    }
    shown
}

//! The commands of `chat`, one file each.

mod add;
mod export;
mod list;
mod rename;
mod rm;
mod search;
mod show;

pub(crate) use show::write_message;

use std::io::Write;

use super::Context;
use crate::formats::chat_json;
use crate::formats::llamafile_json::Json;
use crate::model::{Chat, Text};
use base::{ColumnOf, ExitStatus, Result, Stdout, Table, shortened};

/// Chats that llamafile keeps in the same file
///
/// llamafile's server and localstore may use the file at the same time.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore chat search 'rayleigh scattering'"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Add(add::Args),
    Rename(rename::Args),
    Rm(rm::Args),
    Export(export::Args),
    Search(search::Args),
}

impl Args {
    /// Runs the command.
    pub(crate) fn run(&self, context: &mut Context) -> Result<ExitStatus> {
        match &self.command {
            Command::List(args) => list::run(args, context)?,
            Command::Show(args) => show::run(args, context)?,
            Command::Add(args) => add::run(args, context)?,
            Command::Rename(args) => rename::run(args, context)?,
            Command::Rm(args) => return rm::run(args, context),
            Command::Export(args) => export::run(args, context)?,
            Command::Search(args) => search::run(args, context)?,
        }
        Ok(ExitStatus::Success)
    }
}

/// How chats and messages are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[value(alias = "table", alias = "console")]
    Text,
    /// As llamafile's server returns it
    Json,
}

impl Format {
    /// Prints a chat or a message: its description, or its object.
    pub(crate) fn print(self, description: &str, json: &Json, out: &mut Stdout) -> Result<()> {
        match self {
            Self::Text => writeln!(out, "{description}")?,
            Self::Json => json.write_answer(out)?,
        }
        Ok(())
    }

    /// Prints a chat.
    fn print_chat(self, chat: &Chat, out: &mut Stdout) -> Result<()> {
        self.print(&describe(chat), &chat_json::chat(chat), out)
    }

    /// Prints a list: a table of the columns, or an array.
    pub(crate) fn print_list<T>(
        self,
        items: &[T],
        columns: &[ColumnOf<T>],
        json: impl Fn(&T) -> Json,
        out: &mut Stdout,
    ) -> Result<()> {
        match self {
            Self::Json => Json::Array(items.iter().map(json).collect()).write_answer(out)?,
            Self::Text if items.is_empty() => {}
            Self::Text => {
                let text = Table::of(items, columns).render(out.screen());
                out.write_all(text.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Reads the id of a chat or a message.
pub(crate) fn id(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is not a number; 'localstore chat list' shows the ids"))
}

/// A chat in one line.
fn describe(chat: &Chat) -> String {
    match cell(chat.title.as_ref()) {
        title if title.is_empty() => format!("chat {}, without a title", chat.id),
        title => format!("chat {}: {title}", chat.id),
    }
}

fn count_of_messages(count: u64) -> String {
    match count {
        0 => "no messages".to_owned(),
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

/// A text in a table or a line.
pub(crate) fn cell(text: Option<&Text>) -> String {
    let text = text.map(Text::display).unwrap_or_default();
    shortened(&text, TITLE).into_owned()
}

/// The most columns of a title or a line that a table shows.
pub(crate) const TITLE: usize = 100;

//! The commands of `chat`, one file each.

mod add;
mod export;
mod list;
mod rename;
mod rm;
mod search;
mod show;

pub use show::write_message;

use super::Context;
use crate::model::{Chat, Text};
use base::Result;
use base::shortened;

/// Chats that llamafile keeps in the same file
///
/// llamafile's server and localstore may use the file at the same time.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore chat search 'rayleigh scattering'"
)]
pub struct Args {
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
    pub fn run(&self, context: &mut Context) -> Result<()> {
        match &self.command {
            Command::List(args) => list::run(args, context),
            Command::Show(args) => show::run(args, context),
            Command::Add(args) => add::run(args, context),
            Command::Rename(args) => rename::run(args, context),
            Command::Rm(args) => rm::run(args, context),
            Command::Export(args) => export::run(args, context),
            Command::Search(args) => search::run(args, context),
        }
    }
}

/// How chats and messages are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people
    #[value(alias = "table", alias = "console")]
    Text,
    /// As llamafile's server answers
    Json,
}

/// Reads the id of a chat or a message.
pub fn id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("'{text}' is no id"))
}

/// A chat in one line.
fn describe(chat: &Chat) -> String {
    let title = chat.title.as_ref().map(Text::display).unwrap_or_default();
    match &*title {
        "" => format!("chat {}, without a title", chat.id),
        title => format!("chat {}: {}", chat.id, shortened(title, TITLE)),
    }
}

/// How many columns of a title or a line are shown in a table.
pub const TITLE: usize = 100;

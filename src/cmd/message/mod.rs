//! The commands of `message`, one file each.

mod add;
mod list;
mod rm;
mod show;

use super::Context;
use super::chat::{Format, TITLE, cell, id, write_message};
use crate::model::{Message, Text};
use base::{ExitStatus, Result, shortened};

/// Messages of the chats that llamafile keeps in the same file
///
/// llamafile's server and localstore may use the file at the same time.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore message list 3"
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
    Rm(rm::Args),
}

impl Args {
    /// Runs the command.
    pub(crate) fn run(&self, context: &mut Context) -> Result<ExitStatus> {
        match &self.command {
            Command::List(args) => list::run(args, context)?,
            Command::Show(args) => show::run(args, context)?,
            Command::Add(args) => add::run(args, context)?,
            Command::Rm(args) => return rm::run(args, context),
        }
        Ok(ExitStatus::Success)
    }
}

/// A message in one line.
fn describe(message: &Message) -> String {
    format!(
        "message {} of chat {}, {}: {}",
        message.id,
        message.chat_id,
        cell(message.role.as_ref()),
        first_line(message)
    )
}

/// The first line of a content with anything in it.
fn first_line(message: &Message) -> String {
    let content = message.content.as_ref().map_or(&[][..], Text::as_bytes);
    let mut lines = content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    shortened(&String::from_utf8_lossy(line), TITLE).into_owned()
}

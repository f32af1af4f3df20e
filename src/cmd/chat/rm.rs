use std::io::{self, IsTerminal, Write};

use super::super::{Context, rm};
use super::id;
use crate::store::{Store, chats};
use base::{Error, Result};
use base::{note, printable};

/// Remove chats and their messages
///
/// Says what it will remove and, on a terminal, asks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat rm 3 --dry-run")]
pub struct Args {
    /// The chats' ids
    #[arg(value_name = "CHAT", required = true, value_parser = id)]
    chats: Vec<i64>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Say what would be removed, remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let (ids, lines) = choose(args, context)?;
    let verb = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    if !args.dry_run {
        if !args.yes && io::stdin().is_terminal() && !rm::confirmed(&lines)? {
            note("nothing was removed");
            return Err(Error::reported());
        }
        chats::remove(&mut Store::open(&context.location)?, &ids)?;
    }
    for line in lines {
        writeln!(context.out, "{verb} {}", printable(&line)).map_err(|e| Error::stdout(&e))?;
    }
    Ok(())
}

/// The chats, each once, in the order in which they were named, and a line for each.
fn choose(args: &Args, context: &Context) -> Result<(Vec<i64>, Vec<String>)> {
    let store = Store::open_readonly(&context.location)?;
    let mut ids = Vec::new();
    let mut lines = Vec::new();
    for &id in &args.chats {
        if ids.contains(&id) {
            continue;
        }
        let chat = store.read(|db| chats::chat(db, id))?;
        let messages = match store.read(|db| chats::count_messages(db, id))? {
            0 => "no messages".to_owned(),
            1 => "1 message".to_owned(),
            count => format!("{count} messages"),
        };
        ids.push(id);
        lines.push(format!("{} ({messages})", super::describe(&chat)));
    }
    Ok((ids, lines))
}

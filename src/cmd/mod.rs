//! The commands, one file each: help text, arguments, run.
//!
//! To add a command: write its file, list it here, and give it a line in [`Command`] and one in
//! [`Command::run`].

mod add;
mod backup;
mod best;
mod chat;
mod check;
mod compare;
mod completions;
mod export;
mod filters;
mod history;
mod list;
mod machine;
mod man;
mod merge;
mod message;
mod path;
mod plot;
mod record;
mod report;
mod rm;
mod score;
mod sender;
mod sending;
mod show;
mod storing;
mod submission;
mod submit;
mod tag;
mod untag;

use std::io::Write;
use std::path::Path;

use crate::store::{Location, Store, select};
use base::{Error, Result};
use base::{Stdout, write_atomically};

/// What a command works with.
pub struct Context {
    /// The store.
    pub location: Location,
    /// Standard output.
    pub out: Stdout,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
#[allow(missing_docs, reason = "each is documented by its arguments")]
pub enum Command {
    Add(add::Args),
    Record(record::Args),
    Merge(merge::Args),
    List(list::Args),
    Show(show::Args),
    Export(export::Args),
    Score(score::Args),
    Compare(compare::Args),
    History(history::Args),
    Best(best::Args),
    Plot(plot::Args),
    Report(report::Args),
    Submit(submit::Args),
    Tag(tag::Args),
    Untag(untag::Args),
    Rm(rm::Args),
    Chat(chat::Args),
    Message(message::Args),
    Check(check::Args),
    Backup(backup::Args),
    Path(path::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Runs the command.
    pub fn run(&self, context: &mut Context) -> Result<()> {
        match self {
            Self::Add(args) => add::run(args, context),
            Self::Record(args) => record::run(args, context),
            Self::Merge(args) => merge::run(args, context),
            Self::List(args) => list::run(args, context),
            Self::Show(args) => show::run(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Score(args) => score::run(args, context),
            Self::Compare(args) => compare::run(args, context),
            Self::History(args) => history::run(args, context),
            Self::Best(args) => best::run(args, context),
            Self::Plot(args) => args.run(context),
            Self::Report(args) => report::run(args, context),
            Self::Submit(args) => submit::run(args, context),
            Self::Tag(args) => tag::run(args, context),
            Self::Untag(args) => untag::run(args, context),
            Self::Rm(args) => rm::run(args, context),
            Self::Chat(args) => args.run(context),
            Self::Message(args) => args.run(context),
            Self::Check(args) => check::run(args, context),
            Self::Backup(args) => backup::run(args, context),
            Self::Path(args) => path::run(args, context),
            Self::Completions(args) => completions::run(args, context),
            Self::Man(args) => man::run(args, context),
        }
    }
}

/// Writes a document to the file, whole or not at all, else to standard output.
fn deliver(document: &str, path: Option<&Path>, context: &mut Context) -> Result<()> {
    match path {
        Some(path) => {
            context.location.refuse(path)?;
            write_atomically(path, |file| {
                file.write_all(document.as_bytes())
                    .map_err(|error| Error::file(path, &error))
            })
        }
        None => context
            .out
            .write_all(document.as_bytes())
            .map_err(|error| Error::stdout(&error)),
    }
}

/// SQLite's `YYYY-MM-DD HH:MM:SS` as RFC 3339.
fn rfc3339(time: &str) -> String {
    format!("{}Z", time.replacen(' ', "T", 1))
}

/// Seconds since 1970 as RFC 3339; `None` for a time that no calendar has.
fn time(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.to_string())
}

/// The ids of runs, each once, in the order in which they were named.
fn each_once(store: &Store, names: &[String]) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    for name in names {
        let id = store.read(|db| select::resolve(db, name))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

//! The command line: the global options, and the commands, one file each with help text, arguments
//! and `run`.
//!
//! To add a command: write its file, list it here, and give it a line in `commands!` and one in
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
mod help;
mod history;
mod list;
mod machine;
mod man;
mod merge;
mod message;
#[cfg(feature = "network")]
mod moving;
mod named;
#[cfg(not(feature = "serve"))]
mod no_gateway;
#[cfg(not(feature = "network"))]
mod no_network;
mod path;
mod plot;
#[cfg(feature = "network")]
mod pull;
#[cfg(feature = "network")]
mod push;
mod record;
mod report;
mod rm;
mod score;
mod sender;
mod sending;
mod show;
mod standing;
mod storing;
mod submission;
mod submit;
mod tag;
mod tally;
mod untag;
mod version;
mod words;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{ArgAction, ArgMatches, Args as _, CommandFactory, FromArgMatches, Parser};

#[cfg(not(feature = "serve"))]
use no_gateway::{agent, key, model, serve, usage};
#[cfg(not(feature = "network"))]
use no_network::{pull, push};

#[cfg(feature = "serve")]
use gateway::{agent, key, model, server as serve, usage};

use crate::arguments::retyped;
use crate::store::{Location, Store, select};
use base::{Error, ExitStatus, Result, Stdout, write_atomically};

pub(crate) use completions::answer as answer_shell;
pub(crate) use help::overview;

/// Keeps LocalScore and llama-bench runs, and gives them back byte for byte
///
/// localstore stores what the benchmarks localscore and llama-bench print, so that a closed terminal
/// or a failed submission loses nothing, and exports it as csv, json or md, as the benchmark printed
/// it. The two are never compared with each other. The store is one SQLite file, the one that
/// llamafile keeps its chats in.
#[derive(Debug, Parser)]
#[command(
    name = "localstore",
    // Not as it was started: `localstore.exe` is no word of a hint.
    bin_name = "localstore",
    version,
    max_term_width = 80,
    disable_help_subcommand = true,
    args_override_self = true,
    override_usage = "localstore [OPTIONS] <COMMAND>",
    after_help = "Example: localscore -m model.gguf -o json | localstore add"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[arg(skip)]
    pub(crate) command: Option<Command>,
}

impl Cli {
    /// Parses the arguments by `command`, which has the one they name.
    pub(crate) fn parse(
        command: &mut clap::Command,
        arguments: &[OsString],
    ) -> clap::error::Result<Self> {
        let mut matches = command.try_get_matches_from_mut(arguments)?;
        let mut cli = Self::from_arg_matches_mut(&mut matches)?;
        if let Some((name, mut matches)) = matches.remove_subcommand() {
            cli.command = Command::parse(&name, &mut matches)?;
        }
        Ok(cli)
    }
}

/// Options that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The store [default: $LOCALSTORE_DB, else ~/.llamafile/llamafile.sqlite3]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) db: Option<PathBuf>,
    /// SQL to run when the store is opened for writing [default: WAL, synchronous=NORMAL]
    #[arg(long, value_name = "CODE", global = true)]
    pub(crate) db_startup_sql: Option<String>,
    /// Print long output at once, without a pager
    #[arg(long, global = true)]
    pub(crate) no_pager: bool,
    /// Print more on stderr; twice for even more
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

/// The command line as clap knows it.
#[must_use]
pub fn command() -> clap::Command {
    Command::add_to(Cli::command(), |_| true)
}

/// The command line as far as these arguments may mean it. To build all commands takes longer than
/// most of them need to run.
pub(crate) fn command_for(arguments: &[OsString]) -> clap::Command {
    Command::add_to(Cli::command(), |name| {
        arguments.iter().any(|argument| argument == name)
    })
}

/// The store and the output of a command.
pub(crate) struct Context {
    /// The store.
    pub(crate) location: Location,
    /// Standard output.
    pub(crate) out: Stdout,
}

impl Context {
    /// Prints a note for people on stderr, after everything printed so far.
    pub(crate) fn note(&mut self, text: &str) {
        self.out.note(text);
    }

    /// What the commands of the gateway work with.
    #[cfg(feature = "serve")]
    fn gateway(&mut self) -> gateway::Context<'_> {
        gateway::Context {
            location: &self.location,
            speeds: &crate::speeds::Stored,
            out: &mut self.out,
        }
    }

    /// The same in a program without the gateway.
    #[cfg(not(feature = "serve"))]
    #[allow(clippy::unused_self, reason = "the same call as with the feature")]
    fn gateway(&mut self) -> no_gateway::Absent {
        no_gateway::Absent
    }
}

/// What clap would derive for the commands, but each can be added by itself.
macro_rules! commands {
    ($($name:literal $variant:ident($args:ty),)*) => {
        /// The commands.
        #[derive(Debug)]
        pub(crate) enum Command {
            $($variant($args),)*
        }

        impl Command {
            /// Adds the commands of the wanted names.
            fn add_to(
                mut command: clap::Command,
                is_wanted: impl Fn(&str) -> bool,
            ) -> clap::Command {
                $(if is_wanted($name) {
                    command = command.subcommand(<$args>::augment_args(clap::Command::new($name)));
                })*
                command
            }

            fn parse(name: &str, matches: &mut ArgMatches) -> clap::error::Result<Option<Self>> {
                Ok(match name {
                    $($name => Some(Self::$variant(<$args>::from_arg_matches_mut(matches)?)),)*
                    _ => None,
                })
            }
        }
    };
}

// Those used more come first: of two that a mistyped name may mean, the first is suggested.
commands! {
    "record" Record(record::Args),
    "add" Add(add::Args),
    "list" List(list::Args),
    "compare" Compare(compare::Args),
    "history" History(history::Args),
    "report" Report(report::Args),
    "show" Show(show::Args),
    "best" Best(best::Args),
    "export" Export(export::Args),
    "score" Score(score::Args),
    "plot" Plot(plot::Args),
    "submit" Submit(submit::Args),
    "tag" Tag(tag::Args),
    "untag" Untag(untag::Args),
    "rm" Rm(rm::Args),
    "merge" Merge(merge::Args),
    "push" Push(push::Args),
    "pull" Pull(pull::Args),
    "check" Check(check::Args),
    "backup" Backup(backup::Args),
    "path" Path(path::Args),
    "trace" Trace(traces::Args),
    "prompt" Prompt(prompts::Args),
    "serve" Serve(serve::Args),
    "model" Model(model::Args),
    "key" Key(key::Args),
    "agent" Agent(agent::Args),
    "usage" Usage(usage::Args),
    "chat" Chat(chat::Args),
    "message" Message(message::Args),
    "completions" Completions(completions::Args),
    "man" Man(man::Args),
    "help" Help(help::Args),
    "version" Version(version::Args),
}

/// The environment variables that name the store, the first before the second; those of the gateway have one
/// more.
pub(crate) fn store_variables(is_of_gateway: bool) -> &'static [&'static str] {
    if is_of_gateway {
        &["LOCALSTORE_DB", "SQLITE_DB_PATH"]
    } else {
        &["LOCALSTORE_DB"]
    }
}

impl Command {
    /// Whether it is a command of the gateway.
    pub(crate) fn is_of_gateway(&self) -> bool {
        matches!(
            self,
            Self::Serve(_) | Self::Model(_) | Self::Key(_) | Self::Agent(_) | Self::Usage(_)
        )
    }

    /// Whether its output goes through the pager where the terminal is shorter.
    pub(crate) fn is_paged(&self) -> bool {
        match self {
            Self::List(_) | Self::Best(_) | Self::History(_) | Self::Show(_) | Self::Compare(_) => {
                true
            }
            Self::Prompt(args) => args.is_paged(),
            Self::Trace(args) => args.is_paged(),
            _ => false,
        }
    }

    /// Runs the command.
    pub(crate) fn run(&self, context: &mut Context) -> Result<ExitStatus> {
        match self {
            // These may fail in part, or return another program's exit code.
            Self::Add(args) => return add::run(args, context),
            Self::Record(args) => return record::run(args, context),
            Self::Merge(args) => return merge::run(args, context),
            Self::Push(args) => return push::run(args, context),
            Self::Pull(args) => return pull::run(args, context),
            Self::Compare(args) => return compare::run(args, context),
            Self::Submit(args) => return submit::run(args, context),
            Self::Rm(args) => return rm::run(args, context),
            Self::Prompt(args) => return args.run(&mut context.out),
            Self::Trace(args) => return args.run(&context.location, &mut context.out),
            Self::Serve(args) => return args.run(&mut context.gateway()),
            Self::Model(args) => return args.run(&mut context.gateway()),
            Self::Key(args) => return args.run(&mut context.gateway()),
            Self::Agent(args) => return args.run(&mut context.gateway()),
            Self::Usage(args) => return args.run(&mut context.gateway()),
            Self::Chat(args) => return args.run(context),
            Self::Message(args) => return args.run(context),
            Self::Check(args) => return check::run(args, context),
            // These succeed or return an error.
            Self::List(args) => list::run(args, context)?,
            Self::Show(args) => show::run(args, context)?,
            Self::Export(args) => export::run(args, context)?,
            Self::Score(args) => score::run(args, context)?,
            Self::History(args) => history::run(args, context)?,
            Self::Best(args) => best::run(args, context)?,
            Self::Plot(args) => args.run(context)?,
            Self::Report(args) => report::run(args, context)?,
            Self::Tag(args) => tag::run(args, context)?,
            Self::Untag(args) => untag::run(args, context)?,
            Self::Backup(args) => backup::run(args, context)?,
            Self::Path(args) => path::run(args, context)?,
            Self::Completions(args) => completions::run(args, context)?,
            Self::Man(args) => man::run(args, context)?,
            Self::Help(args) => help::run(args, context)?,
            Self::Version(args) => version::run(args, context)?,
        }
        Ok(ExitStatus::Success)
    }
}

/// Where a document goes.
#[derive(Debug, clap::Args)]
struct OutFile {
    /// Write to this file, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl OutFile {
    /// Refuses the name of a picture in another format than SVG.
    fn check_svg(&self) -> Result<()> {
        const OTHERS: [&str; 9] = [
            "png", "jpg", "jpeg", "gif", "webp", "bmp", "tiff", "pdf", "eps",
        ];
        let path = self.out.as_deref().unwrap_or(Path::new(""));
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if !OTHERS.contains(&ending.to_lowercase().as_str()) {
            return Ok(());
        }
        let svg = path.with_extension("svg");
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let command = retyped(&arguments, &path.to_string_lossy(), &svg.to_string_lossy());
        Err(Error::new(path.display(), "only SVG is drawn").hint(command))
    }

    fn write(&self, document: impl AsRef<[u8]>, context: &mut Context) -> Result<()> {
        let Some(path) = &self.out else {
            return Ok(context.out.write_all(document.as_ref())?);
        };
        context.location.refuse(path)?;
        write_atomically(path, |file| Ok(file.write_all(document.as_ref())?))
    }
}

/// The error for things of these ids, which are for example `not removed`, since nobody can be asked;
/// `command` does it unasked.
fn cannot_ask(thing: &str, ids: &[i64], how: &str, command: &str) -> Error {
    let plural = if ids.len() == 1 { "" } else { "s" };
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    let what = format_args!("{thing}{plural} {}: {how}", ids.join(", "));
    let hint = format!("localstore {command} {}", ids.join(" "));
    Error::new(what, "no terminal to ask on").hint(hint)
}

/// The id of the one run of that name.
fn resolve(store: &Store, name: &str) -> Result<i64> {
    match resolve_name(store, name)?.as_slice() {
        [id] => Ok(*id),
        ids => Err(Error::new(
            name,
            format_args!("{} runs, and one is meant", ids.len()),
        )),
    }
}

/// The ids of the runs of these names, in their order.
fn resolve_all(store: &Store, names: &[impl AsRef<str>]) -> Result<Vec<i64>> {
    let ids = names.iter().map(|name| resolve_name(store, name.as_ref()));
    Ok(ids.collect::<Result<Vec<_>>>()?.concat())
}

/// The ids of the runs of this name: see [`select::find`].
fn resolve_name(store: &Store, name: &str) -> Result<Vec<i64>> {
    let ids = store.read(|db| select::find(db, name))?;
    if ids.is_empty() {
        return Err(store.read(|db| select::no_such_run(db, name))?);
    }
    Ok(ids)
}

/// The items without repetitions, in their order.
fn unique<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut unique = Vec::new();
    for item in items {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}

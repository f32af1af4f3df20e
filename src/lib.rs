//! `localstore` keeps LocalScore's benchmark runs in one SQLite file and gives them back.
//!
//! Data flows one way: capture, formats, model, store, model, formats, standard output. `store`
//! knows no format and `formats` no SQL; `cmd` joins them.

#![forbid(unsafe_code)]

pub mod capture;
pub mod cmd;
pub mod formats;
pub mod model;
pub mod page;
pub mod picture;
pub mod stats;
pub mod store;
pub mod submit;

mod arguments;
mod rooms;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser};

use base::{Error, Stderr, Stdout};
use store::Location;

/// Keeps LocalScore benchmark runs, and gives them back byte for byte
///
/// localstore stores what the localscore benchmark prints, so that a closed terminal or a failed
/// submission loses nothing, and exports it as csv, json or md, as the benchmark printed it. The
/// store is one SQLite file, the one that llamafile keeps its chats in.
#[derive(Debug, Parser)]
#[command(
    name = "localstore",
    version,
    term_width = 80,
    disable_help_subcommand = true,
    after_help = "Example: localscore -m model.gguf -o json | localstore add"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: cmd::Command,
}

/// Options that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The store [default: $LOCALSTORE_DB, else ~/.llamafile/llamafile.sqlite3]
    #[arg(long, value_name = "FILE", global = true)]
    db: Option<PathBuf>,
    /// SQL that is run when the store is opened for writing [default: WAL, synchronous=NORMAL]
    #[arg(long, value_name = "CODE", global = true)]
    db_startup_sql: Option<String>,
    /// Say more on stderr; twice for even more
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
}

/// Runs the program with these arguments and tells its exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match arguments::parse(arguments) {
        Ok(cli) => cli,
        Err(arguments::Stop::Help(text)) => {
            let mut out = Stdout::lock();
            return report(out.styled(text.as_bytes()).and_then(|()| out.finish()));
        }
        Err(arguments::Stop::Wrong(error)) => return report(Err(error)),
    };
    start_tracing(cli.global.verbose);
    let location = Location::resolve(cli.global.db, cli.global.db_startup_sql);
    let path = location.path.display().to_string();
    tracing::debug!("the store is {}", base::printable(&path));
    let mut context = cmd::Context {
        location,
        out: Stdout::lock(),
    };
    let result = cli.command.run(&mut context);
    // What was printed before an error is printed all the same.
    let finished = context.out.finish();
    report(result.and(finished))
}

fn report(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(lines) = error.lines() {
                Stderr::print(&lines);
            }
            error.exit_code().into()
        }
    }
}

fn start_tracing(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
}

//! `localstore` keeps LocalScore's benchmark runs in one SQLite file and gives them back.
//!
//! Data flows one way: capture, formats, model, store, model, formats, standard output. `store`
//! knows no format and `formats` no SQL; `cmd` joins them.

#![forbid(unsafe_code)]

mod capture;
mod cmd;
#[cfg(feature = "network")]
mod fleet;
mod formats;
mod model;
mod page;
mod stats;
mod store;
mod submit;

mod arguments;
mod rooms;
#[cfg(feature = "serve")]
mod speeds;

use std::ffi::OsString;
use std::process::ExitCode;

use base::{Error, ExitStatus, Stderr, Stdout};
use store::Location;

pub use cmd::command;

/// Runs the program with these arguments and returns its exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut out = Stdout::lock();
    let arguments: Vec<OsString> = arguments.collect();
    if let Some(answer) = cmd::answer_shell(&arguments) {
        let _ = out.styled(&answer).and_then(|()| out.finish());
        return ExitCode::SUCCESS;
    }
    let cli = match arguments::parse(arguments.into_iter()) {
        Ok(cli) => cli,
        Err(arguments::Stop::Help(text)) => {
            let printed = out.styled(text.as_bytes()).and_then(|()| out.finish());
            return exit_code(printed.map(|()| ExitStatus::Success));
        }
        Err(arguments::Stop::Invalid(error)) => return exit_code(Err(error)),
    };
    start_tracing(cli.global.verbose);
    if let Some(path) = &cli.global.db {
        arguments::name_store(path.as_os_str());
    }
    let variables = cmd::store_variables(
        cli.command
            .as_ref()
            .is_some_and(cmd::Command::is_of_gateway),
    );
    let location = Location::resolve(cli.global.db, cli.global.db_startup_sql, variables);
    let path = location.path.display().to_string();
    tracing::debug!("the store is {}", base::printable(&path));
    let mut context = cmd::Context { location, out };
    let Some(command) = cli.command else {
        let text = cmd::overview(&context.location, Stderr::screen());
        Stderr::print(&text);
        return ExitCode::FAILURE;
    };
    if command.is_paged() && !cli.global.no_pager {
        context.out.page();
    }
    let result = command.run(&mut context);
    // What was printed before an error is written out as well.
    let written = context.out.finish();
    exit_code(match result {
        Ok(ExitStatus::Success) => written.map(|()| ExitStatus::Success),
        result => result,
    })
}

/// The exit code, after printing the error. It is not a failure if the reader closes our output.
fn exit_code(result: Result<ExitStatus, Error>) -> ExitCode {
    match result {
        Ok(status) => status.into(),
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            Stderr::error(&error);
            ExitCode::FAILURE
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

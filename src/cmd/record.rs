use std::ffi::OsString;
use std::path::Path;

use super::Context;
use super::sending::{Orders, Sending, Target, send};
use super::show::partial_remark;
use super::storing::{Adder, Messages, check_store};
use crate::error::{Error, Result};
use crate::output::{Spool, Stderr, Tee, note};
use crate::process::{self, Stream, Watched, exit_code};
use crate::store::{Store, check_tag};

/// Run a benchmark and store what it prints
///
/// Shows the output of the program as it comes and lets it ask its questions; on a terminal it
/// behaves as if it ran alone. When it has ended, the runs in its output are stored, also those
/// that were finished before Ctrl-C. What is said about them goes to standard error.
///
/// If anything of the output cannot be stored, the whole output is saved to a file in the current
/// folder (else in that for temporary files), and its name is printed: 'add' reads it.
///
/// The exit code is that of the program, or 128 and the number of the signal that killed it. If
/// the program succeeded and storing failed, or if there is no such program, it is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore record -- localscore -m model.gguf
  localstore record --tag baseline -- localscore -m model.gguf -o json -n
  localstore record --submit -- localscore -m model.gguf -n")]
pub struct Args {
    /// Label the runs, new or not
    #[arg(long)]
    tag: Option<String>,
    /// Store the whole tests of a run that is cut off, also where the program succeeded; where it
    /// failed or was interrupted, they are stored in any case
    #[arg(long)]
    partial: bool,
    /// Send the whole runs to LocalScore when the program has succeeded, as 'submit' does
    ///
    /// Asks first. Where there is no terminal to ask on, and where the site cannot take them, they
    /// stay queued for 'submit --pending'.
    #[arg(long)]
    submit: bool,
    #[command(flatten)]
    sending: Sending,
    /// The program and its arguments
    #[arg(value_name = "CMD", last = true, required = true)]
    command: Vec<OsString>,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    if let Some(tag) = &args.tag {
        check_tag(tag)?;
    }
    if args.sending.is_used() && !args.submit {
        return Err(Error::new("missing parameter", "--submit"));
    }
    // What keeps us from sending is better found before the benchmark than after it.
    let target = args.submit.then(|| args.sending.target()).transpose()?;
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Error::new("missing parameter", "CMD"));
    };
    let failed = |error| Error::file(Path::new(program), &error);
    check_store(&context.location)?;
    let mut spool = Spool::create()?;
    let watched = Watched::start(program, arguments).map_err(failed)?;
    let mut tee = Tee::new(&mut context.out, &mut spool);
    let status = watched.follow(|stream, bytes| match stream {
        Stream::Out => tee.stdout(bytes),
        Stream::Err => tee.stderr(bytes),
    });
    let copied = tee.finish();
    let code = status.as_ref().map_or(1, |status| exit_code(*status));

    let mut adder = Adder::new(&context.location, Messages::Stderr);
    adder.tag = args.tag.as_deref();
    // What was finished before it was cut off is kept.
    adder.partial = args.partial || code != 0 || copied.is_err();
    for error in [status.map(drop).map_err(failed), copied]
        .into_iter()
        .filter_map(Result::err)
    {
        adder.complain(&error);
    }
    let stored = adder.finish_with(spool, &format!("output of {}", program.display()));
    let found = adder.found().to_vec();
    drop(adder);
    if let Err(error) = &stored {
        Stderr::print(&error.lines().unwrap_or_default());
    }
    if let Some(target) = target
        && code == 0
        && let Err(error) = submit(&found, target, context)
    {
        // The run is stored, and it stays queued.
        Stderr::print(&error.lines().unwrap_or_default());
    }
    match (code, stored) {
        (0, Ok(())) => Ok(()),
        (0, Err(_)) => Err(Error::reported()),
        (code, _) => Err(Error::exit(code)),
    }
}

/// Sends the runs of which no test is missing.
fn submit(found: &[i64], target: Target, context: &mut Context) -> Result<()> {
    let mut whole = Vec::new();
    for &id in found {
        let store = Store::open_readonly(&context.location)?;
        match partial_remark(id, &store.run(id)?) {
            Some(remark) => note(&format!("{remark}, and it is not submitted")),
            None if whole.contains(&id) => {}
            None => whole.push(id),
        }
    }
    if whole.is_empty() {
        return Ok(());
    }
    process::end_on_interrupt();
    let orders = Orders {
        again: false,
        recorded: true,
    };
    send(&whole, &orders, target, context)
}

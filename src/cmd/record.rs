use std::ffi::OsString;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use super::Context;
use super::sending::{Orders, Sending, Target, check_tool, partial, send};
use super::storing::{Adder, Adding, Messages, check_store};
use super::submission::url_option;
use crate::model::{SubmissionState, Tool};
use crate::store::{Store, runs, select, submissions, tags};
use base::process::{self, Stream, Watched, exit_code};
use base::{Error, ExitStatus, Result, Spool, Stderr, Tee, note};

/// Run a benchmark and store what it prints
///
/// Shows the output of the program as it comes and lets it ask its questions; on a terminal it
/// behaves as if it ran alone. When it has ended, the runs in its output are stored, including those
/// that were finished before Ctrl-C. The lines about runs go to standard error.
///
/// If part of the output cannot be stored, the whole output is saved to a file in the current
/// folder (or in the folder for temporary files), and its name is printed: 'add' reads it.
///
/// The exit code is that of the program, or 128 plus the number of the signal that killed it. If
/// the program succeeded but storing failed, or if there is no such program, it is 1.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "localstore record [OPTIONS] [--] <CMD>...",
    after_help = "Examples:
  localstore record localscore -m model.gguf
  localstore record --tag baseline -- localscore -m model.gguf -o json -n
  localstore record --submit -- localscore -m model.gguf -n
  localstore record llama-bench -m model.gguf -oe jsonl"
)]
pub(crate) struct Args {
    /// Tag the runs, new or not
    #[arg(long)]
    tag: Option<String>,
    /// Store the complete tests of a run that is cut off, even if the program succeeded; if it
    /// failed or was interrupted, they are always stored
    #[arg(long)]
    partial: bool,
    /// Send the complete runs to LocalScore when the program has ended, as 'submit' does
    ///
    /// Asks first, even if the program failed after it had printed them. If there is no terminal to
    /// ask on, or if the site cannot take them, they stay queued for 'submit --pending'. If the
    /// program was interrupted, nothing is asked or sent.
    #[arg(long)]
    submit: bool,
    #[command(flatten)]
    sending: Sending,
    /// The program and its arguments; options of localstore stand before it
    #[arg(value_name = "CMD", trailing_var_arg = true, required = true)]
    command: Vec<OsString>,
}

/// The exit codes of a program that a signal ended.
const SIGNALS: RangeInclusive<u8> = 129..=192;

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    if let Some(tag) = &args.tag {
        tags::check_tag(tag)?;
    }
    if args.sending.is_used() && !args.submit {
        return Err(Error::new("missing parameter", "--submit"));
    }
    // Fails before the benchmark if its runs cannot be sent.
    let target = args.submit.then(|| args.sending.target()).transpose()?;
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Error::new("missing parameter", "CMD"));
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(Path::new(program).display(), "no such program"),
        _ => Error::file(Path::new(program), &error),
    };
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

    let options = Adding {
        tag: args.tag.as_deref(),
        // The tests before an interruption are stored.
        partial: args.partial || code != 0 || copied.is_err(),
        ..Adding::default()
    };
    let mut adder = Adder::new(&context.location, Messages::Stderr, options);
    let ended = [status.map(drop).map_err(failed), copied];
    for error in ended.into_iter().filter_map(Result::err) {
        adder.print_error(&error);
    }
    let stored = adder.finish_with(spool, &format!("output of {}", program.display()));
    let found = adder.found;
    note_rounded(&found, context);
    if let Some(target) = target
        && let Err(error) = submit(&found, &target, code, context)
    {
        // The runs are stored, and the exit code is that of the program.
        Stderr::error(&error);
    }
    Ok(match code {
        0 => stored,
        code => ExitStatus::Code(code),
    })
}

/// Says how the values of a table of llama-bench can be kept whole.
fn note_rounded(found: &[i64], context: &Context) {
    let last = found.last().map(|&last| {
        let store = Store::open_readonly(&context.location)?;
        store.read(|db| select::listed(db, last))
    });
    // The runs are stored: that one cannot be read is no failure of this command.
    if let Some(Ok(run)) = last
        && run.tool == Tool::LlamaBench
        && run.source.is_rounded()
    {
        note("a table has rounded values; with '-oe jsonl' llama-bench prints all of them as well");
    }
}

/// Sends the complete runs. There may be some even if the program has failed: LocalScore rejects its
/// own result if it contains nan.
fn submit(found: &[i64], target: &Target, code: u8, context: &mut Context) -> Result<()> {
    let mut complete = Vec::new();
    for &id in found {
        let store = Store::open_readonly(&context.location)?;
        if let Err(error) = check_tool(&store, id) {
            Stderr::error(&error);
        } else if store.read(|db| runs::read(db, id))?.is_partial() {
            Stderr::error(&partial(id));
        } else if !complete.contains(&id) {
            complete.push(id);
        }
    }
    if SIGNALS.contains(&code) {
        return remark_unsent(&complete, target, context);
    }
    if complete.is_empty() {
        return Ok(());
    }
    process::end_on_interrupt();
    let orders = Orders {
        again: false,
        recorded: true,
    };
    send(&complete, &orders, target, context)?;
    Ok(())
}

/// Prints which runs were not sent after an interrupt, and how to send them.
fn remark_unsent(runs: &[i64], target: &Target, context: &Context) -> Result<()> {
    if target.is_forbidden() || runs.is_empty() {
        return Ok(());
    }
    let store = Store::open_readonly(&context.location)?;
    let mut ids = Vec::new();
    for &id in runs {
        let state = store
            .read(|db| submissions::submission(db, id))?
            .map(|submission| submission.state);
        if !matches!(
            state,
            Some(SubmissionState::Submitted | SubmissionState::Unknown)
        ) {
            ids.push(id.to_string());
        }
    }
    if !ids.is_empty() {
        let (runs, url) = (ids.join(" "), url_option(target.site()));
        note(&format!(
            "not submitted, the program was interrupted: 'localstore submit {runs}{url}' does it"
        ));
    }
    Ok(())
}

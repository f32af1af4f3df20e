use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::Context;
use super::machine::Machine;
use super::storing::{Adder, Adding, Messages, check_store};
use crate::store::tags;
use base::{Error, ExitStatus, Result, Spool, Tee, process};

/// Store the runs in captures
///
/// A capture is any text that contains results of LocalScore: a terminal log, json documents, csv,
/// tables, or several of them. Prints a line per run. A run that is already stored is not stored
/// again; if this capture has more values (such as the json of a run stored from csv), it is
/// completed.
///
/// A file that cannot be read, or an invalid document, is reported; all others are stored, and the
/// exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore add result.json
  localscore -m model.gguf -o json | localstore add --tag baseline
  localscore -m model.gguf -o csv | localstore add --tee > result.csv
  localstore add result.csv --accelerator 'NVIDIA GeForce RTX 4090' \\
      --accelerator-type GPU --memory-gb 24")]
pub(crate) struct Args {
    /// Captures; '-' or nothing for standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    files: Vec<PathBuf>,
    /// Label the runs, new or not
    #[arg(long)]
    tag: Option<String>,
    /// Print what would be stored, store nothing
    #[arg(long)]
    dry_run: bool,
    /// Store the complete tests of a document that is cut off
    #[arg(long)]
    partial: bool,
    /// Copy standard input to standard output as it comes, and store its runs at its end
    ///
    /// The lines about runs go to standard error. If part of the input cannot be stored, the whole
    /// input is saved to a file.
    #[arg(long, conflicts_with = "files")]
    tee: bool,
    #[command(flatten)]
    machine: Machine,
}

impl Args {
    fn options(&self) -> Adding<'_> {
        Adding {
            tag: self.tag.as_deref(),
            dry_run: self.dry_run,
            partial: self.partial,
            machine: (&self.machine).into(),
        }
    }
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    if let Some(tag) = &args.tag {
        tags::check_tag(tag)?;
    }
    if args.tee {
        return tee(args, context);
    }
    let messages = Messages::Stdout(&mut context.out);
    let mut adder = Adder::new(&context.location, messages, args.options());
    for file in &args.files {
        if file.as_os_str() == "-" {
            check_store(&context.location)?;
            let ready = || process::is_readable(io::stdin());
            adder.add_capture("stdin", io::stdin().lock(), Some(&ready))?;
            continue;
        }
        let name = file.display().to_string();
        match open(file) {
            Ok((input, true)) => adder.add_capture(&name, input, None)?,
            Ok((input, false)) => {
                let ready = || process::is_readable(&input);
                adder.add_capture(&name, &input, Some(&ready))?;
            }
            Err(error) => adder.print_error(&error),
        }
    }
    adder.finish()
}

/// Copies the input as it comes, and stores its runs afterwards, so that the copy never waits for a
/// busy store.
fn tee(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    check_store(&context.location)?;
    let mut spool = Spool::create()?;
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        process::outlive_interrupt();
    }
    let mut tee = Tee::new(&mut context.out, &mut spool);
    let mut buffer = vec![0; 64 << 10];
    let read = loop {
        match input.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(length) => tee.stdout(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(Error::file(Path::new("stdin"), &error)),
        }
    };
    let copied = tee.finish();
    let mut adder = Adder::new(&context.location, Messages::Stderr, args.options());
    for error in [read, copied].into_iter().filter_map(Result::err) {
        adder.print_error(&error);
    }
    Ok(adder.finish_with(spool, "stdin"))
}

/// Opens a capture, and returns whether it is a regular file, which never blocks.
fn open(path: &Path) -> Result<(File, bool)> {
    let failed = |error: io::Error| Error::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(Error::new(path.display(), "is a directory"));
    }
    Ok((file, kind.is_file()))
}

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::Context;
use super::machine::Machine;
use super::storing::{Adder, Messages, check_store};
use crate::store::{Location, tags};
use base::process;
use base::{Error, Result};
use base::{Spool, Tee};

/// Store the runs of captures
///
/// A capture is any text with results of LocalScore in it: a terminal log, a json document, a csv,
/// a table, as many of them as there are. Prints a line a run. A run that is there already is not stored again; if
/// this capture knows more of it (the json of a run that came as csv), it is completed.
///
/// A file that cannot be read, or a document that is wrong, is reported; all others are stored, and
/// the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore add result.json
  localscore -m model.gguf -o json | localstore add --tag baseline
  localscore -m model.gguf -o csv | localstore add --tee > result.csv
  localstore add result.csv --accelerator 'NVIDIA GeForce RTX 4090' \\
      --accelerator-type GPU --memory-gb 24")]
pub struct Args {
    /// Captures; '-' or nothing: standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Label the runs, new or not
    #[arg(long)]
    tag: Option<String>,
    /// Say what would be stored, store nothing
    #[arg(long)]
    dry_run: bool,
    /// Store the whole tests of a document that is cut off
    #[arg(long)]
    partial: bool,
    /// Copy standard input to standard output as it comes, and store its runs at its end
    ///
    /// What is said about them goes to standard error. If anything of the input cannot be stored,
    /// the input is saved to a file.
    #[arg(long, conflicts_with = "files")]
    tee: bool,
    #[command(flatten)]
    machine: Machine,
}

impl Args {
    fn adder<'a>(&'a self, location: &'a Location, out: Messages<'a>) -> Adder<'a> {
        let mut adder = Adder::new(location, out);
        adder.tag = self.tag.as_deref();
        adder.dry_run = self.dry_run;
        adder.partial = self.partial;
        adder.machine = (&self.machine).into();
        adder
    }
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    if let Some(tag) = &args.tag {
        tags::check_tag(tag)?;
    }
    if args.tee {
        return tee(args, context);
    }
    let out = Messages::Stdout(&mut context.out);
    let mut adder = args.adder(&context.location, out);
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() {
        &stdin[..]
    } else {
        &args.files[..]
    };
    for file in files {
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
            Err(error) => adder.complain(&error),
        }
    }
    adder.finish()
}

/// Copies the input while it comes; what is in it is stored afterwards, so that the copy never
/// waits for a busy store.
fn tee(args: &Args, context: &mut Context) -> Result<()> {
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
    let mut adder = args.adder(&context.location, Messages::Stderr);
    for error in [read, copied].into_iter().filter_map(Result::err) {
        adder.complain(&error);
    }
    adder.finish_with(spool, "stdin")
}

/// Opens a capture; tells whether it is an ordinary file, which never lets one wait.
fn open(path: &Path) -> Result<(File, bool)> {
    let failed = |error: io::Error| Error::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(Error::new(path.display(), "is a directory"));
    }
    Ok((file, kind.is_file()))
}

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::Context;
use super::machine::Machine;
use super::storing::{Adder, Adding, Messages, Source, check_store, path_word};
use crate::store::tags;
use base::time::moment;
use base::{Error, ExitStatus, Result, Spool, Tee, note, note_typed_input, process};

/// Store the runs in captures
///
/// A capture is any text that contains results of LocalScore or llama-bench: a terminal log, json
/// documents, csv, tables, sql, or several of them. A run that is already stored is not stored again; if this capture has
/// more values (such as the json of a run stored from csv), it is completed.
///
/// Prints a line per run, and beneath it how it compares with the level of the earlier runs of its
/// configuration and machine, else with the last of them. Of more than 20 runs, those that are
/// slower are named at the end; '-v' prints all lines.
///
/// Of a folder, the files in it are read by name, without hidden ones; files without a result are
/// counted there.
///
/// A run whose capture has no date gets the date of the file, or the present time if it comes from
/// a pipe. Such a date is a guess, and is marked with ~ wherever it is shown. '--measured-at' gives
/// the date; it also takes the place of a guessed date of a run that is already stored.
///
/// A file that cannot be read, or an invalid document, is reported; all others are stored, and the
/// exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore add result.json
  localstore add -r logs
  localscore -m model.gguf -o json | localstore add --tag baseline
  localscore -m model.gguf -o csv | localstore add --tee > result.csv
  localstore add result.csv --accelerator 'NVIDIA GeForce RTX 4090' \\
      --accelerator-type GPU --memory-gb 24 --measured-at 2025-06-15")]
#[allow(clippy::struct_excessive_bools, reason = "options")]
pub(crate) struct Args {
    /// Captures and folders of them; '-' or nothing for standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    files: Vec<PathBuf>,
    /// Read the folders in a folder too
    #[arg(short, long)]
    recursive: bool,
    /// Tag the runs, new or not
    #[arg(long)]
    tag: Option<String>,
    /// When runs without a date were measured: a date, a time (UTC) or an age such as 7d
    #[arg(long, value_name = "TIME", value_parser = first_second)]
    measured_at: Option<i64>,
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

fn first_second(text: &str) -> Result<i64, String> {
    moment(text).map(|(first, _)| first)
}

impl Args {
    fn options(&self) -> Adding<'_> {
        Adding {
            tag: self.tag.as_deref(),
            dry_run: self.dry_run,
            partial: self.partial,
            machine: (&self.machine).into(),
            measured_at: self.measured_at,
        }
    }
}

/// Where runs come from.
enum Input<'a> {
    Stdin,
    /// A file that was named.
    File(&'a Path),
    /// A file of a folder that was named.
    InFolder(PathBuf),
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    if let Some(tag) = &args.tag {
        tags::check_tag(tag)?;
    }
    if args.tee {
        return tee(args, context);
    }
    let location = &context.location;
    let messages = Messages::Stdout(&mut context.out);
    let mut adder = Adder::new(location, messages, args.options());
    let mut inputs = Vec::new();
    // Of all files; unknown if one of them is a pipe.
    let mut bytes = Some(0);
    for file in &args.files {
        if file.as_os_str() == "-" {
            inputs.push(Input::Stdin);
            bytes = None;
        } else if file.is_dir() {
            adder.begin_folder();
            for (path, length) in files_in(file, args.recursive, &mut adder) {
                bytes = bytes.map(|bytes| bytes + length);
                inputs.push(Input::InFolder(path));
            }
        } else {
            let length = fs::metadata(file).map_or(0, |metadata| metadata.len());
            bytes = bytes.map(|bytes| bytes + length);
            inputs.push(Input::File(file));
        }
    }
    adder.expect_bytes(bytes);
    for input in &inputs {
        match input {
            Input::Stdin => {
                check_store(location)?;
                add_stdin(&mut adder)?;
            }
            Input::File(path) => add_file(path, false, &mut adder)?,
            Input::InFolder(path) => add_file(path, true, &mut adder)?,
        }
    }
    adder.finish()
}

fn add_stdin(adder: &mut Adder<'_>) -> Result<()> {
    let stdin = io::stdin();
    note_typed_input();
    let metadata = stdin_file().and_then(|file| file.metadata());
    let file = metadata.ok().filter(Metadata::is_file);
    let source = Source {
        name: "stdin",
        path: None,
        changed_at: file.as_ref().and_then(changed_at),
    };
    let ready = || process::is_readable(io::stdin());
    adder.add_capture(&source, stdin.lock(), Some(&ready))
}

/// Standard input as a file, which it may be.
fn stdin_file() -> io::Result<File> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?;
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned()?;
    Ok(owned.into())
}

fn add_file(path: &Path, is_in_folder: bool, adder: &mut Adder<'_>) -> Result<()> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            adder.print_error(&Error::new(path.display(), "no such file"));
            return Ok(());
        }
        Err(error) => {
            let mut error = Error::file(path, &error);
            if cfg!(windows) && path.to_string_lossy().contains(['*', '?']) {
                error = error.hint(
                    "shells of Windows do not expand patterns: name the folder, which adds all that is in it",
                );
            }
            adder.print_error(&error);
            return Ok(());
        }
    };
    let source = Source {
        name: &path.display().to_string(),
        path: Some(path),
        changed_at: changed_at(&metadata).filter(|_| metadata.is_file()),
    };
    if is_in_folder {
        return adder.add_file_of_folder(&source, file);
    }
    // Only a regular file never blocks.
    let ready = || process::is_readable(&file);
    let growing: Option<&dyn Fn() -> bool> = if metadata.is_file() {
        None
    } else {
        Some(&ready)
    };
    adder.add_capture(&source, &file, growing)
}

/// When the file was changed, in seconds since 1970; a time to come is none.
fn changed_at(metadata: &Metadata) -> Option<i64> {
    let changed = jiff::Timestamp::try_from(metadata.modified().ok()?).ok()?;
    Some(changed.min(jiff::Timestamp::now()).as_second())
}

/// The regular files in a folder by name, without hidden ones, and their lengths; those of the
/// folders in it behind them. No folder is read twice, so that no link leads round in a circle.
fn files_in(folder: &Path, is_recursive: bool, adder: &mut Adder<'_>) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    let mut has_folders = false;
    let mut seen = HashSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match entries(&folder, &mut seen) {
            Ok(entries) => entries,
            Err(error) => {
                adder.print_error(&Error::file(&folder, &error));
                continue;
            }
        };
        let mut below = Vec::new();
        for path in entries {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => files.push((path, metadata.len())),
                Ok(metadata) if metadata.is_dir() => below.push(path),
                Ok(_) => {}
                Err(error) => {
                    let error = Error::file(&path, &error);
                    tracing::info!("{}", base::printable(&error.to_string()));
                }
            }
        }
        has_folders |= !below.is_empty();
        if is_recursive {
            folders.extend(below.into_iter().rev());
        }
    }
    if files.is_empty() && has_folders && !is_recursive {
        let name = folder.display();
        let command = path_word(folder);
        note(&format!(
            "{name}: only folders; 'localstore add -r {command}' reads them"
        ));
    }
    files
}

/// What is in a folder that has not been seen, by name.
fn entries(folder: &Path, seen: &mut HashSet<PathBuf>) -> io::Result<Vec<PathBuf>> {
    if !seen.insert(folder.canonicalize()?) {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// Copies the input as it comes, and stores its runs afterwards, so that the copy never waits for a
/// busy store.
fn tee(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    check_store(&context.location)?;
    let mut spool = Spool::create()?;
    let mut input = io::stdin().lock();
    note_typed_input();
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

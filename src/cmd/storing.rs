//! Adds the runs of captures to the store; for `add` and `record`.

use std::io::{Read, Write};
use std::path::Path;

use super::words::{known, with_quant};
use crate::capture::{Capture, Found, Link, Options};
use crate::formats::Document;
use crate::model::{Environment, Run, listed_score};
use crate::store::{Added, Dated, Location, Measured, Store, Stored, runs, submissions};
use crate::submit::Site;
use base::{Error, ExitStatus, Result, Spool, Stderr, Stdout, note, printable};

/// The maximum number of runs per transaction, and of bytes of their captures.
const BATCH: usize = 2048;
const BATCH_BYTES: usize = 16 << 20;

/// The beginning of every SQLite file.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// The stream for the lines about runs.
pub(crate) enum Messages<'a> {
    /// They are the command's output.
    Stdout(&'a mut Stdout),
    /// Standard output is a copy of a program's output.
    Stderr,
}

/// Options for adding runs.
#[derive(Default)]
pub(crate) struct Adding<'a> {
    /// A label for the runs, new or not.
    pub(crate) tag: Option<&'a str>,
    /// Print what would be stored, store nothing.
    pub(crate) dry_run: bool,
    /// Store the complete tests of a run that is cut off.
    pub(crate) partial: bool,
    /// The values that are missing in a capture.
    pub(crate) machine: Environment,
}

/// Stores the runs of captures, and prints a line for each.
pub(crate) struct Adder<'a> {
    /// The stored runs, new or not.
    pub(crate) found: Vec<i64>,
    location: &'a Location,
    messages: Messages<'a>,
    options: Adding<'a>,
    store: Option<Store>,
    batch: Vec<Dated>,
    batch_bytes: usize,
    failed: bool,
    is_pipe_closed: bool,
}

impl<'a> Adder<'a> {
    pub(crate) fn new(location: &'a Location, messages: Messages<'a>, options: Adding<'a>) -> Self {
        Self {
            found: Vec::new(),
            location,
            messages,
            options,
            store: None,
            batch: Vec::new(),
            batch_bytes: 0,
            failed: false,
            is_pipe_closed: false,
        }
    }

    /// Stores the last runs. Returns a failure if an error was printed.
    pub(crate) fn finish(&mut self) -> Result<ExitStatus> {
        self.flush()?;
        Ok(if self.failed {
            ExitStatus::Failure
        } else {
            ExitStatus::Success
        })
    }

    /// Stores the runs in the spooled text. If any of it cannot be stored, the text is kept as a
    /// file, and an error names it.
    pub(crate) fn finish_with(&mut self, mut spool: Spool, name: &str) -> ExitStatus {
        let stored = spool
            .read()
            .and_then(|text| self.add_capture(name, text, None))
            .and_then(|()| self.finish());
        match stored {
            Ok(ExitStatus::Success) => return ExitStatus::Success,
            Ok(_) => {}
            Err(error) => self.print_error(&error),
        }
        match spool.keep() {
            Ok(None) => {}
            Ok(Some(path)) => {
                let path = path.display();
                let error = Error::new("the output was saved", &path)
                    .hint(format!("'localstore add {path}' reads it again"));
                self.print_error(&error);
            }
            Err(error) => self.print_error(&error),
        }
        ExitStatus::Failure
    }

    /// Adds the runs in a capture. If it is still growing, `growing` returns whether more can be read
    /// without blocking; if not, the runs found so far are stored first.
    pub(crate) fn add_capture(
        &mut self,
        name: &str,
        mut input: impl Read,
        growing: Option<&dyn Fn() -> bool>,
    ) -> Result<()> {
        let mut head = Vec::new();
        let limit = SQLITE.len() as u64;
        if let Err(error) = input.by_ref().take(limit).read_to_end(&mut head) {
            self.print_error(&Error::file(Path::new(name), &error));
            return Ok(());
        }
        if head == SQLITE {
            let why = "this is a SQLite database, not a capture";
            let hint = "'localstore merge FILE' takes over the runs of another store";
            self.print_error(&Error::new(name, why).hint(hint));
            return Ok(());
        }
        let input = head.as_slice().chain(input);
        let options = Options {
            live: growing.is_some(),
            partial: self.options.partial,
        };
        let mut capture = Capture::new(input, options);
        let mut linked = false;
        loop {
            match capture.next() {
                None => return Ok(()),
                Some(Ok(Found::Run(document))) => {
                    linked = true;
                    self.take(name, document)?;
                }
                Some(Ok(Found::Pause)) if growing.is_some_and(|is_ready| is_ready()) => {}
                Some(Ok(Found::Pause)) => self.flush()?,
                Some(Ok(Found::Link(link))) if std::mem::take(&mut linked) => self.link(&link)?,
                Some(Ok(Found::Link(_))) => {}
                Some(Ok(Found::Note { line, message })) => {
                    tracing::info!("{}", printable(&format!("{name}:{line}: {message}")));
                }
                Some(Ok(Found::Bad { line, why })) => {
                    linked = false;
                    self.print_error(&Error::new(format_args!("{name}:{line}"), why));
                }
                Some(Err(error)) => {
                    self.print_error(&Error::file(Path::new(name), &error));
                    return Ok(());
                }
            }
        }
    }

    /// Records the link to the result of the previous run.
    fn link(&mut self, link: &Link) -> Result<()> {
        self.flush()?;
        match (self.found.last(), &mut self.store) {
            (Some(&run), Some(store)) if !self.options.dry_run => {
                let site = Site::from_link(&link.url, link.id);
                let site = site.as_ref().map(Site::as_str);
                store
                    .write(|db| submissions::set_submitted(db, run, link.id, &link.url, site))
                    .map(drop)
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, name: &str, document: Document) -> Result<()> {
        if !document.unknown.is_empty() {
            let count = document.unknown.len();
            let mut names = document.unknown;
            names.sort_unstable();
            names.dedup();
            let names = names.join(", ");
            let line = format!("{name}: passed over {count} unknown fields: {names}");
            tracing::info!("{}", printable(&line));
        }
        let mut run = document.run;
        run.environment.complete(&self.options.machine);
        let measured = Measured::guessed(jiff::Timestamp::now().as_second());
        self.batch.push(Dated { run, measured });
        self.batch_bytes += document.length;
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Prints an error; other runs are still stored.
    pub(crate) fn print_error(&mut self, error: &Error) {
        self.failed = true;
        Stderr::error(error);
    }

    /// Stores the runs found so far, then prints a line for each.
    fn flush(&mut self) -> Result<()> {
        let runs = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if runs.is_empty() {
            return Ok(());
        }
        let lines = if self.options.dry_run {
            self.preview(&runs)?
        } else {
            self.add(&runs)?
        };
        self.flush_messages(&lines)
    }

    fn add(&mut self, runs: &[Dated]) -> Result<Vec<String>> {
        let store = match &mut self.store {
            Some(store) => store,
            none => none.insert(Store::open(self.location)?),
        };
        let added = store.write(|db| runs::add_all(db, runs, self.options.tag))?;
        let mut lines = Vec::with_capacity(runs.len());
        for (Dated { run, .. }, Added { id, stored }) in runs.iter().zip(added) {
            self.found.push(id);
            lines.push(match stored {
                Stored::New => format!("run {id}: {}", describe(run)),
                // The stored run may have more values than this capture.
                Stored::Completed => format!(
                    "run {id}, completed: {}",
                    describe(&store.read(|db| runs::read(db, id))?)
                ),
                Stored::Already => {
                    format!(
                        "already stored as run {id}: {}",
                        describe(&store.read(|db| runs::read(db, id))?)
                    )
                }
            });
        }
        Ok(lines)
    }

    fn preview(&mut self, runs: &[Dated]) -> Result<Vec<String>> {
        if self.store.is_none() && self.location.path.exists() {
            self.store = Some(Store::open_readonly(self.location)?);
        }
        let line = |run: &Dated| {
            let (id, stored) = match &self.store {
                Some(store) => store.read(|db| runs::lookup(db, run))?,
                None => (None, Stored::New),
            };
            let id = id.unwrap_or_default();
            let run = describe(&run.run);
            Ok(match stored {
                Stored::New => format!("would store: {run}"),
                Stored::Completed => format!("would complete run {id}: {run}"),
                Stored::Already => format!("already stored as run {id}: {run}"),
            })
        };
        runs.iter().map(line).collect()
    }

    /// Prints the lines and flushes them. A closed pipe does not stop storing.
    fn flush_messages(&mut self, lines: &[String]) -> Result<()> {
        match &mut self.messages {
            Messages::Stderr => lines.iter().for_each(|line| note(line)),
            Messages::Stdout(_) if self.is_pipe_closed => {}
            Messages::Stdout(out) => {
                let mut lines = lines.iter().map(|line| printable(line));
                let printed = lines
                    .try_for_each(|line| writeln!(out, "{line}"))
                    .and_then(|()| out.flush());
                match printed.map_err(Error::from) {
                    Err(error) if error.is_closed_pipe() => self.is_pipe_closed = true,
                    printed => return printed,
                }
            }
        }
        Ok(())
    }
}

/// Fails before the benchmark rather than after it if the store cannot be opened.
pub(crate) fn check_store(location: &Location) -> Result<()> {
    if location.path.exists() {
        Store::open_readonly(location)?;
    }
    Ok(())
}

/// The run on one line: model, accelerator, score.
pub(crate) fn describe(run: &Run) -> String {
    let model = run.model();
    let name = model.and_then(|model| model.model_name.clone());
    let quant = model.and_then(|model| model.model_quant_str.as_ref());
    let model = with_quant(&known(&name, "model"), quant);
    let accelerator = known(&run.environment.accelerator.name, "accelerator");
    let score = run.suite().score(&run.tests);
    let score = score.map_or_else(String::new, |score| {
        format!(", score {}", listed_score(score))
    });
    let rounded = if run.source.is_rounded() {
        ", rounded values"
    } else {
        ""
    };
    let partial = if run.is_partial() {
        let expected = run.suite().expected().len();
        format!(", partial: {} of {expected} tests", run.present_tests())
    } else {
        String::new()
    };
    format!("{model}, {accelerator}{score}{rounded}{partial}")
}

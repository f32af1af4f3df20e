use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::Context;
use crate::capture::{Capture, Found, Options};
use crate::error::{Error, Result};
use crate::formats::Document;
use crate::model::{AcceleratorInfo, Environment, Run, RuntimeInfo, Source, SystemInfo, Text};
use crate::output::{Stderr, Stdout, printable};
use crate::store::{Added, Location, Store, Stored, check_tag};

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
    #[command(flatten)]
    machine: Machine,
}

/// What fills in what a capture does not tell, such as a csv of its machine.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What the captures lack (what they tell stays)")]
struct Machine {
    /// The accelerator's name
    #[arg(long, value_name = "NAME")]
    accelerator: Option<String>,
    /// GPU, CPU or TPU
    #[arg(long, value_name = "TYPE", value_parser = ["GPU", "CPU", "TPU"], ignore_case = true)]
    accelerator_type: Option<String>,
    /// The accelerator's memory in GiB
    #[arg(long, value_name = "GIB")]
    memory_gb: Option<f64>,
    /// The processor's name
    #[arg(long, value_name = "NAME")]
    cpu: Option<String>,
    /// Main memory in GiB
    #[arg(long, value_name = "GIB")]
    ram_gb: Option<f64>,
    /// The runtime's version, such as 0.9.3
    #[arg(long, value_name = "VERSION")]
    runtime_version: Option<String>,
}

impl From<&Machine> for Environment {
    fn from(machine: &Machine) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Text::from);
        Self {
            runtime: RuntimeInfo {
                version: text(&machine.runtime_version),
                ..RuntimeInfo::default()
            },
            system: SystemInfo {
                cpu_name: text(&machine.cpu),
                ram_gb: machine.ram_gb,
                ..SystemInfo::default()
            },
            accelerator: AcceleratorInfo {
                name: text(&machine.accelerator),
                kind: text(
                    &machine
                        .accelerator_type
                        .as_ref()
                        .map(|kind| kind.to_uppercase()),
                ),
                memory_gb: machine.memory_gb,
                manufacturer: None,
            },
        }
    }
}

/// The most runs that one transaction stores.
const BATCH: usize = 512;

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    if let Some(tag) = &args.tag {
        check_tag(tag)?;
    }
    let mut adder = Adder {
        args,
        machine: (&args.machine).into(),
        location: &context.location,
        out: &mut context.out,
        store: None,
        batch: Vec::new(),
        last: None,
        failed: false,
        heard: true,
    };
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() {
        &stdin[..]
    } else {
        &args.files[..]
    };
    for file in files {
        adder.add_file(file)?;
    }
    adder.flush()?;
    if adder.failed {
        Err(Error::reported())
    } else {
        Ok(())
    }
}

struct Adder<'a> {
    args: &'a Args,
    machine: Environment,
    location: &'a Location,
    out: &'a mut Stdout,
    store: Option<Store>,
    batch: Vec<Run>,
    /// The run of this capture that was stored last.
    last: Option<i64>,
    failed: bool,
    /// Whether somebody still reads what we print.
    heard: bool,
}

impl Adder<'_> {
    fn add_file(&mut self, file: &Path) -> Result<()> {
        if file.as_os_str() == "-" {
            // A store that cannot be opened is better found before the benchmark than after it.
            if self.location.path.exists() {
                Store::open_readonly(self.location)?;
            }
            return self.add_capture("stdin", io::stdin().lock(), true);
        }
        let name = file.display().to_string();
        match open(file) {
            Ok((input, is_file)) => self.add_capture(&name, input, !is_file),
            Err(error) => {
                self.complain(&error);
                Ok(())
            }
        }
    }

    /// Adds what the capture holds.
    fn add_capture(&mut self, name: &str, input: impl Read, live: bool) -> Result<()> {
        self.last = None;
        let mut capture = Capture::new(
            input,
            Options {
                live,
                partial: self.args.partial,
            },
        );
        loop {
            match capture.next() {
                None => return Ok(()),
                Some(Ok(Found::Run(document))) => self.take(name, document)?,
                Some(Ok(Found::Pause)) => self.flush()?,
                Some(Ok(Found::Link(link))) => {
                    self.flush()?;
                    if let (Some(run), Some(store)) = (self.last, &mut self.store)
                        && !self.args.dry_run
                    {
                        store.set_submitted(run, link.id, &link.url)?;
                    }
                }
                Some(Ok(Found::Bad { line, why })) => {
                    self.complain(&Error::new(format_args!("{name}:{line}"), why));
                }
                Some(Err(error)) => {
                    self.complain(&Error::file(Path::new(name), &error));
                    return Ok(());
                }
            }
        }
    }

    fn take(&mut self, name: &str, document: Document) -> Result<()> {
        if !document.unknown.is_empty() {
            let mut names = document.unknown;
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            let names = names.join(", ");
            tracing::info!(
                "{}",
                printable(&format!(
                    "{name}: passed over {count} unknown fields: {names}"
                ))
            );
        }
        let mut run = document.run;
        run.environment.complete(&self.machine);
        self.batch.push(run);
        if self.batch.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn complain(&mut self, error: &Error) {
        self.failed = true;
        if let Some(lines) = error.lines() {
            Stderr::print(&lines);
        }
    }

    /// Stores what was found, then says so.
    fn flush(&mut self) -> Result<()> {
        let runs = std::mem::take(&mut self.batch);
        if runs.is_empty() {
            return Ok(());
        }
        if self.args.dry_run {
            return self.preview(&runs);
        }
        let store = match &mut self.store {
            Some(store) => store,
            none => none.insert(Store::open(self.location)?),
        };
        let added = store.add(&runs, self.args.tag.as_deref())?;
        for (run, Added { id, stored }) in runs.iter().zip(added) {
            let what = match (&self.store, stored) {
                // The store knows it better than this capture may.
                (Some(store), Stored::Completed | Stored::Already) => describe(&store.run(id)?),
                _ => describe(run),
            };
            self.last = Some(id);
            self.say(&match stored {
                Stored::New => format!("run {id}: {what}"),
                Stored::Completed => format!("run {id}, completed: {what}"),
                Stored::Already => format!("already stored as run {id}: {what}"),
            })?;
        }
        self.say_all()
    }

    fn preview(&mut self, runs: &[Run]) -> Result<()> {
        if self.store.is_none() && self.location.path.exists() {
            self.store = Some(Store::open_readonly(self.location)?);
        }
        for run in runs {
            let (id, stored) = match &self.store {
                Some(store) => store.lookup(run)?,
                None => (None, Stored::New),
            };
            let id = id.unwrap_or_default();
            let what = describe(run);
            self.say(&match stored {
                Stored::New => format!("would store: {what}"),
                Stored::Completed => format!("would complete run {id}: {what}"),
                Stored::Already => format!("already stored as run {id}: {what}"),
            })?;
        }
        self.say_all()
    }

    /// Prints a line. Where nobody listens any more, storing goes on.
    fn say(&mut self, line: &str) -> Result<()> {
        if !self.heard {
            return Ok(());
        }
        let line = format!("{}\n", printable(line));
        let said = self.out.write_all(line.as_bytes());
        self.listen(said)
    }

    fn say_all(&mut self) -> Result<()> {
        let said = self.out.flush();
        self.listen(said)
    }

    fn listen(&mut self, said: io::Result<()>) -> Result<()> {
        match said.map_err(|error| Error::stdout(&error)) {
            Err(error) if error.is_closed_pipe() => self.heard = false,
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        Ok(())
    }
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

fn describe(run: &Run) -> String {
    let or_unknown = |text: Option<&Text>, what: &str| {
        text.map_or_else(|| format!("unknown {what}"), Text::to_string)
    };
    let model = run.model();
    let name = or_unknown(model.and_then(|model| model.model_name.as_ref()), "model");
    let quant = model
        .and_then(|model| model.model_quant_str.as_ref())
        .map_or_else(String::new, |quant| format!(" - {quant}"));
    let accelerator = or_unknown(run.environment.accelerator.name.as_ref(), "accelerator");
    let score = run.summary().listed_score();
    let rounded = if run.source == Source::Console {
        ", rounded values"
    } else {
        ""
    };
    let partial = if run.is_partial() {
        format!(", partial: {} of 9 tests", run.baseline_tests())
    } else {
        String::new()
    };
    format!("{name}{quant}, {accelerator}, score {score}{rounded}{partial}")
}

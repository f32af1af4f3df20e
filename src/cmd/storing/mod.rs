//! Adds the runs of captures to the store; for `add` and `record`.

mod captures;
mod lines;

use std::collections::HashSet;

use crate::formats::Document;
use crate::model::Environment;
use crate::model::bench::{self, DocumentRun};
use crate::store::bench as bench_store;
use crate::store::{Added, Dated, Location, Measured, Store, Stored, runs};
use base::{ExitStatus, Progress, Result, Stderr, printable};

use super::standing::{Standing, Suspicion};
use super::words::{describe, describe_bench};
use captures::Folders;
use lines::{MOST_IDS, Outcome, guess, line};

pub(crate) use captures::{SQLITE, Source, path_word};
pub(crate) use lines::Messages;

/// The maximum number of runs per transaction, and of bytes of their captures.
const BATCH: usize = 2048;
const BATCH_BYTES: usize = 16 << 20;

/// Options for adding runs.
#[derive(Default)]
pub(crate) struct Adding<'a> {
    /// A tag for the runs, new or not.
    pub(crate) tag: Option<&'a str>,
    /// Print what would be stored, store nothing.
    pub(crate) dry_run: bool,
    /// Store the complete tests of a run that is cut off.
    pub(crate) partial: bool,
    /// The values that are missing in a capture.
    pub(crate) machine: Environment,
    /// When runs without a date were measured: seconds since 1970.
    pub(crate) measured_at: Option<i64>,
}

/// A run that is not stored yet.
struct Waiting {
    dated: Dated,
    /// Whether a guessed date is that of a file.
    is_of_file: bool,
}

/// Stores the runs of captures, and prints a line for each.
pub(crate) struct Adder<'a> {
    /// The stored runs, new or not.
    pub(crate) found: Vec<i64>,
    location: &'a Location,
    messages: Messages<'a>,
    options: Adding<'a>,
    store: Option<Store>,
    batch: Vec<Waiting>,
    batch_bytes: usize,
    /// How many runs were new, completed, or there.
    counts: [usize; 3],
    folders: Option<Folders>,
    /// Those that are slower.
    slower: Vec<i64>,
    /// What tables tell of the runs of llama-bench in the source.
    cores: HashSet<[u8; 8]>,
    suspicion: Suspicion,
    /// The bytes of all sources if they are known, and of those that have been read.
    bytes: (Option<u64>, u64),
    progress: Option<Progress>,
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
            counts: [0; 3],
            folders: None,
            slower: Vec::new(),
            cores: HashSet::new(),
            suspicion: Suspicion::default(),
            bytes: (None, 0),
            progress: None,
            failed: false,
            is_pipe_closed: false,
        }
    }

    /// Stores the last runs, and sums up if there were many. Returns a failure if an error was
    /// printed.
    pub(crate) fn finish(&mut self) -> Result<ExitStatus> {
        self.flush()?;
        if let Some(progress) = self.progress.take() {
            let stored = self.stored();
            progress.set_of(stored, stored);
        }
        if let Some(line) = self.sum() {
            Stderr::print(&(Stderr::screen().fold(&line) + "\n"));
        }
        Ok(if self.failed {
            ExitStatus::Failure
        } else {
            ExitStatus::Success
        })
    }

    fn take(&mut self, source: &Source<'_>, document: Document) -> Result<()> {
        if !document.unknown.is_empty() {
            let count = document.unknown.len();
            let mut names = document.unknown;
            names.sort_unstable();
            names.dedup();
            let (name, names) = (source.name, names.join(", "));
            let line = format!("{name}: passed over {count} unknown fields: {names}");
            tracing::info!("{}", printable(&line));
        }
        let mut run = document.run;
        run.environment.complete(&self.options.machine);
        let measured = self.measured(source);
        self.batch.push(Waiting {
            dated: Dated { run, measured },
            is_of_file: source.changed_at.is_some(),
        });
        self.batch_bytes += document.length;
        self.bytes.1 += document.length as u64;
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// When a run without a date was measured.
    fn measured(&self, source: &Source<'_>) -> Measured {
        let now = || jiff::Timestamp::now().as_second();
        match self.options.measured_at {
            Some(at) => Measured::known(at),
            None => Measured::guessed(source.changed_at.unwrap_or_else(now)),
        }
    }

    /// Stores the runs of a document of llama-bench, in one transaction.
    fn take_bench(&mut self, source: &Source<'_>, mut document: bench::Document) -> Result<()> {
        self.flush()?;
        self.bytes.1 += document.length as u64;
        let is_kept = |run: &&DocumentRun| !run.is_refused;
        let is_many = self.is_many(document.runs.iter().filter(is_kept).count());
        let measured = self.measured(source);
        let stored = self.store_bench(&mut document, measured)?;
        let mut outcomes = Vec::new();
        for (run, (id, stored)) in document.runs.iter().filter(is_kept).zip(stored) {
            // A call prints its table beside the values: one line is enough.
            let is_told = !self.cores.insert(run.core) && document.source.is_rounded();
            if is_told && (stored != Stored::New || self.options.dry_run) {
                continue;
            }
            let mut described = describe_bench(run, document.source);
            if stored == Stored::New && Measured::told(run.test_time.as_ref()).is_none() {
                described += &guess(measured, source.changed_at.is_some());
            }
            let line = line(stored, id, self.options.dry_run, &described);
            self.found.extend(id.filter(|_| !self.options.dry_run));
            let is_small = run.tests <= MOST_COMPARED;
            let is_compared = stored == Stored::New && !is_many && is_small;
            let id = id.filter(|_| is_compared);
            let standing = match (id, &self.store) {
                (Some(id), Some(store)) => standing_of(store, id),
                _ => None,
            };
            if standing.as_ref().is_some_and(Standing::is_slower) {
                self.slower.extend(id);
            }
            outcomes.push(Outcome {
                stored,
                line,
                standing,
            });
            // A document may have very many runs.
            if outcomes.len() >= BATCH {
                self.tell(&std::mem::take(&mut outcomes), is_many)?;
            }
        }
        self.tell(&outcomes, is_many)
    }

    /// What became of the runs of a document that are not refused, or would, and their ids.
    fn store_bench(
        &mut self,
        document: &mut bench::Document,
        measured: Measured,
    ) -> Result<Vec<(Option<i64>, Stored)>> {
        if self.options.dry_run {
            let new = document.runs.iter().filter(|run| !run.is_refused);
            let new = new.map(|_| (None, Stored::New)).collect();
            return match self.existing_store()? {
                Some(store) => store.read(|db| bench_store::lookup(db, document, measured)),
                None => Ok(new),
            };
        }
        let adding = bench_store::Adding {
            measured,
            machine: &self.options.machine,
            tag: self.options.tag,
        };
        let store = match &mut self.store {
            Some(store) => store,
            none => none.insert(Store::open(self.location)?),
        };
        let added = store.write(|db| bench_store::add(db, document, adding))?;
        let added = added.into_iter();
        Ok(added.map(|added| (Some(added.id), added.stored)).collect())
    }

    /// The store if it is there, for reading.
    fn existing_store(&mut self) -> Result<Option<&Store>> {
        if self.store.is_none() && self.location.path.exists() {
            self.store = Some(Store::open_readonly(self.location)?);
        }
        Ok(self.store.as_ref())
    }

    /// Stores the runs found so far, then prints a line for each, unless there are many.
    fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        let is_many = self.is_many(waiting.len());
        let has_lines = !is_many || !self.messages.is_terminal();
        let outcomes = if self.options.dry_run {
            self.preview(&waiting)?
        } else {
            self.add(&waiting, is_many, has_lines)?
        };
        self.tell(&outcomes, is_many)
    }

    /// Stores the runs. Of many, only those that are slower are found.
    fn add(&mut self, waiting: &[Waiting], is_many: bool, has_lines: bool) -> Result<Vec<Outcome>> {
        let store = match &mut self.store {
            Some(store) => store,
            none => none.insert(Store::open(self.location)?),
        };
        let runs = waiting.iter().map(|waiting| &waiting.dated);
        let added = store.write(|db| runs::add_all(db, runs, self.options.tag))?;
        let mut outcomes = Vec::with_capacity(waiting.len());
        for (waiting, Added { id, stored }) in waiting.iter().zip(added) {
            self.found.push(id);
            // The stored run may have more values than this capture.
            let described = match stored {
                _ if !has_lines => String::new(),
                Stored::New => waiting.describe(),
                Stored::Completed | Stored::Already => stored_run(store, id)?,
            };
            let line = line(stored, Some(id), false, &described);
            let Dated { run, measured } = &waiting.dated;
            let measured_at = Measured::told_by(run).unwrap_or(*measured).at;
            let is_compared = stored == Stored::New
                && !run.is_partial()
                && (!is_many
                    || self.slower.len() <= MOST_IDS && {
                        let suspicion = self.suspicion.of(store, (id, run, measured_at));
                        suspicion.unwrap_or_default()
                    });
            let mut standing = None;
            if is_compared {
                // The run is stored, whatever becomes of those that it is compared with.
                standing = standing_of(store, id);
            }
            if standing.as_ref().is_some_and(Standing::is_slower) {
                self.slower.push(id);
            }
            standing = standing.filter(|_| !is_many);
            outcomes.push(Outcome {
                stored,
                line,
                standing,
            });
        }
        Ok(outcomes)
    }

    fn preview(&mut self, waiting: &[Waiting]) -> Result<Vec<Outcome>> {
        let store = self.existing_store()?;
        let outcome = |waiting: &Waiting| {
            let (id, stored) = match store {
                Some(store) => store.read(|db| runs::lookup(db, &waiting.dated))?,
                None => (None, Stored::New),
            };
            let described = match stored {
                Stored::New => waiting.describe(),
                Stored::Completed | Stored::Already => describe(&waiting.dated.run),
            };
            Ok(Outcome {
                stored,
                line: line(stored, id, true, &described),
                standing: None,
            })
        };
        waiting.iter().map(outcome).collect()
    }
}

/// Fails before the benchmark rather than after it if the store cannot be opened.
pub(crate) fn check_store(location: &Location) -> Result<()> {
    if location.path.exists() {
        Store::open_readonly(location)?;
    }
    Ok(())
}

/// A run of more tests is not compared with the one before it when it is added: that needs both in
/// memory.
const MOST_COMPARED: u64 = 10_000;

/// How a run that is stored stands; nothing where those that it is compared with cannot be read.
fn standing_of(store: &Store, id: i64) -> Option<Standing> {
    Standing::of(store, id).unwrap_or_else(|error| {
        tracing::info!("{}", printable(&error.to_string()));
        None
    })
}

fn stored_run(store: &Store, id: i64) -> Result<String> {
    Ok(describe(&store.read(|db| runs::read(db, id))?))
}

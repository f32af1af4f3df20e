//! Adds the runs of captures to the store; for `add` and `record`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read, Write as _};
use std::path::Path;

use crate::capture::{Capture, Found, Link, Options};
use crate::formats::Document;
use crate::model::Environment;
use crate::model::bench::{self, DocumentRun};
use crate::store::bench as bench_store;
use crate::store::{Added, Dated, Location, Measured, Store, Stored, runs, submissions};
use crate::submit::Site;
use base::time::date;
use base::{
    Error, ExitStatus, Progress, Result, Screen, Spool, Stderr, Stdout, printable, shell_word,
};

use super::standing::{Standing, Suspicion};
use super::words::{counted, describe, describe_bench};

/// The maximum number of runs per transaction, and of bytes of their captures.
const BATCH: usize = 2048;
const BATCH_BYTES: usize = 16 << 20;

/// The most runs of a call that have a line each on a terminal.
const MANY: usize = 20;

/// The most ids of slower runs in the line at the end. No more are looked for, as each takes ten
/// times as long as to store a run.
const MOST_IDS: usize = 20;

/// The beginning of every SQLite file.
pub(crate) const SQLITE: &[u8] = b"SQLite format 3\0";

/// The stream for the lines about runs.
pub(crate) enum Messages<'a> {
    /// They are the command's output.
    Stdout(&'a mut Stdout),
    /// Standard output is a copy of a program's output.
    Stderr,
}

impl Messages<'_> {
    fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout(out) => out.is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }
}

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

/// A text with runs.
pub(crate) struct Source<'a> {
    /// Its name for people.
    pub(crate) name: &'a str,
    /// The file that a command can read again.
    pub(crate) path: Option<&'a Path>,
    /// When that file was changed: seconds since 1970. `None`: the text comes as it is made.
    pub(crate) changed_at: Option<i64>,
}

/// The files of folders, of which not all have results.
#[derive(Default)]
struct Folders {
    files: u64,
    without: u64,
}

/// A run that is not stored yet.
struct Waiting {
    dated: Dated,
    /// Whether a guessed date is that of a file.
    is_of_file: bool,
}

/// What became of a run.
struct Outcome {
    stored: Stored,
    /// For people.
    line: String,
    /// How a new run stands beside the earlier ones.
    standing: Option<Standing>,
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
            suspicion: Suspicion::default(),
            bytes: (None, 0),
            progress: None,
            failed: false,
            is_pipe_closed: false,
        }
    }

    /// Tells how many bytes there will be, so that the runs can be estimated.
    pub(crate) fn expect_bytes(&mut self, bytes: Option<u64>) {
        self.bytes.0 = bytes;
    }

    /// Sums up at the end what is in folders.
    pub(crate) fn begin_folder(&mut self) {
        self.folders.get_or_insert_default();
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

    /// `5000 runs: 4998 new, 2 already stored; slower: 17, 400, 401`, or the same of folders.
    fn sum(&self) -> Option<String> {
        let all: usize = self.counts.iter().sum();
        if all <= MANY && self.folders.is_none() {
            return None;
        }
        let [new, completed, already] = self.counts;
        let new = match &self.folders {
            Some(_) => counted(new as u64, "new run"),
            None => format!("{new} new"),
        };
        let completed = (completed > 0).then(|| format!("{completed} completed"));
        let already = (already > 0).then(|| format!("{already} already stored"));
        let counts: Vec<String> = [Some(new), completed, already]
            .into_iter()
            .flatten()
            .collect();
        let counts = counts.join(", ");
        let mut line = match &self.folders {
            Some(Folders { files, .. }) => format!("{}: {counts}", counted(*files, "file")),
            None => format!("{all} runs: {counts}"),
        };
        if self.options.dry_run {
            line += "; '--dry-run' stores nothing";
        }
        if all > MANY && !self.slower.is_empty() {
            let ids = self.slower.iter().take(MOST_IDS).map(i64::to_string);
            line += "; slower: ";
            line += &ids.collect::<Vec<_>>().join(", ");
        }
        if self.slower.len() > MOST_IDS {
            line += " and more";
        }
        if let Some(Folders { without, .. }) = self.folders
            && without > 0
        {
            let files = counted(without, "file");
            let _ = write!(line, "; {files} without a result");
            if !is_verbose() {
                line += " ('-v' names them)";
            }
        }
        Some(line)
    }

    /// Stores the runs in the spooled text. If any of it cannot be stored, the text is kept as a
    /// file, and an error names it.
    pub(crate) fn finish_with(&mut self, mut spool: Spool, name: &str) -> ExitStatus {
        let source = Source {
            name,
            path: None,
            changed_at: None,
        };
        let stored = spool
            .read()
            .and_then(|text| self.add_capture(&source, text, None))
            .and_then(|()| self.finish());
        match stored {
            Ok(ExitStatus::Success) => return ExitStatus::Success,
            Ok(_) => {}
            Err(error) => self.print_error(&error),
        }
        match spool.keep() {
            Ok(None) => {}
            Ok(Some(path)) => {
                let word = path_word(&path);
                let error = Error::new("the output was saved", path.display())
                    .hint(format!("'localstore add {word}' reads it again"));
                self.print_error(&error);
            }
            Err(error) => self.print_error(&error),
        }
        ExitStatus::Failure
    }

    /// Adds the runs in a file of a folder, where other files may be too.
    pub(crate) fn add_file_of_folder(
        &mut self,
        source: &Source<'_>,
        input: impl Read,
    ) -> Result<()> {
        self.folders.get_or_insert_default().files += 1;
        self.read(source, input, None, true)
    }

    /// Adds the runs in a capture. If it is still growing, `growing` returns whether more can be read
    /// without blocking; if not, the runs found so far are stored first.
    pub(crate) fn add_capture(
        &mut self,
        source: &Source<'_>,
        input: impl Read,
        growing: Option<&dyn Fn() -> bool>,
    ) -> Result<()> {
        self.read(source, input, growing, false)
    }

    fn read(
        &mut self,
        source: &Source<'_>,
        input: impl Read,
        growing: Option<&dyn Fn() -> bool>,
        is_in_folder: bool,
    ) -> Result<()> {
        let name = source.name;
        let mut input = Ending {
            input,
            has_ended: false,
        };
        let mut head = Vec::new();
        let limit = SQLITE.len() as u64;
        if let Err(error) = input.by_ref().take(limit).read_to_end(&mut head) {
            self.print_error(&Error::file(Path::new(name), &error));
            return Ok(());
        }
        if head == SQLITE {
            let file = source.path.map_or_else(|| "FILE".to_owned(), path_word);
            let error = Error::new(name, "a store").hint(format!("localstore merge {file}"));
            self.without_result(&error, is_in_folder);
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
                    self.take(source, document)?;
                }
                Some(Ok(Found::Bench(document))) => {
                    linked = false;
                    self.take_bench(source, *document)?;
                }
                Some(Ok(Found::Pause)) if growing.is_some_and(|is_ready| is_ready()) => {}
                Some(Ok(Found::Pause)) => self.flush()?,
                Some(Ok(Found::Link(link))) if std::mem::take(&mut linked) => self.link(&link)?,
                Some(Ok(Found::Link(_))) => {}
                Some(Ok(Found::Note { line, message })) => {
                    tracing::info!("{}", printable(&format!("{name}:{line}: {message}")));
                }
                Some(Ok(Found::Nothing(nothing))) => {
                    let error = nothing.error(name);
                    self.without_result(&error, is_in_folder);
                }
                Some(Ok(Found::Bad {
                    line,
                    why,
                    whole_tests,
                })) => {
                    linked = false;
                    let mut error = Error::new(format_args!("{name}:{line}"), why);
                    if whole_tests > 0 {
                        error = error.hint(match source.path {
                            Some(path) => format!("localstore add --partial {}", path_word(path)),
                            None => "'--partial' stores the whole tests".to_owned(),
                        });
                    }
                    self.print_error(&error);
                }
                Some(Err(error)) => {
                    self.print_error(&Error::file(Path::new(name), &error));
                    return Ok(());
                }
            }
        }
    }

    /// Reports a text without a run: in a folder it may well be.
    fn without_result(&mut self, error: &Error, is_in_folder: bool) {
        match &mut self.folders {
            Some(folders) if is_in_folder => {
                folders.without += 1;
                tracing::info!("{}", printable(&error.to_string()));
            }
            _ => self.print_error(error),
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
        let kept = document.runs.iter().filter(|run| !run.is_refused);
        let kept: Vec<DocumentRun> = kept.cloned().collect();
        let is_many = self.is_many(kept.len());
        let adding = bench_store::Adding {
            measured: self.measured(source),
            machine: &self.options.machine,
            tag: self.options.tag,
        };
        let dry_run = self.options.dry_run;
        let added = if dry_run {
            let store = self.existing_store()?;
            match store {
                Some(store) => store.read(|db| bench_store::lookup(db, &document))?,
                None => vec![(None, Stored::New); kept.len()],
            }
        } else {
            let store = match &mut self.store {
                Some(store) => store,
                none => none.insert(Store::open(self.location)?),
            };
            let added = store.write(|db| bench_store::add(db, &mut document, adding))?;
            let added = added.into_iter();
            added.map(|added| (Some(added.id), added.stored)).collect()
        };
        let mut outcomes = Vec::with_capacity(kept.len());
        for (run, (id, stored)) in kept.iter().zip(added) {
            let described = describe_bench(run);
            let id = id.unwrap_or_default();
            let line = match stored {
                Stored::New if dry_run => format!("would store: {described}"),
                Stored::Completed if dry_run => format!("would complete run {id}: {described}"),
                Stored::New => format!("run {id}: {described}"),
                Stored::Completed => format!("run {id}, completed: {described}"),
                Stored::Already => format!("already stored as run {id}: {described}"),
            };
            let mut standing = None;
            if !dry_run {
                self.found.push(id);
                standing = match &self.store {
                    Some(store) if stored == Stored::New && !is_many => standing_of(store, id),
                    _ => None,
                };
            }
            if standing.as_ref().is_some_and(Standing::is_slower) {
                self.slower.push(id);
            }
            outcomes.push(Outcome {
                stored,
                line,
                standing,
            });
        }
        self.tell(&outcomes, is_many)
    }

    /// Whether so many more runs are too many for a line each on a terminal.
    fn is_many(&self, more: usize) -> bool {
        let before: usize = self.counts.iter().sum();
        before + more > MANY && !is_verbose()
    }

    /// Counts the runs, and prints a line for each, unless there are many on a terminal.
    fn tell(&mut self, outcomes: &[Outcome], is_many: bool) -> Result<()> {
        for outcome in outcomes {
            self.counts[outcome.stored as usize] += 1;
        }
        if !is_many || !self.messages.is_terminal() {
            return self.flush_messages(outcomes);
        }
        self.show_progress();
        Ok(())
    }

    /// The store if it is there, for reading.
    fn existing_store(&mut self) -> Result<Option<&Store>> {
        if self.store.is_none() && self.location.path.exists() {
            self.store = Some(Store::open_readonly(self.location)?);
        }
        Ok(self.store.as_ref())
    }

    /// Prints an error; other runs are still stored.
    pub(crate) fn print_error(&mut self, error: &Error) {
        self.failed = true;
        self.progress = None;
        Stderr::error(error);
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

    fn stored(&self) -> u64 {
        self.counts.iter().sum::<usize>() as u64
    }

    /// `1000 of 5000 runs`, where as many are expected as the bytes that are left make likely.
    fn show_progress(&mut self) {
        let stored = self.stored();
        let total = match self.bytes {
            (Some(all), read) if read > 0 => {
                u128::from(stored) * u128::from(all) / u128::from(read)
            }
            _ => 0,
        };
        let total = u64::try_from(total).unwrap_or(u64::MAX).max(stored);
        let progress = self.progress.get_or_insert_with(Progress::of_runs);
        progress.set_of(stored, total);
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
            let line = match stored {
                _ if !has_lines => String::new(),
                Stored::New => format!("run {id}: {}", waiting.describe()),
                Stored::Completed => format!("run {id}, completed: {}", stored_run(store, id)?),
                Stored::Already => {
                    format!("already stored as run {id}: {}", stored_run(store, id)?)
                }
            };
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
            let id = id.unwrap_or_default();
            let run = &waiting.dated.run;
            let line = match stored {
                Stored::New => format!("would store: {}", waiting.describe()),
                Stored::Completed => format!("would complete run {id}: {}", describe(run)),
                Stored::Already => format!("already stored as run {id}: {}", describe(run)),
            };
            Ok(Outcome {
                stored,
                line,
                standing: None,
            })
        };
        waiting.iter().map(outcome).collect()
    }

    /// Prints the lines and flushes them. A closed pipe does not stop storing.
    fn flush_messages(&mut self, outcomes: &[Outcome]) -> Result<()> {
        match &mut self.messages {
            Messages::Stderr => {
                let screen = Stderr::screen();
                for outcome in outcomes {
                    Stderr::print(&outcome.lines(screen));
                }
            }
            Messages::Stdout(_) if self.is_pipe_closed => {}
            Messages::Stdout(out) => {
                let screen = out.screen();
                let printed = outcomes
                    .iter()
                    .try_for_each(|outcome| out.styled(outcome.lines(screen).as_bytes()))
                    .and_then(|()| Ok(out.flush()?));
                match printed {
                    Err(error) if error.is_closed_pipe() => self.is_pipe_closed = true,
                    printed => return printed,
                }
            }
        }
        Ok(())
    }
}

impl Outcome {
    /// The lines for people.
    fn lines(&self, screen: Screen) -> String {
        let mut lines = screen.fold(&printable(&self.line)) + "\n";
        if let Some(standing) = &self.standing {
            lines += &standing.line(screen);
            lines.push('\n');
        }
        lines
    }
}

impl Waiting {
    /// The new run on one line, with its date if that is guessed.
    fn describe(&self) -> String {
        let Dated { run, measured } = &self.dated;
        let mut line = describe(run);
        if measured.is_guessed && Measured::told_by(run).is_none() {
            let why = if self.is_of_file {
                "guessed from the file's date"
            } else {
                "guessed: now"
            };
            let _ = write!(line, ", measured ~{} ({why})", date(measured.at));
        }
        line
    }
}

/// A text that is not read on behind its end: a terminal would go on.
struct Ending<R> {
    input: R,
    has_ended: bool,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_ended {
            return Ok(0);
        }
        let length = self.input.read(buffer)?;
        self.has_ended = length == 0 && !buffer.is_empty();
        Ok(length)
    }
}

/// Whether `-v` asks for every line.
fn is_verbose() -> bool {
    tracing::enabled!(tracing::Level::INFO)
}

/// The path as a word of a shell.
pub(crate) fn path_word(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

/// Fails before the benchmark rather than after it if the store cannot be opened.
pub(crate) fn check_store(location: &Location) -> Result<()> {
    if location.path.exists() {
        Store::open_readonly(location)?;
    }
    Ok(())
}

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

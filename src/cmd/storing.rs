//! From captures into the store: what `add` and `record` share.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::capture::{Capture, Found, Link, Options};
use crate::formats::Document;
use crate::model::{Environment, Run, Source, Text};
use crate::store::{Added, Location, Store, Stored, runs, submissions};
use crate::submit::Site;
use base::{Error, Result};
use base::{Spool, Stderr, Stdout, note, printable};

/// The most runs that one transaction stores, and the most bytes of their captures.
const BATCH: usize = 2048;
const BATCH_BYTES: usize = 16 << 20;

/// With which every SQLite file begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Where it is told what was stored.
pub enum Messages<'a> {
    /// It is what the command prints.
    Stdout(&'a mut Stdout),
    /// Standard output belongs to somebody else.
    Stderr,
}

/// Stores the runs of captures, and tells what became of each.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Adder<'a> {
    /// Labels the runs, new or not.
    pub tag: Option<&'a str>,
    /// Says what would be stored, and stores nothing.
    pub dry_run: bool,
    /// Takes the finished tests of a run that is cut off.
    pub partial: bool,
    /// What is filled in where a capture lacks it.
    pub machine: Environment,
    location: &'a Location,
    out: Messages<'a>,
    store: Option<Store>,
    batch: Vec<Run>,
    batch_bytes: usize,
    /// The runs that were found, new or not.
    found: Vec<i64>,
    failed: bool,
    /// Whether somebody still reads what we print.
    heard: bool,
}

impl<'a> Adder<'a> {
    pub fn new(location: &'a Location, out: Messages<'a>) -> Self {
        Self {
            tag: None,
            dry_run: false,
            partial: false,
            machine: Environment::default(),
            location,
            out,
            store: None,
            batch: Vec::new(),
            batch_bytes: 0,
            found: Vec::new(),
            failed: false,
            heard: true,
        }
    }

    /// The runs that are in the store now, new or not.
    pub fn found(&self) -> &[i64] {
        &self.found
    }

    /// Stores what is left. An error if anything was complained of.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        if self.failed {
            Err(Error::reported())
        } else {
            Ok(())
        }
    }

    /// Stores the runs of what was spooled. Where anything of it does not get into the store, the
    /// text stays as a file, and the error names it.
    pub fn finish_with(&mut self, mut spool: Spool, name: &str) -> Result<()> {
        let stored = match spool.read() {
            Ok(text) => self.add_capture(name, text, None),
            Err(error) => Err(error),
        };
        if let Err(error) = stored.and_then(|()| self.flush()) {
            self.complain(&error);
        }
        if !self.failed {
            return Ok(());
        }
        match spool.keep()? {
            None => Err(Error::reported()),
            Some(path) => {
                let path = path.display();
                Err(Error::new("the output was saved", &path)
                    .hint(format!("'localstore add {path}' reads it again")))
            }
        }
    }

    /// Adds what the capture holds. One that is still growing tells whether there is more to be read
    /// at once: if not, what was found is stored before it is waited for.
    pub fn add_capture(
        &mut self,
        name: &str,
        mut input: impl Read,
        growing: Option<&dyn Fn() -> bool>,
    ) -> Result<()> {
        let mut head = Vec::new();
        let limit = SQLITE.len() as u64;
        if let Err(error) = input.by_ref().take(limit).read_to_end(&mut head) {
            self.complain(&Error::file(Path::new(name), &error));
            return Ok(());
        }
        if head == SQLITE {
            let why = "this is a SQLite database, not a capture";
            let hint = "'localstore merge FILE' takes over the runs of another store";
            self.complain(&Error::new(name, why).hint(hint));
            return Ok(());
        }
        let input = head.as_slice().chain(input);
        let options = Options {
            live: growing.is_some(),
            partial: self.partial,
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
                Some(Ok(Found::Note { line, what })) => {
                    tracing::info!("{}", printable(&format!("{name}:{line}: {what}")));
                }
                Some(Ok(Found::Bad { line, why })) => {
                    linked = false;
                    self.complain(&Error::new(format_args!("{name}:{line}"), why));
                }
                Some(Err(error)) => {
                    self.complain(&Error::file(Path::new(name), &error));
                    return Ok(());
                }
            }
        }
    }

    /// Notes where the result of the run before is shown.
    fn link(&mut self, link: &Link) -> Result<()> {
        self.flush()?;
        match (self.found.last(), &mut self.store) {
            (Some(&run), Some(store)) if !self.dry_run => {
                let site = Site::of_link(&link.url, link.id);
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
        self.batch_bytes += document.length;
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    pub fn complain(&mut self, error: &Error) {
        self.failed = true;
        if let Some(lines) = error.lines() {
            Stderr::print(&lines);
        }
    }

    /// Stores what was found, then says so.
    fn flush(&mut self) -> Result<()> {
        let runs = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if runs.is_empty() {
            return Ok(());
        }
        if self.dry_run {
            return self.preview(&runs);
        }
        let store = match &mut self.store {
            Some(store) => store,
            none => none.insert(Store::open(self.location)?),
        };
        let added = store.write(|db| runs::add_all(db, &runs, self.tag))?;
        for (run, Added { id, stored }) in runs.iter().zip(added) {
            let what = match (&self.store, stored) {
                // The store knows it better than this capture may.
                (Some(store), Stored::Completed | Stored::Already) => {
                    describe(&store.read(|db| runs::read(db, id))?)
                }
                _ => describe(run),
            };
            self.found.push(id);
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
                Some(store) => store.read(|db| runs::lookup(db, run))?,
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
        let said = match &mut self.out {
            Messages::Stdout(out) => out.write_all(format!("{}\n", printable(line)).as_bytes()),
            Messages::Stderr => {
                note(line);
                Ok(())
            }
        };
        self.listen(said)
    }

    fn say_all(&mut self) -> Result<()> {
        let said = match &mut self.out {
            Messages::Stdout(out) => out.flush(),
            Messages::Stderr => Ok(()),
        };
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

/// A store that cannot be opened is better found before the benchmark than after it.
pub fn check_store(location: &Location) -> Result<()> {
    if location.path.exists() {
        Store::open_readonly(location)?;
    }
    Ok(())
}

/// The run in a line: model, accelerator, score.
pub fn describe(run: &Run) -> String {
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

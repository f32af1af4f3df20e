//! The runs that RUN arguments name: stored ones, or those in a file.

use std::fs::File;
use std::path::{self, Path};
use std::time::UNIX_EPOCH;

use super::resolve_name;
use crate::capture::{Capture, Found, Options};
use crate::model::{Model, Run};
use crate::store::{Listed, Location, Measured, Store, bench, runs, select};
use base::{Error, Result};

/// A run with its properties, stored or in a file.
#[derive(Debug, Clone)]
pub(crate) struct NamedRun {
    /// Its properties and summary.
    pub(crate) listed: Listed,
    /// Its tests and environment.
    pub(crate) run: Run,
    /// The base name of its file, if it was read from one: then the id means nothing to people.
    pub(crate) file: Option<String>,
}

/// Finds the runs of a name in the store, if there is one, and in files.
pub(crate) struct Finder<'a> {
    location: &'a Location,
    store: Option<Store>,
}

impl<'a> Finder<'a> {
    /// Opens the store if it is there.
    pub(crate) fn open(location: &'a Location) -> Result<Self> {
        let store = location.path.exists();
        let store = store.then(|| Store::open_readonly(location)).transpose()?;
        Ok(Self { location, store })
    }

    /// The store, if it is there.
    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The runs of this name: those in a file if it has a slash, or if it is one and no run has that
    /// name; else stored ones.
    pub(crate) fn runs(&self, name: &str) -> Result<Vec<NamedRun>> {
        let path = Path::new(name);
        let store = self.store.as_ref();
        if name.contains(path::is_separator) {
            return NamedRun::in_file(path, store);
        }
        let found = store.map(|store| store.read(|db| select::find(db, name)));
        if found.transpose()?.is_none_or(|ids| ids.is_empty()) && path.is_file() {
            return NamedRun::in_file(path, store);
        }
        let Some(store) = store else {
            // The error says that there is none.
            let store = Store::open_readonly(self.location)?;
            return NamedRun::stored(&store, name);
        };
        NamedRun::stored(store, name)
    }

    /// The one run of this name.
    pub(crate) fn run(&self, name: &str) -> Result<NamedRun> {
        let mut runs = self.runs(name)?;
        match (runs.len(), runs.pop()) {
            (1, Some(run)) => Ok(run),
            (count, _) => Err(Error::new(
                name,
                format_args!("{count} runs, and one is meant"),
            )),
        }
    }
}

impl NamedRun {
    /// The stored run with that id.
    pub(crate) fn read(store: &Store, id: i64) -> Result<Self> {
        let listed = store.read(|db| select::listed(db, id))?;
        check_size(format_args!("run {id}"), listed.tests.unsigned_abs())?;
        Ok(Self {
            listed,
            run: store.read(|db| runs::read(db, id))?,
            file: None,
        })
    }

    fn stored(store: &Store, name: &str) -> Result<Vec<Self>> {
        let ids = resolve_name(store, name)?;
        ids.into_iter().map(|id| Self::read(store, id)).collect()
    }

    /// The runs in a file. One that is stored too has its id, so that it is not its own history.
    fn in_file(path: &Path, store: Option<&Store>) -> Result<Vec<Self>> {
        let failed = |error: std::io::Error| Error::file(path, &error);
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(Error::new(path.display(), "a folder"));
        }
        let modified = about.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.and_then(|time| i64::try_from(time.as_secs()).ok());
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let mut found: Vec<Self> = Vec::new();
        for item in Capture::new(file, Options::default()) {
            match item.map_err(failed)? {
                Found::Run(document) => {
                    let run = document.run;
                    let known = store.map(|store| store.read(|db| runs::stored_id(db, &run)));
                    let id = known.transpose()?.flatten();
                    found.push(Self::unstored(run, id, found.len(), modified, &name));
                }
                Found::Bench(mut document) => {
                    let tests = document.runs.iter().map(|run| run.tests).sum();
                    check_size(path.display(), tests)?;
                    let undated = Measured::guessed(0);
                    let ids =
                        store.map(|store| store.read(|db| bench::lookup(db, &document, undated)));
                    let ids = ids.transpose()?.unwrap_or_default();
                    for (index, run) in document.read_runs()?.into_iter().enumerate() {
                        let known = ids.get(index).and_then(|(id, _)| *id);
                        found.push(Self::unstored(run, known, found.len(), modified, &name));
                    }
                }
                Found::Bad { line, why, .. } => {
                    let place = format!("{}:{line}", path.display());
                    return Err(Error::new(place, why));
                }
                Found::Nothing(nothing) => {
                    return Err(nothing.error(&path.display().to_string()));
                }
                Found::Link(_) | Found::Note { .. } | Found::Pause => {}
            }
        }
        if found.len() > 1 {
            for (index, run) in found.iter_mut().enumerate() {
                run.file = Some(format!("{name}#{}", index + 1));
            }
        }
        Ok(found)
    }

    /// A run in a file, behind so many others; `id` is that of the same run in the store.
    fn unstored(
        run: Run,
        id: Option<i64>,
        index: usize,
        modified: Option<i64>,
        name: &str,
    ) -> Self {
        // A new run is the last one.
        let id = id.unwrap_or(i64::MAX.saturating_sub_unsigned(index as u64));
        Self {
            listed: listed(&run, id, modified.unwrap_or_default()),
            run,
            file: Some(name.to_owned()),
        }
    }

    /// Its id; `None` for a run in a file.
    pub(crate) fn id(&self) -> Option<i64> {
        self.file.is_none().then_some(self.listed.id)
    }

    /// `run 16`, or the name of its file.
    pub(crate) fn name(&self) -> String {
        self.file
            .clone()
            .unwrap_or_else(|| format!("run {}", self.listed.id))
    }

    /// The same below the head `run`.
    pub(crate) fn label(&self) -> String {
        self.file
            .clone()
            .unwrap_or_else(|| self.listed.id.to_string())
    }

    /// Its position in the order of measurement.
    pub(crate) fn moment(&self) -> (i64, i64) {
        (self.listed.measured_at, self.listed.id)
    }
}

/// A run with more tests is not read into memory.
const MOST_TESTS: u64 = 100_000;

fn check_size(name: impl std::fmt::Display, tests: u64) -> Result<()> {
    if tests <= MOST_TESTS {
        return Ok(());
    }
    Err(Error::new(
        name,
        format_args!("{tests} tests, and at most {MOST_TESTS} are compared"),
    ))
}

/// The properties of a run that is not stored.
fn listed(run: &Run, id: i64, modified: i64) -> Listed {
    let unknown = Model::default();
    let model = run.model().unwrap_or(&unknown);
    let measured = Measured::told_by(run).unwrap_or_else(|| Measured::guessed(modified));
    Listed {
        id,
        added_at: None,
        measured_at: measured.at,
        measured_guessed: measured.is_guessed,
        model: model.model_name.clone(),
        quant: model.model_quant_str.clone(),
        accelerator: run.environment.accelerator.name.clone(),
        runtime: run.environment.runtime.name.clone(),
        runtime_version: run.environment.runtime.version.clone(),
        tool: run.tool,
        figures: run.figures(),
        tests: i64::try_from(run.tests.len()).unwrap_or(i64::MAX),
        partial: run.is_partial(),
        tags: Vec::new(),
        source: run.source,
        link: None,
        submission: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_memory_may_not_hold_is_refused() {
        assert!(check_size("run 1", MOST_TESTS).is_ok());
        let error = check_size("run 1", MOST_TESTS + 1).unwrap_err();
        let expected = "run 1: 100001 tests, and at most 100000 are compared";
        assert_eq!(error.to_string(), expected);
    }
}

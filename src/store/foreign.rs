//! A run of either tool as it goes from one store to another.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension};

use super::bench::{self, Reader, Writer};
pub(crate) use super::fingerprint::Keys;
use super::merge::{self, ForeignRun};
use super::merge_bench;
pub(crate) use super::merge_bench::{MOST_FIELDS, Part};
use super::runs::{self, Added, Measured, Shared, Stored};
use crate::model::{Run, Source, Tool};
use db::refused;

/// A run with all that another store needs of it.
#[derive(Debug)]
pub(crate) enum Foreign {
    /// A run of LocalScore.
    Run(ForeignRun),
    /// A run of llama-bench.
    Bench(BenchRun),
}

/// A run of llama-bench.
#[derive(Debug)]
pub(crate) struct BenchRun {
    /// Its rows: a document of one run.
    pub(crate) part: Part,
    /// The fingerprint of the first run of its document; `None` where it is the first itself.
    pub(crate) document: Option<[u8; 16]>,
}

impl Foreign {
    /// The program that measured it.
    pub(crate) fn tool(&self) -> Tool {
        match self {
            Self::Run(_) => Tool::LocalScore,
            Self::Bench(_) => Tool::LlamaBench,
        }
    }

    /// The kind of capture that contained it.
    pub(crate) fn source(&self) -> Source {
        match self {
            Self::Run(foreign) => foreign.dated.run.source,
            Self::Bench(bench) => bench.part.document.source,
        }
    }

    /// Whether another capture of it may be better.
    pub(crate) fn is_poor(&self) -> bool {
        match self {
            Self::Run(foreign) => foreign.dated.run.is_poor(),
            Self::Bench(bench) => bench.part.document.source.is_rounded(),
        }
    }

    /// The keys by which a store finds it.
    pub(crate) fn keys(&self) -> Keys {
        match self {
            Self::Run(foreign) => Keys::of(&foreign.dated.run),
            Self::Bench(bench) => {
                let run = bench.part.document.runs.first();
                let keys = run.map(|run| (run.fingerprint, run.core));
                let (fingerprint, core) = keys.unwrap_or_default();
                Keys { fingerprint, core }
            }
        }
    }

    /// When it was measured.
    pub(crate) fn measured(&self) -> Measured {
        match self {
            Self::Run(foreign) => {
                Measured::told_by(&foreign.dated.run).unwrap_or(foreign.dated.measured)
            }
            Self::Bench(bench) => {
                let run = bench.part.document.runs.first();
                let told = run.and_then(|run| Measured::told(run.test_time.as_ref()));
                told.unwrap_or(bench.part.measured)
            }
        }
    }

    /// The run with its machine and its model; of llama-bench without its tests.
    pub(crate) fn header(&self) -> Cow<'_, Run> {
        match self {
            Self::Run(foreign) => Cow::Borrowed(&foreign.dated.run),
            Self::Bench(bench) => {
                let part = &bench.part;
                let run = part.document.runs.first();
                Cow::Owned(run.map_or_else(Run::default, |run| {
                    bench::header(&run.identity, part.document.source, &part.machine)
                }))
            }
        }
    }

    /// Its tags.
    pub(crate) fn tags(&self) -> &[String] {
        match self {
            Self::Run(foreign) => &foreign.tags,
            Self::Bench(bench) => &bench.part.tags,
        }
    }
}

/// The run of this id with its tags and its submission. A run that is damaged, or is not there, is an
/// error about a value.
pub(crate) fn read_foreign(db: &Connection, id: i64) -> db::Result<Foreign> {
    let tool: Option<String> = db
        .prepare_cached("SELECT tool FROM localstore_runs WHERE run_id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    match tool.as_deref().map(Tool::from_name) {
        Some(Some(Tool::LocalScore)) => Ok(Foreign::Run(merge::own_run(db, id)?)),
        Some(Some(Tool::LlamaBench)) => Ok(Foreign::Bench(BenchRun {
            part: merge_bench::own_run(db, &mut Reader::default(), id)?,
            document: document(db, id)?,
        })),
        Some(None) => Err(refused("its tool is unknown").into()),
        None => Err(refused("it is no longer in the store").into()),
    }
}

/// The fingerprint of the first run of a run's document that is still there; `None` where it is the
/// run itself.
fn document(db: &Connection, id: i64) -> rusqlite::Result<Option<[u8; 16]>> {
    let first: (i64, [u8; 16]) = db
        .prepare_cached(
            "SELECT r.run_id, r.fingerprint FROM localstore_bench_runs x
             JOIN localstore_bench_runs y ON y.document = x.document
             JOIN localstore_runs r ON r.run_id = y.run_id
             WHERE x.run_id = ?1 ORDER BY y.run_id LIMIT 1",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (first, fingerprint) = first;
    Ok((first != id).then_some(fingerprint))
}

/// Adds runs with their dates, tags and submissions, as `merge` does. Gives what became of each.
pub(crate) fn add_foreign(db: &Connection, foreign: &mut [Foreign]) -> db::Result<Vec<Added>> {
    let (mut shared, mut writer) = (Shared::default(), Writer::default());
    let mut all = Vec::with_capacity(foreign.len());
    for one in foreign {
        all.push(match one {
            Foreign::Run(run) => merge::merge_run(db, &mut shared, run)?,
            Foreign::Bench(bench) => {
                let mut first = match bench.document {
                    Some(key) => stored_document(db, key)?,
                    None => None,
                };
                let added = merge_bench::add(db, &mut writer, &mut bench.part, &mut first)?;
                match added.first() {
                    Some(&(Some(id), stored)) => Added { id, stored },
                    _ => return Err(refused("a run of llama-bench is refused").into()),
                }
            }
        });
    }
    shared.write(db)?;
    Ok(all)
}

/// The document of the stored run with this fingerprint.
fn stored_document(db: &Connection, fingerprint: [u8; 16]) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT x.document FROM localstore_runs r
         JOIN localstore_bench_runs x ON x.run_id = r.run_id
         WHERE r.fingerprint = ?1 AND r.tool = 'llama-bench' ORDER BY r.run_id LIMIT 1",
    )?
    .query_row([fingerprint], |row| row.get(0))
    .optional()
}

/// What adding the run would do; the id is `None` for a new one.
pub(crate) fn lookup_foreign(
    db: &Connection,
    foreign: &Foreign,
) -> db::Result<(Option<i64>, Stored)> {
    match foreign {
        Foreign::Run(run) => runs::lookup(db, &run.dated),
        Foreign::Bench(bench) => {
            let found = merge_bench::lookup(db, &bench.part)?;
            let found = found.first().copied();
            found.ok_or_else(|| refused("a run of llama-bench is refused").into())
        }
    }
}

//! Taking over the runs of another file: a store like this one, or a LocalScore database.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::NamedTempFile;

use super::bench::Reader;
use super::changes::{self, Change, OTHERS};
use super::members::{self, More};
use super::merge_bench::{ForeignBench, Tables};
use super::merge_chats::{ChatRows, foreign_chats};
use super::own::{ENVIRONMENT, RunReader};
use super::rows::{CREATED_AT, Cells, Columns, Odd};
use super::runs::{Added, Dated, Measured, Shared, Stored, add};
use super::site::{self, SiteRun};
use super::tags::{self, check_tag};
use super::{RESULTS, Store, submissions};
use crate::model::{Submission, SubmissionState};
use crate::submit::Site;
use base::{Error, Result};
use db::{SAVE, Schema, failure, foreign, is_about_a_value, reason, refuse, refused};

/// A run of the other file, with its date, tags and submission.
#[derive(Debug)]
pub(crate) struct ForeignRun {
    /// The run, and when it was measured.
    pub(crate) dated: Dated,
    /// When it was added, as `YYYY-MM-DD HH:MM:SS`.
    pub(crate) created_at: String,
    /// Its tags.
    pub(crate) tags: Vec<String>,
    /// What became of sending it.
    pub(crate) submission: Option<Submission>,
    /// What a newer program has told of it.
    pub(crate) more: More,
}

/// A run of the other file that cannot be taken over, or a part of it.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its id there.
    pub(crate) id: i64,
    /// What is wrong with it.
    pub(crate) why: String,
}

/// Runs that are read, and then added in one transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Those that can be taken over.
    pub(crate) runs: Vec<ForeignRun>,
    /// The others.
    pub(crate) refused: Vec<Refused>,
    /// Of those that can be taken over, what cannot.
    pub(crate) left_out: Vec<Refused>,
}

/// The most runs of a batch, and the bytes that end it earlier: as many as `add` stores together.
const BATCH: usize = 2048;
const BATCH_BYTES: usize = 16 << 20;

/// What is to be taken over next.
pub(crate) enum Next {
    /// Runs of LocalScore.
    Runs(Batch),
    /// Runs of llama-bench.
    Bench(ForeignBench),
}

/// Another file, whose runs are read batch by batch, at one moment of it. Nothing is changed in it
/// or beside it, and nothing in it is trusted.
pub(crate) struct ForeignFile {
    db: Connection,
    path: PathBuf,
    /// The runs that are still to be read, and rows of llama-bench behind them.
    ids: Peekable<std::vec::IntoIter<ForeignId>>,
    count: u64,
    tables: Tables,
    reader: RefCell<Reader>,
    /// What stands in for the dates of rows without one.
    changed_at: Measured,
    /// Whether it has a table of test-backend-ops, which is no benchmark of a model.
    pub(crate) has_backend_ops: bool,
    /// The copy of an older store that is read in its place.
    _copy: Option<NamedTempFile>,
}

/// A run of a store, or one that only the public tables have, with the ids of its tests, or the runs of
/// one document of llama-bench.
enum ForeignId {
    Own(i64),
    Site(i64, Vec<i64>),
    Bench(Vec<i64>),
}

impl ForeignFile {
    /// Opens a store or a LocalScore database.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |error: rusqlite::Error| failure(path, &error);
        let (mut db, schema) = foreign::open(path, &RESULTS)?;
        let is_store = matches!(schema, Schema::Version(_));
        if is_store {
            refuse(path, &RESULTS, schema)?;
        }
        let has = |table: &str| {
            let sql = "SELECT 1 FROM sqlite_schema WHERE name = ?1";
            let found = db
                .prepare(sql)
                .and_then(|mut statement| statement.exists([table]));
            found.map_err(failed)
        };
        let is_foreign = matches!(schema, Schema::Empty | Schema::Foreign);
        let is_site = !is_foreign || has("benchmark_runs")?;
        let has_backend_ops = is_foreign && has("test_backend_ops")?;
        let tables = if is_foreign {
            Tables::find(&db)
                .map_err(failed)?
                .map_err(|why| Error::new(path.display(), why).hint(SAVE))?
        } else {
            Tables::default()
        };
        if !is_site && tables.is_empty() {
            let why = if has_backend_ops {
                "this is test-backend-ops output, and only LocalScore and llama-bench are read"
            } else {
                "neither a file of localstore or llamafile nor a database of LocalScore or llama-bench"
            };
            return Err(Error::new(path.display(), why));
        }
        let names = foreign::names(&RESULTS).map_err(failed)?;
        if let Some(what) = foreign::computed(&db, &names).map_err(failed)? {
            let why = format!("{what}, and only plain tables are read");
            return Err(Error::new(path.display(), why));
        }
        if matches!(schema, Schema::Unversioned(_)) {
            refuse(path, &RESULTS, schema)?;
        }
        if let Some(what) = foreign::damage(&db, &names).map_err(failed)? {
            return Err(Error::new(path.display(), what).hint(SAVE));
        }
        let mut copy = None;
        if is_store && schema != Schema::Version(RESULTS.current()) {
            let file = NamedTempFile::new().map_err(|error| Error::file(path, &error))?;
            db = migrated(&db, file.path()).map_err(failed)?;
            copy = Some(file);
        }
        let ids = match schema {
            // It has chats alone.
            Schema::Llamafile | Schema::Absent => Ok(Vec::new()),
            _ if !is_site => Ok(Vec::new()),
            _ => ids(&db, is_store),
        };
        let ids = ids.map_err(failed)?;
        let runs = |id: &ForeignId| match id {
            ForeignId::Bench(ids) => ids.len(),
            ForeignId::Own(_) | ForeignId::Site(..) => 1,
        };
        let count = ids.iter().map(runs).sum::<usize>() as u64;
        let ids = ids.into_iter().peekable();
        let changed = std::fs::metadata(path).and_then(|file| file.modified());
        let changed = changed.ok().and_then(|time| Timestamp::try_from(time).ok());
        let changed = changed.unwrap_or_else(Timestamp::now);
        Ok(Self {
            db,
            path: path.to_owned(),
            ids,
            count,
            tables,
            reader: RefCell::default(),
            changed_at: Measured::guessed(changed.as_second()),
            has_backend_ops,
            _copy: copy,
        })
    }

    /// The chats, in the order of their ids.
    pub(crate) fn chats(&self) -> Result<Vec<ChatRows>> {
        foreign_chats(&self.db).map_err(|error| failure(&self.path, &error))
    }

    /// How many runs there are; nobody has counted those in rows of llama-bench.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    /// Reads its runs of llama-bench.
    pub(super) fn reader(&self) -> RefMut<'_, Reader> {
        self.reader.borrow_mut()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn changed_at(&self) -> Measured {
        self.changed_at
    }

    /// The next runs in the order of their ids; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Next>> {
        let is_bench = |id: &ForeignId| matches!(id, ForeignId::Bench(_));
        if let Some(ForeignId::Bench(ids)) = self.ids.next_if(is_bench) {
            return Ok(Some(Next::Bench(ForeignBench::Own(ids))));
        }
        if self.ids.peek().is_some() {
            return self.next_batch().map(|batch| Some(Next::Runs(batch)));
        }
        let rows = self.tables.next(&self.db);
        let rows = rows.map_err(|error| error.of_file(&self.path))?;
        Ok(rows.map(|rows| Next::Bench(ForeignBench::Rows(rows))))
    }

    fn next_batch(&mut self) -> Result<Batch> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.runs.len() + batch.refused.len() < BATCH && bytes < BATCH_BYTES {
            let is_bench = |id: &ForeignId| matches!(id, ForeignId::Bench(_));
            let (id, run) = match self.ids.next_if(|id| !is_bench(id)) {
                None | Some(ForeignId::Bench(_)) => break,
                Some(ForeignId::Own(id)) => (id, own_run(&self.db, id)),
                Some(ForeignId::Site(id, tests)) => (id, site_run(&self.db, id, &tests)),
            };
            match run {
                Ok(mut foreign) => {
                    if let Some(flaw) = foreign.submission.as_ref().and_then(flaw) {
                        foreign.submission = None;
                        let why = format!("its submission is left out: {flaw}");
                        batch.left_out.push(Refused { id, why });
                    }
                    bytes += foreign.dated.run.bytes();
                    batch.runs.push(foreign);
                }
                Err(error) if is_about_a_value(&error) => {
                    let why = reason(&error);
                    batch.refused.push(Refused { id, why });
                }
                Err(error) => return Err(failure(&self.path, &error)),
            }
        }
        Ok(batch)
    }
}

/// All runs: those of a store, and those that only the public tables have.
fn ids(db: &Connection, is_store: bool) -> rusqlite::Result<Vec<ForeignId>> {
    if !is_store {
        let ids = site::ids(db, "1", i64::MIN)?.into_iter();
        return Ok(ids.map(|(id, tests)| ForeignId::Site(id, tests)).collect());
    }
    let mut ids: Vec<ForeignId> = Vec::new();
    // Where the runs of each document are in the list.
    let mut documents = HashMap::new();
    let mut statement = db.prepare(
        "SELECT r.run_id, r.tool = 'llama-bench',
             (SELECT document FROM localstore_bench_runs x WHERE x.run_id = r.run_id)
         FROM localstore_runs r ORDER BY r.rowid",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        if !row.get(1)? {
            ids.push(ForeignId::Own(id));
            continue;
        }
        let document = row.get_ref(2)?.as_i64().unwrap_or(id);
        let place = *documents.entry(document).or_insert(ids.len());
        match ids.get_mut(place) {
            Some(ForeignId::Bench(runs)) => runs.push(id),
            _ => ids.push(ForeignId::Bench(vec![id])),
        }
    }
    let inserted = site::inserted(db)?.into_iter();
    ids.extend(inserted.map(|(id, tests)| ForeignId::Site(id, tests)));
    Ok(ids)
}

/// A copy of an older store, brought to the current version.
fn migrated(db: &Connection, path: &Path) -> rusqlite::Result<Connection> {
    db.backup(rusqlite::MAIN_DB, path, None)?;
    let mut copy = Connection::open(path)?;
    foreign::bound(&copy, path)?;
    db::migrate(&mut copy, &RESULTS)?;
    Ok(copy)
}

/// A run of a store.
pub(super) fn own_run(db: &Connection, id: i64) -> rusqlite::Result<ForeignRun> {
    static HEAD: OnceLock<Columns> = OnceLock::new();
    // Few runs have a tag, a submission or such members, and a statement of its own costs more than a look.
    let mut statement = db.prepare_cached(&format!(
        "SELECT b.id IS NOT NULL AS is_public, {CREATED_AT} AS created_at, r.measured_at,
             r.measured_guessed,
             EXISTS (SELECT 1 FROM localstore_tags t WHERE t.run_id = r.run_id) AS is_tagged,
             EXISTS (SELECT 1 FROM localstore_submissions s WHERE s.run_id = r.run_id) AS is_sent,
             EXISTS (SELECT 1 FROM localstore_unknown_members m WHERE m.run_id = r.run_id)
                 AS has_more,
             e.id IS NOT NULL AS has_header, r.source, r.tool, {ENVIRONMENT}
         FROM localstore_runs r LEFT JOIN benchmark_runs b ON b.id = r.run_id
             LEFT JOIN localstore_environments e ON e.id = r.environment_id
         WHERE r.run_id = ?1"
    ))?;
    let columns = HEAD.get_or_init(|| Columns::of(&statement));
    let mut rows = statement.query([id])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let cells = Cells::of_any(columns, row, Odd::Refused);
    let is_public: bool = cells.get("is_public")?;
    let created_at: Option<String> = cells.get("created_at")?;
    let measured = Measured {
        at: cells.get("measured_at")?,
        is_guessed: cells.get("measured_guessed")?,
    };
    let is_tagged: bool = cells.get("is_tagged")?;
    let is_sent: bool = cells.get("is_sent")?;
    let has_more: bool = cells.get("has_more")?;
    if !is_public {
        return Err(refused("has no row in benchmark_runs"));
    }
    let mut tags = Vec::new();
    if is_tagged {
        tags = db
            .prepare_cached("SELECT tag FROM localstore_tags WHERE run_id = ?1 ORDER BY tag")?
            .query_map([id], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
    }
    if !cells.get::<bool>("has_header")? {
        return Err(refused("its header is not in localstore_environments"));
    }
    let run = RunReader::new(cells)?.read_tests(db, id, Odd::Refused)?;
    Ok(ForeignRun {
        dated: Dated { run, measured },
        created_at: created_at.ok_or_else(no_date)?,
        tags,
        submission: if is_sent {
            submissions::read(db, id).map_err(|error| {
                if is_about_a_value(&error) {
                    refused(format!("its submission cannot be read: {}", reason(&error)))
                } else {
                    error
                }
            })?
        } else {
            None
        },
        more: if has_more {
            members::read(db, id)?
        } else {
            More::default()
        },
    })
}

fn no_date() -> rusqlite::Error {
    refused("created_at is not a date")
}

/// What no command here would have noted of sending a run.
pub(crate) fn flaw(submission: &Submission) -> Option<&'static str> {
    let is_link = match (&submission.link, submission.remote_id) {
        (None, None) => true,
        (Some(link), Some(id)) => Site::from_link(link, id).is_some(),
        _ => false,
    };
    let is_site = |site: &String| {
        site.parse()
            .is_ok_and(|parsed: Site| parsed.as_str() == site)
    };
    if !is_link {
        Some("link is not that of a result")
    } else if !submission.site.as_ref().is_none_or(is_site) {
        Some("site is not the address of a site")
    } else if submission.attempts < 0 {
        Some("attempts is negative")
    } else {
        None
    }
}

/// A run of which only the public tables know.
fn site_run(db: &Connection, id: i64, tests: &[i64]) -> rusqlite::Result<ForeignRun> {
    let SiteRun {
        run,
        created_at,
        measured_at,
    } = site::read(db, id, tests, Odd::Refused)?;
    Ok(ForeignRun {
        dated: Dated {
            run,
            measured: Measured::known(measured_at.ok_or_else(no_date)?),
        },
        created_at: created_at.ok_or_else(no_date)?,
        tags: Vec::new(),
        submission: None,
        more: More::default(),
    })
}

impl Store {
    /// Adds runs of another file in one transaction.
    pub(crate) fn merge(&mut self, foreign: &[ForeignRun]) -> Result<Vec<Added>> {
        // What a row refers to is found or made just before it.
        self.write_without_foreign_keys(|db| {
            let merged = changes::brought(db, OTHERS, || merge(db, foreign))?;
            for added in merged.iter().filter(|added| !added.is_new()) {
                changes::claim(db, added.id, false)?;
            }
            Ok(merged)
        })
    }
}

/// Adds runs with their dates, tags and submissions; one that waits to be sent there does not wait
/// here too. What is known of a run here stays.
pub(crate) fn merge(db: &Connection, foreign: &[ForeignRun]) -> rusqlite::Result<Vec<Added>> {
    let mut shared = Shared::default();
    let merged = foreign.iter().map(|run| merge_run(db, &mut shared, run));
    let merged = merged.collect::<rusqlite::Result<_>>()?;
    shared.write(db)?;
    Ok(merged)
}

/// Adds a run as [`merge`] does.
pub(super) fn merge_run(
    db: &Connection,
    shared: &mut Shared,
    foreign: &ForeignRun,
) -> rusqlite::Result<Added> {
    let mut added = add(db, shared, &foreign.dated, Some(&foreign.created_at))?;
    // Skip tags that `tag` would refuse.
    for tag in foreign.tags.iter().filter(|tag| check_tag(tag).is_ok()) {
        tags::add(db, tag, added.id)?;
    }
    // What waits there waits there: two stores that queue it would both send it.
    let submission = foreign.submission.as_ref();
    if let Some(submission) = submission.filter(|found| found.state != SubmissionState::Pending) {
        // That it was submitted is better to know than that it was not, and that it may have been
        // is better to know than that it waits or has failed: nothing is sent twice.
        let changed = db
            .prepare_cached(
                "INSERT INTO localstore_submissions
                 (run_id, state, remote_id, link, site, attempts, reason, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (run_id) DO UPDATE
             SET state = excluded.state, remote_id = excluded.remote_id, link = excluded.link,
                 site = excluded.site, attempts = excluded.attempts, reason = excluded.reason,
                 changed_at = excluded.changed_at
             WHERE (state <> 'submitted' AND excluded.state = 'submitted')
                OR (state IN ('pending', 'failed') AND excluded.state = 'unknown')",
            )?
            .execute((
                added.id,
                submission.state.name(),
                submission.remote_id,
                &submission.link,
                &submission.site,
                submission.attempts,
                &submission.reason,
                &submission.changed_at,
            ))?;
        if changed > 0 && submission.state != SubmissionState::Failed {
            changes::note(db, added.id, Change::Submission)?;
        }
    }
    if members::complete(db, added.id, &foreign.more)? && added.stored == Stored::Already {
        added.stored = Stored::Completed;
        changes::note(db, added.id, Change::Completed)?;
    }
    Ok(added)
}

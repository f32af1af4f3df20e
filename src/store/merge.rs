//! Taking over the runs of another file: a store like this one, or a LocalScore database.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use tempfile::NamedTempFile;

use super::merge_chats::{ForeignChat, foreign_chats};
use super::migrations::{CURRENT, Schema, migrate};
use super::rows::{CREATED_AT, Odd, refused};
use super::runs::{Added, Shared, add};
use super::site::{self, Ids, SiteRun};
use super::submissions::submission;
use super::tags::check_tag;
use super::{
    SAVE, Store, connect_readonly, distrust, failure, is_about_a_value, own, reason,
    refuse_no_file, refuse_what_is_not_ours,
};
use crate::model::{Run, Submission, SubmissionState};
use crate::submit::Site;
use base::{Error, Result};

/// A run of the other file, with what is known of it besides.
#[derive(Debug)]
pub struct Foreign {
    /// The run.
    pub run: Run,
    created_at: String,
    measured_at: i64,
    tags: Vec<String>,
    submission: Option<Submission>,
}

/// A run of the other file that cannot be taken over, or a part of it.
#[derive(Debug)]
pub struct Refused {
    /// Its id there.
    pub id: i64,
    /// What is wrong with it.
    pub why: String,
}

/// Runs that are read, and then added in one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    /// Those that can be taken over.
    pub runs: Vec<Foreign>,
    /// The others.
    pub refused: Vec<Refused>,
    /// Of those that can be taken over, what cannot.
    pub left_out: Vec<Refused>,
}

/// The most runs of a batch, which ends earlier where they are large.
const BATCH: usize = 256;

/// Another file, whose runs are read batch by batch, at one moment of it. Nothing is changed in it
/// or beside it, and nothing in it is trusted.
pub struct ForeignFile {
    db: Connection,
    path: PathBuf,
    is_store: bool,
    /// Of a store, from which row on its runs are still to be read.
    own: Option<i64>,
    /// The runs that only the public tables have, once it is known which they are.
    site: Option<std::collections::btree_map::IntoIter<i64, Vec<i64>>>,
    /// What is read in place of an older store.
    _copy: Option<NamedTempFile>,
}

impl ForeignFile {
    /// Opens a store or a LocalScore database.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: rusqlite::Error| failure(path, &error);
        refuse_no_file(path)?;
        std::fs::metadata(path).map_err(|error| Error::file(path, &error))?;
        let bound = |db: &Connection| distrust::bound(db, path);
        let (mut db, schema) = connect_readonly(path, &bound).map_err(failed)?;
        let is_store = matches!(schema, Schema::Version(_));
        if is_store {
            refuse_what_is_not_ours(path, schema)?;
        } else if !matches!(schema, Schema::Llamafile | Schema::Unversioned(_)) {
            let is_site = db
                .prepare("SELECT 1 FROM sqlite_schema WHERE name = 'benchmark_runs'")
                .and_then(|mut statement| statement.exists([]));
            if !is_site.map_err(failed)? {
                let why = "neither a file of localstore or llamafile nor a LocalScore database";
                return Err(Error::new(path.display(), why));
            }
        }
        if let Some(what) = distrust::computed(&db).map_err(failed)? {
            let why = format!("{what}, and only plain tables are read");
            return Err(Error::new(path.display(), why));
        }
        if matches!(schema, Schema::Unversioned(_)) {
            refuse_what_is_not_ours(path, schema)?;
        }
        if let Some(what) = distrust::damage(&db).map_err(failed)? {
            return Err(Error::new(path.display(), what).hint(SAVE));
        }
        let mut copy = None;
        if is_store && schema != Schema::Version(CURRENT) {
            let file = NamedTempFile::new().map_err(|error| Error::file(path, &error))?;
            db = migrated(&db, file.path()).map_err(failed)?;
            copy = Some(file);
        }
        Ok(Self {
            db,
            path: path.to_owned(),
            is_store,
            own: is_store.then_some(i64::MIN),
            // llamafile's own file has chats alone.
            site: (schema == Schema::Llamafile).then(|| Ids::new().into_iter()),
            _copy: copy,
        })
    }

    /// The chats, in the order of their ids.
    pub fn chats(&self) -> Result<Vec<ForeignChat>> {
        foreign_chats(&self.db).map_err(|error| failure(&self.path, &error))
    }

    /// How many runs there are.
    pub fn count(&self) -> Result<u64> {
        if self.own.is_none() && self.site.is_some() {
            return Ok(0);
        }
        // count(*) is a single opcode, which the progress handler cannot interrupt.
        self.db
            .query_row("SELECT count(id) FROM benchmark_runs", [], |row| row.get(0))
            .map_err(|error| failure(&self.path, &error))
    }

    /// The next runs in the order of their ids; none at the end.
    pub fn next_batch(&mut self) -> Result<Batch> {
        self.read_batch()
            .map_err(|error| failure(&self.path, &error))
    }

    fn read_batch(&mut self) -> rusqlite::Result<Batch> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.runs.len() + batch.refused.len() < BATCH
            && bytes < own::MOST_BYTES
            && let Some((id, run)) = self.next_run()?
        {
            match run {
                Ok(mut foreign) => {
                    if let Some(flaw) = foreign.submission.as_ref().and_then(flaw) {
                        foreign.submission = None;
                        let why = format!("its submission is left out: {flaw}");
                        batch.left_out.push(Refused { id, why });
                    }
                    bytes += foreign.run.bytes();
                    batch.runs.push(foreign);
                }
                Err(error) if is_about_a_value(&error) => {
                    let why = reason(&error);
                    batch.refused.push(Refused { id, why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(batch)
    }

    /// The next run and its id.
    fn next_run(&mut self) -> rusqlite::Result<Option<(i64, rusqlite::Result<Foreign>)>> {
        if let Some(from) = self.own {
            let found = self
                .db
                .prepare_cached(
                    "SELECT rowid, run_id FROM localstore_runs WHERE rowid >= ?1
                     ORDER BY rowid LIMIT 1",
                )?
                .query_row([from], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
                .optional()?;
            self.own = found.and_then(|(row, _)| row.checked_add(1));
            if let Some((_, id)) = found {
                return Ok(Some((id, own_run(&self.db, id))));
            }
        }
        let site = match &mut self.site {
            Some(site) => site,
            none => {
                let ids = if self.is_store {
                    site::inserted(&self.db)?
                } else {
                    site::ids(&self.db, "1", i64::MIN)?
                };
                none.insert(ids.into_iter())
            }
        };
        let next = site.next();
        Ok(next.map(|(id, tests)| (id, site_run(&self.db, id, &tests))))
    }
}

/// A copy of an older store, brought to the current version.
fn migrated(db: &Connection, path: &Path) -> rusqlite::Result<Connection> {
    db.backup(rusqlite::MAIN_DB, path, None)?;
    let mut copy = Connection::open(path)?;
    distrust::bound(&copy, path)?;
    copy.pragma_update(None, "foreign_keys", false)?;
    migrate(&mut copy)?;
    Ok(copy)
}

/// A run of a store.
fn own_run(db: &Connection, id: i64) -> rusqlite::Result<Foreign> {
    let head: (bool, Option<String>, i64) = db
        .prepare_cached(&format!(
            "SELECT b.id IS NOT NULL, {CREATED_AT}, r.measured_at
             FROM localstore_runs r LEFT JOIN benchmark_runs b ON b.id = r.run_id
             WHERE r.run_id = ?1"
        ))?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (true, created_at, measured_at) = head else {
        return Err(refused("has no row in benchmark_runs"));
    };
    let tags = db
        .prepare_cached("SELECT tag FROM localstore_tags WHERE run_id = ?1 ORDER BY tag")?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Foreign {
        run: own::read_foreign(db, id)?,
        created_at: created_at.ok_or_else(no_date)?,
        measured_at,
        tags,
        submission: submission(db, id).map_err(|error| {
            if is_about_a_value(&error) {
                refused(format!("its submission cannot be read: {}", reason(&error)))
            } else {
                error
            }
        })?,
    })
}

fn no_date() -> rusqlite::Error {
    refused("created_at is not a date")
}

/// What no command here would have noted of sending a run.
fn flaw(submission: &Submission) -> Option<&'static str> {
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
fn site_run(db: &Connection, id: i64, tests: &[i64]) -> rusqlite::Result<Foreign> {
    let SiteRun {
        run,
        created_at,
        measured_at,
    } = site::read(db, id, tests, Odd::Refused)?;
    Ok(Foreign {
        run,
        created_at: created_at.ok_or_else(no_date)?,
        measured_at: measured_at.ok_or_else(no_date)?,
        tags: Vec::new(),
        submission: None,
    })
}

impl Store {
    /// Adds runs of another file in one transaction, with their dates and tags, and with what became
    /// of sending them; one that waits to be sent there does not wait here too. What is known of a
    /// run here stays.
    pub fn merge(&mut self, foreign: &[Foreign]) -> Result<Vec<Added>> {
        self.write(|db| {
            let mut shared = Shared::default();
            let merged = foreign
                .iter()
                .map(|foreign| merge(db, &mut shared, foreign));
            let merged = merged.collect::<rusqlite::Result<_>>()?;
            shared.write(db)?;
            Ok(merged)
        })
    }
}

fn merge(db: &Connection, shared: &mut Shared, foreign: &Foreign) -> rusqlite::Result<Added> {
    let added = add(db, shared, &foreign.run, Some(foreign.measured_at))?;
    if added.is_new() {
        db.prepare_cached("UPDATE benchmark_runs SET created_at = ?2 WHERE id = ?1")?
            .execute((added.id, &foreign.created_at))?;
    }
    // Skip tags that `tag` would refuse.
    for tag in foreign.tags.iter().filter(|tag| check_tag(tag).is_ok()) {
        db.prepare_cached(
            "INSERT INTO localstore_tags (tag, run_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute((tag, added.id))?;
    }
    // What waits there waits there: two stores that queue it would both send it.
    let submission = foreign.submission.as_ref();
    if let Some(submission) = submission.filter(|found| found.state != SubmissionState::Pending) {
        // That it was submitted is better to know than that it was not, and that it may have been
        // is better to know than that it waits or has failed: nothing is sent twice.
        db.prepare_cached(
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
    }
    Ok(added)
}

//! Runs: add, complete, read, remove.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fingerprint::Keys;
use super::own::{configuration_id, environment_id, insert_tests, model_ids, read};
use super::public::{Known, Public, public_text};
use super::rows::{self, Bind};
use super::scores::{Scores, storable};
use super::{Store, failure, site};
use crate::model::{Run, Test};
use base::{Error, Result};

/// What became of a run that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It was not there before.
    New,
    /// It was there, and this capture knew more of it.
    Completed,
    /// It was there.
    Already,
}

/// A run in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Its id.
    pub id: i64,
    /// What became of it.
    pub stored: Stored,
}

impl Added {
    /// Whether it was not there before.
    #[must_use]
    pub fn is_new(self) -> bool {
        self.stored == Stored::New
    }
}

/// What the writes of one transaction share, and write at its end.
#[derive(Default)]
pub struct Shared {
    pub scores: Scores,
    known: Known,
}

impl Shared {
    pub fn write(self, db: &Connection) -> rusqlite::Result<()> {
        self.scores.write(db)?;
        self.known.write(db)
    }
}

impl Store {
    /// Runs `work` in one transaction that takes the write lock at once.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let path = &self.path;
        let failed = |error: rusqlite::Error| failure(path, &error);
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        site::adopt(&transaction).map_err(failed)?;
        let result = work(&transaction).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.is_still_there()?;
        Ok(result)
    }

    /// Adds runs in one transaction: all of them or, on an error, none. The tag has been checked by
    /// [`super::check_tag`].
    pub fn add(&mut self, runs: &[Run], tag: Option<&str>) -> Result<Vec<Added>> {
        self.write(|db| {
            let mut shared = Shared::default();
            let mut added = Vec::with_capacity(runs.len());
            for run in runs {
                let one = add(db, &mut shared, run, None)?;
                if let Some(tag) = tag {
                    db.prepare_cached(
                        "INSERT INTO localstore_tags (tag, run_id) VALUES (?1, ?2)
                         ON CONFLICT DO NOTHING",
                    )?
                    .execute((tag, one.id))?;
                }
                added.push(one);
            }
            shared.write(db)?;
            Ok(added)
        })
    }

    /// What adding the run would do; the id is `None` for a new one.
    pub fn lookup(&self, run: &Run) -> Result<(Option<i64>, Stored)> {
        if !self.has_runs {
            return Ok((None, Stored::New));
        }
        let lookup = || -> rusqlite::Result<_> {
            let Some(id) = find(&self.db, run, &Keys::of(run))? else {
                return Ok((None, Stored::New));
            };
            let known = read(&self.db, id)?;
            let stored = match known.completed_by(run) {
                Some(_) => Stored::Completed,
                None => Stored::Already,
            };
            Ok((Some(id), stored))
        };
        lookup().map_err(|error| self.failure(&error))
    }

    /// The run of that id; an error if another process has removed it since the id was found.
    pub fn run(&self, id: i64) -> Result<Run> {
        read(&self.db, id).map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => {
                Error::new(format_args!("run {id}"), "it is not in the store any more")
            }
            error => self.failure(&error),
        })
    }

    /// Removes runs in one transaction; gives how many there were.
    ///
    /// Rows of the public lookup tables stay, as they do on the site.
    pub fn remove(&mut self, ids: &[i64]) -> Result<usize> {
        // To enforce the keys, SQLite would search all test results for those of the run, for the
        // public table has no index on it. Each row is deleted by its own id instead.
        self.enforce_foreign_keys(false)?;
        let removed = self.write(|db| {
            let mut shared = Shared::default();
            let mut removed = 0;
            for &id in ids {
                removed += usize::from(remove(db, &mut shared, id)?);
            }
            shared.write(db)?;
            Ok(removed)
        });
        self.enforce_foreign_keys(true)?;
        removed
    }

    pub(super) fn enforce_foreign_keys(&mut self, on: bool) -> Result<()> {
        self.db
            .pragma_update(None, "foreign_keys", on)
            .map_err(|error| self.failure(&error))
    }
}

/// The stored run that this is a capture of.
fn find(db: &Connection, run: &Run, keys: &Keys) -> rusqlite::Result<Option<i64>> {
    let exact: Vec<i64> = db
        .prepare_cached(
            "SELECT run_id FROM localstore_runs WHERE fingerprint = ?1 ORDER BY run_id",
        )?
        .query_map([keys.fingerprint], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in exact {
        if !read(db, id)?.is_on_other_machine(run) {
            return Ok(Some(id));
        }
    }
    if run.tests.is_empty() {
        return Ok(None);
    }
    // Of two different captures of one run, one must be poor.
    let sql = if run.is_poor() {
        "SELECT run_id FROM localstore_runs WHERE core = ?1 ORDER BY run_id LIMIT 100"
    } else {
        "SELECT run_id FROM localstore_runs WHERE core = ?1 AND poor ORDER BY run_id LIMIT 100"
    };
    let candidates: Vec<i64> = db
        .prepare_cached(sql)?
        .query_map([keys.core], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in candidates {
        if read(db, id)?.may_equal(run) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Adds a run, or completes the one that it is another capture of. A new one was measured then,
/// else when it says, else now.
pub fn add(
    db: &Connection,
    shared: &mut Shared,
    run: &Run,
    measured_at: Option<i64>,
) -> rusqlite::Result<Added> {
    let keys = Keys::of(run);
    if let Some(id) = find(db, run, &keys)? {
        let stored = match read(db, id)?.completed_by(run) {
            None => Stored::Already,
            Some(completed) => {
                complete(db, shared, id, &completed)?;
                Stored::Completed
            }
        };
        return Ok(Added { id, stored });
    }

    let public = Public::of(db, &mut shared.known, run)?;
    let summary = run.summary();
    db.prepare_cached(
        "INSERT INTO benchmark_runs (system_id, accelerator_id, model_variant_id, runtime_id,
             avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute((
        public.system_id,
        public.accelerator_id,
        public.model_variant_id,
        public.runtime_id,
        storable(summary.avg_prompt_tps),
        storable(summary.avg_gen_tps),
        storable(summary.avg_ttft_ms),
        storable(summary.performance_score),
    ))?;
    let id = db.last_insert_rowid();

    let into = "INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen, avg_time_ms,
         power_watts, prompt_tps, gen_tps, prompt_tps_watt, gen_tps_watt, ttft_ms)";
    rows::insert_rows(db, into, run.tests.len(), |index, bind| {
        public_test(id, &run.tests[index], bind)
    })?;
    let count = run.tests.len().cast_signed() as i64;
    let last = db.last_insert_rowid();
    let test_result_ids: Vec<i64> = (last - count + 1..=last).collect();

    insert_own(db, id, run, &keys, &test_result_ids, measured_at)?;
    if let Some(key) = public.score_key() {
        shared.scores.add(db, key, &summary)?;
    }
    Ok(Added {
        id,
        stored: Stored::New,
    })
}

/// Inserts our own rows of a run whose public ones are there.
pub fn insert_own(
    db: &Connection,
    id: i64,
    run: &Run,
    keys: &Keys,
    test_result_ids: &[i64],
    measured_at: Option<i64>,
) -> rusqlite::Result<()> {
    let environment_id = environment_id(db, &run.environment)?;
    let model_ids = model_ids(db, run)?;
    db.prepare_cached(
        "INSERT INTO localstore_runs
             (run_id, fingerprint, core, poor, source, environment_id, model_id, partial,
              measured_at, configuration_id, score)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
             (SELECT CAST(performance_score AS REAL) FROM benchmark_runs WHERE id = ?1))",
    )?
    .execute((
        id,
        keys.fingerprint,
        keys.core,
        run.is_poor(),
        run.source.name(),
        environment_id,
        model_ids.first(),
        run.is_partial(),
        measured_at
            .or_else(|| test_time(run))
            .unwrap_or_else(|| jiff::Timestamp::now().as_second()),
        configuration_id(db, run)?,
    ))?;
    insert_tests(db, id, run, &model_ids, test_result_ids)
}

/// Puts a run that is known better in the place of the one that is there.
fn complete(db: &Connection, shared: &mut Shared, id: i64, run: &Run) -> rusqlite::Result<()> {
    shared.scores.remove_stored(db, id)?;
    let public = replace(db, &mut shared.known, id, run)?;
    if let Some(key) = public.score_key() {
        shared.scores.add(db, key, &run.summary())?;
    }
    Ok(())
}

/// Writes all rows of a run that is there, but for the scores, of which it must not be part.
pub fn replace(db: &Connection, known: &mut Known, id: i64, run: &Run) -> rusqlite::Result<Public> {
    let public = Public::of(db, known, run)?;
    let summary = run.summary();
    db.prepare_cached(
        "UPDATE benchmark_runs
         SET system_id = ?2, accelerator_id = ?3, model_variant_id = ?4, runtime_id = ?5,
             avg_prompt_tps = ?6, avg_gen_tps = ?7, avg_ttft_ms = ?8, performance_score = ?9
         WHERE id = ?1",
    )?
    .execute((
        id,
        public.system_id,
        public.accelerator_id,
        public.model_variant_id,
        public.runtime_id,
        storable(summary.avg_prompt_tps),
        storable(summary.avg_gen_tps),
        storable(summary.avg_ttft_ms),
        storable(summary.performance_score),
    ))?;
    let test_result_ids: Vec<i64> = db
        .prepare_cached(
            "SELECT test_result_id FROM localstore_tests WHERE run_id = ?1 ORDER BY position",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut update = db.prepare_cached(
        "UPDATE test_results SET name = ?2, n_prompt = ?3, n_gen = ?4, avg_time_ms = ?5,
             power_watts = ?6, prompt_tps = ?7, gen_tps = ?8, prompt_tps_watt = ?9,
             gen_tps_watt = ?10, ttft_ms = ?11
         WHERE id = ?1",
    )?;
    for (test, test_result_id) in run.tests.iter().zip(&test_result_ids) {
        public_test(*test_result_id, test, &mut |values| {
            update.execute(values).map(drop)
        })?;
    }

    let keys = Keys::of(run);
    let environment_id = environment_id(db, &run.environment)?;
    let model_ids = model_ids(db, run)?;
    db.prepare_cached(
        "UPDATE localstore_runs
         SET fingerprint = ?2, core = ?3, poor = ?4, source = ?5, environment_id = ?6,
             model_id = ?7, measured_at = coalesce(?8, measured_at), configuration_id = ?9,
             score = ?10, partial = ?11
         WHERE run_id = ?1",
    )?
    .execute((
        id,
        keys.fingerprint,
        keys.core,
        run.is_poor(),
        run.source.name(),
        environment_id,
        model_ids.first(),
        test_time(run),
        configuration_id(db, run)?,
        storable(summary.performance_score),
        run.is_partial(),
    ))?;
    db.prepare_cached("DELETE FROM localstore_tests WHERE run_id = ?1")?
        .execute([id])?;
    insert_tests(db, id, run, &model_ids, &test_result_ids)?;
    Ok(public)
}

fn remove(db: &Connection, shared: &mut Shared, id: i64) -> rusqlite::Result<bool> {
    shared.scores.remove_stored(db, id)?;
    let mut rows = 0;
    for sql in [
        "DELETE FROM test_results WHERE id IN
             (SELECT test_result_id FROM localstore_tests WHERE run_id = ?1)",
        "DELETE FROM localstore_tests WHERE run_id = ?1",
        "DELETE FROM localstore_tags WHERE run_id = ?1",
        "DELETE FROM localstore_submissions WHERE run_id = ?1",
        "DELETE FROM localstore_runs WHERE run_id = ?1",
        "DELETE FROM benchmark_runs WHERE id = ?1",
    ] {
        rows += db.prepare_cached(sql)?.execute([id])?;
    }
    Ok(rows > 0)
}

/// Hands over the values of a row of the public table, after an id.
fn public_test(id: i64, test: &Test, bind: Bind<'_>) -> rusqlite::Result<()> {
    bind(&[
        &id,
        &public_text(&test.name),
        &test.n_prompt,
        &test.n_gen,
        &test.avg_time_ms,
        &test.power_watts,
        &test.prompt_tps,
        &test.gen_tps,
        &test.prompt_tps_watt,
        &test.gen_tps_watt,
        &test.ttft_ms,
    ])
}

/// When the run began, as its first test tells: seconds since 1970.
fn test_time(run: &Run) -> Option<i64> {
    let time = run.tests.first()?.test_time.as_ref()?;
    let time: jiff::Timestamp = time.display().parse().ok()?;
    Some(time.as_second())
}

//! Runs: add, complete, read, remove.

use std::sync::LazyLock;

use base::Error;
use rusqlite::types::Null;
use rusqlite::{Connection, Params, params};

use super::changes::{self, AnyRemoved, Change};
use super::fingerprint::Keys;
use super::own::{self, configuration_id, environment_id, insert_tests, model_ids};
use super::public::{Known, Public, public_text};
use super::rows;
use super::scores::{Scores, storable};
use super::{Store, bench, tags};
use crate::model::{Field, Run, Summary, Text, Value};

/// What became of a run that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It was not there before.
    New,
    /// It was there, and this capture knew more of it.
    Completed,
    /// It was there.
    Already,
}

/// When a run whose tests have no date was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Seconds since 1970.
    pub at: i64,
    /// Whether nobody knows, and this is the date of a file or of the add.
    pub is_guessed: bool,
}

impl Measured {
    /// A date that somebody knows.
    #[must_use]
    pub(crate) fn known(at: i64) -> Self {
        let is_guessed = false;
        Self { at, is_guessed }
    }

    /// A date that stands in for the unknown one.
    #[must_use]
    pub(crate) fn guessed(at: i64) -> Self {
        let is_guessed = true;
        Self { at, is_guessed }
    }

    /// The date in the first test of a run.
    #[must_use]
    pub(crate) fn told_by(run: &Run) -> Option<Self> {
        Self::told(run.tests.first()?.test_time.as_ref())
    }

    /// The time of a test, as it was printed; `None` if it is missing or no time.
    pub(crate) fn told(test_time: Option<&Text>) -> Option<Self> {
        let time: jiff::Timestamp = test_time?.display().parse().ok()?;
        Some(Self::known(time.as_second()))
    }
}

/// A run to be stored, and when it was measured if its tests have no date.
#[derive(Debug)]
pub(crate) struct Dated {
    pub run: Run,
    pub measured: Measured,
}

/// A run in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Added {
    /// Its id.
    pub id: i64,
    /// What became of it.
    pub stored: Stored,
}

impl Added {
    /// Whether it was not there before.
    #[must_use]
    pub(crate) fn is_new(self) -> bool {
        self.stored == Stored::New
    }
}

/// What the writes of one transaction share, and write at its end.
#[derive(Default)]
pub(super) struct Shared {
    scores: Scores,
    known: Known,
    any_removed: AnyRemoved,
}

impl Shared {
    pub(super) fn write(self, db: &Connection) -> rusqlite::Result<()> {
        self.scores.write(db)?;
        self.known.write(db)
    }
}

/// Adds runs, all with this tag, which has been checked by [`tags::check_tag`].
pub(crate) fn add_all<'a>(
    db: &Connection,
    runs: impl IntoIterator<Item = &'a Dated>,
    tag: Option<&str>,
) -> db::Result<Vec<Added>> {
    let mut shared = Shared::default();
    let mut added = Vec::new();
    for run in runs {
        let one = add(db, &mut shared, run, None)?;
        if !one.is_new() {
            changes::claim(db, one.id, true)?;
        }
        if let Some(tag) = tag {
            tags::add(db, tag, one.id)?;
        }
        added.push(one);
    }
    shared.write(db)?;
    Ok(added)
}

/// What adding the run would do; the id is `None` for a new one.
pub(crate) fn lookup(
    db: &Connection,
    Dated { run, measured }: &Dated,
) -> db::Result<(Option<i64>, Stored)> {
    let Some((id, found)) = find(db, run, &Keys::of(run))? else {
        return Ok((None, Stored::New));
    };
    let is_dated = !measured.is_guessed && stored_date(db, id)?.is_guessed;
    let stored = match found.completed_by(run) {
        None if !is_dated => Stored::Already,
        _ => Stored::Completed,
    };
    Ok((Some(id), stored))
}

/// The run of that id; an error if another process has removed it since the id was found.
pub(crate) fn read(db: &Connection, id: i64) -> db::Result<Run> {
    own::read(db, id).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => {
            Error::new(format_args!("run {id}"), "it is no longer in the store").into()
        }
        error => error.into(),
    })
}

/// Removes runs in one transaction; gives how many there were.
///
/// Rows of the public lookup tables stay, as they do on the site.
pub(crate) fn remove(store: &mut Store, ids: &[i64]) -> base::Result<usize> {
    // To enforce the keys, SQLite would search all test results for those of the run, for the
    // public table has no index on it. Each row is deleted by its own id instead.
    store.write_without_foreign_keys(|db| {
        let mut shared = Shared::default();
        let mut removed = 0;
        for &id in ids {
            changes::note_removed(db, id)?;
            removed += usize::from(remove_one(db, &mut shared, id)?);
        }
        shared.write(db)?;
        Ok(removed)
    })
}

/// Removes runs that were withdrawn where they came from; they may come back. Called while SQLite does
/// not enforce the foreign keys.
#[cfg(feature = "network")]
pub(crate) fn remove_withdrawn(db: &Connection, ids: impl Iterator<Item = i64>) -> db::Result<()> {
    let mut shared = Shared::default();
    for id in ids {
        remove_one(db, &mut shared, id)?;
    }
    Ok(shared.write(db)?)
}

/// The id of the stored run that this is a capture of.
pub(crate) fn stored_id(db: &Connection, run: &Run) -> db::Result<Option<i64>> {
    Ok(find(db, run, &Keys::of(run))?.map(|(id, _)| id))
}

/// The stored runs with this fingerprint.
#[cfg(feature = "network")]
pub(crate) fn with_fingerprint(db: &Connection, fingerprint: &[u8]) -> db::Result<Vec<i64>> {
    let sql = "SELECT run_id FROM localstore_runs WHERE fingerprint = ?1 ORDER BY run_id";
    Ok(ids(db, sql, [fingerprint])?)
}

/// The stored run that this is a capture of, and its id.
fn find(db: &Connection, run: &Run, keys: &Keys) -> rusqlite::Result<Option<(i64, Run)>> {
    let sql = "SELECT run_id FROM localstore_runs WHERE fingerprint = ?1 ORDER BY run_id";
    for id in ids(db, sql, [keys.fingerprint])? {
        let found = own::read(db, id)?;
        if !found.is_on_other_machine(run) {
            return Ok(Some((id, found)));
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
    for id in ids(db, sql, [keys.core])? {
        let found = own::read(db, id)?;
        if found.may_equal(run) {
            return Ok(Some((id, found)));
        }
    }
    Ok(None)
}

fn ids(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached(sql)?
        .query_map(params, |row| row.get(0))?
        .collect()
}

/// Adds a run, or completes the one that it is another capture of. Its date is that
/// of its tests, else the given one. The date is not part of a run's identity: a known date replaces a
/// guessed one, and is never replaced itself. A new run was added at `created_at`, else now.
pub(super) fn add(
    db: &Connection,
    shared: &mut Shared,
    Dated { run, measured }: &Dated,
    created_at: Option<&str>,
) -> rusqlite::Result<Added> {
    let keys = Keys::of(run);
    if let Some((id, found)) = find(db, run, &keys)? {
        let is_dated = !measured.is_guessed && date(db, id, measured.at)?;
        let stored = match found.completed_by(run) {
            None if is_dated => Stored::Completed,
            None => Stored::Already,
            Some(completed) => {
                complete(db, shared, id, &completed)?;
                Stored::Completed
            }
        };
        if stored == Stored::Completed {
            changes::note(db, id, Change::Completed)?;
        }
        return Ok(Added { id, stored });
    }
    let public = Public::of(db, &mut shared.known, run)?;
    let id = write_public(db, None, &public, run, created_at)?;
    write_tests(db, id, run, None)?;
    let count = run.tests.len().cast_signed() as i64;
    let last = db.last_insert_rowid();
    let test_result_ids: Vec<i64> = (last - count + 1..=last).collect();
    let known = &mut shared.known;
    write_own(db, known, id, run, &keys, &test_result_ids, Some(*measured))?;
    if let Some(key) = public.score_key() {
        shared.scores.add(db, key, &run.summary())?;
    }
    changes::note_new(db, &mut shared.any_removed, id)?;
    Ok(Added {
        id,
        stored: Stored::New,
    })
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
pub(super) fn replace(
    db: &Connection,
    known: &mut Known,
    id: i64,
    run: &Run,
) -> rusqlite::Result<Public> {
    let public = Public::of(db, known, run)?;
    write_public(db, Some(id), &public, run, None)?;
    let sql = "SELECT test_result_id FROM localstore_tests WHERE run_id = ?1 ORDER BY position";
    let test_result_ids = ids(db, sql, [id])?;
    write_tests(db, id, run, Some(&test_result_ids))?;
    db.prepare_cached("DELETE FROM localstore_tests WHERE run_id = ?1")?
        .execute([id])?;
    write_own(db, known, id, run, &Keys::of(run), &test_result_ids, None)?;
    Ok(public)
}

/// The end of an INSERT that puts these columns of a row in the place of those that are there. A
/// statement with it saves each page before it changes it, so that it can stop half-way.
fn on_conflict(is_there: bool, columns: &str) -> String {
    if !is_there {
        return String::new();
    }
    let values = columns.replace(", ", ", excluded.");
    format!("ON CONFLICT DO UPDATE SET ({columns}) = (excluded.{values})")
}

/// Writes the row of `benchmark_runs`, a new one without an id; gives its id. Without a date the table
/// gives the present one.
fn write_public(
    db: &Connection,
    id: Option<i64>,
    public: &Public,
    run: &Run,
    created_at: Option<&str>,
) -> rusqlite::Result<i64> {
    let columns = "system_id, accelerator_id, model_variant_id, runtime_id, avg_prompt_tps, \
        avg_gen_tps, avg_ttft_ms, performance_score";
    let end = on_conflict(id.is_some(), columns);
    let summary = run.summary();
    let (date, value) = created_at.map_or(("", ""), |_| (", created_at", ", ?10"));
    let mut insert = db.prepare_cached(&format!(
        "INSERT INTO benchmark_runs (id, {columns}{date})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9{value}) {end}"
    ))?;
    let values = params![
        id,
        public.system_id,
        public.accelerator_id,
        public.model_variant_id,
        public.runtime_id,
        storable(summary.avg_prompt_tps),
        storable(summary.avg_gen_tps),
        storable(summary.avg_ttft_ms),
        storable(summary.performance_score),
        created_at
    ];
    let count = if created_at.is_some() { 10 } else { 9 };
    insert.execute(&values[..count])?;
    Ok(id.unwrap_or_else(|| db.last_insert_rowid()))
}

/// The fields of a test that `test_results` has too.
pub(crate) const PUBLIC: &str = "name, n_prompt, n_gen, avg_time_ms, power_watts, prompt_tps, gen_tps, \
    prompt_tps_watt, gen_tps_watt, ttft_ms";

/// Writes the rows of `test_results`, new ones without ids.
fn write_tests(
    db: &Connection,
    run_id: i64,
    run: &Run,
    ids: Option<&[i64]>,
) -> rusqlite::Result<()> {
    static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| Field::named(PUBLIC));
    let columns = format!("id, benchmark_run_id, {PUBLIC}");
    let end = on_conflict(ids.is_some(), PUBLIC);
    rows::insert_rows(
        db,
        "test_results",
        &columns,
        &end,
        run.tests.len(),
        |position, bind| {
            bind(&ids.map(|ids| ids[position]))?;
            bind(&run_id)?;
            for field in FIELDS.iter() {
                match field.get(&run.tests[position]) {
                    Value::Text(text) => bind(&public_text(text))?,
                    Value::Integer(value) => bind(&value)?,
                    Value::Number(value) => bind(&value)?,
                    Value::Unsigned(_) | Value::Missing => bind(&Null)?,
                }
            }
            Ok(())
        },
    )
}

/// Puts a date that is known in the place of a guessed one; gives whether that was one.
pub(super) fn date(db: &Connection, id: i64, measured_at: i64) -> rusqlite::Result<bool> {
    let sql = "UPDATE localstore_runs SET measured_at = ?2, measured_guessed = 0
         WHERE run_id = ?1 AND measured_guessed";
    Ok(db.prepare_cached(sql)?.execute((id, measured_at))? > 0)
}

/// When a stored run was measured.
pub(super) fn stored_date(db: &Connection, id: i64) -> rusqlite::Result<Measured> {
    let sql =
        "SELECT measured_at, measured_guessed IS NOT 0 FROM localstore_runs WHERE run_id = ?1";
    db.prepare_cached(sql)?.query_row([id], |row| {
        Ok(Measured {
            at: row.get(0)?,
            is_guessed: row.get(1)?,
        })
    })
}

/// Writes our own rows of a run whose public ones are there and which has none of our tests. It was
/// measured when its tests say, else then, else as its row says, which is there in that case alone.
pub(super) fn write_own(
    db: &Connection,
    known: &mut Known,
    id: i64,
    run: &Run,
    keys: &Keys,
    test_result_ids: &[i64],
    measured: Option<Measured>,
) -> rusqlite::Result<()> {
    let is_there = measured.is_none();
    let measured = match Measured::told_by(run).or(measured) {
        Some(measured) => measured,
        None => stored_date(db, id)?,
    };
    let environment_id = environment_id(db, known, &run.environment)?;
    let model_ids = model_ids(db, known, run)?;
    let columns = "fingerprint, core, poor, source, environment_id, model_id, partial, \
        measured_at, measured_guessed, configuration_id, score, tool";
    let end = on_conflict(is_there, columns);
    db.prepare_cached(&format!(
        "INSERT INTO localstore_runs (run_id, {columns})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
             (SELECT CAST(performance_score AS REAL) FROM benchmark_runs WHERE id = ?1),
             'localscore')
         {end}"
    ))?
    .execute((
        id,
        keys.fingerprint,
        keys.core,
        run.is_poor(),
        run.source.name(),
        environment_id,
        model_ids.first(),
        run.is_partial(),
        measured.at,
        measured.is_guessed,
        configuration_id(db, known, run)?,
    ))?;
    insert_tests(db, id, run, &model_ids, test_result_ids)
}

fn remove_one(db: &Connection, shared: &mut Shared, id: i64) -> rusqlite::Result<bool> {
    shared.scores.remove_stored(db, id)?;
    changes::forget(db, id)?;
    let mut rows = bench::remove(db, id)?;
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

/// What [`read_summary`] reads of `benchmark_runs b`.
pub(super) const AVERAGES: &str = "CAST(b.avg_prompt_tps AS REAL) AS avg_prompt_tps,
    CAST(b.avg_gen_tps AS REAL) AS avg_gen_tps, CAST(b.avg_ttft_ms AS REAL) AS avg_ttft_ms,
    CAST(b.performance_score AS REAL) AS performance_score";

pub(super) fn read_summary(cells: rows::Cells<'_>) -> rusqlite::Result<Summary> {
    Ok(Summary {
        avg_prompt_tps: cells.get("avg_prompt_tps")?,
        avg_gen_tps: cells.get("avg_gen_tps")?,
        avg_ttft_ms: cells.get("avg_ttft_ms")?,
        performance_score: cells.get("performance_score")?,
    })
}

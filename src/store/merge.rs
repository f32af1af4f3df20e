//! Taking over the runs of another file: a store like this one, or a LocalScore database.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};
use tempfile::NamedTempFile;

use super::fingerprint::Keys;
use super::merge_chats::{ForeignChat, foreign_chats};
use super::migrations::{CURRENT, Schema, migrate};
use super::own::read;
use super::rows::CREATED_AT;
use super::runs::{Added, Shared, add, insert_own, score_key, summary};
use super::scores::{Change, Ledger};
use super::submissions::submission;
use super::tags::check_tag;
use super::{Store, connect_readonly, failure, refuse_what_is_not_ours, rows};
use crate::error::{Error, Result};
use crate::model::{
    AcceleratorInfo, Environment, Model, Run, RuntimeInfo, Source, Submission, SubmissionState,
    SystemInfo, Test,
};

/// A run of the other file, with what is known of it besides.
#[derive(Debug)]
pub struct Foreign {
    /// The run.
    pub run: Run,
    created_at: String,
    measured_at: i64,
    tags: Vec<String>,
    submission: Option<Submission>,
    /// The ids of the rows in the other file's public tables.
    id: i64,
    test_result_ids: Vec<i64>,
}

/// Runs that are read, and then added in one transaction.
const BATCH: usize = 256;

/// Another file, whose runs are read batch by batch, at one moment of it. Nothing is changed in it
/// or beside it.
pub struct ForeignFile {
    db: Connection,
    path: PathBuf,
    /// Whether it is a store, and the id of the run that was read last.
    own: Option<i64>,
    /// The runs that only the public tables have, once they have been read.
    site: Option<std::vec::IntoIter<Foreign>>,
    /// What is read in place of an older store.
    _copy: Option<NamedTempFile>,
}

impl ForeignFile {
    /// Opens a store or a LocalScore database.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: rusqlite::Error| failure(path, &error);
        match std::fs::metadata(path) {
            Ok(file) if file.is_dir() => return Err(Error::new(path.display(), "is a directory")),
            Ok(_) => {}
            Err(error) => return Err(Error::file(path, &error)),
        }
        let (mut db, schema) = connect_readonly(path).map_err(failed)?;
        let is_store = matches!(schema, Schema::Version(_));
        let mut copy = None;
        if is_store || matches!(schema, Schema::Unversioned(_)) {
            refuse_what_is_not_ours(path, schema)?;
            if schema != Schema::Version(CURRENT) {
                let file = NamedTempFile::new().map_err(|error| Error::file(path, &error))?;
                db = migrated(&db, file.path()).map_err(failed)?;
                copy = Some(file);
            }
        } else if schema != Schema::Llamafile {
            let sql =
                "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'benchmark_runs'";
            let is_site = db
                .prepare(sql)
                .and_then(|mut statement| statement.exists([]));
            if !is_site.map_err(failed)? {
                let why = "neither a file of localstore or llamafile nor a LocalScore database";
                return Err(Error::new(path.display(), why));
            }
        }
        Ok(Self {
            db,
            path: path.to_owned(),
            own: is_store.then_some(0),
            // llamafile's own file has chats alone.
            site: (schema == Schema::Llamafile).then(|| Vec::new().into_iter()),
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
        self.db
            .query_row("SELECT count(*) FROM benchmark_runs", [], |row| row.get(0))
            .map_err(|error| failure(&self.path, &error))
    }

    /// The next runs in the order of their ids; none at the end.
    pub fn next_batch(&mut self) -> Result<Vec<Foreign>> {
        let path = self.path.clone();
        self.read_batch().map_err(|error| failure(&path, &error))
    }

    fn read_batch(&mut self) -> rusqlite::Result<Vec<Foreign>> {
        if let Some(last) = &mut self.own
            && self.site.is_none()
        {
            let runs = own_runs(&self.db, *last)?;
            if let Some(run) = runs.last() {
                *last = run.id;
                return Ok(runs);
            }
        }
        if self.site.is_none() {
            // In a store, what the site has inserted there since its last write.
            let after = match self.own {
                Some(_) => last_known(&self.db)?,
                None => (0, 0),
            };
            self.site = Some(site_runs(&self.db, after)?.into_iter());
        }
        Ok(self.site.iter_mut().flatten().take(BATCH).collect())
    }
}

/// A copy of an older store, brought to the current version.
fn migrated(db: &Connection, path: &Path) -> rusqlite::Result<Connection> {
    db.backup(rusqlite::MAIN_DB, path, None)?;
    let mut copy = Connection::open(path)?;
    migrate(&mut copy)?;
    Ok(copy)
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
    let added = add(db, shared, &foreign.run)?;
    if added.is_new() {
        db.prepare_cached("UPDATE benchmark_runs SET created_at = ?2 WHERE id = ?1")?
            .execute((added.id, &foreign.created_at))?;
        db.prepare_cached("UPDATE localstore_runs SET measured_at = ?2 WHERE run_id = ?1")?
            .execute((added.id, foreign.measured_at))?;
    }
    // A tag that could not be given here is none.
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

/// Makes our rows for runs that the LocalScore web site inserted into this file, and counts them.
/// Where there are none, which two look-ups tell, nothing is done.
pub fn adopt(db: &Connection) -> rusqlite::Result<()> {
    let after = last_known(db)?;
    let last: i64 = db
        .prepare_cached("SELECT coalesce(max(id), 0) FROM benchmark_runs")?
        .query_row([], |row| row.get(0))?;
    if last <= after.0 {
        return Ok(());
    }
    let mut scores = Ledger::default();
    for foreign in site_runs(db, after)? {
        // A run of ours whose row is lost is damage, for `check` to name.
        let is_ours = db
            .prepare_cached("SELECT 1 FROM localstore_tests WHERE run_id = ?1")?
            .exists([foreign.id])?;
        if is_ours {
            continue;
        }
        let Foreign { id, run, .. } = &foreign;
        insert_own(db, *id, run, &Keys::of(run), &foreign.test_result_ids)?;
        db.prepare_cached("UPDATE localstore_runs SET measured_at = ?2 WHERE run_id = ?1")?
            .execute((foreign.id, foreign.measured_at))?;
        if let (Some(key), Some(summary)) = (score_key(db, foreign.id)?, summary(db, foreign.id)?) {
            scores.count(db, key, &summary, Change::Add)?;
        }
    }
    scores.write(db)
}

/// The ids of our last run and of its last test: what has higher ones is not ours.
fn last_known(db: &Connection) -> rusqlite::Result<(i64, i64)> {
    let run = db
        .prepare_cached("SELECT coalesce(max(run_id), 0) FROM localstore_runs")?
        .query_row([], |row| row.get(0))?;
    let test = db
        .prepare_cached(
            "SELECT coalesce(max(test_result_id), 0) FROM localstore_tests WHERE run_id = ?1",
        )?
        .query_row([run], |row| row.get(0))?;
    Ok((run, test))
}

/// The next runs of a store behind this id.
fn own_runs(db: &Connection, after: i64) -> rusqlite::Result<Vec<Foreign>> {
    let heads: Vec<(i64, String, i64)> = db
        .prepare_cached(&format!(
            "SELECT r.run_id, {CREATED_AT}, r.measured_at
             FROM localstore_runs r JOIN benchmark_runs b ON b.id = r.run_id
             WHERE r.run_id > ?1 ORDER BY r.run_id LIMIT {BATCH}"
        ))?
        .query_map([after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let foreign = |(id, created_at, measured_at)| {
        let tags = db
            .prepare_cached("SELECT tag FROM localstore_tags WHERE run_id = ?1 ORDER BY tag")?
            .query_map([id], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Foreign {
            run: read(db, id)?,
            created_at,
            measured_at,
            tags,
            submission: submission(db, id)?,
            id,
            test_result_ids: Vec::new(),
        })
    };
    heads.into_iter().map(foreign).collect()
}

/// The runs of a LocalScore database, behind these ids of runs and tests: what the site kept.
fn site_runs(db: &Connection, after: (i64, i64)) -> rusqlite::Result<Vec<Foreign>> {
    let mut statement = db.prepare(&format!(
        "SELECT b.id, {CREATED_AT}, unixepoch({CREATED_AT}), r.name, r.version, r.commit_hash,
                s.cpu_name, s.cpu_arch, s.ram_gb, s.kernel_type, s.kernel_release,
                s.system_version, a.name, a.manufacturer, a.memory_gb, a.type,
                t.name, CAST(t.n_prompt AS INTEGER), CAST(t.n_gen AS INTEGER), t.avg_time_ms, t.power_watts, t.prompt_tps,
                t.gen_tps, t.prompt_tps_watt, t.gen_tps_watt, t.ttft_ms,
                m.name, v.quantization, m.params, t.id
         FROM benchmark_runs b
         LEFT JOIN runtimes r ON r.id = b.runtime_id
         LEFT JOIN benchmark_systems s ON s.id = b.system_id
         LEFT JOIN accelerators a ON a.id = b.accelerator_id
         LEFT JOIN model_variants v ON v.id = b.model_variant_id
         LEFT JOIN models m ON m.id = v.model_id
         JOIN test_results t ON t.benchmark_run_id = b.id
         WHERE b.id > ?1 AND t.id > ?2
         ORDER BY b.id, t.id"
    ))?;
    let mut rows = statement.query(after)?;
    let mut runs: Vec<Foreign> = Vec::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if last != Some(id) {
            last = Some(id);
            runs.push(site_run(row)?);
        }
        let test = site_test(row)?;
        if let Some(foreign) = runs.last_mut() {
            foreign.run.tests.push(test);
            foreign.test_result_ids.push(row.get(29)?);
        }
    }
    Ok(runs)
}

fn site_run(row: &Row<'_>) -> rusqlite::Result<Foreign> {
    let text = |index| row.get_ref(index).map(rows::text);
    let number = |index| row.get_ref(index).map(rows::number);
    let created_at: Option<String> = row.get(1)?;
    let measured_at: Option<i64> = row.get(2)?;
    Ok(Foreign {
        created_at: created_at.unwrap_or_default(),
        measured_at: measured_at.unwrap_or_default(),
        tags: Vec::new(),
        submission: None,
        id: row.get(0)?,
        test_result_ids: Vec::new(),
        run: Run {
            source: Source::Site,
            tests: Vec::new(),
            environment: Environment {
                runtime: RuntimeInfo {
                    name: text(3)?,
                    version: text(4)?,
                    commit: text(5)?,
                },
                system: SystemInfo {
                    cpu_name: text(6)?,
                    cpu_arch: text(7)?,
                    ram_gb: number(8)?,
                    kernel_type: text(9)?,
                    kernel_release: text(10)?,
                    version: text(11)?,
                },
                accelerator: AcceleratorInfo {
                    name: text(12)?,
                    manufacturer: text(13)?,
                    memory_gb: number(14)?,
                    kind: text(15)?,
                },
            },
        },
    })
}

fn site_test(row: &Row<'_>) -> rusqlite::Result<Test> {
    let text = |index| row.get_ref(index).map(rows::text);
    let number = |index| row.get_ref(index).map(rows::number);
    Ok(Test {
        name: text(16)?.unwrap_or_default(),
        n_prompt: row.get::<_, Option<i64>>(17)?.unwrap_or_default(),
        n_gen: row.get::<_, Option<i64>>(18)?.unwrap_or_default(),
        avg_time_ms: number(19)?,
        power_watts: number(20)?,
        prompt_tps: number(21)?,
        gen_tps: number(22)?,
        prompt_tps_watt: number(23)?,
        gen_tps_watt: number(24)?,
        ttft_ms: number(25)?,
        model: Model {
            model_name: text(26)?,
            model_quant_str: text(27)?,
            model_n_params: row.get_ref(28).map(rows::unsigned)?,
            ..Model::default()
        },
        ..Test::default()
    })
}

//! The runs of llama-bench: each row as it was printed, found again by document and place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use db::refused;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow};
use xxhash_rust::xxh3::xxh3_64;

use super::own::{combination, configuration_id, environment_id, model_ids, of_test};
use super::rows::{Odd, text};
use super::runs::{Added, Measured, Stored, date, stored_date};
use super::tags;
use crate::model::bench::{
    Column, Document, DocumentRun, IDENTITY, Identity, Kind, RESULTS, Recount, Role, Row, Samples,
    Schema, Settings,
};
use crate::model::{Environment, Run, Source, Test, Text, Tool};

/// What is known of all runs of a document that is added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adding<'a> {
    /// When runs whose tests have no date were measured.
    pub measured: Measured,
    /// The values that the document does not have.
    pub machine: &'a Environment,
    /// A tag for the runs, new or not, which has been checked.
    pub tag: Option<&'a str>,
}

/// What becomes of a run of a document.
enum Plan {
    /// It is refused, or there is nothing to write.
    Nothing,
    /// Its rows are inserted.
    New(i64),
    /// The tests of the stored run are written again, in their order.
    Replace(Box<Stock>),
}

/// A stored run of which a better capture is there.
struct Stock {
    id: i64,
    /// The places of its tests, the next one last.
    positions: Vec<i64>,
    /// Whether the new capture is the richer one; else it gives only bytes that the stored one lost.
    is_richer: bool,
}

/// Adds the runs of a document that are not refused, or completes those that they are other captures
/// of. Gives what became of each, in their order.
pub(crate) fn add(
    db: &Connection,
    document: &mut Document,
    adding: Adding<'_>,
) -> db::Result<Vec<Added>> {
    add_part(db, document, adding, &mut None, &[])
}

/// The same of a part of a document: `first` is the id of the first new run of all of it, and
/// `positions` are the places of the rows, if they are others than 0, 1, 2 …
pub(super) fn add_part(
    db: &Connection,
    document: &mut Document,
    adding: Adding<'_>,
    first: &mut Option<i64>,
    positions: &[i64],
) -> db::Result<Vec<Added>> {
    let mut writer = Writer::default();
    let mut added = Vec::new();
    let mut plans = Vec::with_capacity(document.runs.len());
    let mut seen: HashMap<[u8; 16], i64> = HashMap::new();
    for run in &document.runs {
        if run.is_refused {
            plans.push(Plan::Nothing);
            continue;
        }
        let (one, plan) = if let Some(&id) = seen.get(&run.fingerprint) {
            let stored = Stored::Already;
            (Added { id, stored }, Plan::Nothing)
        } else if let Some(id) = find(db, run, document.source)? {
            plan_again(db, id, run, document, adding)?
        } else {
            let id = take_id(db)?;
            let document_id = *first.get_or_insert(id);
            let refers_to = writer.refers_to(db, &run.identity, document.source, adding)?;
            insert_run(db, id, document_id, run, document.source, refers_to, adding)?;
            let stored = Stored::New;
            (Added { id, stored }, Plan::New(id))
        };
        seen.insert(run.fingerprint, one.id);
        if let Some(tag) = adding.tag {
            tags::add(db, tag, one.id)?;
        }
        added.push(one);
        plans.push(plan);
    }
    if plans.iter().all(|plan| matches!(plan, Plan::Nothing)) {
        return Ok(added);
    }
    let settings = document.settings.clone();
    let mut place = 0;
    document.each_row(|row| {
        let position = positions.get(place).copied();
        let position = position.unwrap_or(place.cast_signed() as i64);
        place += 1;
        let written = match &mut plans[row.run] {
            Plan::Nothing => Ok(()),
            Plan::New(id) => {
                let setting = writer.settings_id(db, &settings[row.settings]);
                setting.and_then(|setting| insert(db, *id, position, setting, &row))
            }
            Plan::Replace(stock) => writer.replace(db, stock, &settings[row.settings], &row),
        };
        written.map_err(db::Error::from)
    })?;
    Ok(added)
}

/// What adding the runs that are not refused would do, in their order; the id is `None` for a new
/// one.
pub(crate) fn lookup(
    db: &Connection,
    document: &Document,
    measured: Measured,
) -> db::Result<Vec<(Option<i64>, Stored)>> {
    let kept = document.runs.iter().filter(|run| !run.is_refused);
    let found = kept.map(|run| {
        let Some(id) = find(db, run, document.source)? else {
            return Ok((None, Stored::New));
        };
        let is_dated = !measured.is_guessed && stored_date(db, id)?.is_guessed;
        let stored = match relation(db, id, run, document)? {
            Relation::Same if !is_dated => Stored::Already,
            _ => Stored::Completed,
        };
        Ok((Some(id), stored))
    });
    found.collect()
}

/// The id of the stored run that this is a capture of.
pub(crate) fn find(
    db: &Connection,
    run: &DocumentRun,
    source: Source,
) -> rusqlite::Result<Option<i64>> {
    let by_fingerprint = "SELECT run_id FROM localstore_runs
         WHERE fingerprint = ?1 AND tool = 'llama-bench' ORDER BY run_id LIMIT 1";
    let found = db
        .prepare_cached(by_fingerprint)?
        .query_row([run.fingerprint], |row| row.get(0))
        .optional()?;
    if found.is_some() {
        return Ok(found);
    }
    // Of two different captures of one run, one must be a table.
    let by_core = if source.is_rounded() {
        "SELECT run_id FROM localstore_runs
         WHERE core = ?1 AND tool = 'llama-bench' ORDER BY run_id LIMIT 100"
    } else {
        "SELECT run_id FROM localstore_runs
         WHERE core = ?1 AND poor AND tool = 'llama-bench' ORDER BY run_id LIMIT 100"
    };
    let ids: Vec<i64> = db
        .prepare_cached(by_core)?
        .query_map([run.core], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in ids {
        let stored = identity_of(db, id)?;
        let agrees = |name| match (stored.get(name), run.identity.get(name)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        // Flags do not tell each backend that a table names, such as ROCm: then nothing is to agree.
        if ["build_commit", "build_number", "backends"]
            .into_iter()
            .all(agrees)
        {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// What a capture of a stored run adds to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Nothing.
    Same,
    /// The columns of its table, or bytes that the stored one lost.
    Table,
    /// Bytes that the stored one lost.
    Bytes,
    /// More values.
    Richer,
}

fn relation(
    db: &Connection,
    id: i64,
    run: &DocumentRun,
    document: &Document,
) -> rusqlite::Result<Relation> {
    let source = document.source;
    let detail = |source| match source {
        Source::Console => 0,
        Source::Json => 2,
        Source::Csv | Source::Site => 1,
    };
    let stored: String = db
        .prepare_cached("SELECT source FROM localstore_runs WHERE run_id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let stored = Source::from_name(&stored).unwrap_or_default();
    if detail(source) > detail(stored) {
        return Ok(Relation::Richer);
    }
    if source.is_rounded() {
        let identity = identity_of(db, id)?;
        let build = "build_commit";
        let tells_build = identity.get(build).is_none() && run.identity.get(build).is_some();
        return Ok(if stored.is_rounded() && tells_build {
            Relation::Richer
        } else if has_table(db, id)? && !gives_bytes(&identity, &run.identity) {
            Relation::Same
        } else {
            Relation::Table
        });
    }
    if source == stored && run.sampled > 0 {
        // Other programs write json without the samples.
        let sampled: i64 = db
            .prepare_cached(
                "SELECT count(samples_ns) FROM localstore_bench_tests WHERE run_id = ?1",
            )?
            .query_row([id], |row| row.get(0))?;
        if run.sampled.cast_signed() > sampled {
            return Ok(Relation::Richer);
        }
    }
    let is_given =
        gives_bytes(&identity_of(db, id)?, &run.identity) || gives_settings(db, id, document)?;
    Ok(if is_given {
        Relation::Bytes
    } else {
        Relation::Same
    })
}

/// Whether the stored names lost bytes that the others have.
fn gives_bytes(stored: &Identity, other: &Identity) -> bool {
    let mut values = stored.values.iter().zip(&other.values);
    values.any(|(stored, other)| is_restored(stored.as_ref(), other.as_ref()))
}

/// Whether the stored settings of a run lost bytes that those of the document may have.
fn gives_settings(db: &Connection, id: i64, document: &Document) -> rusqlite::Result<bool> {
    let has = |settings: &Settings, is_meant: fn(&Text) -> bool| {
        settings.values.iter().flatten().any(is_meant)
    };
    let is_told = |text: &Text| !text.as_bytes().is_ascii() && !text.has_lost_bytes();
    if !document.settings.iter().any(|one| has(one, is_told)) {
        return Ok(false);
    }
    let mut stored = db.prepare_cached(
        "SELECT DISTINCT setting_id FROM localstore_bench_tests WHERE run_id = ?1",
    )?;
    let ids = stored.query_map([id], |row| row.get(0))?;
    let mut reader = Reader::default();
    for id in ids {
        if has(&*reader.settings(db, id?)?, Text::has_lost_bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn plan_again(
    db: &Connection,
    id: i64,
    run: &DocumentRun,
    document: &Document,
    adding: Adding<'_>,
) -> db::Result<(Added, Plan)> {
    let relation = relation(db, id, run, document)?;
    let is_dated = !adding.measured.is_guessed && date(db, id, adding.measured.at)?;
    let stored = if relation == Relation::Same && !is_dated {
        Stored::Already
    } else {
        Stored::Completed
    };
    let plan = match relation {
        Relation::Same => Plan::Nothing,
        Relation::Table => {
            // All rows of a table have its columns.
            if !has_table(db, id)?
                && let Some(settings) = document.settings.first()
            {
                add_table(db, id, &settings.schema)?;
            }
            let mut identity = identity_of(db, id)?;
            if gives_bytes(&identity, &run.identity) {
                for (value, other) in identity.values.iter_mut().zip(&run.identity.values) {
                    restore(value, other.as_ref());
                }
                update_header(db, id, &identity, document.source, adding.machine)?;
            }
            Plan::Nothing
        }
        Relation::Bytes | Relation::Richer => {
            let is_richer = relation == Relation::Richer;
            let positions = "SELECT position FROM localstore_bench_tests WHERE run_id = ?1
                 ORDER BY position DESC";
            let positions = db
                .prepare_cached(positions)?
                .query_map([id], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let identity = {
                let stored = identity_of(db, id)?;
                let (base, more) = if is_richer {
                    (&*run.identity, &stored)
                } else {
                    (&stored, &*run.identity)
                };
                let mut identity = base.clone();
                for (value, other) in identity.values.iter_mut().zip(&more.values) {
                    restore(value, other.as_ref());
                }
                identity
            };
            update_header(db, id, &identity, document.source, adding.machine)?;
            if run.tells_bytes {
                db.prepare_cached(
                    "UPDATE localstore_bench_runs SET tells_bytes = 1 WHERE run_id = ?1",
                )?
                .execute([id])?;
            }
            if is_richer {
                keep_table(db, id)?;
                update_derived(db, id, run, document.source)?;
            }
            Plan::Replace(Box::new(Stock {
                id,
                positions,
                is_richer,
            }))
        }
    };
    Ok((Added { id, stored }, plan))
}

/// Puts a text in the place of one of which bytes are lost, if it has them.
fn restore(value: &mut Option<Text>, other: Option<&Text>) {
    if is_restored(value.as_ref(), other) {
        *value = other.cloned();
    }
}

/// Whether a text has lost bytes that another one has.
fn is_restored(text: Option<&Text>, other: Option<&Text>) -> bool {
    matches!((text, other), (Some(text), Some(other))
        if text.has_lost_bytes() && !other.has_lost_bytes() && text.is_alike(other))
}

/// An id of the public table's sequence, of which no row stays.
fn take_id(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO benchmark_runs (avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score)
         VALUES (0, 0, 0, 0)",
    )?
    .execute([])?;
    let id = db.last_insert_rowid();
    db.prepare_cached("DELETE FROM benchmark_runs WHERE id = ?1")?
        .execute([id])?;
    Ok(id)
}

/// The rows that the row of a run refers to.
#[derive(Clone, Copy)]
struct RefersTo {
    environment: i64,
    model: Option<i64>,
    configuration: i64,
    identity: i64,
}

impl RefersTo {
    /// The rows for a run with this header, made where there are none.
    fn of(db: &Connection, header: &Run, identity: &Identity) -> rusqlite::Result<Self> {
        Ok(Self {
            environment: environment_id(db, &header.environment)?,
            model: model_ids(db, header)?.first().copied(),
            configuration: configuration_id(db, header)?,
            identity: identity_id(db, identity)?,
        })
    }
}

/// Writes rows, and remembers the ids of what they refer to.
#[derive(Default)]
struct Writer {
    schemas: HashMap<Arc<Schema>, i64>,
    settings: HashMap<Arc<Settings>, i64>,
    /// Those of the row before: nearly always those of the next, and found without their hash.
    last: Option<(Arc<Settings>, i64)>,
    /// What new runs of an identity refer to.
    headers: HashMap<Arc<Identity>, RefersTo>,
    /// The settings that a stored test gets from those of a better capture.
    merged: HashMap<(i64, Arc<Settings>, bool), i64>,
}

impl Writer {
    fn refers_to(
        &mut self,
        db: &Connection,
        identity: &Arc<Identity>,
        source: Source,
        adding: Adding<'_>,
    ) -> rusqlite::Result<RefersTo> {
        if let Some(&known) = self.headers.get(identity) {
            return Ok(known);
        }
        let header = header(identity, source, adding.machine);
        let refers_to = RefersTo::of(db, &header, identity)?;
        self.headers.insert(Arc::clone(identity), refers_to);
        Ok(refers_to)
    }

    /// Writes the next test of a stored run again.
    fn replace(
        &mut self,
        db: &Connection,
        stock: &mut Stock,
        settings: &Arc<Settings>,
        row: &Row,
    ) -> rusqlite::Result<()> {
        let Some(position) = stock.positions.pop() else {
            return Err(refused(format!("run {} has fewer tests", stock.id)));
        };
        let before: i64 = db
            .prepare_cached(
                "SELECT setting_id FROM localstore_bench_tests
                 WHERE run_id = ?1 AND position = ?2",
            )?
            .query_row((stock.id, position), |row| row.get(0))?;
        let setting = self.merged_id(db, before, settings, stock.is_richer)?;
        if !stock.is_richer {
            db.prepare_cached(
                "UPDATE localstore_bench_tests SET setting_id = ?3
                 WHERE run_id = ?1 AND position = ?2",
            )?
            .execute((stock.id, position, setting))?;
            return Ok(());
        }
        db.prepare_cached(
            "DELETE FROM localstore_bench_tests WHERE run_id = ?1 AND position = ?2",
        )?
        .execute((stock.id, position))?;
        insert(db, stock.id, position, setting, row)
    }

    /// The settings of a stored test with what a better capture of it has: the fields are those of
    /// the richer one, and bytes that only the other has are kept.
    fn merged_id(
        &mut self,
        db: &Connection,
        before: i64,
        settings: &Arc<Settings>,
        is_richer: bool,
    ) -> rusqlite::Result<i64> {
        let key = (before, Arc::clone(settings), is_richer);
        if let Some(&id) = self.merged.get(&key) {
            return Ok(id);
        }
        let stored = Reader::default().settings(db, before)?;
        let (base, more) = if is_richer {
            (&**settings, &*stored)
        } else {
            (&*stored, &**settings)
        };
        let table = base.schema.table().or(more.schema.table()).cloned();
        let schema = Schema::new(base.schema.columns().to_vec(), table);
        let mut values = base.values.clone();
        for (column, role) in base.schema.fields() {
            if let Role::Setting(place) = role {
                let name = column.name.to_string();
                restore(&mut values[place], more.get(&name));
            }
        }
        let schema = Arc::new(schema);
        let id = self.settings_id(db, &Arc::new(Settings { schema, values }))?;
        self.merged.insert(key, id);
        Ok(id)
    }

    fn settings_id(&mut self, db: &Connection, settings: &Arc<Settings>) -> rusqlite::Result<i64> {
        if let Some((last, id)) = &self.last
            && Arc::ptr_eq(last, settings)
        {
            return Ok(*id);
        }
        if let Some(&id) = self.settings.get(settings) {
            self.last = Some((Arc::clone(settings), id));
            return Ok(id);
        }
        let schema = self.schema_id(db, &settings.schema)?;
        let values = encode(&settings.values);
        let hash = xxh3_64(&values).to_be_bytes();
        let values = Text::from(values);
        let find = "SELECT id FROM localstore_bench_settings
             WHERE hash = ?1 AND schema_id = ?2 AND setting_values = ?3";
        let known = db
            .prepare_cached(find)?
            .query_row((hash, schema, Bytes(Some(&values))), |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => db
                .prepare_cached(
                    "INSERT INTO localstore_bench_settings (hash, schema_id, setting_values)
                     VALUES (?1, ?2, ?3)",
                )?
                .insert((hash, schema, Bytes(Some(&values))))?,
        };
        self.settings.insert(Arc::clone(settings), id);
        Ok(id)
    }

    fn schema_id(&mut self, db: &Connection, schema: &Arc<Schema>) -> rusqlite::Result<i64> {
        if let Some(&id) = self.schemas.get(schema) {
            return Ok(id);
        }
        let fields: Vec<Vec<u8>> = schema.columns().iter().map(encode_column).collect();
        let fields = Text::from([b"[".to_vec(), fields.join(&b","[..]), b"]".to_vec()].concat());
        let values = (Bytes(Some(&fields)), Bytes(schema.table()));
        let find = "SELECT id FROM localstore_bench_schemas WHERE fields = ?1 AND table_name IS ?2";
        let known = db
            .prepare_cached(find)?
            .query_row((&values.0, &values.1), |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => db
                .prepare_cached(
                    "INSERT INTO localstore_bench_schemas (fields, table_name) VALUES (?1, ?2)",
                )?
                .insert((&values.0, &values.1))?,
        };
        self.schemas.insert(Arc::clone(schema), id);
        Ok(id)
    }
}

/// Inserts a test with these settings.
fn insert(
    db: &Connection,
    id: i64,
    position: i64,
    setting: i64,
    row: &Row,
) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO localstore_bench_tests (run_id, position, setting_id, n_prompt, n_gen,
                 n_depth, test_time, avg_ns, stddev_ns, avg_ts, stddev_ts, samples_ns, samples_ts)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let [time, avg_ns, stddev_ns, avg_ts, stddev_ts] = &row.results;
    insert.execute((
        id,
        position,
        setting,
        row.n_prompt,
        row.n_gen,
        row.n_depth,
        Bytes(time.as_ref()),
        Number(avg_ns.as_ref()),
        Number(stddev_ns.as_ref()),
        Number(avg_ts.as_ref()),
        Number(stddev_ts.as_ref()),
        samples_json(&row.samples),
        Bytes(row.samples.ts.as_ref()),
    ))?;
    Ok(())
}

/// Whether the columns of a table are known of a stored run, which may be all that is.
pub(super) fn has_table(db: &Connection, id: i64) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT r.poor OR x.table_id IS NOT NULL FROM localstore_runs r
         JOIN localstore_bench_runs x ON x.run_id = r.run_id WHERE r.run_id = ?1",
    )?
    .query_row([id], |row| row.get(0))
}

/// Notes the columns of a table that was read.
pub(super) fn add_table(db: &Connection, id: i64, table: &Arc<Schema>) -> rusqlite::Result<()> {
    let table = Writer::default().schema_id(db, table)?;
    db.prepare_cached("UPDATE localstore_bench_runs SET table_id = ?2 WHERE run_id = ?1")?
        .execute((id, table))?;
    Ok(())
}

/// Makes the rows of a new run, without those of its tests.
fn insert_run(
    db: &Connection,
    id: i64,
    document: i64,
    run: &DocumentRun,
    source: Source,
    refers_to: RefersTo,
    adding: Adding<'_>,
) -> rusqlite::Result<()> {
    let measured = Measured::told(run.test_time.as_ref()).unwrap_or(adding.measured);
    db.prepare_cached(
        "INSERT INTO localstore_runs (run_id, fingerprint, core, poor, source, environment_id,
             model_id, partial, measured_at, measured_guessed, configuration_id, score, tool)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute((
        id,
        run.fingerprint,
        run.core,
        source.is_rounded(),
        source.name(),
        refers_to.environment,
        refers_to.model,
        measured.at,
        measured.is_guessed,
        refers_to.configuration,
        level(run),
        Tool::LlamaBench.name(),
    ))?;
    let speeds = run.speeds;
    db.prepare_cached(
        "INSERT INTO localstore_bench_runs (run_id, identity_id, document, tests, prompt_tps,
             gen_tps, mean_prompt_tps, mean_gen_tps, tells_bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute((
        id,
        refers_to.identity,
        document,
        run.tests.cast_signed(),
        speeds.prompt,
        speeds.generation,
        speeds.mean_prompt,
        speeds.mean_generation,
        run.tells_bytes,
    ))?;
    Ok(())
}

/// Writes what is derived from the identity of a stored run. What is known of its machine stays.
fn update_header(
    db: &Connection,
    id: i64,
    identity: &Identity,
    source: Source,
    machine: &Environment,
) -> rusqlite::Result<()> {
    let mut shared = header(identity, source, machine);
    let stored = super::own::environment_of(db, id, Odd::Unknown)?;
    shared.environment.complete(&stored);
    let refers_to = RefersTo::of(db, &shared, identity)?;
    db.prepare_cached(
        "UPDATE localstore_runs SET environment_id = ?2, model_id = ?3, configuration_id = ?4
         WHERE run_id = ?1",
    )?
    .execute((
        id,
        refers_to.environment,
        refers_to.model,
        refers_to.configuration,
    ))?;
    db.prepare_cached("UPDATE localstore_bench_runs SET identity_id = ?2 WHERE run_id = ?1")?
        .execute((id, refers_to.identity))?;
    Ok(())
}

/// Keeps the columns of the table that a run was read from, before a better capture takes its place.
fn keep_table(db: &Connection, id: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE localstore_bench_runs SET table_id = coalesce(table_id,
             (SELECT s.schema_id FROM localstore_bench_tests t
              JOIN localstore_bench_settings s ON s.id = t.setting_id
              JOIN localstore_runs r ON r.run_id = t.run_id
              WHERE t.run_id = ?1 AND r.poor LIMIT 1))
         WHERE run_id = ?1",
    )?
    .execute([id])?;
    Ok(())
}

/// Writes what is derived from the rows of a stored run.
fn update_derived(
    db: &Connection,
    id: i64,
    run: &DocumentRun,
    source: Source,
) -> rusqlite::Result<()> {
    if let Some(measured) = Measured::told(run.test_time.as_ref()) {
        db.prepare_cached(
            "UPDATE localstore_runs SET measured_at = ?2, measured_guessed = 0 WHERE run_id = ?1",
        )?
        .execute((id, measured.at))?;
    }
    let speeds = run.speeds;
    db.prepare_cached(
        "UPDATE localstore_bench_runs SET tests = ?2, prompt_tps = ?3, gen_tps = ?4,
             mean_prompt_tps = ?5, mean_gen_tps = ?6 WHERE run_id = ?1",
    )?
    .execute((
        id,
        run.tests.cast_signed(),
        speeds.prompt,
        speeds.generation,
        speeds.mean_prompt,
        speeds.mean_generation,
    ))?;
    db.prepare_cached(
        "UPDATE localstore_runs SET fingerprint = ?2, core = ?3, poor = ?4, partial = 0,
             source = ?5, score = ?6 WHERE run_id = ?1",
    )?
    .execute((
        id,
        run.fingerprint,
        run.core,
        source.is_rounded(),
        source.name(),
        level(run),
    ))?;
    Ok(())
}

/// What the level of a trend is of.
pub(super) fn level(run: &DocumentRun) -> f64 {
    let speed = run.speeds.mean_generation.or(run.speeds.mean_prompt);
    speed.unwrap_or_default()
}

/// The header of a run, with a test that has its model. What the identity lacks is the machine's.
pub(super) fn header(identity: &Identity, source: Source, machine: &Environment) -> Run {
    let mut run = identity.run(source);
    run.environment.complete(machine);
    run.tests.push(Test {
        model: identity.model(),
        ..Test::default()
    });
    run
}

fn identity_id(db: &Connection, identity: &Identity) -> rusqlite::Result<i64> {
    let values: Vec<_> = identity.values.iter().map(Into::into).collect();
    combination(
        db,
        "localstore_bench_identities",
        &IDENTITY.join(", "),
        &values,
    )
}

/// The identity of a stored run.
pub(super) fn identity_of(db: &Connection, id: i64) -> rusqlite::Result<Identity> {
    let sql = format!(
        "SELECT {} FROM localstore_bench_identities
         WHERE id = (SELECT identity_id FROM localstore_bench_runs WHERE run_id = ?1)",
        IDENTITY.join(", ")
    );
    let identity = db.prepare_cached(&sql)?.query_row([id], |row| {
        let mut identity = Identity::default();
        for (place, value) in identity.values.iter_mut().enumerate() {
            *value = token(row.get_ref(place)?);
        }
        Ok(identity)
    });
    there(
        identity,
        "its row of localstore_bench_runs or localstore_bench_identities is missing",
    )
}

/// What a row has that must be there.
fn there<T>(found: rusqlite::Result<T>, why: &str) -> rusqlite::Result<T> {
    found.optional()?.ok_or_else(|| refused(why))
}

/// A text as SQLite can take it: a blob where it is not UTF-8.
struct Bytes<'a>(Option<&'a Text>);

impl ToSql for Bytes<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes = self.0.map(Text::as_bytes);
        Ok(ToSqlOutput::Borrowed(match bytes {
            None => ValueRef::Null,
            Some(bytes) if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) => {
                ValueRef::Text(bytes)
            }
            Some(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A token as an integer or a real number, where these give its digits back; else as text.
struct Number<'a>(Option<&'a Text>);

impl ToSql for Number<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let Some(token) = self.0 else {
            return Ok(ToSqlOutput::Borrowed(ValueRef::Null));
        };
        if let Ok(text) = std::str::from_utf8(token.as_bytes()) {
            if let Ok(integer) = text.parse::<i64>()
                && integer.to_string() == text
            {
                return Ok(integer.into());
            }
            let has_six = text.len() > 7 && text.as_bytes()[text.len() - 7] == b'.';
            if has_six
                && let Ok(real) = text.parse::<f64>()
                && (real != 0.0 || real.is_sign_positive())
                && format!("{real:.6}") == text
            {
                return Ok(real.into());
            }
        }
        let text = std::str::from_utf8(token.as_bytes());
        let bytes = token.as_bytes();
        Ok(ToSqlOutput::Borrowed(if text.is_ok() {
            ValueRef::Text(bytes)
        } else {
            ValueRef::Blob(bytes)
        }))
    }
}

/// The token that [`Number`] or [`Bytes`] has stored.
fn token(value: ValueRef<'_>) -> Option<Text> {
    match value {
        ValueRef::Integer(integer) => Some(integer.to_string().as_str().into()),
        ValueRef::Real(real) => Some(format!("{real:.6}").as_str().into()),
        other => text(other),
    }
}

fn samples_json(samples: &Samples) -> Option<String> {
    let samples = samples.ns.as_ref()?;
    Some(serde_json::to_string(samples).unwrap_or_default())
}

/// A JSON array of strings and nulls. Bytes that are not UTF-8 stay as they are.
fn encode(values: &[Option<Text>]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match value {
            None => out.extend_from_slice(b"null"),
            Some(text) => quote(text.as_bytes(), &mut out),
        }
    }
    out.push(b']');
    out
}

fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn encode_column(column: &Column) -> Vec<u8> {
    let mut out = vec![b'['];
    quote(column.name.as_bytes(), &mut out);
    out.push(b',');
    quote(column.kind.name().as_bytes(), &mut out);
    if let Some((width, is_left)) = column.width {
        out.extend_from_slice(format!(",{width},{is_left}").as_bytes());
    }
    out.push(b']');
    out
}

/// Reads what [`encode`] and [`encode_column`] have written: strings, `null` and bare words.
struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    /// The next item of the array; `None` at its end.
    #[allow(clippy::option_option, reason = "null is an item")]
    fn item(&mut self) -> Option<Option<Text>> {
        while let Some((b'[' | b',' | b' ', rest)) = self.0.split_first() {
            self.0 = rest;
        }
        match self.0.first()? {
            b']' => {
                self.0 = &self.0[1..];
                None
            }
            b'"' => {
                self.0 = &self.0[1..];
                Some(Some(self.string()))
            }
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b']');
                let end = self.0.iter().position(is_end).unwrap_or(self.0.len());
                let (word, rest) = self.0.split_at(end);
                self.0 = rest;
                Some((word != b"null").then(|| word.to_vec().into()))
            }
        }
    }

    fn string(&mut self) -> Text {
        let mut out = Vec::new();
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            match byte {
                b'"' => break,
                b'\\' => {
                    let Some((&escaped, rest)) = self.0.split_first() else {
                        break;
                    };
                    self.0 = rest;
                    if escaped == b'u' && rest.len() >= 4 {
                        let digits = std::str::from_utf8(&rest[..4]).unwrap_or_default();
                        out.push(u8::from_str_radix(digits, 16).unwrap_or_default());
                        self.0 = &rest[4..];
                    } else {
                        out.push(escaped);
                    }
                }
                _ => out.push(byte),
            }
        }
        out.into()
    }
}

/// A test of a stored run with all that its row needs.
#[derive(Debug, Clone)]
pub(crate) struct StoredRow {
    /// Its run.
    pub run: i64,
    /// Its place in the document.
    pub position: i64,
    /// The run's identity.
    pub identity: Arc<Identity>,
    /// Its settings.
    pub settings: Arc<Settings>,
    /// The columns of the run's table, where one was read.
    pub table: Option<Arc<Schema>>,
    /// Whether json has told bytes of 0x80 and more, which it loses in most builds.
    pub tells_bytes: bool,
    /// The row; its places of run and settings mean nothing.
    pub row: Row,
}

/// The chosen runs of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredDocument {
    /// Their ids, the least first.
    pub runs: Vec<i64>,
}

/// The documents of these runs, the one with the least id first; other runs are passed over.
pub(crate) fn documents(db: &Connection, ids: &[i64]) -> db::Result<Vec<StoredDocument>> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let mut statement = db.prepare_cached(
        "SELECT document, run_id FROM localstore_bench_runs
         WHERE run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id",
    )?;
    let rows = statement.query_map([ids], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
    let mut documents: Vec<StoredDocument> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let (document, run) = row?;
        let place = *places.entry(document).or_insert(documents.len());
        if place == documents.len() {
            documents.push(StoredDocument { runs: Vec::new() });
        }
        documents[place].runs.push(run);
    }
    Ok(documents)
}

/// Of these runs those of llama-bench of which only a table was read.
pub(crate) fn tables(db: &Connection, ids: &[i64]) -> db::Result<Vec<i64>> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let mut statement = db.prepare_cached(
        "SELECT run_id FROM localstore_runs WHERE poor AND tool = 'llama-bench'
             AND run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id",
    )?;
    let tables = statement.query_map([ids], |row| row.get(0))?;
    Ok(tables.collect::<rusqlite::Result<_>>()?)
}

/// What all rows of a stored run have.
struct Head {
    run: i64,
    identity: Arc<Identity>,
    table: Option<Arc<Schema>>,
    tells_bytes: bool,
}

/// Reads rows, and remembers what they refer to.
#[derive(Default)]
pub(crate) struct Reader {
    schemas: HashMap<i64, Arc<Schema>>,
    settings: HashMap<i64, Arc<Settings>>,
    identities: HashMap<i64, Arc<Identity>>,
}

/// The most settings, and the most identities, that [`Reader`] remembers.
const MOST_SETTINGS: usize = 1024;

/// The columns that [`Reader::row`] reads.
const ROW: &str = "t.run_id, t.setting_id, t.n_prompt, t.n_gen, t.n_depth, t.test_time, t.avg_ns,
    t.stddev_ns, t.avg_ts, t.stddev_ts, t.samples_ns, t.samples_ts, t.position";

impl Reader {
    /// Hands over the rows of a document in the order in which they were printed.
    pub(crate) fn each_row<E: From<rusqlite::Error>>(
        &mut self,
        db: &Connection,
        document: &StoredDocument,
        mut work: impl FnMut(&StoredRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut heads = HashMap::new();
        // Where each run ends before the next one begins, no row has to be sorted.
        let mut is_in_order = true;
        let mut end = -1;
        for &run in &document.runs {
            let head = self.head(db, run)?;
            let places = db
                .prepare_cached(
                    "SELECT
                         (SELECT min(position) FROM localstore_bench_tests WHERE run_id = ?1),
                         (SELECT max(position) FROM localstore_bench_tests WHERE run_id = ?1)",
                )?
                .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (first, last): (Option<i64>, Option<i64>) = places;
            is_in_order &= first.unwrap_or_default() > end;
            end = last.unwrap_or_default();
            heads.insert(run, head);
        }
        let order = if is_in_order {
            "t.run_id, t.position"
        } else {
            "t.position"
        };
        let sql = format!(
            "SELECT {ROW} FROM localstore_bench_tests t WHERE t.run_id IN
                 (SELECT value FROM json_each(?1)) ORDER BY {order}"
        );
        let ids = serde_json::to_string(&document.runs).unwrap_or_default();
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query([ids])?;
        while let Some(row) = rows.next()? {
            if let Some(head) = heads.get(&row.get(0)?) {
                work(&self.stored(db, head, row)?)?;
            }
        }
        Ok(())
    }

    /// Hands over the first row of the run, then the first one with other settings or other fields,
    /// and so on.
    pub(crate) fn each_kind_of_row<E: From<rusqlite::Error>>(
        &mut self,
        db: &Connection,
        run: i64,
        mut work: impl FnMut(&StoredRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let head = self.head(db, run)?;
        let mut known = HashSet::new();
        let mut statement = db.prepare_cached(
            "SELECT position, setting_id, (n_depth IS NULL) + 2 * (test_time IS NULL)
                 + 4 * (avg_ns IS NULL) + 8 * (stddev_ns IS NULL) + 16 * (stddev_ts IS NULL)
             FROM localstore_bench_tests WHERE run_id = ?1 ORDER BY position",
        )?;
        let mut rows = statement.query([run])?;
        while let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            let kind: (i64, u8) = (row.get(1)?, row.get(2)?);
            if known.insert(kind) {
                work(&self.one(db, &head, position)?)?;
            }
        }
        Ok(())
    }

    /// The first row of a run; `None` if it has none.
    pub(crate) fn first_row(
        &mut self,
        db: &Connection,
        run: i64,
    ) -> rusqlite::Result<Option<StoredRow>> {
        let head = self.head(db, run)?;
        let sql = format!(
            "SELECT {ROW} FROM localstore_bench_tests t WHERE t.run_id = ?1
             ORDER BY t.position LIMIT 1"
        );
        let mut statement = db.prepare_cached(&sql)?;
        statement
            .query_row([run], |row| self.stored(db, &head, row))
            .optional()
    }

    /// The row at this place.
    fn one(&mut self, db: &Connection, head: &Head, position: i64) -> rusqlite::Result<StoredRow> {
        let sql = format!(
            "SELECT {ROW} FROM localstore_bench_tests t WHERE t.run_id = ?1 AND t.position = ?2"
        );
        let mut statement = db.prepare_cached(&sql)?;
        statement.query_row((head.run, position), |row| self.stored(db, head, row))
    }

    /// The row of a run with this head.
    fn stored(
        &mut self,
        db: &Connection,
        head: &Head,
        row: &SqlRow<'_>,
    ) -> rusqlite::Result<StoredRow> {
        let position = row.get(12)?;
        let (settings, row) = self
            .row(db, row)
            .map_err(|error| of_test(position, error))?;
        Ok(StoredRow {
            run: head.run,
            position,
            identity: Arc::clone(&head.identity),
            settings,
            table: head.table.clone(),
            tells_bytes: head.tells_bytes,
            row,
        })
    }

    /// What all rows of a run have.
    fn head(&mut self, db: &Connection, run: i64) -> rusqlite::Result<Head> {
        let found = db
            .prepare_cached(
                "SELECT table_id, tells_bytes, identity_id FROM localstore_bench_runs
                 WHERE run_id = ?1",
            )?
            .query_row([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let found = there(found, "its row of localstore_bench_runs is missing")?;
        let (table, tells_bytes, identity_id): (Option<i64>, bool, i64) = found;
        let identity = if let Some(identity) = self.identities.get(&identity_id) {
            Arc::clone(identity)
        } else {
            let identity = Arc::new(identity_of(db, run)?);
            if self.identities.len() >= MOST_SETTINGS {
                self.identities.clear();
            }
            self.identities.insert(identity_id, Arc::clone(&identity));
            identity
        };
        Ok(Head {
            run,
            identity,
            table: table.map(|id| self.schema(db, id)).transpose()?,
            tells_bytes,
        })
    }

    fn row(&mut self, db: &Connection, row: &SqlRow<'_>) -> rusqlite::Result<(Arc<Settings>, Row)> {
        let settings = self.settings(db, row.get(1)?)?;
        let mut results: [Option<Text>; RESULTS.len()] = Default::default();
        for (place, result) in results.iter_mut().enumerate() {
            *result = token(row.get_ref(5 + place)?);
        }
        let ns = match row.get_ref(10)? {
            ValueRef::Text(json) => Some(
                serde_json::from_slice(json)
                    .map_err(|_| refused("samples_ns is not a list of integers"))?,
            ),
            ValueRef::Null => None,
            _ => return Err(refused("samples_ns is not a list of integers")),
        };
        let row = Row {
            run: 0,
            settings: 0,
            n_prompt: row.get(2)?,
            n_gen: row.get(3)?,
            n_depth: row.get(4)?,
            results,
            samples: Samples {
                ns,
                ts: text(row.get_ref(11)?),
            },
        };
        Ok((settings, row))
    }

    /// The settings of this id.
    pub(super) fn settings(&mut self, db: &Connection, id: i64) -> rusqlite::Result<Arc<Settings>> {
        if let Some(settings) = self.settings.get(&id) {
            return Ok(Arc::clone(settings));
        }
        let found = db
            .prepare_cached(
                "SELECT schema_id, setting_values FROM localstore_bench_settings WHERE id = ?1",
            )?
            .query_row([id], |row| {
                let values = text(row.get_ref(1)?).unwrap_or_default();
                Ok((row.get(0)?, values))
            });
        let (schema, values) = there(found, "its settings are not in localstore_bench_settings")?;
        let schema = self.schema(db, schema)?;
        let mut decoder = Decoder(values.as_bytes());
        let values: Vec<_> = std::iter::from_fn(|| decoder.item()).collect();
        let is_setting = |(_, role): &(&Column, Role)| matches!(role, Role::Setting(_));
        if values.len() != schema.fields().filter(is_setting).count() {
            return Err(refused("its settings do not fit their fields"));
        }
        let settings = Arc::new(Settings { schema, values });
        // Few tests have settings of their own; where all have, they are not kept.
        if self.settings.len() >= MOST_SETTINGS {
            self.settings.clear();
        }
        self.settings.insert(id, Arc::clone(&settings));
        Ok(settings)
    }

    fn schema(&mut self, db: &Connection, id: i64) -> rusqlite::Result<Arc<Schema>> {
        if let Some(schema) = self.schemas.get(&id) {
            return Ok(Arc::clone(schema));
        }
        let found = db
            .prepare_cached(
                "SELECT fields, table_name FROM localstore_bench_schemas WHERE id = ?1",
            )?
            .query_row([id], |row| {
                Ok((text(row.get_ref(0)?), text(row.get_ref(1)?)))
            });
        let (fields, table) = there(found, "its fields are not in localstore_bench_schemas")?;
        let fields = fields.unwrap_or_default();
        let mut decoder = Decoder(fields.as_bytes().get(1..).unwrap_or_default());
        let mut columns = Vec::new();
        loop {
            let items: Vec<Option<Text>> = std::iter::from_fn(|| decoder.item()).collect();
            let mut items = items.into_iter().flatten();
            let (Some(name), Some(kind)) = (items.next(), items.next()) else {
                break;
            };
            let width = items
                .next()
                .and_then(|width| width.to_string().parse().ok());
            let is_left = items.next().is_some_and(|word| word.as_bytes() == b"true");
            columns.push(Column {
                name,
                kind: Kind::from_name(&kind.to_string()).unwrap_or(Kind::Text),
                width: width.map(|width| (width, is_left)),
            });
        }
        let schema = Arc::new(Schema::new(columns, table));
        self.schemas.insert(id, Arc::clone(&schema));
        Ok(schema)
    }
}

/// What a run was measured on, and what all its tests have.
pub(crate) fn head(db: &Connection, id: i64) -> db::Result<(Environment, Identity)> {
    let environment = super::own::environment_of(db, id, super::rows::Odd::Unknown)?;
    Ok((environment, identity_of(db, id)?))
}

/// The settings of a run's tests, each once.
pub(crate) fn settings(db: &Connection, id: i64) -> db::Result<Vec<Arc<Settings>>> {
    let mut reader = Reader::default();
    let mut statement = db.prepare_cached(
        "SELECT setting_id FROM localstore_bench_tests WHERE run_id = ?1
         GROUP BY setting_id ORDER BY min(position)",
    )?;
    let ids = statement.query_map([id], |row| row.get(0))?;
    let settings = ids.map(|id| reader.settings(db, id?));
    Ok(settings.collect::<rusqlite::Result<_>>()?)
}

/// The first tests of a run, or all.
pub(crate) fn first_rows(
    db: &Connection,
    id: i64,
    limit: Option<u32>,
) -> db::Result<Vec<StoredRow>> {
    let mut reader = Reader::default();
    let head = reader.head(db, id)?;
    let mut statement = db.prepare_cached(&format!(
        "SELECT {ROW} FROM localstore_bench_tests t WHERE t.run_id = ?1
         ORDER BY t.position LIMIT ?2"
    ))?;
    let mut rows = statement.query((id, limit.map_or(-1, i64::from)))?;
    let mut first = Vec::new();
    while let Some(row) = rows.next()? {
        first.push(reader.stored(db, &head, row)?);
    }
    Ok(first)
}

/// The tests of a stored run.
pub(super) fn tests(db: &Connection, id: i64) -> rusqlite::Result<Vec<Test>> {
    let mut tests = Vec::new();
    let document = StoredDocument { runs: vec![id] };
    Reader::default().each_row(db, &document, |row| {
        tests.push(row.row.test(&row.settings, &row.identity));
        Ok::<(), rusqlite::Error>(())
    })?;
    Ok(tests)
}

/// A stored run as its rows give it, whatever is stored of them.
pub(super) fn derived(db: &Connection, id: i64) -> rusqlite::Result<DocumentRun> {
    let identity = Arc::new(identity_of(db, id)?);
    let mut run = Recount::new(identity);
    let document = StoredDocument { runs: vec![id] };
    Reader::default().each_row(db, &document, |row| {
        run.count(&row.row, &row.settings);
        Ok::<(), rusqlite::Error>(())
    })?;
    Ok(run.end())
}

/// Writes again what is derived from the rows of a run.
pub(super) fn derive(db: &Connection, id: i64) -> rusqlite::Result<()> {
    let run = derived(db, id)?;
    let source = "SELECT source FROM localstore_runs WHERE run_id = ?1";
    let source: String = db
        .prepare_cached(source)?
        .query_row([id], |row| row.get(0))?;
    let source = Source::from_name(&source).unwrap_or_default();
    let machine = super::own::environment_of(db, id, Odd::Unknown)?;
    update_header(db, id, &run.identity, source, &machine)?;
    update_derived(db, id, &run, source)?;
    db.prepare_cached(
        "UPDATE localstore_runs SET measured_guessed = measured_guessed IS NOT 0 WHERE run_id = ?1",
    )?
    .execute([id])?;
    Ok(())
}

/// Removes what is kept of a run of llama-bench alone; gives how many rows there were.
pub(super) fn remove(db: &Connection, id: i64) -> rusqlite::Result<usize> {
    let mut rows = 0;
    for sql in [
        "DELETE FROM localstore_bench_tests WHERE run_id = ?1",
        "DELETE FROM localstore_bench_runs WHERE run_id = ?1",
    ] {
        rows += db.prepare_cached(sql)?.execute([id])?;
    }
    Ok(rows)
}

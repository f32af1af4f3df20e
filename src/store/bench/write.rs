//! Writing: the runs of a document, new or as better captures of stored ones.

use std::collections::HashMap;
use std::sync::Arc;

use db::refused;
use rusqlite::{Connection, OptionalExtension};
use xxhash_rust::xxh3::xxh3_64;

use super::read::{Reader, derived, identity_of};
use super::values::{Bytes, Number, encode, encode_column, samples_json};
use crate::model::bench::{Document, DocumentRun, IDENTITY, Identity, Role, Row, Schema, Settings};
use crate::model::{Environment, Run, Source, Test, Text, Tool};
use crate::store::changes::{self, AnyRemoved, Change};
use crate::store::own::{self, combination, configuration_id, environment_id, model_ids};
use crate::store::public::Known;
use crate::store::rows::Odd;
use crate::store::runs::{Added, Measured, Stored, date, stored_date};
use crate::store::tags;

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
    let mut writer = Writer::default();
    let added = add_part(db, &mut writer, document, adding, &mut None, &[])?;
    for one in added.iter().filter(|one| !one.is_new()) {
        changes::claim(db, one.id, true)?;
    }
    Ok(added)
}

/// The same of a part of a document, with what was written before in this transaction: `first` is the id of the first new run of all of it, and
/// `positions` are the places of the rows, if they are others than 0, 1, 2 …
pub(in crate::store) fn add_part(
    db: &Connection,
    writer: &mut Writer,
    document: &mut Document,
    adding: Adding<'_>,
    first: &mut Option<i64>,
    positions: &[i64],
) -> db::Result<Vec<Added>> {
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
        match one.stored {
            Stored::New => changes::note_new(db, &mut writer.any_removed, one.id)?,
            Stored::Completed => changes::note(db, one.id, Change::Completed)?,
            Stored::Already => {}
        }
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
fn find(db: &Connection, run: &DocumentRun, source: Source) -> rusqlite::Result<Option<i64>> {
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
        let mut known = Known::default();
        Ok(Self {
            environment: environment_id(db, &mut known, &header.environment)?,
            model: model_ids(db, &mut known, header)?.first().copied(),
            configuration: configuration_id(db, &mut known, header)?,
            identity: identity_id(db, identity)?,
        })
    }
}

/// Writes rows of one transaction, and remembers the ids of what they refer to.
#[derive(Default)]
pub(in crate::store) struct Writer {
    schemas: HashMap<Arc<Schema>, i64>,
    settings: HashMap<Arc<Settings>, i64>,
    /// Those of the row before: nearly always those of the next, and found without their hash.
    last: Option<(Arc<Settings>, i64)>,
    /// What new runs of an identity refer to, of this source and machine.
    headers: HashMap<Arc<Identity>, RefersTo>,
    of: (Source, Environment),
    /// The settings that a stored test gets from those of a better capture.
    merged: HashMap<(i64, Arc<Settings>, bool), i64>,
    any_removed: AnyRemoved,
}

impl Writer {
    fn refers_to(
        &mut self,
        db: &Connection,
        identity: &Arc<Identity>,
        source: Source,
        adding: Adding<'_>,
    ) -> rusqlite::Result<RefersTo> {
        // 0.0 and -0.0 are equal, and not the same.
        let gb = |machine: &Environment| {
            [machine.system.ram_gb, machine.accelerator.memory_gb].map(|gb| gb.map(f64::to_bits))
        };
        let of = (source, adding.machine);
        if (self.of.0, &self.of.1) != of || gb(&self.of.1) != gb(adding.machine) {
            self.headers.clear();
            self.of = (source, adding.machine.clone());
        }
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
pub(in crate::store) fn has_table(db: &Connection, id: i64) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT r.poor OR x.table_id IS NOT NULL FROM localstore_runs r
         JOIN localstore_bench_runs x ON x.run_id = r.run_id WHERE r.run_id = ?1",
    )?
    .query_row([id], |row| row.get(0))
}

/// Notes the columns of a table that was read.
pub(in crate::store) fn add_table(
    db: &Connection,
    id: i64,
    table: &Arc<Schema>,
) -> rusqlite::Result<()> {
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
    let stored = own::environment_of(db, id, Odd::Unknown)?;
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
pub(in crate::store) fn level(run: &DocumentRun) -> f64 {
    let speed = run.speeds.mean_generation.or(run.speeds.mean_prompt);
    speed.unwrap_or_default()
}

/// The header of a run, with a test that has its model. What the identity lacks is the machine's.
pub(in crate::store) fn header(identity: &Identity, source: Source, machine: &Environment) -> Run {
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

/// Writes again what is derived from the rows of a run.
pub(in crate::store) fn derive(db: &Connection, id: i64) -> rusqlite::Result<()> {
    let run = derived(db, id)?;
    let source = "SELECT source FROM localstore_runs WHERE run_id = ?1";
    let source: String = db
        .prepare_cached(source)?
        .query_row([id], |row| row.get(0))?;
    let source = Source::from_name(&source).unwrap_or_default();
    let machine = own::environment_of(db, id, Odd::Unknown)?;
    update_header(db, id, &run.identity, source, &machine)?;
    update_derived(db, id, &run, source)?;
    db.prepare_cached(
        "UPDATE localstore_runs SET measured_guessed = measured_guessed IS NOT 0 WHERE run_id = ?1",
    )?
    .execute([id])?;
    Ok(())
}

/// Removes what is kept of a run of llama-bench alone; gives how many rows there were.
pub(in crate::store) fn remove(db: &Connection, id: i64) -> rusqlite::Result<usize> {
    let mut rows = 0;
    for sql in [
        "DELETE FROM localstore_bench_tests WHERE run_id = ?1",
        "DELETE FROM localstore_bench_runs WHERE run_id = ?1",
    ] {
        rows += db.prepare_cached(sql)?.execute([id])?;
    }
    Ok(rows)
}

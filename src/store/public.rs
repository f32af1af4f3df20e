//! The public LocalScore tables: the rows that a run refers to, as the site would make them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::own::combination;
use super::rows::{Sql, marks};
use super::scores::{ScoreKey, storable};
use crate::model::{AcceleratorInfo, Environment, Model, Run, RuntimeInfo, SystemInfo, Text};

/// The rows of the public lookup tables that a run refers to; null where the run does not know
/// what such a row must have.
#[allow(clippy::struct_field_names, reason = "as the columns are called")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Public {
    pub system_id: Option<i64>,
    pub accelerator_id: Option<i64>,
    pub model_variant_id: Option<i64>,
    pub runtime_id: Option<i64>,
}

impl Public {
    /// Finds or makes the rows, in the site's order, so that the same runs get the same ids.
    pub(super) fn of(db: &Connection, known: &mut Known, run: &Run) -> rusqlite::Result<Self> {
        let mut ids = [None; 3];
        for (id, (_, table, row)) in ids.iter_mut().zip(header_rows(&run.environment)) {
            if let Some(row) = row {
                *id = Some(table.id(db, known, &row)?);
            }
        }
        let [system_id, accelerator_id, runtime_id] = ids;
        let mut model_variant_id = None;
        if let Some((model, quant)) = run.model().and_then(model_row) {
            let model_id = MODELS.id(db, known, &model)?;
            model_variant_id = Some(VARIANTS.id(db, known, &[model_id.into(), quant])?);
        }
        Ok(Self {
            system_id,
            accelerator_id,
            model_variant_id,
            runtime_id,
        })
    }

    /// Which of these rows are not those that a run of this environment and model refers to. What
    /// the run does not know may be anything.
    pub(super) fn mismatched_rows(
        &self,
        db: &Connection,
        environment: &Environment,
        model: Option<&Model>,
    ) -> rusqlite::Result<Vec<&'static str>> {
        let mut mismatched = Vec::new();
        let ids = [self.system_id, self.accelerator_id, self.runtime_id];
        for (id, (what, table, row)) in ids.into_iter().zip(header_rows(environment)) {
            if let Some(row) = row
                && !table.has(db, id, &row)?
            {
                mismatched.push(what);
            }
        }
        if let Some((model, quant)) = model.and_then(model_row)
            && !match MODELS.find(db, &model)? {
                Some(model) => VARIANTS.has(db, self.model_variant_id, &[model.into(), quant])?,
                None => false,
            }
        {
            mismatched.push("model variant");
        }
        Ok(mismatched)
    }

    pub(super) fn score_key(&self) -> Option<ScoreKey> {
        Some(ScoreKey {
            accelerator_id: self.accelerator_id?,
            model_variant_id: self.model_variant_id?,
        })
    }
}

/// A public table: its name, the columns that are unique together, and those that it has besides.
struct Lookup(&'static str, &'static str, &'static str);

const SYSTEMS: Lookup = Lookup(
    "benchmark_systems",
    "cpu_name, cpu_arch, ram_gb, kernel_type, kernel_release, system_version",
    "",
);
const ACCELERATORS: Lookup = Lookup("accelerators", "name, type, memory_gb", ", manufacturer");
const RUNTIMES: Lookup = Lookup("runtimes", "name, version, commit_hash", "");
const MODELS: Lookup = Lookup("models", "name", ", params");
const VARIANTS: Lookup = Lookup("model_variants", "model_id, quantization", "");

impl Lookup {
    /// The unique values of a row.
    fn unique<'r>(&self, row: &'r [Value]) -> &'r [Value] {
        &row[..self.1.split(',').count()]
    }

    /// The first row with the unique values of this one.
    fn find(&self, db: &Connection, row: &[Value]) -> rusqlite::Result<Option<i64>> {
        let Self(table, columns, _) = self;
        let values = self.unique(row);
        let marks = marks(values.len());
        let sql = format!("SELECT id FROM {table} WHERE ({columns}) IS ({marks})");
        db.prepare_cached(&sql)?
            .query_row(params_from_iter(values), |row| row.get(0))
            .optional()
    }

    /// Whether the row of that id has the unique values of this one.
    fn has(&self, db: &Connection, id: Option<i64>, row: &[Value]) -> rusqlite::Result<bool> {
        let Self(table, columns, _) = self;
        let mut values = self.unique(row).to_vec();
        values.push(id.into());
        let marks = marks(values.len());
        let sql = format!("SELECT 1 FROM {table} WHERE ({columns}, id) IS ({marks})");
        db.prepare_cached(&sql)?.exists(params_from_iter(values))
    }

    /// The id of the row with the unique values of this one, which is found or made.
    fn id(&self, db: &Connection, known: &mut Known, row: &[Value]) -> rusqlite::Result<i64> {
        let unique = self.unique(row);
        // Null differs from null in a unique index: the site makes a new row each time.
        if unique.contains(&Value::Null) {
            let found = self.find(db, row)?;
            return found.map_or_else(|| self.upsert(db, row), Ok);
        }
        known.id(db, self.0, unique, || self.upsert(db, row))
    }

    /// Like the site's statement, it takes an id of the sequence even where the row is there. The
    /// site sets the id to itself; with foreign keys on, that makes SQLite search all runs for
    /// children.
    fn upsert(&self, db: &Connection, row: &[Value]) -> rusqlite::Result<i64> {
        let Self(table, columns, more) = self;
        let last = columns.rsplit(' ').next().unwrap_or_default();
        let sql = format!(
            "INSERT INTO {table} ({columns}{more}) VALUES ({})
             ON CONFLICT ({columns}) DO UPDATE SET {last} = {last} RETURNING id",
            marks(row.len())
        );
        db.prepare_cached(&sql)?
            .query_row(params_from_iter(row), |row| row.get(0))
    }
}

/// What a run has in the public tables, for a database that is not a store.
#[cfg(feature = "network")]
#[derive(Debug)]
pub(crate) struct PublicRun {
    /// The values of `cpu_name, cpu_arch, ram_gb, kernel_type, kernel_release, system_version`; this
    /// and the others: `None` if the run does not know what such a row must have.
    pub(crate) system: Option<Vec<Value>>,
    /// Those of `name, type, memory_gb, manufacturer`.
    pub(crate) accelerator: Option<Vec<Value>>,
    /// Those of `name, version, commit_hash`.
    pub(crate) runtime: Option<Vec<Value>>,
    /// Those of `models.name, models.params, model_variants.quantization`.
    pub(crate) model: Option<Vec<Value>>,
    /// Those of `avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score`.
    pub(crate) averages: [f64; 4],
}

#[cfg(feature = "network")]
impl PublicRun {
    /// What this run has there.
    pub(crate) fn of(run: &Run) -> Self {
        let [system, accelerator, runtime] = header_rows(&run.environment).map(|(.., row)| row);
        let model = run.model().and_then(model_row);
        let summary = run.summary();
        Self {
            system,
            accelerator,
            runtime,
            model: model.map(|(model, quant)| [model, vec![quant]].concat()),
            averages: [
                summary.avg_prompt_tps,
                summary.avg_gen_tps,
                summary.avg_ttft_ms,
                summary.performance_score,
            ]
            .map(storable),
        }
    }
}

/// Rows that were found or made in this transaction, and the ids that the sequences have still to
/// give for those that were found here again.
#[derive(Default)]
pub(super) struct Known {
    rows: HashMap<(&'static str, Vec<u8>), i64>,
    taken: BTreeMap<&'static str, i64>,
}

impl Known {
    /// The id of the row with these values, which `upsert` finds or makes if it is not known.
    fn id(
        &mut self,
        db: &Connection,
        table: &'static str,
        values: &[Value],
        upsert: impl FnOnce() -> rusqlite::Result<i64>,
    ) -> rusqlite::Result<i64> {
        let key = (table, key(values)?);
        if let Some(&id) = self.rows.get(&key) {
            *self.taken.entry(table).or_default() += 1;
            return Ok(id);
        }
        if let Some(taken) = self.taken.remove(table) {
            take_ids(db, table, taken)?;
        }
        let id = upsert()?;
        self.rows.insert(key, id);
        Ok(id)
    }

    /// The id of the row of one of our tables that has each combination of values once.
    pub(super) fn combination(
        &mut self,
        db: &Connection,
        table: &'static str,
        columns: &str,
        values: &[Sql<'_>],
    ) -> rusqlite::Result<i64> {
        let key = (table, key(values)?);
        if let Some(&id) = self.rows.get(&key) {
            return Ok(id);
        }
        let id = combination(db, table, columns, values)?;
        self.rows.insert(key, id);
        Ok(id)
    }

    /// Brings the sequences up to date.
    pub(super) fn write(self, db: &Connection) -> rusqlite::Result<()> {
        let mut taken = self.taken.into_iter();
        taken.try_for_each(|(table, taken)| take_ids(db, table, taken))
    }
}

/// The values, each with its type and its end.
fn key(values: &[impl ToSql]) -> rusqlite::Result<Vec<u8>> {
    let mut key = Vec::with_capacity(256);
    for value in values {
        let value = value.to_sql()?;
        let value = match &value {
            ToSqlOutput::Borrowed(value) => *value,
            ToSqlOutput::Owned(value) => value.into(),
            _ => ValueRef::Null,
        };
        let number;
        let bytes = match value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
            ValueRef::Integer(value) => {
                number = value.to_le_bytes();
                &number
            }
            ValueRef::Real(value) => {
                number = value.to_le_bytes();
                &number
            }
            ValueRef::Null => &[],
        };
        key.push(value.data_type() as u8);
        key.extend_from_slice(&bytes.len().to_le_bytes());
        key.extend_from_slice(bytes);
    }
    Ok(key)
}

/// Advances the sequence of a table as this number of inserts would that find their row.
fn take_ids(db: &Connection, table: &str, count: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE sqlite_sequence SET seq = seq + ?2
         WHERE name = ?1 AND seq <= 9223372036854775807 - ?2",
    )?
    .execute((table, count))
    .map(drop)
}

/// The rows that a header gives, in the site's order; none where it does not know what the row must
/// have.
fn header_rows(environment: &Environment) -> [(&'static str, Lookup, Option<Vec<Value>>); 3] {
    let Environment {
        runtime,
        system,
        accelerator,
    } = environment;
    [
        ("system", SYSTEMS, system_row(system)),
        ("accelerator", ACCELERATORS, accelerator_row(accelerator)),
        ("runtime", RUNTIMES, runtime_row(runtime)),
    ]
}

/// The columns of a row of `benchmark_systems`; none if the run does not know one of them.
fn system_row(system: &SystemInfo) -> Option<Vec<Value>> {
    Some(vec![
        public_header(system.cpu_name.as_ref()?),
        public_header(system.cpu_arch.as_ref()?),
        storable(system.ram_gb?).into(),
        public_header(system.kernel_type.as_ref()?),
        public_header(system.kernel_release.as_ref()?),
        public_header(system.version.as_ref()?),
    ])
}

/// Those of `accelerators`, of which the manufacturer may be unknown.
fn accelerator_row(info: &AcceleratorInfo) -> Option<Vec<Value>> {
    Some(vec![
        public_header(info.name.as_ref()?),
        public_header(info.kind.as_ref()?),
        storable(info.memory_gb?).into(),
        info.manufacturer.as_ref().map(public_header).into(),
    ])
}

/// Those of `runtimes`, of which only the name must be known.
fn runtime_row(info: &RuntimeInfo) -> Option<Vec<Value>> {
    Some(vec![
        public_header(info.name.as_ref()?),
        info.version.as_ref().map(public_header).into(),
        info.commit.as_ref().map(public_header).into(),
    ])
}

/// Those of `models`, and the quantisation.
fn model_row(model: &Model) -> Option<(Vec<Value>, Value)> {
    let name = public_text(model.model_name.as_ref()?);
    let quant = public_text(model.model_quant_str.as_ref()?);
    let params = model.model_n_params?;
    // The site has JavaScript's numbers: above 2^63 - 1 it stores a double.
    #[allow(clippy::cast_precision_loss, reason = "as the site does")]
    let params = i64::try_from(params).map_or_else(|_| (params as f64).into(), Value::from);
    Some((vec![name.into(), params], quant.into()))
}

/// A string of the header for the public tables. The C tool prints it unescaped and the site reads
/// it as JSON, so an escape in it takes effect there; where it is none, it stays as it is.
fn public_header(text: &Text) -> Value {
    let plain = public_text(text);
    if !plain.contains('\\') {
        return plain.into();
    }
    let unescaped: Result<String, _> = serde_json::from_str(&format!("\"{plain}\""));
    unescaped.unwrap_or(plain).into()
}

/// A string for the public tables: what a JSON reader makes of it, in UTF-8.
pub(crate) fn public_text(text: &Text) -> String {
    text.to_utf8().into_owned()
}

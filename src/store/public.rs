//! The public LocalScore tables: the rows that a run refers to, as the site would make them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension};

use super::scores::{ScoreKey, storable};
use crate::model::{AcceleratorInfo, Environment, Model, Run, RuntimeInfo, SystemInfo, Text};

/// The rows of the public lookup tables that a run refers to; null where the run does not know
/// what such a row must have.
#[allow(clippy::struct_field_names, reason = "as the columns are called")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Public {
    pub system_id: Option<i64>,
    pub accelerator_id: Option<i64>,
    pub model_variant_id: Option<i64>,
    pub runtime_id: Option<i64>,
}

impl Public {
    /// Finds or makes the rows, in the site's order and, like the site, with a statement that
    /// takes an id of the sequence even where the row is there: so the same runs get the same ids.
    ///
    /// The site sets the id to itself on a conflict; with foreign keys on, that makes SQLite search
    /// all runs for children, so another column is set to itself here.
    pub fn of(db: &Connection, known: &mut Known, run: &Run) -> rusqlite::Result<Self> {
        let Environment {
            runtime,
            system,
            accelerator,
        } = &run.environment;
        Ok(Self {
            system_id: system_id(db, known, system)?,
            accelerator_id: accelerator_id(db, known, accelerator)?,
            runtime_id: runtime_id(db, known, runtime)?,
            model_variant_id: match run.model() {
                Some(model) => model_variant_id(db, known, model)?,
                None => None,
            },
        })
    }

    /// Which of these rows are not those that a run of this environment and model refers to. What
    /// the run does not know may be anything.
    pub(crate) fn mismatched_rows(
        &self,
        db: &Connection,
        environment: &Environment,
        model: Option<&Model>,
    ) -> rusqlite::Result<Vec<&'static str>> {
        let mut mismatched = Vec::new();
        if let Some(row) = system_row(&environment.system)
            && !db
                .prepare_cached(
                    "SELECT 1 FROM benchmark_systems WHERE cpu_name = ?1 AND cpu_arch = ?2
                         AND ram_gb = ?3 AND kernel_type = ?4 AND kernel_release = ?5
                         AND system_version = ?6 AND id = ?7",
                )?
                .exists((row.0, row.1, row.2, row.3, row.4, row.5, self.system_id))?
        {
            mismatched.push("system");
        }
        if let Some(row) = accelerator_row(&environment.accelerator)
            && !db
                .prepare_cached(
                    "SELECT 1 FROM accelerators
                     WHERE name = ?1 AND type = ?2 AND memory_gb = ?3 AND id = ?4",
                )?
                .exists((row.0, row.1, row.2, self.accelerator_id))?
        {
            mismatched.push("accelerator");
        }
        if let Some(row) = runtime_row(&environment.runtime)
            && !db
                .prepare_cached(
                    "SELECT 1 FROM runtimes
                     WHERE name = ?1 AND version IS ?2 AND commit_hash IS ?3 AND id = ?4",
                )?
                .exists((row.0, row.1, row.2, self.runtime_id))?
        {
            mismatched.push("runtime");
        }
        if let Some(Model {
            model_name: Some(name),
            model_quant_str: Some(quant),
            model_n_params: Some(_),
            ..
        }) = model
            && !db
                .prepare_cached(
                    "SELECT 1 FROM model_variants v JOIN models m ON m.id = v.model_id
                     WHERE m.name = ?1 AND v.quantization = ?2 AND v.id = ?3",
                )?
                .exists((public_text(name), public_text(quant), self.model_variant_id))?
        {
            mismatched.push("model variant");
        }
        Ok(mismatched)
    }

    pub fn score_key(&self) -> Option<ScoreKey> {
        Some(ScoreKey {
            accelerator_id: self.accelerator_id?,
            model_variant_id: self.model_variant_id?,
        })
    }
}

/// Rows that were found or made in this transaction, and the ids that the sequences have still to
/// give for those that were found here again.
#[derive(Default)]
pub struct Known {
    rows: HashMap<(&'static str, Vec<u8>), i64>,
    taken: BTreeMap<&'static str, i64>,
}

impl Known {
    /// The id of the row with these values, which `upsert` finds or makes if it is not known.
    fn id(
        &mut self,
        db: &Connection,
        table: &'static str,
        values: &[&[u8]],
        upsert: impl FnOnce() -> rusqlite::Result<i64>,
    ) -> rusqlite::Result<i64> {
        let mut key = Vec::with_capacity(values.iter().map(|value| value.len() + 8).sum());
        for value in values {
            key.extend_from_slice(&value.len().to_le_bytes());
            key.extend_from_slice(value);
        }
        let key = (table, key);
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

    /// Brings the sequences up to date.
    pub fn write(self, db: &Connection) -> rusqlite::Result<()> {
        let mut taken = self.taken.into_iter();
        taken.try_for_each(|(table, taken)| take_ids(db, table, taken))
    }
}

/// Moves the sequence of a table on, as so many inserts would that find their row.
fn take_ids(db: &Connection, table: &str, count: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE sqlite_sequence SET seq = seq + ?2
         WHERE name = ?1 AND seq <= 9223372036854775807 - ?2",
    )?
    .execute((table, count))
    .map(drop)
}

/// The columns of a row of `benchmark_systems`; none if the run does not know one of them.
fn system_row(system: &SystemInfo) -> Option<(String, String, f64, String, String, String)> {
    Some((
        public_header(system.cpu_name.as_ref()?),
        public_header(system.cpu_arch.as_ref()?),
        storable(system.ram_gb?),
        public_header(system.kernel_type.as_ref()?),
        public_header(system.kernel_release.as_ref()?),
        public_header(system.version.as_ref()?),
    ))
}

fn system_id(
    db: &Connection,
    known: &mut Known,
    system: &SystemInfo,
) -> rusqlite::Result<Option<i64>> {
    let Some(row) = system_row(system) else {
        return Ok(None);
    };
    let ram_gb = row.2.to_le_bytes();
    let values = [&row.0, &row.1, &row.3, &row.4, &row.5].map(String::as_bytes);
    let values = [&values[..], &[&ram_gb]].concat();
    let upsert = || {
        db.prepare_cached(
            "INSERT INTO benchmark_systems
             (cpu_name, cpu_arch, ram_gb, kernel_type, kernel_release, system_version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (cpu_name, cpu_arch, ram_gb, kernel_type, kernel_release, system_version)
         DO UPDATE SET cpu_name = cpu_name
         RETURNING id",
        )?
        .query_row((&row.0, &row.1, row.2, &row.3, &row.4, &row.5), |row| {
            row.get(0)
        })
    };
    known.id(db, "benchmark_systems", &values, upsert).map(Some)
}

/// The columns of a row of `accelerators` that make it unique.
fn accelerator_row(info: &AcceleratorInfo) -> Option<(String, String, f64)> {
    Some((
        public_header(info.name.as_ref()?),
        public_header(info.kind.as_ref()?),
        storable(info.memory_gb?),
    ))
}

fn accelerator_id(
    db: &Connection,
    known: &mut Known,
    info: &AcceleratorInfo,
) -> rusqlite::Result<Option<i64>> {
    let Some((name, kind, memory_gb)) = accelerator_row(info) else {
        return Ok(None);
    };
    let values = [name.as_bytes(), kind.as_bytes(), &memory_gb.to_le_bytes()];
    let upsert = || {
        db.prepare_cached(
            "INSERT INTO accelerators (name, type, memory_gb, manufacturer)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name, type, memory_gb) DO UPDATE SET name = name
         RETURNING id",
        )?
        .query_row(
            (
                &name,
                &kind,
                memory_gb,
                info.manufacturer.as_ref().map(public_header),
            ),
            |row| row.get(0),
        )
    };
    known.id(db, "accelerators", &values, upsert).map(Some)
}

fn runtime_row(info: &RuntimeInfo) -> Option<(String, Option<String>, Option<String>)> {
    Some((
        public_header(info.name.as_ref()?),
        info.version.as_ref().map(public_header),
        info.commit.as_ref().map(public_header),
    ))
}

fn runtime_id(
    db: &Connection,
    known: &mut Known,
    info: &RuntimeInfo,
) -> rusqlite::Result<Option<i64>> {
    let Some(values) = runtime_row(info) else {
        return Ok(None);
    };
    let insert = || {
        db.prepare_cached(
            "INSERT INTO runtimes (name, version, commit_hash) VALUES (?1, ?2, ?3)
             ON CONFLICT (name, version, commit_hash) DO UPDATE SET name = name
             RETURNING id",
        )?
        .query_row((&values.0, &values.1, &values.2), |row| row.get(0))
    };
    let (Some(version), Some(commit)) = (&values.1, &values.2) else {
        // Null differs from null in a unique index: the site makes a new row each time.
        let found = db
            .prepare_cached(
                "SELECT id FROM runtimes WHERE name = ?1 AND version IS ?2 AND commit_hash IS ?3",
            )?
            .query_row((&values.0, &values.1, &values.2), |row| row.get(0))
            .optional()?;
        return match found {
            Some(id) => Ok(Some(id)),
            None => insert().map(Some),
        };
    };
    let key = [&values.0, version, commit].map(String::as_bytes);
    known.id(db, "runtimes", &key, insert).map(Some)
}

fn model_variant_id(
    db: &Connection,
    known: &mut Known,
    model: &Model,
) -> rusqlite::Result<Option<i64>> {
    let (Some(name), Some(quant), Some(params)) = (
        &model.model_name,
        &model.model_quant_str,
        model.model_n_params,
    ) else {
        return Ok(None);
    };
    let (name, quant) = (public_text(name), public_text(quant));
    let model_id = known.id(db, "models", &[name.as_bytes()], || {
        db.prepare_cached(
            "INSERT INTO models (name, params) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET name = name
             RETURNING id",
        )?
        .query_row((&name, public_params(params)), |row| row.get(0))
    })?;
    let key = [&model_id.to_le_bytes(), quant.as_bytes()];
    let upsert = || {
        db.prepare_cached(
            "INSERT INTO model_variants (model_id, quantization) VALUES (?1, ?2)
             ON CONFLICT (model_id, quantization) DO UPDATE SET quantization = quantization
             RETURNING id",
        )?
        .query_row((model_id, &quant), |row| row.get(0))
    };
    known.id(db, "model_variants", &key, upsert).map(Some)
}

/// The site has JavaScript's numbers: above 2^63 - 1 it stores a double.
fn public_params(params: u64) -> rusqlite::types::Value {
    #[allow(clippy::cast_precision_loss, reason = "as the site does")]
    i64::try_from(params).map_or_else(|_| (params as f64).into(), Into::into)
}

/// A string of the header for the public tables. The C tool prints it unescaped and the site reads
/// it as JSON, so an escape in it takes effect there; where it is none, it stays as it is.
fn public_header(text: &Text) -> String {
    let plain = public_text(text);
    if !plain.contains('\\') {
        return plain;
    }
    serde_json::from_str(&format!("\"{plain}\"")).unwrap_or(plain)
}

/// A string for the public tables: what a JSON reader makes of it, in UTF-8.
pub fn public_text(text: &Text) -> String {
    text.to_utf8().into_owned()
}

//! How a run is written into the public tables of the remote.

use std::collections::HashSet;

use rusqlite::types::Value as Sql;

use super::hrana::{Batch, Value};
use crate::model::{Field, Run, Test, Value as FieldValue};
use crate::store::{PUBLIC_TEST, PublicRun, public_text};

/// The number of tests per statement: that of a complete run of LocalScore.
const ROWS: usize = 9;

/// The ids of the rows that a run refers to, by their values ?1 to ?13. Those that it does not know
/// are null, and so are their ids.
const IDS: &str = "(SELECT id FROM benchmark_systems
        WHERE (cpu_name, cpu_arch, ram_gb, kernel_type, kernel_release, system_version)
            = (?1, ?2, ?3, ?4, ?5, ?6)),
    (SELECT id FROM accelerators WHERE (name, type, memory_gb) = (?7, ?8, ?9)),
    (SELECT id FROM runtimes WHERE name = ?10 AND version IS ?11 AND commit_hash IS ?12
        ORDER BY id LIMIT 1),
    (SELECT v.id FROM models m JOIN model_variants v ON v.model_id = m.id
        WHERE m.name = ?13 AND v.quantization = ?14)";

/// The columns that these ids, and the averages, are of.
const COLUMNS: &str = "system_id, accelerator_id, runtime_id, model_variant_id, avg_prompt_tps,
    avg_gen_tps, avg_ttft_ms, performance_score";

/// Writes runs into a batch, and remembers what it has made sure of.
#[derive(Default)]
pub(super) struct Writer {
    /// The rows of the lookup tables that are there.
    known: HashSet<Vec<u8>>,
    /// What the run that was inserted last refers to.
    last: Option<Vec<Value>>,
}

impl Writer {
    /// Inserts a run, which gets the next id.
    pub(super) fn insert(&mut self, batch: &mut Batch, run: &Run, created_at: &str) {
        let public = PublicRun::of(run);
        let header = self.header(batch, &public);
        let mut values: Vec<Value> = Vec::new();
        let ids = if self.last.as_ref() == Some(&header) {
            // Most runs are of one machine and one model.
            "system_id, accelerator_id, runtime_id, model_variant_id, ?1, ?2, ?3, ?4, ?5
             FROM benchmark_runs WHERE id = (SELECT max(id) FROM benchmark_runs)"
                .to_owned()
        } else {
            values.clone_from(&header);
            self.last = Some(header);
            format!("{IDS}, ?15, ?16, ?17, ?18, ?19")
        };
        values.extend(public.averages.map(Value::from));
        values.push(created_at.into());
        let sql = format!("INSERT INTO benchmark_runs ({COLUMNS}, created_at) SELECT {ids}");
        batch.then(sql, values);
        for tests in run.tests.chunks(ROWS) {
            let mut values = Vec::new();
            for test in tests {
                values.extend(test_values(test));
            }
            let width = values.len() / tests.len();
            let marks = vec!["?"; width].join(", ");
            let row = format!("((SELECT max(id) FROM benchmark_runs), {marks})");
            let rows = vec![row; tests.len()].join(", ");
            let columns = format!("benchmark_run_id, {PUBLIC_TEST}");
            batch.then(
                format!("INSERT INTO test_results ({columns}) VALUES {rows}"),
                values,
            );
        }
    }

    /// Puts a run in the place of the one of this id, whose tests are those of its fleet row.
    pub(super) fn replace(&mut self, batch: &mut Batch, id: i64, run: &Run) {
        let public = PublicRun::of(run);
        let mut values = self.header(batch, &public);
        values.extend(public.averages.map(Value::from));
        values.push(id.into());
        batch.then(
            format!(
                "UPDATE benchmark_runs SET ({COLUMNS}) = (SELECT {IDS}, ?15, ?16, ?17, ?18)
                 WHERE id = ?19"
            ),
            values,
        );
        for (place, test) in (0_i64..).zip(&run.tests) {
            let mut values: Vec<Value> = test_values(test).collect();
            let marks = vec!["?"; values.len()].join(", ");
            values.extend([place.into(), id.into()]);
            batch.then(
                format!(
                    "UPDATE test_results SET ({PUBLIC_TEST}) = ({marks})
                     WHERE (id, benchmark_run_id) =
                         (SELECT first_test + ?, run_id FROM localstore_fleet_runs WHERE run_id = ?)"
                ),
                values,
            );
        }
    }

    /// Makes sure of the rows that a run refers to; gives the values by which [`IDS`] finds them.
    fn header(&mut self, batch: &mut Batch, public: &PublicRun) -> Vec<Value> {
        let system = values(public.system.as_deref(), 6);
        let accelerator = values(public.accelerator.as_deref(), 4);
        let runtime = values(public.runtime.as_deref(), 3);
        let model = values(public.model.as_deref(), 3);
        if public.system.is_some() {
            self.ensure(
                batch,
                "INSERT INTO benchmark_systems
                     (cpu_name, cpu_arch, ram_gb, kernel_type, kernel_release, system_version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                &system,
            );
        }
        if public.accelerator.is_some() {
            self.ensure(
                batch,
                "INSERT INTO accelerators (name, type, memory_gb, manufacturer)
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                &accelerator,
            );
        }
        if public.runtime.is_some() {
            // Null differs from null in a unique index.
            self.ensure(
                batch,
                "INSERT INTO runtimes (name, version, commit_hash) SELECT ?1, ?2, ?3
                 WHERE NOT EXISTS (SELECT 1 FROM runtimes
                     WHERE name = ?1 AND version IS ?2 AND commit_hash IS ?3)",
                &runtime,
            );
        }
        if public.model.is_some() {
            self.ensure(
                batch,
                "INSERT INTO models (name, params) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                &model[..2],
            );
            self.ensure(
                batch,
                "INSERT INTO model_variants (model_id, quantization)
                 SELECT id, ?2 FROM models WHERE name = ?1 ON CONFLICT DO NOTHING",
                &[model[0].clone(), model[2].clone()],
            );
        }
        let parts = [&system[..], &accelerator[..3], &runtime[..]];
        let mut header = parts.concat();
        header.extend([model[0].clone(), model[2].clone()]);
        header
    }

    fn ensure(&mut self, batch: &mut Batch, sql: &'static str, values: &[Value]) {
        let key = format!("{sql}{values:?}").into_bytes();
        if self.known.insert(key) {
            batch.then(sql, values);
        }
    }
}

/// The values of a row of this many, all null where there is none.
fn values(row: Option<&[Sql]>, count: usize) -> Vec<Value> {
    let Some(row) = row else {
        return vec![Value::Null; count];
    };
    let values = row.iter().map(|value| match value {
        Sql::Null => Value::Null,
        Sql::Integer(value) => (*value).into(),
        Sql::Real(value) => finite(*value),
        Sql::Text(value) => value.as_str().into(),
        Sql::Blob(value) => value.as_slice().into(),
    });
    values.collect()
}

/// A number as the protocol can carry it.
fn finite(value: f64) -> Value {
    if value.is_finite() {
        value.into()
    } else {
        Value::Null
    }
}

/// The values of the columns [`PUBLIC_TEST`].
fn test_values(test: &Test) -> impl Iterator<Item = Value> {
    let fields = Field::named(PUBLIC_TEST).into_iter();
    fields.map(|field| match field.get(test) {
        FieldValue::Text(text) => public_text(text).into(),
        FieldValue::Integer(value) => value.into(),
        FieldValue::Number(value) => finite(value),
        FieldValue::Unsigned(_) | FieldValue::Missing => Value::Null,
    })
}

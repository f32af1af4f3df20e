//! How a run is written into the public tables of the remote.

use std::collections::HashSet;

use rusqlite::types::Value as Sql;

use super::hrana::{Batch, Value};
use crate::model::{Field, Run, Test, Value as FieldValue};
use crate::store::{PUBLIC_TEST, PublicRun, public_text};

/// The most values of a statement that inserts rows: a server reads and prepares each statement anew,
/// with all triggers, so many rows together cost it less.
const MOST_VALUES: usize = 1_000;

/// The id of the last run that was inserted, of which those of the others count back.
pub(super) const LAST: &str = "(SELECT max(run_id) FROM localstore_fleet_runs)";

/// Adds statements that insert rows of so many values, which stand one after the other. `sql` makes the
/// text from that of the table of the rows; ?1 is the value before them, if there is one.
pub(super) fn insert_rows(
    batch: &mut Batch,
    first: Option<&Value>,
    values: Vec<Value>,
    width: usize,
    sql: impl Fn(&str) -> String,
) {
    let mut rows = values.len() / width;
    let mut values = values.into_iter();
    let row = format!("({})", vec!["?"; width].join(","));
    while rows > 0 {
        let count = rows.min((MOST_VALUES / width).max(1));
        let table = format!("(VALUES {}) v", vec![row.as_str(); count].join(","));
        let values = values.by_ref().take(count * width);
        let values: Vec<Value> = first.cloned().into_iter().chain(values).collect();
        batch.then(sql(&table), values);
        rows -= count;
    }
}

/// The names that these columns of [`insert_rows`] have, from 1.
pub(super) fn columns(places: impl IntoIterator<Item = usize>) -> String {
    let columns = places.into_iter().map(|place| format!("v.column{place}"));
    columns.collect::<Vec<_>>().join(", ")
}

/// The ids of the rows that a run refers to, by their values ?1 to ?14. Those that it does not know
/// are null, and so are their ids.
const IDS: &str = "(SELECT id FROM benchmark_systems
        WHERE (cpu_name, cpu_arch, ram_gb, kernel_type, kernel_release, system_version)
            = (?1, ?2, ?3, ?4, ?5, ?6)),
    (SELECT id FROM accelerators WHERE (name, type, memory_gb) = (?7, ?8, ?9)),
    (SELECT id FROM runtimes WHERE name = ?10 AND version IS ?11 AND commit_hash IS ?12
        ORDER BY id LIMIT 1),
    (SELECT x.id FROM models m JOIN model_variants x ON x.model_id = m.id
        WHERE m.name = ?13 AND x.quantization = ?14)";

/// The columns that these ids, and the averages, are of.
const COLUMNS: &str = "system_id, accelerator_id, runtime_id, model_variant_id, avg_prompt_tps,
    avg_gen_tps, avg_ttft_ms, performance_score";

/// Writes runs into a batch, and remembers what it has made sure of.
#[derive(Default)]
pub(super) struct Writer {
    /// The rows of the lookup tables that are there.
    known: HashSet<Vec<u8>>,
}

/// A run that is inserted.
pub(super) struct New<'a> {
    /// How far before [`LAST`] its id is.
    pub(super) before: i64,
    pub(super) run: &'a Run,
    pub(super) created_at: &'a str,
}

impl Writer {
    /// Inserts runs, whose rows of the fleet are there.
    pub(super) fn insert(&mut self, batch: &mut Batch, runs: &[New<'_>]) {
        // Most runs are of few machines and models: what others refer to is looked up once.
        let mut headers: Vec<&New<'_>> = Vec::new();
        let mut first: Vec<Value> = Vec::new();
        let mut like: Vec<Value> = Vec::new();
        let mut tests: Vec<Value> = Vec::new();
        let fields = Field::named(PUBLIC_TEST);
        for new in runs {
            let public = PublicRun::of(new.run);
            let same = headers.iter().find(|other| {
                (other.run.model(), &other.run.environment)
                    == (new.run.model(), &new.run.environment)
            });
            let row = if let Some(same) = same {
                like.push(same.before.into());
                &mut like
            } else {
                headers.push(new);
                first.extend(self.header(batch, &public));
                &mut first
            };
            row.extend(public.averages.map(Value::from));
            row.extend([new.created_at.into(), new.before.into()]);
            for test in &new.run.tests {
                tests.extend(test_values(&fields, test));
                tests.push(new.before.into());
            }
        }
        let insert = format!("INSERT INTO benchmark_runs ({COLUMNS}, created_at, id) SELECT");
        let ids = IDS.replace('?', "v.column");
        insert_rows(batch, None, first, 20, |table| {
            format!(
                "{insert} {ids}, {}, {LAST} - v.column20 FROM {table}",
                columns(15..20)
            )
        });
        insert_rows(batch, None, like, 7, |table| {
            let ids = "b.system_id, b.accelerator_id, b.runtime_id, b.model_variant_id";
            format!(
                "{insert} {ids}, {}, {LAST} - v.column7
                 FROM {table} CROSS JOIN benchmark_runs b ON b.id = {LAST} - v.column1",
                columns(2..7)
            )
        });
        let width = fields.len() + 1;
        insert_rows(batch, None, tests, width, |table| {
            format!(
                "INSERT INTO test_results ({PUBLIC_TEST}, benchmark_run_id)
                 SELECT {}, {LAST} - v.column{width} FROM {table}",
                columns(1..width)
            )
        });
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
        let fields = Field::named(PUBLIC_TEST);
        for (place, test) in (0_i64..).zip(&run.tests) {
            let mut values: Vec<Value> = test_values(&fields, test).collect();
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
fn test_values(fields: &[Field], test: &Test) -> impl Iterator<Item = Value> {
    fields.iter().map(|field| match field.get(test) {
        FieldValue::Text(text) => public_text(text).into(),
        FieldValue::Integer(value) => value.into(),
        FieldValue::Number(value) => finite(value),
        FieldValue::Unsigned(_) | FieldValue::Missing => Value::Null,
    })
}

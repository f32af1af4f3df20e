//! Runs that the LocalScore web site has inserted into the remote, of which only the public tables know.

use base::{Error, Result};

use super::hrana::{Answer, Batch, Row, Value};
use crate::model::{Environment, Field, HeaderField, Kind, NewValue, Run, Source, Test};
use crate::store::foreign::Foreign;
use crate::store::{CREATED_AT, Dated, ForeignRun, Measured, PUBLIC_TEST};

/// A run of the web site: its id, and the id before that of its first test, if its tests follow one another.
#[derive(Debug, Clone, Copy)]
pub(super) struct SiteId {
    pub(super) run: i64,
    pub(super) tests_after: Option<i64>,
}

impl SiteId {
    /// A run, and the detail of its line in the log.
    pub(super) fn new(run: i64, detail: Option<&[u8]>) -> Self {
        let after = detail.and_then(|detail| std::str::from_utf8(detail).ok());
        let tests_after = after.and_then(|after| after.parse().ok());
        Self { run, tests_after }
    }
}

/// The most runs of a request, and the most tests of a run.
pub(super) const MOST_RUNS: usize = 32;
const MOST_TESTS: usize = 10_000;

/// The tests of the run ?1 that follow one another behind the id ?2.
const TOGETHER: &str = "WHERE benchmark_run_id = ?1 AND id > ?2 AND id < coalesce(
        (SELECT id FROM test_results WHERE id > ?2 AND benchmark_run_id IS NOT ?1
         ORDER BY id LIMIT 1), 9223372036854775807)";

/// Asks for runs, each with two steps.
pub(super) fn ask_for(batch: &mut Batch, ids: &[SiteId]) {
    for id in ids {
        batch.then(head(), [id.run.into()]);
        let (condition, values) = match id.tests_after {
            Some(after) => (TOGETHER, vec![id.run.into(), after.into()]),
            None => ("WHERE benchmark_run_id = ?1", vec![id.run.into()]),
        };
        let columns = PUBLIC_TEST.replacen("name", "CAST(name AS BLOB)", 1);
        let limit = MOST_TESTS + 1;
        batch.then(
            format!("SELECT {columns} FROM test_results {condition} ORDER BY id LIMIT {limit}"),
            values,
        );
    }
}

/// The row of a run with the rows that it refers to: its date twice, the fields of the header in their
/// order, and the model.
fn head() -> String {
    let text = |column: &str| format!("CAST({column} AS BLOB)");
    let names = [
        text("r.name"),
        text("r.version"),
        text("r.commit_hash"),
        text("s.cpu_name"),
        text("s.cpu_arch"),
        "s.ram_gb".to_owned(),
        text("s.kernel_type"),
        text("s.kernel_release"),
        text("s.system_version"),
        text("a.name"),
        text("a.manufacturer"),
        "a.memory_gb".to_owned(),
        text("a.type"),
        text("m.name"),
        text("v.quantization"),
        "m.params".to_owned(),
    ];
    format!(
        "SELECT {CREATED_AT}, unixepoch({CREATED_AT}), {}
         FROM benchmark_runs b
         LEFT JOIN runtimes r ON r.id = b.runtime_id
         LEFT JOIN benchmark_systems s ON s.id = b.system_id
         LEFT JOIN accelerators a ON a.id = b.accelerator_id
         LEFT JOIN model_variants v ON v.id = b.model_variant_id
         LEFT JOIN models m ON m.id = v.model_id
         WHERE b.id = ?1",
        names.join(", ")
    )
}

/// The run of a step and the next one; `None` if it is not there.
pub(super) fn run(answer: &Answer, step: usize) -> Result<Option<Foreign>> {
    let Some(row) = answer.rows(step).next() else {
        return Ok(None);
    };
    let created_at = row.text(0, "created_at")?.to_owned();
    let measured = Measured::known(row.integer(1, "created_at")?);
    let mut environment = Environment::default();
    for (field, place) in HeaderField::ALL.iter().zip(2..) {
        let value = value(row, place, field.kind(), field.name())?;
        field.set(&mut environment, value);
    }
    let mut model = Test::default();
    let fields = [
        (Field::ModelName, 15),
        (Field::ModelQuantStr, 16),
        (Field::ModelNParams, 17),
    ];
    for (field, place) in fields {
        // What the site makes of a number that JavaScript does not hold.
        if matches!(row.get(place), Value::Real(_)) {
            continue;
        }
        field.set(&mut model, value(row, place, field.kind(), field.name())?);
    }
    let fields = Field::named(PUBLIC_TEST);
    let mut tests = Vec::new();
    for row in answer.rows(step + 1) {
        let mut test = Test {
            model: model.model.clone(),
            ..Test::default()
        };
        for (&field, place) in fields.iter().zip(0..) {
            let value = value(row, place, field.kind(), field.name())?;
            if !field.set(&mut test, value) {
                return Err(Error::new(field.name(), "out of range"));
            }
        }
        tests.push(test);
    }
    if tests.is_empty() {
        return Err(Error::plain("it has no tests"));
    }
    if tests.len() > MOST_TESTS {
        return Err(Error::plain(format!("it has more than {MOST_TESTS} tests")));
    }
    let run = Run {
        environment,
        tests,
        source: Source::Site,
        ..Run::default()
    };
    Ok(Some(Foreign::Run(ForeignRun {
        dated: Dated { run, measured },
        created_at,
        tags: Vec::new(),
        submission: None,
    })))
}

/// The value of a field of this kind.
fn value(row: Row<'_>, place: usize, kind: Kind, name: &str) -> Result<Option<NewValue>> {
    if *row.get(place) == Value::Null {
        return Ok(None);
    }
    Ok(Some(match kind {
        Kind::Text => NewValue::Text(row.blob(place, name)?.to_vec().into()),
        Kind::Integer | Kind::Unsigned => NewValue::Integer(row.integer(place, name)?.into()),
        Kind::Number => NewValue::Number(row.real(place, name)?),
    }))
}

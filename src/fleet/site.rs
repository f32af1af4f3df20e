//! Runs that the LocalScore web site has inserted into the remote, of which only the public tables know
//! until a store gives them a row of the fleet.

use base::{Error, Result};

use super::hrana::{self, Answer, Batch, Remote, Row, Value};
use super::known::Item;
use super::push::{COLUMNS, MOST_BODY, MOST_BYTES, row};
use super::remote::{State, WRITES, ask, failure};
use crate::formats::grouping::MAX_TESTS;
use crate::model::{Environment, Field, HeaderField, Kind, NewValue, Run, Source, Test};
use crate::store::foreign::Foreign;
use crate::store::members::More;
use crate::store::{CREATED_AT, Dated, ForeignRun, LOST, Measured, PUBLIC_TEST};

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

/// The most runs of a request.
pub(super) const MOST_RUNS: usize = 32;

/// The tests of the run ?1 that follow one another somewhere behind the id ?2.
const TOGETHER: &str = "WHERE benchmark_run_id = ?1 AND id > ?2 AND id < coalesce(
        (SELECT id FROM test_results WHERE benchmark_run_id IS NOT ?1 AND id >
            (SELECT id FROM test_results WHERE id > ?2 AND benchmark_run_id = ?1
             ORDER BY id LIMIT 1)
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
        let limit = MAX_TESTS + 1;
        batch.then(
            format!("SELECT {columns} FROM test_results {condition} ORDER BY id LIMIT {limit}"),
            values,
        );
    }
}

/// The most runs that are taken up together, each looked at once.
const MOST_TAKEN: usize = 256;

/// How often they are asked for anew because others have taken up the same ones meanwhile.
const MOST_ATTEMPTS: usize = 20;

/// Gives rows of the fleet to the runs that the web site has inserted since a store has done so last: so
/// they are found, and completed instead of doubled, when a store sends them too. `tell` is given how many
/// were looked at, and of how many. A run that cannot be read, which `pull` names, gets none.
pub(super) fn take_up(
    remote: &Remote,
    state: &State,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let mut attempts = 0;
    let mut taken = 0;
    let mut furthest = i64::MIN;
    while taken < state.site_runs && attempts < MOST_ATTEMPTS {
        let mut batch = Batch::read();
        let step = batch.then(
            format!(
                "SELECT f.site_change, l.change, l.run_id, CAST(l.detail AS BLOB)
                 FROM localstore_fleet f JOIN localstore_fleet_log l ON l.change > f.site_change
                 WHERE l.store IS NULL ORDER BY l.change LIMIT {MOST_TAKEN}"
            ),
            [],
        );
        let answer = ask(remote, &batch)?;
        let mut ids = Vec::new();
        let mut before = 0;
        for row in answer.rows(step) {
            before = row.integer(0, "site_change")?;
            let detail = match row.get(3) {
                Value::Blob(detail) => Some(detail.as_slice()),
                _ => None,
            };
            let id = SiteId::new(row.integer(2, "run_id")?, detail);
            ids.push((row.integer(1, "change")?, id));
        }
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut upto = before;
        let mut count = 0;
        let mut left = &ids[..];
        let mut most = MOST_RUNS;
        while !left.is_empty() {
            let (part, rest) = left.split_at(most.min(left.len()));
            let only: Vec<SiteId> = part.iter().map(|(_, id)| *id).collect();
            let mut batch = Batch::read();
            ask_for(&mut batch, &only);
            let answer = match ask(remote, &batch) {
                // Anybody may post to a web site: a run that is too large stops no others.
                Err(failure) if failure.kind == hrana::Kind::TooLarge && part.len() > 1 => {
                    most = part.len() / 2;
                    continue;
                }
                Err(failure) if failure.kind == hrana::Kind::TooLarge => None,
                answer => Some(answer?),
            };
            left = rest;
            for (&(change, id), step) in part.iter().zip((0..).step_by(2)) {
                let foreign = answer.as_ref().and_then(|answer| run(answer, step).ok());
                let foreign = foreign.flatten();
                let item = foreign.and_then(|foreign| item(id.run, foreign));
                bytes += item.as_ref().map_or(0, |item| item.encoded.body.len());
                if bytes <= MOST_BYTES {
                    items.extend(item);
                    upto = change;
                    count += 1;
                }
            }
        }
        // Further on each time: else there would be no end.
        if count == 0 || upto <= furthest {
            break;
        }
        let mut batch = Batch::write();
        let guard = batch.then(
            "UPDATE localstore_fleet SET site_change =
                 CASE WHEN id = ?1 AND writes_from <= ?2 AND site_change = ?3 THEN ?4 END",
            [
                state.id.to_vec().into(),
                WRITES.into(),
                before.into(),
                upto.into(),
            ],
        );
        for item in &items {
            give_row(&mut batch, item);
        }
        let answer = remote.run(&batch)?;
        match &answer.failed {
            None => {
                furthest = upto;
                taken += count;
                tell(taken, state.site_runs);
                attempts = 0;
            }
            // Another store has taken them up, or only its primary knows that yet.
            Some(failed) if failed.step == Some(guard) => attempts += 1,
            Some(failed) => return Err(failure(remote, failed)),
        }
    }
    Ok(())
}

/// A run of this id there, ready to be stored; `None` for one that is too large.
fn item(id: i64, foreign: Foreign) -> Option<Item> {
    let item = Item::new(id, foreign).ok()?;
    (item.encoded.body.len() <= MOST_BODY).then_some(item)
}

/// Inserts the row of a run, unless the run was deleted or has one.
fn give_row(batch: &mut Batch, item: &Item) {
    let mut values = row(item);
    let marks: Vec<String> = (1..=values.len())
        .map(|place| format!("?{place}"))
        .collect();
    let id = values.len() + 1;
    values.push(item.id.into());
    batch.then(
        format!(
            "INSERT OR IGNORE INTO localstore_fleet_runs (run_id, first_test, {COLUMNS})
             SELECT b.id, (SELECT min(t.id) FROM test_results t
                 WHERE t.id > l.detail AND t.benchmark_run_id = b.id), {}
             FROM benchmark_runs b JOIN localstore_fleet_log l ON l.run_id = b.id AND l.store IS NULL
             WHERE b.id = ?{id} LIMIT 1",
            marks.join(", ")
        ),
        values,
    );
}

/// The row of a run with the rows that it refers to: its date twice, the fields of the header in their
/// order, the model, and which of these rows is not there.
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
        LOST.to_owned(),
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
    if let Value::Text(lost) = row.get(18) {
        return Err(Error::plain(format!("the row of its {lost} is missing")));
    }
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
            if value.is_none() && [Field::Name, Field::NPrompt, Field::NGen].contains(&field) {
                return Err(Error::new(field.name(), "is null"));
            }
            if !field.set(&mut test, value) {
                return Err(Error::new(field.name(), "out of range"));
            }
        }
        tests.push(test);
    }
    if tests.is_empty() {
        return Err(Error::plain("it has no tests"));
    }
    if tests.len() > MAX_TESTS {
        return Err(Error::plain(format!("it has more than {MAX_TESTS} tests")));
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
        more: More::default(),
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

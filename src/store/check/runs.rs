//! Each run: its tests, what is computed from them, and its rows in the public tables.

use db::reason;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Row, Rows};

use super::headers::Headers;
use super::mend::Fix;
use super::{Finding, Totals, Watch};
use crate::model::{Run, Source, Test};
use crate::store::fingerprint::{core, fingerprint};
use crate::store::own::{self, read_test};
use crate::store::public::{Public, public_text};
use crate::store::rows::{self, CREATED_AT, Cells, Columns};
use crate::store::scores::storable;

const RUNS: &str =
    "SELECT r.run_id, r.fingerprint, r.core, r.poor, r.partial, r.model_id, r.source,
        e.id IS NOT NULL, b.id IS NOT NULL, CAST(b.avg_prompt_tps AS REAL),
        CAST(b.avg_gen_tps AS REAL), CAST(b.avg_ttft_ms AS REAL),
        CAST(b.performance_score AS REAL), r.score IS CAST(b.performance_score AS REAL),
        c.id IS NOT NULL AND c.model_name IS m.model_name
            AND c.model_quant_str IS m.model_quant_str
            AND c.accelerator_name IS e.accelerator_name AND c.runtime_name IS e.runtime_name,
        b.system_id, b.accelerator_id, b.model_variant_id, b.runtime_id, r.environment_id
    FROM localstore_runs r
    LEFT JOIN benchmark_runs b ON b.id = r.run_id
    LEFT JOIN localstore_environments e ON e.id = r.environment_id
    LEFT JOIN localstore_models m ON m.id = r.model_id
    LEFT JOIN localstore_configurations c ON c.id = r.configuration_id
    ORDER BY r.run_id";

/// Behind those of `localstore_tests t` and `localstore_models m`.
const MORE_COLUMNS: &str = "t.run_id, t.position, t.model_id, m.id IS NOT NULL, p.benchmark_run_id,
    p.name, CAST(p.n_prompt AS INTEGER), CAST(p.n_gen AS INTEGER), p.avg_time_ms, p.power_watts,
    p.prompt_tps, p.gen_tps, p.prompt_tps_watt, p.gen_tps_watt, p.ttft_ms";
const MORE: usize = 31;

/// The averages of `benchmark_runs`, in the order of [`RUNS`].
const AVERAGES: [&str; 4] = [
    "avg_prompt_tps",
    "avg_gen_tps",
    "avg_ttft_ms",
    "performance_score",
];

/// How many runs lie between two reports of progress.
const STEP: u64 = 1000;

pub fn check(db: &Connection, watch: &mut dyn Watch) -> rusqlite::Result<Totals> {
    let mut totals = Totals::default();
    let mut runs = db.prepare(RUNS)?;
    let mut runs = runs.query([])?;
    let mut statement = db.prepare(&format!(
        "SELECT t.*, m.*, {MORE_COLUMNS}
         FROM localstore_tests t
         LEFT JOIN localstore_models m ON m.id = t.model_id
         LEFT JOIN test_results p ON p.id = t.test_result_id
         ORDER BY t.run_id, t.position"
    ))?;
    let columns = Columns::of(&statement);
    let mut tests = Tests::new(&columns, statement.query([])?)?;
    let mut headers = Headers::default();
    let mut last = 0;
    let mut published = 0;
    while let Some(row) = runs.next()? {
        let id = row.get(0)?;
        tests.skip_to(Some(id), watch)?;
        let mut own = Vec::new();
        while let Some(test) = tests.take(id)? {
            own.push(test);
        }
        totals.runs += 1;
        totals.tests += own.len() as u64;
        published += own
            .iter()
            .filter(|test| test.published_in == Some(id))
            .count() as u64;
        last = id;
        check_run(db, row, id, own, &mut headers, watch)?;
        if totals.runs.is_multiple_of(STEP) {
            watch.progress(totals.runs);
        }
    }
    tests.skip_to(None, watch)?;
    others(db, last, published, watch)?;
    Ok(totals)
}

/// The tests in their order, of which the next one is at hand.
struct Tests<'a> {
    columns: &'a Columns,
    rows: Rows<'a>,
    next: Option<Stored>,
}

/// A test as it is stored.
struct Stored {
    run_id: i64,
    position: i64,
    model_id: Option<i64>,
    has_model: bool,
    /// The run that the public row belongs to.
    published_in: Option<i64>,
    /// What cannot be read.
    test: Result<Test, String>,
    /// The columns of the public row that differ.
    differs: Vec<&'static str>,
}

impl<'a> Tests<'a> {
    fn new(columns: &'a Columns, rows: Rows<'a>) -> rusqlite::Result<Self> {
        let mut tests = Self {
            columns,
            rows,
            next: None,
        };
        tests.advance()?;
        Ok(tests)
    }

    fn advance(&mut self) -> rusqlite::Result<Option<Stored>> {
        let next = self.rows.next()?;
        let next = next
            .map(|row| Stored::read(self.columns, row))
            .transpose()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// The next test, if it is one of this run.
    fn take(&mut self, run_id: i64) -> rusqlite::Result<Option<Stored>> {
        match &self.next {
            Some(test) if test.run_id == run_id => self.advance(),
            _ => Ok(None),
        }
    }

    /// Passes over the tests of runs before this one, which are not there.
    fn skip_to(&mut self, run_id: Option<i64>, watch: &mut dyn Watch) -> rusqlite::Result<()> {
        let mut last = None;
        while let Some(test) = &self.next {
            if run_id.is_some_and(|run_id| test.run_id >= run_id) {
                break;
            }
            if last.replace(test.run_id) != Some(test.run_id) {
                let place = format!("run {}", test.run_id);
                watch.found(Finding::new(place, "has tests, but there is no such run"));
            }
            self.advance()?;
        }
        Ok(())
    }
}

impl Stored {
    fn read(columns: &Columns, row: &Row<'_>) -> rusqlite::Result<Self> {
        let test = match read_test(Cells::new(columns, row)) {
            Ok(test) => Ok(test),
            Err(error @ Error::SqliteFailure(..)) => return Err(error),
            Err(error) => Err(reason(&error)),
        };
        let published_in: Option<i64> = row.get(MORE + 4)?;
        let differs = match (&test, published_in) {
            (Ok(test), Some(_)) => differences(row, test)?,
            _ => Vec::new(),
        };
        let samples_are_lost = |test: &Test| {
            let stored = row.get_ref(18).is_ok_and(|v| v != ValueRef::Null);
            stored && test.samples_ns.is_none()
        };
        Ok(Self {
            run_id: row.get(MORE)?,
            position: row.get(MORE + 1)?,
            model_id: row.get(MORE + 2)?,
            has_model: row.get(MORE + 3)?,
            published_in,
            test: test.and_then(|test| {
                if samples_are_lost(&test) {
                    Err("samples_ns is no list of integers".to_owned())
                } else {
                    Ok(test)
                }
            }),
            differs,
        })
    }
}

/// The columns of the public row of a test that do not hold its values.
fn differences(row: &Row<'_>, test: &Test) -> rusqlite::Result<Vec<&'static str>> {
    let mut differs = Vec::new();
    let name = rows::text(row.get_ref(MORE + 5)?).unwrap_or_default();
    if name.to_utf8() != public_text(&test.name) {
        differs.push("name");
    }
    let tokens = [("n_prompt", test.n_prompt), ("n_gen", test.n_gen)];
    for (index, (column, value)) in tokens.into_iter().enumerate() {
        if row
            .get::<_, Option<i64>>(MORE + 6 + index)?
            .unwrap_or_default()
            != value
        {
            differs.push(column);
        }
    }
    for (index, (column, value)) in public_numbers(test).into_iter().enumerate() {
        let published = rows::number(row.get_ref(MORE + 8 + index)?);
        if published != value.filter(|value| !value.is_nan()) {
            differs.push(column);
        }
    }
    Ok(differs)
}

/// The numbers of a test that `test_results` has too.
fn public_numbers(test: &Test) -> [(&'static str, Option<f64>); 7] {
    [
        ("avg_time_ms", test.avg_time_ms),
        ("power_watts", test.power_watts),
        ("prompt_tps", test.prompt_tps),
        ("gen_tps", test.gen_tps),
        ("prompt_tps_watt", test.prompt_tps_watt),
        ("gen_tps_watt", test.gen_tps_watt),
        ("ttft_ms", test.ttft_ms),
    ]
}

fn check_run(
    db: &Connection,
    row: &Row<'_>,
    id: i64,
    stored: Vec<Stored>,
    headers: &mut Headers,
    watch: &mut dyn Watch,
) -> rusqlite::Result<()> {
    let place = format!("run {id}");
    let mut found = |what: String| watch.found(Finding::new(&*place, what).fix(Fix::Run(id)));

    let mut tests = Vec::with_capacity(stored.len());
    let first_model = stored.first().and_then(|test| test.model_id);
    let mut beyond_repair = Vec::new();
    for (expected, test) in (0..).zip(stored) {
        let position = test.position;
        if position != expected {
            beyond_repair.push(format!("test {expected} is missing"));
            break;
        }
        if !test.has_model {
            beyond_repair.push(format!(
                "test {position}: its model is not in localstore_models"
            ));
        }
        match test.published_in {
            Some(run) if run == id => {
                for column in test.differs {
                    found(format!("test {position}: {column} differs in test_results"));
                }
            }
            _ => found(format!("test {position} has no row in test_results")),
        }
        match test.test {
            Ok(test) => tests.push(test),
            Err(why) => beyond_repair.push(format!("test {position} cannot be read: {why}")),
        }
    }
    let text = rows::text(row.get_ref(6)?).unwrap_or_default();
    let source = Source::from_name(&text.display());
    if source.is_none() {
        beyond_repair.push(format!("source is '{}'", text.display()));
    }
    if !row.get::<_, bool>(7)? {
        beyond_repair.push("its header is not in localstore_environments".to_owned());
    }
    if !beyond_repair.is_empty() {
        for what in beyond_repair {
            watch.found(Finding::new(&*place, what));
        }
        return Ok(());
    }

    let run = if tests.is_empty() {
        own::read(db, id)?
    } else {
        Run {
            source: source.unwrap_or_default(),
            tests,
            ..Run::default()
        }
    };
    let computed = [
        ("the fingerprint", 1, ValueRef::Blob(&fingerprint(&run))),
        ("core", 2, ValueRef::Blob(&core(&run))),
        ("poor", 3, ValueRef::Integer(run.is_poor().into())),
        ("partial", 4, ValueRef::Integer(run.is_partial().into())),
        (
            "model_id",
            5,
            first_model.map_or(ValueRef::Null, ValueRef::Integer),
        ),
    ];
    for (column, index, computed) in computed {
        if row.get_ref(index)? != computed {
            found(format!("{column} does not fit the tests"));
        }
    }
    if !row.get::<_, bool>(14)? {
        found("configuration_id does not fit its model, accelerator and runtime".to_owned());
    }
    if !row.get::<_, bool>(8)? {
        found("has no row in benchmark_runs".to_owned());
        return Ok(());
    }
    for stranger in headers.strangers(
        db,
        Public {
            system_id: row.get(15)?,
            accelerator_id: row.get(16)?,
            model_variant_id: row.get(17)?,
            runtime_id: row.get(18)?,
        },
        row.get(19)?,
        (row.get(5)?, run.model()),
    )? {
        found(format!("{stranger}: benchmark_runs refers to another one"));
    }
    if !row.get::<_, bool>(13)? {
        found("score differs from that in benchmark_runs".to_owned());
    }
    // What the site has computed is the site's.
    if run.source != Source::Site {
        averages(row, &run, &mut found)?;
    }
    Ok(())
}

/// The averages in `benchmark_runs` against those of the tests.
fn averages(row: &Row<'_>, run: &Run, found: &mut dyn FnMut(String)) -> rusqlite::Result<()> {
    let summary = run.summary();
    let computed = [
        summary.avg_prompt_tps,
        summary.avg_gen_tps,
        summary.avg_ttft_ms,
        summary.performance_score,
    ];
    for (index, (column, computed)) in AVERAGES.into_iter().zip(computed).enumerate() {
        let (stored, computed) = (row.get::<_, f64>(9 + index)?, storable(computed));
        if !is_same(stored, computed) {
            found(format!("{column} is {stored}, by its tests {computed}"));
        }
    }
    Ok(())
}

/// The cube root in the score has another last digit on another system.
fn is_same(stored: f64, computed: f64) -> bool {
    (stored - computed).abs() <= 1e-12 * computed.abs()
}

/// What belongs to no run of ours. Behind our last run lies what the site has inserted since.
fn others(
    db: &Connection,
    last: i64,
    published: u64,
    watch: &mut dyn Watch,
) -> rusqlite::Result<()> {
    let each = |sql: &str, found: &mut dyn FnMut(i64, String)| -> rusqlite::Result<()> {
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([last])?;
        while let Some(row) = rows.next()? {
            let name = rows::text(row.get_ref(1)?).unwrap_or_default();
            found(row.get(0)?, name.display().into_owned());
        }
        Ok(())
    };
    each(
        "SELECT b.id, NULL FROM benchmark_runs b WHERE b.id <= ?1
             AND NOT EXISTS (SELECT 1 FROM localstore_runs r WHERE r.run_id = b.id)",
        &mut |id, _| {
            let what = "is in benchmark_runs, but not in localstore_runs";
            watch.found(Finding::new(format!("run {id}"), what));
        },
    )?;
    each(
        &format!("SELECT b.id, NULL FROM benchmark_runs b WHERE ?1 >= 0 AND {CREATED_AT} IS NULL"),
        &mut |id, _| {
            let finding = Finding::new(format!("run {id}"), "created_at is no date");
            watch.found(finding.fix(Fix::Run(id)));
        },
    )?;
    each(
        "SELECT t.run_id, t.tag FROM localstore_tags t
         WHERE ?1 >= 0 AND NOT EXISTS (SELECT 1 FROM localstore_runs r WHERE r.run_id = t.run_id)",
        &mut |id, tag| {
            let what = format!("has the tag '{tag}', but there is no such run");
            watch.found(Finding::new(format!("run {id}"), what).fix(Fix::Orphans));
        },
    )?;
    let all: u64 = db.query_row(
        "SELECT count(*) FROM test_results WHERE benchmark_run_id <= ?1",
        [last],
        |row| row.get(0),
    )?;
    if all > published {
        each(
            "SELECT p.id, p.benchmark_run_id FROM test_results p WHERE p.benchmark_run_id <= ?1
                 AND EXISTS (SELECT 1 FROM benchmark_runs b WHERE b.id = p.benchmark_run_id)
                 AND NOT EXISTS (SELECT 1 FROM localstore_tests t
                                 WHERE t.run_id = p.benchmark_run_id AND t.test_result_id = p.id)",
            &mut |id, _| {
                let what = "is no test of the run that it refers to";
                watch.found(Finding::new(format!("test_results {id}"), what));
            },
        )?;
    }
    Ok(())
}

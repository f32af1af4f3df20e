//! Each run: what is derived from its tests, against what is stored, and deriving it again.

use std::collections::HashSet;

use db::{is_about_a_value, reason, refused};
use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{Connection, Rows};

use super::{Finding, Fix, Totals, Watch, bench};
use crate::model::{Field, Model, Run, Source, Test, Tool, Value};
use crate::store::bench as store_bench;
use crate::store::fingerprint::Keys;
use crate::store::own::{
    self, ENVIRONMENT, MODEL, RunReader, TEST_COLUMNS, TESTS_AND_MODELS, read_model,
};
use crate::store::public::{Known, Public};
use crate::store::rows::{CREATED_AT, Cells, Columns, Odd};
use crate::store::runs::{Measured, PUBLIC, replace};
use crate::store::scores::{is_near, storable};
use crate::store::site::public_test;

/// The columns are in the order in which they are read, as reading by name is fastest then.
const RUNS: &str = "r.fingerprint, r.core, r.poor, r.partial, r.measured_guessed,
        r.model_id IS (SELECT t.model_id FROM localstore_tests t
                       WHERE t.run_id = r.run_id AND t.position = 0) AS model_fits,
        c.id IS NOT NULL AND c.model_name IS m.model_name
            AND c.model_quant_str IS m.model_quant_str
            AND c.accelerator_name IS e.accelerator_name
            AND c.runtime_name IS e.runtime_name AND c.tool IS r.tool AS configuration_fits,
        b.id IS NOT NULL AS is_published, b.system_id, b.accelerator_id, b.model_variant_id,
        b.runtime_id, r.environment_id, r.model_id,
        r.score IS CAST(b.performance_score AS REAL) AS score_fits,
        CAST(b.avg_prompt_tps AS REAL) AS avg_prompt_tps,
        CAST(b.avg_gen_tps AS REAL) AS avg_gen_tps, CAST(b.avg_ttft_ms AS REAL) AS avg_ttft_ms,
        CAST(b.performance_score AS REAL) AS performance_score, r.configuration_id, r.score
    FROM localstore_runs r
    LEFT JOIN benchmark_runs b ON b.id = r.run_id
    LEFT JOIN localstore_environments e ON e.id = r.environment_id
    LEFT JOIN localstore_models m ON m.id = r.model_id
    LEFT JOIN localstore_configurations c ON c.id = r.configuration_id
    ORDER BY r.run_id";

/// How many runs lie between two reports of progress.
const STEP: u64 = 1000;

pub(super) fn check(
    db: &Connection,
    watch: &mut Watch<'_>,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!(
        "SELECT r.run_id, e.id IS NOT NULL AS has_environment, r.source, r.tool, {}, {RUNS}",
        qualified("e", ENVIRONMENT)
    ))?;
    let columns = Columns::of(&statement);
    let mut rows = statement.query([])?;
    let mut tests = db.prepare(&format!(
        "SELECT t.run_id, {TEST_COLUMNS}, {}, p.id IS NOT NULL AS is_there,
             ({}) IS ({}) AS is_same, t.test_result_id
         FROM {TESTS_AND_MODELS}
         LEFT JOIN test_results p ON p.id = t.test_result_id AND p.benchmark_run_id = t.run_id
         ORDER BY t.run_id, t.position",
        qualified("m", MODEL),
        qualified("t", PUBLIC),
        qualified("p", PUBLIC)
    ))?;
    let mut checker = Checker {
        db,
        test_columns: Columns::of(&tests),
        tests: tests.query([])?,
        headers: HashSet::new(),
    };
    checker.tests.advance()?;
    let mut last = 0;
    let mut published = 0;
    while let Some(row) = rows.next()? {
        let cells = Cells::of_any(&columns, row, Odd::Refused);
        last = cells.get("run_id")?;
        let checked = checker.check(cells, last)?;
        totals.runs += 1;
        totals.tests += checked.tests;
        published += checked.published;
        for what in checked.flaws {
            let mut finding = Finding::new(format!("run {last}"), what);
            if checked.is_mendable {
                finding = finding.fix(Fix::Run(last));
            }
            (watch.found)(finding);
        }
        if totals.runs.is_multiple_of(STEP) {
            (watch.progress)(totals.runs);
        }
    }
    public_rows(db, last, published, watch)
}

/// The columns of a table in a statement that has several.
fn qualified(table: &str, columns: &str) -> String {
    let columns = columns.split(", ");
    let columns: Vec<String> = columns.map(|name| format!("{table}.{name}")).collect();
    columns.join(", ")
}

/// What was found in a run.
pub(super) struct Checked {
    pub tests: u64,
    /// How many of the tests have their row in the public table.
    pub published: u64,
    pub flaws: Vec<String>,
    /// Whether its tests are those that were measured, so that all else can be derived from them.
    pub is_mendable: bool,
}

struct Checker<'a> {
    db: &'a Connection,
    /// All tests in the order of the runs, at the next one.
    tests: Rows<'a>,
    test_columns: Columns,
    /// The combinations of public rows, header and model that were found to be right: there are
    /// few.
    headers: HashSet<(Public, i64, Option<i64>)>,
}

/// How many headers are remembered: 8 MB of them.
const MOST_HEADERS: usize = 100_000;

impl Checker<'_> {
    /// Checks a run; one that cannot be read has that flaw alone.
    fn check(&mut self, cells: Cells<'_>, id: i64) -> rusqlite::Result<Checked> {
        let is_bench = cells.raw("tool")?.as_str() == Ok(Tool::LlamaBench.name());
        let (checked, table) = if is_bench {
            (bench::check(self.db, cells, id), "localstore_bench_tests")
        } else {
            (self.check_run(cells, id), "localstore_tests")
        };
        match checked {
            Err(error) if is_about_a_value(&error) => {
                let tests = format!("SELECT count(*) FROM {table} WHERE run_id = ?1");
                Ok(Checked {
                    tests: self.db.query_row(&tests, [id], |row| row.get(0))?,
                    published: 0,
                    flaws: vec![reason(&error)],
                    is_mendable: false,
                })
            }
            checked => checked,
        }
    }

    fn check_run(&mut self, cells: Cells<'_>, id: i64) -> rusqlite::Result<Checked> {
        let mut flaws = Vec::new();
        let (run, published) = self.read(cells, id, &mut flaws)?;
        let is_published = flaws.is_empty();

        let keys = Keys::of(&run);
        let fingerprint = cells.raw("fingerprint")?.as_blob() == Ok(&keys.fingerprint[..]);
        let core = cells.raw("core")?.as_blob() == Ok(&keys.core[..]);
        let is = |column, flag: bool| -> rusqlite::Result<bool> {
            Ok(cells.raw(column)?.as_i64() == Ok(flag.into()))
        };
        for (column, fits) in [
            ("the fingerprint", fingerprint),
            ("core", core),
            ("poor", is("poor", run.is_poor())?),
            ("partial", is("partial", run.is_partial())?),
            ("measured_guessed", {
                let is_told = Measured::told_by(&run).is_some();
                is("measured_guessed", false)? || !is_told && is("measured_guessed", true)?
            }),
            ("model_id", cells.get("model_fits")?),
        ] {
            if !fits {
                flaws.push(format!("{column} does not match the tests"));
            }
        }
        if !cells.get::<bool>("configuration_fits")? {
            flaws.push("configuration_id does not match the model, accelerator and runtime".into());
        }
        if cells.get("is_published")? {
            self.published_run(cells, &run, &mut flaws)?;
        } else {
            flaws.push("has no row in benchmark_runs".to_owned());
        }
        Ok(Checked {
            tests: run.tests.len() as u64,
            published,
            flaws,
            // Else the tests were changed, or lost, and the public rows may be all that is right.
            is_mendable: fingerprint || (core && is_published),
        })
    }

    /// Reads the run, and compares the rows of its tests in the public table; gives how many there
    /// are.
    fn read(
        &mut self,
        cells: Cells<'_>,
        id: i64,
        flaws: &mut Vec<String>,
    ) -> rusqlite::Result<(Run, u64)> {
        if !cells.get::<bool>("has_environment")? {
            return Err(refused("its header is not in localstore_environments"));
        }
        let mut reader = RunReader::new(cells)?;
        let mut published = 0;
        while let Some(row) = self.tests.get() {
            let cells = Cells::of_any(&self.test_columns, row, Odd::Refused);
            let run_id: i64 = cells.get("run_id")?;
            if run_id > id {
                break;
            }
            // Those before are of no run, or of one that could not be read.
            if run_id == id {
                reader.read_test(cells, |_| read_model(cells))?;
                published += u64::from(check_test(self.db, cells, &reader.run.tests, flaws)?);
            }
            self.tests.advance()?;
        }
        Ok((reader.run, published))
    }

    /// Compares the row in `benchmark_runs`, and what it refers to.
    fn published_run(
        &mut self,
        cells: Cells<'_>,
        run: &Run,
        flaws: &mut Vec<String>,
    ) -> rusqlite::Result<()> {
        let public = Public {
            system_id: cells.get("system_id")?,
            accelerator_id: cells.get("accelerator_id")?,
            model_variant_id: cells.get("model_variant_id")?,
            runtime_id: cells.get("runtime_id")?,
        };
        let header = (public, cells.get("environment_id")?, cells.get("model_id")?);
        if !self.headers.contains(&header) {
            let mismatched = public.mismatched_rows(self.db, &run.environment, run.model())?;
            if mismatched.is_empty() && self.headers.len() < MOST_HEADERS {
                self.headers.insert(header);
            }
            for row in mismatched {
                flaws.push(format!("benchmark_runs refers to another {row}"));
            }
        }
        if !cells.get::<bool>("score_fits")? {
            flaws.push("score differs from that in benchmark_runs".to_owned());
        }
        // What the site has computed is the site's.
        if run.source == Source::Site {
            return Ok(());
        }
        let summary = run.summary();
        for (column, derived) in [
            ("avg_prompt_tps", summary.avg_prompt_tps),
            ("avg_gen_tps", summary.avg_gen_tps),
            ("avg_ttft_ms", summary.avg_ttft_ms),
            ("performance_score", summary.performance_score),
        ] {
            let (stored, derived) = (cells.get::<f64>(column)?, storable(derived));
            // The cube root in the score has another last digit on another system.
            if !is_near(stored, derived, 1e-12) {
                flaws.push(format!(
                    "{column} is {stored}, but its tests give {derived}"
                ));
            }
        }
        Ok(())
    }
}

/// Compares the row of the last test in the public table; gives whether there is one.
fn check_test(
    db: &Connection,
    cells: Cells<'_>,
    tests: &[Test],
    flaws: &mut Vec<String>,
) -> rusqlite::Result<bool> {
    let position = tests.len() - 1;
    if !cells.get::<bool>("is_there")? {
        flaws.push(format!("test {position} has no row in test_results"));
        return Ok(false);
    }
    // Nearly always; SQLite compares them fastest.
    if cells.get("is_same")? {
        return Ok(true);
    }
    let public = public_test(
        db,
        cells.get("test_result_id")?,
        Odd::Unknown,
        &Model::default(),
    )?;
    for field in Field::named(PUBLIC) {
        if !is_published_as(field.get(&tests[position]), field.get(&public)) {
            let column = field.name();
            flaws.push(format!("test {position}: {column} differs in test_results"));
        }
    }
    Ok(true)
}

/// Whether the public table has the value of our test: as UTF-8, and null for nan.
fn is_published_as(own: Value<'_>, public: Value<'_>) -> bool {
    match (own, public) {
        (Value::Text(own), Value::Text(public)) => own.to_utf8() == public.to_utf8(),
        (Value::Number(own), Value::Missing) => own.is_nan(),
        (own, public) => own == public,
    }
}

/// Rows of the public tables that belong to no run of ours, and dates. Behind our last run lies what
/// the site has inserted since.
fn public_rows(
    db: &Connection,
    last: i64,
    published: u64,
    watch: &mut Watch<'_>,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!(
        "SELECT b.id, b.id <= ?1 AND r.run_id IS NULL AS is_lost, {CREATED_AT} IS NULL AS is_undated
         FROM benchmark_runs b LEFT JOIN localstore_runs r ON r.run_id = b.id
         WHERE is_lost OR is_undated"
    ))?;
    let mut rows = statement.query([last])?;
    while let Some(row) = rows.next()? {
        let place = format!("run {}", row.get::<_, i64>("id")?);
        if row.get("is_lost")? {
            let what = "is in benchmark_runs, but not in localstore_runs";
            (watch.found)(Finding::new(&*place, what));
        }
        if row.get("is_undated")? {
            (watch.found)(Finding::new(&*place, "created_at is not a date").fix(Fix::Dates));
        }
    }
    let all: u64 = db.query_row(
        "SELECT count(*) FROM test_results WHERE benchmark_run_id <= ?1",
        [last],
        |row| row.get(0),
    )?;
    if all == published {
        return Ok(());
    }
    let mut statement = db.prepare(
        "SELECT p.id FROM test_results p WHERE p.benchmark_run_id <= ?1
             AND EXISTS (SELECT 1 FROM benchmark_runs b WHERE b.id = p.benchmark_run_id)
             AND NOT EXISTS (SELECT 1 FROM localstore_tests t
                             WHERE t.run_id = p.benchmark_run_id AND t.test_result_id = p.id)",
    )?;
    let mut rows = statement.query([last])?;
    while let Some(row) = rows.next()? {
        let place = format!("test_results {}", row.get::<_, i64>(0)?);
        let what = "is not a test of the run that it refers to";
        (watch.found)(Finding::new(place, what));
    }
    Ok(())
}

/// Derives the public rows of a run, and all that our tables compute from its tests.
pub(super) fn derive(db: &Connection, id: i64) -> rusqlite::Result<()> {
    let tool: String = db
        .prepare_cached("SELECT tool FROM localstore_runs WHERE run_id = ?1")?
        .query_row([id], |row| row.get(0))?;
    if tool == Tool::LlamaBench.name() {
        return store_bench::derive(db, id);
    }
    db.prepare_cached(
        "INSERT OR IGNORE INTO benchmark_runs
             (id, avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score, created_at)
         SELECT run_id, 0, 0, 0, 0, datetime(measured_at, 'unixepoch')
         FROM localstore_runs WHERE run_id = ?1",
    )?
    .execute([id])?;
    let lost: Vec<i64> = db
        .prepare_cached(
            "SELECT position FROM localstore_tests t WHERE t.run_id = ?1 AND NOT EXISTS
                 (SELECT 1 FROM test_results p
                  WHERE p.id = t.test_result_id AND p.benchmark_run_id = ?1)
             ORDER BY position",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for position in lost {
        db.prepare_cached("INSERT INTO test_results (benchmark_run_id) VALUES (?1)")?
            .execute([id])?;
        db.prepare_cached(
            "UPDATE localstore_tests SET test_result_id = ?3 WHERE run_id = ?1 AND position = ?2",
        )?
        .execute((id, position, db.last_insert_rowid()))?;
    }
    let run = own::read(db, id)?;
    replace(db, &mut Known::default(), id, &run).map(drop)
}

/// Gives each run without a date the one of its measurement.
pub(super) fn derive_dates(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(&format!(
        "UPDATE benchmark_runs AS b SET created_at =
             (SELECT datetime(measured_at, 'unixepoch') FROM localstore_runs WHERE run_id = b.id)
         WHERE {CREATED_AT} IS NULL"
    ))
}

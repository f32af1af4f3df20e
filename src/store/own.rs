//! Our own tables: what a run came with, value by value.

use std::sync::{LazyLock, OnceLock};

use db::{is_about_a_value, reason, refused};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::bench;
use super::public::Known;
use super::rows::{self, Cells, Columns, Odd, Sql};
use crate::model::{
    AcceleratorInfo, Environment, Field, Model, Run, RuntimeInfo, Source, SystemInfo, Test, Text,
    Tool, Value,
};

pub(super) const ENVIRONMENT: &str = "runtime_name, runtime_version, runtime_commit, cpu_name, cpu_arch, \
    ram_gb, kernel_type, kernel_release, system_version, accelerator_name, manufacturer, memory_gb, \
    accelerator_type";

/// The fields of a test that `localstore_models` has.
pub(super) const MODEL: &str = "build_commit, build_number, model_name, model_quant_str, model_params_str, \
    model_filename, model_type, model_size, model_n_params, main_gpu";

const CONFIGURATION: &str = "model_name, model_quant_str, accelerator_name, runtime_name, tool";

/// The fields of a test that `localstore_tests` has.
const TEST: &str = "name, n_prompt, n_gen, test_time, avg_time_ms, stddev_time_ms, prompt_tps, \
    prompt_tps_watt, prompt_tps_stddev, gen_tps, gen_tps_watt, gen_tps_stddev, power_watts, ttft_ms";

/// What [`RunReader::read_test`] reads of [`TESTS_AND_MODELS`].
pub(super) const TEST_COLUMNS: &str = "t.position, m.id AS model_row, t.name, \
    t.n_prompt, t.n_gen, t.test_time, t.avg_time_ms, t.stddev_time_ms, t.prompt_tps, \
    t.prompt_tps_watt, t.prompt_tps_stddev, t.gen_tps, t.gen_tps_watt, t.gen_tps_stddev, \
    t.power_watts, t.ttft_ms, t.samples_ns, t.reps";

pub(super) const TESTS_AND_MODELS: &str =
    "localstore_tests t LEFT JOIN localstore_models m ON m.id = t.model_id";

/// The row of a table that has each combination of values once, made where there is none. Called
/// under the write lock.
pub(super) fn combination(
    db: &Connection,
    table: &str,
    columns: &str,
    values: &[Sql<'_>],
) -> rusqlite::Result<i64> {
    if let Some(id) = find_combination(db, table, columns, values)? {
        return Ok(id);
    }
    let marks = rows::marks(values.len());
    let insert = format!("INSERT INTO {table} ({columns}) VALUES ({marks})");
    db.prepare_cached(&insert)?.insert(params_from_iter(values))
}

/// The row of a table that has each combination of values once, if there is one.
pub(super) fn find_combination(
    db: &Connection,
    table: &str,
    columns: &str,
    values: &[Sql<'_>],
) -> rusqlite::Result<Option<i64>> {
    let marks = rows::marks(values.len());
    let find = format!("SELECT id FROM {table} WHERE ({columns}) IS ({marks})");
    db.prepare_cached(&find)?
        .query_row(params_from_iter(values), |row| row.get(0))
        .optional()
}

/// The row of this environment, made where there is none.
pub(super) fn environment_id(
    db: &Connection,
    known: &mut Known,
    environment: &Environment,
) -> rusqlite::Result<i64> {
    let values = environment_values(environment);
    known.combination(db, "localstore_environments", ENVIRONMENT, &values)
}

/// The row of this environment, if there is one.
pub(super) fn find_environment(
    db: &Connection,
    environment: &Environment,
) -> rusqlite::Result<Option<i64>> {
    let values = environment_values(environment);
    find_combination(db, "localstore_environments", ENVIRONMENT, &values)
}

fn environment_values(environment: &Environment) -> [Sql<'_>; 13] {
    let Environment {
        runtime,
        system,
        accelerator,
    } = environment;
    [
        (&runtime.name).into(),
        (&runtime.version).into(),
        (&runtime.commit).into(),
        (&system.cpu_name).into(),
        (&system.cpu_arch).into(),
        system.ram_gb.into(),
        (&system.kernel_type).into(),
        (&system.kernel_release).into(),
        (&system.version).into(),
        (&accelerator.name).into(),
        (&accelerator.manufacturer).into(),
        accelerator.memory_gb.into(),
        (&accelerator.kind).into(),
    ]
}

/// The rows of the tests' models, made where there are none; one look-up where they are all the
/// same, as they always are in what the C tool prints.
pub(super) fn model_ids(
    db: &Connection,
    known: &mut Known,
    run: &Run,
) -> rusqlite::Result<Vec<i64>> {
    let mut ids: Vec<i64> = Vec::with_capacity(run.tests.len());
    for (index, test) in run.tests.iter().enumerate() {
        let id = if index > 0 && run.tests[index - 1].model == test.model {
            ids[index - 1]
        } else {
            let values = model_values(test);
            known.combination(db, "localstore_models", MODEL, &values)?
        };
        ids.push(id);
    }
    Ok(ids)
}

/// The row of the model of this test, if there is one.
pub(super) fn find_model(db: &Connection, test: &Test) -> rusqlite::Result<Option<i64>> {
    find_combination(db, "localstore_models", MODEL, &model_values(test))
}

fn model_values(test: &Test) -> Vec<Sql<'_>> {
    static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| Field::named(MODEL));
    FIELDS.iter().map(|field| Sql(field.get(test))).collect()
}

/// The row of this run's configuration, made where there is none.
pub(super) fn configuration_id(
    db: &Connection,
    known: &mut Known,
    run: &Run,
) -> rusqlite::Result<i64> {
    let tool = Some(run.tool.name().into());
    let values = configuration_values(run, &tool);
    known.combination(db, "localstore_configurations", CONFIGURATION, &values)
}

/// The row of this run's configuration, if there is one.
pub(super) fn find_configuration(db: &Connection, run: &Run) -> rusqlite::Result<Option<i64>> {
    let tool = Some(run.tool.name().into());
    let values = configuration_values(run, &tool);
    find_combination(db, "localstore_configurations", CONFIGURATION, &values)
}

fn configuration_values<'a>(run: &'a Run, tool: &'a Option<Text>) -> [Sql<'a>; 5] {
    static UNKNOWN: Option<Text> = None;
    let model = run.model();
    [
        model.map_or(&UNKNOWN, |model| &model.model_name).into(),
        model
            .map_or(&UNKNOWN, |model| &model.model_quant_str)
            .into(),
        (&run.environment.accelerator.name).into(),
        (&run.environment.runtime.name).into(),
        tool.into(),
    ]
}

/// Inserts the tests of a run; the ids are those of the models and of the public rows.
pub(super) fn insert_tests(
    db: &Connection,
    run_id: i64,
    run: &Run,
    model_ids: &[i64],
    test_result_ids: &[i64],
) -> rusqlite::Result<()> {
    static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| Field::named(TEST));
    let columns = format!("run_id, position, test_result_id, model_id, {TEST}, samples_ns, reps");
    rows::insert_rows(
        db,
        "localstore_tests",
        &columns,
        "",
        run.tests.len(),
        |position, bind| {
            let test = &run.tests[position];
            bind(&run_id)?;
            bind(&(position.cast_signed() as i64))?;
            bind(&test_result_ids[position])?;
            bind(&model_ids[position])?;
            for field in FIELDS.iter() {
                bind(&Sql(field.get(test)))?;
            }
            let samples = test.samples_ns.as_ref();
            bind(&samples.map(|samples| serde_json::to_string(samples).unwrap_or_default()))?;
            bind(&Sql(test.reps.map_or(Value::Missing, Value::Unsigned)))
        },
    )
}

/// The environments with this accelerator, and their ids.
pub(super) fn environments(
    db: &Connection,
    accelerator: &Option<Text>,
) -> rusqlite::Result<Vec<(i64, Environment)>> {
    let sql = "SELECT * FROM localstore_environments WHERE accelerator_name IS ?1";
    let mut statement = db.prepare_cached(sql)?;
    rows::query(&mut statement, [Sql::from(accelerator)], |cells| {
        Ok((cells.get("id")?, read_environment(cells)?))
    })
}

/// The environments in which a configuration was measured, by processor.
pub(super) fn environments_of(
    db: &Connection,
    configuration: i64,
) -> rusqlite::Result<Vec<Environment>> {
    let mut statement = db.prepare_cached(
        "SELECT * FROM localstore_environments WHERE id IN (
             SELECT DISTINCT environment_id FROM localstore_runs WHERE configuration_id = ?1)
         ORDER BY cpu_name, id",
    )?;
    rows::query(&mut statement, [configuration], read_environment)
}

/// The environment of the run of that id.
pub(super) fn environment_of(db: &Connection, id: i64, odd: Odd) -> rusqlite::Result<Environment> {
    let mut statement = db.prepare_cached(
        "SELECT e.* FROM localstore_runs r JOIN localstore_environments e
             ON e.id = r.environment_id WHERE r.run_id = ?1",
    )?;
    rows::query_one(&mut statement, [id], odd, read_environment)
}

/// The most bytes that a run of another file may take: several times what a document may have.
pub(super) const MOST_BYTES: usize = 64 << 20;

/// Reads the run of that id.
pub(super) fn read(db: &Connection, id: i64) -> rusqlite::Result<Run> {
    // The columns of what is read most are looked for once, and not with each run.
    static HEADER: OnceLock<Columns> = OnceLock::new();
    let mut statement = db.prepare_cached(&format!(
        "SELECT r.source, r.tool, {ENVIRONMENT}
         FROM localstore_runs r JOIN localstore_environments e ON e.id = r.environment_id
         WHERE r.run_id = ?1"
    ))?;
    let columns = HEADER.get_or_init(|| Columns::of(&statement));
    let reader = statement.query_row([id], |row| RunReader::new(Cells::new(columns, row)))?;
    reader.read_tests(db, id, Odd::Unknown)
}

/// A run that is being read, row by row.
pub(super) struct RunReader {
    pub run: Run,
    bytes: usize,
    /// The row of the last test's model.
    model_row: Option<i64>,
}

impl RunReader {
    /// Begins with the source and the columns of `localstore_environments`.
    pub(super) fn new(cells: Cells<'_>) -> rusqlite::Result<Self> {
        let name: String = cells.get("source")?;
        let source = match Source::from_name(&name) {
            None if cells.is_strict() => return Err(refused(format!("source is '{name}'"))),
            source => source.unwrap_or_default(),
        };
        let tool: String = cells.get("tool")?;
        let tool = match Tool::from_name(&tool) {
            None if cells.is_strict() => return Err(refused(format!("tool is '{tool}'"))),
            tool => tool.unwrap_or_default(),
        };
        let run = Run {
            environment: read_environment(cells)?,
            source,
            tool,
            ..Run::default()
        };
        let bytes = run.bytes();
        Ok(Self {
            run,
            bytes,
            model_row: None,
        })
    }

    /// Reads the tests of the run, which has this id.
    pub(super) fn read_tests(
        mut self,
        db: &Connection,
        id: i64,
        odd: Odd,
    ) -> rusqlite::Result<Run> {
        static TESTS: OnceLock<Columns> = OnceLock::new();
        static MODELS: OnceLock<Columns> = OnceLock::new();
        if self.run.tool == Tool::LlamaBench {
            self.run.tests = bench::tests(db, id)?;
            return Ok(self.run);
        }
        let mut statement = db.prepare_cached(&format!(
            "SELECT {TEST_COLUMNS} FROM {TESTS_AND_MODELS} WHERE t.run_id = ?1 ORDER BY t.position"
        ))?;
        let columns = TESTS.get_or_init(|| Columns::of(&statement));
        let mut tests = statement.query([id])?;
        while let Some(row) = tests.next()? {
            self.read_test(Cells::of_any(columns, row, odd), |model| {
                let sql = format!("SELECT {MODEL} FROM localstore_models WHERE id = ?1");
                let mut statement = db.prepare_cached(&sql)?;
                let columns = MODELS.get_or_init(|| Columns::of(&statement));
                statement.query_row([model], |row| read_model(Cells::of_any(columns, row, odd)))
            })?;
        }
        Ok(self.run)
    }

    /// Reads the next test from [`TEST_COLUMNS`]; `model` reads the model of that id, unless it is that
    /// of the test before.
    pub(super) fn read_test(
        &mut self,
        cells: Cells<'_>,
        model: impl FnOnce(i64) -> rusqlite::Result<Model>,
    ) -> rusqlite::Result<()> {
        let expected = self.run.tests.len();
        let is_next = cells.get::<i64>("position")? == expected.cast_signed() as i64;
        let model_row: Option<i64> = cells.get("model_row")?;
        if cells.is_strict() && !is_next {
            return Err(refused(format!("test {expected} is missing")));
        }
        if cells.is_strict() && model_row.is_none() {
            let why = format!("test {expected}: its model is not in localstore_models");
            return Err(refused(why));
        }
        if let Some(row) = model_row {
            // Nearly always all tests have the same one.
            let is_same = model_row == self.model_row;
            let last = self.run.tests.last().filter(|_| is_same);
            let read = || {
                let test = read_test(cells)?;
                let model = match last {
                    Some(last) => last.model.clone(),
                    None => model(row)?,
                };
                Ok(Test { model, ..test })
            };
            let test = read().map_err(|error| match error {
                // What SQLite says of the model is not about this test alone.
                rusqlite::Error::SqliteFailure(..) => error,
                error => of_test(expected, error),
            })?;
            self.model_row = model_row;
            if cells.is_strict() {
                self.bytes += test.bytes();
            }
            self.run.tests.push(test);
        }
        if self.bytes > MOST_BYTES {
            return Err(too_large());
        }
        Ok(())
    }
}

/// The error of a run that takes more than [`MOST_BYTES`].
pub(super) fn too_large() -> rusqlite::Error {
    refused(format!("it is larger than {} MiB", MOST_BYTES >> 20))
}

/// Says in which test a value is wrong.
pub(super) fn of_test(position: impl std::fmt::Display, error: rusqlite::Error) -> rusqlite::Error {
    if is_about_a_value(&error) {
        refused(format!("test {position}: {}", reason(&error)))
    } else {
        error
    }
}

/// Reads an environment from the columns of `localstore_environments`.
pub(super) fn read_environment(cells: Cells<'_>) -> rusqlite::Result<Environment> {
    let text = |column| cells.text(column);
    Ok(Environment {
        runtime: RuntimeInfo {
            name: text("runtime_name")?,
            version: text("runtime_version")?,
            commit: text("runtime_commit")?,
        },
        system: SystemInfo {
            cpu_name: text("cpu_name")?,
            cpu_arch: text("cpu_arch")?,
            ram_gb: cells.number("ram_gb")?,
            kernel_type: text("kernel_type")?,
            kernel_release: text("kernel_release")?,
            version: text("system_version")?,
        },
        accelerator: AcceleratorInfo {
            name: text("accelerator_name")?,
            manufacturer: text("manufacturer")?,
            memory_gb: cells.number("memory_gb")?,
            kind: text("accelerator_type")?,
        },
    })
}

/// Reads a test without its model from the columns of `localstore_tests`. Samples that cannot be read
/// are an error: what was measured must not be left out without a word.
fn read_test(cells: Cells<'_>) -> rusqlite::Result<Test> {
    let text = |column| cells.text(column);
    let number = |column| cells.number(column);
    Ok(Test {
        name: text("name")?.unwrap_or_default(),
        n_prompt: cells.get("n_prompt")?,
        n_gen: cells.get("n_gen")?,
        test_time: text("test_time")?,
        avg_time_ms: number("avg_time_ms")?,
        stddev_time_ms: number("stddev_time_ms")?,
        prompt_tps: number("prompt_tps")?,
        prompt_tps_watt: number("prompt_tps_watt")?,
        prompt_tps_stddev: number("prompt_tps_stddev")?,
        gen_tps: number("gen_tps")?,
        gen_tps_watt: number("gen_tps_watt")?,
        gen_tps_stddev: number("gen_tps_stddev")?,
        power_watts: number("power_watts")?,
        ttft_ms: number("ttft_ms")?,
        samples_ns: cells
            .get::<Option<String>>("samples_ns")?
            .map(|samples| serde_json::from_str(&samples))
            .transpose()
            .map_err(|_| refused("samples_ns is not a list of integers"))?,
        reps: cells.unsigned("reps")?,
        ..Test::default()
    })
}

/// Reads a model from the columns of `localstore_models`.
pub(super) fn read_model(cells: Cells<'_>) -> rusqlite::Result<Model> {
    let text = |column| cells.text(column);
    Ok(Model {
        build_commit: text("build_commit")?,
        build_number: cells.get("build_number")?,
        model_name: text("model_name")?,
        model_quant_str: text("model_quant_str")?,
        model_params_str: text("model_params_str")?,
        model_filename: text("model_filename")?,
        model_type: text("model_type")?,
        model_size: cells.unsigned("model_size")?,
        model_n_params: cells.unsigned("model_n_params")?,
        main_gpu: cells.get("main_gpu")?,
        backend: None,
    })
}

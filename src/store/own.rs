//! Our own tables: what a run came with, value by value.

use rusqlite::{Connection, OptionalExtension, ToSql};

use super::rows::{self, Cells, Odd, SqlNumber, SqlText, SqlUnsigned, refused};
use super::{is_about_a_value, reason};
use crate::model::{
    AcceleratorInfo, Environment, Model, Run, RuntimeInfo, Source, SystemInfo, Test, Text,
};

/// The row of this environment, made where there is none. Called under the write lock.
pub fn environment_id(db: &Connection, environment: &Environment) -> rusqlite::Result<i64> {
    let Environment {
        runtime,
        system,
        accelerator,
    } = environment;
    let values: [&dyn ToSql; 13] = [
        &SqlText(&runtime.name),
        &SqlText(&runtime.version),
        &SqlText(&runtime.commit),
        &SqlText(&system.cpu_name),
        &SqlText(&system.cpu_arch),
        &SqlNumber(system.ram_gb),
        &SqlText(&system.kernel_type),
        &SqlText(&system.kernel_release),
        &SqlText(&system.version),
        &SqlText(&accelerator.name),
        &SqlText(&accelerator.manufacturer),
        &SqlNumber(accelerator.memory_gb),
        &SqlText(&accelerator.kind),
    ];
    let known = db
        .prepare_cached(
            "SELECT id FROM localstore_environments
             WHERE runtime_name IS ?1 AND runtime_version IS ?2 AND runtime_commit IS ?3
               AND cpu_name IS ?4 AND cpu_arch IS ?5 AND ram_gb IS ?6 AND kernel_type IS ?7
               AND kernel_release IS ?8 AND system_version IS ?9 AND accelerator_name IS ?10
               AND manufacturer IS ?11 AND memory_gb IS ?12 AND accelerator_type IS ?13",
        )?
        .query_row(&values[..], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    db.prepare_cached(
        "INSERT INTO localstore_environments
             (runtime_name, runtime_version, runtime_commit, cpu_name, cpu_arch, ram_gb,
              kernel_type, kernel_release, system_version, accelerator_name, manufacturer,
              memory_gb, accelerator_type)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(&values[..])?;
    Ok(db.last_insert_rowid())
}

/// The ids of the tests' models; one look-up where they are all the same, as they always are in
/// what the C tool prints.
pub fn model_ids(db: &Connection, run: &Run) -> rusqlite::Result<Vec<i64>> {
    let mut ids = Vec::with_capacity(run.tests.len());
    for (index, test) in run.tests.iter().enumerate() {
        let same = index > 0 && run.tests[index - 1].model == test.model;
        let id = if same {
            ids[index - 1]
        } else {
            model_id(db, &test.model)?
        };
        ids.push(id);
    }
    Ok(ids)
}

fn model_id(db: &Connection, model: &Model) -> rusqlite::Result<i64> {
    let values: [&dyn ToSql; 10] = [
        &SqlText(&model.build_commit),
        &model.build_number,
        &SqlText(&model.model_name),
        &SqlText(&model.model_quant_str),
        &SqlText(&model.model_params_str),
        &SqlText(&model.model_filename),
        &SqlText(&model.model_type),
        &SqlUnsigned(model.model_size),
        &SqlUnsigned(model.model_n_params),
        &model.main_gpu,
    ];
    let known = db
        .prepare_cached(
            "SELECT id FROM localstore_models
             WHERE build_commit IS ?1 AND build_number IS ?2 AND model_name IS ?3
               AND model_quant_str IS ?4 AND model_params_str IS ?5 AND model_filename IS ?6
               AND model_type IS ?7 AND model_size IS ?8 AND model_n_params IS ?9
               AND main_gpu IS ?10",
        )?
        .query_row(&values[..], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    db.prepare_cached(
        "INSERT INTO localstore_models
             (build_commit, build_number, model_name, model_quant_str, model_params_str,
              model_filename, model_type, model_size, model_n_params, main_gpu)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(&values[..])?;
    Ok(db.last_insert_rowid())
}

/// The row of this run's configuration, made where there is none. Called under the write lock.
pub fn configuration_id(db: &Connection, run: &Run) -> rusqlite::Result<i64> {
    let unknown = Model::default();
    let model = run.model().unwrap_or(&unknown);
    let values: [&dyn ToSql; 4] = [
        &SqlText(&model.model_name),
        &SqlText(&model.model_quant_str),
        &SqlText(&run.environment.accelerator.name),
        &SqlText(&run.environment.runtime.name),
    ];
    let known = db
        .prepare_cached(
            "SELECT id FROM localstore_configurations
             WHERE model_name IS ?1 AND model_quant_str IS ?2 AND accelerator_name IS ?3
               AND runtime_name IS ?4",
        )?
        .query_row(&values[..], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    db.prepare_cached(
        "INSERT INTO localstore_configurations
             (model_name, model_quant_str, accelerator_name, runtime_name)
         VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(&values[..])?;
    Ok(db.last_insert_rowid())
}

/// Inserts the tests of a run; the ids are those of the models and of the public rows.
pub fn insert_tests(
    db: &Connection,
    run_id: i64,
    run: &Run,
    model_ids: &[i64],
    test_result_ids: &[i64],
) -> rusqlite::Result<()> {
    let into = "INSERT INTO localstore_tests
        (run_id, position, test_result_id, model_id, name, n_prompt, n_gen, test_time, avg_time_ms,
         stddev_time_ms, prompt_tps, prompt_tps_watt, prompt_tps_stddev, gen_tps, gen_tps_watt,
         gen_tps_stddev, power_watts, ttft_ms, samples_ns, reps)";
    rows::insert_rows(db, into, run.tests.len(), |position, bind| {
        let test = &run.tests[position];
        let name = Some(test.name.clone());
        let samples = test
            .samples_ns
            .as_ref()
            .map(|samples| serde_json::to_string(samples).unwrap_or_default());
        bind(&[
            &run_id,
            &(position.cast_signed() as i64),
            &test_result_ids[position],
            &model_ids[position],
            &SqlText(&name),
            &test.n_prompt,
            &test.n_gen,
            &SqlText(&test.test_time),
            &SqlNumber(test.avg_time_ms),
            &SqlNumber(test.stddev_time_ms),
            &SqlNumber(test.prompt_tps),
            &SqlNumber(test.prompt_tps_watt),
            &SqlNumber(test.prompt_tps_stddev),
            &SqlNumber(test.gen_tps),
            &SqlNumber(test.gen_tps_watt),
            &SqlNumber(test.gen_tps_stddev),
            &SqlNumber(test.power_watts),
            &SqlNumber(test.ttft_ms),
            &samples,
            &SqlUnsigned(test.reps),
        ])
    })
}

/// The environments with this accelerator, and their ids.
pub fn environments(
    db: &Connection,
    accelerator: &Option<Text>,
) -> rusqlite::Result<Vec<(i64, Environment)>> {
    db.prepare_cached(&format!(
        "SELECT e.id, {ENVIRONMENT_COLUMNS} FROM localstore_environments e
         WHERE e.accelerator_name IS ?1"
    ))?
    .query_map([SqlText(accelerator)], |row| {
        Ok((row.get(0)?, read_environment(Cells::of(row))?))
    })?
    .collect()
}

/// Reads the run of that id.
pub fn read(db: &Connection, id: i64) -> rusqlite::Result<Run> {
    read_as(db, id, Odd::Unknown)
}

/// The most bytes that a run of another file may take: several times what a document may have.
pub const MOST_BYTES: usize = 64 << 20;

/// Reads the run of that id from a file of which nothing is known: whatever is odd is an error.
pub fn read_foreign(db: &Connection, id: i64) -> rusqlite::Result<Run> {
    read_as(db, id, Odd::Refused).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => {
            refused("its header is not in localstore_environments")
        }
        error => error,
    })
}

fn read_as(db: &Connection, id: i64, odd: Odd) -> rusqlite::Result<Run> {
    let (source, environment) = db
        .prepare_cached(&format!(
            "SELECT r.source, {ENVIRONMENT_COLUMNS}
             FROM localstore_runs r JOIN localstore_environments e ON e.id = r.environment_id
             WHERE r.run_id = ?1"
        ))?
        .query_row([id], |row| {
            let name: String = row.get(0)?;
            let source = match Source::from_name(&name) {
                None if odd == Odd::Refused => return Err(refused(format!("source is '{name}'"))),
                source => source.unwrap_or_default(),
            };
            Ok((source, read_environment(Cells { row, odd })?))
        })?;
    let mut run = Run {
        environment,
        tests: Vec::new(),
        source,
    };
    let mut statement = db.prepare_cached(&format!(
        "SELECT {TEST_COLUMNS}, t.position, m.id IS NOT NULL
         FROM localstore_tests t LEFT JOIN localstore_models m ON m.id = t.model_id
         WHERE t.run_id = ?1 ORDER BY t.position"
    ))?;
    let mut rows = statement.query([id])?;
    let mut bytes = run.bytes();
    while let Some(row) = rows.next()? {
        let expected = run.tests.len();
        let has_model: bool = row.get(27)?;
        if odd == Odd::Refused {
            if row.get::<_, i64>(26)? != expected.cast_signed() as i64 {
                return Err(refused(format!("test {expected} is missing")));
            }
            if !has_model {
                let why = format!("test {expected}: its model is not in localstore_models");
                return Err(refused(why));
            }
        }
        if has_model {
            let test = read_test(Cells { row, odd }).map_err(|error| of_test(expected, error))?;
            bytes += test.bytes();
            run.tests.push(test);
        }
        if odd == Odd::Refused && bytes > MOST_BYTES {
            return Err(too_large());
        }
    }
    Ok(run)
}

/// The error of a run that takes more than [`MOST_BYTES`].
pub fn too_large() -> rusqlite::Error {
    refused(format!("it is larger than {} MiB", MOST_BYTES >> 20))
}

/// Says in which test a value is wrong.
pub fn of_test(position: usize, error: rusqlite::Error) -> rusqlite::Error {
    if is_about_a_value(&error) {
        refused(format!("test {position}: {}", reason(&error)))
    } else {
        error
    }
}

/// What [`read_environment`] reads of `localstore_environments e`, behind a first column.
const ENVIRONMENT_COLUMNS: &str = "e.runtime_name, e.runtime_version, e.runtime_commit,
    e.cpu_name, e.cpu_arch, e.ram_gb, e.kernel_type, e.kernel_release, e.system_version,
    e.accelerator_name, e.manufacturer, e.memory_gb, e.accelerator_type";

/// What [`read_test`] reads of `localstore_tests t` and `localstore_models m`.
pub const TEST_COLUMNS: &str = "t.name, t.n_prompt, t.n_gen, t.test_time, t.avg_time_ms,
    t.stddev_time_ms, t.prompt_tps, t.prompt_tps_watt, t.prompt_tps_stddev, t.gen_tps,
    t.gen_tps_watt, t.gen_tps_stddev, t.power_watts, t.ttft_ms, t.samples_ns, m.build_commit,
    m.build_number, m.model_name, m.model_quant_str, m.model_params_str, m.model_filename,
    m.model_type, m.model_size, m.model_n_params, m.main_gpu, t.reps";

/// Reads the columns of an environment, behind a first column.
pub(crate) fn read_environment(cells: Cells<'_, '_>) -> rusqlite::Result<Environment> {
    let text = |index| cells.text(index);
    let number = |index| cells.number(index);
    Ok(Environment {
        runtime: RuntimeInfo {
            name: text(1)?,
            version: text(2)?,
            commit: text(3)?,
        },
        system: SystemInfo {
            cpu_name: text(4)?,
            cpu_arch: text(5)?,
            ram_gb: number(6)?,
            kernel_type: text(7)?,
            kernel_release: text(8)?,
            version: text(9)?,
        },
        accelerator: AcceleratorInfo {
            name: text(10)?,
            manufacturer: text(11)?,
            memory_gb: number(12)?,
            kind: text(13)?,
        },
    })
}

/// What was measured must not be left out without a word.
fn lost_samples() -> rusqlite::Error {
    refused("samples_ns is no list of integers")
}

/// Reads a test from the first columns of a row.
pub fn read_test(cells: Cells<'_, '_>) -> rusqlite::Result<Test> {
    let text = |index| cells.text(index);
    let number = |index| cells.number(index);
    let row = cells.row;
    let samples: Option<String> = row.get(14)?;
    Ok(Test {
        name: text(0)?.unwrap_or_default(),
        n_prompt: row.get(1)?,
        n_gen: row.get(2)?,
        test_time: text(3)?,
        avg_time_ms: number(4)?,
        stddev_time_ms: number(5)?,
        prompt_tps: number(6)?,
        prompt_tps_watt: number(7)?,
        prompt_tps_stddev: number(8)?,
        gen_tps: number(9)?,
        gen_tps_watt: number(10)?,
        gen_tps_stddev: number(11)?,
        power_watts: number(12)?,
        ttft_ms: number(13)?,
        samples_ns: samples
            .map(|samples| serde_json::from_str(&samples))
            .transpose()
            .map_err(|_| lost_samples())?,
        reps: cells.unsigned(25)?,
        model: Model {
            build_commit: text(15)?,
            build_number: row.get(16)?,
            model_name: text(17)?,
            model_quant_str: text(18)?,
            model_params_str: text(19)?,
            model_filename: text(20)?,
            model_type: text(21)?,
            model_size: cells.unsigned(22)?,
            model_n_params: cells.unsigned(23)?,
            main_gpu: row.get(24)?,
        },
    })
}

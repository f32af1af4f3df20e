//! Runs that only the public tables have: those that the LocalScore web site has inserted into this
//! file, until the next write makes rows of ours for them, and those of a LocalScore database.

use std::collections::BTreeMap;

use db::refused;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::changes::{self, AnyRemoved, OTHERS};
use super::fingerprint::Keys;
use super::own::{MOST_BYTES, of_test, read_environment, too_large};
use super::public::Known;
use super::rows::{CREATED_AT, Cells, Odd, query_one};
use super::runs::{Measured, write_own};
use super::scores::Scores;
use crate::model::{Model, Run, Source, Test};

/// A run as the public tables tell it.
pub(crate) struct SiteRun {
    pub(crate) run: Run,
    /// `None` if the value there is not a date; likewise `measured_at`, in seconds since 1970.
    pub(crate) created_at: Option<String>,
    pub(crate) measured_at: Option<i64>,
}

/// What the run `b` refers to and is not there.
pub(crate) const LOST: &str = "CASE WHEN r.id IS NOT b.runtime_id THEN 'runtime'
        WHEN s.id IS NOT b.system_id THEN 'system'
        WHEN a.id IS NOT b.accelerator_id THEN 'accelerator'
        WHEN v.id IS NOT b.model_variant_id OR m.id IS NOT v.model_id THEN 'model' END";

/// The ids of runs, each with those of its tests.
pub(crate) type Ids = BTreeMap<i64, Vec<i64>>;

/// The condition that the site has inserted the run `b` since our last write. A run that has lost its
/// row of ours still has our tests: `check` names that damage.
pub(crate) const INSERTED: &str = "b.id > (SELECT coalesce(max(run_id), 0) FROM localstore_runs)
    AND NOT EXISTS (SELECT 1 FROM localstore_tests t WHERE t.run_id = b.id)";

/// The runs that the site has inserted since our last write. Where there is none, as before nearly
/// every write, two look-ups tell.
pub(super) fn inserted(db: &Connection) -> rusqlite::Result<Ids> {
    let newer: bool = db
        .prepare_cached(
            "SELECT coalesce((SELECT max(id) FROM benchmark_runs), 0)
                  > coalesce((SELECT max(run_id) FROM localstore_runs), 0)",
        )?
        .query_row([], |row| row.get(0))?;
    if !newer {
        return Ok(Ids::new());
    }
    let last_test: i64 = db
        .prepare_cached(
            "SELECT coalesce(max(test_result_id), 0) FROM localstore_tests
             WHERE run_id = (SELECT max(run_id) FROM localstore_tests)",
        )?
        .query_row([], |row| row.get(0))?;
    ids(db, INSERTED, last_test.saturating_add(1))
}

/// The runs `b` of this condition, with those tests whose ids are not below `first_test`.
pub(crate) fn ids(db: &Connection, condition: &str, first_test: i64) -> rusqlite::Result<Ids> {
    let mut ids: Ids = db
        .prepare_cached(&format!(
            "SELECT b.id FROM benchmark_runs b WHERE {condition}"
        ))?
        .query_map([], |row| Ok((row.get(0)?, Vec::new())))?
        .collect::<rusqlite::Result<_>>()?;
    if ids.is_empty() {
        return Ok(ids);
    }
    // All tests in one pass: there is no index on the run of a test.
    let mut query =
        db.prepare("SELECT benchmark_run_id, id FROM test_results WHERE id >= ?1 ORDER BY id")?;
    let mut rows = query.query([first_test])?;
    while let Some(row) = rows.next()? {
        if let ValueRef::Integer(run) = row.get_ref(0)?
            && let Some(tests) = ids.get_mut(&run)
        {
            tests.push(row.get(1)?);
        }
    }
    Ok(ids)
}

/// Makes our rows for the runs that the site has inserted, and adds them to the scores. A run
/// without a date gets the present one.
pub(crate) fn adopt(db: &Connection) -> rusqlite::Result<()> {
    let ids = inserted(db)?;
    if ids.is_empty() {
        return Ok(());
    }
    insert(db, &ids)?;
    changes::brought(db, OTHERS, || {
        let mut any_removed = AnyRemoved::default();
        let mut ids = ids.keys();
        ids.try_for_each(|&id| changes::note_new(db, &mut any_removed, id))
    })?;
    for &id in ids.keys() {
        db.prepare_cached(&format!(
            "UPDATE benchmark_runs AS b SET created_at = CURRENT_TIMESTAMP
             WHERE id = ?1 AND {CREATED_AT} IS NULL"
        ))?
        .execute([id])?;
    }
    let mut scores = Scores::default();
    for &id in ids.keys() {
        scores.add_stored(db, id)?;
    }
    scores.write(db)
}

/// Makes our rows. The date of a run is that of its row, which the site makes when it is measured.
fn insert(db: &Connection, ids: &Ids) -> rusqlite::Result<()> {
    let now = Measured::guessed(jiff::Timestamp::now().as_second());
    let mut known = Known::default();
    for (&id, tests) in ids {
        let SiteRun {
            run, measured_at, ..
        } = read(db, id, tests, Odd::Unknown)?;
        write_own(
            db,
            &mut known,
            id,
            &run,
            &Keys::of(&run),
            tests,
            Some(measured_at.map_or(now, Measured::known)),
        )?;
    }
    Ok(())
}

/// The tables that hold each combination once, so they are small.
const SMALL: [&str; 3] = [
    "localstore_environments",
    "localstore_models",
    "localstore_configurations",
];

/// Makes this connection read the runs that the site has inserted as the next write will store
/// them. Nothing is written to the file: temporary tables and views of the same names hide ours, and
/// have the rows of both.
pub(crate) fn show(db: &Connection) -> rusqlite::Result<()> {
    let ids = inserted(db)?;
    if ids.is_empty() {
        return Ok(());
    }
    db.pragma_update(None, "query_only", false)?;
    for table in SMALL {
        let mut schema = db.prepare(
            "SELECT sql FROM main.sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL
             ORDER BY type DESC",
        )?;
        let schema: Vec<String> = schema
            .query_map([table], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for sql in schema {
            let sql = sql.replacen("CREATE TABLE ", "CREATE TEMP TABLE ", 1);
            db.execute_batch(&sql.replacen("CREATE INDEX ", "CREATE INDEX temp.", 1))?;
        }
        db.execute_batch(&format!(
            "INSERT INTO temp.{table} SELECT * FROM main.{table}"
        ))?;
    }
    db.execute_batch(
        "CREATE TEMP TABLE localstore_runs AS SELECT * FROM main.localstore_runs WHERE 0;
         CREATE TEMP TABLE localstore_tests AS SELECT * FROM main.localstore_tests WHERE 0;",
    )?;
    insert(db, &ids)?;
    db.execute_batch(
        "ALTER TABLE temp.localstore_runs RENAME TO site_runs;
         ALTER TABLE temp.localstore_tests RENAME TO site_tests;
         CREATE UNIQUE INDEX temp.site_runs_idx ON site_runs (run_id);
         CREATE UNIQUE INDEX temp.site_tests_idx ON site_tests (run_id, position);
         CREATE TEMP VIEW localstore_runs AS
             SELECT * FROM main.localstore_runs UNION ALL SELECT * FROM temp.site_runs;
         CREATE TEMP VIEW localstore_tests AS
             SELECT * FROM main.localstore_tests UNION ALL SELECT * FROM temp.site_tests;
         PRAGMA query_only = 1",
    )
}

/// Reads a run and these tests of it.
pub(crate) fn read(db: &Connection, id: i64, tests: &[i64], odd: Odd) -> rusqlite::Result<SiteRun> {
    let strict = odd == Odd::Refused;
    let mut statement = db.prepare_cached(&format!(
        "SELECT {CREATED_AT} AS created_at, unixepoch({CREATED_AT}) AS measured_at,
                {LOST} AS lost,
                r.name AS runtime_name, r.version AS runtime_version,
                r.commit_hash AS runtime_commit, s.cpu_name, s.cpu_arch, s.ram_gb, s.kernel_type,
                s.kernel_release, s.system_version, a.name AS accelerator_name, a.manufacturer,
                a.memory_gb, a.type AS accelerator_type, m.name, v.quantization, m.params
         FROM benchmark_runs b
         LEFT JOIN runtimes r ON r.id = b.runtime_id
         LEFT JOIN benchmark_systems s ON s.id = b.system_id
         LEFT JOIN accelerators a ON a.id = b.accelerator_id
         LEFT JOIN model_variants v ON v.id = b.model_variant_id
         LEFT JOIN models m ON m.id = v.model_id
         WHERE b.id = ?1"
    ))?;
    let (mut site, model) = query_one(&mut statement, [id], odd, |cells| {
        let lost: Option<String> = cells.get("lost")?;
        if strict && let Some(lost) = lost {
            return Err(refused(format!("the row of its {lost} is missing")));
        }
        let site = SiteRun {
            run: Run {
                source: Source::Site,
                tests: Vec::with_capacity(tests.len()),
                environment: read_environment(cells)?,
                ..Run::default()
            },
            created_at: cells.get("created_at")?,
            measured_at: cells.get("measured_at")?,
        };
        let model = Model {
            model_name: cells.text("name")?,
            model_quant_str: cells.text("quantization")?,
            model_n_params: match cells.raw("params")? {
                // What the site makes of a number that JavaScript does not hold.
                ValueRef::Real(_) => None,
                _ => cells.unsigned("params")?,
            },
            ..Model::default()
        };
        Ok((site, model))
    })?;
    if strict && tests.is_empty() {
        return Err(refused("it has no tests"));
    }
    let mut bytes = site.run.bytes();
    for (position, id) in tests.iter().enumerate() {
        let test = public_test(db, *id, odd, &model).map_err(|error| of_test(position, error))?;
        bytes += test.bytes();
        if strict && bytes > MOST_BYTES {
            return Err(too_large());
        }
        site.run.tests.push(test);
    }
    Ok(site)
}

/// Reads a test as the public table tells it.
pub(super) fn public_test(
    db: &Connection,
    id: i64,
    odd: Odd,
    model: &Model,
) -> rusqlite::Result<Test> {
    let mut statement = db.prepare_cached(
        "SELECT name, CAST(n_prompt AS INTEGER) AS prompt, CAST(n_gen AS INTEGER) AS gen,
                avg_time_ms, power_watts, prompt_tps, gen_tps, prompt_tps_watt, gen_tps_watt,
                ttft_ms, n_prompt, n_gen
         FROM test_results WHERE id = ?1",
    )?;
    query_one(&mut statement, [id], odd, |cells| read_test(cells, model))
}

fn read_test(cells: Cells<'_>, model: &Model) -> rusqlite::Result<Test> {
    let name = cells.text("name")?;
    let tokens = |cast, stored| {
        if cells.is_strict() {
            cells.get::<i64>(stored)
        } else {
            cells.get(cast).map(Option::unwrap_or_default)
        }
    };
    if cells.is_strict() && name.is_none() {
        return Err(refused("name is null"));
    }
    Ok(Test {
        name: name.unwrap_or_default(),
        n_prompt: tokens("prompt", "n_prompt")?,
        n_gen: tokens("gen", "n_gen")?,
        avg_time_ms: cells.number("avg_time_ms")?,
        power_watts: cells.number("power_watts")?,
        prompt_tps: cells.number("prompt_tps")?,
        gen_tps: cells.number("gen_tps")?,
        prompt_tps_watt: cells.number("prompt_tps_watt")?,
        gen_tps_watt: cells.number("gen_tps_watt")?,
        ttft_ms: cells.number("ttft_ms")?,
        model: model.clone(),
        ..Test::default()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::store::RESULTS;

    /// What it takes to show so many runs, in hundreds of steps of SQLite.
    fn steps(runs: u32) -> u64 {
        let mut db = Connection::open_in_memory().unwrap();
        db::migrate(&mut db, &RESULTS).unwrap();
        let each = format!("WITH x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x LIMIT {runs})");
        db.execute_batch(&format!(
            "INSERT INTO benchmark_runs (id, avg_prompt_tps, avg_gen_tps, avg_ttft_ms,
                 performance_score)
             {each} SELECT n, 1, 2, 3, 4 FROM x;
             INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen, prompt_tps)
             {each} SELECT n, 'pp16', 16, 0, n FROM x"
        ))
        .unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&steps);
        db.progress_handler(
            100,
            Some(move || {
                count.fetch_add(1, Ordering::Relaxed);
                false
            }),
        );
        show(&db).unwrap();
        steps.load(Ordering::Relaxed)
    }

    #[test]
    fn showing_four_times_the_runs_takes_four_times_the_steps() {
        let (some, more) = (steps(500), steps(2000));
        assert!(more < 6 * some, "{some} {more}");
    }
}

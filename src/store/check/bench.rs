//! The runs of llama-bench: what is derived from their rows, against what is stored.

use db::refused;
use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_64;

use super::runs::Checked;
use super::{Finding, Watch};
use crate::model::Source;
use crate::store::bench::{derived, header, level};
use crate::store::own::{find_configuration, find_environment, find_model, read_environment};
use crate::store::rows::Cells;
use crate::store::runs::Measured;

/// Rows of one tool that belong to a run of another one, places that two rows of a document have, and
/// settings that are not as they were stored.
pub(super) fn check_rows(db: &Connection, watch: &mut Watch<'_>) -> rusqlite::Result<()> {
    for (table, tool) in [
        ("localstore_tests", "LocalScore"),
        ("localstore_bench_runs", "llama-bench"),
        ("localstore_bench_tests", "llama-bench"),
    ] {
        let mut statement = db.prepare(&format!(
            "SELECT r.run_id FROM localstore_runs r
             WHERE (r.tool = 'llama-bench') <> ?1
                 AND EXISTS (SELECT 1 FROM {table} t WHERE t.run_id = r.run_id)"
        ))?;
        let mut rows = statement.query([tool == "llama-bench"])?;
        while let Some(row) = rows.next()? {
            let place = format!("run {}", row.get::<_, i64>(0)?);
            let what = format!("has rows in {table}, but is no run of {tool}");
            (watch.found)(Finding::new(place, what));
        }
    }
    let mut statement = db.prepare(
        "SELECT max(t.run_id), t.position, min(t.run_id) FROM localstore_bench_tests t
         JOIN localstore_bench_runs x ON x.run_id = t.run_id
         WHERE x.document IN (SELECT document FROM localstore_bench_runs
                              GROUP BY document HAVING count(*) > 1)
         GROUP BY x.document, t.position HAVING count(*) > 1",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let place = format!("run {}", row.get::<_, i64>(0)?);
        let (position, other): (i64, i64) = (row.get(1)?, row.get(2)?);
        let what = format!("test {position} has the place of one of run {other}");
        (watch.found)(Finding::new(place, what));
    }
    check_settings(db, watch)
}

/// Settings that are not those that were stored: a run with them would not find them again.
fn check_settings(db: &Connection, watch: &mut Watch<'_>) -> rusqlite::Result<()> {
    let mut statement =
        db.prepare("SELECT id, hash, CAST(setting_values AS BLOB) FROM localstore_bench_settings")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let hash = xxh3_64(row.get_ref(2)?.as_blob()?).to_be_bytes();
        if row.get_ref(1)?.as_blob() != Ok(&hash[..]) {
            let place = format!("localstore_bench_settings {}", row.get::<_, i64>(0)?);
            (watch.found)(Finding::new(place, "the hash does not match the values"));
        }
    }
    Ok(())
}

/// Checks a run whose columns are those of all runs.
pub(super) fn check(db: &Connection, cells: Cells<'_>, id: i64) -> rusqlite::Result<Checked> {
    if !cells.get::<bool>("has_environment")? {
        return Err(refused("its header is not in localstore_environments"));
    }
    let name: String = cells.get("source")?;
    let source = Source::from_name(&name).filter(|source| *source != Source::Site);
    let source = source.ok_or_else(|| refused(format!("source is '{name}'")))?;
    let run = derived(db, id)?;
    let shared = header(&run.identity, source, &read_environment(cells)?);
    let fingerprint = cells.raw("fingerprint")?.as_blob() == Ok(&run.fingerprint[..]);
    let core = cells.raw("core")?.as_blob() == Ok(&run.core[..]);
    let is = |column, flag: bool| -> rusqlite::Result<bool> {
        Ok(cells.raw(column)?.as_i64() == Ok(flag.into()))
    };
    let id_of = |column| cells.get::<Option<i64>>(column);
    let mut flaws = Vec::new();
    for (column, fits) in [
        ("the fingerprint", fingerprint),
        ("core", core),
        ("poor", is("poor", source.is_rounded())?),
        ("partial", is("partial", false)?),
        ("measured_guessed", {
            let is_told = Measured::told(run.test_time.as_ref()).is_some();
            is("measured_guessed", false)? || !is_told && is("measured_guessed", true)?
        }),
        ("score", cells.get::<f64>("score")? == level(&run)),
        ("environment_id", {
            find_environment(db, &shared.environment)? == id_of("environment_id")?
        }),
        ("model_id", {
            find_model(db, &shared.tests[0])? == id_of("model_id")?
        }),
        ("configuration_id", {
            find_configuration(db, &shared)? == id_of("configuration_id")?
        }),
    ] {
        if !fits {
            flaws.push(format!("{column} does not match the tests"));
        }
    }
    let speeds = run.speeds;
    let stored: (i64, [Option<f64>; 4]) = db
        .prepare_cached(
            "SELECT tests, prompt_tps, gen_tps, mean_prompt_tps, mean_gen_tps
             FROM localstore_bench_runs WHERE run_id = ?1",
        )?
        .query_row([id], |row| {
            let tps = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            Ok((row.get(0)?, tps))
        })?;
    if stored.0 != run.tests.cast_signed() {
        flaws.push(format!(
            "has {} tests, but {} rows of them",
            stored.0, run.tests
        ));
    }
    let computed = [
        speeds.prompt,
        speeds.generation,
        speeds.mean_prompt,
        speeds.mean_generation,
    ];
    if stored.1 != computed {
        flaws.push("its speeds do not match the tests".to_owned());
    }
    // What could be lost with it is not there.
    let is_mendable = run.tests > 0 && (fingerprint || core);
    if cells.get("is_published")? {
        flaws.push("has a row in benchmark_runs, which is for runs of LocalScore".to_owned());
    }
    Ok(Checked {
        tests: run.tests,
        published: 0,
        flaws,
        is_mendable,
    })
}

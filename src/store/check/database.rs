//! What SQLite itself finds in the file, and ids that are used up.

use std::collections::BTreeSet;

use db::integrity::{self, used_up};
use rusqlite::Connection;

use super::{Finding, Fix, Watch};

pub(super) fn check(db: &Connection, watch: &mut Watch<'_>) -> rusqlite::Result<()> {
    integrity::check(db, |line| {
        let mut finding = Finding::new("database", line);
        if line.contains(" missing from index ") || line.starts_with("wrong # of entries in index ")
        {
            finding = finding.fix(Fix::Indexes);
        }
        (watch.found)(finding);
    })?;
    foreign_keys(db, watch)?;
    // SQLite adds no row to a table whose sequence is at its end, whatever ids are free.
    for name in used_up(db)? {
        let what = "the ids are used up: nothing can be added";
        (watch.found)(Finding::new(format!("table {name}"), what).fix(Fix::Sequences));
    }
    Ok(())
}

/// The ids of all runs come from the sequence of the public table, of which the site takes its own.
pub(super) fn check_sequence(db: &Connection, watch: &mut Watch<'_>) -> rusqlite::Result<()> {
    let (next, last): (i64, i64) = db.query_row(
        "SELECT max(coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'benchmark_runs'), 0),
                    coalesce((SELECT max(id) FROM benchmark_runs), 0)),
             coalesce((SELECT max(run_id) FROM localstore_runs), 0)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if next < last {
        let what = format!("its ids have reached {next}, but there is run {last}");
        (watch.found)(Finding::new("table benchmark_runs", what).fix(Fix::Sequences));
    }
    Ok(())
}

/// The tables whose rows belong to a run.
const OF_RUNS: [&str; 5] = [
    "localstore_tests",
    "localstore_bench_runs",
    "localstore_bench_tests",
    "localstore_tags",
    "localstore_submissions",
];

fn foreign_keys(db: &Connection, watch: &mut Watch<'_>) -> rusqlite::Result<()> {
    let mut without_run = BTreeSet::new();
    let mut statement = db.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, id, parent): (String, Option<i64>, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        if parent == "localstore_runs" && OF_RUNS.contains(&&*table) {
            without_run.insert(table);
        } else if let Some(id) = id
            // What a run refers to is checked run by run.
            && table != "localstore_runs"
            && table != "localstore_bench_runs"
        {
            let what = format!("refers to a row of {parent} that is not there");
            (watch.found)(Finding::new(format!("{table} {id}"), what));
        }
    }
    for table in without_run {
        let mut statement = db.prepare(&format!(
            "SELECT DISTINCT run_id FROM {table}
             WHERE run_id NOT IN (SELECT run_id FROM localstore_runs)"
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = format!("run {}", row.get::<_, i64>(0)?);
            let what = format!("has rows in {table}, but there is no such run");
            let mut finding = Finding::new(place, what);
            // Tests are what was measured: they are never removed.
            if table == "localstore_tags" || table == "localstore_submissions" {
                finding = finding.fix(Fix::Orphans);
            }
            (watch.found)(finding);
        }
    }
    Ok(())
}

/// Lets the ids of the tables that have given out their last one go on behind the highest one, and
/// those of runs behind that of every run.
pub(super) fn reset_sequences(db: &Connection) -> rusqlite::Result<()> {
    for table in used_up(db)? {
        let name = table.replace('"', "\"\"");
        db.execute(
            &format!(
                "UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(rowid), 0) FROM \"{name}\")
                 WHERE name = ?1"
            ),
            [&table],
        )?;
    }
    db.execute_batch(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'benchmark_runs', 0
         WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'benchmark_runs');
         UPDATE sqlite_sequence
         SET seq = max(seq, (SELECT coalesce(max(run_id), 0) FROM localstore_runs))
         WHERE name = 'benchmark_runs'",
    )
}

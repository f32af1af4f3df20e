//! What SQLite itself finds in the file, and ids that are used up.

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

fn foreign_keys(db: &Connection, watch: &mut Watch<'_>) -> rusqlite::Result<()> {
    // SQLite names a row by its number, which the rows of these two tables do not have.
    let (mut lost_tests, mut lost_tags) = (false, false);
    let mut statement = db.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, id): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
        let parent: String = row.get(2)?;
        match (table.as_str(), id) {
            // What a run refers to is checked run by run.
            ("localstore_runs", _) => {}
            ("localstore_submissions", Some(id)) => {
                let what = "has a submission, but there is no such run";
                (watch.found)(Finding::new(format!("run {id}"), what).fix(Fix::Orphans));
            }
            ("localstore_tests", _) => lost_tests |= parent == "localstore_runs",
            ("localstore_tags", _) => lost_tags = true,
            (_, Some(id)) => {
                let what = format!("refers to a row of {parent} that is not there");
                (watch.found)(Finding::new(format!("{table} {id}"), what));
            }
            (_, None) => {}
        }
    }
    let mut lost = |sql: &str, fix: Option<Fix>| {
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = format!("run {}", row.get::<_, i64>(0)?);
            let what = format!("has {}, but there is no such run", row.get::<_, String>(1)?);
            let finding = Finding::new(place, what);
            (watch.found)(Finding { fix, ..finding });
        }
        Ok::<_, rusqlite::Error>(())
    };
    if lost_tests {
        lost(
            "SELECT DISTINCT run_id, 'tests' FROM localstore_tests
             WHERE run_id NOT IN (SELECT run_id FROM localstore_runs)",
            None,
        )?;
    }
    if lost_tags {
        lost(
            "SELECT run_id, 'the tag ''' || tag || '''' FROM localstore_tags
             WHERE run_id NOT IN (SELECT run_id FROM localstore_runs)",
            Some(Fix::Orphans),
        )?;
    }
    Ok(())
}

/// Lets the ids of the tables that have given out their last one go on behind the highest one.
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
    Ok(())
}

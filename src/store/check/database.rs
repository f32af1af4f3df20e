//! What SQLite itself finds, and what no single run can be blamed for.

use db::integrity::used_up;
use rusqlite::Connection;

use super::mend::Fix;
use super::{Finding, Watch};

pub fn check(db: &Connection, watch: &mut dyn Watch) -> rusqlite::Result<()> {
    db::integrity::check(db, |line| {
        let finding = Finding::new("database", line);
        let is_index = line.contains(" missing from index ")
            || line.starts_with("wrong # of entries in index ");
        watch.found(if is_index {
            finding.fix(Fix::Indexes)
        } else {
            finding
        });
    })?;
    foreign_keys(db, watch)?;
    sequences(db, watch)
}

fn foreign_keys(db: &Connection, watch: &mut dyn Watch) -> rusqlite::Result<()> {
    let mut statement = db.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let table: String = row.get(0)?;
        // Tables without row numbers are those that are gone through run by run.
        let Some(id) = row.get::<_, Option<i64>>(1)? else {
            continue;
        };
        let parent: String = row.get(2)?;
        match table.as_str() {
            "localstore_runs" => {}
            "localstore_submissions" => watch.found(
                Finding::new(format!("run {id}"), "submitted, but there is no such run")
                    .fix(Fix::Orphans),
            ),
            _ => watch.found(Finding::new(
                format!("{table} {id}"),
                format!("refers to a row of {parent} that is not there"),
            )),
        }
    }
    Ok(())
}

/// A sequence at its end lets SQLite add no row to its table, whatever is free.
fn sequences(db: &Connection, watch: &mut dyn Watch) -> rusqlite::Result<()> {
    for name in used_up(db)? {
        let what = "the ids are used up: nothing can be added";
        watch.found(Finding::new(format!("table {name}"), what).fix(Fix::Sequences));
    }
    Ok(())
}

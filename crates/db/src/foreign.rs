//! What a file of somebody else may do while it is read: nothing but give its rows, in a time and
//! memory that its size bounds.

use std::path::Path;

use base::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OptionalExtension};

use crate::database::connect_readonly;
use crate::error::failure;
use crate::location::{refuse_special_file, with_ending};
use crate::room::{Room, Schema, tables};

/// The most bytes of a value: as many as a document may have.
const MOST_BYTES: i32 = 16 << 20;

/// How many steps of SQLite's machine lie between two looks at how many there were.
const STEPS: i32 = 1000;

/// How often that many steps may be taken for each 4 KiB of the file: many times what a merge takes.
const PER_PAGE: u64 = 50;

/// Opens a file of somebody else for reading, at one moment of it, and tells what it is to the room.
pub fn open(path: &Path, room: &Room) -> Result<(Connection, Schema)> {
    refuse_special_file(path)?;
    std::fs::metadata(path).map_err(|error| Error::file(path, &error))?;
    let (db, schemas) = connect_readonly(path, &[room], &|db| bound(db, path))
        .map_err(|error| failure(path, &error))?;
    Ok((db, schemas[0]))
}

/// Lets nothing of the file run: no view, no trigger, no function of its schema. What takes too
/// many steps is interrupted.
pub fn bound(db: &Connection, path: &Path) -> rusqlite::Result<()> {
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        db.set_db_config(config, on)?;
    }
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MOST_BYTES)?;
    // Checks are expressions too.
    db.pragma_update(None, "ignore_check_constraints", true)?;
    let size = ["", "-wal"].map(|ending| {
        let file = std::fs::metadata(with_ending(path, ending));
        file.map_or(0, |file| file.len())
    });
    let pages = size.iter().sum::<u64>() / 4096;
    let mut left = 100_000 + PER_PAGE * pages;
    db.progress_handler(
        STEPS,
        Some(move || {
            left = left.saturating_sub(1);
            left == 0
        }),
    );
    Ok(())
}

/// The tables of the room and of llamafile.
const TABLES: &str = "tables AS (
    SELECT name, type FROM pragma_table_list
    WHERE schema = 'main' AND instr(?1, '/' || lower(name) || '/'))";

/// The names of these tables, each between slashes. To tell them, all of the room's tables are made.
pub fn names(room: &Room) -> rusqlite::Result<String> {
    let tables = tables(&room.fresh(room.current())?)?;
    Ok(format!("/{}/", tables.join("/")).to_lowercase())
}

/// A table with one of these [`names`] that computes what it should have as rows.
pub fn computed(db: &Connection, names: &str) -> rusqlite::Result<Option<String>> {
    db.query_row(
        &format!(
            "WITH {TABLES}
             SELECT name || CASE type WHEN 'view' THEN ' is a view' ELSE ' is a virtual table' END
             FROM tables WHERE type <> 'table'
             UNION ALL
             SELECT t.name || ' has a computed column'
             FROM tables t, pragma_table_xinfo(t.name, 'main') x WHERE x.hidden <> 0
             UNION ALL
             SELECT t.name || ' has an index on an expression'
             FROM tables t, pragma_index_list(t.name, 'main') l,
                 pragma_index_xinfo(l.name, 'main') x
             WHERE x.cid = -2 OR l.partial"
        ),
        [names],
        |row| row.get(0),
    )
    .optional()
}

/// What is wrong with the pages of the tables with these [`names`]. Where one is shared, or leads back to another,
/// a few pages hold rows without end.
pub fn damage(db: &Connection, names: &str) -> rusqlite::Result<Option<String>> {
    let mut tables = db.prepare(&format!("WITH {TABLES} SELECT name FROM tables"))?;
    let mut tables = tables.query([names])?;
    while let Some(row) = tables.next()? {
        let table: String = row.get(0)?;
        let damage = damage_of(db, &table)?;
        if damage.is_some() {
            return Ok(damage);
        }
    }
    Ok(None)
}

/// What is wrong with the pages of this table.
pub fn damage_of(db: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let said: String = db.query_row(
        "SELECT quick_check FROM pragma_quick_check(?1, 'main')",
        [table],
        |row| row.get(0),
    )?;
    // Of its other complaints, each is about a row, which is looked at when it is read.
    Ok(said.strip_prefix("*** in database main ***\n").map(|what| {
        let what = what.lines().next().unwrap_or_default();
        format!("the table {table} is damaged: {what}")
    }))
}

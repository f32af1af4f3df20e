//! What SQLite itself finds wrong with a file.

use rusqlite::Connection;

/// The most complaints of SQLite: those behind the first tell nothing new.
const MOST: u32 = 100;

/// Hands over each complaint of SQLite's integrity check.
pub fn check(db: &Connection, mut found: impl FnMut(&str)) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!("PRAGMA integrity_check({MOST})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let said: String = row.get(0)?;
        said.lines()
            .filter(|line| *line != "ok")
            .for_each(&mut found);
    }
    Ok(())
}

/// The tables that have given out their last id: SQLite adds no row to them, whatever id is free.
pub fn used_up(db: &Connection) -> rusqlite::Result<Vec<String>> {
    if !db.table_exists(Some("main"), "sqlite_sequence")? {
        return Ok(Vec::new());
    }
    db.prepare("SELECT name FROM main.sqlite_sequence WHERE seq = ?1")?
        .query_map([i64::MAX], |row| row.get(0))?
        .collect()
}

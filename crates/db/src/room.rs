//! Rooms: the parts of the file, each with its own tables, migrations and version.
//!
//! Two rules: a migration that has been released is never changed, and each is applied in one
//! transaction together with its version, so that a room is always of one version.
//!
//! A version is a row of `metadata`; `user_version` belongs to llamafile. A room that is not asked
//! for is left alone, whatever its version.

use std::path::Path;

use base::{Error, Result};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// A part of the file.
#[derive(Debug)]
pub struct Room {
    /// What it is called in messages.
    pub name: &'static str,
    /// The key of its version in `metadata`: `localstore.schema_version.` and the name, but for the
    /// first room, whose key has no name.
    pub version_key: &'static str,
    /// A table of this room alone, which tells that the room is there if its version is lost.
    pub table: &'static str,
    /// The numbered .sql files; the version of a room is how many of them have been applied.
    pub migrations: &'static [&'static str],
    /// For each version whose columns are those of the version before, a query that has a row if
    /// that version was reached.
    pub signs: &'static [(i64, &'static str)],
}

/// What a file is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Nothing in it yet.
    Empty,
    /// llamafile made it; none of our tables.
    Llamafile,
    /// A store without this room.
    Absent,
    /// A store with this version of the room.
    Version(i64),
    /// The version of the room is lost; the version that has just its tables.
    Unversioned(Option<i64>),
    /// Another program's database.
    Foreign,
}

/// llamafile's tables, as its own schema has them. It makes them only where there is no metadata, so
/// whoever makes that first makes all.
const LLAMAFILE: &str = include_str!("llamafile.sql");

/// How the keys of all versions begin.
const VERSION_KEYS: &str = "localstore.schema_version";

impl Room {
    /// The version that this program makes.
    #[must_use]
    pub fn current(&self) -> i64 {
        self.migrations.len().cast_signed() as i64
    }

    /// An empty file of this version, in memory.
    pub fn fresh(&self, version: i64) -> rusqlite::Result<Connection> {
        let db = Connection::open_in_memory()?;
        db.execute_batch(LLAMAFILE)?;
        for (_, sql) in (0..version).zip(self.migrations) {
            db.execute_batch(sql)?;
        }
        Ok(db)
    }

    /// What stands behind 'version' in a message: the first room is not named.
    fn in_words(&self) -> String {
        if self.version_key == VERSION_KEYS {
            return String::new();
        }
        format!(" of {}", self.name)
    }

    fn version(&self, db: &Connection) -> rusqlite::Result<Option<i64>> {
        let version: Option<Option<String>> = db
            .query_row(
                "SELECT value FROM metadata WHERE key = ?1",
                [self.version_key],
                |row| row.get(0),
            )
            .optional()?;
        let number = version.flatten().and_then(|text| text.parse().ok());
        Ok(number.filter(|&number| number > 0))
    }

    /// The newest version whose tables are all there, column by column.
    fn version_of_tables(&self, db: &Connection) -> rusqlite::Result<Option<i64>> {
        for version in (1..=self.current()).rev() {
            let mut signs = self.signs.iter().filter(|(of, _)| *of == version);
            if has_tables_of(db, &self.fresh(version)?)?
                && signs.try_fold(true, |all, (_, sql)| {
                    Ok::<_, rusqlite::Error>(all && db.prepare(sql)?.exists([])?)
                })?
            {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }
}

/// The tables of our own that the room has in this version and that the file lacks, or has with
/// other columns. The public tables are left to their owners.
pub fn missing_tables(db: &Connection, room: &Room) -> rusqlite::Result<Vec<String>> {
    let fresh = room.fresh(room.current())?;
    let mut missing = Vec::new();
    for table in tables(&fresh)? {
        if table.starts_with("localstore_") && columns(db, &table)? != columns(&fresh, &table)? {
            missing.push(table);
        }
    }
    Ok(missing)
}

/// A view of a room, which other programs read.
#[derive(Debug)]
pub struct View {
    /// Its name.
    pub name: String,
    /// The statement that makes it.
    sql: String,
    /// What has its name in the file.
    there: Option<String>,
}

impl View {
    /// Whether it can be made: no table has its name.
    #[must_use]
    pub fn can_be_made(&self) -> bool {
        self.there.as_deref().is_none_or(|kind| kind == "view")
    }

    /// Makes it in the place of what is there.
    pub fn make(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(&format!("DROP VIEW IF EXISTS {}; {}", self.name, self.sql))
    }
}

/// The views of the room that the file lacks, or has with other SQL.
pub fn missing_views(db: &Connection, room: &Room) -> rusqlite::Result<Vec<View>> {
    let fresh = room.fresh(room.current())?;
    let mut statement = fresh.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'view'")?;
    let mut views = statement.query([])?;
    let mut missing = Vec::new();
    while let Some(row) = views.next()? {
        let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
        let there: Option<(String, Option<String>)> = db
            .prepare_cached("SELECT type, sql FROM main.sqlite_schema WHERE name = ?1")?
            .query_row([&name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if !matches!(&there, Some((_, Some(stored))) if *stored == sql) {
            let there = there.map(|(kind, _)| kind);
            missing.push(View { name, sql, there });
        }
    }
    Ok(missing)
}

/// What the file is to the room, at one moment: another process may be making the schema.
pub fn inspect(db: &Connection, room: &Room) -> rusqlite::Result<Schema> {
    if !db.is_autocommit() {
        return inspect_now(db, room);
    }
    let moment = db.unchecked_transaction()?;
    inspect_now(&moment, room)
}

fn inspect_now(db: &Connection, room: &Room) -> rusqlite::Result<Schema> {
    // Other programs have a table `metadata` too, such as mbtiles with its name and value.
    let has_metadata = columns(db, "metadata")? == ["key", "value"];
    if has_metadata && let Some(version) = room.version(db)? {
        return Ok(Schema::Version(version));
    }
    // A store without its version: never made again from the first migration.
    if !columns(db, room.table)?.is_empty() {
        return room.version_of_tables(db).map(Schema::Unversioned);
    }
    let keys = if has_metadata {
        version_keys(db)?
    } else {
        Vec::new()
    };
    let is_ours = |key: &String| key.starts_with(VERSION_KEYS) && key != room.version_key;
    Ok(if !db.prepare("SELECT 1 FROM sqlite_schema")?.exists([])? {
        Schema::Empty
    } else if keys.iter().any(is_ours) {
        Schema::Absent
    } else if keys.is_empty() && has_tables_of(db, &room.fresh(0)?)? {
        Schema::Llamafile
    } else {
        Schema::Foreign
    })
}

fn version_keys(db: &Connection) -> rusqlite::Result<Vec<String>> {
    db.prepare("SELECT key FROM metadata WHERE key = ?1 OR key GLOB ?1 || '.*'")?
        .query_map([VERSION_KEYS], |row| row.get(0))?
        .collect()
}

/// The columns of the table; none if there is no such table.
fn columns(db: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached(
        "SELECT c.name FROM sqlite_schema s, pragma_table_info(s.name) c
         WHERE s.type = 'table' AND s.name = ?1 ORDER BY c.cid",
    )?
    .query_map([table], |row| row.get(0))?
    .collect()
}

/// The names of all tables but SQLite's own.
pub(crate) fn tables(db: &Connection) -> rusqlite::Result<Vec<String>> {
    db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Whether all tables of the other database are in this one, with the same columns.
fn has_tables_of(db: &Connection, other: &Connection) -> rusqlite::Result<bool> {
    for table in tables(other)? {
        if columns(db, &table)? != columns(other, &table)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Brings a room to the current version, step by step. Another process may have done it.
///
/// A step may replace a table that others refer to, so no foreign key is enforced meanwhile. SQLite
/// changes that outside of a transaction only.
pub fn migrate(db: &mut Connection, room: &Room) -> rusqlite::Result<()> {
    let is_enforced: bool = db.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
    db.pragma_update(None, "foreign_keys", false)?;
    let migrated = migrate_by_steps(db, room);
    db.pragma_update(None, "foreign_keys", is_enforced)?;
    migrated
}

fn migrate_by_steps(db: &mut Connection, room: &Room) -> rusqlite::Result<()> {
    for (from, sql) in (0..).zip(room.migrations) {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = match inspect(&transaction, room)? {
            Schema::Version(version) => version,
            Schema::Empty | Schema::Llamafile | Schema::Absent => 0,
            Schema::Unversioned(_) | Schema::Foreign => return Ok(()),
        };
        if version != from {
            continue;
        }
        if from == 0 {
            transaction.execute_batch(LLAMAFILE)?;
        }
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO metadata (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (room.version_key, (from + 1).to_string()),
        )?;
        transaction.commit()?;
        let of_room = room.in_words();
        tracing::info!("store brought to schema version {}{of_room}", from + 1);
    }
    Ok(())
}

/// Shows the tables of a room that is not in the file, empty, to all that this connection reads.
/// Nothing is written to the file: they are temporary tables.
pub(crate) fn show_empty(db: &Connection, room: &Room) -> rusqlite::Result<()> {
    db.pragma_update(None, "query_only", false)?;
    let fresh = room.fresh(room.current())?;
    for table in tables(&fresh)? {
        if !columns(db, &table)?.is_empty() {
            continue;
        }
        let sql: String = fresh.query_row(
            "SELECT sql FROM sqlite_schema WHERE name = ?1",
            [&table],
            |row| row.get(0),
        )?;
        db.execute_batch(&sql.replacen("CREATE TABLE", "CREATE TEMP TABLE", 1))?;
    }
    db.pragma_update(None, "query_only", true)
}

/// Refuses a file in which this room cannot be used.
pub fn refuse(path: &Path, room: &Room, schema: Schema) -> Result<()> {
    let refused = |why: &str| Error::new(path.display(), why);
    let of_room = room.in_words();
    match schema {
        Schema::Foreign => Err(refused("this is a database of another program")
            .hint("'--db FILE' names the store; a new file is made where there is none")),
        Schema::Version(version) if version > room.current() => Err(refused(&format!(
            "the store has schema version {version}{of_room}, this program knows versions up to {}",
            room.current()
        ))
        .hint("a newer localstore made it: update this one")),
        Schema::Unversioned(version) => Err(refused(&format!(
            "this is a store of localstore that has lost its version{of_room}"
        ))
        .hint(match version {
            Some(version) => format!(
                "its tables are those of version {version}, which this notes: sqlite3 FILE \
                 \"REPLACE INTO metadata VALUES ('{}', '{version}')\"",
                room.version_key
            ),
            None => "its tables are those of no known version: go on with a copy that 'localstore \
                     backup' made"
                .to_owned(),
        })),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Database, Location};

    const COLD: Room = Room {
        name: "cold",
        version_key: "localstore.schema_version",
        table: "localstore_cold",
        migrations: &["CREATE TABLE localstore_cold (a)"],
        signs: &[],
    };

    const WARM: Room = Room {
        name: "warm",
        version_key: "localstore.schema_version.warm",
        table: "localstore_warm",
        migrations: &[
            "CREATE TABLE localstore_warm (a)",
            "ALTER TABLE localstore_warm ADD COLUMN b",
        ],
        signs: &[],
    };

    fn store() -> (tempfile::TempDir, Location) {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::resolve(Some(folder.path().join("store")), None, &[]);
        (folder, location)
    }

    fn run(location: &Location, rooms: &[&Room], sql: &str) {
        let mut database = Database::open(location, rooms).unwrap();
        database.write(|db| Ok(db.execute_batch(sql)?)).unwrap();
    }

    fn schemas(location: &Location, rooms: &[&Room]) -> Vec<Schema> {
        let db = Connection::open(&location.path).unwrap();
        rooms
            .iter()
            .map(|room| inspect(&db, room).unwrap())
            .collect()
    }

    fn error(result: Result<Database>) -> String {
        result.map(drop).unwrap_err().lines()
    }

    #[test]
    fn a_room_migrates_alone_and_leaves_others_as_they_are() {
        let (_folder, location) = store();
        let old = Room {
            migrations: &WARM.migrations[..1],
            ..WARM
        };
        run(&location, &[&old], "INSERT INTO localstore_warm VALUES (1)");
        assert_eq!(
            schemas(&location, &[&COLD, &WARM]),
            [Schema::Absent, Schema::Version(1)]
        );
        run(
            &location,
            &[&COLD],
            "INSERT INTO localstore_cold VALUES (2)",
        );
        assert_eq!(
            schemas(&location, &[&COLD, &WARM]),
            [Schema::Version(1), Schema::Version(1)]
        );
        run(&location, &[&WARM], "UPDATE localstore_warm SET b = a");
        assert_eq!(
            schemas(&location, &[&COLD, &WARM]),
            [Schema::Version(1), Schema::Version(2)]
        );
        // llamafile, which makes its tables only where there is no metadata, finds all of them.
        run(&location, &[], "INSERT INTO chats (title) VALUES ('a')");
    }

    #[test]
    fn reading_brings_a_room_up_to_date_and_shows_an_absent_one_empty() {
        let (_folder, location) = store();
        let old = Room {
            migrations: &WARM.migrations[..1],
            ..WARM
        };
        run(&location, &[&old], "INSERT INTO localstore_warm VALUES (1)");
        let count = |rooms: &[&Room], table: &str| {
            let database = Database::open_readonly(&location, rooms).unwrap();
            let sql = format!("SELECT count(*) FROM {table}");
            let count = database.read(|db| Ok(db.query_row(&sql, [], |row| row.get::<_, i64>(0))?));
            assert!(
                database
                    .read(|db| Ok(db.execute_batch("DELETE FROM chats")?))
                    .is_err()
            );
            count.unwrap()
        };
        assert_eq!(count(&[&COLD], "localstore_cold"), 0);
        assert_eq!(
            schemas(&location, &[&COLD, &WARM]),
            [Schema::Absent, Schema::Version(1)]
        );
        assert_eq!(count(&[&COLD, &WARM], "localstore_warm WHERE b IS NULL"), 1);
        assert_eq!(schemas(&location, &[&WARM]), [Schema::Version(2)]);
    }

    #[test]
    fn a_newer_room_refuses_only_itself() {
        let (_folder, location) = store();
        run(&location, &[&COLD, &WARM], "");
        let old = Room {
            migrations: &WARM.migrations[..1],
            ..WARM
        };
        for opened in [
            Database::open(&location, &[&old]),
            Database::open_readonly(&location, &[&COLD, &old]),
        ] {
            let error = error(opened);
            let expected =
                "the store has schema version 2 of warm, this program knows versions up to 1";
            assert!(error.contains(expected), "{error}");
        }
        run(
            &location,
            &[&COLD],
            "INSERT INTO localstore_cold VALUES (1)",
        );
    }

    #[test]
    fn a_migration_that_fails_leaves_its_room_and_the_others_as_they_were() {
        let (_folder, location) = store();
        run(&location, &[&COLD], "");
        let broken = Room {
            migrations: &[
                "CREATE TABLE localstore_warm (a)",
                "DROP TABLE localstore_warm; CREATE TABLE localstore_cold (a)",
            ],
            ..WARM
        };
        let error = error(Database::open(&location, &[&broken]));
        assert!(error.contains("localstore_cold already exists"), "{error}");
        assert_eq!(
            schemas(&location, &[&COLD, &WARM]),
            [Schema::Version(1), Schema::Version(1)]
        );
        run(
            &location,
            &[&COLD, &WARM],
            "INSERT INTO localstore_warm VALUES (1, 2)",
        );
    }

    #[test]
    fn foreign_keys_are_enforced_again_after_a_migration_that_replaced_their_table() {
        const FIRST: &str = "CREATE TABLE localstore_warm (a INTEGER PRIMARY KEY);
             CREATE TABLE localstore_parts (a REFERENCES localstore_warm(a));";
        const REPLACE: &str = "CREATE TABLE localstore_new (a INTEGER PRIMARY KEY, b);
             INSERT INTO localstore_new SELECT a, 2 FROM localstore_warm;
             DROP TABLE localstore_warm;
             ALTER TABLE localstore_new RENAME TO localstore_warm;";
        let of = |migrations| Room { migrations, ..WARM };
        let (_folder, location) = store();
        let rows =
            "INSERT INTO localstore_warm VALUES (1); INSERT INTO localstore_parts VALUES (1)";
        run(&location, &[&of(&[FIRST])], rows);
        let new = of(&[FIRST, REPLACE]);
        let failing = of(&[FIRST, "DROP TABLE localstore_warm; SELECT x"]);
        let mut db = Connection::open(&location.path).unwrap();
        let is_enforced = |db: &Connection| -> bool {
            db.pragma_query_value(None, "foreign_keys", |row| row.get(0))
                .unwrap()
        };
        db.pragma_update(None, "foreign_keys", true).unwrap();
        migrate(&mut db, &failing).unwrap_err();
        assert!(is_enforced(&db));
        drop(db);
        let mut database = Database::open(&location, &[&new]).unwrap();
        let refused = database.write(|db| {
            assert!(is_enforced(db));
            Ok(db.execute_batch("DELETE FROM localstore_warm")?)
        });
        assert!(refused.is_err());
        let parts =
            "SELECT count(*) FROM localstore_parts JOIN localstore_warm USING (a) WHERE b = 2";
        let count = database.read(|db| Ok(db.query_row(parts, [], |row| row.get::<_, i64>(0))?));
        assert_eq!(count.unwrap(), 1);
    }

    #[test]
    fn a_room_whose_version_is_lost_is_not_begun_again() {
        let (_folder, location) = store();
        run(
            &location,
            &[&COLD, &WARM],
            "DELETE FROM metadata WHERE key LIKE '%warm'",
        );
        assert_eq!(schemas(&location, &[&WARM]), [Schema::Unversioned(Some(2))]);
        let error = error(Database::open(&location, &[&WARM]));
        assert!(error.contains("has lost its version of warm"), "{error}");
        run(&location, &[&COLD], "");
    }
}

//! The schema, version by version.
//!
//! Two rules: a migration that has been released is never changed, and each is applied in one
//! transaction together with its version, so that a store is always of one version.
//!
//! The version is the row `localstore.schema_version` of `metadata`; `user_version` belongs to
//! llamafile.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// The numbered .sql files; the version of a store is how many of them it has seen.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_runs.sql"),
    include_str!("schema/0002_configurations.sql"),
    include_str!("schema/0003_core.sql"),
];

/// The version that this program makes.
pub const CURRENT: i64 = MIGRATIONS.len().cast_signed() as i64;

/// The key of the version in `metadata`.
pub const VERSION_KEY: &str = "localstore.schema_version";

/// What a database file is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Nothing in it yet.
    Empty,
    /// llamafile made it; none of our tables.
    Llamafile,
    /// A store of this version.
    Version(i64),
    /// A store whose version is lost, and the version that has just these tables.
    Unversioned(Option<i64>),
    /// Another program's database.
    Foreign,
}

/// Looks what the file is, at one moment: another process may be making the schema.
pub fn inspect(db: &Connection) -> rusqlite::Result<Schema> {
    if !db.is_autocommit() {
        return inspect_now(db);
    }
    let moment = db.unchecked_transaction()?;
    inspect_now(&moment)
}

fn inspect_now(db: &Connection) -> rusqlite::Result<Schema> {
    // Other programs have a table `metadata` too, such as mbtiles with its name and value.
    let version = if columns(db, "metadata")? == ["key", "value"] {
        db.query_row(
            "SELECT value FROM metadata WHERE key = ?1",
            [VERSION_KEY],
            |row| row.get::<_, Option<String>>(0),
        )
        .optional()?
    } else {
        None
    };
    let number = version
        .as_ref()
        .and_then(|text| text.as_ref()?.parse().ok());
    if let Some(number) = number.filter(|&number| number > 0) {
        return Ok(Schema::Version(number));
    }
    // Not to be begun anew in.
    if !columns(db, "localstore_runs")?.is_empty() {
        return version_of_tables(db).map(Schema::Unversioned);
    }
    let empty = !db.prepare("SELECT 1 FROM sqlite_schema")?.exists([])?;
    Ok(if empty {
        Schema::Empty
    } else if version.is_none() && has(db, &fresh(1)?, &LLAMAFILE)? {
        Schema::Llamafile
    } else {
        Schema::Foreign
    })
}

/// The tables that llamafile makes.
const LLAMAFILE: [&str; 3] = ["metadata", "chats", "messages"];

/// The columns of the table; none if there is no such table.
fn columns(db: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached(
        "SELECT c.name FROM sqlite_schema s, pragma_table_info(s.name) c
         WHERE s.type = 'table' AND s.name = ?1 ORDER BY c.cid",
    )?
    .query_map([table], |row| row.get(0))?
    .collect()
}

/// The newest version whose tables are all there, column by column.
fn version_of_tables(db: &Connection) -> rusqlite::Result<Option<i64>> {
    for version in (1..=MIGRATIONS.len()).rev() {
        let fresh = fresh(version)?;
        let tables: Vec<String> = fresh
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        if has(db, &fresh, &tables)? && (version != CORE_IS_BYTES || core_is_bytes(db)?) {
            return Ok(Some(version.cast_signed() as i64));
        }
    }
    Ok(None)
}

/// The version from which on `core` is bytes, which its columns do not tell.
const CORE_IS_BYTES: usize = 3;

/// Whether `core` is bytes. Where there is no run, the migration can be done again.
fn core_is_bytes(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare("SELECT 1 FROM localstore_runs WHERE typeof(core) = 'blob' LIMIT 1")?
        .exists([])
}

/// Whether these tables have the same columns in both.
fn has(db: &Connection, other: &Connection, tables: &[impl AsRef<str>]) -> rusqlite::Result<bool> {
    for table in tables {
        if columns(db, table.as_ref())? != columns(other, table.as_ref())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An empty store of this version in memory.
fn fresh(version: usize) -> rusqlite::Result<Connection> {
    let db = Connection::open_in_memory()?;
    for sql in &MIGRATIONS[..version] {
        db.execute_batch(sql)?;
    }
    Ok(db)
}

/// Brings a store to the current version, step by step. Whoever comes second finds it done.
pub fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    for (index, sql) in MIGRATIONS.iter().enumerate() {
        let from = index.cast_signed() as i64;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = match inspect(&transaction)? {
            Schema::Version(version) => version,
            Schema::Empty | Schema::Llamafile => 0,
            Schema::Unversioned(_) | Schema::Foreign => return Ok(()),
        };
        if version != from {
            continue;
        }
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO metadata (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (VERSION_KEY, (from + 1).to_string()),
        )?;
        transaction.commit()?;
        tracing::info!("store brought to schema version {}", from + 1);
    }
    Ok(())
}

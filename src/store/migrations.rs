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
    let has_table = |name: &str| -> rusqlite::Result<bool> {
        db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
            .exists([name])
    };
    if has_table("metadata")? && is_key_value(db)? {
        let version: Option<Option<String>> = db
            .query_row(
                "SELECT value FROM metadata WHERE key = ?1",
                [VERSION_KEY],
                |row| row.get(0),
            )
            .optional()?;
        return Ok(match version {
            // A version that is no number was not written by us.
            Some(version) => version
                .and_then(|text| text.parse().ok())
                .filter(|&version| version > 0)
                .map_or(Schema::Foreign, Schema::Version),
            // A store whose version is lost is not one to begin anew in.
            None if has_table("localstore_runs")? => Schema::Foreign,
            None if has_table("chats")? && has_table("messages")? => Schema::Llamafile,
            None => Schema::Foreign,
        });
    }
    let empty = !db.prepare("SELECT 1 FROM sqlite_schema")?.exists([])?;
    Ok(if empty {
        Schema::Empty
    } else {
        Schema::Foreign
    })
}

/// Other programs have a table `metadata` too, such as mbtiles with its name and value.
fn is_key_value(db: &Connection) -> rusqlite::Result<bool> {
    let columns: Vec<String> = db
        .prepare("SELECT name FROM pragma_table_info('metadata')")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(columns == ["key", "value"])
}

/// Brings a store to the current version, step by step. Whoever comes second finds it done.
pub fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    for (index, sql) in MIGRATIONS.iter().enumerate() {
        let from = index.cast_signed() as i64;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = match inspect(&transaction)? {
            Schema::Version(version) => version,
            Schema::Empty | Schema::Llamafile => 0,
            Schema::Foreign => return Ok(()),
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

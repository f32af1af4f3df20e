//! The open file: for writing, or for reading at one moment.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::{Error, Identity, Result, identity};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{failure, reason};
use crate::location::{Location, absolute, create, refuse_special_file, with_ending};
use crate::room::{Room, Schema, inspect, migrate, refuse, show_empty};

/// How long a busy store is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Memory for pages while writing, as SQLite counts it: 16 MiB. An add touches the end of each
/// table, and of the indexes over fingerprints any place.
const CACHE_SIZE: i64 = -16 * 1024;

/// Pages of 4 KiB in the log before they are moved into the file: with SQLite's 1000, adding many
/// runs would write the same pages of the indexes again and again.
const CHECKPOINT_PAGES: i64 = 8000;

/// Statements that are kept prepared: more than an add uses.
const STATEMENTS: usize = 64;

/// Leaves the log of a WAL file where it is on closing.
const KEEP_LOG: DbConfig = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;

/// An open store, in which these rooms can be used.
pub struct Database {
    pub(crate) connection: Connection,
    path: PathBuf,
    /// Which file was opened for writing.
    identity: Option<Identity>,
}

impl Database {
    /// Opens the store for writing: makes the folder and the file if they do not exist, and brings
    /// the rooms up to date.
    pub fn open(location: &Location, rooms: &[&Room]) -> Result<Self> {
        let path = &location.path;
        create(path)?;
        let failed = |error: rusqlite::Error| failure(path, &error);
        let mut db =
            open_with(OpenFlags::SQLITE_OPEN_READ_WRITE, &absolute(path)).map_err(failed)?;
        // Nothing is changed in a file that is not ours, neither its journal mode nor, by tidying
        // up on close, the log that its program left.
        let schemas = db
            .busy_timeout(BUSY_TIMEOUT)
            .and_then(|()| db.set_db_config(KEEP_LOG, true))
            .and_then(|_| inspect_all(&db, rooms))
            .map_err(failed)?;
        refuse_all(path, rooms, &schemas)?;
        db.set_db_config(KEEP_LOG, false).map_err(failed)?;
        run_startup_sql(&db, location)?;
        db.pragma_update(None, "foreign_keys", true)
            .and_then(|()| db.pragma_update(None, "cache_size", CACHE_SIZE))
            .and_then(|()| db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES))
            .map_err(failed)?;
        for (room, schema) in rooms.iter().zip(schemas) {
            if schema != Schema::Version(room.current()) {
                retry(|| migrate(&mut db, room)).map_err(failed)?;
                refuse(path, room, retry(|| inspect(&db, room)).map_err(failed)?)?;
            }
        }
        Ok(Self {
            connection: db,
            path: path.clone(),
            identity: identity(path).ok(),
        })
    }

    /// Opens the store for reading: nothing is created, and nothing can be changed. A room of an
    /// older version is brought up to date first. One that is not in the file has no rows.
    pub fn open_readonly(location: &Location, rooms: &[&Room]) -> Result<Self> {
        let path = &location.path;
        refuse_special_file(path)?;
        match std::fs::metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::new(path.display(), "there is no store")
                    .hint("'localstore add FILE' makes it"));
            }
            Err(error) => return Err(Error::file(path, &error)),
        }
        let failed = |error: rusqlite::Error| failure(path, &error);
        let (db, schemas) = connect_readonly(path, rooms, &|_| Ok(())).map_err(failed)?;
        refuse_all(path, rooms, &schemas)?;
        let is_old = |(room, schema): (&&Room, &Schema)| matches!(schema, Schema::Version(version) if *version < room.current());
        if rooms.iter().zip(&schemas).any(is_old) {
            let is_readonly = db.is_readonly(rusqlite::MAIN_DB).map_err(failed)?;
            drop(db);
            let database = Self::open(location, rooms).map_err(|error| {
                if is_readonly {
                    error.hint(
                        "a store of an older version is brought up to date before it is read: \
                         copy it to where it can be written",
                    )
                } else {
                    error
                }
            })?;
            database
                .connection
                .execute_batch("PRAGMA query_only = 1; BEGIN")
                .map_err(failed)?;
            return Ok(database);
        }
        for (room, schema) in rooms.iter().zip(schemas) {
            if !matches!(schema, Schema::Version(_)) {
                show_empty(&db, room).map_err(failed)?;
            }
        }
        Ok(Self {
            connection: db,
            path: path.clone(),
            identity: None,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> crate::Result<T>) -> Result<T> {
        work(&self.connection).map_err(|error| error.of_file(&self.path))
    }

    /// Runs `work` in one transaction that takes the write lock at once. An error if the file has
    /// lost its name meanwhile: nobody will read what was written into it.
    pub fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> crate::Result<T>,
    ) -> Result<T> {
        let path = &self.path;
        let result = in_transaction(&mut self.connection, work);
        let result = result.map_err(|error| error.of_file(path))?;
        if self.is_in_place() {
            return Ok(result);
        }
        let why = "the file was removed or replaced while it was written to";
        Err(Error::new(self.path.display(), why)
            .hint("what was written to it is lost: run the command again"))
    }

    /// Whether the file still has the name that it was opened by.
    pub fn is_in_place(&self) -> bool {
        self.identity == identity(&self.path).ok()
    }

    /// The same while SQLite does not enforce the foreign keys: where no index helps, it would
    /// search a whole table for each row that is deleted.
    pub fn write_without_foreign_keys<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> crate::Result<T>,
    ) -> Result<T> {
        self.read(|db| Ok(db.pragma_update(None, "foreign_keys", false)?))?;
        let result = self.write(work);
        self.read(|db| Ok(db.pragma_update(None, "foreign_keys", true)?))?;
        result
    }

    /// Makes every transaction from here on outlive a power failure, whatever the startup SQL says.
    pub fn survive_power_failure(&mut self) -> Result<()> {
        let sql = "PRAGMA synchronous = EXTRA; PRAGMA fullfsync = 1;";
        self.read(|db| Ok(db.execute_batch(sql)?))
    }
}

fn in_transaction<T>(
    db: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> crate::Result<T>,
) -> crate::Result<T> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

/// Runs the startup SQL. Changing the journal mode does not wait for a busy store by itself.
fn run_startup_sql(db: &Connection, location: &Location) -> Result<()> {
    let Location { path, startup_sql } = location;
    retry(|| db.execute_batch(startup_sql)).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::Unknown) | None => {
            let why = reason(&error);
            let why = format!("failed to execute startup SQL ({startup_sql}) because: {why}");
            Error::new(path.display(), why)
        }
        _ => failure(path, &error),
    })
}

/// Repeats what a busy store refuses, for as long as a statement would wait.
fn retry<T>(mut step: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match step() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < BUSY_TIMEOUT =>
            {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

/// What the file is to each room.
fn inspect_all(db: &Connection, rooms: &[&Room]) -> rusqlite::Result<Vec<Schema>> {
    rooms
        .iter()
        .map(|room| retry(|| inspect(db, room)))
        .collect()
}

fn refuse_all(path: &Path, rooms: &[&Room], schemas: &[Schema]) -> Result<()> {
    let mut each = rooms.iter().zip(schemas);
    each.try_for_each(|(room, schema)| refuse(path, room, *schema))
}

/// Sets bounds to a connection before anything is read.
type Bound<'a> = dyn Fn(&Connection) -> rusqlite::Result<()> + 'a;

/// A connection that reads only, in the first of three ways that works.
///
/// One that may write but is forbidden to comes first, because on closing it takes away the files
/// `-wal` and `-shm` that any reader of a WAL file makes. Where the file cannot be written to, it is
/// read as it stands, unless a log beside it tells that somebody else is writing.
pub(crate) fn connect_readonly(
    path: &Path,
    rooms: &[&Room],
    bound: &Bound<'_>,
) -> rusqlite::Result<(Connection, Vec<Schema>)> {
    let path = absolute(path);
    let db = open_with(OpenFlags::SQLITE_OPEN_READ_WRITE, &path)?;
    // Where it may not write, SQLite opens for reading without a word.
    if !db.is_readonly(rusqlite::MAIN_DB)? {
        match prepare_readonly(db, rooms, bound) {
            // The second is what a full disk does to the file -shm.
            Err(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure)
                ) => {}
            result => return result,
        }
    }
    let log = std::fs::metadata(with_ending(&path, "-wal"));
    let db = if log.is_ok_and(|log| log.len() > 0) {
        open_with(OpenFlags::SQLITE_OPEN_READ_ONLY, &path)
    } else {
        open_immutable(&path)
    };
    prepare_readonly(db?, rooms, bound)
}

pub(crate) fn open_with(flags: OpenFlags, path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

fn prepare_readonly(
    db: Connection,
    rooms: &[&Room],
    bound: &Bound<'_>,
) -> rusqlite::Result<(Connection, Vec<Schema>)> {
    bound(&db)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_db_config(KEEP_LOG, true)?;
    db.pragma_update(None, "query_only", true)?;
    let schemas = inspect_all(&db, rooms)?;
    let is_known = |(room, schema): (&&Room, &Schema)| match schema {
        Schema::Version(version) => *version <= room.current(),
        schema => *schema == Schema::Absent,
    };
    if rooms.iter().zip(&schemas).all(is_known) {
        db.set_db_config(KEEP_LOG, false)?;
    }
    // All that a command reads is of one moment.
    db.execute_batch("BEGIN")?;
    Ok((db, schemas))
}

/// Opens the file as it lies there: nothing is made beside it.
pub(crate) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(*byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri += "?immutable=1";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    open_with(flags, Path::new(&uri))
}

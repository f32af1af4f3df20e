//! The store: one SQLite file, which is llamafile's too. No format is known here.

mod backup;
mod chats;
mod check;
mod distrust;
mod fingerprint;
mod merge;
mod merge_chats;
mod migrations;
mod own;
mod public;
mod rows;
mod runs;
mod scores;
mod select;
mod site;
mod submissions;
mod tags;
mod trends;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use base::{Error, Result};
pub(crate) use check::{Finding, Totals, Watch};
pub(crate) use merge::{ForeignFile, ForeignRun, Refused};
pub(crate) use merge_chats::{ChatRows, MergedChat};
pub use migrations::CURRENT as SCHEMA_VERSION;
use migrations::Schema;
pub use runs::{Added, Stored};
pub use select::{Filter, Listed, Sort};
pub use submissions::{Attempt, End, Taken};
pub use tags::check_tag;
pub use trends::{Configuration, Level};

/// What the C tool runs on every open.
pub const DEFAULT_STARTUP_SQL: &str = "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;";

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

/// Where the store is, and what is run when it is opened.
#[derive(Debug, Clone)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// SQL that is run on every open that may write.
    pub startup_sql: String,
}

impl Location {
    /// The location by the rules of the C tool: `--db`, else `LOCALSTORE_DB`, else llamafile's
    /// file in the home folder, else in the current one.
    #[must_use]
    pub fn resolve(db: Option<PathBuf>, startup_sql: Option<String>) -> Self {
        let from_environment = || std::env::var_os("LOCALSTORE_DB").filter(|path| !path.is_empty());
        let path: PathBuf = db
            .or_else(|| from_environment().map(PathBuf::from))
            .or_else(|| home().map(|home| home.join(".llamafile").join("llamafile.sqlite3")))
            .unwrap_or_else(|| "llamafile.sqlite3".into());
        Self {
            path,
            startup_sql: startup_sql.unwrap_or_else(|| DEFAULT_STARTUP_SQL.to_owned()),
        }
    }
}

/// What SQLite puts behind the name of a database, for files of its own beside it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

impl Location {
    /// Refuses what is the store, or belongs to it, where another file is meant.
    pub fn refuse(&self, target: &Path) -> Result<()> {
        let (store, file) = (real(&self.path), real(target));
        let is_beside = |ending: &&str| file == with_ending(&store, ending);
        let is_linked = identity(&file).is_some_and(|file| Some(file) == identity(&store));
        if file == store || is_linked || BESIDE.iter().any(is_beside) {
            return Err(Error::new(target.display(), "this is the store itself"));
        }
        Ok(())
    }
}

/// Refuses a target beside which the log of another database lies: SQLite would read it as that of
/// the new file.
pub fn refuse_logs_beside(target: &Path) -> Result<()> {
    let target = real(target);
    for ending in BESIDE {
        let log = with_ending(&target, ending);
        if log.exists() {
            return Err(Error::new(
                log.display(),
                "a log of another database lies beside the target",
            )
            .hint("name another file, or remove that database with all its files"));
        }
    }
    Ok(())
}

/// The path without links, also of a file that is not there yet.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| {
        let path = file(path);
        match (path.parent().map(std::fs::canonicalize), path.file_name()) {
            (Some(Ok(folder)), Some(name)) => folder.join(name),
            _ => path,
        }
    })
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// `HOME` alone, as in the C tool: a user without it has no home, whatever the password file says.
#[cfg(unix)]
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
}

#[cfg(not(unix))]
fn home() -> Option<PathBuf> {
    directories::UserDirs::new().map(|dirs| dirs.home_dir().to_owned())
}

/// An open store.
pub struct Store {
    db: Connection,
    path: PathBuf,
    /// False for a file that llamafile made and no run was ever added to.
    has_runs: bool,
    /// Which file was opened for writing.
    identity: Option<Identity>,
}

/// What tells a file from another one of the same name.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// A file that is open cannot be removed here.
#[cfg(not(unix))]
fn identity(_: &Path) -> Option<Identity> {
    None
}

impl Store {
    /// Opens the store for writing: makes the folder and the file if they are not there, and
    /// brings the schema up to date.
    pub fn open(location: &Location) -> Result<Self> {
        let path = &location.path;
        create(path)?;
        let mut db = open_with(OpenFlags::SQLITE_OPEN_READ_WRITE, &file(path))
            .map_err(|error| failure(path, &error))?;
        Self::prepare(&mut db, location)?;
        Ok(Self {
            db,
            path: path.clone(),
            has_runs: true,
            identity: identity(path),
        })
    }

    fn prepare(db: &mut Connection, location: &Location) -> Result<()> {
        let path = &location.path;
        let failed = |error: rusqlite::Error| failure(path, &error);
        db.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        // Nothing is changed in a file that is not ours, neither its journal mode nor, by tidying
        // up on close, the log that its program left.
        db.set_db_config(KEEP_LOG, true).map_err(failed)?;
        let schema = patiently(|| migrations::inspect(db)).map_err(failed)?;
        refuse_what_is_not_ours(path, schema)?;
        db.set_db_config(KEEP_LOG, false).map_err(failed)?;
        startup(db, location)?;
        db.pragma_update(None, "foreign_keys", true)
            .map_err(failed)?;
        db.pragma_update(None, "cache_size", CACHE_SIZE)
            .and_then(|()| db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES))
            .map_err(failed)?;
        if schema != Schema::Version(migrations::CURRENT) {
            patiently(|| migrations::migrate(db)).map_err(failed)?;
            let schema = patiently(|| migrations::inspect(db)).map_err(failed)?;
            refuse_what_is_not_ours(path, schema)?;
        }
        Ok(())
    }

    /// Opens the store for reading: nothing is created, and nothing can be changed. Runs that the
    /// site has inserted since our last write are there too.
    pub fn open_readonly(location: &Location) -> Result<Self> {
        let store = Self::open_as_is(location)?;
        if store.has_runs {
            site::show(&store.db).map_err(|error| store.failure(&error))?;
        }
        Ok(store)
    }

    /// The same without what our tables do not hold yet.
    pub fn open_as_is(location: &Location) -> Result<Self> {
        let path = &location.path;
        refuse_no_file(path)?;
        match std::fs::metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::new(path.display(), "there is no store")
                    .hint("'localstore add FILE' makes it; '--db FILE' names another one"));
            }
            Err(error) => return Err(Error::file(path, &error)),
        }
        let (db, schema) = connect_readonly(path, &|_| Ok(())).map_err(|e| failure(path, &e))?;
        refuse_what_is_not_ours(path, schema)?;
        match schema {
            Schema::Version(version) if version < migrations::CURRENT => {
                let is_readonly = db.is_readonly(rusqlite::MAIN_DB);
                let is_readonly = is_readonly.map_err(|error| failure(path, &error))?;
                drop(db);
                let mut store = Self::open(location).map_err(|error| {
                    if is_readonly {
                        error.hint(
                            "a store of an older version is brought up to date before it is read: \
                             copy it to where it can be written",
                        )
                    } else {
                        error
                    }
                })?;
                store.read_one_moment()?;
                Ok(store)
            }
            _ => Ok(Self {
                db,
                path: path.clone(),
                has_runs: matches!(schema, Schema::Version(_)),
                identity: None,
            }),
        }
    }

    fn read_one_moment(&mut self) -> Result<()> {
        self.db
            .execute_batch("PRAGMA query_only = 1; BEGIN")
            .map_err(|error| self.failure(&error))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failure(&self, error: &rusqlite::Error) -> Error {
        failure(&self.path, error)
    }

    /// An error if what was written went into a file that has no name any more: nobody will read it.
    fn is_still_there(&self) -> Result<()> {
        if self.identity == identity(&self.path) {
            return Ok(());
        }
        let why = "the file was removed or replaced while it was written to";
        Err(Error::new(self.path.display(), why)
            .hint("what was written to it is lost: run the command again"))
    }
}

/// Refuses what is there and is no regular file: SQLite would wait for a pipe without end.
fn refuse_no_file(path: &Path) -> Result<()> {
    let why = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => "is a directory",
        Ok(found) if !found.is_file() => "this is not a file",
        _ => return Ok(()),
    };
    Err(Error::new(path.display(), why))
}

/// Makes the folder and an empty file that only its user may read, where there is none.
fn create(path: &Path) -> Result<()> {
    let failed = |error: &io::Error| Error::file(path, error);
    refuse_no_file(path)?;
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|e| failed(&e))?;
    }
    // Through a link, and whoever else makes it at this moment.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|e| failed(&e))
}

/// Runs the startup SQL. Changing the journal mode does not wait for a busy store by itself.
fn startup(db: &Connection, location: &Location) -> Result<()> {
    patiently(|| db.execute_batch(&location.startup_sql)).map_err(|error| {
        let path = &location.path;
        match error.sqlite_error_code() {
            Some(ErrorCode::Unknown) | None => Error::new(
                path.display(),
                format!(
                    "failed to execute startup SQL ({}) because: {}",
                    location.startup_sql,
                    reason(&error)
                ),
            ),
            _ => failure(path, &error),
        }
    })
}

/// Repeats what a busy store refuses, for as long as a statement would wait.
fn patiently<T>(mut step: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
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

/// The file for SQLite, which must not take a relative name for a URI or for `:memory:`.
fn file(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Sets bounds to a connection before anything is read.
type Bound<'a> = dyn Fn(&Connection) -> rusqlite::Result<()> + 'a;

/// A connection that reads only, in the first of three ways that works.
///
/// One that may write but is forbidden to comes first, because on closing it takes away the files
/// `-wal` and `-shm` that any reader of a WAL file makes. Where the file cannot be written to, it is
/// read as it stands, unless a log beside it tells that somebody else is writing.
fn connect_readonly(path: &Path, bound: &Bound<'_>) -> rusqlite::Result<(Connection, Schema)> {
    let path = file(path);
    let db = open_with(OpenFlags::SQLITE_OPEN_READ_WRITE, &path)?;
    // Where it may not write, SQLite opens for reading without a word.
    if !db.is_readonly(rusqlite::MAIN_DB)? {
        match prepare_readonly(db, bound) {
            // The second is what a full disk does to the file -shm.
            Err(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure)
                ) => {}
            result => return result,
        }
    }
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    let db = if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        open_with(OpenFlags::SQLITE_OPEN_READ_ONLY, &path)
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        open_with(flags, Path::new(&immutable_uri(&path)))
    };
    prepare_readonly(db?, bound)
}

fn open_with(flags: OpenFlags, path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

fn prepare_readonly(db: Connection, bound: &Bound<'_>) -> rusqlite::Result<(Connection, Schema)> {
    bound(&db)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_db_config(KEEP_LOG, true)?;
    db.pragma_update(None, "query_only", true)?;
    let schema = patiently(|| migrations::inspect(&db))?;
    if matches!(schema, Schema::Version(version) if version <= migrations::CURRENT) {
        db.set_db_config(KEEP_LOG, false)?;
    }
    // All that a command reads is of one moment.
    db.execute_batch("BEGIN")?;
    Ok((db, schema))
}

fn immutable_uri(path: &Path) -> String {
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
    uri + "?immutable=1"
}

fn refuse_what_is_not_ours(path: &Path, schema: Schema) -> Result<()> {
    match schema {
        Schema::Foreign => Err(
            Error::new(path.display(), "this is a database of another program")
                .hint("'--db FILE' names the store; a new file is made where there is none"),
        ),
        Schema::Version(version) if version > migrations::CURRENT => Err(Error::new(
            path.display(),
            format!(
                "the store has schema version {version}, this program knows versions up to {}",
                migrations::CURRENT
            ),
        )
        .hint("a newer localstore made it: update this one")),
        Schema::Unversioned(version) => Err(Error::new(
            path.display(),
            "this is a store of localstore that has lost its version",
        )
        .hint(match version {
            Some(version) => format!(
                "its tables are those of version {version}, which this notes: sqlite3 FILE \
                 \"REPLACE INTO metadata VALUES ('{}', '{version}')\"",
                migrations::VERSION_KEY
            ),
            None => "its tables are those of no known version: go on with a copy that 'localstore \
                     backup' made"
                .to_owned(),
        })),
        _ => Ok(()),
    }
}

/// What to do about a damaged file.
const SAVE: &str = "'sqlite3 FILE .recover' saves what can be read";

/// A failure of SQLite in words, with a hint where there is something to do.
fn failure(path: &Path, error: &rusqlite::Error) -> Error {
    let plain = |why: &str| Error::new(path.display(), why);
    let Some(code) = error.sqlite_error_code() else {
        return Error::new(path.display(), reason(error));
    };
    match code {
        ErrorCode::NotADatabase => plain("this is not a database")
            .hint("'--db FILE' names the store; a new file is made where there is none"),
        ErrorCode::CannotOpen => {
            let found = std::fs::File::open(path).err();
            let why = found.map_or_else(|| reason(error), |error| error.to_string());
            Error::new(path.display(), format!("can't open database: {why}"))
        }
        .hint("check that the file and its folder can be read and written"),
        ErrorCode::ReadOnly => plain("the store cannot be written to")
            .hint("check the permissions of the file and of its folder"),
        ErrorCode::SystemIoFailure => {
            plain(&format!("cannot be read or written: {}", reason(error)))
                .hint("look at the disk, its free space, and limits on the size of files")
        }
        ErrorCode::PermissionDenied => plain("permission denied"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            plain("another program keeps the store locked").hint("try again when it is done")
        }
        ErrorCode::DiskFull => match used_up(path) {
            Some(table) => plain(&format!("the ids of the table {table} are used up"))
                .hint("'localstore check --repair' lets them go on, if they were not given out"),
            None => plain("the disk is full")
                .hint("free some space and run the command again: nothing is half stored"),
        },
        ErrorCode::OperationInterrupted => {
            plain("it takes far more time to read than a file of its size should")
        }
        ErrorCode::DatabaseCorrupt => plain("the database is damaged").hint(SAVE),
        _ => Error::new(path.display(), reason(error)),
    }
}

/// A table that has given out its last id, which SQLite reports as a full disk. This does not wait
/// for a lock: it may be our own.
fn used_up(path: &Path) -> Option<String> {
    let db = open_with(OpenFlags::SQLITE_OPEN_READ_ONLY, &file(path)).ok()?;
    db.busy_timeout(Duration::ZERO).ok()?;
    check::used_up(&db).ok()?.pop()
}

fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::TooBig => {
            "a text or blob is too large".to_owned()
        }
        rusqlite::Error::SqliteFailure(code, None) => code.to_string(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        // The statement says nothing to people.
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::InvalidColumnType(_, column, kind) => {
            let kind = match kind {
                Type::Null => "null",
                Type::Integer => "an integer",
                Type::Real => "a real number",
                Type::Text => "text",
                Type::Blob => "a blob",
            };
            format!("{column} is {kind}")
        }
        rusqlite::Error::FromSqlConversionFailure(_, _, why) => why.to_string(),
        rusqlite::Error::Utf8Error(..) => "a text is not UTF-8".to_owned(),
        other => other.to_string(),
    }
}

/// Whether it is about a value that was read, and not about the file.
fn is_about_a_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    match error {
        E::InvalidColumnType(..)
        | E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..) => true,
        // The second is what the JSON functions say of a blob.
        E::SqliteFailure(code, _) => matches!(code.code, ErrorCode::TooBig | ErrorCode::Unknown),
        _ => false,
    }
}

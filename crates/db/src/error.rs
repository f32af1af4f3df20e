//! Failures of SQLite in words.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{ErrorCode, OpenFlags};

use crate::database::open_with;
use crate::integrity::used_up;
use crate::location::absolute;

/// Result of what works on an open database.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in a transaction.
#[derive(Debug)]
pub enum Error {
    /// SQLite has failed, or a value is not what it should be.
    Sqlite(rusqlite::Error),
    /// Something is wrong with what the file holds, or it is not there.
    InFile {
        /// What is wrong.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// Anything else, in words already.
    Other(base::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<base::Error> for Error {
    fn from(error: base::Error) -> Self {
        Self::Other(error)
    }
}

impl Error {
    /// The error in words, with the name of the file where it is about the file.
    #[must_use]
    pub fn of_file(self, path: &Path) -> base::Error {
        match self {
            Self::Sqlite(error) => failure(path, &error),
            Self::InFile { why, hint } => base::Error::new(path.display(), why).hint(hint),
            Self::Other(error) => error,
        }
    }
}

/// What to do about a damaged file.
pub const SAVE: &str = "'sqlite3 FILE .recover' saves what can be read";

/// A failure of SQLite in words, with a hint where there is something to do.
#[must_use]
pub fn failure(path: &Path, error: &rusqlite::Error) -> base::Error {
    let plain = |why: &str| base::Error::new(path.display(), why);
    let Some(code) = error.sqlite_error_code() else {
        return plain(&reason(error));
    };
    match code {
        ErrorCode::NotADatabase => plain("not a store")
            .hint("'--db FILE' names the store; a new file is made where there is none"),
        ErrorCode::CannotOpen => {
            let found = std::fs::File::open(path).err();
            let why = found.map_or_else(|| reason(error), |error| error.to_string());
            plain(&format!("can't open database: {why}"))
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
        ErrorCode::DiskFull => match used_up_table(path) {
            Some(table) => plain(&format!("the ids of the table {table} are used up"))
                .hint("'localstore check --repair' lets them go on, if they were not given out"),
            None => plain("the disk is full")
                .hint("free some space and run the command again: nothing is half stored"),
        },
        ErrorCode::OperationInterrupted => {
            plain("it takes far more time to read than a file of its size should")
        }
        ErrorCode::DatabaseCorrupt => plain("the database is damaged").hint(SAVE),
        _ => plain(&reason(error)),
    }
}

/// A table that has given out its last id, which SQLite reports as a full disk. This does not wait
/// for a lock: it may be our own.
fn used_up_table(path: &Path) -> Option<String> {
    let db = open_with(OpenFlags::SQLITE_OPEN_READ_ONLY, &absolute(path)).ok()?;
    db.busy_timeout(Duration::ZERO).ok()?;
    used_up(&db).ok()?.pop()
}

/// What SQLite says, without the statement.
#[must_use]
pub fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::TooBig => {
            "a text or blob is too large".to_owned()
        }
        rusqlite::Error::SqliteFailure(code, None) => code.to_string(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
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

/// An error about a value that was read, and not about the file.
pub fn refused(why: impl Into<String>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, why.into().into())
}

/// Whether it is about a value that was read, and not about the file.
#[must_use]
pub fn is_about_a_value(error: &rusqlite::Error) -> bool {
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

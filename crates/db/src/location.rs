//! Where the file is.

use std::io;
use std::path::{Path, PathBuf};

use base::{Error, Result, identity, refuse_reserved_name};

/// What the C tool runs on every open.
pub const DEFAULT_STARTUP_SQL: &str = "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;";

/// What SQLite puts behind the name of a database, for files of its own beside it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Where the store is, and what is run when it is opened.
#[derive(Debug, Clone)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// SQL that is run on every open that may write.
    pub startup_sql: String,
}

impl Location {
    /// The location by the rules of the C tool: `--db`, else the first of these environment variables that is
    /// set, else llamafile's file in the home folder, else in the current one.
    #[must_use]
    pub fn resolve(db: Option<PathBuf>, startup_sql: Option<String>, variables: &[&str]) -> Self {
        let variables = variables.iter().filter_map(std::env::var_os);
        let from_environment = variables.filter(|path| !path.is_empty()).map(PathBuf::from);
        let path: PathBuf = db
            .or_else(|| from_environment.into_iter().next())
            .or_else(|| home().map(|home| home.join(".llamafile").join("llamafile.sqlite3")))
            .unwrap_or_else(|| "llamafile.sqlite3".into());
        Self {
            path,
            startup_sql: startup_sql.unwrap_or_else(|| DEFAULT_STARTUP_SQL.to_owned()),
        }
    }

    /// Refuses the store, and the files that belong to it, where another file is meant.
    pub fn refuse(&self, target: &Path) -> Result<()> {
        let (store, file) = (real(&self.path), real(target));
        let is_beside = |ending: &&str| file == with_ending(&store, ending);
        let is_linked =
            identity(&file).is_ok_and(|file| identity(&store).is_ok_and(|store| file == store));
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

/// The longest path that Windows takes from SQLite, with what that puts behind it. A longer one must be written as
/// the system itself writes it, without links and with `\\?\` at its beginning.
const LONGEST: usize = 240;

/// The path without links, also of a file that is not there yet.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match (path.parent().map(std::fs::canonicalize), path.file_name()) {
            (Some(Ok(folder)), Some(name)) => folder.join(name),
            _ => path,
        }
    })
}

/// The path for SQLite, which must not take a relative name for a URI or for `:memory:`.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if cfg!(windows) && path.as_os_str().len() > LONGEST {
        return real(&path);
    }
    path
}

pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
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

/// `USERPROFILE`, else the folder of the profile.
#[cfg(windows)]
fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// Refuses a path that exists and is not a regular file: SQLite would wait for a pipe without end.
pub(crate) fn refuse_special_file(path: &Path) -> Result<()> {
    refuse_reserved_name(path)?;
    let why = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => "is a directory",
        Ok(found) if !found.is_file() => "this is not a file",
        _ => return Ok(()),
    };
    Err(Error::new(path.display(), why))
}

/// Makes the folder and an empty file that only its user may read, unless they exist.
pub(crate) fn create(path: &Path) -> Result<()> {
    refuse_special_file(path)?;
    if path.exists() {
        return Ok(());
    }
    create_private(path).map_err(|error| Error::file(path, &error))
}

fn create_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    // Follows links, and does not mind another process that makes the file at this moment.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

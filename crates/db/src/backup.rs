//! A copy of the whole store while others use it, by SQLite's online backup.

use std::path::Path;

use base::{Error, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{ErrorCode, OpenFlags};

use crate::database::{Database, open_immutable, open_with};
use crate::error::failure;

/// How many pages are copied between two looks at whether to go on: 4 MiB.
const PAGES: i32 = 1024;

impl Database {
    /// Copies the store, as it is at this moment, into the empty file at `file`, which is to become
    /// `target`, and has SQLite look whether the copy is whole. `go_on` is told how many pages are
    /// done, and of how many; where it says no, the copy is left as it is, and the answer is no.
    ///
    /// Others can write meanwhile: what is copied is what the reading transaction of this store
    /// sees, so the copy needs not begin again.
    pub fn copy_to(
        &self,
        file: &Path,
        target: &Path,
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<bool> {
        let failed = |error: rusqlite::Error| not_copied(target, &error);
        let mut copy = open_with(OpenFlags::SQLITE_OPEN_READ_WRITE, file).map_err(failed)?;
        // The file is of no use before it is whole, and then it is synced.
        copy.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")
            .map_err(failed)?;
        // From here on the transaction, which has begun, has its moment.
        self.read(|db| Ok(db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?))?;
        {
            let backup = Backup::new(&self.connection, &mut copy).map_err(failed)?;
            while backup.step(PAGES).map_err(failed)? != StepResult::Done {
                let progress = backup.progress();
                let all = u64::try_from(progress.pagecount).unwrap_or_default();
                let left = u64::try_from(progress.remaining).unwrap_or_default();
                if !go_on(all.saturating_sub(left), all) {
                    return Ok(false);
                }
            }
        }
        copy.close().map_err(|(_, error)| failed(error))?;
        quick_check(file)?;
        Ok(true)
    }
}

fn not_copied(target: &Path, error: &rusqlite::Error) -> Error {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        return Error::new(target.display(), "the disk is full")
            .hint("no copy was made: free some space, or name a file on another disk");
    }
    failure(target, error)
}

/// Reads the copy as it lies there: nothing is made beside it.
fn quick_check(path: &Path) -> Result<()> {
    let check = || {
        let db = open_immutable(path)?;
        db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
    };
    let said: String = check().map_err(|error| failure(path, &error))?;
    if said == "ok" {
        return Ok(());
    }
    Err(
        Error::new("the store is damaged, and so is a copy of it", said)
            .hint("'localstore check' tells what is wrong"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_of_the_copy() {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        let error = rusqlite::Error::SqliteFailure(code, None);
        assert_eq!(
            not_copied(Path::new("copy.db"), &error).lines(),
            "localstore: copy.db: the disk is full\n\
             hint: no copy was made: free some space, or name a file on another disk\n"
        );
    }
}

//! The log of changes, and what else two databases need to find what is new to each other.
//!
//! No clock is asked: a reader remembers the last change that it has taken over, with its nonce. Where
//! that is no longer in the log, one of the two was put back from a backup, or is a copy.

use rusqlite::{Connection, OptionalExtension};

use super::fingerprint::Keys;
use super::own::{environment_of, read_environment};
use super::rows::{self, Odd};
use crate::model::Environment;

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A run is new.
    Run,
    /// More is known of a run.
    Completed,
    /// A run was given a tag.
    Tag,
    /// A run was submitted, or may have been.
    Submission,
    /// A run was removed.
    Rm,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Completed => "completed",
            Self::Tag => "tag",
            Self::Submission => "submission",
            Self::Rm => "rm",
        }
    }
}

/// Enters a change of a run into the log.
pub(super) fn note(db: &Connection, run: i64, change: Change) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO localstore_changes (run_id, kind) VALUES (?1, ?2)")?
        .execute((run, change.name()))?;
    Ok(())
}

/// Who brought a run that nobody has added here, other than a remote database, whose id is its name.
pub(super) const OTHERS: &[u8] = &[];

/// Runs `work`, and records that what it changed was brought by this remote database, or by [`OTHERS`].
pub(crate) fn brought<T, E: From<rusqlite::Error>>(
    db: &Connection,
    by: &[u8],
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let before: i64 = db
        .prepare_cached("SELECT coalesce(max(change), 0) FROM localstore_changes")?
        .query_row([], |row| row.get(0))?;
    let done = work()?;
    for sql in [
        "UPDATE localstore_changes SET from_store = ?2 WHERE change > ?1",
        "INSERT OR IGNORE INTO localstore_brought (run_id, from_store)
         SELECT run_id, ?2 FROM localstore_changes WHERE change > ?1 AND kind = 'run'",
    ] {
        db.prepare_cached(sql)?.execute((before, by))?;
    }
    Ok(done)
}

/// Notes that a run that may have been pulled was added here too, or was brought by [`OTHERS`]: it stays
/// when it is withdrawn where it was pulled from, and is sent there if it is no longer there.
pub(super) fn claim(db: &Connection, run: i64, is_added: bool) -> rusqlite::Result<()> {
    let is_pulled = db
        .prepare_cached("SELECT 1 FROM localstore_brought WHERE run_id = ?1 AND from_store <> x''")?
        .exists([run])?;
    let sql = if is_added {
        "DELETE FROM localstore_brought WHERE run_id = ?1"
    } else {
        "UPDATE localstore_brought SET from_store = x'', remote_run = NULL WHERE run_id = ?1"
    };
    db.prepare_cached(sql)?.execute([run])?;
    if is_pulled {
        note(db, run, Change::Completed)?;
    }
    Ok(())
}

/// Notes that a run, if it is still there, is removed by the user: no pull brings it back.
pub(super) fn note_removed(db: &Connection, run: i64) -> rusqlite::Result<()> {
    let noted = db
        .prepare_cached(
            "INSERT INTO localstore_removed (fingerprint, core, poor, environment_id)
             SELECT fingerprint, core, poor, environment_id FROM localstore_runs WHERE run_id = ?1",
        )?
        .execute([run])?;
    if noted > 0 {
        note(db, run, Change::Rm)?;
    }
    Ok(())
}

/// The runs like this one that were removed here: of two different captures of one run, one must be
/// poor. Ids in `localstore_removed`.
pub(super) fn removed(
    db: &Connection,
    keys: &Keys,
    is_poor: bool,
    environment: &Environment,
) -> rusqlite::Result<Vec<i64>> {
    let mut statement = db.prepare_cached(
        "SELECT x.rowid AS place, e.* FROM localstore_removed x
         JOIN localstore_environments e ON e.id = x.environment_id
         WHERE x.fingerprint = ?1
         UNION
         SELECT x.rowid, e.* FROM localstore_removed x
         JOIN localstore_environments e ON e.id = x.environment_id
         WHERE x.core = ?2 AND (?3 OR x.poor)",
    )?;
    let found = rows::query(
        &mut statement,
        (keys.fingerprint, keys.core, is_poor),
        |cells| Ok((cells.get("place")?, read_environment(cells)?)),
    )?;
    let same = found
        .into_iter()
        .filter(|(_, other): &(i64, Environment)| environment.is_same_machine(other));
    Ok(same.map(|(place, _)| place).collect())
}

/// Whether any runs were removed here, looked up once in a transaction.
#[derive(Default)]
pub(super) struct AnyRemoved(Option<bool>);

impl AnyRemoved {
    fn get(&mut self, db: &Connection) -> rusqlite::Result<bool> {
        if let Some(any) = self.0 {
            return Ok(any);
        }
        let mut statement = db.prepare_cached("SELECT 1 FROM localstore_removed")?;
        let any = statement.exists([])?;
        self.0 = Some(any);
        Ok(any)
    }
}

/// Enters a new run, whose row is there. If one like it was removed here, that is forgotten.
pub(super) fn note_new(
    db: &Connection,
    any_removed: &mut AnyRemoved,
    run: i64,
) -> rusqlite::Result<()> {
    if any_removed.get(db)? {
        let (keys, is_poor) = db
            .prepare_cached(
                "SELECT fingerprint, core, poor FROM localstore_runs WHERE run_id = ?1",
            )?
            .query_row([run], |row| {
                let (fingerprint, core) = (row.get(0)?, row.get(1)?);
                Ok((Keys { fingerprint, core }, row.get(2)?))
            })?;
        let environment = environment_of(db, run, Odd::Unknown)?;
        for place in removed(db, &keys, is_poor, &environment)? {
            db.prepare_cached("DELETE FROM localstore_removed WHERE rowid = ?1")?
                .execute([place])?;
        }
    }
    note(db, run, Change::Run)
}

/// The id of a store or of a remote database: 16 random bytes.
pub(crate) type StoreId = [u8; 16];

/// The id of this store in the logs of others; `None` if it is lost.
pub(crate) fn store_id(db: &Connection) -> rusqlite::Result<Option<StoreId>> {
    let sql = "SELECT unhex(value) FROM metadata WHERE key = 'localstore.store_id'";
    let id: Option<Option<Vec<u8>>> = db.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(id.flatten().and_then(|id| id.try_into().ok()))
}

/// Gives this store another id: it is a copy of one that went on, or was put back from a backup.
pub(crate) fn renew_store_id(db: &Connection) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO metadata (key, value)
         VALUES ('localstore.store_id', lower(hex(randomblob(16))))
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [],
    )?;
    Ok(())
}

/// Removes what is kept of a run beside its rows.
pub(super) fn forget(db: &Connection, run: i64) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM localstore_unknown_members WHERE run_id = ?1",
        "DELETE FROM localstore_brought WHERE run_id = ?1",
    ] {
        db.prepare_cached(sql)?.execute([run])?;
    }
    Ok(())
}

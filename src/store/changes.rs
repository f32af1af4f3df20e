//! The log of changes, and what else two databases need to find what is new to each other.
//!
//! No clock is asked: a reader remembers the last change that it has taken over, with its nonce. Where
//! that is no longer in the log, one of the two was put back from a backup, or is a copy.

use db::Result;
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

/// Notes that all that `work` changes was brought by a remote database, or by [`OTHERS`].
pub(crate) fn brought<T, E: From<rusqlite::Error>>(
    db: &Connection,
    by: &[u8],
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let before = end(db)?.map_or(0, |end| end.change);
    let done = work()?;
    for sql in [
        "UPDATE localstore_changes SET from_store = ?2 WHERE change > ?1",
        "INSERT OR IGNORE INTO localstore_brought (run_id, from_store)
         SELECT run_id, ?2 FROM localstore_changes WHERE change > ?1 AND kind = 'run'",
        // What two have brought stays when one of them withdraws it.
        "UPDATE localstore_brought SET from_store = x''
         WHERE from_store <> ?2 AND run_id IN
             (SELECT run_id FROM localstore_changes WHERE change > ?1 AND kind = 'completed')",
    ] {
        db.prepare_cached(sql)?.execute((before, by))?;
    }
    Ok(done)
}

/// Notes that a run that may have been pulled was added here too, or was brought by [`OTHERS`]: it stays
/// when it is withdrawn where it was pulled from.
pub(super) fn claim(db: &Connection, run: i64, is_added: bool) -> rusqlite::Result<()> {
    let sql = if is_added {
        "DELETE FROM localstore_brought WHERE run_id = ?1"
    } else {
        "UPDATE localstore_brought SET from_store = x'' WHERE run_id = ?1"
    };
    db.prepare_cached(sql)?.execute([run])?;
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
fn removed(
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

/// Whether a run was removed here.
pub(crate) fn is_removed(
    db: &Connection,
    keys: &Keys,
    is_poor: bool,
    environment: &Environment,
) -> rusqlite::Result<bool> {
    Ok(!removed(db, keys, is_poor, environment)?.is_empty())
}

/// Enters a new run, whose row is there. If one like it was removed here, that is forgotten.
pub(super) fn note_new(db: &Connection, run: i64) -> rusqlite::Result<()> {
    let mut any = db.prepare_cached("SELECT 1 FROM localstore_removed")?;
    if any.exists([])? {
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

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The number of a change; 0 stands before the first one.
    pub(crate) change: i64,
    /// Its nonce.
    pub(crate) nonce: Vec<u8>,
}

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

/// Whether this place is in the log of this store, and of no copy of it.
pub(crate) fn has(db: &Connection, position: &Position) -> Result<bool> {
    let sql = "SELECT 1 FROM localstore_changes WHERE change = ?1 AND nonce = ?2";
    let mut statement = db.prepare_cached(sql)?;
    Ok(statement.exists((position.change, &position.nonce))?)
}

/// The last place in the log of this store; `None` if it is empty.
fn end(db: &Connection) -> rusqlite::Result<Option<Position>> {
    let sql = "SELECT change, nonce FROM localstore_changes ORDER BY change DESC LIMIT 1";
    db.prepare_cached(sql)?.query_row([], position).optional()
}

fn position(row: &rusqlite::Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position {
        change: row.get(0)?,
        nonce: row.get(1)?,
    })
}

/// The next runs that were changed here, each once, and the place behind which to go on.
pub(crate) struct Changed {
    /// The runs that are still there, in the order of the log.
    pub(crate) runs: Vec<i64>,
    /// The last change that they, or nothing, stand for.
    pub(crate) end: Position,
}

/// The next runs, at most `most`, that were changed behind this change, but for what was pulled from
/// that remote; `None` if there is none.
pub(crate) fn changed(
    db: &Connection,
    after: i64,
    remote: &StoreId,
    most: usize,
) -> Result<Option<Changed>> {
    let mut statement = db.prepare_cached(
        "SELECT c.change, c.nonce, c.run_id FROM localstore_changes c
         WHERE c.change > ?1 AND c.from_store IS NOT ?2
             AND c.run_id IN (SELECT run_id FROM localstore_runs) AND c.kind <> 'rm'
         ORDER BY c.change",
    )?;
    let mut rows = statement.query((after, remote))?;
    let mut changed: Option<Changed> = None;
    let mut seen = std::collections::HashSet::new();
    while let Some(row) = rows.next()? {
        let run = row.get(2)?;
        if seen.len() == most && !seen.contains(&run) {
            return Ok(changed);
        }
        let end = position(row)?;
        let changed = changed.get_or_insert_with(|| Changed {
            runs: Vec::new(),
            end: end.clone(),
        });
        changed.end = end;
        if seen.insert(run) {
            changed.runs.push(run);
        }
    }
    Ok(changed)
}

/// How many runs were changed behind this change, but for what was pulled from that remote.
pub(crate) fn count_changed(db: &Connection, after: i64, remote: &StoreId) -> Result<u64> {
    let sql = "SELECT count(DISTINCT run_id) FROM localstore_changes
         WHERE change > ?1 AND from_store IS NOT ?2 AND kind <> 'rm'
             AND run_id IN (SELECT run_id FROM localstore_runs)";
    Ok(db.query_row(sql, (after, remote), |row| row.get(0))?)
}

/// Whether a run was pulled from that remote, and from nowhere else, and was not added here.
pub(crate) fn is_pulled_only(db: &Connection, run: i64, remote: &StoreId) -> Result<bool> {
    let sql = "SELECT 1 FROM localstore_brought WHERE run_id = ?1 AND from_store = ?2";
    Ok(db.prepare_cached(sql)?.exists((run, remote))?)
}

/// How far the log of a remote has been taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Up to here.
    pub(crate) position: Position,
    /// The first change that was left out since it needs a newer program, and the format of its run.
    pub(crate) left_out: Option<(i64, i64)>,
}

/// How far the logs of all remotes have been taken over.
pub(crate) fn peers(db: &Connection) -> Result<Vec<(Vec<u8>, Peer)>> {
    let mut statement = db.prepare_cached(
        "SELECT change, nonce, store, left_out, left_out_format FROM localstore_peers",
    )?;
    let peers = statement.query_map([], |row| {
        let left_out: (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
        let peer = Peer {
            position: position(row)?,
            left_out: left_out.0.zip(left_out.1),
        };
        Ok((row.get(2)?, peer))
    })?;
    Ok(peers.collect::<rusqlite::Result<_>>()?)
}

/// Notes how far the log of a remote has been taken over.
pub(crate) fn set_peer(db: &Connection, remote: &StoreId, peer: &Peer) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO localstore_peers (store, change, nonce, left_out, left_out_format)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (store) DO UPDATE SET change = excluded.change, nonce = excluded.nonce,
             left_out = excluded.left_out, left_out_format = excluded.left_out_format",
    )?
    .execute((
        remote,
        peer.position.change,
        &peer.position.nonce,
        peer.left_out.map(|(change, _)| change),
        peer.left_out.map(|(_, format)| format),
    ))?;
    Ok(())
}

/// What a newer program has told of a run and this one has no place for, as JSON.
pub(crate) fn unknown_members(db: &Connection, run: i64) -> Result<Option<String>> {
    let sql = "SELECT members FROM localstore_unknown_members WHERE run_id = ?1";
    let members = db.prepare_cached(sql)?.query_row([run], |row| row.get(0));
    Ok(members.optional()?)
}

/// Keeps that; `None`: there is nothing.
pub(crate) fn set_unknown_members(db: &Connection, run: i64, members: Option<&str>) -> Result<()> {
    match members {
        Some(members) => db
            .prepare_cached(
                "INSERT INTO localstore_unknown_members (run_id, members) VALUES (?1, ?2)
                 ON CONFLICT (run_id) DO UPDATE SET members = excluded.members",
            )?
            .execute((run, members))?,
        None => db
            .prepare_cached("DELETE FROM localstore_unknown_members WHERE run_id = ?1")?
            .execute([run])?,
    };
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

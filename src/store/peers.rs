//! What two databases need to find what is new to each other: places in the log of changes, and how far
//! the logs of remotes have been taken over.

use std::collections::HashSet;

use db::Result;
use rusqlite::Connection;

pub(crate) use super::changes::{StoreId, renew_store_id, store_id};
use super::changes::{claim, removed};
use super::fingerprint::Keys;
use crate::model::Environment;

/// Whether a run was removed here.
pub(crate) fn is_removed(
    db: &Connection,
    keys: &Keys,
    is_poor: bool,
    environment: &Environment,
) -> rusqlite::Result<bool> {
    Ok(!removed(db, keys, is_poor, environment)?.is_empty())
}

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The number of a change; 0 stands before the first one.
    pub(crate) change: i64,
    /// Its nonce.
    pub(crate) nonce: Vec<u8>,
}

/// Whether this place is in the log of this store, and of no copy of it.
pub(crate) fn has(db: &Connection, position: &Position) -> Result<bool> {
    let sql = "SELECT 1 FROM localstore_changes WHERE change = ?1 AND nonce = ?2";
    let mut statement = db.prepare_cached(sql)?;
    Ok(statement.exists((position.change, &position.nonce))?)
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

/// The next runs that were changed after this change, at most `most`, without what was pulled from that
/// remote; `None` if there are none.
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
    let mut seen = HashSet::new();
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

/// How many runs were changed after this change, without what was pulled from that remote.
pub(crate) fn count_changed(db: &Connection, after: i64, remote: &StoreId) -> Result<u64> {
    let sql = "SELECT count(DISTINCT run_id) FROM localstore_changes
         WHERE change > ?1 AND from_store IS NOT ?2 AND kind <> 'rm'
             AND run_id IN (SELECT run_id FROM localstore_runs)";
    Ok(db.query_row(sql, (after, remote), |row| row.get(0))?)
}

/// Records which run of that remote this run is: `None` for one of its web site, which nobody withdraws.
/// A run that came from elsewhere too stays when one of the two withdraws it.
pub(crate) fn note_origin(
    db: &Connection,
    run: i64,
    remote: &StoreId,
    remote_run: Option<i64>,
) -> Result<()> {
    let sql = "UPDATE localstore_brought
         SET from_store = iif(from_store = ?2 AND ?3 IS NOT NULL, ?2, x''),
             remote_run = iif(from_store = ?2, ?3, NULL)
         WHERE run_id = ?1 AND (from_store <> ?2 OR remote_run IS NOT ?3)";
    db.prepare_cached(sql)?.execute((run, remote, remote_run))?;
    Ok(())
}

/// The runs with this core that were pulled as this run of that remote, and came from nowhere else.
pub(crate) fn pulled_only(
    db: &Connection,
    remote: &StoreId,
    remote_run: i64,
    core: &[u8],
) -> Result<Vec<i64>> {
    let sql = "SELECT r.run_id FROM localstore_runs r
         JOIN localstore_brought b ON b.run_id = r.run_id
         WHERE r.core = ?1 AND b.from_store = ?2 AND b.remote_run = ?3";
    let mut statement = db.prepare_cached(sql)?;
    let runs = statement.query_map((core, remote, remote_run), |row| row.get(0))?;
    Ok(runs.collect::<rusqlite::Result<_>>()?)
}

/// Handles the runs that came from that remote alone and are no longer there. `there` are the runs that
/// are, and `withdrawn` the cores of those that were withdrawn. Returns the ids of the withdrawn ones. The
/// others were lost when the remote was put back from a backup: the next push sends them again, because
/// the store that sent them first may be gone.
pub(crate) fn note_lost(
    db: &Connection,
    remote: &StoreId,
    there: &HashSet<i64>,
    withdrawn: &HashSet<Vec<u8>>,
) -> Result<Vec<i64>> {
    let mut statement = db.prepare(
        "SELECT b.run_id, r.core FROM localstore_brought b
         JOIN localstore_runs r ON r.run_id = b.run_id
         WHERE b.from_store = ?1",
    )?;
    let mut rows = statement.query([remote])?;
    let (mut lost, mut gone) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let run: i64 = row.get(0)?;
        let core: Vec<u8> = row.get(1)?;
        if there.contains(&run) {
            continue;
        }
        if withdrawn.contains(&core) {
            gone.push(run);
        } else {
            lost.push(run);
        }
    }
    for run in lost {
        claim(db, run, false)?;
    }
    Ok(gone)
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

/// Records how far the log of a remote has been taken over.
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

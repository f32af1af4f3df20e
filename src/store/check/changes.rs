//! The log of changes: by it other databases find what is new here.

use rusqlite::Connection;

use super::{Finding, Fix, Watch};
use crate::store::changes;

/// How far logs were taken over that no pull can read.
const NO_PLACES: &str = "SELECT rowid FROM localstore_peers
    WHERE typeof(store) <> 'blob' OR length(store) <> 16 OR typeof(nonce) <> 'blob'
        OR typeof(change) <> 'integer' OR typeof(coalesce(left_out, 0)) <> 'integer'
        OR typeof(coalesce(left_out_format, 0)) <> 'integer'";

pub(super) fn check(db: &Connection, watch: &mut Watch<'_>) -> rusqlite::Result<()> {
    if changes::store_id(db)?.is_none() {
        let what = "localstore.store_id is missing, or is not 32 hexadecimal digits";
        (watch.found)(Finding::new("table metadata", what).fix(Fix::StoreId));
    }
    for (sql, place, what, fix) in [
        (
            "SELECT run_id FROM localstore_runs WHERE run_id NOT IN
                 (SELECT run_id FROM localstore_changes WHERE kind = 'run')",
            "run",
            "is not in localstore_changes: no other database would get it",
            Fix::Changes,
        ),
        (
            "SELECT change FROM localstore_changes
             WHERE typeof(nonce) <> 'blob' OR length(nonce) <> 8",
            "localstore_changes",
            "the nonce is not 8 bytes",
            Fix::Changes,
        ),
        (
            NO_PLACES,
            "localstore_peers",
            "not a place in the log of a remote: without it the next pull compares all runs",
            Fix::Changes,
        ),
        (
            "SELECT run_id FROM localstore_unknown_members
             WHERE run_id NOT IN (SELECT run_id FROM localstore_runs)",
            "run",
            "has rows in localstore_unknown_members, but there is no such run",
            Fix::Orphans,
        ),
    ] {
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = format!("{place} {}", row.get::<_, i64>(0)?);
            (watch.found)(Finding::new(place, what).fix(fix));
        }
    }
    Ok(())
}

/// Enters the runs that are not in the log, gives each line a nonce, and forgets what is no place in the
/// log of a remote.
pub(super) fn mend(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(&format!(
        "DELETE FROM localstore_peers WHERE rowid IN ({NO_PLACES});
         UPDATE localstore_changes SET nonce = randomblob(8)
         WHERE typeof(nonce) <> 'blob' OR length(nonce) <> 8;
         INSERT INTO localstore_changes (run_id, kind)
         SELECT run_id, 'run' FROM localstore_runs WHERE run_id NOT IN
             (SELECT run_id FROM localstore_changes WHERE kind = 'run') ORDER BY run_id",
    ))
}

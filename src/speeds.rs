//! What the gateway asks of the stored results: how fast a model runs.

use base::Result;
use db::Room;
use gateway::{Filters, Newest, Speeds};
use rusqlite::Connection;

use crate::store::RESULTS;

/// The results in the store.
pub(crate) struct Stored;

impl Speeds for Stored {
    fn room(&self) -> &'static Room {
        &RESULTS
    }

    fn newest(&self, _db: &Connection, _filters: &Filters) -> Result<Newest> {
        Ok(Newest::default())
    }

    fn version(&self, db: &Connection) -> Result<i64> {
        let sql = "SELECT coalesce(max(change), 0) FROM localstore_changes";
        let version = db
            .prepare_cached(sql)
            .and_then(|mut found| found.query_row([], |row| row.get(0)));
        version.map_err(|error| base::Error::plain(db::reason(&error)))
    }
}

//! The results and the chats in the store: what is kept of a run, and how it is found again. No
//! format is known here.
//!
//! Each module is functions over an open database, which a [`Store`] gives: [`Store::read`] for
//! reading, [`Store::write`] for a transaction.

pub(crate) mod bench;
pub(crate) mod chats;
#[cfg(feature = "network")]
pub(crate) mod foreign;
#[cfg(feature = "network")]
pub(crate) mod peers;
pub(crate) mod runs;
pub(crate) mod select;
#[cfg(feature = "serve")]
pub(crate) mod speeds;
pub(crate) mod submissions;
pub(crate) mod suggest;
pub(crate) mod tags;
pub(crate) mod trends;

mod bench_trends;
mod changes;
mod check;
mod fingerprint;
pub(crate) mod members;
mod merge;
mod merge_bench;
mod merge_chats;
mod own;
mod public;
mod rows;
mod scores;
mod site;

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base::Result;
use db::{Database, Room, Schema};
use rusqlite::{Connection, Transaction};

pub(crate) use bench_trends::{Others, Speed};
pub(crate) use check::{CheckedRoom, Finding, Totals, Watch, results};
pub(crate) use db::Location;
pub(crate) use merge::{ForeignFile, ForeignRun, Next, Refused};
pub(crate) use merge_bench::{ForeignBench, Merged, lookup_new};
pub(crate) use merge_chats::{ChatRows, MergedChat};
pub(crate) use runs::{Added, Dated, Measured, Stored};
pub(crate) use select::{Filter, Listed, Sort};
pub(crate) use submissions::{End, Shown, Taken};
pub(crate) use trends::{Configuration, Level, Matching, TrendRun};

/// The runs, and what the first version made besides: llamafile's chats.
pub(crate) static RESULTS: Room = Room {
    name: "results",
    version_key: "localstore.schema_version",
    table: "localstore_runs",
    migrations: &[
        include_str!("schema/0001_runs.sql"),
        include_str!("schema/0002_configurations.sql"),
        include_str!("schema/0003_core.sql"),
        include_str!("schema/0004_sums.sql"),
        include_str!("schema/0005_guessed_dates.sql"),
        include_str!("schema/0006_llama_bench.sql"),
        include_str!("schema/0007_changes.sql"),
    ],
    signs: &[
        (
            3,
            "SELECT 1 FROM localstore_runs WHERE typeof(core) = 'blob' LIMIT 1",
        ),
        (
            4,
            "SELECT 1 FROM localstore_scores WHERE typeof(sums) = 'text' LIMIT 1",
        ),
    ],
};

#[cfg(feature = "network")]
pub(crate) use changes::brought;
#[cfg(feature = "network")]
pub(crate) use merge::flaw as submission_flaw;
#[cfg(feature = "network")]
pub(crate) use public::{PublicRun, public_text};
#[cfg(feature = "network")]
pub(crate) use rows::CREATED_AT;
#[cfg(feature = "network")]
pub(crate) use runs::PUBLIC as PUBLIC_TEST;
#[cfg(feature = "network")]
pub(crate) use site::LOST;
#[cfg(feature = "network")]
pub(crate) use tags::check_tag;

/// An empty store in memory.
#[cfg(feature = "network")]
pub(crate) fn scratch() -> rusqlite::Result<Connection> {
    RESULTS.fresh(RESULTS.current())
}

/// The statements that make the public tables and their indexes.
#[cfg(feature = "network")]
pub(crate) fn public_schema() -> rusqlite::Result<Vec<String>> {
    public_rows(
        "SELECT sql FROM sqlite_schema s WHERE sql IS NOT NULL",
        |row| row.get(0),
    )
}

/// The columns of the public tables, each with its table.
#[cfg(feature = "network")]
pub(crate) fn public_columns() -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT s.name, x.name FROM sqlite_schema s JOIN pragma_table_info(s.name) x
         WHERE s.type = 'table'";
    public_rows(sql, |row| Ok((row.get(0)?, row.get(1)?)))
}

#[cfg(feature = "network")]
fn public_rows<T>(
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let fresh = scratch()?;
    let mut statement = fresh.prepare(&format!(
        "{sql} AND s.tbl_name NOT GLOB 'localstore_*' AND s.tbl_name NOT GLOB 'sqlite_*'
             AND s.tbl_name NOT IN ('metadata', 'chats', 'messages')"
    ))?;
    statement.query_map([], read)?.collect()
}

/// An open store.
pub(crate) struct Store(Database);

impl Store {
    /// Opens the store for writing: makes the folder and the file if they do not exist, and brings
    /// the schema up to date.
    pub(crate) fn open(location: &Location) -> Result<Self> {
        Database::open(location, &[&RESULTS]).map(Self)
    }

    /// Opens the store for reading: nothing is created, and nothing can be changed. Runs that the
    /// site has inserted since our last write are there too.
    pub(crate) fn open_readonly(location: &Location) -> Result<Self> {
        let store = Self::open_as_is(location)?;
        store.read(|db| Ok(site::show(db)?))?;
        Ok(store)
    }

    /// The same without what our tables do not hold yet.
    pub(crate) fn open_as_is(location: &Location) -> Result<Self> {
        Database::open_readonly(location, &[&RESULTS]).map(Self)
    }

    /// Looks into the store for at most this long. Nothing is waited for, made or changed, not even
    /// an older version brought up to date; `None` if there is nothing to read.
    pub(crate) fn peek<T: Send + 'static>(
        location: &Location,
        at_most: Duration,
        work: impl FnOnce(&Connection, Schema) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = mpsc::channel();
        let path = location.path.clone();
        thread::spawn(move || {
            let (db, schema) = db::foreign::open(&path, &RESULTS).ok()?;
            sender.send(work(&db, schema).ok()?).ok()
        });
        receiver.recv_timeout(at_most).ok()
    }

    /// The file.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Reads.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> db::Result<T>) -> Result<T> {
        self.0.read(work)
    }

    /// Runs `work` in one transaction that takes the write lock at once.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> db::Result<T>,
    ) -> Result<T> {
        self.0.write(adopting(work))
    }

    /// An error if the file has lost its name since it was opened for writing.
    #[cfg(feature = "network")]
    pub(crate) fn check_place(&self) -> Result<()> {
        if self.0.is_in_place() {
            return Ok(());
        }
        let why = "the file was removed or replaced while it was read";
        Err(base::Error::new(self.path().display(), why))
    }

    /// The same while SQLite does not enforce the foreign keys.
    pub(crate) fn write_without_foreign_keys<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> db::Result<T>,
    ) -> Result<T> {
        self.0.write_without_foreign_keys(adopting(work))
    }

    /// Makes every transaction from here on outlive a power failure, whatever the startup SQL says.
    pub(crate) fn survive_power_failure(&mut self) -> Result<()> {
        self.0.survive_power_failure()
    }
}

/// Takes up what the site has inserted before the work is done.
fn adopting<T>(
    work: impl FnOnce(&Transaction<'_>) -> db::Result<T>,
) -> impl FnOnce(&Transaction<'_>) -> db::Result<T> {
    |db| {
        site::adopt(db)?;
        work(db)
    }
}

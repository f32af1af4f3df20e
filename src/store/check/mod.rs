//! Whether everything in the store is right, and deriving again what is not.
//!
//! Our own tables (`localstore_*`) are true; the rows of the public tables, the fingerprints and the
//! scores are derived from them. A check derives all of it again and compares, one run at a time, in
//! the order of the file; a repair writes what was derived.

mod bench;
mod changes;
mod database;
mod runs;
mod scores;

use std::collections::{BTreeSet, HashSet};

use rusqlite::Connection;
use serde::Serialize;

use super::changes::Change;
use super::{Store, site};
use base::Result;
use db::{Room, Schema};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Finding {
    /// Where, with the id: `run 12`.
    pub(crate) place: String,
    /// What is wrong there.
    pub(crate) what: String,
    /// Whether a repair can mend it.
    pub(crate) mendable: bool,
    /// Whether one has.
    pub(crate) mended: bool,
    #[serde(skip)]
    fix: Option<Fix>,
}

impl Finding {
    /// Something that no repair can mend.
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
            mendable: false,
            mended: false,
            fix: None,
        }
    }

    fn fix(mut self, fix: Fix) -> Self {
        self.mendable = true;
        self.fix = Some(fix);
        self
    }
}

/// What a repair does about a finding, in an order in which each step finds what it builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Fix {
    /// Makes the indexes again from their tables.
    Indexes,
    /// Lets the ids go on behind the highest one, so that none is given out twice.
    Sequences,
    /// Removes tags, submissions and unknown members of runs that are not there.
    Orphans,
    /// Derives all other rows of this run from its tests.
    Run(i64),
    /// Enters runs into the log of changes that are not in it, and gives its lines their nonces.
    Changes,
    /// Gives the store another id.
    StoreId,
    /// Gives the runs without a date the one of their measurement.
    Dates,
    /// Makes the views that other programs read.
    Views,
    /// Derives the score table, as every repair does at its end.
    Scores,
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Totals {
    pub(crate) runs: u64,
    /// The tests of the runs.
    pub(crate) tests: u64,
    /// Rows of the score table.
    pub(crate) scores: u64,
    /// Runs that the site has inserted since our last write, which the next one takes up.
    pub(crate) inserted: u64,
}

/// Callbacks for findings, and for the number of runs that have been checked.
pub(crate) struct Watch<'a> {
    pub(crate) found: &'a mut dyn FnMut(Finding),
    pub(crate) progress: &'a mut dyn FnMut(u64),
}

/// A room, and what checks its rows and counts them.
pub(crate) type CheckedRoom = (
    &'static Room,
    fn(&Connection, &mut Watch<'_>, &mut Totals) -> rusqlite::Result<()>,
);

impl Store {
    /// How many runs there are.
    pub(crate) fn count_runs(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM localstore_runs";
        self.read(|db| Ok(db.query_row(sql, [], |row| row.get(0))?))
    }

    /// Checks the whole store. An error means that the file could not be read to its end.
    pub(crate) fn check(&self, rooms: &[CheckedRoom], watch: &mut Watch<'_>) -> Result<Totals> {
        self.read(|db| Ok(check(db, rooms, watch)?))
    }

    /// Derives again what can be derived, in one transaction, and checks again in it.
    pub(crate) fn repair(
        &mut self,
        rooms: &[CheckedRoom],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Totals, Vec<Finding>)> {
        self.write_without_foreign_keys(|db| Ok(repair(db, rooms, progress)?))
    }
}

fn repair(
    db: &Connection,
    rooms: &[CheckedRoom],
    progress: &mut dyn FnMut(u64),
) -> rusqlite::Result<(Totals, Vec<Finding>)> {
    let mut check = || {
        let mut findings = Vec::new();
        let found = &mut |finding| findings.push(finding);
        let totals = check(db, rooms, &mut Watch { found, progress })?;
        Ok::<_, rusqlite::Error>((totals, findings))
    };
    let (totals, mut findings) = check()?;
    let fixes: BTreeSet<Fix> = findings.iter().filter_map(|finding| finding.fix).collect();
    if fixes.is_empty() {
        return Ok((totals, findings));
    }
    for fix in fixes {
        mend(db, rooms, fix)?;
    }
    super::scores::rebuild(db)?;
    let (totals, after) = check()?;
    let mut left: HashSet<Finding> = after.into_iter().collect();
    for finding in &mut findings {
        finding.mended = !left.remove(finding);
    }
    // What only the mending has brought to light.
    findings.extend(left);
    Ok((totals, findings))
}

fn mend(db: &Connection, rooms: &[CheckedRoom], fix: Fix) -> rusqlite::Result<()> {
    match fix {
        Fix::Indexes => db.execute_batch("REINDEX"),
        Fix::Sequences => database::reset_sequences(db),
        Fix::Orphans => db.execute_batch(
            "DELETE FROM localstore_tags
             WHERE run_id NOT IN (SELECT run_id FROM localstore_runs);
             DELETE FROM localstore_submissions
             WHERE run_id NOT IN (SELECT run_id FROM localstore_runs);
             DELETE FROM localstore_unknown_members
             WHERE run_id NOT IN (SELECT run_id FROM localstore_runs)",
        ),
        Fix::Run(id) => {
            runs::derive(db, id)?;
            super::changes::note(db, id, Change::Completed)
        }
        Fix::Changes => changes::mend(db),
        Fix::StoreId => super::changes::renew_store_id(db),
        Fix::Dates => runs::derive_dates(db),
        Fix::Views => {
            for (room, _) in rooms {
                for view in db::missing_views(db, room)? {
                    view.make(db)?;
                }
            }
            Ok(())
        }
        Fix::Scores => Ok(()),
    }
}

fn check(
    db: &Connection,
    rooms: &[CheckedRoom],
    watch: &mut Watch<'_>,
) -> rusqlite::Result<Totals> {
    database::check(db, watch)?;
    let mut totals = Totals::default();
    for (room, check) in rooms {
        if db::inspect(db, room)? != Schema::Version(room.current()) {
            continue;
        }
        let missing = db::missing_tables(db, room)?;
        for table in &missing {
            let what = "is missing, or has other columns; nothing else of the runs was checked";
            (watch.found)(Finding::new(format!("table {table}"), what));
        }
        for view in db::missing_views(db, room)? {
            let what = "is missing, or computes something else";
            let finding = Finding::new(format!("view {}", view.name), what);
            (watch.found)(if view.can_be_made() {
                finding.fix(Fix::Views)
            } else {
                finding
            });
        }
        if missing.is_empty() {
            check(db, watch, &mut totals)?;
        }
    }
    Ok(totals)
}

/// Checks the tables of results.
pub(crate) fn results(
    db: &Connection,
    watch: &mut Watch<'_>,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    runs::check(db, watch, totals)?;
    bench::check_rows(db, watch)?;
    database::check_sequence(db, watch)?;
    changes::check(db, watch)?;
    totals.scores = scores::check(db, watch)?;
    totals.inserted = site::inserted(db)?.len() as u64;
    Ok(())
}

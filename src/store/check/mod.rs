//! Whether everything in the store is as it should be, and making right what can be computed.
//!
//! Our tables are what an export is made from, so they are taken for true; the public tables, the
//! fingerprints and the scores are compared with what they give. Everything is read in the order in
//! which it lies in the file, and only one run at a time is in memory.

mod database;
mod headers;
mod mend;
mod runs;
mod scores;

use std::collections::HashSet;

use rusqlite::Connection;

use super::{Store, site};
use base::Result;
use mend::Fix;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// Where, with the id: `run 12`.
    pub place: String,
    /// What is wrong there.
    pub what: String,
    fix: Option<Fix>,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
            fix: None,
        }
    }

    fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }

    /// Whether what is right here can be computed from the rest.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        self.fix.is_some()
    }
}

/// What was gone through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// Their tests.
    pub tests: u64,
    /// Rows of the score table.
    pub scores: u64,
    /// Runs that the site has inserted, and that the next write takes up.
    pub inserted: u64,
}

/// Who is told of what a check comes across.
pub trait Watch {
    /// Something is wrong.
    fn found(&mut self, finding: Finding);
    /// So many runs have been gone through.
    fn progress(&mut self, runs: u64);
}

impl Store {
    /// How many runs there are.
    pub fn count_runs(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM localstore_runs";
        self.read(|db| Ok(db.query_row(sql, [], |row| row.get(0))?))
    }

    /// Goes through the whole store. An error means that the file could not be read to its end.
    pub fn check(&self, watch: &mut dyn Watch) -> Result<Totals> {
        self.read(|db| Ok(check(db, watch)?))
    }

    /// Makes right what can be computed, in one transaction, and checks again in it. Gives what was
    /// found, each with whether it is mended now.
    pub fn repair(&mut self, watch: &mut dyn Watch) -> Result<(Totals, Vec<(Finding, bool)>)> {
        self.write_without_foreign_keys(|db| {
            let mut before = Collector::new(watch);
            let totals = check(db, &mut before)?;
            let before = before.findings;
            let fixes: Vec<Fix> = before.iter().filter_map(|finding| finding.fix).collect();
            if fixes.is_empty() {
                return Ok((totals, before.into_iter().map(|f| (f, false)).collect()));
            }
            mend::mend(db, &fixes)?;
            let mut after = Collector::new(watch);
            let totals = check(db, &mut after)?;
            let mut left: HashSet<Finding> = after.findings.into_iter().collect();
            let mut results: Vec<(Finding, bool)> = before
                .into_iter()
                .map(|finding| {
                    let mended = !left.remove(&finding);
                    (finding, mended)
                })
                .collect();
            // What only the mending has brought to light.
            results.extend(left.into_iter().map(|finding| (finding, false)));
            Ok((totals, results))
        })
    }
}

fn check(db: &Connection, watch: &mut dyn Watch) -> rusqlite::Result<Totals> {
    database::check(db, watch)?;
    let mut totals = runs::check(db, watch)?;
    totals.scores = scores::check(db, watch)?;
    totals.inserted = site::inserted(db)?.len() as u64;
    Ok(totals)
}

/// Keeps what is found.
struct Collector<'a> {
    findings: Vec<Finding>,
    watch: &'a mut dyn Watch,
}

impl<'a> Collector<'a> {
    fn new(watch: &'a mut dyn Watch) -> Self {
        Self {
            findings: Vec::new(),
            watch,
        }
    }
}

impl Watch for Collector<'_> {
    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn progress(&mut self, runs: u64) {
        self.watch.progress(runs);
    }
}

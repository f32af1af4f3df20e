//! What became of sending runs to LocalScore.
//!
//! No run is sent twice without a word. Each attempt is recorded, as one whose end is not known,
//! before its first byte is sent, and its end is recorded behind it. A process that dies in
//! between leaves the record, and who finds it does not send.

use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::Store;
use crate::model::{Submission, SubmissionState};
use base::Result;

/// Whether a run may be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The attempt is recorded: send it, then tell its end.
    Attempt(Attempt),
    /// It was submitted before.
    Submitted(Submission),
    /// It may have been submitted, or another process sends it at this moment.
    Unknown(Submission),
    /// It is not in the store any more.
    Gone,
}

/// An attempt to send a run, which is recorded already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    run: i64,
    /// How often the run was sent, with this attempt.
    number: i64,
    /// What an earlier attempt left open.
    open: Option<Submission>,
}

impl Attempt {
    /// What the store says where this attempt was not successful and an earlier one was left open.
    #[must_use]
    pub fn left_open(&self) -> Option<Submission> {
        let attempts = self.number;
        let open = self.open.clone()?;
        Some(Submission { attempts, ..open })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The site took it.
    Submitted {
        /// The id of the result there.
        id: i64,
        /// Where the site shows it.
        link: String,
        /// Its base address.
        site: String,
    },
    /// The site did not get it or did not take it, and may another time: why.
    Pending(String),
    /// The site refused it for good: why.
    Failed(String),
    /// Whether the site took it is not known: why.
    Unknown(String),
}

impl Store {
    /// Makes every transaction from here on outlive a power failure, whatever the startup SQL says:
    /// an attempt must be on the disk before it is sent.
    pub fn survive_power_failure(&mut self) -> Result<()> {
        self.db
            .execute_batch("PRAGMA synchronous = EXTRA; PRAGMA fullfsync = 1;")
            .map_err(|error| self.failure(&error))
    }

    /// What became of sending the run; `None`: it was never tried.
    pub fn submission(&self, run: i64) -> Result<Option<Submission>> {
        submission(&self.db, run).map_err(|error| self.failure(&error))
    }

    /// The runs that wait to be sent, each with its site, in the order in which they were added.
    pub fn pending(&self) -> Result<Vec<(i64, Option<String>)>> {
        if !self.has_runs {
            return Ok(Vec::new());
        }
        let query = || -> rusqlite::Result<_> {
            self.db
                .prepare(
                    "SELECT run_id, site FROM localstore_submissions WHERE state = 'pending'
                     ORDER BY run_id",
                )?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        };
        query().map_err(|error| self.failure(&error))
    }

    /// Makes a run wait to be sent to `site`, unless it was or may have been submitted. False: it is
    /// not in the store any more.
    pub fn queue(&mut self, run: i64, site: &str) -> Result<bool> {
        self.write(|db| {
            db.prepare_cached(
                "INSERT INTO localstore_submissions (run_id, state, site)
                 SELECT run_id, 'pending', ?2 FROM localstore_runs WHERE run_id = ?1
                 ON CONFLICT (run_id) DO UPDATE
                 SET state = 'pending', site = excluded.site, reason = NULL,
                     changed_at = CURRENT_TIMESTAMP
                 WHERE state = 'failed' OR (state = 'pending' AND site IS NOT excluded.site)",
            )?
            .execute((run, site))?;
            exists(db, run)
        })
    }

    /// Notes that a run cannot be sent to `site` as it is, unless it was or may have been
    /// submitted.
    pub fn set_unsendable(&mut self, run: i64, site: &str, reason: &str) -> Result<()> {
        self.write(|db| {
            db.prepare_cached(
                "INSERT INTO localstore_submissions (run_id, state, site, reason)
                 SELECT run_id, 'failed', ?2, ?3 FROM localstore_runs WHERE run_id = ?1
                 ON CONFLICT (run_id) DO UPDATE
                 SET state = 'failed', site = excluded.site, reason = excluded.reason,
                     changed_at = CURRENT_TIMESTAMP
                 WHERE state IN ('pending', 'failed')",
            )?
            .execute((run, site, reason))
            .map(drop)
        })
    }

    /// Takes a run to send it to `site`: of any number of processes that do so at the same moment,
    /// one may. A run that may have been submitted is taken only if that is still what `again`
    /// says: an attempt that was made since is not known to the one who asks, and may still run.
    pub fn take(&mut self, run: i64, site: &str, again: Option<&Submission>) -> Result<Taken> {
        self.write(|db| {
            if !exists(db, run)? {
                return Ok(Taken::Gone);
            }
            let mut open = None;
            match submission(db, run)? {
                Some(before) if before.state == SubmissionState::Submitted => {
                    return Ok(Taken::Submitted(before));
                }
                Some(before) if before.state == SubmissionState::Unknown => {
                    if again != Some(&before) {
                        return Ok(Taken::Unknown(before));
                    }
                    open = Some(before);
                }
                _ => {}
            }
            let number = db
                .prepare_cached(
                    "INSERT INTO localstore_submissions (run_id, state, site, attempts)
                     VALUES (?1, 'unknown', ?2, 1)
                     ON CONFLICT (run_id) DO UPDATE
                     SET state = 'unknown', site = excluded.site, attempts = attempts + 1,
                         reason = NULL, changed_at = CURRENT_TIMESTAMP
                     RETURNING attempts",
                )?
                .query_row((run, site), |row| row.get(0))?;
            Ok(Taken::Attempt(Attempt { run, number, open }))
        })
    }

    /// Records how an attempt ended. What an earlier one left open stays open unless this one was
    /// successful; what another process found out since, stays too. False: the run is not in the
    /// store any more.
    pub fn settle(&mut self, attempt: &Attempt, end: &End) -> Result<bool> {
        let (state, reason) = match end {
            End::Submitted { id, link, site } => {
                return self.set_submitted(attempt.run, *id, link, Some(site));
            }
            End::Pending(reason) => (SubmissionState::Pending, reason),
            End::Failed(reason) => (SubmissionState::Failed, reason),
            End::Unknown(reason) => (SubmissionState::Unknown, reason),
        };
        self.write(|db| {
            match &attempt.open {
                Some(open) if state != SubmissionState::Unknown => db
                    .prepare_cached(
                        "UPDATE localstore_submissions
                         SET site = ?3, reason = ?4, changed_at = ?5
                         WHERE run_id = ?1 AND attempts = ?2 AND state = 'unknown'",
                    )?
                    .execute((
                        attempt.run,
                        attempt.number,
                        &open.site,
                        &open.reason,
                        &open.changed_at,
                    ))?,
                _ => db
                    .prepare_cached(
                        "UPDATE localstore_submissions
                         SET state = ?3, reason = ?4, changed_at = CURRENT_TIMESTAMP
                         WHERE run_id = ?1 AND attempts = ?2 AND state = 'unknown'",
                    )?
                    .execute((attempt.run, attempt.number, state.name(), reason))?,
            };
            exists(db, attempt.run)
        })
    }

    /// Notes that a run was submitted, where its result is, and the site where that is known. What
    /// is known already stays. False: the run is not in the store any more.
    pub fn set_submitted(
        &mut self,
        run: i64,
        remote_id: i64,
        link: &str,
        site: Option<&str>,
    ) -> Result<bool> {
        self.write(|db| {
            db.prepare_cached(
                "INSERT INTO localstore_submissions (run_id, state, remote_id, link, site)
                 SELECT run_id, 'submitted', ?2, ?3, ?4 FROM localstore_runs WHERE run_id = ?1
                 ON CONFLICT (run_id) DO UPDATE
                 SET state = 'submitted', remote_id = excluded.remote_id, link = excluded.link,
                     site = excluded.site, reason = NULL, changed_at = CURRENT_TIMESTAMP
                 WHERE state <> 'submitted'",
            )?
            .execute((run, remote_id, link, site))?;
            exists(db, run)
        })
    }
}

fn exists(db: &Connection, run: i64) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM localstore_runs WHERE run_id = ?1")?
        .exists([run])
}

/// The column `submission`: what became of sending the run `r`, as a JSON object or null.
pub const COLUMN: &str = "(SELECT json_object('state', state, 'remote_id', remote_id, 'link', link,
        'site', site, 'attempts', attempts, 'reason', reason, 'changed_at', changed_at)
    FROM localstore_submissions s WHERE s.run_id = r.run_id) AS submission";

/// Reads that column.
pub fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<Submission>> {
    let json: Option<String> = row.get("submission")?;
    json.map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}

/// What became of sending a run.
pub fn submission(db: &Connection, run: i64) -> rusqlite::Result<Option<Submission>> {
    db.prepare_cached(&format!("SELECT {COLUMN} FROM (SELECT ?1 AS run_id) r"))?
        .query_row([run], from_row)
}

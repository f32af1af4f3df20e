//! What became of sending runs to LocalScore.
//!
//! No run is sent twice without a word. Each attempt is recorded, as one whose end is not known,
//! before its first byte is sent, and its end is recorded behind it. A process that dies in
//! between leaves the record, and who finds it does not send.

use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::Store;
use crate::error::Result;
use crate::model::{Submission, SubmissionState};

/// Whether a run may be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The attempt is recorded: send it, then tell its end.
    Attempt(Attempt),
    /// It was submitted before.
    Submitted(Submission),
    /// It may have been submitted, or another process sends it at this moment.
    Unknown(Submission),
}

/// An attempt to send a run, which is recorded already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    run: i64,
    /// How often the run was sent, with this attempt.
    number: i64,
    /// What an earlier attempt left open.
    open: Option<(String, Option<String>)>,
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

    /// The runs that wait to be sent, in the order in which they were added.
    pub fn pending(&self) -> Result<Vec<i64>> {
        if !self.has_runs {
            return Ok(Vec::new());
        }
        let query = || -> rusqlite::Result<_> {
            self.db
                .prepare(
                    "SELECT run_id FROM localstore_submissions WHERE state = 'pending'
                     ORDER BY run_id",
                )?
                .query_map([], |row| row.get(0))?
                .collect()
        };
        query().map_err(|error| self.failure(&error))
    }

    /// Makes runs wait to be sent, unless they were or may have been submitted.
    pub fn queue(&mut self, runs: &[i64]) -> Result<()> {
        self.write(|db| {
            for run in runs {
                db.prepare_cached(
                    "INSERT INTO localstore_submissions (run_id, state) VALUES (?1, 'pending')
                     ON CONFLICT (run_id) DO UPDATE
                     SET state = 'pending', changed_at = CURRENT_TIMESTAMP
                     WHERE state = 'failed'",
                )?
                .execute([run])?;
            }
            Ok(())
        })
    }

    /// Notes that a run cannot be sent as it is, unless it was or may have been submitted.
    pub fn set_unsendable(&mut self, run: i64, reason: &str) -> Result<()> {
        self.write(|db| {
            db.prepare_cached(
                "INSERT INTO localstore_submissions (run_id, state, reason)
                 VALUES (?1, 'failed', ?2)
                 ON CONFLICT (run_id) DO UPDATE
                 SET state = 'failed', reason = excluded.reason, changed_at = CURRENT_TIMESTAMP
                 WHERE state IN ('pending', 'failed')",
            )?
            .execute((run, reason))
            .map(drop)
        })
    }

    /// Takes a run to send it to `site`: of any number of processes that do so at the same moment,
    /// one may. With `again`, a run that may have been submitted is taken too.
    pub fn take(&mut self, run: i64, site: &str, again: bool) -> Result<Taken> {
        self.write(|db| {
            let before = submission(db, run)?;
            let mut open = None;
            match before {
                Some(before) if before.state == SubmissionState::Submitted => {
                    return Ok(Taken::Submitted(before));
                }
                Some(before) if before.state == SubmissionState::Unknown => {
                    if !again {
                        return Ok(Taken::Unknown(before));
                    }
                    open = Some((before.changed_at, before.reason));
                }
                _ => {}
            }
            let number = db
                .prepare_cached(
                    "INSERT INTO localstore_submissions (run_id, state, attempts, reason)
                     VALUES (?1, 'unknown', 1, ?2)
                     ON CONFLICT (run_id) DO UPDATE
                     SET state = 'unknown', attempts = attempts + 1, reason = excluded.reason,
                         changed_at = CURRENT_TIMESTAMP
                     RETURNING attempts",
                )?
                .query_row((run, format!("sent to {site}")), |row| row.get(0))?;
            Ok(Taken::Attempt(Attempt { run, number, open }))
        })
    }

    /// Records how an attempt ended. What an earlier one left open stays open unless this one was
    /// successful; what another process found out since, stays too.
    pub fn settle(&mut self, attempt: &Attempt, end: &End) -> Result<()> {
        if let End::Submitted { id, link } = end {
            return self.set_submitted(attempt.run, *id, link);
        }
        let (state, reason) = match end {
            End::Pending(reason) => (SubmissionState::Pending, reason),
            End::Failed(reason) => (SubmissionState::Failed, reason),
            End::Unknown(reason) | End::Submitted { link: reason, .. } => {
                (SubmissionState::Unknown, reason)
            }
        };
        let (state, reason, since) = match &attempt.open {
            Some((since, before)) if state != SubmissionState::Unknown => {
                (SubmissionState::Unknown, before.as_ref(), Some(since))
            }
            _ => (state, Some(reason), None),
        };
        self.write(|db| {
            db.prepare_cached(
                "UPDATE localstore_submissions
                 SET state = ?3, reason = ?4, changed_at = coalesce(?5, CURRENT_TIMESTAMP)
                 WHERE run_id = ?1 AND attempts = ?2 AND state = 'unknown'",
            )?
            .execute((attempt.run, attempt.number, state.name(), reason, since))
            .map(drop)
        })
    }

    /// Notes that a run was submitted, and where its result is. What is known already stays.
    pub fn set_submitted(&mut self, run: i64, remote_id: i64, link: &str) -> Result<()> {
        self.write(|db| {
            db.prepare_cached(
                "INSERT INTO localstore_submissions (run_id, state, remote_id, link)
                 VALUES (?1, 'submitted', ?2, ?3)
                 ON CONFLICT (run_id) DO UPDATE
                 SET state = 'submitted', remote_id = excluded.remote_id, link = excluded.link,
                     reason = NULL, changed_at = CURRENT_TIMESTAMP
                 WHERE state <> 'submitted'",
            )?
            .execute((run, remote_id, link))
            .map(drop)
        })
    }
}

/// The column `submission`: what became of sending the run `r`, as a JSON object or null.
pub const COLUMN: &str = "(SELECT json_object('state', state, 'remote_id', remote_id, 'link', link,
        'attempts', attempts, 'reason', reason, 'changed_at', changed_at)
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

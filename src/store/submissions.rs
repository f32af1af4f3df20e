//! What became of sending runs to LocalScore.
//!
//! No run is sent twice without a word. Each attempt is recorded, as one whose end is not known,
//! before its first byte is sent, and its end is recorded behind it. A process that dies in
//! between leaves the record, and who finds it does not send.

use rusqlite::Connection;
use rusqlite::types::Type;

use super::changes::{self, Change};
use super::rows::{self, Cells, Odd};
use crate::model::{Submission, SubmissionState};
use db::Result;

/// Whether a run may be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
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
pub(crate) struct Attempt {
    run: i64,
    /// How often the run was sent, with this attempt.
    number: i64,
    /// What an earlier attempt left open.
    open: Option<Submission>,
}

impl Attempt {
    /// What the store says where this attempt was not successful and an earlier one was left open.
    #[must_use]
    pub(crate) fn left_open(&self) -> Option<Submission> {
        let attempts = self.number;
        let open = self.open.clone()?;
        Some(Submission { attempts, ..open })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
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

/// What became of sending the run; `None`: it was never tried.
pub(crate) fn submission(db: &Connection, run: i64) -> Result<Option<Submission>> {
    Ok(read(db, run)?)
}

/// The runs that wait to be sent, each with its site, in the order in which they were added.
pub(crate) fn pending(db: &Connection) -> Result<Vec<(i64, Option<String>)>> {
    let pending = db
        .prepare(
            "SELECT run_id, site FROM localstore_submissions WHERE state = 'pending'
             ORDER BY run_id",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(pending)
}

/// Makes a run wait to be sent to `site`, unless it was or may have been submitted. False: it is
/// not in the store any more.
pub(crate) fn queue(db: &Connection, run: i64, site: &str) -> Result<bool> {
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
}

/// Notes that a run cannot be sent to `site` as it is, unless it was or may have been submitted.
pub(crate) fn set_unsendable(db: &Connection, run: i64, site: &str, reason: &str) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO localstore_submissions (run_id, state, site, reason)
         SELECT run_id, 'failed', ?2, ?3 FROM localstore_runs WHERE run_id = ?1
         ON CONFLICT (run_id) DO UPDATE
         SET state = 'failed', site = excluded.site, reason = excluded.reason,
             changed_at = CURRENT_TIMESTAMP
         WHERE state IN ('pending', 'failed')",
    )?
    .execute((run, site, reason))?;
    Ok(())
}

/// Takes a run to send it to `site`: of any number of processes that do so at the same moment, one
/// may. A run that may have been submitted is taken only if that is still what `again` says: an
/// attempt that was made since is not known to the one who asks, and may still run.
pub(crate) fn take(
    db: &Connection,
    run: i64,
    site: &str,
    again: Option<&Submission>,
) -> Result<Taken> {
    if !exists(db, run)? {
        return Ok(Taken::Gone);
    }
    let mut open = None;
    match read(db, run)? {
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
    changes::note(db, run, Change::Submission)?;
    Ok(Taken::Attempt(Attempt { run, number, open }))
}

/// Records how an attempt ended. What an earlier one left open stays open unless this one was
/// successful; what another process found out since, stays too. False: the run is not in the store
/// any more.
pub(crate) fn settle(db: &Connection, attempt: &Attempt, end: &End) -> Result<bool> {
    let (state, reason) = match end {
        End::Submitted { id, link, site } => {
            return set_submitted(db, attempt.run, *id, link, Some(site));
        }
        End::Pending(reason) => (SubmissionState::Pending, reason),
        End::Failed(reason) => (SubmissionState::Failed, reason),
        End::Unknown(reason) => (SubmissionState::Unknown, reason),
    };
    let open = attempt.open.as_ref();
    let open = open.filter(|_| state != SubmissionState::Unknown);
    db.prepare_cached(
        "UPDATE localstore_submissions
         SET state = ?3, reason = ?4, site = iif(?5 IS NULL, site, ?6),
             changed_at = coalesce(?5, CURRENT_TIMESTAMP)
         WHERE run_id = ?1 AND attempts = ?2 AND state = 'unknown'",
    )?
    .execute((
        attempt.run,
        attempt.number,
        open.map_or(state, |open| open.state).name(),
        open.map_or(Some(reason), |open| open.reason.as_ref()),
        open.map(|open| &open.changed_at),
        open.map(|open| &open.site),
    ))?;
    exists(db, attempt.run)
}

/// Notes that a run was submitted, where its result is, and the site where that is known. What is
/// known already stays. False: the run is not in the store any more.
pub(crate) fn set_submitted(
    db: &Connection,
    run: i64,
    remote_id: i64,
    link: &str,
    site: Option<&str>,
) -> Result<bool> {
    let changed = db
        .prepare_cached(
            "INSERT INTO localstore_submissions (run_id, state, remote_id, link, site)
             SELECT run_id, 'submitted', ?2, ?3, ?4 FROM localstore_runs WHERE run_id = ?1
             ON CONFLICT (run_id) DO UPDATE
             SET state = 'submitted', remote_id = excluded.remote_id, link = excluded.link,
                 site = excluded.site, reason = NULL, changed_at = CURRENT_TIMESTAMP
             WHERE state <> 'submitted'",
        )?
        .execute((run, remote_id, link, site))?;
    if changed > 0 {
        changes::note(db, run, Change::Submission)?;
    }
    exists(db, run)
}

/// What a site that was asked for a run shows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// This result. It has been recorded.
    One(i64),
    /// None.
    None,
    /// These may be the run, and it is not certain which.
    Unclear(Vec<i64>),
}

/// Records that a run whose answer was lost is the result that `site` shows, if that is certain:
/// `found` are the results there that the site may have made of it. A result that is recorded for
/// another run is not counted. If another run looks the same and may be on the site too, it stays open
/// which of the two a result belongs to.
pub(crate) fn set_found(
    db: &Connection,
    run: i64,
    found: &[i64],
    site: &str,
    link: impl Fn(i64) -> String,
) -> Result<Shown> {
    let mut is_of_another = db.prepare_cached(
        "SELECT 1 FROM localstore_submissions
         WHERE run_id <> ?1 AND remote_id = ?2 AND (site IS NULL OR site = ?3)",
    )?;
    let mut free = Vec::new();
    for &id in found {
        if !is_of_another.exists((run, id, site))? {
            free.push(id);
        }
    }
    let has_twin = db
        .prepare_cached(
            "SELECT 1 FROM benchmark_runs one JOIN benchmark_runs other
                 ON other.avg_prompt_tps = one.avg_prompt_tps
                 AND other.avg_gen_tps = one.avg_gen_tps
                 AND other.avg_ttft_ms = one.avg_ttft_ms
             JOIN localstore_submissions s ON s.run_id = other.id
             WHERE one.id = ?1 AND other.id <> ?1
                 AND s.state NOT IN ('submitted', 'pending', 'failed')",
        )?
        .exists([run])?;
    match free[..] {
        [] => Ok(Shown::None),
        [id] if !has_twin => {
            set_submitted(db, run, id, &link(id), Some(site))?;
            Ok(Shown::One(id))
        }
        _ => Ok(Shown::Unclear(free)),
    }
}

fn exists(db: &Connection, run: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM localstore_runs WHERE run_id = ?1";
    Ok(db.prepare_cached(sql)?.exists([run])?)
}

/// The column `submission`: what became of sending the run `r`, as a JSON object or null.
pub(super) const COLUMN: &str =
    "(SELECT json_object('state', state, 'remote_id', remote_id, 'link', link,
        'site', site, 'attempts', attempts, 'reason', reason, 'changed_at', changed_at)
    FROM localstore_submissions s WHERE s.run_id = r.run_id) AS submission";

/// Reads that column.
pub(super) fn from_row(cells: Cells<'_>) -> rusqlite::Result<Option<Submission>> {
    let json: Option<String> = cells.get("submission")?;
    json.map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}

/// What became of sending a run.
pub(super) fn read(db: &Connection, run: i64) -> rusqlite::Result<Option<Submission>> {
    let sql = format!("SELECT {COLUMN} FROM (SELECT ?1 AS run_id) r");
    let mut statement = db.prepare_cached(&sql)?;
    rows::query_one(&mut statement, [run], Odd::Unknown, from_row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Run;
    use crate::store::{Dated, Location, Measured, Store, runs};

    fn taken(store: &mut Store, seen: Option<&Submission>) -> Option<Attempt> {
        let site = "http://localhost";
        match store.write(|db| take(db, 1, site, seen)).unwrap() {
            Taken::Attempt(attempt) => Some(attempt),
            Taken::Unknown(_) => None,
            other => panic!("{other:?}"),
        }
    }

    fn settled(store: &mut Store, attempt: &Attempt, end: &End) {
        assert!(store.write(|db| settle(db, attempt, end)).unwrap());
    }

    /// Two processes, as the store sees them.
    #[test]
    fn what_is_sent_again_is_the_attempt_that_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::resolve(Some(folder.path().join("store")), None, &[]);
        let [mut one, mut other] = [(); 2].map(|()| Store::open(&location).unwrap());
        let run = Dated {
            run: Run::default(),
            measured: Measured::guessed(0),
        };
        one.write(|db| runs::add_all(db, &[run], None)).unwrap();
        let first = taken(&mut one, None).unwrap();
        settled(&mut one, &first, &End::Unknown("no answer".into()));
        let seen = one.read(|db| submission(db, 1)).unwrap();

        // Both have seen it, and one is quicker.
        let second = taken(&mut other, seen.as_ref()).unwrap();
        assert_eq!(taken(&mut one, seen.as_ref()), None);
        settled(&mut other, &second, &End::Pending("busy".into()));
        assert_eq!(taken(&mut one, seen.as_ref()), None);
        // It goes on from what it has left itself, and from nothing else.
        let left = second.left_open();
        assert_eq!(left, one.read(|db| submission(db, 1)).unwrap());
        let third = taken(&mut other, left.as_ref()).unwrap();
        assert_eq!(taken(&mut other, left.as_ref()), None);
        assert_eq!(taken(&mut one, left.as_ref()), None);
        settled(&mut other, &third, &End::Unknown("reset".into()));
        assert_eq!(taken(&mut other, third.left_open().as_ref()), None);
    }
}

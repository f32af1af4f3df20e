//! Making right what can be computed from the rest.

use std::collections::BTreeSet;

use db::integrity::used_up;
use rusqlite::Connection;

use crate::model::{Run, Source, Test};
use crate::store::fingerprint::{core, fingerprint};
use crate::store::own::read;
use crate::store::public::Known;
use crate::store::rows::{self, CREATED_AT};
use crate::store::runs::replace;
use crate::store::scores;

/// What can be done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fix {
    /// Makes the indexes anew from their tables.
    Indexes,
    /// Removes what is noted about runs that are not there.
    Orphans,
    /// Computes what follows from the tests of this run.
    Run(i64),
    /// Computes the score table from the runs.
    Scores,
    /// Lets the ids go on behind the highest one.
    Sequences,
}

/// Does all of it, in an order in which each step finds what it builds on.
pub fn mend(db: &Connection, fixes: &[Fix]) -> rusqlite::Result<()> {
    let fixes: BTreeSet<Fix> = fixes.iter().copied().collect();
    let mut scores_changed = false;
    for fix in fixes {
        match fix {
            Fix::Indexes => db.execute_batch("REINDEX")?,
            Fix::Orphans => orphans(db)?,
            Fix::Run(id) => {
                mend_run(db, id)?;
                scores_changed = true;
            }
            Fix::Scores => scores_changed = true,
            Fix::Sequences => sequences(db)?,
        }
    }
    if scores_changed {
        all_scores(db)?;
    }
    Ok(())
}

fn orphans(db: &Connection) -> rusqlite::Result<()> {
    for table in ["localstore_tags", "localstore_submissions"] {
        db.execute(
            &format!(
                "DELETE FROM {table} WHERE run_id NOT IN (SELECT run_id FROM localstore_runs)"
            ),
            [],
        )?;
    }
    Ok(())
}

/// Writes all that follows from the tests of a run.
///
/// If they do not fit the fingerprint, and with the values of the public table they do, these are
/// the right ones. If all other witnesses agree with the tests (the public table, in which none is
/// to spare, and the rounded speeds of `core`), the fingerprint is what is wrong. Else nobody knows
/// what was measured, and nothing is changed, nor where a row cannot be read.
fn mend_run(db: &Connection, id: i64) -> rusqlite::Result<()> {
    let mut run = match read(db, id) {
        Ok(run) => run,
        Err(error @ rusqlite::Error::SqliteFailure(..)) => return Err(error),
        Err(_) => return Ok(()),
    };
    let witnesses = Witnesses::read(db, id)?;
    if !witnesses.are_of(&run) {
        return Ok(());
    }
    let known = witnesses.fingerprint.as_deref();
    if known != Some(&fingerprint(&run)) {
        let published = published(db, id, &run)?;
        if known == Some(&fingerprint(&published)) {
            run = published;
        } else if fingerprint(&published) != fingerprint(&run) || !witnesses.agree_with(&run) {
            return Ok(());
        }
    }
    make_public_rows(db, id)?;
    replace(db, &mut Known::default(), id, &run)?;
    Ok(())
}

/// What the rows of a run say of its tests besides.
struct Witnesses {
    fingerprint: Option<Vec<u8>>,
    core: Option<Vec<u8>>,
    source: Option<String>,
    tests: usize,
    public_tests: usize,
}

impl Witnesses {
    fn read(db: &Connection, id: i64) -> rusqlite::Result<Self> {
        db.query_row(
            "SELECT fingerprint, core, CAST(source AS TEXT),
                 (SELECT count(*) FROM localstore_tests t WHERE t.run_id = r.run_id),
                 (SELECT count(*) FROM test_results p WHERE p.benchmark_run_id = r.run_id)
             FROM localstore_runs r WHERE run_id = ?1",
            [id],
            |row| {
                let bytes = |index| row.get_ref(index).map(|value| value.as_bytes().ok());
                Ok(Self {
                    fingerprint: bytes(0)?.map(<[u8]>::to_vec),
                    core: bytes(1)?.map(<[u8]>::to_vec),
                    source: row.get(2)?,
                    tests: row.get(3)?,
                    public_tests: row.get(4)?,
                })
            },
        )
    }

    /// Whether the run is all that there is of it.
    fn are_of(&self, run: &Run) -> bool {
        let source = self.source.as_deref().and_then(Source::from_name);
        self.tests == run.tests.len() && source.is_some()
    }

    /// Whether no test was lost, and the speeds are those of before.
    fn agree_with(&self, run: &Run) -> bool {
        self.public_tests == run.tests.len() && self.core.as_deref() == Some(&core(run))
    }
}

/// The run with the values that the public table has of it.
fn published(db: &Connection, id: i64, run: &Run) -> rusqlite::Result<Run> {
    let mut run = run.clone();
    let mut statement = db.prepare_cached(
        "SELECT t.position, p.name, p.n_prompt, p.n_gen, p.avg_time_ms, p.power_watts, p.prompt_tps,
                p.gen_tps, p.prompt_tps_watt, p.gen_tps_watt, p.ttft_ms
         FROM localstore_tests t JOIN test_results p ON p.id = t.test_result_id
         WHERE t.run_id = ?1 AND p.benchmark_run_id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        let Some(test) = usize::try_from(position)
            .ok()
            .and_then(|p| run.tests.get_mut(p))
        else {
            continue;
        };
        let number = |index| row.get_ref(index).map(rows::number);
        let tokens = |index| row.get_ref(index).map(|v| v.as_i64().unwrap_or_default());
        // The public table knows a name as UTF-8 only.
        let name = rows::text(row.get_ref(1)?).unwrap_or_default();
        if name.to_utf8() != test.name.to_utf8() {
            test.name = name;
        }
        *test = Test {
            n_prompt: tokens(2)?,
            n_gen: tokens(3)?,
            avg_time_ms: known_or_nan(number(4)?, test.avg_time_ms),
            power_watts: known_or_nan(number(5)?, test.power_watts),
            prompt_tps: known_or_nan(number(6)?, test.prompt_tps),
            gen_tps: known_or_nan(number(7)?, test.gen_tps),
            prompt_tps_watt: known_or_nan(number(8)?, test.prompt_tps_watt),
            gen_tps_watt: known_or_nan(number(9)?, test.gen_tps_watt),
            ttft_ms: known_or_nan(number(10)?, test.ttft_ms),
            ..std::mem::take(test)
        };
    }
    Ok(run)
}

/// The public table has null for nan, and no sign on a zero.
fn known_or_nan(published: Option<f64>, own: Option<f64>) -> Option<f64> {
    match own {
        Some(own) if published.is_none() && own.is_nan() => Some(own),
        Some(own) if published == Some(own) => Some(own),
        _ => published,
    }
}

/// Makes the rows of a run in the public tables that are not there, to be filled, and a date where
/// there is none.
fn make_public_rows(db: &Connection, id: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO benchmark_runs
             (id, avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score, created_at)
         SELECT run_id, 0, 0, 0, 0, datetime(measured_at, 'unixepoch')
         FROM localstore_runs WHERE run_id = ?1",
    )?
    .execute([id])?;
    db.prepare_cached(&format!(
        "UPDATE benchmark_runs AS b SET created_at =
             (SELECT datetime(measured_at, 'unixepoch') FROM localstore_runs WHERE run_id = ?1)
         WHERE id = ?1 AND {CREATED_AT} IS NULL"
    ))?
    .execute([id])?;
    let lost: Vec<i64> = db
        .prepare_cached(
            "SELECT position FROM localstore_tests t WHERE t.run_id = ?1 AND NOT EXISTS
                 (SELECT 1 FROM test_results p
                  WHERE p.id = t.test_result_id AND p.benchmark_run_id = ?1)
             ORDER BY position",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for position in lost {
        db.prepare_cached("INSERT INTO test_results (benchmark_run_id) VALUES (?1)")?
            .execute([id])?;
        db.prepare_cached(
            "UPDATE localstore_tests SET test_result_id = ?3 WHERE run_id = ?1 AND position = ?2",
        )?
        .execute((id, position, db.last_insert_rowid()))?;
    }
    Ok(())
}

fn all_scores(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "DELETE FROM localstore_scores; DELETE FROM accelerator_model_performance_scores",
    )?;
    scores::compute_all(db, |row| scores::write(db, row.key, &row.sums))
}

fn sequences(db: &Connection) -> rusqlite::Result<()> {
    for table in used_up(db)? {
        let name = table.replace('"', "\"\"");
        db.execute(
            &format!(
                "UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(rowid), 0) FROM \"{name}\")
                 WHERE name = ?1"
            ),
            [&table],
        )?;
    }
    Ok(())
}

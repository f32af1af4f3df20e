//! Tags: labels of runs.

use rusqlite::Connection;

use super::changes::{self, Change};
use super::select::is_reserved;
use base::{Error, shortened};
use db::Result;

/// Puts the tag on the run, unless it has it.
pub(super) fn add(db: &Connection, tag: &str, run: i64) -> rusqlite::Result<usize> {
    let changed = db
        .prepare_cached(
            "INSERT INTO localstore_tags (tag, run_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute((tag, run))?;
    if changed > 0 {
        changes::note(db, run, Change::Tag)?;
    }
    Ok(changed)
}

/// Puts the tag on the runs; gives how many did not have it.
pub(crate) fn tag(db: &Connection, tag: &str, runs: &[i64]) -> Result<usize> {
    check_tag(tag)?;
    let mut changed = 0;
    for &run in runs {
        changed += add(db, tag, run)?;
    }
    Ok(changed)
}

/// Takes the tag off the runs; gives how many had it.
pub(crate) fn untag(db: &Connection, tag: &str, runs: &[i64]) -> Result<usize> {
    let mut statement = db.prepare("DELETE FROM localstore_tags WHERE tag = ?1 AND run_id = ?2")?;
    let mut changed = 0;
    for run in runs {
        changed += statement.execute((tag, run))?;
    }
    Ok(changed)
}

/// The runs that have exactly this tag, in the order in which they were added.
pub(crate) fn tagged(db: &Connection, tag: &str) -> Result<Vec<i64>> {
    let runs = db
        .prepare("SELECT run_id FROM localstore_tags WHERE tag = ?1 ORDER BY run_id")?
        .query_map([tag], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(runs)
}

/// A tag, how many runs have it, and the id of the one added last of them.
pub(crate) type Tagged = (String, u64, i64);

/// All tags, the one with the newest run first.
pub(crate) fn all(db: &Connection) -> Result<Vec<Tagged>> {
    let tags = db
        .prepare(
            "SELECT CAST(tag AS TEXT), count(*), max(run_id) AS last FROM localstore_tags
             GROUP BY tag ORDER BY last DESC, tag",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(tags)
}

/// The longest tag, in bytes: a branch or a file name fits.
const MAX_TAG: usize = 255;

/// A tag names a run, so it must not read as another name of one, and not as an option.
pub(crate) fn check_tag(tag: &str) -> base::Result<()> {
    let why = if tag.is_empty() {
        "a tag must not be empty"
    } else if tag.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "a tag must not contain spaces or control characters"
    } else if tag.len() > MAX_TAG {
        "a tag must not be longer than 255 bytes"
    } else if tag.bytes().all(|byte| byte.is_ascii_digit()) {
        "a tag must not be a number, for that is an id"
    } else if tag == "last" || tag.starts_with("last~") {
        "this name means the run added last"
    } else if tag == "best" {
        "this name means the run with the highest score"
    } else if is_reserved(tag) {
        "a tag must not be a range or a list of ids"
    } else if tag.starts_with("median-of") {
        "this name means earlier runs, in 'compare --baseline'"
    } else if tag.starts_with('-') {
        "a tag must not begin with '-'"
    } else {
        return Ok(());
    };
    Err(Error::new(
        format_args!("tag '{}'", shortened(tag, 60)),
        why,
    ))
}

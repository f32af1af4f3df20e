//! Tags: labels of runs.

use super::Store;
use base::shortened;
use base::{Error, Result};

impl Store {
    /// Puts the tag on the runs; gives how many did not have it.
    pub fn tag(&mut self, tag: &str, runs: &[i64]) -> Result<usize> {
        check_tag(tag)?;
        self.for_each(
            "INSERT INTO localstore_tags (tag, run_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            tag,
            runs,
        )
    }

    /// Takes the tag off the runs; gives how many had it.
    pub fn untag(&mut self, tag: &str, runs: &[i64]) -> Result<usize> {
        self.for_each(
            "DELETE FROM localstore_tags WHERE tag = ?1 AND run_id = ?2",
            tag,
            runs,
        )
    }

    /// The runs that have exactly this tag, in the order in which they were added.
    pub fn tagged(&self, tag: &str) -> Result<Vec<i64>> {
        if !self.has_runs {
            return Ok(Vec::new());
        }
        let query = || -> rusqlite::Result<_> {
            self.db
                .prepare("SELECT run_id FROM localstore_tags WHERE tag = ?1 ORDER BY run_id")?
                .query_map([tag], |row| row.get(0))?
                .collect()
        };
        query().map_err(|error| self.failure(&error))
    }

    fn for_each(&mut self, sql: &str, tag: &str, runs: &[i64]) -> Result<usize> {
        self.write(|db| {
            let mut changed = 0;
            let mut statement = db.prepare_cached(sql)?;
            for run in runs {
                changed += statement.execute((tag, run))?;
            }
            Ok(changed)
        })
    }
}

/// The longest tag, in bytes: a branch or a file name fits.
const MAX_TAG: usize = 255;

/// A tag names a run, so it must not read as another name of one, and not as an option.
pub fn check_tag(tag: &str) -> Result<()> {
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

//! What became of sending runs to LocalScore.

use super::Store;
use crate::error::Result;

impl Store {
    /// Notes that a run was submitted, and where its result is. What is known already stays.
    pub fn set_submitted(&mut self, run: i64, remote_id: i64, link: &str) -> Result<()> {
        self.write(|db| {
            db.prepare_cached(
                "INSERT INTO localstore_submissions (run_id, state, remote_id, link)
                 VALUES (?1, 'submitted', ?2, ?3)
                 ON CONFLICT (run_id) DO UPDATE
                 SET state = 'submitted', remote_id = excluded.remote_id, link = excluded.link
                 WHERE state <> 'submitted'",
            )?
            .execute((run, remote_id, link))
            .map(drop)
        })
    }
}

//! What a run says of its machine and model, against the public rows that it refers to.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::model::Model;
use crate::store::own::environment;
use crate::store::public::Public;

/// How many headers are remembered: 8 MB of them.
const MOST_HEADERS: usize = 100_000;

/// The combinations of header, model and public rows that were found to be right: there are few.
#[derive(Default)]
pub struct Headers(HashSet<(Public, i64, Option<i64>)>);

impl Headers {
    /// Which of these public rows are not those of a run of this environment and model, of which
    /// the id in our table is given too.
    pub fn strangers(
        &mut self,
        db: &Connection,
        public: Public,
        environment_id: i64,
        (model_id, model): (Option<i64>, Option<&Model>),
    ) -> rusqlite::Result<Vec<&'static str>> {
        let key = (public, environment_id, model_id);
        if self.0.contains(&key) {
            return Ok(Vec::new());
        }
        let strangers = public.mismatched_rows(db, &environment(db, environment_id)?, model)?;
        if strangers.is_empty() && self.0.len() < MOST_HEADERS {
            self.0.insert(key);
        }
        Ok(strangers)
    }
}

//! Finds out which runs of this store the remote has, as a store finds them.

use std::collections::HashMap;
use std::path::Path;

use base::{Error, Result};
use rusqlite::Connection;

use super::body::{self, Encoded, FORMAT};
use super::hrana::{Batch, Failure, Kind, Remote, Row, Value};
use super::remote::{WRITES, ask, of};
use crate::model::{Source, Submission, SubmissionState, Tool};
use crate::store::foreign::{Foreign, Keys, add_foreign, read_foreign};
use crate::store::peers::{Position, StoreId};
use crate::store::{self, Stored};

/// A run of this store, ready to be sent.
pub(super) struct Item {
    /// Its id here.
    pub(super) id: i64,
    pub(super) foreign: Foreign,
    pub(super) keys: Keys,
    pub(super) encoded: Encoded,
}

impl Item {
    /// Reads a run of the store. The inner error says what is wrong with the run.
    pub(super) fn read(db: &Connection, id: i64) -> db::Result<Result<Self, String>> {
        let foreign = match read_foreign(db, id) {
            Ok(foreign) => foreign,
            Err(db::Error::Sqlite(error)) if db::is_about_a_value(&error) => {
                return Ok(Err(db::reason(&error)));
            }
            Err(error) => return Err(error),
        };
        Ok(Self::new(id, foreign))
    }

    /// A run of this id. The error says what is wrong with it.
    pub(super) fn new(id: i64, mut foreign: Foreign) -> Result<Self, String> {
        let keys = foreign.keys();
        body::encode(&mut foreign).map(|encoded| Self {
            id,
            foreign,
            keys,
            encoded,
        })
    }

    /// Its submission as it travels, as JSON; `None` unless it was or may have been submitted.
    pub(super) fn submission(&self) -> Option<String> {
        let Foreign::Run(run) = &self.foreign else {
            return None;
        };
        run.submission.as_ref().and_then(submission_detail)
    }
}

/// The fields of a submission that travel.
fn submission_detail(submission: &Submission) -> Option<String> {
    let is_known = matches!(
        submission.state,
        SubmissionState::Submitted | SubmissionState::Unknown
    );
    let json = serde_json::json!({
        "state": submission.state.name(),
        "site": submission.site,
        "remote_id": submission.remote_id,
        "link": submission.link,
        "changed_at": submission.changed_at,
    });
    is_known.then(|| json.to_string())
}

/// The submission in a detail of the remote's log; `None` if there is none in it.
pub(super) fn read_submission(detail: &str) -> Option<Submission> {
    let mut json: serde_json::Value = serde_json::from_str(detail).ok()?;
    let object = json.as_object_mut()?;
    object.insert("attempts".to_owned(), 1.into());
    object.remove("reason");
    let submission: Submission = serde_json::from_value(json).ok()?;
    let is_known = matches!(
        submission.state,
        SubmissionState::Submitted | SubmissionState::Unknown
    );
    is_known.then_some(submission)
}

/// The keys of runs, one after the other: fingerprint, core, digest, and whether it is poor.
pub(super) fn keys<'a>(items: impl IntoIterator<Item = &'a Item>) -> Value {
    let mut keys = Vec::new();
    for item in items {
        keys.extend_from_slice(&item.keys.fingerprint);
        keys.extend_from_slice(&item.keys.core);
        keys.extend_from_slice(&item.encoded.digest);
        keys.push(u8::from(item.foreign.is_poor()));
    }
    keys.into()
}

/// The table `k` of the keys in ?1. Of two different captures of one run one must be poor.
const KEYS: &str = "WITH RECURSIVE n(i) AS (SELECT 0 WHERE length(?1) > 0
        UNION ALL SELECT i + 1 FROM n WHERE i + 1 < length(?1) / 33),
    k AS MATERIALIZED (SELECT i, substr(?1, 33 * i + 1, 16) AS fingerprint,
        substr(?1, 33 * i + 17, 8) AS core, substr(?1, 33 * i + 25, 8) AS digest,
        substr(?1, 33 * i + 33, 1) = x'01' AS is_poor FROM n)";

/// What finds the rows of these runs. Many runs may have one core, so the index must tell which of them
/// are poor: else a push would read all of them, and cost more the more runs there are.
const MATCHES: &str = "FROM k CROSS JOIN localstore_fleet_runs r
    ON r.fingerprint = k.fingerprint OR (r.core = k.core AND r.poor >= NOT k.is_poor)";

/// The most bytes of a body that is asked for.
pub(super) const MOST_ASKED: i64 = 2 << 20;

/// The tags and the submission of a run `r` in the log: kinds and details as JSON. As bytes, for a text that
/// is not UTF-8 would spoil the whole answer.
pub(super) const DETAILS: &str = "CAST((SELECT json_group_array(json_array(kind, detail))
    FROM localstore_fleet_log l WHERE l.run_id = r.run_id AND kind IN ('tag', 'submission')
        AND typeof(detail) = 'text' AND length(detail) <= 65536) AS BLOB)";

/// Asks for the rows that may be of these runs; a body comes only where it differs.
pub(super) fn look() -> String {
    format!(
        "{KEYS} SELECT k.i, r.run_id, r.digest = k.digest, substr(CAST(r.tool AS BLOB), 1, 64),
             substr(CAST(r.source AS BLOB), 1, 64), r.format, r.digest,
             CASE WHEN r.digest <> k.digest AND length(r.body) <= {MOST_ASKED} THEN r.body END,
             {DETAILS}
         {MATCHES} ORDER BY k.i, r.run_id"
    )
}

/// A row of the remote that may be of a run.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The place of the run in the list.
    pub(super) place: usize,
    /// The id there.
    pub(super) run_id: i64,
    /// Whether its body is that of the run.
    is_same: bool,
    tool: Option<Tool>,
    source: Option<Source>,
    format: i64,
    pub(super) digest: Vec<u8>,
    body: Option<Vec<u8>>,
    /// The tags that it has.
    tags: Vec<String>,
    /// What is known of its submission.
    submissions: Vec<Submission>,
}

impl Candidate {
    /// Reads a row of [`look`].
    pub(super) fn read(row: Row<'_>) -> Result<Self> {
        let details: Vec<(String, String)> =
            serde_json::from_slice(row.blob(8, "detail")?).unwrap_or_default();
        let name = |at| {
            row.blob(at, "name")
                .ok()
                .and_then(|name| std::str::from_utf8(name).ok())
        };
        let mut candidate = Self {
            place: usize::try_from(row.integer(0, "i")?).unwrap_or(usize::MAX),
            run_id: row.integer(1, "run_id")?,
            is_same: row.integer(2, "digest")? == 1,
            // What anybody may have written there: a row that no run has is not this run.
            tool: name(3).and_then(Tool::from_name),
            source: name(4).and_then(Source::from_name),
            format: row.integer(5, "format").unwrap_or(0),
            digest: row.blob(6, "digest").unwrap_or_default().to_owned(),
            body: row.blob(7, "body").ok().map(<[u8]>::to_owned),
            tags: Vec::new(),
            submissions: Vec::new(),
        };
        for (kind, detail) in details {
            match kind.as_str() {
                "tag" => candidate.tags.push(detail),
                _ => candidate.submissions.extend(read_submission(&detail)),
            }
        }
        Ok(candidate)
    }

    /// Whether it has this tag.
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|known| known == tag)
    }

    /// Whether it knows as much of the submission as this tells.
    pub(super) fn knows(&self, submission: &str) -> bool {
        let Some(submission) = read_submission(submission) else {
            return true;
        };
        let mut known = self.submissions.iter();
        known.any(|known| {
            known.state == SubmissionState::Submitted || known.state == submission.state
        })
    }
}

/// Asks the remote for the rows that may be of these runs.
pub(super) fn candidates(remote: &Remote, items: &[Item]) -> Result<Vec<Candidate>, Failure> {
    let mut batch = Batch::read();
    let step = batch.then(look(), [keys(items)]);
    let answer = ask(remote, &batch)?;
    let found = answer.rows(step).map(Candidate::read);
    found.collect::<Result<_>>().map_err(|error| Failure {
        kind: Kind::Other,
        error: of(remote, error),
    })
}

/// What a run of this store is to the remote.
pub(super) enum Fate<'a> {
    /// It is not there.
    New,
    /// It is there, and this store knows no more of it.
    Known(&'a Candidate),
    /// It is there, and this is what both know of it.
    Completed(&'a Candidate, Box<Item>),
}

/// Decides what runs are to the remote, in an empty store of its own: so it finds and completes them as
/// every store does.
pub(super) struct Judge(Connection);

impl Judge {
    pub(super) fn new() -> Result<Self> {
        let scratch = store::scratch();
        scratch
            .map(Self)
            .map_err(|error| Error::new("SQLite", error))
    }

    /// Decides about a run, of which these are the candidates.
    pub(super) fn decide<'a>(
        &mut self,
        item: &mut Item,
        candidates: &[&'a Candidate],
    ) -> Result<Fate<'a>> {
        if candidates.is_empty() {
            return Ok(Fate::New);
        }
        if let Some(same) = candidates.iter().find(|candidate| candidate.is_same) {
            return Ok(Fate::Known(same));
        }
        let fate = self.0.transaction().map_err(db::Error::from);
        let fate = fate.and_then(|scratch| decide(&scratch, item, candidates));
        fate.map_err(|error| error.of_file(Path::new("the store in memory")))
    }
}

fn decide<'a>(
    db: &Connection,
    item: &mut Item,
    candidates: &[&'a Candidate],
) -> db::Result<Fate<'a>> {
    let mut theirs: HashMap<i64, &Candidate> = HashMap::new();
    let mut newer = None;
    for &candidate in candidates {
        if candidate.format > FORMAT {
            newer = newer.or(Some(candidate));
            continue;
        }
        let (Some(tool), Some(source), Some(body)) =
            (candidate.tool, candidate.source, &candidate.body)
        else {
            continue;
        };
        // A body that no run has is not this run.
        if let Ok(foreign) = body::decode(tool, source, body) {
            for added in add_foreign(db, &mut [foreign])? {
                // What was sent, and then posted to the web site, is there twice.
                theirs.entry(added.id).or_insert(candidate);
            }
        }
    }
    let added = add_foreign(db, std::slice::from_mut(&mut item.foreign))?;
    let Some(added) = added.first() else {
        return Ok(Fate::New);
    };
    let Some(candidate) = theirs.remove(&added.id) else {
        // A run whose body is newer than this program is not written again.
        return Ok(newer.map_or(Fate::New, Fate::Known));
    };
    if added.stored != Stored::Completed {
        return Ok(Fate::Known(candidate));
    }
    Ok(match Item::read(db, added.id)? {
        Ok(both) if both.encoded.digest[..] != candidate.digest[..] => {
            let id = item.id;
            Fate::Completed(candidate, Box::new(Item { id, ..both }))
        }
        _ => Fate::Known(candidate),
    })
}

/// What a writer expects of the remote.
pub(super) struct Expected<'a> {
    pub(super) fleet: &'a StoreId,
    pub(super) me: &'a StoreId,
    /// How far it has taken over the log of this store.
    pub(super) position: Option<&'a Position>,
}

impl Expected<'_> {
    /// A statement that takes the position on to `end`, and fails if the remote is not as it was seen:
    /// if its version or its position is another one, a row that was found is gone, or there is one
    /// more that may be of one of these runs. Gives its number.
    pub(super) fn guard(
        &self,
        batch: &mut Batch,
        items: &[Item],
        found: &[Candidate],
        end: &Position,
    ) -> usize {
        let ids: Vec<i64> = found.iter().map(|candidate| candidate.run_id).collect();
        let (change, nonce) = match self.position {
            Some(position) => (Value::from(position.change), position.nonce.clone().into()),
            None => (Value::Null, Value::Null),
        };
        let values = vec![
            keys(items),
            self.me.to_vec().into(),
            end.change.into(),
            end.nonce.clone().into(),
            change,
            nonce,
            self.fleet.to_vec().into(),
            WRITES.into(),
            format!("{ids:?}").into(),
        ];
        batch.then(
            format!(
                "{KEYS} INSERT INTO localstore_fleet_stores (store, change, nonce)
                 SELECT ?2, CASE WHEN
                     (SELECT id = ?7 AND writes_from <= ?8 FROM localstore_fleet)
                     AND (SELECT change FROM localstore_fleet_stores WHERE store = ?2) IS ?5
                     AND (SELECT nonce FROM localstore_fleet_stores WHERE store = ?2) IS ?6
                     AND NOT EXISTS (SELECT 1 FROM json_each(?9)
                         WHERE value NOT IN (SELECT run_id FROM localstore_fleet_runs))
                     AND NOT EXISTS (SELECT 1 {MATCHES}
                         WHERE r.run_id NOT IN (SELECT value FROM json_each(?9)))
                     THEN ?3 END, ?4
                 WHERE true
                 ON CONFLICT (store) DO UPDATE SET change = excluded.change, nonce = excluded.nonce"
            ),
            values,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_indexes_alone() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(super::super::remote::TABLES).unwrap();
        let plan: Vec<String> = db
            .prepare(&format!(
                "EXPLAIN QUERY PLAN {KEYS} SELECT r.run_id {MATCHES}"
            ))
            .unwrap()
            .query_map([[0_u8; 33]], |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let of_runs: Vec<&str> = plan
            .iter()
            .filter_map(|line| line.split_once(" r USING "))
            .map(|(_, index)| index)
            .collect();
        assert_eq!(
            of_runs,
            [
                "INDEX localstore_fleet_runs_fingerprint_idx (fingerprint=?)",
                "INDEX localstore_fleet_runs_core_idx (core=? AND poor>?)",
            ]
        );
    }
}

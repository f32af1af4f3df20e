//! Agents: servers beside engines, which register the models that they serve.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::keys;
use crate::speeds::Filters;

/// An agent that has not beaten for so many seconds is dead.
pub(crate) const DEAD_AFTER: i64 = 30;

/// A dead agent is forgotten after so many seconds.
const FORGOTTEN_AFTER: i64 = 7 * 24 * 60 * 60;

/// The agents that are remembered at most.
const MOST: i64 = 1000;

/// An agent as the store has it. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AgentState {
    /// The key that it registered with, and its SHA-256.
    pub(crate) key: Option<(i64, Vec<u8>)>,
    /// When that key was revoked or expires.
    pub(crate) refused_from: Option<i64>,
    /// The last beat that was written down.
    pub(crate) heartbeat_at: i64,
    /// When it said goodbye; `None` if it beat since.
    pub(crate) stopped_at: Option<i64>,
}

impl AgentState {
    /// Whether its key opens nothing any more at this time.
    pub(crate) fn is_refused(&self, now: i64) -> bool {
        self.refused_from.is_some_and(|from| from <= now)
    }
}

/// What an agent registers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registration {
    pub(crate) name: String,
    /// The base URL, without a slash at its end.
    pub(crate) endpoint: String,
    pub(crate) models: Vec<String>,
    /// The requests that it serves at once.
    pub(crate) parallel: u32,
    pub(crate) filters: Filters,
    /// The key that it showed.
    pub(crate) key_id: Option<i64>,
}

/// Why an agent is not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another valid key registered the name.
    NameTaken,
    /// The model has a backend with this address, which is not this agent's to change.
    AddressTaken(String),
    /// Too many are remembered.
    TooMany,
}

/// The agents, each by its name.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<(String, AgentState)>> {
    let sql = format!("SELECT a.name, {STATE} FROM {FROM}");
    let mut agents = db.prepare_cached(&sql)?;
    let agents = agents.query_map([], |row| {
        let key: Option<i64> = row.get(1)?;
        let hash: Option<Vec<u8>> = row.get(2)?;
        let state = AgentState {
            key: key.zip(hash),
            refused_from: row.get(3)?,
            heartbeat_at: row.get(4)?,
            stopped_at: row.get(5)?,
        };
        Ok((row.get(0)?, state))
    })?;
    agents.collect()
}

const STATE: &str =
    "k.id, k.hash, nullif(min(coalesce(k.revoked_at, 9e15), coalesce(k.expires_at, 9e15)), 9e15),
    a.heartbeat_at, a.stopped_at";

const FROM: &str =
    "localstore_gateway_agents a LEFT JOIN localstore_gateway_keys k ON k.id = a.key_id";

/// Registers an agent, or registers it again: its models have it as a backend from then on.
pub(crate) fn register(
    db: &Transaction<'_>,
    agent: &Registration,
    now: i64,
) -> rusqlite::Result<Result<(), Refused>> {
    db.execute(
        "DELETE FROM localstore_gateway_agents WHERE heartbeat_at < ?1 AND name <> ?2",
        params![now - FORGOTTEN_AFTER, agent.name],
    )?;
    let is_other = format!(
        "SELECT a.key_id IS NOT ?2 AND a.key_id IS NOT NULL
           AND min(coalesce(k.revoked_at, ?3 + 1), coalesce(k.expires_at, ?3 + 1)) > ?3
         FROM {FROM} WHERE a.name = ?1"
    );
    let known: Option<bool> = db
        .query_row(&is_other, params![agent.name, agent.key_id, now], |row| {
            row.get(0)
        })
        .optional()?;
    match known {
        Some(true) => return Ok(Err(Refused::NameTaken)),
        Some(false) => {}
        None => {
            let sql = "SELECT count(*) FROM localstore_gateway_agents";
            if db.query_row(sql, [], |row| row.get::<_, i64>(0))? >= MOST {
                return Ok(Err(Refused::TooMany));
            }
        }
    }
    // One that is dead, or of the same key, gives its address up.
    let is_taken = format!(
        "SELECT 1 FROM localstore_gateway_backends b
         WHERE b.model = ?1 AND b.url = ?2 AND b.agent IS NOT ?3 AND NOT EXISTS (
           SELECT 1 FROM {FROM} WHERE a.name = b.agent AND (a.key_id IS ?4
             OR a.stopped_at IS NOT NULL OR a.heartbeat_at < ?5 - {DEAD_AFTER}
             OR k.revoked_at <= ?5 OR k.expires_at <= ?5))"
    );
    for model in &agent.models {
        let values = params![model, agent.endpoint, agent.name, agent.key_id, now];
        if db.prepare_cached(&is_taken)?.exists(values)? {
            return Ok(Err(Refused::AddressTaken(model.clone())));
        }
    }
    let models = json(&agent.models);
    db.execute(
        "INSERT INTO localstore_gateway_agents (name, endpoint, models, key_id, heartbeat_at)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE SET endpoint = excluded.endpoint, models = excluded.models,
           key_id = excluded.key_id, heartbeat_at = excluded.heartbeat_at, stopped_at = NULL",
        params![agent.name, agent.endpoint, models, agent.key_id, now],
    )?;
    db.execute(
        "DELETE FROM localstore_gateway_backends WHERE agent = ?1
         AND (url <> ?2 OR model NOT IN (SELECT value FROM json_each(?3)))",
        params![agent.name, agent.endpoint, models],
    )?;
    if let Some(key) = agent.key_id {
        keys::used(db, key, now)?;
    }
    let filters = (!agent.filters.is_empty()).then(|| json(&agent.filters));
    let add = "INSERT INTO localstore_gateway_backends
             (model, url, upstream, parallel, filters, agent, added_at)
         VALUES (?1, ?2, ?1, ?3, ?4, ?5, ?6)
         ON CONFLICT (model, url) DO UPDATE SET parallel = excluded.parallel,
           filters = excluded.filters, agent = excluded.agent
         WHERE (parallel, filters, agent) IS NOT (excluded.parallel, excluded.filters, excluded.agent)";
    for model in &agent.models {
        let values = params![
            model,
            agent.endpoint,
            agent.parallel,
            filters,
            agent.name,
            now
        ];
        db.prepare_cached(add)?.execute(values)?;
    }
    Ok(Ok(()))
}

/// Writes down that the agent lives.
pub(crate) fn beat(db: &Connection, name: &str, now: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE localstore_gateway_agents SET heartbeat_at = ?2, stopped_at = NULL
         WHERE name = ?1 RETURNING key_id";
    let mut update = db.prepare_cached(sql)?;
    let key = update.query_row(params![name, now], |row| row.get(0));
    match key.optional()?.flatten() {
        Some(key) => keys::used(db, key, now),
        None => Ok(()),
    }
}

/// Writes down that the agent says goodbye.
pub(crate) fn stop(db: &Connection, name: &str, now: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE localstore_gateway_agents SET stopped_at = ?2 WHERE name = ?1";
    db.prepare_cached(sql)?
        .execute(params![name, now])
        .map(drop)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backends;

    const NOW: i64 = 1_000_000_000;

    fn store() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("PRAGMA foreign_keys = 1").unwrap();
        db.execute_batch(crate::ROOM.migrations[0]).unwrap();
        for id in 1..=2_u8 {
            db.execute(
                "INSERT INTO localstore_gateway_keys (id, hash, prefix, models, agent, created_at)
                 VALUES (?1, ?2, '', '[]', 1, 0)",
                params![id, [id; 32]],
            )
            .unwrap();
        }
        db
    }

    fn agent(name: &str, models: &[&str], key_id: Option<i64>) -> Registration {
        Registration {
            name: name.to_owned(),
            endpoint: "http://a:1/v1".to_owned(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            parallel: 1,
            filters: Filters::default(),
            key_id,
        }
    }

    fn register_at(db: &mut Connection, agent: &Registration, now: i64) -> Result<(), Refused> {
        let transaction = db.transaction().unwrap();
        let registered = register(&transaction, agent, now).unwrap();
        transaction.commit().unwrap();
        registered
    }

    fn models(db: &Connection) -> Vec<String> {
        let all = backends::all(db).unwrap();
        all.into_iter().map(|backend| backend.model).collect()
    }

    #[test]
    fn an_agent_has_the_models_that_it_registered_last() {
        let mut db = store();
        register_at(&mut db, &agent("a", &["x", "y"], None), NOW).unwrap();
        let before = backends::generation(&db).unwrap();
        register_at(&mut db, &agent("a", &["y", "z"], None), NOW).unwrap();
        assert_eq!(models(&db), ["y", "z"]);
        assert!(backends::generation(&db).unwrap() > before);
    }

    #[test]
    fn a_beat_is_no_change_of_the_models() {
        let mut db = store();
        register_at(&mut db, &agent("a", &["x"], None), NOW).unwrap();
        let before = backends::generation(&db).unwrap();
        beat(&db, "a", NOW + 9).unwrap();
        stop(&db, "a", NOW + 10).unwrap();
        assert_eq!(backends::generation(&db).unwrap(), before);
        let (_, state) = all(&db).unwrap().remove(0);
        assert_eq!(
            (state.heartbeat_at, state.stopped_at),
            (NOW + 9, Some(NOW + 10))
        );
        beat(&db, "a", NOW + 11).unwrap();
        assert_eq!(all(&db).unwrap()[0].1.stopped_at, None);
    }

    #[test]
    fn a_name_belongs_to_its_key_while_that_is_valid() {
        let mut db = store();
        register_at(&mut db, &agent("a", &["x"], Some(1)), NOW).unwrap();
        beat(&db, "a", NOW + 1).unwrap();
        let used = |key: usize| keys::all(&db).unwrap()[key].last_used_at;
        assert_eq!((used(0), used(1)), (Some(NOW + 1), None));
        for other in [Some(2), None] {
            let refused = register_at(&mut db, &agent("a", &["x"], other), NOW + 100);
            assert_eq!(refused, Err(Refused::NameTaken));
        }
        db.execute(
            "UPDATE localstore_gateway_keys SET revoked_at = ?1 WHERE id = 1",
            [NOW],
        )
        .unwrap();
        let (_, state) = all(&db).unwrap().remove(0);
        assert!(state.is_refused(NOW) && !state.is_refused(NOW - 1));
        register_at(&mut db, &agent("a", &["x"], Some(2)), NOW).unwrap();
        assert_eq!(all(&db).unwrap()[0].1.key, Some((2, vec![2; 32])));
    }

    #[test]
    fn an_address_of_others_is_given_up_only_by_the_dead() {
        let mut db = store();
        let sql = "INSERT INTO localstore_gateway_backends (model, url, upstream, added_at)
            VALUES ('mine', 'http://a:1/v1', 'mine', 0)";
        db.execute(sql, []).unwrap();
        let refused = register_at(&mut db, &agent("a", &["mine"], Some(1)), NOW);
        assert_eq!(refused, Err(Refused::AddressTaken("mine".to_owned())));
        assert!(all(&db).unwrap().is_empty());
        register_at(&mut db, &agent("a", &["x"], Some(1)), NOW).unwrap();
        let refused = register_at(&mut db, &agent("b", &["x"], Some(2)), NOW);
        assert_eq!(refused, Err(Refused::AddressTaken("x".to_owned())));
        register_at(&mut db, &agent("c", &["x"], Some(1)), NOW).unwrap();
        register_at(&mut db, &agent("b", &["x"], Some(2)), NOW + DEAD_AFTER + 1).unwrap();
        assert_eq!(backends::all(&db).unwrap()[1].agent.as_deref(), Some("b"));
    }

    #[test]
    fn dead_agents_are_forgotten_and_only_so_many_are_remembered() {
        let mut db = store();
        register_at(&mut db, &agent("old", &["x"], None), NOW).unwrap();
        for index in 1..MOST {
            db.execute(
                "INSERT INTO localstore_gateway_agents (name, endpoint, models, heartbeat_at)
                 VALUES (?1, '', '[]', ?2)",
                params![index.to_string(), NOW + FORGOTTEN_AFTER],
            )
            .unwrap();
        }
        let refused = register_at(&mut db, &agent("new", &["y"], None), NOW);
        assert_eq!(refused, Err(Refused::TooMany));
        let later = NOW + FORGOTTEN_AFTER + 1;
        register_at(&mut db, &agent("new", &["y"], None), later).unwrap();
        assert_eq!(models(&db), ["y"]);
    }
}

//! Models with their backends, aliases and fallbacks.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::routing::{Backend, Registry};

/// Changes whenever a model, an alias or a fallback does.
pub(crate) fn generation(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("SELECT generation FROM localstore_gateway_generation")?
        .query_row([], |row| row.get(0))
}

/// All that the store knows of models.
pub(crate) fn registry(db: &Connection) -> rusqlite::Result<Registry> {
    let mut registry = Registry {
        generation: generation(db)?,
        ..Registry::default()
    };
    for backend in all(db)? {
        let backends = registry.models.entry(backend.model.clone()).or_default();
        backends.push(Arc::new(backend));
    }
    let mut aliases = db.prepare("SELECT alias, model FROM localstore_gateway_aliases")?;
    for alias in aliases.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (alias, model) = alias?;
        registry.aliases.insert(alias, model);
    }
    let sql = "SELECT model, fallback FROM localstore_gateway_fallbacks ORDER BY model, position";
    let mut fallbacks = db.prepare(sql)?;
    for fallback in fallbacks.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (model, fallback): (String, String) = fallback?;
        registry.fallbacks.entry(model).or_default().push(fallback);
    }
    Ok(registry)
}

/// Adds the backend of this model at this URL, or updates it, which keeps its id and its place. Returns its id.
pub(crate) fn put(db: &Connection, backend: &Backend) -> rusqlite::Result<i64> {
    let filters = (!backend.filters.is_empty())
        .then(|| serde_json::to_string(&backend.filters))
        .transpose();
    let filters = filters.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let values = params![
        backend.model,
        backend.url,
        backend.upstream,
        backend.provider,
        backend.parallel,
        filters,
        backend.agent,
    ];
    // An upsert would use up an id each time.
    for sql in [
        "UPDATE localstore_gateway_backends SET upstream = ?3, provider = ?4, parallel = ?5,
           filters = ?6, agent = ?7 WHERE model = ?1 AND url = ?2 RETURNING id",
        "INSERT INTO localstore_gateway_backends
           (model, url, upstream, provider, parallel, filters, agent, added_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, unixepoch()) RETURNING id",
    ] {
        let mut written = db.prepare_cached(sql)?;
        if let Some(id) = written.query_row(values, |row| row.get(0)).optional()? {
            return Ok(id);
        }
    }
    Err(rusqlite::Error::QueryReturnedNoRows)
}

/// Removes these backends. A model that has none left loses its aliases and its fallbacks, and is no longer the
/// fallback of others.
pub(crate) fn remove(db: &Connection, backends: &[Backend]) -> rusqlite::Result<()> {
    for backend in backends {
        let sql = "DELETE FROM localstore_gateway_backends WHERE id = ?1";
        db.prepare_cached(sql)?.execute([backend.id])?;
        for sql in [
            "DELETE FROM localstore_gateway_aliases WHERE model = ?1 AND NOT EXISTS
               (SELECT 1 FROM localstore_gateway_backends b WHERE b.model = ?1)",
            "DELETE FROM localstore_gateway_fallbacks WHERE ?1 IN (model, fallback) AND NOT EXISTS
               (SELECT 1 FROM localstore_gateway_backends b WHERE b.model = ?1)",
        ] {
            db.prepare_cached(sql)?.execute([&backend.model])?;
        }
    }
    Ok(())
}

/// Makes this another name of the model. Returns the model that it was a name of.
pub(crate) fn put_alias(
    db: &Connection,
    alias: &str,
    model: &str,
) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT model FROM localstore_gateway_aliases WHERE alias = ?1";
    let mut before = db.prepare_cached(sql)?;
    let before = before.query_row([alias], |row| row.get(0)).optional()?;
    let sql = "INSERT INTO localstore_gateway_aliases (alias, model) VALUES (?1, ?2)
         ON CONFLICT (alias) DO UPDATE SET model = ?2";
    db.prepare_cached(sql)?.execute([alias, model])?;
    Ok(before)
}

/// Removes the alias; whether it was there.
pub(crate) fn remove_alias(db: &Connection, alias: &str) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM localstore_gateway_aliases WHERE alias = ?1";
    Ok(db.prepare_cached(sql)?.execute([alias])? > 0)
}

/// Makes these models the fallbacks of the model, in this order, in the place of those that it has.
pub(crate) fn put_fallbacks(
    db: &Connection,
    model: &str,
    fallbacks: &[String],
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM localstore_gateway_fallbacks WHERE model = ?1";
    db.prepare_cached(sql)?.execute([model])?;
    let sql = "INSERT INTO localstore_gateway_fallbacks (model, position, fallback)
         VALUES (?1, ?2, ?3)";
    let mut insert = db.prepare_cached(sql)?;
    for (position, fallback) in fallbacks.iter().enumerate() {
        insert.execute(params![model, position, fallback])?;
    }
    Ok(())
}

/// All backends, in the order in which they were added.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<Backend>> {
    let sql = "SELECT id, model, url, upstream, provider, parallel, filters, agent, added_at
         FROM localstore_gateway_backends ORDER BY id";
    db.prepare(sql)?.query_map([], backend)?.collect()
}

fn backend(row: &Row<'_>) -> rusqlite::Result<Backend> {
    let id: i64 = row.get(0)?;
    let filters: Option<String> = row.get(6)?;
    // What a newer version has written there is as good as nothing.
    let filters = filters.and_then(|json| serde_json::from_str(&json).ok());
    Ok(Backend {
        id,
        label: id.to_string(),
        model: row.get(1)?,
        url: row.get(2)?,
        upstream: row.get(3)?,
        provider: row.get(4)?,
        parallel: row.get(5)?,
        filters: filters.unwrap_or_default(),
        agent: row.get(7)?,
        added_at: row.get(8)?,
    })
}

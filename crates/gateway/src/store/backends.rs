//! Models with their backends, aliases and fallbacks.

use std::sync::Arc;

use rusqlite::{Connection, Row};

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

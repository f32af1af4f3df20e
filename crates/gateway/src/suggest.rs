//! What shells offer while a command is typed: never an error, and the store is left as it is.

use std::collections::BTreeMap;

use base::counted;
use db::{Location, Schema};
use rusqlite::Connection;

use crate::store::{ROOM, backends, keys};

/// What a word may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The name of a model.
    Models,
    /// Another name of a model.
    Aliases,
    /// The URL of a backend.
    Urls,
    /// The name of a key that is valid, or its id.
    Keys,
}

/// The words that there are, each with what it is.
#[must_use]
pub fn suggestions(location: &Location, wanted: Wanted) -> Vec<(String, String)> {
    match db::foreign::open(&location.path, &ROOM) {
        Ok((db, Schema::Version(_))) => words(&db, wanted).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn words(db: &Connection, wanted: Wanted) -> rusqlite::Result<Vec<(String, String)>> {
    if wanted == Wanted::Keys {
        let mut all = keys::all(db)?;
        all.retain(|key| key.revoked_at.is_none());
        let words = all.into_iter().map(|key| match key.name {
            Some(name) => (name, key.prefix),
            None => (key.id.to_string(), key.prefix),
        });
        return Ok(words.collect());
    }
    let registry = backends::registry(db)?;
    let backends = registry.models.values().flatten();
    Ok(match wanted {
        Wanted::Urls => {
            let urls = backends.map(|backend| (backend.url.clone(), backend.model.clone()));
            urls.collect::<BTreeMap<_, _>>().into_iter().collect()
        }
        Wanted::Aliases => registry.aliases.into_iter().collect(),
        _ => registry
            .models
            .into_iter()
            .map(|(name, backends)| (name, counted(backends.len(), "backend")))
            .collect(),
    })
}

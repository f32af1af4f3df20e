//! Follows what other programs change in the store.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Result;
use db::Database;

use super::gateway::Gateway;
use crate::routing::Registry;
use crate::speeds::{Measured, Speeds};
use crate::store::{agents, backends};

/// How often the store is looked at.
const EVERY: Duration = Duration::from_millis(250);

/// Reads models and speeds now, and again whenever they change, in a thread that ends with the gateway.
pub(crate) fn watch_store(
    db: Database,
    speeds: &'static dyn Speeds,
    gateway: &Arc<Gateway>,
) -> Result<()> {
    let mut watched = Watched {
        db,
        speeds,
        seen: None,
    };
    watched.look(gateway)?;
    let gateway = Arc::downgrade(gateway);
    std::thread::spawn(move || watched.follow(&gateway));
    Ok(())
}

struct Watched {
    db: Database,
    speeds: &'static dyn Speeds,
    /// SQLite's version of the file, that of the models and that of the results, as they were read last.
    seen: Option<(i64, i64, i64)>,
}

impl Watched {
    fn follow(&mut self, gateway: &Weak<Gateway>) {
        loop {
            std::thread::sleep(EVERY);
            let Some(gateway) = gateway.upgrade() else {
                return;
            };
            if let Err(error) = self.look(&gateway) {
                tracing::debug!("the store cannot be read: {error}");
            }
        }
    }

    /// Takes over what has changed.
    fn look(&mut self, gateway: &Gateway) -> Result<()> {
        let version = self
            .db
            .read(|db| Ok(db.query_row("PRAGMA data_version", [], |row| row.get(0))?))?;
        if self.seen.is_some_and(|(seen, ..)| seen == version) {
            return Ok(());
        }
        let generation = self.db.read(|db| Ok(backends::generation(db)?))?;
        let results = self.db.read(|db| Ok(self.speeds.version(db)?))?;
        let is_new = self.seen.is_none_or(|(_, seen, _)| seen != generation);
        if let Some(known) = &gateway.agents {
            known.update(generation, self.db.read(|db| Ok(agents::all(db)?))?);
        }
        if is_new {
            gateway.update(self.db.read(|db| Ok(backends::registry(db)?))?);
        }
        if is_new || self.seen.is_none_or(|(.., seen)| seen != results) {
            gateway.update_speeds(self.speeds(&gateway.registry())?);
        }
        self.seen = Some((version, generation, results));
        Ok(())
    }

    /// The stored speeds of the backends that have filters.
    fn speeds(&self, registry: &Registry) -> Result<HashMap<i64, Measured>> {
        let mut speeds = HashMap::new();
        for backend in registry.models.values().flatten() {
            if !backend.filters.is_empty() {
                let newest = self
                    .db
                    .read(|db| Ok(self.speeds.newest(db, &backend.filters)?))?;
                speeds.extend(newest.measured.map(|measured| (backend.id, measured)));
            }
        }
        Ok(speeds)
    }
}

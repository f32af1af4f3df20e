//! Configurations: their trends and their best runs.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::select::{Filter, Listed, Sort};
use super::{Store, own, rows};
use crate::model::{Environment, Text};
use base::{Error, Result};

/// What a trend is of: one model on one accelerator under one runtime, whatever its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Its id in this store.
    pub id: i64,
    /// The model's name.
    pub model: Option<Text>,
    /// The quantisation.
    pub quant: Option<Text>,
    /// The accelerator's name.
    pub accelerator: Option<Text>,
    /// The runtime's name.
    pub runtime: Option<Text>,
}

/// What a trend needs of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// When it was measured: seconds since 1970.
    pub measured_at: i64,
    /// Its id.
    pub id: i64,
    /// Its score.
    pub score: f64,
}

impl Level {
    /// Its place in time: runs of one second follow one another as they were added.
    #[must_use]
    pub fn moment(&self) -> (i64, i64) {
        (self.measured_at, self.id)
    }
}

const COLUMNS: &str = "c.id, c.model_name, c.model_quant_str, c.accelerator_name, c.runtime_name";

impl Store {
    /// The configuration of the run of that id, which must be there.
    pub fn configuration_of(&self, run: i64) -> Result<Configuration> {
        let sql = format!(
            "SELECT {COLUMNS} FROM localstore_runs r
             JOIN localstore_configurations c ON c.id = r.configuration_id WHERE r.run_id = ?1"
        );
        self.db
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([run], configuration).optional())
            .map_err(|error| self.failure(&error))?
            .ok_or_else(|| Error::new(format_args!("run {run}"), "it has no configuration"))
    }

    /// The configurations of the runs that match, the one measured last first.
    pub fn configurations(&self, filter: &Filter) -> Result<Vec<Configuration>> {
        if !self.has_runs {
            return Ok(Vec::new());
        }
        let query = || -> rusqlite::Result<_> {
            let condition = filter.condition(&self.db)?;
            let sql = format!(
                "SELECT {COLUMNS},
                     (SELECT r.measured_at FROM localstore_runs r
                      WHERE r.configuration_id = c.id AND {}
                      ORDER BY r.measured_at DESC LIMIT 1) AS last
                 FROM localstore_configurations c WHERE last IS NOT NULL AND {}
                 ORDER BY last DESC, c.id DESC",
                condition.run, condition.configuration
            );
            self.db
                .prepare(&sql)?
                .query_map(params_from_iter(condition.values), configuration)?
                .collect()
        };
        query().map_err(|error| self.failure(&error))
    }

    /// The processors that a configuration was measured with, where they are known: one for each
    /// machine that can be told from the others.
    pub fn machines(&self, configuration: i64) -> Result<Vec<Text>> {
        let query = || -> rusqlite::Result<Vec<Text>> {
            self.db
                .prepare_cached(
                    "SELECT DISTINCT cpu_name FROM localstore_environments
                     WHERE cpu_name IS NOT NULL AND id IN (
                         SELECT DISTINCT environment_id FROM localstore_runs
                         WHERE configuration_id = ?1)
                     ORDER BY cpu_name",
                )?
                .query_map([configuration], |row| {
                    row.get_ref(0)
                        .map(|name| rows::text(name).unwrap_or_default())
                })?
                .collect()
        };
        query().map_err(|error| self.failure(&error))
    }

    /// What ran on what with this accelerator: each environment and its id.
    pub fn environments(&self, accelerator: &Option<Text>) -> Result<Vec<(i64, Environment)>> {
        own::environments(&self.db, accelerator).map_err(|error| self.failure(&error))
    }

    /// The last `limit` whole runs of a configuration in these environments that were measured at
    /// `until` or before, in the order in which they were measured, from the index alone.
    pub fn levels(
        &self,
        configuration: i64,
        environments: &[i64],
        until: i64,
        limit: u32,
    ) -> Result<Vec<Level>> {
        let environments = serde_json::to_string(environments).unwrap_or_default();
        let query = || -> rusqlite::Result<Vec<Level>> {
            self.db
                .prepare_cached(
                    "SELECT measured_at, run_id, score FROM localstore_runs
                     WHERE configuration_id = ?1 AND measured_at <= ?2 AND partial = 0
                         AND +environment_id IN (SELECT value FROM json_each(?3))
                     ORDER BY measured_at DESC, run_id DESC LIMIT ?4",
                )?
                .query_map((configuration, until, environments, limit), |row| {
                    Ok(Level {
                        measured_at: row.get(0)?,
                        id: row.get(1)?,
                        score: row.get(2)?,
                    })
                })?
                .collect()
        };
        let mut levels = query().map_err(|error| self.failure(&error))?;
        levels.reverse();
        Ok(levels)
    }

    /// The last `limit` runs of a configuration that match (the filter's texts on the
    /// configuration itself are passed over), in the order in which they were measured.
    pub fn series(
        &self,
        configuration: i64,
        filter: &Filter,
        limit: Option<u32>,
    ) -> Result<Vec<Listed>> {
        let filter = Filter {
            configuration: Some(configuration),
            model: None,
            quant: None,
            accelerator: None,
            ..filter.clone()
        };
        let mut runs = self.list(&filter, Sort::Date, limit)?;
        runs.reverse();
        tracing::debug!("read {} runs of configuration {configuration}", runs.len());
        Ok(runs)
    }

    /// The best run of each model and quantisation on each accelerator, of those that match: the
    /// highest score first, at most `limit`. Partial runs do not count, nor does a score of zero.
    pub fn best(&self, filter: &Filter, limit: Option<u32>) -> Result<Vec<Listed>> {
        if !self.has_runs {
            return Ok(Vec::new());
        }
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let query = || -> rusqlite::Result<Vec<i64>> {
            let condition = filter.condition(&self.db)?;
            // What is sorted by is selected too: else no index is used where the runs are a view
            // (site::show).
            let sql = format!(
                "SELECT {COLUMNS}, r.run_id, r.score
                 FROM localstore_configurations c JOIN localstore_runs r ON r.run_id =
                     (SELECT run_id FROM (SELECT r.run_id, r.score FROM localstore_runs r
                      WHERE r.configuration_id = c.id AND r.partial = 0 AND r.score > 0
                          AND {}
                      ORDER BY r.score DESC, r.run_id DESC LIMIT 1))
                 WHERE {} ORDER BY r.score DESC, r.run_id DESC",
                condition.run, condition.configuration
            );
            let mut statement = self.db.prepare(&sql)?;
            let mut found = statement.query(params_from_iter(condition.values))?;
            // One model on one accelerator may have been run by several runtimes.
            let mut seen = HashSet::new();
            let mut ids = Vec::new();
            while ids.len() < limit
                && let Some(row) = found.next()?
            {
                let of = configuration(row)?;
                if seen.insert((of.model, of.quant, of.accelerator)) {
                    ids.push(row.get(5)?);
                }
            }
            Ok(ids)
        };
        let ids = query().map_err(|error| self.failure(&error))?;
        ids.into_iter().map(|id| self.listed(id)).collect()
    }
}

fn configuration(row: &Row<'_>) -> rusqlite::Result<Configuration> {
    let text = |index| row.get_ref(index).map(rows::text);
    Ok(Configuration {
        id: row.get(0)?,
        model: text(1)?,
        quant: text(2)?,
        accelerator: text(3)?,
        runtime: text(4)?,
    })
}

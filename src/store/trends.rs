//! Configurations: their trends and their best runs.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::own;
use super::rows::{self, Cells, Odd};
use super::select::{self, Filter, Listed, Sort};
use crate::model::{Environment, Run, Text};
use base::Error;
use db::Result;

/// What a trend is of: one model on one accelerator under one runtime, whatever its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
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
pub(crate) struct Level {
    /// When it was measured: seconds since 1970.
    pub measured_at: i64,
    /// Whether that is a guess.
    pub is_guessed: bool,
    /// Its id.
    pub id: i64,
    /// Its score.
    pub score: f64,
}

impl Level {
    /// Its place in time: runs of one second follow one another as they were added.
    #[must_use]
    pub(crate) fn moment(&self) -> (i64, i64) {
        (self.measured_at, self.id)
    }
}

/// The configuration of the run of that id, which must be there.
pub(crate) fn configuration_of(db: &Connection, run: i64) -> Result<Configuration> {
    let mut statement = db.prepare_cached(
        "SELECT c.* FROM localstore_runs r
         JOIN localstore_configurations c ON c.id = r.configuration_id WHERE r.run_id = ?1",
    )?;
    rows::query_one(&mut statement, [run], Odd::Unknown, configuration)
        .optional()?
        .ok_or_else(|| Error::new(format_args!("run {run}"), "it has no configuration").into())
}

/// The id of the configuration of a run that may not be stored.
pub(crate) fn configuration_like(db: &Connection, run: &Run) -> Result<Option<i64>> {
    Ok(own::find_configuration(db, run)?)
}

/// The configurations of the runs that match, the one measured last first.
pub(crate) fn configurations(db: &Connection, filter: &Filter) -> Result<Vec<Configuration>> {
    let condition = filter.condition(db)?;
    let mut statement = db.prepare(&format!(
        "SELECT c.*,
             (SELECT r.measured_at FROM localstore_runs r
              WHERE r.configuration_id = c.id AND {}
              ORDER BY r.measured_at DESC LIMIT 1) AS last
         FROM localstore_configurations c WHERE last IS NOT NULL AND {}
         ORDER BY last DESC, c.id DESC",
        condition.run, condition.configuration
    ))?;
    let values = params_from_iter(condition.values);
    Ok(rows::query(&mut statement, values, configuration)?)
}

/// The processors that a configuration was measured with, where they are known: one for each
/// machine.
pub(crate) fn machines(db: &Connection, configuration: i64) -> Result<Vec<Text>> {
    let mut machines: Vec<Environment> = Vec::new();
    for environment in own::environments_of(db, configuration)? {
        // Without its processor a machine could be any of them.
        let is_known = environment
            .system
            .cpu_name
            .as_ref()
            .is_some_and(|name| !name.as_bytes().is_empty());
        if is_known
            && !machines
                .iter()
                .any(|found| found.is_same_machine(&environment))
        {
            machines.push(environment);
        }
    }
    let processors = machines
        .into_iter()
        .filter_map(|found| found.system.cpu_name);
    Ok(processors.collect())
}

/// What ran on what with this accelerator: each environment and its id.
pub(crate) fn environments(
    db: &Connection,
    accelerator: &Option<Text>,
) -> Result<Vec<(i64, Environment)>> {
    Ok(own::environments(db, accelerator)?)
}

/// The last `limit` whole runs of a configuration in these environments that were measured at
/// `until` or before, in the order in which they were measured, from the index alone.
pub(crate) fn levels(
    db: &Connection,
    configuration: i64,
    environments: &[i64],
    until: i64,
    limit: u32,
) -> Result<Vec<Level>> {
    let environments = serde_json::to_string(environments).unwrap_or_default();
    let mut statement = db.prepare_cached(
        "SELECT measured_at, measured_guessed, run_id, score FROM localstore_runs
         WHERE configuration_id = ?1 AND measured_at <= ?2 AND partial = 0
             AND +environment_id IN (SELECT value FROM json_each(?3))
         ORDER BY measured_at DESC, run_id DESC LIMIT ?4",
    )?;
    let values = (configuration, until, environments, limit);
    let mut levels = rows::query(&mut statement, values, |cells| {
        Ok(Level {
            measured_at: cells.get("measured_at")?,
            is_guessed: cells.get("measured_guessed")?,
            id: cells.get("run_id")?,
            score: cells.get("score")?,
        })
    })?;
    levels.reverse();
    Ok(levels)
}

/// The last `limit` runs of a configuration that match (the filter's texts on the configuration
/// itself are passed over), in the order in which they were measured.
pub(crate) fn series(
    db: &Connection,
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
    let mut runs = select::list(db, &filter, Sort::Date, limit)?;
    runs.reverse();
    tracing::debug!("read {} runs of configuration {configuration}", runs.len());
    Ok(runs)
}

/// The best run of each model and quantisation on each accelerator, of those that match: the
/// highest score first, at most `limit`; and how many there are. Partial runs do not count, nor does a
/// score of zero.
pub(crate) fn best(
    db: &Connection,
    filter: &Filter,
    limit: Option<u32>,
) -> Result<(Vec<Listed>, usize)> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let condition = filter.condition(db)?;
    // What is sorted by is selected too: else no index is used where the runs are a view
    // (site::show).
    let mut statement = db.prepare(&format!(
        "SELECT c.*, r.run_id, r.score
         FROM localstore_configurations c JOIN localstore_runs r ON r.run_id =
             (SELECT run_id FROM (SELECT r.run_id, r.score FROM localstore_runs r
              WHERE r.configuration_id = c.id AND r.partial = 0 AND r.score > 0 AND {}
              ORDER BY r.score DESC, r.run_id DESC LIMIT 1))
         WHERE {} ORDER BY r.score DESC, r.run_id DESC",
        condition.run, condition.configuration
    ))?;
    let values = params_from_iter(condition.values);
    let found = rows::query(&mut statement, values, |cells| {
        Ok((configuration(cells)?, cells.get("run_id")?))
    })?;
    // One model on one accelerator may have been run by several runtimes.
    let mut seen = HashSet::new();
    let best = found.into_iter().filter(|(of, _)| {
        seen.insert((of.model.clone(), of.quant.clone(), of.accelerator.clone()))
    });
    let best: Vec<i64> = best.map(|(_, id)| id).collect();
    let shown = best.iter().take(limit);
    let shown = shown
        .map(|&id| select::listed(db, id))
        .collect::<Result<_>>()?;
    Ok((shown, best.len()))
}

fn configuration(cells: Cells<'_>) -> rusqlite::Result<Configuration> {
    Ok(Configuration {
        id: cells.get("id")?,
        model: cells.text("model_name")?,
        quant: cells.text("model_quant_str")?,
        accelerator: cells.text("accelerator_name")?,
        runtime: cells.text("runtime_name")?,
    })
}

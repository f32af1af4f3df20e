//! Configurations: their trends and their best runs.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::bench_trends::{self, Others, Reference, Speed};
use super::own;
use super::rows::{self, Cells, Odd, Sql};
use super::runs::{AVERAGES, read_summary};
use super::select::{self, Filter, Listed};
use crate::model::{Environment, Figures, Run, Text, Tool};
use base::Error;
use db::Result;

/// Whether the date of `localstore_runs r` is guessed.
const GUESSED: &str = "r.measured_guessed";

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
    /// The program that measured its runs.
    pub tool: Tool,
    /// Of llama-bench: which of its runs are meant. Without it there is no trend.
    pub reference: Option<Reference>,
    /// The configuration whose runs belong to it too, since their runtime is not known and can be no
    /// other: see [`complete`].
    pub joined: Option<i64>,
}

/// A configuration among those that match a filter.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    /// It.
    pub configuration: Configuration,
    /// Its matching run that was measured last: by its date, where that is not guessed.
    pub last: Last,
    /// Whether it has two whole runs that match.
    pub has_trend: bool,
    /// Of llama-bench: whether it is of the prompt, where others are of generation.
    pub is_beside: bool,
    /// How many runs match, where that is known.
    pub runs: Option<usize>,
    /// In what it differs from another one of this model on this accelerator: `flash_attn 1`.
    pub apart: Option<String>,
}

/// The last run of a configuration, in the order of how new it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Last {
    /// Whether its date is known, not guessed.
    pub is_dated: bool,
    /// When it was measured: seconds since 1970.
    pub measured_at: i64,
    /// Its id.
    pub id: i64,
}

/// A run of a trend.
#[derive(Debug, Clone)]
pub(crate) struct TrendRun {
    /// Its id.
    pub id: i64,
    /// When it was measured: seconds since 1970.
    pub measured_at: i64,
    /// Whether that is a guess.
    pub is_guessed: bool,
    /// Whether a baseline test is missing.
    pub partial: bool,
    /// The runtime's version.
    pub version: Option<Text>,
    /// Score and means; of llama-bench, over the tests of the trend.
    pub figures: Figures,
}

/// The runs of a trend.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// The last ones, in the order in which they were measured.
    pub runs: Vec<TrendRun>,
    /// How many there are.
    pub all: usize,
    /// Of llama-bench: the names of the tests of each [`Speed`] of which the figures are means.
    pub tests: [Vec<String>; 2],
    /// Of llama-bench: the runs of the configuration that are not of the trend.
    pub others: Option<Others>,
}

/// What the level of a trend needs of a run.
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

/// The configuration of the run of that id, which must be there, with all that belongs to it; of
/// llama-bench, the trend that the run is of: one of this speed, else of that which it has.
pub(crate) fn trend_of(db: &Connection, run: i64, speed: Option<Speed>) -> Result<Configuration> {
    let configuration = complete(db, configuration_of(db, run)?)?;
    let reference = match configuration.tool {
        Tool::LocalScore => None,
        Tool::LlamaBench => bench_trends::reference(db, run, &configuration, speed)?,
    };
    Ok(Configuration {
        reference,
        ..configuration
    })
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

/// The configurations of the runs that match: those with two whole runs first, among them the one
/// measured last, those of which all dates are guessed behind the others. One that belongs to another
/// ([`complete`]) is not there by itself. One of llama-bench is there once for each of its trends, of
/// this speed, else of that which they have.
pub(crate) fn matching(
    db: &Connection,
    filter: &Filter,
    speed: Option<Speed>,
) -> Result<Vec<Matching>> {
    let condition = filter.condition(db)?;
    // What is sorted by is selected too: else no index is used where the runs are a view
    // (site::show).
    let last = |dated: &str| {
        format!(
            "(SELECT run_id FROM (SELECT r.run_id, r.measured_at FROM localstore_runs r
              WHERE r.configuration_id = c.id AND {} AND {dated}
              ORDER BY r.measured_at DESC, r.run_id DESC LIMIT 1))",
            condition.run
        )
    };
    let mut statement = db.prepare(&format!(
        "SELECT c.*, r.run_id, r.measured_at, {GUESSED} AS is_guessed,
             (SELECT count(*) FROM (SELECT 1 FROM localstore_runs r
              WHERE r.configuration_id = c.id AND r.partial = 0 AND {} LIMIT 2)) AS whole
         FROM localstore_configurations c
         JOIN localstore_runs r ON r.run_id = coalesce({}, {}) WHERE {}",
        condition.run,
        last(&format!("NOT {GUESSED}")),
        last("1"),
        condition.configuration
    ))?;
    let values = params_from_iter(condition.values);
    let found = rows::query(&mut statement, values, |cells| {
        let is_guessed: bool = cells.get("is_guessed")?;
        let last = Last {
            is_dated: !is_guessed,
            measured_at: cells.get("measured_at")?,
            id: cells.get("run_id")?,
        };
        Ok((configuration(cells)?, last, cells.get::<u32>("whole")?))
    })?;
    let mut matching: Vec<(Matching, u32)> = Vec::new();
    let mut places = HashMap::new();
    for (configuration, last, whole) in found {
        if configuration.tool == Tool::LlamaBench {
            for part in bench_trends::parts(db, &configuration, filter, speed)? {
                let one = Matching {
                    configuration: Configuration {
                        reference: Some(part.reference),
                        ..configuration.clone()
                    },
                    last: part.last,
                    has_trend: false,
                    is_beside: part.is_beside,
                    runs: Some(part.runs),
                    apart: part.apart,
                };
                let whole = if part.runs > 1 { 2 } else { 1 };
                matching.push((one, whole));
            }
            continue;
        }
        let configuration = if is_known(&configuration.runtime) {
            configuration
        } else {
            complete(db, configuration)?
        };
        let place = *places.entry(configuration.id).or_insert(matching.len());
        if let Some((one, count)) = matching.get_mut(place) {
            one.configuration.joined = one.configuration.joined.or(configuration.joined);
            one.last = one.last.max(last);
            *count += whole;
        } else {
            let has_trend = false;
            let one = Matching {
                configuration,
                last,
                has_trend,
                is_beside: false,
                runs: None,
                apart: None,
            };
            matching.push((one, whole));
        }
    }
    let with_trend = matching.into_iter().map(|(mut one, whole)| {
        one.has_trend = whole > 1;
        one
    });
    let mut matching: Vec<Matching> = with_trend.collect();
    matching.sort_by_key(|one| Reverse((one.has_trend, !one.is_beside, one.last)));
    Ok(matching)
}

/// The configuration with the runs that belong to it although their runtime is not known: those of
/// its model and quantisation on its machine, where it has the only runtime that is known. If it is
/// one of an unknown runtime itself, the one that it belongs to, if there is one.
pub(crate) fn complete(db: &Connection, of: Configuration) -> Result<Configuration> {
    // llama-bench always names its runtime.
    if of.tool != Tool::LocalScore
        || ![&of.model, &of.quant, &of.accelerator]
            .into_iter()
            .all(is_known)
    {
        return Ok(of);
    }
    let sql = "SELECT * FROM localstore_configurations WHERE model_name IS ?1
         AND model_quant_str IS ?2 AND accelerator_name IS ?3 AND tool IS 'localscore' AND EXISTS
             (SELECT 1 FROM localstore_runs r WHERE r.configuration_id = localstore_configurations.id)";
    let values = [&of.model, &of.quant, &of.accelerator].map(Sql::from);
    let mut statement = db.prepare_cached(sql)?;
    let all = rows::query(&mut statement, values, configuration)?;
    let (known, unknown): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|one| is_known(&one.runtime));
    let Some(unknown) = unknown.first() else {
        return Ok(of);
    };
    let machines = own::environments_of(db, unknown.id)?;
    let mut homes = Vec::new();
    for one in known {
        let environments = own::environments_of(db, one.id)?;
        let is_machine = |machine: &Environment| {
            environments
                .iter()
                .any(|other| machine.is_same_machine(other))
        };
        if machines.iter().all(is_machine) {
            homes.push(one);
        }
    }
    match homes.as_slice() {
        [home] if home.id == of.id || unknown.id == of.id => Ok(Configuration {
            joined: Some(unknown.id),
            ..home.clone()
        }),
        _ => Ok(of),
    }
}

/// The processors that a configuration was measured with, where they are known: one for each
/// machine.
pub(crate) fn machines(db: &Connection, configuration: i64) -> Result<Vec<Text>> {
    let mut machines: Vec<Environment> = Vec::new();
    for environment in own::environments_of(db, configuration)? {
        // Without its processor a machine could be any of them.
        if is_known(&environment.system.cpu_name)
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

/// The best whole run of its configuration that was added before this one, in these environments, and
/// its score.
pub(crate) fn best_before(
    db: &Connection,
    run: i64,
    environments: &[i64],
) -> Result<Option<(i64, f64)>> {
    let environments = serde_json::to_string(environments).unwrap_or_default();
    let mut statement = db.prepare_cached(
        "SELECT run_id, score FROM localstore_runs
         WHERE configuration_id =
                 (SELECT configuration_id FROM localstore_runs WHERE run_id = ?1)
             AND partial = 0 AND run_id < ?1
             AND +environment_id IN (SELECT value FROM json_each(?2))
         ORDER BY score DESC, run_id LIMIT 1",
    )?;
    let best = statement.query_row((run, environments), |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(best.optional()?)
}

/// The averages of the last whole runs of its configuration that were added before this one, in the
/// order in which they were measured, with that time.
pub(crate) fn averages_before(
    db: &Connection,
    run: i64,
    limit: usize,
) -> Result<Vec<(i64, [f64; 3])>> {
    let mut statement = db.prepare_cached(
        "SELECT r.measured_at, CAST(b.avg_prompt_tps AS REAL), CAST(b.avg_gen_tps AS REAL),
             CAST(b.avg_ttft_ms AS REAL)
         FROM localstore_runs r JOIN benchmark_runs b ON b.id = r.run_id
         WHERE r.configuration_id =
                 (SELECT configuration_id FROM localstore_runs WHERE run_id = ?1)
             AND r.partial = 0 AND r.measured_guessed = 0 AND r.run_id < ?1
         ORDER BY r.measured_at DESC, r.run_id DESC LIMIT ?2",
    )?;
    let limit = limit.cast_signed() as i64;
    let mut averages: Vec<(i64, [f64; 3])> = statement
        .query_map((run, limit), |row| {
            Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]))
        })?
        .collect::<rusqlite::Result<_>>()?;
    averages.reverse();
    Ok(averages)
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
/// itself are passed over), in the order in which they were measured, and the number of all that
/// match. Of llama-bench these are the runs of the trend; besides, the others that match.
pub(crate) fn series(
    db: &Connection,
    configuration: &Configuration,
    filter: &Filter,
    limit: Option<u32>,
) -> Result<Series> {
    if configuration.tool == Tool::LlamaBench {
        let Some(reference) = configuration.reference else {
            return Ok(Series::default());
        };
        let mut series = bench_trends::series(db, configuration, reference, filter)?;
        let limit = limit.map_or(series.all, |limit| limit as usize);
        series.runs.drain(..series.all.saturating_sub(limit));
        return Ok(series);
    }
    let all = count(db, configuration, filter)?;
    let condition = filter.condition_on_runs(db)?;
    let of_runs = format!("{} AND {}", configuration.condition(), condition.run);
    let mut values = condition.values;
    values.push(limit.map_or(-1, i64::from).into());
    // CROSS JOIN keeps the order of the tables: the runs, which are sorted, come first.
    let mut statement = db.prepare(&format!(
        "SELECT r.run_id, r.measured_at, {GUESSED} AS is_guessed, r.partial, e.runtime_version,
             {AVERAGES}
         FROM localstore_runs r CROSS JOIN benchmark_runs b ON b.id = r.run_id
         CROSS JOIN localstore_environments e ON e.id = r.environment_id
         WHERE {of_runs} ORDER BY r.measured_at DESC, r.run_id DESC LIMIT ?{}",
        values.len()
    ))?;
    let mut runs = rows::query(&mut statement, params_from_iter(values), |cells| {
        Ok(TrendRun {
            id: cells.get("run_id")?,
            measured_at: cells.get("measured_at")?,
            is_guessed: cells.get("is_guessed")?,
            partial: cells.get("partial")?,
            version: cells.text("runtime_version")?,
            figures: read_summary(cells)?.into(),
        })
    })?;
    runs.reverse();
    let id = configuration.id;
    tracing::debug!("read {} runs of configuration {id}", runs.len());
    Ok(Series {
        runs,
        all,
        ..Series::default()
    })
}

/// The number of runs of a configuration that match, whatever their tests and settings.
pub(crate) fn count(db: &Connection, of: &Configuration, filter: &Filter) -> Result<usize> {
    let condition = filter.condition_on_runs(db)?;
    let sql = format!(
        "SELECT count(*) FROM localstore_runs r WHERE {} AND {}",
        of.condition(),
        condition.run
    );
    let values = params_from_iter(condition.values);
    Ok(db.query_row(&sql, values, |row| row.get(0))?)
}

/// The best run of each model and quantisation on each accelerator, of those that match: the
/// highest score first, of llama-bench the fastest generation, at most `limit`; and how many there
/// are. Without a tool in the filter, those of LocalScore. Partial runs do not count, nor does a score
/// of zero.
pub(crate) fn best(
    db: &Connection,
    filter: &Filter,
    limit: Option<u32>,
) -> Result<(Vec<Listed>, usize)> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let tool = filter.tool.unwrap_or_default();
    let filter = Filter {
        tool: Some(tool),
        ..filter.clone()
    };
    let condition = filter.condition(db)?;
    let (key, tables) = match tool {
        Tool::LocalScore => ("r.score", "localstore_runs r"),
        Tool::LlamaBench => (
            "x.gen_tps",
            "localstore_runs r JOIN localstore_bench_runs x ON x.run_id = r.run_id",
        ),
    };
    // What is sorted by is selected too: else no index is used where the runs are a view
    // (site::show).
    let mut statement = db.prepare(&format!(
        "SELECT c.*, r.run_id, {key}
         FROM localstore_configurations c CROSS JOIN {tables} WHERE r.run_id =
             (SELECT run_id FROM (SELECT r.run_id, {key} FROM {tables}
              WHERE r.configuration_id = c.id AND r.partial = 0 AND {key} > 0 AND {}
              ORDER BY {key} DESC, r.run_id DESC LIMIT 1))
         AND {} ORDER BY {key} DESC, r.run_id DESC",
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

fn is_known(text: &Option<Text>) -> bool {
    text.as_ref()
        .is_some_and(|text| !text.as_bytes().is_empty())
}

pub(super) fn configuration(cells: Cells<'_>) -> rusqlite::Result<Configuration> {
    Ok(Configuration {
        id: cells.get("id")?,
        model: cells.text("model_name")?,
        quant: cells.text("model_quant_str")?,
        accelerator: cells.text("accelerator_name")?,
        runtime: cells.text("runtime_name")?,
        tool: Tool::from_name(&cells.get::<String>("tool")?).unwrap_or_default(),
        reference: None,
        joined: None,
    })
}

impl Configuration {
    /// On `localstore_runs r`: its runs.
    fn condition(&self) -> String {
        match self.joined {
            Some(joined) => format!("r.configuration_id IN ({}, {joined})", self.id),
            None => format!("r.configuration_id = {}", self.id),
        }
    }
}

//! How fast the newest of some runs was, for the gateway.

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::Filter;
use super::rows;
use super::trends::{Configuration, configuration};
use crate::model::Tool;
use db::Result;

/// The speeds of a run, in tokens per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Newest {
    /// Its id.
    pub run: i64,
    /// Of the prompt; of llama-bench the mean over its tests of a prompt alone.
    pub prompt_tps: f64,
    /// Of generation; of llama-bench the mean over its tests of that alone.
    pub gen_tps: f64,
}

/// The run added last of those that match and have both speeds; one of LocalScore before one of llama-bench.
pub(crate) fn newest(db: &Connection, filter: &Filter) -> Result<Option<Newest>> {
    for tool in Tool::ALL {
        if filter.tool.is_some_and(|wanted| wanted != tool) {
            continue;
        }
        let filter = Filter {
            tool: Some(tool),
            ..filter.clone()
        };
        let newest = newest_of(db, &filter, tool)?;
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

fn newest_of(db: &Connection, filter: &Filter, tool: Tool) -> Result<Option<Newest>> {
    let (table, id, speeds) = match tool {
        Tool::LocalScore => ("benchmark_runs", "id", ["avg_prompt_tps", "avg_gen_tps"]),
        Tool::LlamaBench => (
            "localstore_bench_runs",
            "run_id",
            ["mean_prompt_tps", "mean_gen_tps"],
        ),
    };
    let [prompt, generation] = speeds.map(|speed| format!("CAST(s.{speed} AS REAL)"));
    let condition = filter.condition(db)?;
    // Of a speed that was not measured, infinity is one form. CROSS JOIN keeps the order of the tables.
    let sql = format!(
        "SELECT r.run_id, {prompt}, {generation}
         FROM localstore_runs r CROSS JOIN {table} s ON s.{id} = r.run_id
         WHERE {prompt} > 0 AND {prompt} < 1e300 AND {generation} > 0 AND {generation} < 1e300
             AND {} ORDER BY r.run_id DESC LIMIT 1",
        condition.of_runs()
    );
    let newest = db
        .prepare_cached(&sql)?
        .query_row(params_from_iter(condition.values), |row| {
            Ok(Newest {
                run: row.get(0)?,
                prompt_tps: row.get(1)?,
                gen_tps: row.get(2)?,
            })
        });
    Ok(newest.optional()?)
}

/// The configurations of the runs that match.
pub(crate) fn configurations(db: &Connection, filter: &Filter) -> Result<Vec<Configuration>> {
    let condition = filter.condition(db)?;
    let sql = format!(
        "SELECT c.* FROM localstore_configurations c WHERE {} AND EXISTS
             (SELECT 1 FROM localstore_runs r WHERE r.configuration_id = c.id AND {})
         ORDER BY c.id",
        condition.configuration, condition.run
    );
    let values = params_from_iter(condition.values);
    Ok(rows::query(&mut db.prepare(&sql)?, values, configuration)?)
}

/// A number that is another after every change of the runs and their tags.
pub(crate) fn version(db: &Connection) -> rusqlite::Result<i64> {
    // Tags that were removed are not in the log.
    let sql = "SELECT (SELECT coalesce(max(change), 0) FROM localstore_changes),
             (SELECT count(*) FROM localstore_tags)";
    let (change, tags): (i64, i64) = db
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((change << 24).wrapping_add(tags))
}

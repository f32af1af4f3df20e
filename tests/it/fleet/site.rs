//! The LocalScore web site on a remote: what it does there when a result is posted to it.

use serde_json::{Value, json};

use crate::fleet::hrana::{Client, Transaction};
use crate::site::mean;

/// What the site inserts for a payload, statement by statement in one transaction, each in a request
/// of its own; gives the id of the run.
#[track_caller]
pub(crate) fn post(remote: &Client, payload: &Value) -> i64 {
    let mut transaction = remote.transaction();
    let id = insert(&mut transaction, payload);
    transaction.commit();
    id
}

/// The same without the commit.
#[track_caller]
pub(crate) fn insert(site: &mut Transaction, payload: &Value) -> i64 {
    let system = &payload["system_info"];
    let system = upsert(
        site,
        "benchmark_systems",
        &[
            ("cpu_name", &system["cpu_name"]),
            ("cpu_arch", &system["cpu_arch"]),
            ("ram_gb", &system["ram_gb"]),
            ("kernel_type", &system["kernel_type"]),
            ("kernel_release", &system["kernel_release"]),
            ("system_version", &system["version"]),
        ],
        &[],
    );
    let info = &payload["accelerator_info"];
    let accelerator = upsert(
        site,
        "accelerators",
        &[
            ("name", &info["name"]),
            ("type", &info["type"]),
            ("memory_gb", &info["memory_gb"]),
        ],
        &[("manufacturer", &info["manufacturer"])],
    );
    let runtime = &payload["runtime_info"];
    let runtime = upsert(
        site,
        "runtimes",
        &[
            ("name", &runtime["name"]),
            ("version", &runtime["version"]),
            ("commit_hash", &runtime["commit"]),
        ],
        &[],
    );
    let tests = payload["results"].as_array().unwrap();
    let first = &tests[0];
    let params = [("params", &first["model_n_params"])];
    let model = upsert(site, "models", &[("name", &first["model_name"])], &params);
    let variant = upsert(
        site,
        "model_variants",
        &[
            ("model_id", &model.into()),
            ("quantization", &first["model_quant_str"]),
        ],
        &[],
    );
    let summary = &payload["results_summary"];
    let rows = site.query(
        "insert into benchmark_runs (id, system_id, accelerator_id, model_variant_id, runtime_id,
             avg_prompt_tps, avg_gen_tps, avg_ttft_ms, performance_score, created_at)
         values (null, ?, ?, ?, ?, ?, ?, ?, ?, CURRENT_TIMESTAMP) returning id",
        &[
            json!(system),
            json!(accelerator),
            json!(variant),
            json!(runtime),
            summary["avg_prompt_tps"].clone(),
            summary["avg_gen_tps"].clone(),
            summary["avg_ttft_ms"].clone(),
            summary["performance_score"].clone(),
        ],
    );
    let run = rows[0][0].as_i64().unwrap();
    insert_tests(site, run, tests);
    update_scores(site, accelerator, variant);
    run
}

/// Inserts a row, or finds the one with these values; gives its id.
#[track_caller]
fn upsert(
    site: &mut Transaction,
    table: &str,
    key: &[(&str, &Value)],
    others: &[(&str, &Value)],
) -> i64 {
    let target = names(key);
    let pairs: Vec<_> = key.iter().chain(others).copied().collect();
    let sql = format!(
        "insert into {table} ({}) values ({}) on conflict ({target}) do update set id = {table}.id
         returning id",
        names(&pairs),
        vec!["?"; pairs.len()].join(", "),
    );
    let values: Vec<Value> = pairs.iter().map(|(_, value)| (*value).clone()).collect();
    site.query(&sql, &values)[0][0].as_i64().unwrap()
}

fn names(pairs: &[(&str, &Value)]) -> String {
    let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// All tests in one statement.
#[track_caller]
fn insert_tests(site: &mut Transaction, run: i64, tests: &[Value]) {
    const COLUMNS: [&str; 10] = [
        "name",
        "n_prompt",
        "n_gen",
        "avg_time_ms",
        "power_watts",
        "prompt_tps",
        "gen_tps",
        "prompt_tps_watt",
        "gen_tps_watt",
        "ttft_ms",
    ];
    let row = format!("(?{})", ", ?".repeat(COLUMNS.len()));
    let sql = format!(
        "insert into test_results (benchmark_run_id, {}) values {}",
        COLUMNS.join(", "),
        vec![row; tests.len()].join(", "),
    );
    let values = tests.iter().flat_map(|test| {
        let columns = COLUMNS.iter().map(|column| test[column].clone());
        std::iter::once(run.into()).chain(columns)
    });
    site.query(&sql, &values.collect::<Vec<_>>());
}

/// The row of the score table, from all runs that belong to it.
#[track_caller]
fn update_scores(site: &mut Transaction, accelerator: i64, variant: i64) {
    let means = [
        "avg_prompt_tps",
        "avg_gen_tps",
        "avg_ttft_ms",
        "performance_score",
    ];
    let sql = format!(
        "select {} from benchmark_runs b where b.accelerator_id = ? and b.model_variant_id = ?",
        means.map(mean).join(", ")
    );
    let means = site.query(&sql, &[accelerator.into(), variant.into()]);
    let mut values = means[0].clone();
    values.extend([accelerator.into(), variant.into()]);
    site.query(
        "insert into accelerator_model_performance_scores
         select a.id, a.name, a.type, a.memory_gb, m.id, m.name, v.id, v.quantization, ?, ?, ?, ?
         from accelerators a, model_variants v join models m on m.id = v.model_id
         where a.id = ? and v.id = ?
         on conflict (accelerator_id, model_id, model_variant_id) do update set
             avg_prompt_tps = excluded.avg_prompt_tps, avg_gen_tps = excluded.avg_gen_tps,
             avg_ttft = excluded.avg_ttft, performance_score = excluded.performance_score",
        &values,
    );
}

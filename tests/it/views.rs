//! The views, which other programs read: the rows that `list` and `export` tell.

use rusqlite::types::Value as Cell;
use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::site::inserted;

/// All rows of a query, with the names of its columns.
fn rows(sandbox: &Sandbox, sql: &str) -> Vec<Vec<(String, Cell)>> {
    let db = sandbox.db();
    let mut statement = db.prepare(sql).unwrap();
    let names: Vec<String> = statement
        .column_names()
        .iter()
        .map(|&name| name.into())
        .collect();
    let row = |row: &rusqlite::Row<'_>| {
        let cells = names.iter().enumerate();
        cells
            .map(|(at, name)| Ok((name.clone(), row.get(at)?)))
            .collect()
    };
    let rows = statement.query_map([], row).unwrap();
    rows.map(Result::unwrap).collect()
}

fn views(sandbox: &Sandbox) -> [Vec<Vec<(String, Cell)>>; 2] {
    [
        "SELECT * FROM localstore_view_runs ORDER BY run_id",
        "SELECT * FROM localstore_view_tests ORDER BY run_id, position",
    ]
    .map(|sql| rows(sandbox, sql))
}

fn list(sandbox: &Sandbox) -> Vec<Value> {
    let text = sandbox.run(["list", "-o", "json"]).text();
    let mut runs: Vec<Value> = serde_json::from_str(&text).unwrap();
    runs.reverse();
    runs
}

/// Compares the columns of a row that the json has too, under the same name or another.
fn assert_same(row: &[(String, Cell)], json: &Value, columns: &[(&str, &str)]) {
    for (column, key) in columns {
        let (_, cell) = row.iter().find(|(name, _)| name == column).unwrap();
        let same = match (cell, &json[*key]) {
            (Cell::Null, Value::Null) => true,
            (Cell::Text(text), Value::String(other)) => text == other,
            (Cell::Integer(number), Value::Number(other)) => other.as_i64() == Some(*number),
            (Cell::Integer(number), Value::Bool(other)) => *number == i64::from(*other),
            (Cell::Real(number), Value::Number(other)) => other.as_f64() == Some(*number),
            _ => false,
        };
        assert!(same, "{column}: {cell:?}, {}", json[*key]);
    }
}

#[test]
fn a_row_of_the_runs_is_that_of_the_list() {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/gpu-reps4.json",
        "golden/second-gpu.md",
        "golden/cpu-i7-14b.csv",
        "golden/no-tests.json",
        "golden/nan-stddev.json",
        "golden/single-test.json",
        "captures/capture-json-submitted.stdout.txt",
    ]);
    sandbox.run(["tag", "b", "1", "2"]).ok();
    sandbox.run(["tag", "a", "1"]).ok();
    let [runs, _] = views(&sandbox);
    let listed = list(&sandbox);
    assert_eq!(runs.len(), 7);
    assert_eq!(runs.len(), listed.len());
    for (row, json) in runs.iter().zip(&listed) {
        let mut json = json.clone();
        let tags = json["tags"].as_array().unwrap();
        let tags: Vec<&str> = tags.iter().map(|tag| tag.as_str().unwrap()).collect();
        json["tags"] = if tags.is_empty() {
            Value::Null
        } else {
            tags.join(" ").into()
        };
        if json["submission"] == "never" {
            json["submission"] = Value::Null;
        }
        let same = [
            "measured_at",
            "measured_guessed",
            "added_at",
            "model",
            "quant",
            "accelerator",
            "runtime",
            "runtime_version",
            "score",
            "avg_prompt_tps",
            "avg_gen_tps",
            "avg_ttft_ms",
            "tests",
            "partial",
            "rounded",
            "tags",
            "submission",
            "link",
            "source",
        ];
        let same: Vec<_> = [("run_id", "id")]
            .into_iter()
            .chain(same.map(|name| (name, name)))
            .collect();
        assert_same(row, &json, &same);
    }
}

#[test]
fn a_row_of_the_tests_is_that_of_the_export_without_nan() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json", "golden/nan-stddev.json"]);
    let [_, tests] = views(&sandbox);
    let exported = sandbox.run(["export", "--all", "-o", "jsonl"]).text();
    let exported: Vec<Value> = exported
        .lines()
        .flat_map(|line| {
            let run: Value = serde_json::from_str(line).unwrap();
            run["results"].as_array().unwrap().clone()
        })
        .collect();
    assert_eq!(tests.len(), 18);
    for (row, json) in tests.iter().zip(&exported) {
        let same = [
            "n_prompt",
            "n_gen",
            "test_time",
            "avg_time_ms",
            "stddev_time_ms",
            "prompt_tps",
            "prompt_tps_stddev",
            "gen_tps",
            "gen_tps_stddev",
            "ttft_ms",
            "power_watts",
            "prompt_tps_watt",
            "gen_tps_watt",
        ];
        let other = [
            ("test", "name"),
            ("model", "model_name"),
            ("quant", "model_quant_str"),
        ];
        let same: Vec<_> = other
            .into_iter()
            .chain(same.map(|name| (name, name)))
            .collect();
        assert_same(row, json, &same);
    }
    let nan = "SELECT count(*) FROM localstore_view_tests WHERE prompt_tps_stddev IS NULL";
    assert!(rows(&sandbox, nan)[0][0].1 != Cell::Integer(0));
}

/// What the site has inserted is there at once, and stays as it is when the next write takes it up.
#[test]
fn the_views_have_what_the_site_has_inserted() {
    let sandbox = inserted();
    let before = views(&sandbox);
    assert_eq!((before[0].len(), before[1].len()), (12, 108));
    sandbox.run(["tag", "seen", "1"]).ok();
    sandbox.run(["untag", "seen", "1"]).ok();
    let taken: i64 = sandbox
        .db()
        .query_row("SELECT max(run_id) FROM localstore_runs", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(taken, 12);
    assert_eq!(before, views(&sandbox));
}

/// A date that is none is null until a write gives one, which is guessed.
#[test]
fn an_inserted_run_without_a_date_has_a_guessed_one() {
    let sandbox = inserted();
    let sql = "UPDATE benchmark_runs SET created_at = 'soon' WHERE id = 12";
    sandbox.db().execute_batch(sql).unwrap();
    let date = |sandbox: &Sandbox| {
        let sql =
            "SELECT measured_at, measured_guessed FROM localstore_view_runs WHERE run_id = 12";
        let mut row = rows(sandbox, sql).remove(0).into_iter();
        [(); 2].map(|()| row.next().unwrap().1)
    };
    assert_eq!(date(&sandbox), [Cell::Null, Cell::Integer(1)]);
    assert_eq!(list(&sandbox)[11]["measured_guessed"], true);
    sandbox.run(["tag", "seen", "1"]).ok();
    let [measured, guessed] = date(&sandbox);
    assert!(matches!(measured, Cell::Text(_)));
    assert_eq!(guessed, Cell::Integer(1));
    sandbox.run(["check"]).ok();
}

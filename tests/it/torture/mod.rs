//! What the store survives: many writers, kills, full disks, damaged files.
//!
//! The tests here are short. `torture/run.sh` runs the same ones many times over by setting
//! `LOCALSTORE_ROUNDS`, and prints what each has counted.

mod damage;
mod disk;
mod kills;
mod names;
mod writers;

#[cfg(unix)]
pub(crate) use disk::{limited, without_privileges};

use std::collections::BTreeSet;
use std::path::Path;

use crate::sandbox::{Sandbox, read_fixture};

/// How often a test repeats what it does: `LOCALSTORE_ROUNDS`, else so often.
pub(crate) fn rounds(usual: usize) -> usize {
    let asked = std::env::var("LOCALSTORE_ROUNDS").ok();
    asked
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(usual)
}

/// The json documents of runs that differ in what was measured, on a few models and machines.
fn documents(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    let golden = String::from_utf8(read_fixture("golden/gpu-reps4.json")).unwrap();
    numbers
        .map(|number| {
            let lines = golden.lines().map(|line| {
                if line.starts_with("      \"gen_tps\": ") {
                    format!("      \"gen_tps\": {}.{:06},", 100 + number % 7, number)
                } else {
                    line.to_owned()
                }
            });
            let text = lines.collect::<Vec<_>>().join("\n");
            text.replace("RTX 4090", &format!("RTX {}", number % 3))
                .replace("Llama 3.2 1B Instruct", &format!("Model {}", number % 2))
        })
        .collect()
}

/// Writes the documents into files, a run a file; gives their names.
fn write_files(sandbox: &Sandbox, documents: &[String]) -> Vec<String> {
    let name = |(index, document): (usize, &String)| {
        let name = format!("run{index}.json");
        sandbox.file(&name, document);
        name
    };
    documents.iter().enumerate().map(name).collect()
}

/// All runs of a store as json, each as a whole document.
fn stored(sandbox: &Sandbox, db: &str) -> BTreeSet<String> {
    let ids = ids(sandbox, db);
    if ids.is_empty() {
        return BTreeSet::new();
    }
    let text = sandbox
        .run(["export", "--all", "-o", "json", "--db", db])
        .text();
    let documents: BTreeSet<String> = text
        .split_inclusive("\n}\n")
        .map(|document| document.trim().to_owned())
        .filter(|document| !document.is_empty())
        .collect();
    assert_eq!(documents.len(), ids.len(), "a run is there twice");
    documents
}

/// The ids of all runs.
fn ids(sandbox: &Sandbox, db: &str) -> BTreeSet<u64> {
    let ran = sandbox.run(["list", "-o", "jsonl", "--db", db]);
    ran.ok();
    let id = |line: &str| {
        let run: serde_json::Value = serde_json::from_str(line).unwrap();
        run["id"].as_u64().unwrap()
    };
    ran.text().lines().map(id).collect()
}

/// Asserts that `check` finds nothing, and that the log has removed what is not there.
#[track_caller]
fn assert_right(sandbox: &Sandbox, db: &str) {
    let ran = sandbox.run(["check", "--db", db]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.text(), ran.stderr);
    let store = rusqlite::Connection::open(sandbox.path().join(db)).unwrap();
    if store.table_exists(None, "localstore_changes").unwrap() {
        let sql = "SELECT count(*) FROM (SELECT run_id, max(kind = 'rm') AS is_removed
                 FROM localstore_changes GROUP BY run_id)
             WHERE is_removed = (run_id IN (SELECT run_id FROM localstore_runs))";
        let wrong: u64 = store.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(wrong, 0);
    }
}

/// Copies a store whose log has been put into it.
fn copy(from: &Path, to: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut path = to.as_os_str().to_owned();
        path.push(ending);
        let _ = std::fs::remove_file(path);
    }
    std::fs::copy(from, to).unwrap();
}

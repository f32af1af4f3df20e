//! `kill -9` at any moment: each run is there whole or not at all, what was reported is there, and
//! the next command works.

#[cfg(unix)]
use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{assert_right, copy, documents, ids, rounds, stored, write_files};
use crate::random::{Random, seed};
use crate::sandbox::{Sandbox, fixture};

/// What the killed process printed, and whether it was killed before its end.
struct Killed {
    said: Vec<String>,
    in_time: bool,
}

/// Kills the program at a moment within the time that it took at most so far.
fn kill(sandbox: &Sandbox, args: &[String], longest: &mut Duration, random: &mut Random) -> Killed {
    let start = Instant::now();
    let mut child = sandbox
        .command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let micros = usize::try_from(longest.as_micros()).unwrap();
    let moment = Duration::from_micros(random.below(micros + 1) as u64);
    std::thread::sleep(moment.saturating_sub(start.elapsed()));
    child.kill().unwrap();
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    let in_time = !child.wait().unwrap().success();
    if !in_time {
        // It was quicker than thought.
        *longest = longest.mul_f64(0.95);
    } else if moment > longest.mul_f64(0.9) {
        *longest = longest.mul_f64(1.1);
    }
    // A line that is cut off says nothing.
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    Killed {
        said: whole.lines().map(str::to_owned).collect(),
        in_time,
    }
}

/// A sandbox with a store of so many runs, whose documents are given.
fn base(runs: usize) -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::new();
    let documents = documents(0..runs);
    let files = write_files(&sandbox, &documents);
    let args = ["add", "--db", "base.db"].map(str::to_owned);
    sandbox.run(args.into_iter().chain(files)).ok();
    (sandbox, documents)
}

fn args(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Runs the command once to its end, to know how long it takes.
fn time(sandbox: &Sandbox, args: &[String]) -> Duration {
    let start = Instant::now();
    sandbox.run(args).ok();
    start.elapsed()
}

/// Repeats `once`, which tells whether the kill came in time, and reports.
fn torture(what: &str, usual: usize, mut once: impl FnMut(&mut Random) -> bool) {
    let rounds = rounds(usual);
    let seed = seed();
    let mut in_time = 0;
    for round in 0..rounds {
        in_time += usize::from(once(&mut Random::new(seed, round as u64)));
    }
    crate::report(&format!(
        "| kill -9 in {what} | {rounds}, {in_time} before its end | whole or absent, no \
         report untrue |"
    ));
}

/// The store works on.
fn assert_works(sandbox: &Sandbox, db: &str) {
    assert_right(sandbox, db);
    let golden = fixture("golden/utf8-model.json");
    let add = [
        "add".as_ref(),
        "--db".as_ref(),
        db.as_ref(),
        golden.as_os_str(),
    ];
    sandbox.run(add).ok();
    assert_right(sandbox, db);
}

#[test]
fn a_killed_add_keeps_what_it_reported() {
    let (sandbox, all) = base(700);
    let files: Vec<String> = (0..700).map(|index| format!("run{index}.json")).collect();
    let mut command = args("add --db store.db");
    command.extend(files);
    let mut longest = time(&sandbox, &command);
    torture("add of 700 files", 10, |random| {
        // A new store, or one that has some of the runs.
        let path = sandbox.path().join("store.db");
        copy(&sandbox.path().join("base.db"), &path);
        if random.below(2) == 0 {
            super::copy(&fixture("stores/llamafile.sqlite3"), &path);
        } else {
            sandbox
                .run(args("rm -y --db store.db 1 2 3 4 5 6 7 8 9 10 11"))
                .ok();
        }
        let killed = kill(&sandbox, &command, &mut longest, random);
        let there = ids(&sandbox, "store.db");
        for line in &killed.said {
            let id = line.split([' ', ':']).find_map(|word| word.parse().ok());
            assert!(there.contains(&id.unwrap()), "{line}");
        }
        assert!(
            stored(&sandbox, "store.db")
                .iter()
                .all(|document| all.contains(document))
        );
        assert_works(&sandbox, "store.db");
        killed.in_time
    });
}

#[test]
fn a_killed_rm_removes_all_or_nothing() {
    let (sandbox, _) = base(200);
    let mut command = args("rm -y --db store.db");
    command.extend((1..=150).map(|id| id.to_string()));
    copy(
        &sandbox.path().join("base.db"),
        &sandbox.path().join("store.db"),
    );
    let mut longest = time(&sandbox, &command);
    torture("rm of 150 runs", 10, |random| {
        copy(
            &sandbox.path().join("base.db"),
            &sandbox.path().join("store.db"),
        );
        let killed = kill(&sandbox, &command, &mut longest, random);
        let left = ids(&sandbox, "store.db").len();
        assert!(left == 200 || left == 50, "{left}");
        assert!(killed.said.is_empty() || left == 50);
        assert_works(&sandbox, "store.db");
        killed.in_time
    });
}

#[test]
fn a_killed_merge_takes_over_all_or_nothing() {
    let (sandbox, _) = base(200);
    let command = args("merge --db store.db base.db");
    let store = sandbox.path().join("store.db");
    let mut longest = time(&sandbox, &command);
    torture("merge of 200 runs", 10, |random| {
        copy(&fixture("stores/llamafile.sqlite3"), &store);
        let killed = kill(&sandbox, &command, &mut longest, random);
        let left = ids(&sandbox, "store.db").len();
        assert!(left == 200 || left == 0, "{left}");
        assert!(killed.said.is_empty() || left == 200);
        assert_works(&sandbox, "store.db");
        assert_right(&sandbox, "base.db");
        killed.in_time
    });
}

/// A document of llama-bench, here 400 runs of one test, is stored in one transaction.
#[test]
fn a_killed_add_or_merge_of_a_document_of_llama_bench_takes_all_or_nothing() {
    let sandbox = Sandbox::new();
    let golden = crate::sandbox::read_fixture("golden/llama-bench/v-b5361-depth.jsonl");
    let golden = String::from_utf8(golden).unwrap();
    let row = golden.lines().next().unwrap();
    let rows = (0..400).map(|index| row.replace("models/8b", &format!("models/{index}")) + "\n");
    sandbox.file("bench.jsonl", rows.collect::<String>());
    let base = "add --db base.db bench.jsonl";
    sandbox.run(args(base)).ok();
    assert_eq!(ids(&sandbox, "base.db").len(), 400);
    let store = sandbox.path().join("store.db");
    for command in [
        "add --db store.db bench.jsonl",
        "merge --db store.db base.db",
    ] {
        let command = args(command);
        let mut longest = time(&sandbox, &command);
        torture(
            &format!("{} of a document of 400 runs", command[0]),
            5,
            |random| {
                copy(&fixture("stores/version-6.sqlite3"), &store);
                let killed = kill(&sandbox, &command, &mut longest, random);
                let left = ids(&sandbox, "store.db").len();
                assert!(left == 411 || left == 11, "{left}");
                assert!(killed.said.is_empty() || left == 411);
                assert_works(&sandbox, "store.db");
                assert_right(&sandbox, "base.db");
                killed.in_time
            },
        );
    }
}

/// The store of schema version 1, with more runs, so that there is something to do.
fn old_store(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.path().join("old.db");
    std::fs::copy(fixture("stores/version-1.sqlite3"), &path).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; BEGIN")
        .unwrap();
    for _ in 0..6 {
        // Without an accelerator, the copies count in no score.
        db.execute_batch(
            "CREATE TEMP TABLE step AS SELECT max(run_id) AS run, (SELECT max(id) FROM test_results)
                 AS test FROM localstore_runs;
             INSERT INTO benchmark_runs (id, avg_prompt_tps, avg_gen_tps, avg_ttft_ms,
                 performance_score)
             SELECT id + (SELECT run FROM step), avg_prompt_tps, avg_gen_tps, avg_ttft_ms,
                 performance_score FROM benchmark_runs;
             INSERT INTO test_results (id, benchmark_run_id, name, n_prompt, n_gen, avg_time_ms,
                 power_watts, prompt_tps, gen_tps, prompt_tps_watt, gen_tps_watt, ttft_ms)
             SELECT id + (SELECT test FROM step), benchmark_run_id + (SELECT run FROM step), name,
                 n_prompt, n_gen, avg_time_ms, power_watts, prompt_tps, gen_tps, prompt_tps_watt,
                 gen_tps_watt, ttft_ms FROM test_results;
             INSERT INTO localstore_runs SELECT run_id + (SELECT run FROM step), fingerprint, core,
                 poor, source, environment_id, model_id, partial, measured_at FROM localstore_runs;
             INSERT INTO localstore_tests SELECT run_id + (SELECT run FROM step), position,
                 test_result_id + (SELECT test FROM step), model_id, name, n_prompt, n_gen,
                 test_time, avg_time_ms, stddev_time_ms, prompt_tps, prompt_tps_watt,
                 prompt_tps_stddev, gen_tps, gen_tps_watt, gen_tps_stddev, power_watts, ttft_ms,
                 samples_ns, reps FROM localstore_tests;
             DROP TABLE step",
        )
        .unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    path
}

#[test]
fn a_killed_migration_leaves_the_old_store_or_the_new_one() {
    let sandbox = Sandbox::new();
    let old = old_store(&sandbox);
    let store = sandbox.path().join("store.db");
    let command = args("tag --db store.db old 1");
    copy(&old, &store);
    let mut longest = time(&sandbox, &command);
    let runs: u64 = rusqlite::Connection::open(&old)
        .unwrap()
        .query_row("SELECT count(*) FROM localstore_runs", [], |row| row.get(0))
        .unwrap();
    torture(&format!("migration of {runs} runs"), 10, |random| {
        copy(&old, &store);
        let killed = kill(&sandbox, &command, &mut longest, random);
        let db = rusqlite::Connection::open(&store).unwrap();
        let (version, configurations): (String, u64) = db
            .query_row(
                "SELECT (SELECT value FROM metadata WHERE key = 'localstore.schema_version'),
                     (SELECT count(*) FROM sqlite_schema WHERE name = 'localstore_configurations')",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(version == "1", configurations == 0);
        drop(db);
        assert_eq!(ids(&sandbox, "store.db").len() as u64, runs);
        let ran = sandbox.run(args("check --db store.db"));
        // The copies lack an accelerator, and nothing else is wrong.
        let unexpected = |line: &&str| !line.contains(": benchmark_runs refers to another ");
        assert_eq!(
            ran.text().lines().filter(unexpected).count(),
            1,
            "{}",
            ran.text()
        );
        sandbox.run(&command).ok();
        killed.in_time
    });
}

#[test]
fn a_killed_backup_leaves_the_old_copy_or_the_new_one() {
    let (sandbox, _) = base(200);
    let path = |name: &str| sandbox.path().join(name);
    copy(&path("base.db"), &path("old.db"));
    sandbox.run(args("rm -y --db old.db 1")).ok();
    let command = args("backup --force --db base.db copy.db");
    let mut longest = time(&sandbox, &command);
    torture("backup of 200 runs", 10, |random| {
        let had_copy = random.below(2) == 0;
        copy(&path("old.db"), &path("copy.db"));
        if !had_copy {
            std::fs::remove_file(path("copy.db")).unwrap();
        }
        let killed = kill(&sandbox, &command, &mut longest, random);
        if path("copy.db").exists() {
            let runs = ids(&sandbox, "copy.db").len();
            assert!(runs == 200 || (had_copy && runs == 199), "{runs}");
            assert_right(&sandbox, "copy.db");
        } else {
            assert!(!had_copy);
        }
        assert_eq!(ids(&sandbox, "base.db").len(), 200);
        assert_right(&sandbox, "base.db");
        killed.in_time
    });
}

/// Ctrl-C is obeyed, and takes the temporary file away.
#[cfg(unix)]
#[test]
fn an_interrupted_backup_leaves_nothing() {
    use std::os::unix::process::ExitStatusExt;
    let (sandbox, _) = base(200);
    let names = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(sandbox.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            // SQLite's own stay until the next command.
            .filter(|name| !name.starts_with("base.db-"))
            .collect()
    };
    let before = names();
    let mut random = Random::new(seed(), 0);
    for _ in 0..rounds(10) {
        let mut child = sandbox
            .command(args("backup --db base.db copy.db"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.below(20_000) as u64));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(2), "{status}");
        let mut after = names();
        if after.remove("copy.db") {
            assert_right(&sandbox, "copy.db");
            std::fs::remove_file(sandbox.path().join("copy.db")).unwrap();
        }
        assert_eq!(after, before);
    }
    crate::report(&format!(
        "| Ctrl-C in backup | {} times | no temporary file left, a copy is whole |",
        rounds(10)
    ));
}

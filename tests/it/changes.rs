//! The log of changes, by which other databases find what is new here: whatever writes a run, a tag or
//! a submission enters it once, and nothing else does.

use std::collections::BTreeSet;

use rusqlite::Connection;

use crate::random::{Random, seed};
use crate::sandbox::{Sandbox, fixture, read_fixture};

const RUN: &str = "golden/gpu-reps4";
const BENCH: &str = "golden/llama-bench/v-b5361-depth";

fn column(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// What the log says, a line each, in its order.
fn log(sandbox: &Sandbox) -> Vec<String> {
    let sql = "SELECT kind || ' ' || run_id FROM localstore_changes ORDER BY change";
    column(&sandbox.db(), sql)
}

/// The lines that a command enters.
fn entered<S: AsRef<std::ffi::OsStr>>(
    sandbox: &Sandbox,
    args: impl IntoIterator<Item = S>,
) -> Vec<String> {
    let before = if sandbox.store().exists() {
        log(sandbox).len()
    } else {
        0
    };
    sandbox.run(args).ok();
    log(sandbox).split_off(before)
}

fn add(sandbox: &Sandbox, options: &[&str], capture: &str) -> Vec<String> {
    let file = fixture(capture);
    let args = ["add"].iter().chain(options).map(std::ffi::OsStr::new);
    entered(sandbox, args.chain([file.as_os_str()]))
}

fn removed(sandbox: &Sandbox) -> i64 {
    let sql = "SELECT count(*) FROM localstore_removed";
    sandbox.db().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn id(db: &Connection) -> String {
    let sql = "SELECT value FROM metadata WHERE key = 'localstore.store_id'";
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Asserts that all that is stored can be found by the log, and what was removed too.
#[track_caller]
fn assert_complete(sandbox: &Sandbox) {
    let db = sandbox.db();
    let wrong = column(
        &db,
        "SELECT 'run ' || run_id FROM localstore_runs WHERE run_id NOT IN
             (SELECT run_id FROM localstore_changes WHERE kind = 'run')
         UNION ALL SELECT 'tag ' || run_id FROM localstore_tags WHERE run_id NOT IN
             (SELECT run_id FROM localstore_changes WHERE kind = 'tag')
         UNION ALL SELECT 'submission ' || run_id FROM localstore_submissions
         WHERE state IN ('submitted', 'unknown') AND run_id NOT IN
             (SELECT run_id FROM localstore_changes WHERE kind = 'submission')
         UNION ALL SELECT 'rm ' || run_id FROM localstore_changes WHERE
             (kind = 'rm') <> (run_id NOT IN (SELECT run_id FROM localstore_runs))
             AND (kind = 'rm' OR run_id NOT IN
                  (SELECT run_id FROM localstore_changes WHERE kind = 'rm'))
         UNION ALL SELECT 'removed ' || x.rowid FROM localstore_removed x
         JOIN localstore_runs r USING (fingerprint, environment_id)
         UNION ALL SELECT 'nonce of ' || change FROM localstore_changes
         WHERE typeof(nonce) <> 'blob' OR length(nonce) <> 8",
    );
    assert_eq!(wrong, [""; 0]);
    let nonces: BTreeSet<_> = column(&db, "SELECT hex(nonce) FROM localstore_changes")
        .into_iter()
        .collect();
    assert_eq!(nonces.len(), log(sandbox).len());
    let id = id(&db);
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
}

#[test]
fn what_changes_a_run_is_entered_once() {
    let sandbox = Sandbox::new();
    let none = [""; 0];
    let csv = format!("{RUN}.csv");
    let json = format!("{RUN}.json");
    assert_eq!(add(&sandbox, &[], &csv), ["run 1"]);
    assert_eq!(add(&sandbox, &[], &csv), none);
    // What only looks is not a change.
    assert_eq!(add(&sandbox, &["--dry-run"], &json), none);
    assert_eq!(add(&sandbox, &[], &json), ["completed 1"]);
    assert_eq!(add(&sandbox, &[], &json), none);

    let other = "golden/gpu-reps16.md";
    assert_eq!(add(&sandbox, &[], other), ["run 2"]);
    let dated = ["--measured-at", "2025-06-15"];
    assert_eq!(add(&sandbox, &dated, other), ["completed 2"]);
    assert_eq!(add(&sandbox, &dated, other), none);

    let third = "golden/second-gpu.json";
    assert_eq!(add(&sandbox, &["--tag", "x"], third), ["run 3", "tag 3"]);
    assert_eq!(add(&sandbox, &["--tag", "x"], third), none);
    assert_eq!(add(&sandbox, &["--tag", "y"], third), ["tag 3"]);
    assert_eq!(entered(&sandbox, ["tag", "x", "1", "3"]), ["tag 1"]);
    assert_eq!(entered(&sandbox, ["tag", "x", "1"]), none);
    // It stays here.
    assert_eq!(entered(&sandbox, ["untag", "x", "1", "3"]), none);

    let submitted = "captures/capture-json-submitted.stdout.txt";
    assert_eq!(add(&sandbox, &[], submitted), ["run 4", "submission 4"]);
    assert_eq!(add(&sandbox, &[], submitted), none);

    let golden = fixture("golden/single-test.json");
    #[cfg(unix)]
    let record = entered(&sandbox, ["record", "--", "cat", golden.to_str().unwrap()]);
    #[cfg(not(unix))]
    let record = entered(&sandbox, ["add", golden.to_str().unwrap()]);
    assert_eq!(record, ["run 5"]);
    assert_eq!(entered(&sandbox, ["rm", "-y", "1", "3"]), ["rm 1", "rm 3"]);
    assert_complete(&sandbox);
    sandbox.run(["check"]).ok();
}

#[test]
fn what_was_removed_and_is_added_again_is_removed_no_more() {
    for (name, more) in [(RUN, "csv"), (BENCH, "md")] {
        let sandbox = Sandbox::new();
        let json = format!("{name}.json");
        sandbox.add([&*json, "golden/cpu-i7-14b.json"]);
        sandbox.run(["rm", "-y", "1", "2"]).ok();
        assert_eq!(removed(&sandbox), 2);
        // Another capture of it is the run too.
        assert_eq!(
            add(&sandbox, &[], &format!("{name}.{more}")),
            ["run 3"],
            "{name}"
        );
        assert_eq!(removed(&sandbox), 1, "{name}");
        assert_eq!(add(&sandbox, &[], &json), ["completed 3"]);
        sandbox.run(["rm", "-y", "3"]).ok();
        assert_eq!(removed(&sandbox), 2);
        sandbox.add([&*json]);
        assert_eq!(removed(&sandbox), 1);
        assert_complete(&sandbox);
    }
    // The same figures on another machine are another run.
    let sandbox = Sandbox::new();
    sandbox.add([&*format!("{RUN}.json")]);
    sandbox.run(["rm", "-y", "1"]).ok();
    let text = String::from_utf8(read_fixture(&format!("{RUN}.json"))).unwrap();
    let other = text.replace("RTX 4090", "RTX 5090");
    assert_ne!(other, text);
    sandbox.file("other.json", other);
    assert_eq!(entered(&sandbox, ["add", "other.json"]), ["run 2"]);
    assert_eq!(removed(&sandbox), 1);
}

#[test]
fn runs_of_llama_bench_are_entered_too() {
    let sandbox = Sandbox::new();
    let [md, json, jsonl] = ["md", "json", "jsonl"].map(|format| format!("{BENCH}.{format}"));
    assert_eq!(add(&sandbox, &["--tag", "x"], &md), ["run 1", "tag 1"]);
    assert_eq!(add(&sandbox, &[], &md), [""; 0]);
    assert_eq!(add(&sandbox, &[], &json), ["completed 1"]);
    assert_eq!(add(&sandbox, &[], &jsonl), [""; 0]);
    // A table tells something of a run whose json was first, once.
    let other = Sandbox::new();
    assert_eq!(add(&other, &[], &json), ["run 1"]);
    assert_eq!(add(&other, &[], &md), ["completed 1"]);
    assert_eq!(add(&other, &[], &md), [""; 0]);
    assert_eq!(entered(&other, ["rm", "-y", "1"]), ["rm 1"]);

    let third = Sandbox::new();
    third.add([&*json]);
    let merge = ["merge".into(), sandbox.store().into_os_string()];
    assert_eq!(entered(&third, &merge), ["tag 1", "completed 1"]);
    assert_eq!(entered(&third, &merge), [""; 0]);
    for sandbox in [&sandbox, &other, &third] {
        assert_complete(sandbox);
    }
}

#[test]
fn what_a_merge_takes_over_is_entered_once() {
    let from = Sandbox::new();
    from.add([
        &*format!("{RUN}.json"),
        "golden/cpu-i7-14b.json",
        "captures/capture-json-submitted.stdout.txt",
    ]);
    from.run(["tag", "x", "1", "2"]).ok();
    let here = Sandbox::new();
    here.add(["golden/second-gpu.json", "golden/cpu-i7-14b.csv"]);
    let merge = ["merge".into(), from.store().into_os_string()];
    assert_eq!(
        entered(&here, &merge),
        [
            "run 3",
            "tag 3",
            "completed 2",
            "tag 2",
            "run 4",
            "submission 4"
        ]
    );
    assert_eq!(entered(&here, &merge), [""; 0]);
    // A merge brings back what was removed.
    here.run(["rm", "-y", "3"]).ok();
    assert_eq!(removed(&here), 1);
    assert_eq!(entered(&here, &merge), ["run 5", "tag 5"]);
    assert_eq!(removed(&here), 0);
    assert_complete(&here);
    // The names of two stores stay two.
    assert_ne!(id(&here.db()), id(&from.db()));
}

/// What was pulled and is added here too is ours; what is merged or repaired is not.
#[test]
fn a_run_that_was_pulled_is_ours_as_soon_as_it_is_added() {
    let json = format!("{RUN}.json");
    let bench = format!("{BENCH}.json");
    let from = Sandbox::new();
    from.add([&*json, &*bench]);
    let store = from.store().into_os_string();
    let brought = |sandbox: &Sandbox| {
        let sql = "SELECT run_id || hex(from_store) FROM localstore_brought ORDER BY run_id";
        column(&sandbox.db(), sql)
    };
    let [first, second] = [&json, &bench].map(|name| fixture(name).into_os_string());
    for (args, left) in [
        (vec!["add".into(), first], &["2AA"][..]),
        (vec!["add".into(), second], &["1AA"]),
        (vec!["merge".into(), store], &["1", "2"]),
        (vec!["tag".into(), "x".into(), "1".into()], &["1AA", "2AA"]),
        (vec!["check".into(), "--repair".into()], &["1AA", "2AA"]),
        (vec!["rm".into(), "-y".into(), "1".into()], &["2AA"]),
    ] {
        let sandbox = Sandbox::new();
        sandbox.add([&*json, &*bench]);
        assert_eq!(brought(&sandbox), [""; 0]);
        let sql = "INSERT INTO localstore_brought VALUES (1, x'AA', 1), (2, x'AA', 2);
             UPDATE localstore_runs SET core = zeroblob(8)";
        let args: Vec<std::ffi::OsString> = args;
        let is_repair = args[0] == "check";
        sandbox.db().execute_batch(sql).unwrap();
        let lines = entered(&sandbox, &args);
        if is_repair {
            assert_eq!(lines, ["completed 1", "completed 2"]);
        }
        assert_eq!(brought(&sandbox), left, "{args:?}");
    }
}

/// The runs of an older store are entered once, in their order; a backup is a copy in all.
#[test]
fn the_runs_of_an_older_store_are_entered_once() {
    let mut ids = BTreeSet::new();
    for version in ["1", "2", "3", "4", "5", "6"] {
        let sandbox = Sandbox::new();
        let old = fixture(&format!("stores/version-{version}.sqlite3"));
        std::fs::create_dir_all(sandbox.store().parent().unwrap()).unwrap();
        std::fs::copy(old, sandbox.store()).unwrap();
        sandbox.run(["list"]).ok();
        let db = sandbox.db();
        let runs = column(
            &db,
            "SELECT 'run ' || run_id FROM localstore_runs ORDER BY run_id",
        );
        assert!(runs.len() >= 6, "{version}");
        assert_eq!(log(&sandbox), runs, "{version}");
        assert_eq!(entered(&sandbox, ["list"]), [""; 0]);
        assert_eq!(removed(&sandbox), 0);
        sandbox.run(["check"]).ok();

        sandbox.run(["backup", "copy.db"]).ok();
        let copy = Connection::open(sandbox.path().join("copy.db")).unwrap();
        assert_eq!(id(&copy), id(&db));
        let all = "SELECT change || hex(nonce) || kind || run_id FROM localstore_changes";
        assert_eq!(column(&copy, all), column(&db, all));
        ids.insert(id(&db));
    }
    assert_eq!(ids.len(), 6);
}

/// Whatever is done in whatever order.
#[test]
fn the_log_agrees_with_the_runs_after_any_commands() {
    let seed = seed();
    let captures = [
        "golden/gpu-reps4.csv",
        "golden/gpu-reps4.json",
        "golden/gpu-reps4.md",
        "golden/second-gpu.json",
        "captures/capture-json-submitted.stdout.txt",
        "golden/llama-bench/v-b5361-depth.md",
        "golden/llama-bench/v-b5361-depth.json",
        "golden/llama-bench/v-b6065-two-models.json",
    ];
    let other = Sandbox::new();
    other.add(captures);
    other.run(["tag", "x", "1"]).ok();
    for round in 0..4 {
        let random = &mut Random::new(seed, round);
        let sandbox = Sandbox::new();
        sandbox.add(["golden/single-test.json"]);
        for _ in 0..15 {
            let last = "SELECT max(run_id) FROM localstore_changes";
            let last: usize = sandbox.db().query_row(last, [], |row| row.get(0)).unwrap();
            let run = (1 + random.below(last)).to_string();
            let capture = fixture(captures[random.below(captures.len())]);
            let capture = capture.to_str().unwrap();
            // The run may be gone already.
            match random.below(8) {
                0..=2 => drop(sandbox.run(["add", capture]).ok()),
                3 => drop(sandbox.run(["add", "--tag", "x", capture]).ok()),
                4 | 5 => drop(sandbox.run(["rm", "-y", &run])),
                6 => drop(sandbox.run(["tag", "y", &run])),
                _ => drop(
                    sandbox
                        .run(["merge".as_ref(), other.store().as_os_str()])
                        .ok(),
                ),
            }
            assert_complete(&sandbox);
        }
        sandbox.run(["check"]).ok();
    }
}

//! The LocalScore web site on a remote: what it had, and what it inserts before, between and behind pushes.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::fleet::hrana::{Client, Row};
use crate::fleet::proxy::Proxy;
use crate::fleet::sqld::{self, Options, Sqld};
use crate::fleet::token::Issuer;
use crate::fleet::{machines, means_are_true, pull, push, site};
use crate::merge::site_database;
use crate::sandbox::{Sandbox, read_fixture};

fn payload(name: &str) -> Value {
    serde_json::from_slice(&read_fixture(&format!("golden/{name}.payload.json"))).unwrap()
}

/// Copies a database into an empty one.
fn load(remote: &Client, path: &Path) {
    let db = Connection::open(path).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let schema = texts(
        "SELECT sql FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL
             AND name NOT LIKE 'sqlite%' ORDER BY type DESC",
    );
    let mut all = vec!["PRAGMA foreign_keys = OFF".to_owned(), "BEGIN".to_owned()];
    all.extend(schema);
    let tables =
        texts("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    for table in tables {
        let columns = texts(&format!(
            "SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')"
        ));
        let rows = texts(&format!(
            "SELECT concat_ws(', ', {}) FROM {table}",
            columns.join(", ")
        ));
        let rows = rows.iter();
        all.extend(rows.map(|row| format!("INSERT INTO {table} VALUES ({row})")));
    }
    all.push("COMMIT".to_owned());
    run(remote, &all.join(";\n"));
}

/// Runs statements, without foreign keys if the first one says so.
fn run(remote: &Client, sql: &str) {
    let answer = remote.pipeline(&json!({"requests": [
        {"type": "sequence", "sql": sql}, {"type": "close"},
    ]}));
    let answer = answer.json();
    assert_eq!(answer["results"][0]["type"], "ok", "{answer}");
}

/// All that a database has, to see that nothing was changed.
fn content(remote: &Client) -> Vec<Vec<Row>> {
    let schema = remote.query("SELECT name, type, sql FROM sqlite_schema ORDER BY name, type");
    let tables = schema.iter().filter(|row| row[1] == "table");
    let names: Vec<&str> = tables.map(|row| row[0].as_str().unwrap()).collect();
    let mut all = vec![schema.clone()];
    all.extend(
        names
            .iter()
            .map(|name| remote.query(&format!("SELECT * FROM \"{name}\""))),
    );
    all
}

/// What a store tells of its runs.
fn export(machine: &Sandbox) -> Vec<Vec<u8>> {
    ["jsonl", "json", "csv", "md", "sql"]
        .iter()
        .map(|format| machine.run(["export", "--all", "-o", format]).stdout)
        .collect()
}

fn list(machine: &Sandbox) -> Vec<Value> {
    let list = machine
        .run(["list", "-o", "jsonl", "--sort", "date"])
        .text();
    list.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sources(machine: &Sandbox) -> Vec<String> {
    let list = list(machine);
    let mut sources: Vec<String> = list
        .iter()
        .map(|run| run["source"].as_str().unwrap().to_owned())
        .collect();
    sources.sort();
    sources
}

/// The runs that a fleet counts: rows of the site, rows of the fleet, and the rows of tests.
fn counts(remote: &Client) -> Row {
    let sql = "SELECT (SELECT count(*) FROM benchmark_runs),
        (SELECT count(*) FROM localstore_fleet_runs), (SELECT count(*) FROM test_results)";
    remote.query(sql).remove(0)
}

#[test]
fn a_database_of_the_site_is_prepared_with_its_runs() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let remote = Client::new(server.address());
    let machines = machines(3, server.address());
    let names = [
        "golden/gpu-reps4.json",
        "golden/gpu-reps16.json",
        "golden/cpu-i7-14b.json",
        "golden/nan-stddev.json",
    ];
    let path = site_database(&machines[0], &names);
    load(&remote, &path);
    remote.query("CREATE TABLE __drizzle_migrations (id INTEGER PRIMARY KEY, hash TEXT)");
    remote.query("UPDATE accelerator_model_performance_scores SET performance_score = 1");
    let ran = machines[0].run(["push", "--init"]);
    ran.ok();
    assert!(
        ran.text()
            .contains("prepared; 4 runs of the web site taken in"),
        "{}",
        ran.text()
    );
    means_are_true(&server);
    assert_eq!(counts(&remote), [4, 4, 36]);
    let log = "SELECT run_id, store, kind, detail FROM localstore_fleet_log ORDER BY change";
    let line = |run: i64| {
        vec![
            json!(run),
            Value::Null,
            json!("run"),
            json!(format!("{}", 9 * run - 9)),
        ]
    };
    assert_eq!(remote.query(log), [line(1), line(2), line(3), line(4)]);
    let rows = "SELECT run_id, source, first_test, tests FROM localstore_fleet_runs";
    let row = |run: i64| vec![json!(run), json!("site"), json!(9 * run - 8), json!(9)];
    assert_eq!(remote.query(rows), [row(1), row(2), row(3), row(4)]);

    let before = content(&remote);
    let again = machines[1].run(["push", "--init"]);
    again.ok();
    assert!(
        again.text().contains("was prepared before"),
        "{}",
        again.text()
    );
    assert!(content(&remote) == before);

    assert_eq!(pull(&machines[1]), "4 runs: 4 new, 0 completed, 0 known");
    assert_eq!(sources(&machines[1]), ["site"; 4]);
    machines[2].run(["merge".as_ref(), path.as_os_str()]).ok();
    assert_eq!(export(&machines[1]), export(&machines[2]));
    assert!(pull(&machines[1]).starts_with("0 runs"));
    assert!(push(&machines[1]).starts_with("0 runs"));
    assert_eq!(push(&machines[2]), "4 runs: 0 new, 0 completed, 4 known");
    assert_eq!(counts(&remote), [4, 4, 36]);
    machines[1].run(["check"]).ok();
}

/// Runs whose tests lie here and there, runs without any, and values that only other programs write:
/// `pull` takes and refuses the same ones as `merge`.
#[test]
fn odd_runs_of_other_programs_are_taken_as_merge_takes_them() {
    if sqld::is_missing() {
        return;
    }
    for odd in [
        "UPDATE test_results SET id = id + 1000 WHERE id IN (2, 11)",
        "DELETE FROM test_results WHERE benchmark_run_id = 2",
        "UPDATE test_results SET prompt_tps = 'fast' WHERE id = 12",
        "UPDATE test_results SET name = x'ff00', ttft_ms = -0.0 WHERE id = 12",
        "UPDATE test_results SET name = NULL WHERE id = 12",
        "UPDATE test_results SET n_prompt = 1.5 WHERE id = 12",
        "UPDATE benchmark_runs SET created_at = 'yesterday' WHERE id = 2",
        "UPDATE benchmark_runs SET accelerator_id = NULL, performance_score = 'x' WHERE id = 2",
        "UPDATE benchmark_runs SET system_id = 77 WHERE id = 2",
        "UPDATE models SET params = 1e300",
        "UPDATE accelerators SET name = x'ff'",
    ] {
        let server = Sqld::start();
        let remote = Client::new(server.address());
        let machines = machines(2, server.address());
        let path = site_database(
            &machines[0],
            &[
                "golden/gpu-reps4.json",
                "golden/gpu-reps16.json",
                "golden/cpu-i7-14b.json",
            ],
        );
        let db = Connection::open(&path).unwrap();
        let nullable: bool = db
            .execute_batch(&format!("PRAGMA foreign_keys = OFF; {odd}"))
            .is_ok();
        if !nullable {
            continue;
        }
        drop(db);
        load(&remote, &path);
        machines[0].run(["push", "--init"]).ok();
        means_are_true(&server);
        let pulled = machines[0].run(["pull"]);
        let merged = machines[1].run(["merge".as_ref(), path.as_os_str()]);
        assert_eq!(
            pulled.code, merged.code,
            "{odd}: {} {}",
            pulled.stderr, merged.stderr
        );
        assert_eq!(export(&machines[0]), export(&machines[1]), "{odd}");
        // What was refused is refused once.
        let (taken, again) = (list(&machines[0]).len(), machines[0].run(["pull"]));
        again.ok();
        assert_eq!(list(&machines[0]).len(), taken);
    }
}

#[test]
fn another_programs_database_is_refused_and_not_changed() {
    if sqld::is_missing() {
        return;
    }
    let store = Sandbox::new();
    store.add(["golden/gpu-reps4.json"]);
    for (made, why) in [
        (
            "CREATE TABLE orders (id INTEGER)",
            "another program's database",
        ),
        (
            "CREATE TABLE benchmark_runs (id INTEGER)",
            "another program's database",
        ),
        (
            "CREATE VIEW models AS SELECT 1 AS id",
            "another program's database",
        ),
        (
            "CREATE TABLE localstore_fleet_runs (run_id INTEGER)",
            "localstore_fleet_runs is there, and localstore_fleet is not",
        ),
        ("a store", "a store of localstore or llamafile"),
        (
            "CREATE TABLE chats (id INTEGER)",
            "a store of localstore or llamafile",
        ),
    ] {
        let server = Sqld::start();
        let remote = Client::new(server.address());
        let machine = &machines(1, server.address())[0];
        if made == "a store" {
            load(&remote, &store.store());
        } else {
            remote.query(made);
        }
        let before = content(&remote);
        for args in [&["push", "--init"][..], &["push"], &["pull"]] {
            machine.add(["golden/gpu-reps16.json"]);
            let ran = machine.run(args);
            let message = ran.failed();
            if args.len() == 2 {
                assert!(message.contains(why), "{made}: {message}");
            }
            assert!(content(&remote) == before, "{made} {args:?}");
        }
    }
}

#[test]
fn two_prepare_at_the_same_moment_and_a_reader_cannot() {
    if sqld::is_missing() {
        return;
    }
    let issuer = Issuer::new();
    let server = Sqld::with(Options {
        key: Some(issuer.key()),
        ..Options::default()
    });
    let remote = Client::with_token(server.address(), &issuer.full());
    let mut machines = machines(4, server.address());
    machines[0].set("LOCALSTORE_TOKEN", issuer.read_only());
    let message = machines[0].run(["push", "--init"]).failed();
    assert!(
        message.contains("may only read") || message.contains("403"),
        "{message}"
    );
    assert_eq!(remote.value("SELECT count(*) FROM sqlite_schema"), 0);
    load(
        &remote,
        &site_database(&machines[0], &["golden/gpu-reps4.json"]),
    );
    for machine in &mut machines {
        machine.set("LOCALSTORE_TOKEN", issuer.full());
    }
    let ran: Vec<_> = std::thread::scope(|scope| {
        let threads = machines
            .iter()
            .map(|machine| scope.spawn(|| machine.run(["push", "--init"])));
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut said: Vec<String> = ran
        .iter()
        .map(|ran| String::from_utf8(ran.ok()).unwrap())
        .collect();
    said.sort_by_key(|said| said.contains("before"));
    assert!(
        said[0].contains("1 run of the web site taken in"),
        "{said:?}"
    );
    assert!(
        said[1..]
            .iter()
            .all(|said| said.contains("was prepared before"))
    );
    assert_eq!(counts(&remote), [1, 1, 9]);
    let lines = "SELECT count(*) FROM localstore_fleet_log";
    assert_eq!(remote.value(lines), 1);
    assert_eq!(remote.value("SELECT count(*) FROM localstore_fleet"), 1);
}

/// A run that was posted to the site and then pushed is one run, known as well as the machine knows it.
#[test]
fn a_run_that_was_posted_is_completed_by_a_push() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let remote = Client::new(server.address());
    let machines = machines(4, server.address());
    machines[0].run(["push", "--init"]).ok();
    for name in ["gpu-reps4", "gpu-reps16", "cpu-i7-14b"] {
        site::post(&remote, &payload(name));
        means_are_true(&server);
    }
    // A fleet from which others only pull: nobody has taken them up.
    assert_eq!(counts(&remote), [3, 0, 27]);
    for filter in [
        ["--model", "14b"],
        ["--accelerator", "i7"],
        ["--model", "nothing"],
        ["--since", "2999-01-01"],
    ] {
        let is_one = usize::from(filter[1] == "14b" || filter[1] == "i7");
        let ran = machines[1].run([&["pull", "--dry-run"][..], &filter].concat());
        ran.ok();
        let last = format!("{is_one} run{}: ", if is_one == 1 { "" } else { "s" });
        assert!(
            ran.text().lines().last().unwrap().starts_with(&last),
            "{}",
            ran.text()
        );
    }
    assert!(last_line(&machines[1], &["pull", "--model", "14b"]).starts_with("1 run: 1 new"));
    assert_eq!(pull(&machines[1]), "3 runs: 2 new, 0 completed, 1 known");
    assert_eq!(sources(&machines[1]), ["site"; 3]);
    assert!(pull(&machines[1]).starts_with("0 runs"));

    machines[0].add(["golden/gpu-reps4.json", "golden/apple-m4max-power.json"]);
    assert_eq!(push(&machines[0]), "2 runs: 1 new, 1 completed, 0 known");
    assert_eq!(counts(&remote), [4, 4, 36]);
    means_are_true(&server);
    let source = "SELECT group_concat(source) FROM
        (SELECT source FROM localstore_fleet_runs ORDER BY run_id)";
    assert_eq!(remote.value(source), "json,site,site,json");
    // Its own statement does not disturb the sums.
    site::post(&remote, &payload("gpu-reps4"));
    means_are_true(&server);
    assert_eq!(push(&machines[0]), "0 runs: 0 new, 0 completed, 0 known");
    assert_eq!(counts(&remote), [5, 5, 45]);

    assert_eq!(pull(&machines[1]), "3 runs: 1 new, 1 completed, 1 known");
    assert_eq!(sources(&machines[1]), ["json", "json", "site", "site"]);
    assert!(push(&machines[1]).starts_with("0 runs"));
    pull(&machines[2]);
    assert_eq!(sources(&machines[2]), ["json", "json", "site", "site"]);
    let run = |machine: &Sandbox| {
        let runs = list(machine);
        let run = runs
            .iter()
            .find(|run| run["source"] == "json" && run["model"] != Value::Null);
        run.unwrap()["id"].to_string()
    };
    let export = |machine: &Sandbox| machine.run(["export", &run(machine), "-o", "json"]).ok();
    assert_eq!(export(&machines[0]), export(&machines[2]));
    for machine in &machines[..3] {
        machine.run(["check"]).ok();
    }
}

#[track_caller]
fn last_line(machine: &Sandbox, args: &[&str]) -> String {
    super::last_line(machine, args)
}

#[test]
fn rows_that_are_changed_by_hand_keep_the_means_true() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let remote = Client::new(server.address());
    let machines = machines(2, server.address());
    machines[0].run(["push", "--init"]).ok();
    let mut one = payload("gpu-reps4");
    for factor in [1.0, 3.7, 0.1, 1e12, 1e-12] {
        let score = one["results_summary"]["performance_score"]
            .as_f64()
            .unwrap();
        one["results_summary"]["performance_score"] = json!(score * factor);
        site::post(&remote, &one);
    }
    site::post(&remote, &payload("cpu-i7-14b"));
    for sql in [
        "UPDATE benchmark_runs SET performance_score = 0 WHERE id = 1",
        "UPDATE benchmark_runs SET avg_ttft_ms = avg_ttft_ms * 2, avg_gen_tps = 1e-3 WHERE id < 4",
        "UPDATE benchmark_runs SET accelerator_id = (SELECT max(id) FROM accelerators) WHERE id = 2",
        "UPDATE benchmark_runs SET accelerator_id = NULL WHERE id = 3",
        "UPDATE benchmark_runs SET performance_score = performance_score + 1 WHERE id = 3",
        "UPDATE benchmark_runs SET accelerator_id = 1 WHERE id = 3",
        "DELETE FROM test_results WHERE benchmark_run_id = 4",
        "DELETE FROM benchmark_runs WHERE id = 4",
        "DELETE FROM test_results WHERE benchmark_run_id = 6",
        "DELETE FROM benchmark_runs WHERE id = 6",
        "UPDATE benchmark_runs SET performance_score = 0, avg_gen_tps = 0",
        "INSERT INTO benchmark_runs (accelerator_id, model_variant_id, avg_prompt_tps, avg_gen_tps,
             avg_ttft_ms, performance_score) VALUES (1, 1, '12.5', 3, 0, 7), (1, 1, 1, 2, 3, 4)",
        "DELETE FROM test_results",
        "DELETE FROM benchmark_runs",
    ] {
        run(&remote, &format!("PRAGMA foreign_keys = OFF; {sql}"));
        means_are_true(&server);
    }
    machines[0].add(["golden/gpu-reps4.json"]);
    assert_eq!(push(&machines[0]), "1 run: 1 new, 0 completed, 0 known");
    means_are_true(&server);
    assert_eq!(pull(&machines[1]), "1 run: 1 new, 0 completed, 0 known");
}

#[test]
fn what_the_site_has_inserted_is_withdrawn_by_nobody() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let remote = Client::new(server.address());
    let machines = machines(2, server.address());
    machines[0].run(["push", "--init"]).ok();
    machines[0].add(["golden/gpu-reps4.json", "golden/cpu-i7-14b.json"]);
    site::post(&remote, &payload("gpu-reps4"));
    assert_eq!(push(&machines[0]), "2 runs: 1 new, 1 completed, 0 known");
    site::post(&remote, &payload("gpu-reps16"));
    let address = super::url(server.address());
    let before = content(&remote);
    machines[0]
        .run(["rm", "-y", "--remote", &address, "1"])
        .ok();
    assert!(content(&remote) == before);
    machines[0]
        .run(["rm", "-y", "--remote", &address, "2"])
        .ok();
    assert_eq!(counts(&remote), [2, 1, 18]);
    means_are_true(&server);
    assert_eq!(pull(&machines[1]), "2 runs: 2 new, 0 completed, 0 known");
    assert_eq!(sources(&machines[1]), ["json", "site"]);
}

#[test]
fn a_push_with_nothing_new_does_not_look_at_the_runs_of_the_site() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let remote = Client::new(server.address());
    let proxy = Proxy::http(server.address());
    let machines = machines(1, proxy.address());
    machines[0].run(["push", "--init"]).ok();
    for _ in 0..3 {
        site::post(&remote, &payload("gpu-reps4"));
    }
    machines[0].add(["golden/cpu-i7-14b.json"]);
    push(&machines[0]);
    assert_eq!(counts(&remote), [4, 4, 36]);
    for args in [["push"], ["pull"]] {
        if args == ["pull"] {
            pull(&machines[0]);
        }
        proxy.forget();
        machines[0].run(args).ok();
        assert_eq!(proxy.requests(), 1, "{args:?}");
        let (sent, received) = (proxy.sent(), proxy.received());
        assert!(
            sent <= 1024 && received <= 1024,
            "{args:?} {sent} {received}"
        );
    }
}

/// Anybody may post: runs whose answer a server refuses as too large stop neither push nor pull.
#[test]
fn large_runs_of_the_site_stop_no_others() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let remote = Client::new(server.address());
    let machines = machines(2, server.address());
    machines[0].run(["push", "--init"]).ok();
    for _ in 0..8 {
        let run = site::post(&remote, &payload("gpu-reps4"));
        remote.query(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
             INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen, avg_time_ms,
                 power_watts, prompt_tps, gen_tps, prompt_tps_watt, gen_tps_watt, ttft_ms)
             SELECT {run}, 'pp' || i, i, {run}, i / 7.0, 0, i / 3.0, i / 9.0, 0, 0, i / 11.0 FROM n"
        ));
    }
    machines[0].add(["golden/cpu-i7-14b.json"]);
    assert_eq!(push(&machines[0]), "1 run: 1 new, 0 completed, 0 known");
    assert_eq!(pull(&machines[1]), "9 runs: 9 new, 0 completed, 0 known");
    machines[1].run(["check"]).ok();
}

//! Programs and remotes of different ages. `fixtures/fleet/1.sql` are the tables of version 1 as they will
//! stay, with runs; a later version is what a test makes of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib;
use serde_json::json;

use crate::fleet::hrana::Client;
use crate::fleet::sqld::{self, Sqld};
use crate::fleet::{last_line, machines, means_are_true, pull, push, url};
use crate::sandbox::{Sandbox, read_fixture};

/// A server with the fixture, and so many machines.
fn fleet(count: usize) -> (Sqld, Client, Vec<Sandbox>) {
    let server = Sqld::start();
    let remote = Client::new(server.address());
    let sql = String::from_utf8(read_fixture("fleet/1.sql")).unwrap();
    let answer = remote.pipeline(&json!({"requests": [
        {"type": "sequence", "sql": sql}, {"type": "close"},
    ]}));
    assert_eq!(answer.json()["results"][0]["type"], "ok", "{answer:?}");
    let machines = machines(count, server.address());
    (server, remote, machines)
}

/// All that is in the tables of the fleet and the site.
fn content(remote: &Client) -> String {
    let tables = remote.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    let rows = tables.iter().map(|row| {
        let rows = remote.query(&format!("SELECT * FROM {}", row[0].as_str().unwrap()));
        format!("{} {rows:?}", row[0])
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[test]
fn version_1_is_read_and_written_as_it_was() {
    if sqld::is_missing() {
        return;
    }
    let (server, remote, machines) = fleet(3);
    assert_eq!(pull(&machines[0]), "3 runs: 3 new, 0 completed, 0 known");
    machines[1].add(["golden/gpu-reps4.json", "golden/cpu-i7-14b.json"]);
    assert_eq!(push(&machines[1]), "2 runs: 1 new, 0 completed, 1 known");
    means_are_true(&server);
    let expected = Sandbox::new();
    expected.add(["golden/gpu-reps4.json", "golden/apple-m4max-power.json"]);
    for (here, there) in [("1", "1"), ("2", "2")] {
        for format in ["json", "csv"] {
            let export = |machine: &Sandbox, id| machine.run(["export", id, "-o", format]).ok();
            assert_eq!(export(&machines[0], here), export(&expected, there));
        }
    }
    let init = machines[2].run(["push", "--init"]);
    init.ok();
    assert!(init.text().contains("was prepared before"));
    assert_eq!(remote.value("SELECT version FROM localstore_fleet"), 1);
    assert_eq!(pull(&machines[0]), "1 run: 1 new, 0 completed, 0 known");
}

/// Columns with a default and lines of kinds that nobody knows yet leave both numbers alone.
#[test]
fn additions_of_a_later_version_disturb_nobody() {
    if sqld::is_missing() {
        return;
    }
    let (server, remote, machines) = fleet(2);
    for sql in [
        "UPDATE localstore_fleet SET version = 2",
        "ALTER TABLE localstore_fleet ADD COLUMN name TEXT NOT NULL DEFAULT 'lab'",
        "ALTER TABLE localstore_fleet_runs ADD COLUMN watts REAL DEFAULT 1.5",
        "ALTER TABLE localstore_fleet_log ADD COLUMN at INTEGER NOT NULL DEFAULT 7",
        "ALTER TABLE localstore_fleet_stores ADD COLUMN program TEXT",
        "ALTER TABLE benchmark_runs ADD COLUMN note TEXT",
        "CREATE TABLE localstore_fleet_later (a)",
        "INSERT INTO localstore_fleet_log (store, kind, run_id, detail) VALUES
             (x'07', 'praise', 1, '{}'), (x'07', 'praise', 99, x'ff'), (x'07', 'verdict', 2, NULL)",
    ] {
        remote.query(sql);
    }
    assert_eq!(pull(&machines[0]), "3 runs: 3 new, 0 completed, 0 known");
    assert!(pull(&machines[0]).starts_with("0 runs"));
    machines[1].add(["golden/cpu-i7-14b.json"]);
    assert_eq!(push(&machines[1]), "1 run: 1 new, 0 completed, 0 known");
    means_are_true(&server);
    assert_eq!(pull(&machines[0]), "1 run: 1 new, 0 completed, 0 known");
    machines[1].run(["push", "--init"]).ok();
    assert_eq!(remote.value("SELECT version FROM localstore_fleet"), 2);
}

#[test]
fn a_program_that_is_too_old_changes_nothing() {
    if sqld::is_missing() {
        return;
    }
    let (server, remote, machines) = fleet(1);
    let machine = &machines[0];
    machine.add(["golden/gpu-reps4.json"]);
    push(machine);
    machine.add(["golden/cpu-i7-14b.json"]);
    remote.query("UPDATE localstore_fleet SET version = 2, writes_from = 2");
    let before = content(&remote);
    let refused = |args: &[&str], word: &str| {
        let message = machine.run(args).failed();
        assert!(
            message.contains(&format!("{word} by programs that know version 2"))
                && message.contains("version 1"),
            "{message}"
        );
        assert!(content(&remote) == before, "{args:?}");
    };
    let address = url(server.address());
    for args in [
        &["push"][..],
        &["push", "--dry-run"],
        &["push", "--init"],
        &["rm", "-y", "--remote", &address, "1"],
    ] {
        refused(args, "written");
    }
    // It may still read.
    assert_eq!(pull(machine), "3 runs: 2 new, 0 completed, 1 known");
    remote.query("UPDATE localstore_fleet SET reads_from = 2");
    let before = content(&remote);
    for args in [
        &["pull"][..],
        &["pull", "--model", "x"],
        &["pull", "--dry-run"],
    ] {
        let message = machine.run(args).failed();
        assert!(
            message.contains("read by programs that know version 2")
                && message.contains("version 1"),
            "{message}"
        );
    }
    assert!(content(&remote) == before);
    assert_eq!(machine.run(["list", "-o", "csv"]).text().lines().count(), 5);
}

/// The body of a run there as JSON.
fn body(remote: &Client, id: i64) -> String {
    let sql = format!("SELECT body FROM localstore_fleet_runs WHERE run_id = {id}");
    let body = STANDARD_NO_PAD.decode(remote.value(&sql).as_str().unwrap());
    String::from_utf8(decompress_to_vec_zlib(&body.unwrap()).unwrap()).unwrap()
}

/// Puts another body in the place of a run's, as a later program would.
fn set_body(remote: &Client, id: i64, json: &str) {
    let body = compress_to_vec_zlib(json.as_bytes(), 1);
    let hex: Vec<String> = body.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    remote.query(&format!(
        "UPDATE localstore_fleet_runs SET body = x'{hex}', digest = randomblob(8) WHERE run_id = {id}"
    ));
}

/// A body with members that nobody knows at the end of each object that may have such.
fn with_unknown(body: &str) -> String {
    let before_the_end = |body: &str, members: &str| {
        let at = body.find(",\"added_at\"").unwrap();
        format!("{}{members}{}", &body[..at], &body[at..])
    };
    let mut body = body.to_owned();
    for (name, members) in [
        ("\"runtime_info\":{", "\"build\":[1,{\"os\":\"é\"}]"),
        ("\"results\":[{", "\"watts\":18446744073709551616.50"),
    ] {
        let start = body.find(name).unwrap() + name.len();
        let end = start + body[start..].find('}').unwrap();
        let comma = if end == start { "" } else { "," };
        body.insert_str(end, &format!("{comma}{members}"));
    }
    before_the_end(&body, ",\"energy\":{\"j\":-0.0},\"later\":null")
}

#[test]
fn what_a_newer_program_tells_of_a_run_is_never_lost() {
    if sqld::is_missing() {
        return;
    }
    let (_server, remote, machines) = fleet(3);
    let other = Sqld::start();
    machines[0]
        .run(["push", "--init", &url(other.address())])
        .ok();
    let other_remote = Client::new(other.address());
    for id in [1, 3] {
        let body = with_unknown(&body(&remote, id));
        set_body(&remote, id, &body);
    }
    pull(&machines[0]);
    // As they came, to another remote, also by way of a merge, a backup and a completed run.
    let backup = machines[0].path().join("backup.sqlite");
    machines[0]
        .run(["backup".as_ref(), backup.as_os_str()])
        .ok();
    for file in [machines[0].store(), backup] {
        let merged = Sandbox::new();
        merged.run(["merge".as_ref(), file.as_os_str()]).ok();
        merged.run(["check"]).ok();
        let other = Sqld::start();
        merged.run(["push", "--init", &url(other.address())]).ok();
        merged.run(["push", &url(other.address())]).ok();
        let other = Client::new(other.address());
        for id in [1, 3] {
            assert_eq!(body(&other, id), body(&remote, id));
        }
    }
    machines[0].run(["push", &url(other.address())]).ok();
    for id in [1, 3] {
        assert_eq!(body(&other_remote, id), body(&remote, id));
    }
    // A store that has the run without them takes them, and does not take them away there.
    machines[1].add(["golden/gpu-reps4.json"]);
    assert_eq!(push(&machines[1]), "1 run: 0 new, 0 completed, 1 known");
    let known = body(&remote, 1);
    assert!(known.contains("energy") && known.contains("watts") && known.contains("build"));
    assert_eq!(pull(&machines[1]), "3 runs: 2 new, 1 completed, 0 known");
    let members = "SELECT count(*) FROM localstore_unknown_members";
    let count = |machine: &Sandbox| -> i64 {
        machine
            .db()
            .query_row(members, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!((count(&machines[0]), count(&machines[1])), (2, 2));
    // Two programs tell different things of one run: all of it is kept.
    let told = known.replace("\"energy\":{\"j\":-0.0},\"later\":null", "\"sooner\":[]");
    set_body(&other_remote, 1, &told);
    last_line(&machines[1], &["pull", &url(other.address())]);
    machines[1].run(["push"]).ok();
    let all = body(&remote, 1);
    assert!(
        all.contains("\"later\":null") && all.contains("\"sooner\":[]"),
        "{all}"
    );
    // What an older program has kept, and this one writes by itself, is written once.
    machines[2].add(["golden/cpu-i7-14b.json"]);
    machines[2]
        .db()
        .execute_batch(
            r#"INSERT INTO localstore_unknown_members VALUES
                 (1, '{"":{"added_at":"x","later":1},"results[0]":{"reps":7,"name":""}}')"#,
        )
        .unwrap();
    assert_eq!(push(&machines[2]), "1 run: 1 new, 0 completed, 0 known");
    assert_eq!(body(&remote, 4).matches("added_at").count(), 1);
    assert!(body(&remote, 4).contains("\"later\":1"));
    pull(&machines[0]);
    assert_eq!(count(&machines[0]), 3);
}

#[test]
fn a_run_of_a_higher_format_waits_for_a_newer_program() {
    if sqld::is_missing() {
        return;
    }
    let (_server, remote, machines) = fleet(2);
    remote.query("UPDATE localstore_fleet_runs SET format = 2 WHERE run_id = 2");
    let ran = machines[0].run(["pull"]);
    ran.ok();
    let last = "3 runs: 2 new, 0 completed, 0 known, 1 need a newer program";
    assert_eq!(ran.text().lines().last(), Some(last));
    assert!(ran.stderr.contains("newer localstore"), "{}", ran.stderr);
    assert!(pull(&machines[0]).starts_with("0 runs"));
    // It is known to a push, and is not written again.
    machines[1].add(["golden/apple-m4max-power.json", "golden/gpu-reps4.json"]);
    let bodies =
        || remote.query("SELECT hex(body), format FROM localstore_fleet_runs ORDER BY run_id");
    let before = bodies();
    assert_eq!(push(&machines[1]), "2 runs: 0 new, 0 completed, 2 known");
    assert_eq!(bodies(), before);
    // A program that can read it takes it over, and what was behind it is known.
    remote.query("UPDATE localstore_fleet_runs SET format = 1 WHERE run_id = 2");
    machines[0]
        .db()
        .execute("UPDATE localstore_peers SET left_out_format = 1", [])
        .unwrap();
    let taken = pull(&machines[0]);
    assert!(taken.contains("1 new, 0 completed"), "{taken}");
    let left = "SELECT count(*) FROM localstore_peers WHERE left_out IS NOT NULL";
    let left: i64 = machines[0]
        .db()
        .query_row(left, [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
    assert!(pull(&machines[0]).starts_with("0 runs"));
}

//! What travels, and comes back byte for byte on another machine.

use std::path::PathBuf;

use serde_json::json;

use crate::bench::Bench;
use crate::fleet::hrana::Client;
use crate::fleet::sqld::{self, Sqld};
use crate::fleet::{machines, means_are_true, pull, push, url};
use crate::sandbox::{Sandbox, fixture};

/// The formats that `export` prints.
const FORMATS: [&str; 5] = ["json", "csv", "md", "jsonl", "sql"];

/// Prepares a server for a fleet of so many machines.
fn fleet(count: usize) -> (Sqld, Vec<Sandbox>) {
    let server = Sqld::start();
    let machines = machines(count, server.address());
    machines[0].run(["push", "--init"]).ok();
    (server, machines)
}

fn ids(machine: &Sandbox) -> Vec<String> {
    let db = machine.db();
    let mut statement = db
        .prepare("SELECT run_id FROM localstore_runs ORDER BY run_id")
        .unwrap();
    let ids = statement.query_map([], |row| Ok(row.get::<_, i64>(0)?.to_string()));
    ids.unwrap().map(Result::unwrap).collect()
}

/// All that a store tells of its runs but for their ids, in their order: what `export` prints of each
/// and of all, dates, tags and submissions.
fn content(machine: &Sandbox) -> Vec<String> {
    let mut all = Vec::new();
    let export = |args: &[&str]| {
        let ran = machine.run([&["export"], args].concat());
        // Bytes that are no UTF-8 are told apart too.
        let text: String = ran.stdout.iter().map(|&byte| char::from(byte)).collect();
        let text = text
            .lines()
            .map(|line| match line.strip_prefix("{\"id\":") {
                Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
                None => line,
            });
        let text: Vec<&str> = text.collect();
        format!("{args:?} {:?} {}", ran.code, text.join("\n"))
    };
    for format in FORMATS {
        all.push(export(&["--all", "-o", format]));
    }
    for id in ids(machine) {
        for format in FORMATS {
            let text = export(&[&id, "-o", format]);
            all.push(text.replacen(&format!("\"{id}\""), "", 1));
        }
    }
    let db = machine.db();
    let sql = "SELECT printf('%s %d %d %d %d %s %s %s %s', tool, measured_at, measured_guessed,
             partial, poor, source, hex(fingerprint), hex(core),
             coalesce((SELECT created_at FROM benchmark_runs b WHERE b.id = r.run_id),
                 (SELECT added_at FROM localstore_bench_runs b WHERE b.run_id = r.run_id)))
             || coalesce((SELECT group_concat(tag) FROM
                 (SELECT tag FROM localstore_tags t WHERE t.run_id = r.run_id ORDER BY tag)), '')
             || coalesce((SELECT printf(' %s %s %s %s %s', state, remote_id, link, site, changed_at)
                 FROM localstore_submissions s WHERE s.run_id = r.run_id
                     AND state IN ('submitted', 'unknown')), '')
         FROM localstore_runs r ORDER BY run_id";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0));
    all.extend(rows.unwrap().map(Result::unwrap));
    all
}

#[track_caller]
fn assert_same(one: &[String], other: &[String]) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other);
    }
}

/// Every capture of the fixtures whose name ends so, in the order of their names.
fn captures(endings: &[&str]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for folder in ["golden", "golden/llama-bench", "captures", "bad"] {
        for entry in std::fs::read_dir(fixture(folder)).unwrap() {
            all.push(entry.unwrap().path());
        }
    }
    all.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        endings.iter().any(|ending| name.ends_with(ending))
    });
    all.sort();
    all
}

/// A run whose numbers and texts are the oddest that a capture can have.
fn odd() -> Vec<u8> {
    let text = Bench::default().document();
    let mut text = text.into_bytes();
    for (from, to) in [
        ("\"stddev_time_ms\":0.0", &b"\"stddev_time_ms\":-nan"[..]),
        ("\"power_watts\":0.0", b"\"power_watts\":inf"),
        ("\"prompt_tps_watt\":0.0", b"\"prompt_tps_watt\":-0.0"),
        ("\"gen_tps_watt\":0.0", b"\"gen_tps_watt\":nan"),
        (
            "\"model_size\":799862912",
            b"\"model_size\":18446744073709551615",
        ),
        (
            "\"cpu_name\":\"CPU One\"",
            b"\"cpu_name\":\"CPU \xff\xfe One\"",
        ),
        (
            "\"model_filename\":\"model.gguf\"",
            b"\"model_filename\":\"a\\u0000b\\ud800.gguf\"",
        ),
        ("\"GPU One\"", b"\"GPU \\u0000\\u001b[31m \xc3\xa4\""),
    ] {
        let mut place = 0;
        while let Some(at) = text[place..]
            .windows(from.len())
            .position(|window| window == from.as_bytes())
        {
            let at = place + at;
            text.splice(at..at + from.len(), to.iter().copied());
            place = at + to.len();
        }
        assert_ne!(place, 0, "{from} is there");
    }
    text
}

/// Pushes and pulls the runs of a machine through two remotes and two more machines.
#[track_caller]
fn assert_travels(machine: &Sandbox, count: usize) {
    let before = content(machine);
    assert_eq!(ids(machine).len(), count);
    let (server, others) = fleet(2);
    let [there, far] = &others[..] else {
        unreachable!()
    };
    let args = |word| vec![word, url(server.address())];
    let word = |word: &str| args(word.to_owned());
    let said = machine.run(word("push")).text();
    assert!(
        said.ends_with(&format!("runs: {count} new, 0 completed, 0 known\n")),
        "{said}"
    );
    assert_eq!(push(there), "0 runs: 0 new, 0 completed, 0 known");
    assert_eq!(
        pull(there),
        format!("{count} runs: {count} new, 0 completed, 0 known")
    );
    assert_same(&before, &content(there));
    means_are_true(&server);

    let second = Sqld::start();
    let second_url = url(second.address());
    there.run(["push", "--init", &second_url]).ok();
    there.run(["push", &second_url]).ok();
    far.run(["pull", &second_url]).ok();
    assert_same(&before, &content(far));
    means_are_true(&second);
    // Whoever has got them by one way gets nothing by the other one, and has nothing to tell there.
    let known = format!("{count} runs: 0 new, 0 completed, {count} known");
    assert_eq!(pull(far), known);
    machine.run(["pull", &second_url]).ok();
    let again = machine.run(["push", &second_url]).text();
    assert!(again.ends_with(&format!("{known}\n")), "{again}");
    for (machine, remote) in [
        (there, &server),
        (there, &second),
        (far, &server),
        (far, &second),
    ] {
        let remote = url(remote.address());
        machine.run(["push", &remote]).ok();
        machine.run(["pull", &remote]).ok();
        assert_same(&before, &content(machine));
    }
    assert_same(&before, &content(machine));
    let fleet = |server: &Sqld| {
        let client = Client::new(server.address());
        client.value("SELECT count(*) FROM localstore_fleet_runs")
    };
    assert_eq!(
        [fleet(&server), fleet(&second)],
        [json!(count), json!(count)]
    );
}

/// A machine with captures that end so; what cannot be read is not stored.
fn machine_with(endings: &[&[&str]]) -> Sandbox {
    let machine = Sandbox::new();
    for endings in endings {
        for capture in captures(endings) {
            machine.run(["add".as_ref(), capture.as_os_str()]);
        }
    }
    machine
}

#[test]
fn every_json_comes_back_as_it_was() {
    if sqld::is_missing() {
        return;
    }
    let machine = machine_with(&[&[".json", ".jsonl", ".stdout.txt", ".log"]]);
    machine.run_with_input(["add"], &odd()).ok();
    machine.run(["tag", "all", "1-20"]).ok();
    machine.run(["tag", "ä/😀", "3", "5"]).ok();
    machine.run(["untag", "all", "4"]).ok();
    let count = ids(&machine).len();
    assert_travels(&machine, count);
}

#[test]
fn every_csv_comes_back_as_it_was() {
    if sqld::is_missing() {
        return;
    }
    let machine = machine_with(&[&[".csv"]]);
    let count = ids(&machine).len();
    assert!(count > 25, "{count}");
    assert_travels(&machine, count);
}

#[test]
fn every_table_comes_back_as_it_was() {
    if sqld::is_missing() {
        return;
    }
    let machine = machine_with(&[&[".md", ".stderr.txt", ".sql"]]);
    let count = ids(&machine).len();
    assert!(count > 25, "{count}");
    assert_travels(&machine, count);
}

/// What one capture tells beside another: a table that was printed before the json is remembered.
#[test]
fn runs_that_were_completed_come_back_as_they_were() {
    if sqld::is_missing() {
        return;
    }
    let machine = machine_with(&[&[".md"], &[".csv"], &[".json"]]);
    let count = ids(&machine).len();
    assert!(count > 25, "{count}");
    assert_travels(&machine, count);
}

//! How push and pull know what is new: whatever machines do, in whatever order, nothing is lost, there
//! twice or skipped.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::bench::Bench;
use crate::fleet::hrana::Client;
use crate::fleet::proxy::Proxy;
use crate::fleet::sqld::{self, Options, Sqld};
use crate::fleet::{last_line, means_are_true, pull, push, url};
use crate::random::{Random, seed};
use crate::sandbox::{Sandbox, read_fixture};

/// A run is its numbers, and on which of two machines they were measured.
type Name = (String, i64);

/// What a capture of a run is read from.
type Source = String;

const MACHINES: usize = 4;

/// A run with its two captures, of which the second one knows less.
struct Captured {
    model: String,
    captures: [Vec<u8>; 2],
}

/// Runs with their json and their csv, which tells no machine. The last one has the numbers of the one
/// before on another machine, so of these two there is json alone.
fn captured() -> Vec<Captured> {
    let read = |name: &str, ending: &str| read_fixture(&format!("golden/{name}.{ending}"));
    let names = [
        "apple-m4max-power",
        "cpu-i7-14b",
        "gpu-reps16",
        "gpu-rtx4090-8b",
        "utf8-model",
        "sub-millisecond",
        "reps3-identical-samples",
    ];
    let mut all: Vec<[Vec<u8>; 2]> = names
        .iter()
        .map(|name| [read(name, "json"), read(name, "csv")])
        .collect();
    let one = read("gpu-reps4", "json");
    let two = String::from_utf8(one.clone()).unwrap();
    let two = two.replace("RTX 4090", "RTX 5090").into_bytes();
    all.extend([[one.clone(), one], [two.clone(), two]]);
    let captured = |captures: [Vec<u8>; 2]| {
        let json: serde_json::Value = serde_json::from_slice(&captures[0]).unwrap();
        let model = json["results"][0]["model_name"].as_str().unwrap();
        Captured {
            model: model.to_lowercase(),
            captures,
        }
    };
    all.into_iter().map(captured).collect()
}

/// What a machine has removed.
#[derive(Clone, Default)]
struct Removed {
    /// What its store must not have.
    now: BTreeSet<Name>,
    /// What was removed once; if it was added again, it may be known less here than there.
    once: BTreeSet<Name>,
}

impl Removed {
    fn insert(&mut self, name: &Name) {
        self.now.insert(name.clone());
        self.once.insert(name.clone());
    }
}

/// A machine, and what its store must not have.
struct Machine {
    sandbox: Sandbox,
    removed: Removed,
    backup: Option<(Vec<u8>, Removed)>,
}

impl Machine {
    fn db(&self) -> rusqlite::Connection {
        self.sandbox.db()
    }

    fn ids(&self) -> Vec<(i64, Name)> {
        let db = self.db();
        let mut runs = db
            .prepare(
                "SELECT run_id, hex(core), iif(accelerator_name LIKE '%5090', 2, 1) FROM localstore_runs r
                 JOIN localstore_environments e ON e.id = r.environment_id ORDER BY run_id",
            )
            .unwrap();
        let runs = runs.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))));
        runs.unwrap().map(Result::unwrap).collect()
    }

    /// Its runs, which must be there once each.
    #[track_caller]
    fn runs(&self) -> BTreeMap<Name, Source> {
        let db = self.db();
        let mut runs = BTreeMap::new();
        for (id, name) in self.ids() {
            let source = db.query_row(
                "SELECT source FROM localstore_runs WHERE run_id = ?1",
                [id],
                |row| row.get(0),
            );
            let before = runs.insert(name, source.unwrap());
            assert_eq!(before, None, "a run is there twice");
        }
        runs
    }

    /// The runs that came from the remote alone.
    fn pulled(&self) -> BTreeSet<Name> {
        let db = self.db();
        let sql = "SELECT 1 FROM localstore_brought WHERE run_id = ?1 AND from_store <> x''";
        let mut pulled = db.prepare(sql).unwrap();
        let ids = self.ids().into_iter();
        let ids = ids.filter(|(id, _)| pulled.exists([id]).unwrap());
        ids.map(|(_, name)| name).collect()
    }

    /// The file of the store, with all that was written last.
    fn image(&self) -> Vec<u8> {
        let db = self.db();
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(db);
        fs::read(self.sandbox.store()).unwrap()
    }

    fn put_back(&mut self, image: &[u8], removed: Removed) {
        for ending in ["-wal", "-shm"] {
            let mut path = self.sandbox.store().into_os_string();
            path.push(ending);
            let _ = fs::remove_file(path);
        }
        let path = self.sandbox.store();
        fs::remove_file(&path).unwrap();
        fs::copy(self.sandbox.file("image", image), path).unwrap();
        self.removed = removed;
    }
}

/// The runs of the remote, which must be there once each and as the public tables have them.
#[track_caller]
fn runs_of(server: &Sqld) -> BTreeMap<Name, Source> {
    let client = Client::new(server.address());
    let rows = client.query(
        "SELECT hex(core), iif(accelerator LIKE '%5090', 2, 1), source FROM localstore_fleet_runs",
    );
    let mut runs = BTreeMap::new();
    for row in rows {
        let text = |at: usize| row[at].as_str().unwrap().to_owned();
        let name = (text(0), row[1].as_i64().unwrap());
        let before = runs.insert(name, text(2));
        assert_eq!(before, None, "a run is on the remote twice");
    }
    assert_eq!(
        client.value("SELECT count(*) FROM benchmark_runs"),
        runs.len()
    );
    assert_eq!(
        client.value("SELECT count(*) FROM test_results"),
        client.value("SELECT coalesce(sum(tests), 0) FROM localstore_fleet_runs")
    );
    means_are_true(server);
    runs
}

/// What a store has after a pull: what the remote has, as well known, but for what was removed here.
#[track_caller]
fn has_all(machine: &Machine, there: &BTreeMap<Name, Source>, wanted: impl Fn(&Name) -> bool) {
    let here = machine.runs();
    for (name, source) in there {
        if machine.removed.now.contains(name) {
            assert!(
                !here.contains_key(name),
                "what was removed has come back: {name:?}"
            );
        } else if wanted(name) {
            let found = here.get(name);
            assert!(found.is_some(), "a run lacks: {name:?}");
            let is_as_known = source != "json" || found == Some(source);
            let is_exempt = machine.removed.once.contains(name);
            assert!(is_as_known || is_exempt, "{name:?} is known less");
        }
    }
}

/// What machines do in an order that looks random is told by what must be true at any time.
#[test]
fn whatever_is_done_nothing_is_lost_or_twice() {
    if sqld::is_missing() {
        return;
    }
    let runs = captured();
    let seed = seed();
    for round in 0..3 {
        play(
            &runs,
            &mut Random::new(seed, round),
            &format!("seed {seed}, round {round}"),
        );
    }
}

#[allow(clippy::too_many_lines, reason = "a list of all that can be done")]
fn play(captured: &[Captured], random: &mut Random, what: &str) {
    let mut server = Sqld::start();
    let mut machines: Vec<Machine> = crate::fleet::machines(MACHINES, server.address())
        .into_iter()
        .map(|sandbox| Machine {
            sandbox,
            removed: Removed::default(),
            backup: None,
        })
        .collect();
    machines[0].sandbox.run(["push", "--init"]).ok();
    let mut names: BTreeMap<Name, usize> = BTreeMap::new();
    let mut withdrawn: BTreeSet<Name> = BTreeSet::new();
    let mut server_backup = None;
    let mut is_remote_put_back = false;
    let mut steps: Vec<String> = Vec::new();
    for machine in &machines {
        machine
            .sandbox
            .run_with_input(["add"], &captured[0].captures[0])
            .ok();
        machine.sandbox.run(["rm", "-y", "1"]).ok();
    }
    // The names of the runs: what a store finds them by.
    let scratch = Machine {
        sandbox: Sandbox::new(),
        removed: Removed::default(),
        backup: None,
    };
    for run in captured {
        scratch
            .sandbox
            .run_with_input(["add"], &run.captures[0])
            .ok();
    }
    for (number, (_, name)) in scratch.ids().into_iter().enumerate() {
        names.insert(name, number);
    }
    for machine in &mut machines {
        let first = names.iter().find(|(_, number)| **number == 0);
        machine.removed.insert(first.unwrap().0);
    }
    let step = |steps: &mut Vec<String>, step: String| {
        steps.push(step);
        if std::env::var_os("LOCALSTORE_STEPS").is_some() {
            crate::report(steps.last().unwrap());
        }
    };
    step(&mut steps, what.to_owned());
    for _ in 0..60 {
        let number = random.below(MACHINES);
        let other = (number + 1 + random.below(MACHINES - 1)) % MACHINES;
        let one = captured.len();
        let machine = &mut machines[number];
        match random.below(20) {
            0..5 => {
                let run = random.below(one);
                let form = random.below(2);
                step(&mut steps, format!("{number} adds {run} as {form}"));
                machine
                    .sandbox
                    .run_with_input(["add"], &captured[run].captures[form])
                    .ok();
                machine.removed.now.retain(|name| names[name] != run);
            }
            5..9 => {
                step(&mut steps, format!("{number} pushes"));
                let line = push(&machine.sandbox);
                step(&mut steps, line);
                let there = runs_of(&server);
                let pulled = machine.pulled();
                for (name, source) in machine.runs() {
                    if !pulled.contains(&name) && !withdrawn.contains(&name) {
                        let found = there.get(&name);
                        assert!(found.is_some(), "not pushed: {} {steps:#?}", names[&name]);
                        assert!(source != "json" || found == Some(&source), "{steps:#?}");
                    }
                }
            }
            9..13 => {
                step(&mut steps, format!("{number} pulls"));
                let ran = machine.sandbox.run(["pull"]);
                ran.ok();
                step(&mut steps, ran.text().lines().last().unwrap().to_owned());
                if ran.stderr.contains("behind") {
                    assert!(is_remote_put_back, "{steps:#?}");
                    step(&mut steps, "behind".to_owned());
                    continue;
                }
                let there = runs_of(&server);
                let result = std::panic::catch_unwind(|| has_all(machine, &there, |_| true));
                assert!(result.is_ok(), "{steps:#?}");
                for name in machine.pulled() {
                    assert!(
                        there.contains_key(&name),
                        "withdrawn: {} {steps:#?}",
                        names[&name]
                    );
                }
            }
            13 => {
                let model = ["LLAMA 3.1", "qwen"][random.below(2)];
                step(&mut steps, format!("{number} pulls {model}"));
                machine.sandbox.run(["pull", "--model", model]).ok();
                let wanted =
                    |name: &Name| captured[names[name]].model.contains(&model.to_lowercase());
                has_all(machine, &runs_of(&server), wanted);
            }
            14 => {
                let ids = machine.ids();
                if !ids.is_empty() {
                    let (id, name) = &ids[random.below(ids.len())];
                    step(&mut steps, format!("{number} removes {}", names[name]));
                    machine.sandbox.run(["rm", "-y", &id.to_string()]).ok();
                    machine.removed.insert(name);
                }
            }
            15 => {
                let ids = machine.ids();
                if !ids.is_empty() {
                    let (id, name) = &ids[random.below(ids.len())];
                    let remote = url(server.address());
                    step(&mut steps, format!("{number} withdraws {}", names[name]));
                    let ran =
                        machine
                            .sandbox
                            .run(["rm", "-y", "--remote", &remote, &id.to_string()]);
                    ran.ok();
                    let is_there = runs_of(&server).contains_key(name);
                    assert_eq!(is_there, ran.text().contains("stays on"), "{steps:#?}");
                    if ran.text().contains("; withdrawn from") {
                        withdrawn.insert(name.clone());
                    }
                    machine.removed.insert(name);
                }
            }
            16 => {
                let ids = machine.ids();
                if !ids.is_empty() {
                    let id = ids[random.below(ids.len())].0.to_string();
                    step(&mut steps, format!("{number} tags"));
                    machine
                        .sandbox
                        .run(["tag", &format!("t{number}"), &id])
                        .ok();
                }
            }
            17 => {
                step(&mut steps, format!("{number} becomes a copy of {other}"));
                let image = machines[other].image();
                let removed = machines[other].removed.clone();
                machines[number].put_back(&image, removed);
            }
            18 => match machine.backup.take() {
                None => {
                    step(&mut steps, format!("{number} is backed up"));
                    machine.backup = Some((machine.image(), machine.removed.clone()));
                }
                Some((image, removed)) => {
                    step(&mut steps, format!("{number} is put back"));
                    machine.put_back(&image, removed);
                }
            },
            _ => match server_backup.take() {
                None => {
                    step(&mut steps, "the remote is backed up".to_owned());
                    server_backup = Some(server.backup());
                }
                Some(backup) => {
                    step(&mut steps, "the remote is put back".to_owned());
                    server.put_back(backup.path());
                    is_remote_put_back = true;
                }
            },
        }
    }
    // The log grows past all that was pulled before it was put back.
    let grow = Sandbox::new();
    let runs = (0..60).map(|number| Bench {
        accelerator: "GPU Three",
        speed: 3.0 + f64::from(number),
        ..Bench::default()
    });
    let text: String = runs.map(|bench| bench.document() + "\n").collect();
    grow.run_with_input(["add"], text.as_bytes()).ok();
    grow.run(["push", &url(server.address())]).ok();
    for _ in 0..2 {
        for machine in &machines {
            pull(&machine.sandbox);
            push(&machine.sandbox);
        }
    }
    let there = runs_of(&server);
    for (number, machine) in machines.iter().enumerate() {
        let ran = machine.sandbox.run(["pull"]);
        ran.ok();
        assert!(!ran.stderr.contains("behind"), "{steps:#?}");
        step(&mut steps, format!("{number} is looked at"));
        let result = std::panic::catch_unwind(|| has_all(machine, &there, |_| true));
        assert!(result.is_ok(), "{steps:#?}");
        for (name, source) in machine.runs() {
            let found = there.get(&name);
            let is_there = found.is_some() || withdrawn.contains(&name);
            assert!(is_there, "lost: {} {steps:#?}", names[&name]);
            assert!(
                found.is_none() || source != "json" || found == Some(&source),
                "{steps:#?}"
            );
        }
        assert_eq!(
            push(&machine.sandbox),
            "0 runs: 0 new, 0 completed, 0 known",
            "{steps:#?}"
        );
        assert_eq!(
            pull(&machine.sandbox),
            "0 runs: 0 new, 0 completed, 0 known",
            "{steps:#?}"
        );
    }
}

/// The names of runs that differ in their speed.
fn runs(speeds: std::ops::Range<u32>) -> Vec<u8> {
    let runs = speeds.map(|number| Bench {
        speed: 1.0 + f64::from(number) / 100.0,
        tests: 1,
        ..Bench::default()
    });
    let text: String = runs.map(|bench| bench.document() + "\n").collect();
    text.into_bytes()
}

/// Many replicas behind one address: another one may answer the second request, and lag.
#[test]
fn a_replica_that_is_further_behind_at_the_second_request_makes_nothing_skipped() {
    if sqld::is_missing() {
        return;
    }
    let mut server = Sqld::start();
    let machines = crate::fleet::machines(3, server.address());
    let [one, log, list] = &machines[..] else {
        unreachable!()
    };
    one.run(["push", "--init"]).ok();
    let more = |range: std::ops::Range<u32>| {
        one.run_with_input(["add"], &runs(range)).ok();
        push(one);
    };
    push(log);
    let empty = server.backup();
    more(0..5);
    pull(list);
    // From here on it is another log, in which the place of `list` is not.
    server.put_back(empty.path());
    more(10..12);
    let behind = server.backup();
    more(20..30);
    let whole = server.backup();
    let all = 17;
    for machine in [log, list] {
        let before = count(machine);
        let proxy = Proxy::http(server.address());
        proxy.delay(Duration::from_secs(2));
        let mut command = machine.command(["pull", &url(proxy.address())]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let pulling = command.stderr(Stdio::piped()).spawn().unwrap();
        proxy.wait_until(|proxy| proxy.received() > 0);
        server.put_back(behind.path());
        let ran = pulling.wait_with_output().unwrap();
        let told = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success() && told.contains("behind"), "{told}");
        assert_eq!(count(machine), before);
        server.put_back(whole.path());
        pull(machine);
        assert_eq!(count(machine), all);
        assert_eq!(pull(machine), "0 runs: 0 new, 0 completed, 0 known");
    }
    push(list);
    assert_eq!(
        Client::new(server.address()).value("SELECT count(*) FROM localstore_fleet_runs"),
        all
    );
}

/// A replica that lags gives what it has, and takes what the primary decides about.
#[test]
fn a_replica_that_lags_makes_nothing_skipped_or_twice() {
    if sqld::is_missing() {
        return;
    }
    let primary = Sqld::with(Options {
        is_primary: true,
        ..Options::default()
    });
    let link = Proxy::stream(primary.grpc());
    let replica = Sqld::replica(link.address());
    let machines = crate::fleet::machines(2, primary.address());
    let [one, two] = &machines[..] else {
        unreachable!()
    };
    let near = url(replica.address());
    let follows = |runs: i64| {
        let reader = Client::new(replica.address());
        link.wait_until(|_| {
            let found = reader.try_query("SELECT count(*) FROM localstore_fleet_runs", &[]);
            found.is_ok_and(|rows| rows[0][0] == runs)
        });
        // A replica that joins when its link stalls answers nobody until it goes on.
        let passed = Cell::new(0);
        link.wait_until(|link| {
            std::thread::sleep(Duration::from_secs(1));
            passed.replace(link.received()) == link.received()
        });
    };
    let nothing = "0 runs: 0 new, 0 completed, 0 known";
    let behind = |machine: &Sandbox| {
        let ran = machine.run(["pull", &near]);
        ran.ok();
        assert!(ran.stderr.contains("behind"), "{}", ran.stderr);
        assert_eq!(ran.text().lines().last(), Some(nothing));
    };
    one.run(["push", "--init", &near]).ok();
    one.run_with_input(["add"], &runs(0..3)).ok();
    push(one);
    follows(3);
    link.speed(0);
    one.run_with_input(["add"], &runs(10..13)).ok();
    push(one);
    let three = "3 runs: 3 new, 0 completed, 0 known";
    assert_eq!(last_line(two, &["pull", &near]), three);
    // As far as the replica is.
    let ran = two.run(["pull", &near]);
    ran.ok();
    assert_eq!((ran.text(), &*ran.stderr), (format!("{nothing}\n"), ""));
    assert_eq!(pull(two), three);
    behind(two);
    // Nor does a filter ask for more than it has.
    let filtered = last_line(two, &["pull", "--since", "2000-01-01", &near]);
    assert_eq!(filtered, "3 runs: 0 new, 0 completed, 3 known");
    behind(two);
    // It has not seen how far a store has sent, nor what.
    link.speed(400_000);
    one.run_with_input(["add"], &runs(20..22)).ok();
    two.run_with_input(["add"], &runs(10..15)).ok();
    let two_new = "2 runs: 2 new, 0 completed, 0 known";
    assert_eq!(last_line(one, &["push", &near]), two_new);
    let line = last_line(two, &["push", &near]);
    assert!(line.contains(": 2 new, 0 completed, "), "{line}");
    let there = Client::new(primary.address()).value("SELECT count(*) FROM localstore_fleet_runs");
    assert_eq!(there, 10);
    link.speed(u64::MAX);
    follows(10);
    for machine in [one, two] {
        last_line(machine, &["pull", &near]);
        assert_eq!(count(machine), 10);
        for remote in [&near, &url(primary.address())] {
            last_line(machine, &["pull", remote]);
            assert_eq!(last_line(machine, &["push", remote]), nothing);
            assert_eq!(last_line(machine, &["pull", remote]), nothing);
        }
        assert_eq!(count(machine), 10);
    }
    means_are_true(&primary);
}

/// Nor is a run taken for absent that another replica, or the primary, has got.
#[test]
fn a_run_that_a_replica_has_not_got_is_not_removed_here_alone() {
    if sqld::is_missing() {
        return;
    }
    let mut server = Sqld::start();
    let machines = crate::fleet::machines(1, server.address());
    let [one] = &machines[..] else { unreachable!() };
    one.run(["push", "--init"]).ok();
    one.run_with_input(["add"], &runs(0..2)).ok();
    let behind = server.backup();
    push(one);
    let whole = server.backup();
    server.put_back(behind.path());
    let proxy = Proxy::http(server.address());
    proxy.delay(Duration::from_secs(1));
    let mut command = one.command(["rm", "-y", "--remote", &url(proxy.address()), "1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let removing = command.stderr(Stdio::piped()).spawn().unwrap();
    // Three to look, and one to write.
    proxy.wait_until(|proxy| proxy.requests() > 3);
    server.put_back(whole.path());
    let ran = removing.wait_with_output().unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{told}");
    assert!(told.contains("or a replica lags"), "{told}");
    assert_eq!(count(one), 2);
    let near = url(server.address());
    let ran = one.run(["rm", "-y", "--remote", &near, "1"]);
    ran.ok();
    assert!(ran.text().contains("also from"), "{}", ran.text());
    let there = Client::new(server.address()).value("SELECT count(*) FROM localstore_fleet_runs");
    assert_eq!((there, count(one)), (1.into(), 1));
}

fn count(machine: &Sandbox) -> usize {
    let sql = "SELECT count(*) FROM localstore_runs";
    let count: i64 = machine.db().query_row(sql, [], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}

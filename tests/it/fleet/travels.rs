//! What travels, and comes back byte for byte on another machine.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;

use crate::bench::Bench;
use crate::fleet::hrana::Client;
use crate::fleet::proxy::Proxy;
use crate::fleet::sqld::{self, Sqld};
use crate::fleet::{last_line, machines, means_are_true, pull, push, site, url};
use crate::sandbox::{Sandbox, fixture, read_fixture};
use crate::torture::rounds;

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

/// What a store tells of each run, whatever their order.
fn each(machine: &Sandbox) -> Vec<String> {
    let mut each = content(machine).split_off(FORMATS.len());
    each.sort();
    each
}

fn fleet_runs(server: &Sqld) -> serde_json::Value {
    let client = Client::new(server.address());
    client.value("SELECT count(*) FROM localstore_fleet_runs")
}

/// Three machines have captures of the same runs, each another one, and send them in any order.
#[test]
fn captures_of_a_run_complete_each_other_everywhere() {
    if sqld::is_missing() {
        return;
    }
    let names = [
        "apple-m4max-power",
        "gpu-reps16",
        "nan-stddev",
        "utf8-model",
        "prompt-only-and-gen-only",
        "single-test",
    ];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let (server, machines) = fleet(3);
    for (name, order) in names.iter().zip(orders) {
        for (machine, ending) in order.into_iter().zip(["csv", "json", "md"]) {
            machines[machine].add([&*format!("golden/{name}.{ending}")]);
        }
    }
    for (number, machine) in machines.iter().enumerate() {
        machine.run(["tag", &format!("of-{number}"), "1-6"]).ok();
        let pushed = push(machine);
        let new = if number == 0 { 6 } else { 0 };
        assert!(
            pushed.starts_with(&format!("6 runs: {new} new, ")),
            "{pushed}"
        );
    }
    assert_eq!(fleet_runs(&server), 6);
    for machine in &machines {
        pull(machine);
        assert_eq!(push(machine), "0 runs: 0 new, 0 completed, 0 known");
        assert_eq!(pull(machine), "0 runs: 0 new, 0 completed, 0 known");
        assert_eq!(ids(machine).len(), 6);
        for name in names {
            let json = read_fixture(&format!("golden/{name}.json"));
            let is_there = ids(machine)
                .iter()
                .any(|id| machine.run(["export", id, "-o", "json"]).ok() == json);
            assert!(is_there, "{name}");
        }
        assert_eq!(
            machine
                .db()
                .query_row("SELECT count(*) FROM localstore_tags", [], |row| row
                    .get::<_, i64>(0))
                .unwrap(),
            18
        );
    }
    means_are_true(&server);
}

/// The same numbers on two machines are two runs, also where one of them is withdrawn.
#[test]
fn equal_numbers_of_two_machines_stay_two_runs() {
    if sqld::is_missing() {
        return;
    }
    let (server, machines) = fleet(4);
    let [one, two, early, late] = &machines[..] else {
        unreachable!()
    };
    for (machine, accelerator) in [(one, "GPU One"), (two, "GPU Two")] {
        let bench = Bench {
            accelerator,
            ..Bench::default()
        };
        machine
            .run_with_input(["add"], bench.document().as_bytes())
            .ok();
        assert_eq!(push(machine), "1 run: 1 new, 0 completed, 0 known");
    }
    assert_eq!(pull(early), "2 runs: 2 new, 0 completed, 0 known");
    let remote = url(server.address());
    one.run(["rm", "-y", "--remote", &remote, "1"]).ok();
    for machine in [early, late] {
        pull(machine);
        let left = machine.run(["list", "-o", "csv"]).text();
        assert!(
            left.contains("GPU Two") && !left.contains("GPU One"),
            "{left}"
        );
    }
    // Withdrawn and sent again, it comes back to all, but to whoever has removed it.
    let bench = Bench {
        accelerator: "GPU One",
        ..Bench::default()
    };
    one.run_with_input(["add"], bench.document().as_bytes())
        .ok();
    assert_eq!(push(one), "1 run: 1 new, 0 completed, 0 known");
    two.run(["pull"]).ok();
    let id = ids(early).remove(0);
    early.run(["rm", "-y", &id]).ok();
    for machine in [early, late] {
        assert_eq!(pull(machine), "1 run: 1 new, 0 completed, 0 known");
    }
    assert_eq!(
        [ids(early).len(), ids(late).len(), ids(two).len()],
        [1, 2, 2]
    );
    // Withdrawn and sent again before anybody looked: it never goes.
    one.run(["rm", "-y", "--remote", &remote, "last"]).ok();
    one.run_with_input(["add"], bench.document().as_bytes())
        .ok();
    push(one);
    pull(late);
    assert_eq!(
        [fleet_runs(&server), json!(ids(late).len())],
        [json!(2), json!(2)]
    );
    means_are_true(&server);
}

/// A withdrawal takes what came from that remote alone: what was added, merged or came from another
/// remote too stays, also where others have completed the run meanwhile.
#[test]
fn a_withdrawal_takes_what_came_from_there_alone() {
    if sqld::is_missing() {
        return;
    }
    let (server, machines) = fleet(6);
    let [one, pulled, added, merged, both, other] = &machines[..] else {
        unreachable!()
    };
    let second = Sqld::start();
    let [first_url, second_url] = [&server, &second].map(|server| url(server.address()));
    one.run(["push", "--init", &second_url]).ok();
    one.add(["golden/gpu-reps16.csv"]);
    push(one);
    for machine in [pulled, added, merged, both] {
        assert_eq!(pull(machine), "1 run: 1 new, 0 completed, 0 known");
    }
    one.run(["push", &second_url]).ok();
    added.add(["golden/gpu-reps16.csv"]);
    merged.run(["merge".as_ref(), one.store().as_os_str()]).ok();
    both.run(["pull", &second_url]).ok();
    // Another one knows more of it than was pulled before.
    other.add(["golden/gpu-reps16.json"]);
    assert_eq!(push(other), "1 run: 0 new, 1 completed, 0 known");
    let said = pulled
        .run(["rm", "-y", "--remote", &first_url, "--dry-run", "1"])
        .text();
    assert!(said.contains("another store has sent it"), "{said}");
    one.run(["rm", "-y", "--remote", &first_url, "1"]).ok();
    assert_eq!(fleet_runs(&server), 0);
    for (machine, left) in [
        (pulled, 0),
        (added, 1),
        (merged, 1),
        (both, 1),
        (other, 1),
        (one, 0),
    ] {
        machine.run(["pull"]).ok();
        assert_eq!(ids(machine).len(), left);
    }
    means_are_true(&server);
    // What was added there too is sent by whoever added it.
    assert_eq!(push(added), "1 run: 1 new, 0 completed, 0 known");
    assert_eq!(pull(pulled), "1 run: 1 new, 0 completed, 0 known");
    assert_eq!(fleet_runs(&second), 1);
}

/// What is removed stays so until it is added again; a tag that is taken off stays on others.
#[test]
fn what_is_removed_here_stays_removed_and_may_come_back() {
    if sqld::is_missing() {
        return;
    }
    let (server, machines) = fleet(2);
    let [one, two] = &machines[..] else {
        unreachable!()
    };
    one.add(["golden/gpu-reps16.csv", "golden/utf8-model.json"]);
    one.run(["tag", "kept", "1", "2"]).ok();
    push(one);
    pull(two);
    two.run(["rm", "-y", "1"]).ok();
    two.run(["untag", "kept", "2"]).ok();
    one.add(["golden/gpu-reps16.json"]);
    one.run(["tag", "more", "1"]).ok();
    push(one);
    assert_eq!(
        pull(two),
        "1 run: 0 new, 0 completed, 0 known, 1 removed here before"
    );
    assert_eq!(push(two), "0 runs: 0 new, 0 completed, 0 known");
    let model = two.run(["pull", "--model", "1B"]).text();
    assert!(model.ends_with("1 removed here before\n"), "{model}");
    assert_eq!(ids(two), ["2"]);
    assert!(!two.run(["list", "-o", "csv"]).text().contains("kept"));
    assert_eq!(fleet_runs(&server), 2);
    for again in ["add", "merge"] {
        let file = if again == "add" {
            fixture("golden/gpu-reps16.csv")
        } else {
            one.store()
        };
        two.run([again.as_ref(), file.as_os_str()]).ok();
        let pushed = push(two);
        assert!(pushed.contains(" 0 new, 0 completed, "), "{pushed}");
        assert_eq!(ids(two).len(), 2);
        let id = ids(two).remove(1);
        two.run(["rm", "-y", &id]).ok();
    }
    assert_eq!(fleet_runs(&server), 2);
}

/// What a filter takes over is what `list` shows with it, and the rest comes later, once.
#[test]
fn a_pull_with_filters_takes_what_list_shows_and_leaves_the_rest_for_later() {
    if sqld::is_missing() {
        return;
    }
    let (server, machines) = fleet(3);
    let [one, full, filtered] = &machines[..] else {
        unreachable!()
    };
    let bench = |model, accelerator, day| Bench {
        day,
        model,
        accelerator,
        ..Bench::default()
    };
    let runs = [
        bench("Äpfel ẞ 1B", "GPU Öl", 1),
        bench("äpfel SS 3B", "GPU öl", 2),
        bench("Birnen", "\\u0000GPU%_", 3),
        bench("İstanbul a\\u0000b", "Karte", 4),
        bench("Birnen", "gpu ÖL 2", 5),
    ];
    let text: String = runs
        .iter()
        .map(|bench| bench.document().replace("\\\\u", "\\u") + "\n")
        .collect();
    one.run_with_input(["add"], text.as_bytes()).ok();
    one.add([
        "golden/llama-bench/v-b6065-two-models.json",
        "golden/llama-bench/v-b11500-utf8.json",
        "golden/no-tests.json",
        "golden/cpu-i7-14b.csv",
        "captures/capture-json-submitted.stdout.txt",
    ]);
    one.run(["tag", "t", "1", "3", "5"]).ok();
    push(one);
    let payload = one.run(["submit", "--dry-run", "2"]).ok();
    let mut payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    // The web site has one of its own.
    let site = Client::new(server.address());
    let copy = payload.clone();
    payload["results"][0]["gen_tps"] = json!(77.125);
    site::post(&site, &payload);
    pull(full);
    let filters: [&[&str]; 14] = [
        &["--model", "ÄPFEL"],
        &["--model", "äpfel ss"],
        &["--model", "ß"],
        &["--model", "b\u{1}"],
        &["--model", "istanbul"],
        &["--model", "gguf"],
        &["--model", "qwen"],
        &["--accelerator", "Öl"],
        &["--accelerator", "%_"],
        &["--accelerator", ""],
        &["--model", ""],
        &["--since", "2025-01-03"],
        &["--since", "2025-01-02T12:00:00Z", "--model", "birnen"],
        &["--since", "2099-01-01"],
    ];
    let shown = |machine: &Sandbox, args: &[&str]| {
        let ran = machine.run([&["list", "-o", "jsonl"], args].concat());
        let text = ran.text();
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("id");
            line.to_string()
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines
    };
    for filter in filters {
        let mut sandbox = Sandbox::new();
        sandbox.set("LOCALSTORE_REMOTE", url(server.address()));
        let line = last_line(&sandbox, &[&["pull"], filter].concat());
        let wanted = shown(full, filter);
        assert_eq!(shown(&sandbox, &[]), wanted, "{filter:?}");
        let count = wanted.len();
        assert!(
            line.contains(&format!(": {count} new, ")),
            "{filter:?}: {line}, {count}"
        );
        let again = last_line(&sandbox, &[&["pull"], filter].concat());
        assert!(
            again.contains(": 0 new, 0 completed, "),
            "{filter:?}: {again}"
        );
    }
    for filter in &filters[..9] {
        last_line(filtered, &[&["pull"], *filter].concat());
    }
    // And one that was pushed too.
    site::post(&site, &copy);
    pull(full);
    pull(filtered);
    assert_eq!(each(full), each(filtered));
    assert_eq!(pull(filtered), "0 runs: 0 new, 0 completed, 0 known");
    assert_eq!(push(filtered), "0 runs: 0 new, 0 completed, 0 known");
}

/// `last` is what was added last here, whatever else came later.
#[test]
fn what_was_pulled_is_not_last() {
    if sqld::is_missing() {
        return;
    }
    let (_server, machines) = fleet(2);
    let [one, two] = &machines[..] else {
        unreachable!()
    };
    one.add(["golden/gpu-reps16.json", "golden/cpu-i7-14b.json"]);
    push(one);
    assert_eq!(pull(two), "2 runs: 2 new, 0 completed, 0 known");
    for args in [["show", "last"], ["export", "last"], ["tag", "t"]] {
        let ran = two.run(
            args.iter()
                .copied()
                .chain((args[0] == "tag").then_some("last")),
        );
        let why = ran.failed();
        assert!(why.contains("last"), "{why}");
    }
    two.add(["golden/utf8-model.json"]);
    two.run(["merge".as_ref(), one.store().as_os_str()]).ok();
    pull(two);
    let last = two.run(["export", "last", "-o", "json"]).ok();
    assert_eq!(last, read_fixture("golden/utf8-model.json"));
    // What was pulled and is then added here is the run that it was.
    two.add(["golden/cpu-i7-14b.json"]);
    assert_eq!(ids(two).len(), 3);
}

/// Chats are not in a body, an answer or a file of the remote.
#[test]
fn chats_never_travel() {
    if sqld::is_missing() {
        return;
    }
    let mut server = Sqld::start();
    let proxy = Proxy::http(server.address());
    let mut one = crate::chat::golden();
    one.set("LOCALSTORE_REMOTE", url(proxy.address()));
    one.run(["push", "--init"]).ok();
    one.add(["golden/gpu-reps16.json"]);
    let texts: Vec<String> = {
        let db = one.db();
        let mut texts = Vec::new();
        for sql in ["SELECT content FROM messages", "SELECT title FROM chats"] {
            let mut statement = db.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0));
            texts.extend(rows.unwrap().filter_map(Result::unwrap));
        }
        // A few bytes are in anything.
        texts.retain(|text| text.len() >= 8);
        texts
    };
    assert!(texts.len() > 3);
    push(&one);
    pull(&one);
    one.run(["rm", "-y", "--remote", &url(proxy.address()), "1"])
        .ok();
    one.add(["golden/gpu-reps16.json"]);
    push(&one);
    server.kill();
    let mut file = std::fs::read(server.db_path()).unwrap();
    let mut log = server.db_path().into_os_string();
    log.push("-wal");
    file.extend(std::fs::read(log).unwrap_or_default());
    let contains = |text: &str| {
        file.windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    // A text that does travel is found so.
    assert!(contains("Llama 3.2 1B Instruct") && proxy.saw("Llama 3.2 1B Instruct"));
    for text in &texts {
        assert!(!contains(text) && !proxy.saw(text), "{text}");
    }
}

/// However much is stored, nothing new is one small request each way.
#[test]
fn nothing_new_is_one_small_request() {
    if sqld::is_missing() {
        return;
    }
    let (server, machines) = fleet(2);
    let [one, two] = &machines[..] else {
        unreachable!()
    };
    let runs = (0..1_000).map(|number| Bench {
        speed: 1.0 + f64::from(number) / 1000.0,
        tests: 1,
        ..Bench::default()
    });
    let text: String = runs.map(|bench| bench.document() + "\n").collect();
    one.run_with_input(["add"], text.as_bytes()).ok();
    assert_eq!(push(one), "1000 runs: 1000 new, 0 completed, 0 known");
    assert_eq!(pull(two), "1000 runs: 1000 new, 0 completed, 0 known");
    means_are_true(&server);
    let proxy = Proxy::http(server.address());
    let remote = url(proxy.address());
    for machine in [one, two] {
        for word in ["push", "pull"] {
            // The first pull of a store skips what it has sent itself.
            machine.run([word, &remote]).ok();
            proxy.forget();
            let line = last_line(machine, &[word, &remote]);
            assert_eq!(line, "0 runs: 0 new, 0 completed, 0 known");
            let seen = proxy.seen();
            assert_eq!(seen.len(), 1, "{word}");
            assert!(seen[0].request.len() <= 1024, "{}", seen[0].request.len());
            assert!(seen[0].answer.len() <= 1024, "{}", seen[0].answer.len());
        }
    }
}

/// Programs that write at the same moment: no run is there twice, and none lacks.
#[test]
fn programs_that_race_lose_nothing_and_write_nothing_twice() {
    if sqld::is_missing() {
        return;
    }
    let count = rounds(8).max(5);
    let (server, machines) = fleet(count);
    let runs = |from: u32, to: u32| -> String {
        let runs = (from..to).map(|number| Bench {
            speed: 1.0 + f64::from(number) / 1000.0,
            tests: 1,
            ..Bench::default()
        });
        runs.map(|bench| bench.document() + "\n").collect()
    };
    let same = runs(0, 600);
    for (number, machine) in (0..).zip(&machines) {
        machine.run_with_input(["add"], same.as_bytes()).ok();
        let own = runs(1000 + 10 * number, 1010 + 10 * number);
        machine.run_with_input(["add"], own.as_bytes()).ok();
    }
    let spawn = |machine: &Sandbox, args: &[&str]| {
        let mut command = machine.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.stdin(Stdio::null()).spawn().unwrap()
    };
    let all = |mut children: Vec<std::process::Child>| {
        for child in &mut children {
            assert!(child.wait().unwrap().success());
        }
    };
    // Two of each of the first machines, and writers beside them.
    let mut children: Vec<_> = machines
        .iter()
        .map(|machine| spawn(machine, &["push"]))
        .collect();
    children.extend(
        machines[..2]
            .iter()
            .map(|machine| spawn(machine, &["push"])),
    );
    machines[2]
        .run_with_input(["add"], runs(2000, 2040).as_bytes())
        .ok();
    all(children);
    for machine in &machines {
        push(machine);
    }
    let expected = 600 + 10 * count + 40;
    assert_eq!(fleet_runs(&server), expected);
    let distinct = "SELECT count(DISTINCT fingerprint) FROM localstore_fleet_runs";
    let client = Client::new(server.address());
    assert_eq!(client.value(distinct), expected);
    assert_eq!(client.value("SELECT count(*) FROM test_results"), expected);
    means_are_true(&server);
    // Two pulls of a store, and runs that are removed meanwhile.
    let mut children: Vec<_> = machines
        .iter()
        .map(|machine| spawn(machine, &["pull"]))
        .collect();
    children.extend(
        machines[..2]
            .iter()
            .map(|machine| spawn(machine, &["pull"])),
    );
    machines[3].run(["rm", "-y", "1-100"]).ok();
    machines[4]
        .run_with_input(["add"], runs(3000, 3020).as_bytes())
        .ok();
    all(children);
    for (number, machine) in machines.iter().enumerate() {
        pull(machine);
        let count = match number {
            3 => expected - 100,
            4 => expected + 20,
            _ => expected,
        };
        assert_eq!(ids(machine).len(), count);
    }
    crate::report(&format!(
        "| machines that push and pull the same runs at once | {count}, {expected} runs | none lost, none twice |"
    ));
}

#[cfg(feature = "serve")]
#[test]
fn models_and_keys_stay_where_they_are() {
    if sqld::is_missing() {
        return;
    }
    let (server, machines) = fleet(2);
    machines[0].add(["golden/cpu-i7-14b.json"]);
    let add = ["model", "add", "m", "--url", "http://127.0.0.1:9"];
    machines[0].run(add).ok();
    machines[0].run(["key", "create", "alice"]).ok();
    push(&machines[0]);
    pull(&machines[1]);
    assert_eq!(
        machines[1]
            .run(["list", "-o", "jsonl"])
            .text()
            .lines()
            .count(),
        1
    );
    for command in ["model", "key"] {
        assert_eq!(machines[1].run([command, "list", "-o", "jsonl"]).text(), "");
    }
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'localstore_gateway%'";
    assert_eq!(Client::new(server.address()).value(sql), 0);
}

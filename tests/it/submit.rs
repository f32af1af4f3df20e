//! `submit` as far as it needs no site: the payload, and what it refuses. See `sending`.

use std::path::PathBuf;

use crate::sandbox::{Sandbox, fixture, read_fixture, slashed};

const RUN: &str = "golden/gpu-reps4.json";

/// The payload is printed with or without the feature.
#[test]
fn a_dry_run_prints_the_payload_of_the_c_tool() {
    let mut payloads = 0;
    for entry in std::fs::read_dir(fixture("golden")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = name.strip_suffix(".payload.json") else {
            continue;
        };
        let sandbox = Sandbox::new();
        sandbox.add([&*format!("golden/{name}.json")]);
        let ran = sandbox.run(["submit", "--dry_run", "1"]);
        assert!(ran.ok() == std::fs::read(&path).unwrap(), "{name}");
        let refused = ["empty-optional-strings", "no-tests"].contains(&name);
        let is_partial = ran.stderr.contains(": would not be sent: partial\n");
        let others = ran.stderr.matches(": would not be sent: ").count() - usize::from(is_partial);
        assert_eq!(others > 0, refused, "{name}: {}", ran.stderr);
        let table = sandbox.run(["list", "-o", "json"]).text();
        assert_eq!(
            is_partial,
            table.contains("\"partial\": true"),
            "{name}: {table}"
        );
        payloads += 1;
    }
    assert_eq!(payloads, 18);
}

#[test]
fn a_dry_run_changes_nothing_and_takes_several_runs() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN, "golden/second-gpu.json"]);
    let ran = sandbox.run(["submit", "--dry-run", "2", "1", "2"]);
    let lines = ran.text();
    let lines: Vec<&str> = lines.split('\n').collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].as_bytes() == read_fixture("golden/second-gpu.payload.json"));
    assert_eq!(states(&sandbox), ["never", "never"]);
    assert!(
        sandbox
            .run(["submit", "--dry-run", "--pending"])
            .ok()
            .is_empty()
    );
}

#[test]
fn a_deviation_that_is_no_number_is_sent_as_0_and_said_so() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/nan-stddev.json"]);
    let ran = sandbox.run(["submit", "--dry-run"]);
    let payload: serde_json::Value = serde_json::from_slice(&ran.ok()).unwrap();
    assert_eq!(payload["results"][0]["prompt_tps_stddev"], 0);
    assert!(payload["results"][0]["prompt_tps"].as_f64().unwrap() > 0.0);
    assert!(
        ran.stderr
            .contains("run 1: prompt_tps_stddev is not a number in 9 tests;"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("would not be sent"));
}

/// The files of the program with one of these words.
fn files_with(words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = ["src", "crates"].map(PathBuf::from).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Tests are no part of the program.
                folders.extend((path.file_name().unwrap() != "tests").then_some(path));
                continue;
            }
            if path.file_name().unwrap() == "tests.rs" {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(all(test").next().unwrap();
            if words.iter().any(|word| text.contains(word)) {
                found.push(slashed(path.to_str().unwrap().to_owned()));
            }
        }
    }
    found.sort();
    found
}

/// No other part of the program can open a connection, and no other command can reach that part.
#[test]
fn connections_are_opened_in_one_place() {
    assert_eq!(
        files_with(&["ureq::", "rustls::", "TcpStream", "UdpSocket", "UnixStream"]),
        [
            // The cache.
            "crates/gateway/src/cache/redis.rs",
            // A backend that is added: whether anything listens there.
            "crates/gateway/src/cmd/model/add.rs",
            // The backends, for 'serve', 'agent' and 'model test'.
            "crates/gateway/src/connector.rs",
            // A client, whose connection is there already.
            "crates/gateway/src/serve/client.rs",
            "crates/net/src/client.rs"
        ]
    );
    // The form of an IP address, but for the backend that is added, and an agent's own address and the port of
    // its engine.
    assert_eq!(
        files_with(&["std::net"]),
        [
            "crates/gateway/src/address.rs",
            "crates/gateway/src/cmd/agent.rs",
            "crates/gateway/src/cmd/model/add.rs",
            "crates/gateway/src/engine/process.rs",
            "src/fleet/address.rs"
        ]
    );
    assert_eq!(files_with(&["net::Client"]), ["src/submit/client.rs"]);
    assert_eq!(
        files_with(&["use net::{Client"]),
        [
            "crates/traces/src/eval/envoi.rs",
            "crates/traces/src/s3.rs",
            "src/fleet/hrana/client.rs"
        ]
    );
    // A server of envoi, and a bucket: what an address was given for.
    let users = |words: &[&str]| {
        let mut files = files_with(words);
        files.retain(|path| path.starts_with("crates/traces/"));
        files
    };
    assert_eq!(
        users(&["Envoi::new(address"]),
        ["crates/traces/src/cmd/eval.rs"]
    );
    assert_eq!(
        users(&["Storage::new"]),
        [
            "crates/traces/src/cmd/pull.rs",
            "crates/traces/src/cmd/push.rs",
            "crates/traces/src/record/mod.rs"
        ]
    );
    // LocalScore.
    assert_eq!(files_with(&["use super::sender"]), ["src/cmd/sending.rs"]);
    assert_eq!(
        files_with(&["use super::sending"]),
        ["src/cmd/record.rs", "src/cmd/submit.rs"]
    );
    // A fleet: completions know the form of an address, and what is moved is shown.
    let outside = |word: &'static str| {
        let mut files = files_with(&[word]);
        files.retain(|path| !path.starts_with("src/fleet/"));
        files
    };
    assert_eq!(
        outside("use crate::fleet"),
        [
            "completions/mod.rs",
            "moving.rs",
            "pull.rs",
            "push.rs",
            "rm.rs"
        ]
        .map(|path| format!("src/cmd/{path}"))
    );
    assert_eq!(files_with(&["Remote::new("]), ["src/cmd/push.rs"]);
    assert_eq!(
        outside("use super::push"),
        ["src/cmd/pull.rs", "src/cmd/rm.rs"]
    );
}

/// Only there are tokens taken out of the environment of another program.
#[test]
fn programs_are_started_in_one_place() {
    assert_eq!(
        files_with(&[" Command::new(", "process::Command::new("]),
        ["crates/base/src/process/mod.rs"]
    );
}

/// How far the submission of each run has come, that of run 1 first.
pub(crate) fn states(sandbox: &Sandbox) -> Vec<String> {
    let listed: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["list", "-o", "json"]).ok()).unwrap();
    let runs = listed.as_array().unwrap().iter().rev();
    runs.map(|run| run["submission"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_cannot_be_is_one_line() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(["submit", "-y"]);
    assert!(ran.failed().ends_with("there is no store"));
    sandbox.add([RUN]);
    let ran = sandbox.run(["submit", "-y", "7"]);
    assert_eq!(ran.failed(), "run 7: no such run");
    let ran = sandbox.run(["submit", "--pending", "-y"]);
    assert!(ran.ok().is_empty());
    let told = "no run is queued for http://127.0.0.1:9\n";
    assert!(ran.stderr.ends_with(told));
    for url in [
        "x",
        "ftp://x",
        "http://",
        "http://a@b",
        "http://x/?y",
        "http://localhost:99999",
        "http://localhost:x",
        "http://localhost:",
        "http://:80",
    ] {
        let ran = sandbox.run(["submit", "-y", "--url", url]);
        assert_eq!(ran.failed(), "invalid parameter for: --url", "{url}");
    }
    let ran = sandbox.run(["submit", "--pending", "1"]);
    assert!(ran.failed().starts_with("invalid parameter for: "));
    let ran = sandbox.run(["submit", "--again", "--pending"]);
    assert!(ran.failed().starts_with("invalid parameter for: "));
    assert_eq!(states(&sandbox), ["never"]);
}

#[cfg(not(feature = "network"))]
#[test]
fn a_build_without_the_feature_says_so() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    for args in [
        &["submit", "-y"][..],
        &["record", "--submit", "--", "/bin/sh", "-c", "echo started"],
    ] {
        let ran = sandbox.run(args);
        assert_eq!(
            ran.failed(),
            "cannot send results: this program was built without the feature 'network'"
        );
        assert!(ran.stdout.is_empty());
    }
    for args in [
        &["push"][..],
        &["push", "--init", "libsql://fleet.example.org"],
        &["pull", "--since", "7d", "--dry-run"],
    ] {
        let ran = sandbox.run(args);
        assert_eq!(
            ran.failed(),
            "cannot reach a remote: this program was built without the feature 'network'"
        );
        assert!(ran.stdout.is_empty());
    }
    let help = sandbox.run(["--help"]).text();
    for line in [
        "  push         Send the runs that a remote database has not got from this store\n",
        "  pull         Take over the runs that others have sent to a remote database\n",
    ] {
        assert!(help.contains(line), "{help}");
    }
    let ran = sandbox.run(["rm", "-y", "--remote", "http://127.0.0.1:9", "1"]);
    assert_eq!(ran.failed(), "invalid parameter for: --remote");
    assert_eq!(states(&sandbox), ["never"]);
}

//! What the program does, seen from outside: one process after another, each in a sandbox.

mod random;
mod sandbox;
#[cfg(feature = "network")]
mod server;

mod add;
#[cfg(feature = "network")]
mod again;
mod backup;
mod bench;
mod browser;
mod chat;
mod check;
mod cli;
mod compare;
mod export;
mod goldens;
mod history;
mod list;
mod logs;
mod merge;
mod message;
#[cfg(feature = "network")]
mod network;
mod plot;
#[cfg(feature = "network")]
mod queue;
mod record;
#[cfg(all(unix, feature = "network"))]
mod record_submit;
mod report;
mod rm;
#[cfg(feature = "network")]
mod sending;
mod site;
mod store;
mod submit;
mod tag;
mod torture;

/// Prints what a long test has done, for `--nocapture`.
#[allow(clippy::print_stdout, reason = "the result of a measurement")]
fn report(line: &str) {
    println!("{line}");
}

/// Every file beside this one is in the list above: a test file that nobody calls tests nothing.
#[test]
fn every_test_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|ending| ending == "rs") && name != "main" {
            assert!(
                listed.contains(&format!("mod {name};")),
                "{name} is not listed"
            );
        }
    }
}

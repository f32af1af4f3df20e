//! What the program does, seen from outside: one process after another, each in a sandbox.

mod sandbox;

mod add;
mod bench;
mod chat;
mod cli;
mod compare;
mod export;
mod goldens;
mod history;
mod list;
mod logs;
mod merge;
mod message;
mod reading;
mod record;
mod rm;
mod store;
mod tag;

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

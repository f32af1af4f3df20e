//! Damaged files: an error or a finding, never a panic, and no wrong answer where `check` is content.

use std::path::Path;

use super::{copy, documents, rounds, write_files};
use crate::random::{Random, seed};
use crate::sandbox::{Ran, Sandbox, fixture};

/// The commands that read a damaged file, and those that write to it.
const COMMANDS: &[&str] = &[
    "check",
    "list",
    "export --all -o json",
    "show last",
    "best",
    "chat list",
    "backup --force copy.db",
    "merge store.db",
    "rm -y 1",
    "add more.json",
    "check --repair",
    "check",
];

/// An error that is none of a program that has fallen over.
#[track_caller]
fn assert_sane(ran: &Ran, what: &str) {
    assert!(
        matches!(ran.code, Some(0 | 1)),
        "{what}: {:?} {}",
        ran.code,
        ran.stderr
    );
    assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
    if ran.code == Some(1) && ran.stdout.is_empty() {
        ran.failed();
    }
}

/// What csv shows of every run: all that has a second witness in the store.
fn values(sandbox: &Sandbox, db: &str) -> Option<Vec<u8>> {
    let ran = sandbox.run(["export", "--all", "-o", "csv", "--db", db]);
    (ran.code == Some(0)).then_some(ran.stdout)
}

fn damage(random: &mut Random, content: &mut Vec<u8>) -> String {
    let at = random.below(content.len());
    match random.below(8) {
        0 => {
            content.truncate(at);
            format!("truncated to {at}")
        }
        1 => {
            let page = at / 4096 * 4096;
            let end = (page + 4096).min(content.len());
            content[page..end].fill(0);
            format!("zeros in the page at {page}")
        }
        2 => {
            // Two pages change places.
            let pages = content.len() / 4096;
            let (one, two) = (random.below(pages) * 4096, random.below(pages) * 4096);
            for offset in 0..4096 {
                content.swap(one + offset, two + offset);
            }
            format!("pages at {one} and {two} swapped")
        }
        3 => {
            let count = 1 + random.below(50);
            for _ in 0..count {
                let at = random.below(content.len());
                content[at] = random.byte();
            }
            format!("{count} bytes")
        }
        _ => {
            let bit = random.below(8);
            content[at] ^= 1 << bit;
            format!("bit {bit} at {at}")
        }
    }
}

#[test]
fn a_damaged_store_is_never_taken_for_a_right_one() {
    let rounds = rounds(25);
    let seed = seed();
    let sandbox = Sandbox::new();
    let documents = documents(0..31);
    let files = write_files(&sandbox, &documents[..30]);
    sandbox.file("more.json", &documents[30]);
    let path = |name: &str| sandbox.path().join(name);
    copy(&fixture("stores/llamafile.sqlite3"), &path("base.db"));
    let add = ["add", "--db", "base.db"].map(str::to_owned);
    sandbox.run(add.into_iter().chain(files)).ok();
    let whole = std::fs::read(path("base.db")).unwrap();
    let before = values(&sandbox, "base.db").unwrap();
    let (mut found, mut refused, mut harmless) = (0, 0, 0);
    for round in 0..rounds {
        let mut random = Random::new(seed, round as u64);
        let mut content = whole.clone();
        let what = damage(&mut random, &mut content);
        let what = format!("seed {seed}, round {round}, {what}");
        for command in COMMANDS {
            put(&path("store.db"), &sandbox, &content);
            let db = if command.starts_with("merge") {
                "other.db"
            } else {
                "store.db"
            };
            let args = command.split(' ').chain(["--db", db]);
            let ran = sandbox.run(args);
            assert_sane(&ran, &format!("{what}: {command}"));
            if *command != "check" {
                continue;
            }
            match ran.code {
                Some(0) => {
                    harmless += 1;
                    let after = values(&sandbox, "store.db");
                    assert!(after.as_ref() == Some(&before), "{what}: a wrong answer");
                }
                _ if ran.stdout.is_empty() => refused += 1,
                _ => found += 1,
            }
        }
    }
    let checks = found + refused + harmless;
    assert_eq!(checks, 2 * rounds);
    crate::report(&format!(
        "| damaged stores | {rounds}, {} commands | no panic; found {found}, unreadable \
         {refused}, harmless {harmless} |",
        rounds * COMMANDS.len()
    ));
}

fn put(path: &Path, sandbox: &Sandbox, content: &[u8]) {
    copy(&sandbox.path().join("base.db"), path);
    sandbox.file("store.db", content);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(sandbox.path().join(format!("other.db{ending}")));
    }
}

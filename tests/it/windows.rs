//! What is special to Windows: its paths, its shell, and files that other programs have open.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::windows::fs::OpenOptionsExt;
use std::process::Stdio;

use crate::sandbox::{Sandbox, fixture, read_fixture};

const RUN: &str = "golden/gpu-reps4.json";

fn golden() -> String {
    String::from_utf8(read_fixture(RUN)).unwrap()
}

/// The path of a fixture for `cmd`, which takes `/` for an option.
fn backslashed(name: &str) -> String {
    fixture(name).to_str().unwrap().replace('/', "\\")
}

#[test]
fn paths_have_drives_and_spaces_and_separators_of_both_kinds() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path().join("my runs");
    let slashes = folder.join("a store.sqlite3").to_str().unwrap().to_owned();
    let backslashes = slashes.replace('/', "\\");
    assert_eq!(slashes.get(1..3), Some(":/"));
    sandbox
        .run(["--db", &backslashes, "add", &backslashed(RUN)])
        .ok();
    for db in [&slashes, &backslashes, r"my runs\a store.sqlite3"] {
        let exported = sandbox.run(["--db", db, "export", "-o", "json"]);
        assert_eq!(exported.ok(), golden().as_bytes());
        let told = sandbox.run(["--db", db, "path"]).text();
        assert_eq!(told.trim_end(), db);
    }
    let copy = folder.join("a copy.sqlite3");
    sandbox
        .run(["--db", &slashes, "backup", copy.to_str().unwrap()])
        .ok();
    sandbox.run(["--db", copy.to_str().unwrap(), "check"]).ok();
}

#[test]
fn the_home_is_the_folder_that_userprofile_names() {
    let mut sandbox = Sandbox::new();
    let other = sandbox.path().join("another profile");
    std::fs::create_dir(&other).unwrap();
    sandbox.set("USERPROFILE", &other);
    sandbox.add([RUN]);
    assert!(other.join(".llamafile/llamafile.sqlite3").is_file());
    assert!(!sandbox.store().exists());
}

#[test]
fn a_file_that_another_program_reads_is_replaced_or_stays_whole() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    let path = sandbox.file("out.json", "old");
    // As most programs open what they read: it may be removed meanwhile.
    let mut reader = File::open(&path).unwrap();
    let ran = sandbox.run(["export", "-o", "json", "--out", "out.json"]);
    let now = std::fs::read_to_string(&path).unwrap();
    if ran.code == Some(0) {
        assert_eq!(now, golden());
    } else {
        // As before Windows 10, and in Wine 8, the reader must close it first.
        let message = ran.failed();
        assert!(
            message.starts_with("out.json: another program has it open"),
            "{message}"
        );
        assert_eq!(now, "old");
    }
    let mut old = String::new();
    reader.read_to_string(&mut old).unwrap();
    assert_eq!(old, "old");
}

#[test]
fn a_file_that_another_program_keeps_for_itself_stays_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    let path = sandbox.file("out.json", "old");
    let reader = OpenOptions::new().read(true).share_mode(0).open(&path);
    let reader = reader.unwrap();
    let left = std::fs::read_dir(sandbox.path()).unwrap().count();
    let message = sandbox
        .run(["export", "-o", "json", "--out", "out.json"])
        .failed();
    assert!(message.starts_with("out.json: "), "{message}");
    drop(reader);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(std::fs::read_dir(sandbox.path()).unwrap().count(), left);
}

#[test]
fn names_that_no_file_has_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    let before = std::fs::read(sandbox.store()).unwrap();
    for name in ["CON", "nul.csv", "COM1", "lpt1.txt", "runs:new.csv"] {
        let message = sandbox.run(["export", "--out", name]).failed();
        assert!(message.starts_with(name), "{message}");
        let message = sandbox.run(["backup", name]).failed();
        assert!(message.starts_with(name), "{message}");
        let message = sandbox
            .run(["--db", name, "add", &backslashed(RUN)])
            .failed();
        assert!(message.starts_with(name), "{message}");
    }
    assert!(std::fs::read(sandbox.store()).unwrap() == before);
}

#[test]
fn a_pattern_that_no_shell_expands_is_explained() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(["add", "*.json"]);
    ran.failed();
    assert!(
        ran.stderr.contains("do not expand patterns"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_program_under_record_is_passed_through_and_stored() {
    let sandbox = Sandbox::new();
    let file = backslashed("captures/capture-json.stdout.txt");
    let ran = sandbox.run(["record", "--", "cmd", "/c", "type", &file]);
    assert_eq!(ran.ok(), read_fixture("captures/capture-json.stdout.txt"));
    assert!(
        ran.stderr.starts_with("run 1: Meta Llama"),
        "{}",
        ran.stderr
    );
    assert!(sandbox.run(["export", "-o", "json"]).code == Some(0));
}

#[test]
fn record_ends_as_the_program_does() {
    let sandbox = Sandbox::new();
    for code in [1, 7, 255] {
        let exit = code.to_string();
        let ran = sandbox.run(["record", "--", "cmd", "/c", "exit", &exit]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    }
    let ran = sandbox.run(["record", "--", "no-such-program"]);
    assert_eq!(ran.failed(), "no-such-program: no such program");
}

#[test]
fn a_pipe_that_is_closed_ends_it_quietly() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    let mut child = sandbox
        .command(["export", "--all", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

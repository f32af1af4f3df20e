//! No space, no permission, no file any more: a clear line, exit code 1, and the old content.

#![cfg(unix)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{assert_right, copy, documents, ids, rounds, stored, write_files};
use crate::random::{Random, seed};
use crate::sandbox::{Ran, Sandbox, fixture};

/// Bytes of the unit of `ulimit -f`.
const BLOCK: u64 = 512;

/// A command that writes, and the file that it writes besides the store.
const WRITERS: &[(&str, Option<&str>)] = &[
    ("add --db store.db more0.json more1.json more2.json", None),
    ("add --db new.db more0.json more1.json more2.json", None),
    ("rm -y --db store.db 2 3", None),
    ("tag --db store.db long-label 1 2 3", None),
    ("merge --db store.db other.db", None),
    ("merge --db new.db other.db", None),
    ("list --db old.db", None),
    ("check --repair --db wrong.db", None),
    ("backup --force --db store.db copy.db", Some("copy.db")),
    (
        "export --all -o json --db store.db --out out.json",
        Some("out.json"),
    ),
];

/// Stores to write to: `store.db` and `other.db` with runs, `old.db` of schema version 1, and
/// `wrong.db`, where there is something to repair.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let all = documents(0..30);
    let files = write_files(&sandbox, &all);
    for (db, files) in [("store.base", &files[..10]), ("other.db", &files[5..15])] {
        let add = ["add", "--db", db].map(str::to_owned);
        sandbox
            .run(add.into_iter().chain(files.iter().cloned()))
            .ok();
    }
    for (index, document) in all[20..23].iter().enumerate() {
        sandbox.file(&format!("more{index}.json"), document);
    }
    copy(
        &sandbox.path().join("store.base"),
        &sandbox.path().join("wrong.base"),
    );
    rusqlite::Connection::open(sandbox.path().join("wrong.base"))
        .unwrap()
        .execute_batch("PRAGMA journal_mode=DELETE; UPDATE localstore_runs SET score = 1")
        .unwrap();
    std::fs::copy(
        fixture("stores/version-1.sqlite3"),
        sandbox.path().join("old.base"),
    )
    .unwrap();
    sandbox
}

/// Puts everything back that a command may have changed.
fn restore(sandbox: &Sandbox) {
    let path = |name: &str| sandbox.path().join(name);
    for db in ["store", "wrong", "old"] {
        copy(&path(&format!("{db}.base")), &path(&format!("{db}.db")));
    }
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(path(&format!("new.db{ending}")));
    }
    for name in ["copy.db", "out.json"] {
        sandbox.file(name, "the old content");
    }
}

/// The program in a shell in which no file may grow above so many blocks.
pub(crate) fn limited(sandbox: &Sandbox, blocks: u64, args: &str) -> Ran {
    let program = sandbox.command([] as [&str; 0]).get_program().to_owned();
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {args}");
    let output = Command::new("sh")
        .args(["-c".as_ref(), script.as_ref(), program.as_os_str()])
        .env_clear()
        .env("HOME", sandbox.path())
        .current_dir(sandbox.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::from(output)
}

/// What is there after a command that failed is what was there before it.
#[track_caller]
fn assert_unchanged(sandbox: &Sandbox, ran: &Ran, written: Option<&str>, what: &str) {
    let message = ran.failed();
    assert!(!message.is_empty(), "{what}");
    assert_eq!(ids(sandbox, "store.db").len(), 10, "{what}");
    assert_right(sandbox, "store.db");
    if sandbox.path().join("new.db").exists() {
        assert!(ids(sandbox, "new.db").is_empty(), "{what}: {message}");
    }
    if let Some(name) = written {
        let content = std::fs::read(sandbox.path().join(name)).unwrap();
        assert_eq!(content, b"the old content", "{what}");
    }
    let left = std::fs::read_dir(sandbox.path())
        .unwrap()
        .filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension().is_some_and(|ending| ending == "tmp")
        })
        .count();
    assert_eq!(left, 0, "{what}: a temporary file was left");
}

/// The limit is met at every step of what is written.
#[test]
fn a_file_that_cannot_grow_leaves_everything_as_it_was() {
    let sandbox = sandbox();
    let most = 2 * std::fs::metadata(sandbox.path().join("store.base"))
        .unwrap()
        .len()
        / BLOCK;
    let steps = rounds(14) as u64;
    let (mut failed, mut done) = (0, 0);
    for (command, written) in WRITERS {
        for step in 0..steps {
            restore(&sandbox);
            let blocks = step * most / steps;
            let ran = limited(&sandbox, blocks, command);
            let what = format!("{command} with {blocks} blocks");
            if ran.code == Some(0) {
                done += 1;
            } else {
                failed += 1;
                assert_unchanged(&sandbox, &ran, *written, &what);
                // And with room again it works.
                sandbox.run(command.split(' ')).ok();
            }
        }
    }
    assert!(failed > 0 && done > 0, "{failed} {done}");
    crate::report(&format!(
        "| no room to grow, {steps} limits | {} commands, {failed} failed | a line, exit code 1, old \
         content whole |",
        failed + done
    ));
}

/// The same on a file system that is really full: `LOCALSTORE_SMALL_DISK` is a folder on one of a
/// few megabytes, which a person has mounted for it.
#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let Some(disk) = std::env::var_os("LOCALSTORE_SMALL_DISK").map(PathBuf::from) else {
        return;
    };
    let sandbox = sandbox();
    let free = 400 << 10;
    let steps = rounds(14);
    let (mut failed, mut done) = (0, 0);
    for step in 0..steps {
        let store = disk.join("store.db");
        copy(&sandbox.path().join("store.base"), &store);
        let db = store.to_str().unwrap();
        let ballast = disk.join("ballast");
        fill(&ballast, step * free / steps);
        let mut add = sandbox.command(["add", "--db", db]);
        add.args((10..30).map(|index| format!("run{index}.json")));
        let ran = Ran::from(add.output().unwrap());
        if ran.code == Some(0) {
            done += 1;
        } else {
            failed += 1;
            let message = ran.failed();
            assert!(message.contains("disk"), "{message}");
        }
        let success = ran.code == Some(0);
        let backup = disk.join("copy.db");
        let _ = std::fs::remove_file(&backup);
        let ran = sandbox.run(["backup", "--db", db, backup.to_str().unwrap()]);
        assert_eq!(ran.code == Some(0), backup.exists());
        std::fs::remove_file(&ballast).unwrap();
        assert_eq!(ids(&sandbox, db).len(), if success { 30 } else { 10 });
        let _ = std::fs::remove_file(&backup);
        assert_right(&sandbox, db);
        assert_eq!(
            std::fs::read_dir(&disk).unwrap().count(),
            1,
            "something was left"
        );
    }
    crate::report(&format!(
        "| a full file system, {steps} sizes | {} commands, {failed} failed | the same |",
        failed + done
    ));
}

/// Writes a file that leaves only so many bytes.
fn fill(path: &Path, free: usize) {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![0; 4096];
    while file.write_all(&block).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(free as u64)).unwrap();
}

/// The program as a user for whom permissions count; `None` where that cannot be had.
pub(crate) fn without_privileges(sandbox: &Sandbox, args: &[&str]) -> Option<Command> {
    let mut command = sandbox.command(args);
    if rustix::process::geteuid().is_root() {
        const NOBODY: u32 = 65534;
        std::fs::set_permissions(sandbox.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let mut try_it = sandbox.command(["--version"]);
        if try_it.uid(NOBODY).gid(NOBODY).output().ok()?.status.code() != Some(0) {
            return None;
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    Some(command)
}

#[test]
fn what_may_not_be_read_or_written_is_named() {
    let sandbox = sandbox();
    restore(&sandbox);
    let mode = |name: &str, mode: u32| {
        let path = sandbox.path().join(name);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(sandbox.path().join("closed")).unwrap();
    copy(
        &sandbox.path().join("store.base"),
        &sandbox.path().join("closed/store.db"),
    );
    copy(
        &sandbox.path().join("old.base"),
        &sandbox.path().join("closed/old.db"),
    );
    // A run that the LocalScore site has inserted is listed where nothing can be written, too.
    rusqlite::Connection::open(sandbox.path().join("closed/store.db"))
        .unwrap()
        .execute_batch(
            "INSERT INTO benchmark_runs (avg_prompt_tps, avg_gen_tps, avg_ttft_ms,
                 performance_score) VALUES (1, 2, 3, 4);
             INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen)
             VALUES (last_insert_rowid(), 'of the site', 1, 1)",
        )
        .unwrap();
    mode("store.db", 0o444);
    mode("old.db", 0o444);
    mode("wrong.db", 0o444);
    mode("other.db", 0o000);
    mode("closed/store.db", 0o444);
    mode("closed/old.db", 0o444);
    mode("closed", 0o555);
    let run = |args: &str| {
        let args: Vec<&str> = args.split(' ').collect();
        without_privileges(&sandbox, &args).map(|mut command| Ran::from(command.output().unwrap()))
    };
    for (args, why) in [
        (
            "add --db store.db run20.json",
            "the store cannot be written to",
        ),
        (
            "add --db closed/store.db run20.json",
            "the store cannot be written to",
        ),
        ("add --db closed/new.db run20.json", "permission denied"),
        (
            "add --db closed/folder/new.db run20.json",
            "permission denied",
        ),
        (
            "list --db other.db",
            "can't open database: permission denied",
        ),
        (
            "check --repair --db wrong.db",
            "the store cannot be written to",
        ),
        (
            "merge --db store.db other.db",
            "can't open database: permission denied",
        ),
        ("list --db closed/old.db", "the store cannot be written to"),
        ("backup --db store.db closed/copy.db", "permission denied"),
        (
            "export --all --db store.db --out closed/out",
            "permission denied",
        ),
    ] {
        let Some(ran) = run(args) else { return };
        assert_eq!(ran.code, Some(1), "{args}");
        let message = ran.failed().to_lowercase();
        assert!(message.contains(why), "{args}: {message}");
    }
    for args in [
        "list --db store.db",
        "check --db closed/store.db",
        "list --db closed/store.db",
    ] {
        if let Some(ran) = run(args) {
            ran.ok();
        }
    }
    if let Some(ran) = run("export 11 -o csv --db closed/store.db") {
        assert!(ran.text().contains("\"of the site\""), "{}", ran.stderr);
    }
    mode("closed", 0o755);
    let left = std::fs::read_dir(sandbox.path().join("closed"))
        .unwrap()
        .count();
    assert_eq!(left, 2);
}

/// The folder of the store goes away while a run is on its way to it.
#[test]
fn a_store_that_vanishes_is_no_success() {
    for replaced in [false, true] {
        let sandbox = Sandbox::new();
        let documents = documents(0..2);
        std::fs::create_dir(sandbox.path().join("folder")).unwrap();
        let mut child = sandbox
            .command(["add", "--db", "folder/store.db"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input
            .write_all(format!("{}\n\n", documents[0]).as_bytes())
            .unwrap();
        // It says so once it is stored.
        let mut output = child.stdout.take().unwrap();
        let mut first = [0; 4];
        std::io::Read::read_exact(&mut output, &mut first).unwrap();
        assert_eq!(&first, b"run ");
        let folder = sandbox.path().join("folder");
        std::fs::remove_dir_all(&folder).unwrap();
        if replaced {
            std::fs::create_dir(&folder).unwrap();
            sandbox.file("folder/store.db", "");
        }
        input.write_all(documents[1].as_bytes()).unwrap();
        drop(input);
        let ran = Ran::from(child.wait_with_output().unwrap());
        let message = ran.failed();
        assert!(message.starts_with("folder/store.db: "), "{message}");
    }
}

/// A log of SQLite that is gone takes what was only in it, and nothing else.
#[test]
fn a_missing_log_leaves_the_store_of_before() {
    let sandbox = Sandbox::new();
    let files = write_files(&sandbox, &documents(0..20));
    let add = |files: &[String]| {
        let args = ["add", "--db", "store.db"].map(str::to_owned);
        sandbox
            .run(args.into_iter().chain(files.iter().cloned()))
            .ok();
    };
    add(&files[..10]);
    let before = stored(&sandbox, "store.db");
    // While somebody has the file open, the log stays.
    let reader = rusqlite::Connection::open(sandbox.path().join("store.db")).unwrap();
    reader
        .query_row("SELECT count(*) FROM chats", [], |_| Ok(()))
        .unwrap();
    add(&files[10..]);
    let copied = sandbox.path().join("copy.db");
    std::fs::copy(sandbox.path().join("store.db"), &copied).unwrap();
    let mut random = Random::new(seed(), 0);
    let log = std::fs::read(sandbox.path().join("store.db-wal")).unwrap();
    drop(reader);
    assert!(stored(&sandbox, "copy.db") == before);
    assert_right(&sandbox, "copy.db");
    // Nor does a part of the log do harm, or one that is damaged.
    for _ in 0..rounds(10) {
        let mut log = log.clone();
        if random.below(2) == 0 {
            log.truncate(random.below(log.len()));
        } else {
            let at = random.below(log.len());
            log[at] ^= 1 << random.below(8);
        }
        std::fs::copy(
            sandbox.path().join("copy.db"),
            sandbox.path().join("part.db"),
        )
        .unwrap();
        sandbox.file("part.db-wal", &log);
        let there = stored(&sandbox, "part.db");
        assert!(there.is_superset(&before));
        assert_right(&sandbox, "part.db");
    }
    crate::report(&format!(
        "| a log (-wal) gone, cut or damaged | {} times | the runs from before the log, and only whole runs from it |",
        rounds(10)
    ));
}

//! `backup`: a whole copy, whoever writes meanwhile, and never in the place of something else.

use std::process::Stdio;

use crate::sandbox::{Sandbox, fixture};

fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/cpu-i7-14b.json", "golden/gpu-reps4.json"]);
    sandbox.run(["tag", "kept"]).ok();
    sandbox.run(["chat", "add", "--model", "m", "title"]);
    sandbox
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(sandbox.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_copy_is_the_store() {
    let sandbox = store();
    let before = std::fs::read(sandbox.store()).unwrap();
    let ran = sandbox.run(["backup", "copy.db"]);
    assert_eq!(ran.ok(), b"");
    assert_eq!(ran.stderr, "");
    assert_eq!(names(&sandbox), [".llamafile", "copy.db"]);
    assert!(std::fs::read(sandbox.store()).unwrap() == before);
    let text = sandbox.run(["check", "--db", "copy.db"]).text();
    assert!(text.starts_with("2 runs, 18 tests, "), "{text}");
    for command in ["list", "export", "chat list"] {
        let args = || command.split(' ').chain(["-o", "json"]);
        assert_eq!(
            sandbox.run(args().chain(["--db", "copy.db"])).text(),
            sandbox.run(args()).text()
        );
    }
    // It is a store as any other.
    let json = fixture("golden/utf8-model.json");
    sandbox
        .run([
            "add".as_ref(),
            "--db".as_ref(),
            "copy.db".as_ref(),
            json.as_os_str(),
        ])
        .ok();
}

#[cfg(unix)]
#[test]
fn only_its_user_can_read_the_copy() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = store();
    sandbox.run(["backup", "copy.db"]).ok();
    let mode = std::fs::metadata(sandbox.path().join("copy.db"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_that_is_there_is_replaced_only_on_demand() {
    let sandbox = store();
    sandbox.file("copy.db", "a letter");
    let message = sandbox.run(["backup", "copy.db"]).failed();
    assert_eq!(message, "copy.db: there is a file already");
    let content = || std::fs::read(sandbox.path().join("copy.db")).unwrap();
    assert_eq!(content(), b"a letter");
    sandbox.run(["backup", "copy.db", "--force"]).ok();
    assert!(content().starts_with(b"SQLite format 3"));
    sandbox.run(["check", "--db", "copy.db"]).ok();
    assert_eq!(names(&sandbox), [".llamafile", "copy.db"]);
}

#[test]
fn neither_the_store_nor_a_folder_is_replaced() {
    let sandbox = store();
    let before = std::fs::read(sandbox.store()).unwrap();
    let store = sandbox.store();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&store, sandbox.path().join("link")).unwrap();
    let cases = [
        (store.to_str().unwrap(), "this is the store itself"),
        #[cfg(unix)]
        ("link", "this is the store itself"),
        (".", "is a directory"),
        ("missing/copy.db", "no such file or directory"),
    ];
    for (file, why) in cases {
        let message = sandbox.run(["backup", "--force", file]).failed();
        assert!(message.ends_with(why), "{message}");
    }
    assert!(std::fs::read(store).unwrap() == before);
}

#[test]
fn what_is_no_store_is_not_copied() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "text",
        "no database, but a letter that is long enough to be looked at".repeat(9),
    );
    for db in ["text", "missing", "."] {
        sandbox.run(["backup", "--db", db, "copy.db"]).failed();
    }
    assert_eq!(names(&sandbox), ["text"]);
}

/// llamafile's file is copied too, without a word about runs.
#[test]
fn a_file_of_llamafile_alone_is_copied() {
    let sandbox = Sandbox::new();
    let chats = fixture("stores/llamafile.sqlite3");
    let args = [
        "backup".as_ref(),
        "--db".as_ref(),
        chats.as_os_str(),
        "copy.db".as_ref(),
    ];
    sandbox.run(args).ok();
    assert_eq!(
        sandbox.run(["chat", "list", "--db", "copy.db"]).text(),
        sandbox
            .run([
                "chat".as_ref(),
                "list".as_ref(),
                "--db".as_ref(),
                chats.as_os_str()
            ])
            .text(),
    );
}

/// While a writer adds run after run, each copy is the store of one moment.
#[test]
fn a_copy_made_while_others_write_is_whole() {
    let sandbox = store();
    let golden = String::from_utf8(crate::sandbox::read_fixture("golden/gpu-reps4.json")).unwrap();
    for index in 0..200 {
        sandbox.file(
            &format!("{index}.json"),
            golden.replace("\"n_gen\": 16,", &format!("\"n_gen\": {index},")),
        );
    }
    let mut writer = sandbox
        .command(["add"])
        .args((0..200).map(|index| format!("{index}.json")))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for index in 0..10 {
        let name = format!("copy{index}.db");
        sandbox.run(["backup", &name]).ok();
        sandbox.run(["check", "--db", &name]).ok();
    }
    assert!(writer.wait().unwrap().success());
    sandbox.run(["check"]).ok();
}

#[test]
fn nothing_takes_the_place_of_the_store_or_of_what_belongs_to_it() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    let store = sandbox.store();
    let before = std::fs::read(&store).unwrap();
    let log = store.with_file_name("llamafile.sqlite3-wal");
    let journal = store.with_file_name("llamafile.sqlite3-journal");
    for target in [&store, &log, &journal] {
        let target = target.to_str().unwrap();
        for command in [
            &["report", "--out"][..],
            &["plot", "context", "--out"],
            &["export", "--all", "-o", "json", "--out"],
            &["backup", "--force"],
        ] {
            let said = sandbox.run(command.iter().chain(&[target])).failed();
            assert!(said.ends_with("this is the store itself"), "{said}");
        }
    }
    assert_eq!(std::fs::read(&store).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn a_link_to_the_store_is_the_store() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    let link = sandbox.path().join("link.db");
    std::os::unix::fs::symlink(sandbox.store(), &link).unwrap();
    let log = sandbox.store().with_file_name("llamafile.sqlite3-wal");
    let args = [
        "--db",
        link.to_str().unwrap(),
        "backup",
        log.to_str().unwrap(),
    ];
    assert!(
        sandbox
            .run(args)
            .failed()
            .ends_with("this is the store itself")
    );
}

/// SQLite would read it as the log of the copy.
#[test]
fn a_log_that_lies_beside_the_target_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.file("copy.db-wal", "the log of another database");
    let said = sandbox.run(["backup", "copy.db"]).failed();
    assert!(
        said.ends_with("a log of another database lies beside the target"),
        "{said}"
    );
    assert!(!sandbox.path().join("copy.db").exists());
}

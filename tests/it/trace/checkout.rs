use std::fs;
use std::path::Path;

use serde_json::Value;

use super::made::Made;
use super::{Work, git};

/// A trajectory of three parts: the second has all that could be converted on its way.
fn made(work: &Work) -> Made<'_> {
    work.write("a", "1");
    let mut made = Made::begin(work, "code");
    made.part("text", "first");
    work.write(
        ".gitattributes",
        "*.txt text eol=crlf\n*.u16 working-tree-encoding=UTF-16\n*.big filter=lfs\n$* ident\n",
    );
    work.write("lf.txt", "a\nb\r\nc\n");
    work.write("x.u16", b"\xff\xfea\0");
    work.write("x.big", "version https://git-lfs.github.com/spec/v1\n");
    work.write("ident.c", "$Id$");
    work.write("with space/ü", [0, 255, 13, 10]);
    work.write(".gitignore", "ignored\n");
    work.write("ignored", "x");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::os::unix::fs::symlink("../../outside", work.repo().join("link")).unwrap();
        let script = work.write("run.sh", "#!/bin/sh\n");
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    made.part("patch", "second");
    fs::remove_file(work.repo().join("a")).unwrap();
    made.part("tool", "third");
    made
}

/// All files below the folder with their content, modes and targets; without git's and ignored ones.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = git(
        folder,
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    );
    let mut files: Vec<_> = names
        .split_terminator('\0')
        .filter(|name| folder.join(name).symlink_metadata().is_ok())
        .map(|name| {
            let path = folder.join(name);
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .as_bytes()
                    .to_vec()
            } else {
                fs::read(&path).unwrap()
            };
            #[cfg(unix)]
            let mode = {
                use std::os::unix::fs::PermissionsExt;
                format!(" {:o}", metadata.permissions().mode() & 0o170_111)
            };
            #[cfg(not(unix))]
            let mode = String::new();
            (name.to_owned() + &mode, content)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_byte_comes_back() {
    let work = Work::new();
    let mut made = made(&work);
    made.end("completed");
    work.write("a", "1");
    let before = files(&work.repo());
    let dest = work.sandbox().path().join("then/and there");
    let dest_text = dest.to_str().unwrap();
    let out = work.sandbox().path().join("out.json");
    let printed = work
        .run(&[
            "checkout",
            "code",
            "--part",
            "2",
            "--dest",
            dest_text,
            "--out",
            out.to_str().unwrap(),
        ])
        .ok();
    assert_eq!(files(&dest), before);
    assert_eq!(fs::read(out).unwrap(), printed);
    let metadata: Value = serde_json::from_slice(&printed).unwrap();
    let keys: Vec<_> = metadata.as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "trajectory_id",
        "session_id",
        "part",
        "timestamp",
        "commit",
        "repo_path",
    ];
    expected.sort_unstable();
    let mut sorted = keys;
    sorted.sort();
    assert_eq!(sorted, expected);
    assert_eq!(metadata["commit"], made.commit_of(2));
    assert_eq!(metadata["repo_path"], dest_text);
    assert_eq!(metadata["part"], 2);

    assert_eq!(git(&dest, &["rev-parse", "HEAD"]).trim(), made.commit_of(2));
    assert_eq!(
        git(&dest, &["rev-parse", "--abbrev-ref", "HEAD"]).trim(),
        "HEAD"
    );
    assert_eq!(git(&dest, &["status", "--porcelain"]), "");
    assert!(!dest.join("ignored").exists());
    assert!(!dest.join(".git/hooks").exists());
}

#[test]
fn a_part_without_checkpoint_has_the_code_before_and_a_deletion_stays() {
    let work = Work::new();
    let mut made = made(&work);
    made.part("text", "fourth").end("completed");
    let dest = work.sandbox().path().join("fourth");
    fs::create_dir(&dest).unwrap();
    work.run(&["checkout", "last", "--part", "4", "--dest", "../fourth"])
        .ok();
    assert!(!dest.join("a").exists() && dest.join("lf.txt").exists());
}

#[test]
fn a_folder_that_is_not_empty_is_refused_and_left_alone() {
    let work = Work::new();
    made(&work).end("completed");
    let dest = work.sandbox().path().join("full");
    fs::create_dir(&dest).unwrap();
    fs::write(dest.join("mine"), "x").unwrap();
    let error = work
        .run(&["checkout", "code", "--part", "1", "--dest", "../full"])
        .failed();
    assert!(error.ends_with("the folder is not empty"), "{error}");
    assert_eq!(fs::read(dest.join("mine")).unwrap(), b"x");
    assert_eq!(fs::read_dir(&dest).unwrap().count(), 1);
    work.run(&["checkout", "code", "--part", "1", "--dest", "../full/mine"])
        .failed();
}

#[test]
fn what_fails_leaves_no_folder() {
    let work = Work::new();
    let mut made = made(&work);
    made.end("completed");
    let dest = work.sandbox().path().join("new/dest");
    let dest = dest.to_str().unwrap();
    let new = work.sandbox().path().join("new");
    for part in ["0", "4"] {
        let error = work
            .run(&["checkout", "code", "--part", part, "--dest", dest])
            .failed();
        assert!(error.contains("parts 1 to 3"), "{error}");
        assert!(!new.exists());
    }
    for (commit, why) in [
        (Value::Null, "part 2: nothing was committed until then"),
        (
            "--upload-pack=x".into(),
            "part 2: invalid commit '--upload-pack=x'",
        ),
        ("1".repeat(40).into(), "it has no commit 111"),
    ] {
        made.trace["parts"][1]["git_commit"] = commit;
        made.save();
        let error = work
            .run(&["checkout", "code", "--part", "2", "--dest", dest])
            .failed();
        assert!(error.contains(why), "{error}");
        assert!(!new.exists());
    }
    let bundle = work.folder("code").join("repo.bundle");
    let whole = fs::read(&bundle).unwrap();
    fs::write(&bundle, &whole[..whole.len() / 2]).unwrap();
    let error = work
        .run(&["checkout", "code", "--part", "1", "--dest", dest])
        .failed();
    assert!(error.contains("repo.bundle: "), "{error}");
    assert!(!new.exists());
    fs::remove_file(&bundle).unwrap();
    let error = work
        .run(&["checkout", "code", "--part", "1", "--dest", dest])
        .failed();
    assert!(error.contains("repo.bundle: no such file"), "{error}");
    assert!(!new.exists());
}

#[test]
fn after_a_crash_the_private_git_directory_is_read() {
    let work = Work::new();
    let made = made(&work);
    made.save();
    let dest = work.sandbox().path().join("then");
    work.run(&["checkout", "code", "--part", "3", "--dest", "../then"])
        .ok();
    assert!(dest.join("lf.txt").exists());
    // It does not need that directory any more.
    fs::remove_dir_all(work.folder("code").join("repo.git")).unwrap();
    git(&dest, &["fsck"]);
}

#[test]
fn attributes_and_settings_of_the_user_change_nothing() {
    let mut work = Work::new();
    let config = work.sandbox().file(
        "gitconfig",
        "[core]\nautocrlf = true\nhooksPath = hooks\n[filter \"lfs\"]\nsmudge = false\nrequired\n\
         [clone]\ndefaultRemoteName = other\n[submodule]\nrecurse = true\n",
    );
    work.sandbox_mut().set("GIT_CONFIG_GLOBAL", config);
    work.sandbox_mut().set("GIT_DIR", "/nowhere");
    let mut made = made(&work);
    made.end("completed");
    work.write("a", "1");
    let before = files(&work.repo());
    work.run(&["checkout", "code", "--part", "2", "--dest", "../then"])
        .ok();
    assert_eq!(files(&work.sandbox().path().join("then")), before);
}

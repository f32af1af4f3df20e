//! The private git directory, over real repositories.

#![allow(
    clippy::disallowed_methods,
    reason = "files are written as agents write them"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Git, History, Private, User, write_bundle};
use crate::place::Folder;

fn begin(folder: &Folder, dir: &Path, exclude: &[PathBuf]) -> base::Result<Private> {
    Private::begin(folder, dir, User::find(dir)?, exclude)
}

fn resume(folder: &Folder, dir: &Path, exclude: &[PathBuf]) -> base::Result<Private> {
    Private::resume(folder, dir, User::find(dir)?, exclude)
}

/// A folder that an agent works in, and the folder of a trajectory.
struct Ground {
    home: TempDir,
    folder: Folder,
}

impl Ground {
    /// With a folder that is no repository.
    fn plain() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("traces/trajectories/one");
        std::fs::create_dir_all(&path).unwrap();
        std::fs::create_dir(home.path().join("work")).unwrap();
        let folder = Folder {
            id: "one".to_owned(),
            path,
        };
        Self { home, folder }
    }

    /// With a repository without a commit.
    fn empty() -> Self {
        let ground = Self::plain();
        ground.git(&["init", "-q", "-b", "main"]);
        ground
    }

    /// With a repository that has a commit of these files.
    fn with(files: &[(&str, &str)]) -> Self {
        let ground = Self::empty();
        for (name, content) in files {
            ground.write(name, content);
        }
        ground.commit("first");
        ground
    }

    fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.work(), args)
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn begin(&self) -> Private {
        begin(&self.folder, &self.work(), &[]).unwrap()
    }

    /// Ends the recording, and what a clone of its bundle has at the commit.
    fn finish(&self, private: Private, commit: &str) -> TempDir {
        write_bundle(&private.git(), "one", &self.folder.bundle()).unwrap();
        private.finish(&self.folder.bundle()).unwrap();
        assert!(!self.folder.git_dir().exists());
        let clone = tempfile::tempdir().unwrap();
        let bundle = self.folder.bundle();
        let to = clone.path().join("c");
        let words = ["-c", "core.autocrlf=false", "clone", "-q"];
        let words = [
            words.as_slice(),
            &[bundle.to_str().unwrap(), to.to_str().unwrap()],
        ]
        .concat();
        git(clone.path(), &words);
        git(&to, &["checkout", "-q", commit]);
        clone
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = base::process::command("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All files below a folder with their content and times.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                std::fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                std::fs::read(&path).unwrap()
            };
            found.insert(path, (metadata.modified().unwrap(), content));
        }
    }
    found
}

#[test]
fn each_checkpoint_has_the_files_of_its_moment() {
    let ground = Ground::with(&[("a", "1\n"), ("b/c", "2\n")]);
    let before = snapshot(&ground.work().join(".git"));
    let mut private = ground.begin();
    let first = ground.git(&["rev-parse", "HEAD"]).trim().to_owned();
    assert_eq!(private.head(), Some(first.as_str()));
    assert_eq!(private.checkpoint("part 1 checkpoint").unwrap(), None);

    ground.write("a", "3\n");
    ground.write("d e", "4\n");
    std::fs::remove_file(ground.work().join("b/c")).unwrap();
    let made = private.checkpoint("part 2 checkpoint").unwrap().unwrap();
    assert_eq!(made.changed_files, ["a", "b/c", "d e"]);
    assert_eq!(made.commit_before, Some(first));
    let commit = made.commit_after.unwrap();

    // Back to what it was: that object is in the user's repository.
    ground.write("a", "1\n");
    let made = private.checkpoint("part 3 checkpoint").unwrap().unwrap();
    assert_eq!(made.changed_files, ["a"]);

    assert_eq!(snapshot(&ground.work().join(".git")), before);
    let clone = ground.finish(private, &commit);
    let mut files: Vec<_> = snapshot(&clone.path().join("c")).into_keys().collect();
    files.retain(|file| {
        !file
            .strip_prefix(clone.path().join("c"))
            .unwrap()
            .starts_with(".git")
    });
    assert_eq!(
        files,
        [clone.path().join("c/a"), clone.path().join("c/d e")]
    );
    assert_eq!(std::fs::read(clone.path().join("c/a")).unwrap(), b"3\n");
}

#[test]
fn an_empty_folder_has_no_commit() {
    for ground in [Ground::plain(), Ground::empty()] {
        let mut private = ground.begin();
        assert_eq!(private.head(), None);
        assert_eq!(private.checkpoint("part 1 checkpoint").unwrap(), None);
        ground.write("a", "1");
        let made = private.checkpoint("part 2 checkpoint").unwrap().unwrap();
        assert_eq!(made.commit_before, None);
        assert_eq!(made.changed_files, ["a"]);
        ground.finish(private, &made.commit_after.unwrap());
    }
}

#[test]
fn the_chain_outlives_the_users_repository() {
    let ground = Ground::with(&[("a", "1\n"), ("b/c", "2\n")]);
    let mut private = ground.begin();
    std::fs::remove_dir_all(ground.work().join(".git")).unwrap();
    ground.write("a", "3\n");
    let made = private.checkpoint("part 1 checkpoint").unwrap().unwrap();
    assert_eq!(made.changed_files, ["a"]);
    ground.finish(private, &made.commit_after.unwrap());
}

#[test]
fn a_recording_goes_on_in_the_same_repository_only() {
    let ground = Ground::with(&[("a", "1\n")]);
    let mut private = ground.begin();
    ground.write("a", "2\n");
    let made = private.checkpoint("part 1 checkpoint").unwrap().unwrap();
    let commit = made.commit_after.unwrap();
    // As after a crash.
    drop(private);
    let private = resume(&ground.folder, &ground.work(), &[]).unwrap();
    assert_eq!(private.head(), Some(commit.as_str()));
    ground.finish(private, &commit);
    // From the bundle.
    let mut private = resume(&ground.folder, &ground.work(), &[]).unwrap();
    assert_eq!(private.head(), Some(commit.as_str()));
    assert_eq!(private.checkpoint("part 2 checkpoint").unwrap(), None);
    ground.write("a", "3\n");
    let made = private.checkpoint("part 2 checkpoint").unwrap().unwrap();
    assert_eq!(made.commit_before, Some(commit.clone()));
    ground.finish(private, &made.commit_after.unwrap());

    let other = Ground::with(&[("a", "other\n")]);
    let refused = resume(&ground.folder, &other.work(), &[]).unwrap_err();
    assert!(
        refused.to_string().contains("not the repository"),
        "{refused}"
    );
}

type Files = BTreeMap<Vec<u8>, (&'static str, Vec<u8>)>;

/// The files below a folder, but for git directories: kind and content.
fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(inside).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(folder).unwrap();
            let name = name.as_os_str().as_encoded_bytes().to_vec();
            if path.file_name().unwrap() == ".git" {
            } else if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                found.insert(
                    name,
                    ("120000", target.into_os_string().into_encoded_bytes()),
                );
            } else if metadata.is_file() {
                let is_program = metadata.permissions().mode() & 0o100 != 0;
                let kind = if is_program { "100755" } else { "100644" };
                found.insert(name, (kind, std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}

/// The files of a commit; submodules have no content.
fn tree(git: &Git, commit: &str) -> Files {
    let mut found = Files::new();
    for line in git
        .run(&["ls-tree", "-r", "-z", commit])
        .unwrap()
        .split(|byte| *byte == 0)
    {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
            continue;
        };
        let head = String::from_utf8_lossy(&line[..tab]).into_owned();
        let words: Vec<&str> = head.split(' ').collect();
        let kind = ["100644", "100755", "120000", "160000"]
            .into_iter()
            .find(|kind| *kind == words[0])
            .unwrap();
        let content = match kind {
            "160000" => Vec::new(),
            _ => git.run(&["cat-file", "blob", words[2]]).unwrap(),
        };
        found.insert(line[tab + 1..].to_vec(), (kind, content));
    }
    found
}

/// The names of the files of the last commit.
fn names(private: &Private) -> Vec<String> {
    let tree = tree(&private.git(), private.head().unwrap());
    tree.into_keys()
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .collect()
}

/// The last commit has the files as they are.
fn assert_exact(private: &Private) {
    assert_eq!(
        tree(&private.git(), private.head().unwrap()),
        files(private.worktree())
    );
}

fn checkpoint(private: &mut Private) -> Option<Vec<String>> {
    let made = private.checkpoint("part 7 checkpoint").unwrap();
    made.map(|made| made.changed_files)
}

impl Ground {
    fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    fn link(&self, name: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.path(name)).unwrap();
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// After the end of the recording the bundle alone has all.
    fn finish_whole(&self, private: Private) {
        let head = private.head().unwrap().to_owned();
        let worktree = files(private.worktree());
        write_bundle(&private.git(), "one", &self.folder.bundle()).unwrap();
        private.finish(&self.folder.bundle()).unwrap();
        let history = History::open(&self.folder).unwrap();
        assert!(history.has(&head));
        assert_eq!(tree(&history.git, &head), worktree);
        history
            .git
            .run(&["fsck", "--full", "--strict", "--no-dangling"])
            .unwrap();
    }
}

#[test]
fn bytes_modes_links_and_names_are_exact_whatever_attributes_say() {
    let ground = Ground::with(&[
        (
            ".gitattributes",
            "*.crlf text eol=crlf\n*.id ident\n*.f filter=up\n*.u working-tree-encoding=UTF-16\n* text=auto\n",
        ),
        ("a.crlf", "1\r\n2\r\n"),
        ("a.id", "$Id$\n"),
        ("a.u", ""),
        ("plain", "x\r\ny\n"),
    ]);
    ground.git(&["config", "filter.up.clean", "tr a-z A-Z"]);
    ground.git(&["config", "filter.up.smudge", "tr A-Z a-z"]);
    ground.write("a.f", "same size");
    ground.write("a.u", [0xff, 0xfe, b'a', 0, b'\n', 0]);
    ground.commit("second");
    for name in ["a.id", "a.crlf"] {
        std::fs::remove_file(ground.path(name)).unwrap();
    }
    ground.git(&["checkout", "-q", "--", "."]);
    assert!(std::fs::read(ground.path("a.id")).unwrap().len() > 10);
    let mut private = ground.begin();
    assert_exact(&private);
    ground.write("a.crlf", "1\n2\r\n");
    ground.write("a.f", "same SIZE");
    ground.write("ä ö/-x", b"\0\xff");
    ground.write("line\nbreak", "1");
    ground.write("-dash", "1");
    ground.write(":(top)x", "1");
    ground.write("#!x", "1");
    std::fs::write(ground.work().join(OsStr::from_bytes(b"\xff\xfe")), "1").unwrap();
    ground.link("dangling", "nowhere");
    ground.link("to folder", "ä ö");
    ground.mode("plain", 0o755);
    let changed = checkpoint(&mut private).unwrap();
    assert_eq!(
        changed,
        [
            "#!x",
            "-dash",
            ":(top)x",
            "a.crlf",
            "a.f",
            "dangling",
            "line\nbreak",
            "plain",
            "to folder",
            "ä ö/-x",
            "\u{fffd}\u{fffd}"
        ]
    );
    assert_exact(&private);
    ground.mode("plain", 0o644);
    std::fs::rename(ground.path("-dash"), ground.path("-DASH")).unwrap();
    std::fs::remove_file(ground.path("to folder")).unwrap();
    ground.write("to folder/now one", "1");
    assert_eq!(
        checkpoint(&mut private).unwrap(),
        ["-DASH", "-dash", "plain", "to folder", "to folder/now one"]
    );
    assert_exact(&private);
    ground.finish_whole(private);
}

#[test]
fn a_change_of_the_same_size_at_any_time_is_seen() {
    let ground = Ground::with(&[("a", "0000"), ("b/c", "x")]);
    let mut private = ground.begin();
    for number in 1..150 {
        ground.write("a", format!("{number:04}"));
        assert_eq!(checkpoint(&mut private).unwrap(), ["a"], "{number}");
    }
    // With the time of the file set back.
    let modified = std::fs::metadata(ground.path("a"))
        .unwrap()
        .modified()
        .unwrap();
    for number in 1..50 {
        ground.write("a", format!("{:04}", 9000 + number));
        let file = std::fs::File::options()
            .write(true)
            .open(ground.path("a"))
            .unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(checkpoint(&mut private).unwrap(), ["a"], "{number}");
    }
    assert_exact(&private);
}

#[test]
fn without_a_change_git_is_not_started() {
    let ground = Ground::with(&[("a", "1"), ("b/c/d", "1"), (".gitignore", "out/\n*.log\n")]);
    ground.write("out/deep/x", "1");
    std::fs::create_dir_all(ground.path("empty/er")).unwrap();
    let mut private = ground.begin();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(checkpoint(&mut private), None);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(checkpoint(&mut private), None);
    // No git works without it.
    let head = ground.folder.git_dir().join("HEAD");
    std::fs::rename(&head, head.with_extension("away")).unwrap();
    for _ in 0..10 {
        assert_eq!(checkpoint(&mut private), None);
    }
    // Nor what is ignored.
    ground.write("out/deep/y", "1");
    ground.write("out/z", "1");
    assert_eq!(checkpoint(&mut private), None);
    ground.write("empty/er/new", "1");
    private.checkpoint("part 2 checkpoint").unwrap_err();
    // The next one works again.
    std::fs::rename(head.with_extension("away"), &head).unwrap();
    assert_eq!(checkpoint(&mut private).unwrap(), ["empty/er/new"]);
    for name in ["b/new", "new/deep/er", "empty/too", "out.txt", "b/c/e/f/g"] {
        ground.write(name, "1");
        assert_eq!(checkpoint(&mut private).unwrap(), [name]);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(checkpoint(&mut private), None);
        assert_eq!(checkpoint(&mut private), None);
        ground.write(name, "2");
        assert_eq!(checkpoint(&mut private).unwrap(), [name]);
    }
    ground.write("b/new.log", "1");
    assert_eq!(checkpoint(&mut private), None);
    // What is ignored changes.
    ground.write(".gitignore", "*.log\n");
    assert_eq!(
        checkpoint(&mut private).unwrap(),
        [".gitignore", "out/deep/x", "out/deep/y", "out/z"]
    );
    ground.write("out/deep/y", "2");
    assert_eq!(checkpoint(&mut private).unwrap(), ["out/deep/y"]);
    // One that ignores itself.
    ground.write("venv/.gitignore", "*\n");
    ground.write("venv/x", "1");
    assert_eq!(checkpoint(&mut private), None);
    ground.write("venv/.gitignore", "y\n");
    assert_eq!(
        checkpoint(&mut private).unwrap(),
        ["venv/.gitignore", "venv/x"]
    );
}

#[test]
fn what_is_ignored_or_excluded_stays_out() {
    let ground = Ground::with(&[("a", "1"), (".gitignore", "*.log\n")]);
    ground.write("ignored-everywhere", "ignored-everywhere\nby-list\n");
    let list = ground.path("ignored-everywhere");
    ground.git(&["config", "core.excludesFile", list.to_str().unwrap()]);
    std::fs::write(ground.path(".git/info/exclude"), "by-exclude").unwrap();
    let exclude = [
        ground.path("tra[ces] *"),
        ground.path("store.db"),
        ground.home.path().join("elsewhere"),
    ];
    for name in [
        "x.log",
        "by-exclude",
        "by-list",
        "tra[ces] */one/x",
        "store.db",
        "tracesx",
    ] {
        ground.write(name, "1");
    }
    let mut private = begin(&ground.folder, &ground.work(), &exclude).unwrap();
    assert_eq!(names(&private), [".gitignore", "a", "tracesx"]);
    std::fs::write(ground.path(".git/info/exclude"), "other").unwrap();
    assert_eq!(checkpoint(&mut private).unwrap(), ["by-exclude"]);
    ground.write("store.db", "2");
    assert_eq!(checkpoint(&mut private), None);
}

#[test]
fn nothing_of_the_users_git_directory_changes() {
    let ground = Ground::with(&[("a", "1\n"), ("b/c", "2\n"), ("gone", "x")]);
    ground.write("a", "stashed\n");
    ground.git(&["stash", "-q"]);
    for hook in [
        "pre-commit",
        "post-commit",
        "post-index-change",
        "reference-transaction",
        "post-checkout",
    ] {
        ground.write(
            &format!(".git/hooks/{hook}"),
            "#!/bin/sh\ntouch \"$GIT_DIR/ran\"\nexit 1\n",
        );
        ground.mode(&format!(".git/hooks/{hook}"), 0o755);
    }
    ground.git(&["config", "core.fsmonitor", "touch .git/ran"]);
    ground.git(&["config", "commit.gpgSign", "true"]);
    ground.git(&["config", "gc.auto", "1"]);
    ground.write("a", "staged\n");
    ground.git(&["-c", "core.fsmonitor=false", "add", "a"]);
    ground.write("a", "not staged\n");
    ground.write("untracked", "1\n");
    std::fs::remove_file(ground.path("gone")).unwrap();
    let status = [
        "-c",
        "core.fsmonitor=false",
        "--no-optional-locks",
        "status",
        "--porcelain=v2",
    ];
    let status_before = ground.git(&status);
    let before = snapshot(&ground.path(".git"));
    let mut private = ground.begin();
    assert_exact(&private);
    // Contents that the repository has already.
    for content in ["1\n", "staged\n", "stashed\n", "1\n"] {
        ground.write("a", content);
        ground.write("gone", "x");
        checkpoint(&mut private).unwrap();
        assert_exact(&private);
        std::fs::remove_file(ground.path("untracked")).ok();
    }
    ground.write("a", "not staged\n");
    ground.write("untracked", "1\n");
    std::fs::remove_file(ground.path("gone")).unwrap();
    checkpoint(&mut private).unwrap();
    ground.finish_whole(private);
    assert_eq!(snapshot(&ground.path(".git")), before);
    assert_eq!(ground.git(&status), status_before);
}

#[test]
fn an_index_in_any_state_hides_nothing() {
    let states: [&[&[&str]]; 8] = [
        &[&["update-index", "--assume-unchanged", "a"]],
        &[&["update-index", "--split-index"]],
        &[&["update-index", "--untracked-cache"]],
        &[&["update-index", "--index-version", "4"]],
        &[&["add", "-N", "new"]],
        &[&["rm", "-q", "--cached", "a"]],
        &[&["read-tree", "--empty"]],
        &[&["config", "core.autocrlf", "true"]],
    ];
    for state in states {
        let ground = Ground::with(&[("a", "1\n"), ("b/c", "2\n")]);
        ground.write("new", "1");
        for args in state {
            ground.git(args);
        }
        ground.write("a", "2\n");
        let mut private = ground.begin();
        assert_exact(&private);
        ground.write("a", "3\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["a"], "{state:?}");
        std::fs::remove_file(ground.path("new")).unwrap();
        assert_eq!(checkpoint(&mut private).unwrap(), ["new"], "{state:?}");
        ground.finish_whole(private);
    }
    // A damaged one.
    let ground = Ground::with(&[("a", "1\n"), ("b/c", "2\n")]);
    ground.write(".git/index", "DIRC rubbish");
    assert_exact(&ground.begin());
}

#[test]
fn a_conflict_is_recorded_as_it_lies_there() {
    let ground = Ground::with(&[("a", "1\n")]);
    ground.git(&["checkout", "-q", "-b", "other"]);
    ground.write("a", "other\n");
    ground.commit("other");
    ground.git(&["checkout", "-q", "main"]);
    ground.write("a", "main\n");
    ground.commit("main");
    let merge = base::process::command("git")
        .args(["merge", "-q", "other"])
        .current_dir(ground.work())
        .output()
        .unwrap();
    assert!(!merge.status.success());
    let mut private = ground.begin();
    assert_exact(&private);
    ground.write("a", "solved\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
}

#[test]
fn a_sparse_checkout_loses_nothing() {
    for cone in [
        &["--cone"][..],
        &["--no-cone"],
        &["--cone", "--sparse-index"],
    ] {
        let ground = Ground::with(&[
            ("in/a", "1\n"),
            ("out/b", "2\n"),
            ("out/deep/c", "3\n"),
            ("top", "4\n"),
        ]);
        ground.git(&[&["sparse-checkout", "set"], cone, &["in"]].concat());
        assert!(!ground.path("out").exists());
        let mut private = ground.begin();
        let head = ground.git(&["rev-parse", "HEAD"]);
        assert_eq!(private.head(), Some(head.trim()), "{cone:?}");
        ground.write("in/a", "5\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["in/a"]);
        // What comes to be there is recorded.
        ground.write("out/b", "6\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["out/b"]);
        ground.write("out/b", "7\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["out/b"]);
        assert!(names(&private).contains(&"out/deep/c".to_owned()));
        // Another selection is no change.
        ground.write("out/b", "2\n");
        ground.write("in/a", "1\n");
        checkpoint(&mut private).unwrap();
        ground.git(&["status"]);
        ground.git(&["sparse-checkout", "set", "out"]);
        assert!(!ground.path("in").exists());
        assert_eq!(checkpoint(&mut private), None, "{cone:?}");
        write_bundle(&private.git(), "one", &ground.folder.bundle()).unwrap();
        private.finish(&ground.folder.bundle()).unwrap();
        let mut private = resume(&ground.folder, &ground.work(), &[]).unwrap();
        assert_eq!(checkpoint(&mut private), None);
    }
}

#[test]
fn shallow_and_partial_clones_begin_without_a_parent() {
    for how in ["--depth=1", "--filter=blob:none"] {
        let origin = Ground::with(&[("a", "1\n"), ("b", "2\n")]);
        origin.write("a", "old\n");
        origin.commit("second");
        origin.write("a", "3\n");
        origin.commit("third");
        origin.git(&["config", "uploadpack.allowFilter", "true"]);
        let ground = Ground::plain();
        let from = format!("file://{}", origin.work().display());
        git(&ground.work(), &["clone", "-q", how, &from, "."]);
        let head = ground.git(&["rev-parse", "HEAD"]);
        let mut private = ground.begin();
        assert_exact(&private);
        let message = private
            .git()
            .line(&["log", "--format=%P %s", private.head().unwrap()])
            .unwrap();
        assert_eq!(message, format!(" start, from {}", head.trim()));
        ground.write("a", "4\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
        ground.finish_whole(private);
        resume(&ground.folder, &ground.work(), &[]).unwrap();
    }
}

#[test]
fn a_sparse_partial_clone_is_recorded_without_what_it_lacks() {
    let origin = Ground::with(&[("in/a", "1\n"), ("out/b", "2\n")]);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let ground = Ground::plain();
    let from = format!("file://{}", origin.work().display());
    let clone = ["clone", "-q", "--filter=blob:none", "--sparse", &from, "."];
    git(&ground.work(), &clone);
    ground.git(&["sparse-checkout", "set", "in"]);
    let mut private = ground.begin();
    assert_exact(&private);
    ground.write("in/a", "3\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["in/a"]);
    ground.finish_whole(private);
}

#[test]
fn files_that_come_and_go_while_git_reads_do_no_harm() {
    let ground = Ground::with(&[("a", "1\n")]);
    let mut private = ground.begin();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u64;
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                let path = ground.path(&format!("passing{}", number % 7));
                let _ = std::fs::write(&path, "x");
                std::thread::sleep(Duration::from_micros(300));
                let _ = std::fs::remove_file(&path);
            }
        });
        let results: Vec<_> = (0..30)
            .map(|_| private.checkpoint("part 1 checkpoint").map(drop))
            .collect();
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        for result in results {
            result.unwrap();
        }
    });
    checkpoint(&mut private);
    assert_exact(&private);
}

#[test]
fn objects_on_another_file_system_are_copied() {
    let Ok(shared) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let mut ground = Ground::with(&[("a", "1\n"), ("b/c", "2\n")]);
    ground.git(&["repack", "-adq"]);
    ground.write("b/c", "loose\n");
    ground.commit("second");
    ground.folder.path = shared.path().join("one");
    std::fs::create_dir(&ground.folder.path).unwrap();
    let mut private = ground.begin();
    std::fs::remove_dir_all(ground.path(".git")).unwrap();
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    ground.finish_whole(private);
}

#[test]
fn repositories_of_all_kinds_are_recorded() {
    // SHA-256.
    let ground = Ground::plain();
    ground.git(&["init", "-q", "--object-format=sha256"]);
    ground.write("a", "1\n");
    ground.commit("first");
    let mut private = ground.begin();
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    assert_eq!(private.head().unwrap().len(), 64);
    std::thread::sleep(Duration::from_millis(50));
    checkpoint(&mut private);
    assert_eq!(checkpoint(&mut private), None);
    ground.finish_whole(private);
    resume(&ground.folder, &ground.work(), &[]).unwrap();

    // A detached HEAD, a start in a subfolder.
    let ground = Ground::with(&[("a", "1\n"), ("b/c", "1\n")]);
    ground.git(&["checkout", "-q", "--detach"]);
    let mut private = begin(&ground.folder, &ground.path("b"), &[]).unwrap();
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    ground.finish_whole(private);

    // A linked worktree, and one that borrows its objects.
    for kind in [
        &["worktree", "add", "-q", "../linked"][..],
        &["clone", "-q", "--shared", ".", "../linked"],
    ] {
        let ground = Ground::with(&[("a", "1\n"), ("b/c", "1\n")]);
        ground.git(kind);
        let linked = ground.home.path().join("linked");
        let mut private = begin(&ground.folder, &linked, &[]).unwrap();
        std::fs::remove_dir_all(ground.path(".git")).unwrap();
        std::fs::write(linked.join("a"), "2\n").unwrap();
        assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
        ground.finish_whole(private);
    }

    // Git directories have no files.
    let ground = Ground::with(&[("a", "1\n")]);
    begin(&ground.folder, &ground.path(".git"), &[]).unwrap_err();
    ground.git(&["clone", "-q", "--bare", ".", "../bare"]);
    let bare = ground.home.path().join("bare");
    let refused = begin(&ground.folder, &bare, &[]).unwrap_err();
    assert!(
        refused.to_string().contains("no files of its own"),
        "{refused}"
    );
    assert!(!ground.folder.git_dir().exists());
}

#[test]
fn repositories_inside_are_recorded_by_their_commits() {
    let ground = Ground::with(&[("a", "1\n")]);
    let module = Ground::with(&[("m", "1\n")]);
    let from = module.work();
    ground.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        from.to_str().unwrap(),
        "sub",
    ]);
    ground.commit("with a submodule");
    let before = snapshot(&ground.path(".git"));
    let mut private = ground.begin();
    assert_eq!(names(&private), [".gitmodules", "a", "sub"]);
    ground.write("sub/m", "dirty\n");
    assert_eq!(checkpoint(&mut private), None);
    assert_eq!(snapshot(&ground.path(".git")), before);
    git(&ground.path("sub"), &["commit", "-q", "-a", "-m", "in it"]);
    assert_eq!(checkpoint(&mut private).unwrap(), ["sub"]);
    // One without a commit hides no other file.
    std::fs::create_dir(ground.path("nested")).unwrap();
    git(&ground.path("nested"), &["init", "-q"]);
    ground.write("nested/x", "1");
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    ground.write("a", "3\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    git(&ground.path("nested"), &["add", "x"]);
    git(&ground.path("nested"), &["commit", "-q", "-m", "x"]);
    assert_eq!(checkpoint(&mut private).unwrap(), ["nested"]);
    write_bundle(&private.git(), "one", &ground.folder.bundle()).unwrap();
    private.finish(&ground.folder.bundle()).unwrap();
}

#[test]
fn commits_of_the_agent_become_parents() {
    let ground = Ground::with(&[("a", "1\n")]);
    let mut private = ground.begin();
    let first = private.head().unwrap().to_owned();
    ground.write("a", "2\n");
    let theirs = ground.commit("of the agent");
    checkpoint(&mut private).unwrap();
    let parents = |private: &Private| {
        private
            .git()
            .line(&["log", "-1", "--format=%P", private.head().unwrap()])
            .unwrap()
    };
    assert_eq!(parents(&private), format!("{first} {theirs}"));
    ground.write("a", "3\n");
    let last = private.head().unwrap().to_owned();
    checkpoint(&mut private).unwrap();
    assert_eq!(parents(&private), last);
    // Rewritten, collected, thrown away: the chain has it all.
    ground.git(&["commit", "-q", "--amend", "-a", "-m", "amended"]);
    ground.git(&["reflog", "expire", "--expire=now", "--all"]);
    ground.git(&["gc", "-q", "--prune=now"]);
    ground.write("a", "4\n");
    checkpoint(&mut private).unwrap();
    // Back to what the chain has.
    ground.git(&["reset", "-q", "--soft", &first]);
    ground.write("a", "5\n");
    let last = private.head().unwrap().to_owned();
    checkpoint(&mut private).unwrap();
    assert_eq!(parents(&private), last);
    std::fs::remove_dir_all(ground.path(".git")).unwrap();
    ground.write("a", "6\n");
    checkpoint(&mut private).unwrap();
    ground.finish_whole(private);
}

#[test]
fn a_shallow_commit_of_the_agent_is_no_parent() {
    let origin = Ground::with(&[("a", "1\n")]);
    origin.write("a", "2\n");
    origin.commit("second");
    let ground = Ground::plain();
    let mut private = ground.begin();
    let from = format!("file://{}", origin.work().display());
    git(&ground.work(), &["clone", "-q", "--depth=1", &from, "."]);
    checkpoint(&mut private).unwrap();
    ground.write("a", "3\n");
    checkpoint(&mut private).unwrap();
    ground.finish_whole(private);
}

#[test]
fn many_loose_objects_become_ours_beside_the_recording() {
    let ground = Ground::empty();
    for number in 0..1500 {
        ground.write(&format!("{}/{number}", number % 40), format!("{number}"));
    }
    ground.commit("first");
    let mut private = ground.begin();
    let alternates = ground.folder.git_dir().join("objects/info/alternates");
    for _ in 0..600 {
        if std::fs::read_to_string(&alternates).unwrap() == "../fresh\n" {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::remove_dir_all(ground.path(".git")).unwrap();
    ground.write("1/1", "other");
    assert_eq!(checkpoint(&mut private).unwrap(), ["1/1"]);
    ground.finish_whole(private);
}

#[test]
fn what_a_killed_git_left_behind_does_no_harm() {
    let ground = Ground::with(&[("a", "1\n"), ("b", "1\n")]);
    let mut private = ground.begin();
    let git_dir = ground.folder.git_dir();
    ground.write("a", "2\n");
    std::fs::write(git_dir.join("index.lock"), "").unwrap();
    std::fs::write(git_dir.join("HEAD.lock"), "").unwrap();
    std::fs::create_dir_all(git_dir.join("refs/heads/trace")).unwrap();
    std::fs::write(git_dir.join("refs/heads/trace/one.lock"), "").unwrap();
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    // A damaged index is made anew, at the latest by the next one.
    ground.write("a", "3\n");
    std::fs::write(git_dir.join("index"), "rubbish").unwrap();
    let changed = private.checkpoint("part 3 checkpoint");
    if changed.is_err() {
        assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    }
    assert_exact(&private);
    // A file that stands in the way of the objects.
    ground.write("b", "4\n");
    let fresh = git_dir.join("fresh");
    std::fs::rename(&fresh, git_dir.join("away")).unwrap();
    std::fs::write(&fresh, "").unwrap();
    private.checkpoint("part 4 checkpoint").unwrap_err();
    std::fs::remove_file(&fresh).unwrap();
    std::fs::rename(git_dir.join("away"), &fresh).unwrap();
    assert_eq!(checkpoint(&mut private).unwrap(), ["b"]);
    // A worktree that is away for a while.
    std::fs::rename(ground.work(), ground.home.path().join("away")).unwrap();
    let error = private.checkpoint("part 5 checkpoint").unwrap_err();
    assert!(error.to_string().contains("the folder is gone"), "{error}");
    std::fs::rename(ground.home.path().join("away"), ground.work()).unwrap();
    assert_eq!(checkpoint(&mut private), None);
    ground.finish_whole(private);
}

#[test]
fn what_cannot_be_written_is_no_checkpoint_and_takes_no_room() {
    let ground = Ground::with(&[("a", "1\n")]);
    let mut private = ground.begin();
    let fresh = ground.folder.git_dir().join("fresh");
    // git goes on with the other files then.
    ground.write("a", "2\n");
    ground.write("b", "2\n");
    let object = ground.git(&["hash-object", "b"]);
    let way = fresh.join(&object[..2]);
    std::fs::write(&way, "").unwrap();
    std::fs::create_dir_all(fresh.join("pack")).unwrap();
    std::fs::write(fresh.join("pack/tmp_pack_1"), "half").unwrap();
    let error = private.checkpoint("part 1 checkpoint").unwrap_err();
    let expected = "unable to create temporary file";
    assert!(error.to_string().contains(expected), "{error}");
    assert!(!fresh.join("pack/tmp_pack_1").exists());
    std::fs::remove_file(&way).unwrap();
    assert_eq!(checkpoint(&mut private).unwrap(), ["a", "b"]);
    ground.finish_whole(private);
}

#[test]
fn a_damaged_list_of_submodules_does_no_harm() {
    let ground = Ground::with(&[(".gitmodules", "damaged"), ("a", "1\n")]);
    let inside = ground.path("inside");
    std::fs::create_dir(&inside).unwrap();
    git(&inside, &["init", "-q"]);
    git(&inside, &["commit", "-q", "--allow-empty", "-m", "one"]);
    let mut private = ground.begin();
    git(&inside, &["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_eq!(checkpoint(&mut private).unwrap(), ["inside"]);
    // One that wants changes to be hidden is not obeyed either.
    ground.write(
        ".gitmodules",
        "[submodule \"i\"]\n\tpath = inside\n\tignore = all\n",
    );
    git(&inside, &["commit", "-q", "--allow-empty", "-m", "three"]);
    assert_eq!(checkpoint(&mut private).unwrap(), [".gitmodules", "inside"]);
    write_bundle(&private.git(), "one", &ground.folder.bundle()).unwrap();
    private.finish(&ground.folder.bundle()).unwrap();
}

/// Something that an agent does to its files.
#[derive(Debug, Clone)]
enum Change {
    Write(usize, usize),
    Remove(usize),
    Mode(usize, bool),
    Link(usize, usize),
    Move(usize, usize),
    Commit,
    Collect,
    Stage,
}

const NAMES: [&[u8]; 10] = [
    b"a",
    b"d",
    b"d/a",
    b"d/e/f.crlf",
    "d/\u{fc} x".as_bytes(),
    b"A",
    b"\xff\n-",
    b"g.id",
    b"h.rot",
    b".gitattributes",
];

const CONTENTS: [&str; 8] = [
    "",
    "1\n",
    "2\n",
    "1\r\n2\n\r\n",
    "$Id$\n",
    "$Id: 12 $\r\n",
    "abcDEF\n",
    "* text eol=crlf\n*.id ident\n*.rot filter=rot\n",
];

fn change() -> impl Strategy<Value = Change> {
    let name = 0..NAMES.len();
    prop_oneof![
        6 => (name.clone(), 0..CONTENTS.len()).prop_map(|(name, content)| Change::Write(name, content)),
        2 => name.clone().prop_map(Change::Remove),
        1 => (name.clone(), any::<bool>()).prop_map(|(name, is_program)| Change::Mode(name, is_program)),
        1 => (name.clone(), 0..NAMES.len()).prop_map(|(name, target)| Change::Link(name, target)),
        1 => (name, 0..NAMES.len()).prop_map(|(from, to)| Change::Move(from, to)),
        1 => Just(Change::Commit),
        1 => Just(Change::Collect),
        1 => Just(Change::Stage),
    ]
}

impl Ground {
    /// Makes room for the name: nothing is there, and folders are above.
    fn clear(&self, name: &[u8]) -> PathBuf {
        let path = self.work().join(OsStr::from_bytes(name));
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            let _ = std::fs::remove_file(&path);
        }
        for above in path.parent().unwrap().ancestors() {
            if !above.is_dir() || above.is_symlink() {
                let _ = std::fs::remove_file(above);
            }
            if above == self.work() {
                break;
            }
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn apply(&self, change: &Change) {
        let at = |name: usize| self.work().join(OsStr::from_bytes(NAMES[name]));
        match *change {
            Change::Write(name, content) => {
                // In place, if it can be.
                let path = at(name);
                let is_file = std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file());
                let path = if is_file {
                    path
                } else {
                    self.clear(NAMES[name])
                };
                std::fs::write(path, CONTENTS[content]).unwrap();
            }
            Change::Remove(name) => {
                let _ = std::fs::remove_file(at(name));
            }
            Change::Mode(name, is_program) => {
                if std::fs::symlink_metadata(at(name)).is_ok_and(|file| file.is_file()) {
                    let mode = if is_program { 0o755 } else { 0o644 };
                    std::fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
                }
            }
            Change::Link(name, target) => {
                let target = OsStr::from_bytes(NAMES[target]);
                std::os::unix::fs::symlink(target, self.clear(NAMES[name])).unwrap();
            }
            Change::Move(from, to) => {
                let is_file = std::fs::symlink_metadata(at(from)).is_ok_and(|file| !file.is_dir());
                if is_file && from != to && !NAMES[to].starts_with(NAMES[from]) {
                    let kept = self.home.path().join("kept");
                    std::fs::rename(at(from), &kept).unwrap();
                    std::fs::rename(kept, self.clear(NAMES[to])).unwrap();
                }
            }
            Change::Commit => drop(self.commit("of the agent")),
            Change::Collect => drop(self.git(&["gc", "-q", "--prune=now"])),
            Change::Stage => drop(self.git(&["add", "-A"])),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_worktree_comes_back(
        before in proptest::collection::vec(change(), 0..8),
        parts in proptest::collection::vec(proptest::collection::vec(change(), 0..5), 1..6),
    ) {
        let ground = Ground::empty();
        ground.git(&["config", "core.safecrlf", "false"]);
        ground.git(&["config", "filter.rot.clean", "tr a-z n-za-m"]);
        ground.git(&["config", "filter.rot.smudge", "tr a-z n-za-m"]);
        for change in &before {
            ground.apply(change);
        }
        let mut private = ground.begin();
        let mut kept = Vec::new();
        for part in &parts {
            for change in part {
                ground.apply(change);
            }
            let before = private.head().map(str::to_owned);
            let made = private.checkpoint("part 1 checkpoint").unwrap();
            let files = files(&ground.work());
            prop_assert_eq!(made.is_some(), private.head() != before.as_deref());
            match private.head() {
                Some(head) => kept.push((head.to_owned(), files)),
                None => prop_assert!(files.is_empty()),
            }
        }
        std::fs::remove_dir_all(ground.path(".git")).unwrap();
        if private.head().is_some() {
            write_bundle(&private.git(), "one", &ground.folder.bundle()).unwrap();
        }
        private.finish(&ground.folder.bundle()).unwrap();
        if !kept.is_empty() {
            let history = History::open(&ground.folder).unwrap();
            for (commit, files) in kept {
                prop_assert_eq!(tree(&history.git, &commit), files);
            }
        }
    }
}

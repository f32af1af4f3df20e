//! The private git directory, over real repositories.

#![allow(
    clippy::disallowed_methods,
    reason = "files are written as agents write them"
)]

mod folders;
mod kinds;
mod random;
mod repositories;

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

fn wait() {
    // Until another change cannot have the same time.
    std::thread::sleep(Duration::from_millis(50));
}

/// Checkpoints until nothing more is seen, and files are trusted.
fn settle(private: &mut Private) {
    wait();
    checkpoint(private);
    wait();
    assert_eq!(checkpoint(private), None);
    wait();
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
    wait();
    assert_eq!(checkpoint(&mut private), None);
    wait();
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
        wait();
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
fn what_comes_into_a_folder_that_was_emptied_is_seen() {
    let ground = Ground::with(&[("a", "1"), ("d/e/f", "1"), (".gitignore", "out/\n")]);
    ground.write("out/forced/x", "1");
    ground.git(&["add", "-f", "out/forced/x"]);
    ground.commit("forced");
    let mut private = ground.begin();
    for name in ["d/e/f", "out/forced/x"] {
        std::fs::remove_file(ground.path(name)).unwrap();
        assert_eq!(checkpoint(&mut private).unwrap(), [name]);
        wait();
        assert_eq!(checkpoint(&mut private), None);
    }
    ground.write("d/e/f", "1");
    assert_eq!(checkpoint(&mut private).unwrap(), ["d/e/f"]);
    // Nobody forces it any more.
    ground.write("out/forced/x", "1");
    assert_eq!(checkpoint(&mut private), None);
    assert_eq!(names(&private), [".gitignore", "a", "d/e/f"]);
}

#[test]
fn a_name_may_end_in_a_line_break_and_a_folder_be_called_gitignore() {
    let ground = Ground::with(&[("x\n", "1")]);
    std::fs::create_dir_all(ground.path("p/.gitignore/q")).unwrap();
    let mut private = ground.begin();
    settle(&mut private);
    ground.write("x\n", "2");
    checkpoint(&mut private).unwrap();
    assert_exact(&private);
    ground.write("p/.gitignore/q/f", "1");
    assert_eq!(checkpoint(&mut private).unwrap(), ["p/.gitignore/q/f"]);
}

#[test]
fn rules_behind_a_link_are_watched() {
    let ground = Ground::with(&[("a", "1")]);
    let rules = ground.home.path().join("rules");
    std::fs::write(&rules, "out/\n").unwrap();
    std::fs::remove_file(ground.path(".git/info/exclude")).unwrap();
    std::os::unix::fs::symlink(&rules, ground.path(".git/info/exclude")).unwrap();
    ground.write("out/x", "1");
    let mut private = ground.begin();
    wait();
    assert_eq!(checkpoint(&mut private), None);
    wait();
    assert_eq!(checkpoint(&mut private), None);
    std::fs::write(&rules, "").unwrap();
    assert_eq!(checkpoint(&mut private).unwrap(), ["out/x"]);
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

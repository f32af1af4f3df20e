//! The private git directory, over real repositories.

#![allow(
    clippy::disallowed_methods,
    reason = "files are written as agents write them"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;

use super::{Private, write_bundle};
use crate::place::Folder;

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
        Private::begin(&self.folder, &self.work(), &[]).unwrap()
    }

    /// Ends the recording, and what a clone of its bundle has at the commit.
    fn finish(&self, private: Private, commit: &str) -> TempDir {
        write_bundle(private.git(), "one", &self.folder.bundle()).unwrap();
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
    let private = Private::resume(&ground.folder, &ground.work(), &[]).unwrap();
    assert_eq!(private.head(), Some(commit.as_str()));
    ground.finish(private, &commit);
    // From the bundle.
    let mut private = Private::resume(&ground.folder, &ground.work(), &[]).unwrap();
    assert_eq!(private.head(), Some(commit.as_str()));
    assert_eq!(private.checkpoint("part 2 checkpoint").unwrap(), None);
    ground.write("a", "3\n");
    let made = private.checkpoint("part 2 checkpoint").unwrap().unwrap();
    assert_eq!(made.commit_before, Some(commit.clone()));
    ground.finish(private, &made.commit_after.unwrap());

    let other = Ground::with(&[("a", "other\n")]);
    let refused = Private::resume(&ground.folder, &other.work(), &[]).unwrap_err();
    assert!(
        refused.to_string().contains("not the repository"),
        "{refused}"
    );
}

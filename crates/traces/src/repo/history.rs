//! The recorded code of a trajectory, for reading.

use std::collections::HashMap;
use std::path::Path;

use base::{Error, Result};
use tempfile::TempDir;

use super::git::{self, Git};
use crate::place::{self, Folder};

/// The commits of a trajectory: those of the private git directory after a crash or while it is recorded,
/// else those of the bundle, unpacked to a temporary folder.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) git: Git,
    unpacked: Option<TempDir>,
}

impl History {
    /// Opens it. An error if there is neither, or if the bundle is damaged.
    pub(crate) fn open(folder: &Folder) -> Result<Self> {
        git::require()?;
        if let Some(git) = private(folder) {
            return Ok(Self {
                git,
                unpacked: None,
            });
        }
        Self::of_bundle(&folder.bundle())
    }

    /// The same, which stays although the recording ends meanwhile.
    pub(crate) fn detached(folder: &Folder) -> Result<Self> {
        let history = Self::open(folder)?;
        match history.unpacked {
            Some(_) => Ok(history),
            None => Self::of_bundle(&history.git.dir),
        }
    }

    /// The commits of a bundle.
    pub(crate) fn of_bundle(bundle: &Path) -> Result<Self> {
        place::check_kind(bundle).map_err(|error| Error::file(bundle, &error))?;
        let bundle = std::path::absolute(bundle).map_err(|error| Error::file(bundle, &error))?;
        let unpacked = tempfile::Builder::new()
            .prefix("localstore-")
            .tempdir()
            .map_err(|error| Error::file(&std::env::temp_dir(), &error))?;
        let dir = unpacked.path().join("repo.git");
        let mut clone = git::bare();
        clone
            .args(["clone", "--quiet", "--bare", "--template="])
            .arg(&bundle)
            .arg(&dir);
        git::run(&mut clone, b"").map_err(|error| Error::new(bundle.display(), error))?;
        let git = Git {
            dir,
            worktree: None,
        };
        Ok(Self {
            git,
            unpacked: Some(unpacked),
        })
    }

    /// The name of the tree without files.
    pub(crate) fn empty_tree(&self) -> Result<String> {
        self.git.line(&["hash-object", "-t", "tree", "--stdin"])
    }

    /// The trees of those of these commits that are there.
    pub(crate) fn trees(&self, commits: &[&str]) -> Result<HashMap<String, String>> {
        let asked: Vec<&str> = commits
            .iter()
            .flat_map(|commit| [commit, "^{tree}\n"])
            .collect();
        let asked = asked.concat();
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        let args = ["cat-file", "--batch-check=%(objectname)"];
        let printed = self.git.run_with(&args, asked.as_bytes())?;
        let printed = String::from_utf8_lossy(&printed);
        let pairs = commits.iter().zip(printed.lines());
        let pairs = pairs.filter(|(_, tree)| is_hash(tree));
        Ok(pairs
            .map(|(commit, tree)| ((*commit).to_owned(), tree.to_owned()))
            .collect())
    }

    /// An error if something that these commits hold is not there.
    pub(crate) fn check_objects(&self, commits: &[&str]) -> Result<()> {
        let input = commits.join("\n");
        let args = ["rev-list", "--objects", "--quiet", "--no-walk", "--stdin"];
        if input.is_empty() {
            return Ok(());
        }
        self.git.run_with(&args, input.as_bytes()).map(drop)
    }

    /// The last commit of the branch that a recorder makes; `None` if there is no such branch.
    pub(crate) fn tip(&self, id: &str) -> Option<String> {
        let branch = super::bundle::branch(id);
        let tip = self
            .git
            .line(&["rev-parse", "--verify", "--quiet", &branch]);
        tip.ok().filter(|tip| is_hash(tip))
    }

    /// The commits from this one along their first parents, each with its subject.
    pub(crate) fn chain(&self, tip: &str) -> Result<Vec<(String, String)>> {
        let args = ["rev-list", "--first-parent", "--format=%H %s", tip, "--"];
        let printed = self.git.run(&args)?;
        let printed = String::from_utf8_lossy(&printed);
        // Each has a line of its own before: 'commit' and its name.
        let lines = printed.lines().filter_map(|line| line.split_once(' '));
        Ok(lines
            .filter(|(commit, _)| *commit != "commit")
            .map(|(commit, subject)| (commit.to_owned(), subject.to_owned()))
            .collect())
    }

    /// The files that differ between the two trees of each pair; bytes that are not UTF-8 as U+FFFD.
    pub(crate) fn changed_files(&self, pairs: &[(&str, &str)]) -> Result<Vec<Vec<String>>> {
        let lines: Vec<String> = pairs
            .iter()
            .map(|(before, after)| format!("{before} {after}\n"))
            .collect();
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        let args = [
            "diff-tree",
            "--stdin",
            "-r",
            "-z",
            "--no-renames",
            "--name-only",
            "--ignore-submodules=none",
        ];
        let printed = self.git.run_with(&args, lines.concat().as_bytes())?;
        // Each pair is repeated on a line of its own, before its names.
        let mut rest = printed.as_slice();
        let mut all = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            rest = rest.strip_prefix(line.as_bytes()).unwrap_or(rest);
            let next = lines.get(index + 1).map(String::as_bytes);
            let mut names = Vec::new();
            while !rest.is_empty() && next.is_none_or(|next| !rest.starts_with(next)) {
                let end = memchr::memchr(0, rest).unwrap_or(rest.len());
                names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
                rest = rest.get(end + 1..).unwrap_or_default();
            }
            all.push(names);
        }
        Ok(all)
    }

    /// Whether the commit, its tree and all files in it are there.
    pub(crate) fn has(&self, commit: &str) -> bool {
        is_hash(commit)
            && self.git.succeeds(&[
                "rev-list",
                "--objects",
                "--quiet",
                "--no-walk",
                commit,
                "--",
            ])
    }
}

/// The private git directory, if it has the commits of the trajectory.
pub(super) fn private(folder: &Folder) -> Option<Git> {
    let git = Git {
        dir: folder.git_dir(),
        worktree: None,
    };
    // A recording that has just begun has no commit there yet.
    let branch = super::bundle::branch(&folder.id);
    let has_commits =
        git.dir.is_dir() && git.succeeds(&["rev-parse", "--verify", "--quiet", &branch]);
    has_commits.then_some(git)
}

/// Whether it is the full name of an object: nothing that git would take for an option or a path.
pub(crate) fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

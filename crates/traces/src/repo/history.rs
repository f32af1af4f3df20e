//! The recorded code of a trajectory, for reading.

use std::path::Path;

use base::{Error, Result};
use tempfile::TempDir;

use super::git::{self, Git};
use crate::place::Folder;

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
        if let Err(error) = std::fs::metadata(bundle) {
            return Err(Error::file(bundle, &error));
        }
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

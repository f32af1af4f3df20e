//! What a recording that was killed has left in its private git directory.

use std::path::Path;

use base::{Error, Result};

use super::bundle::{self, branch};
use super::git::Git;
use super::history::is_hash;
use super::private::START;
use super::write_bundle;
use crate::model::{Checkpoint, Extra};
use crate::place::{Folder, move_folder};

/// The most commits after the last recorded part that are looked at.
const MOST: &str = "--max-count=1000";

/// A private git directory that nobody writes any more.
#[derive(Debug)]
pub(crate) struct Left {
    folder: Folder,
    git: Git,
    /// The last commit of the chain.
    pub(crate) head: Option<String>,
    /// The one at which the last recording began.
    pub(crate) start: Option<String>,
}

impl Left {
    /// `None` if there is no such directory.
    pub(crate) fn find(folder: &Folder) -> Result<Option<Self>> {
        let git = Git {
            dir: folder.git_dir(),
            worktree: None,
        };
        if !git.dir.exists() {
            return Ok(None);
        }
        super::require()?;
        let branch = branch(&folder.id);
        let head = git
            .line(&["rev-parse", "--verify", "--quiet", &branch])
            .ok();
        // Killed before it had begun, there is nothing after the start.
        let start = std::fs::read_to_string(git.dir.join(START)).ok();
        let start = start.or_else(|| head.clone());
        Ok(Some(Self {
            folder: folder.clone(),
            git,
            head,
            start: start.filter(|start| is_hash(start)),
        }))
    }

    /// The commits after this one, or all, with their messages; the first one first.
    pub(crate) fn since(&self, commit: Option<&str>) -> Result<Vec<(String, Checkpoint)>> {
        let Some(head) = &self.head else {
            return Ok(Vec::new());
        };
        let not = commit.map(|commit| format!("^{commit}"));
        let mut args = vec!["log", "--first-parent", MOST, "--format=%H %P%x00%s", head];
        args.extend(not.as_deref());
        args.push("--");
        let lines = self.git.line(&args)?;
        let mut commits = Vec::new();
        for line in lines.lines() {
            let Some((hashes, message)) = line.split_once('\0') else {
                continue;
            };
            let mut hashes = hashes.split(' ').filter(|hash| !hash.is_empty());
            let (after, before) = (hashes.next().unwrap_or_default(), hashes.next());
            let checkpoint = Checkpoint {
                commit_before: before.map(str::to_owned),
                commit_after: Some(after.to_owned()),
                committed: true,
                changed_files: Vec::new(),
                extra: Extra::new(),
            };
            commits.push((message.to_owned(), checkpoint));
        }
        commits.reverse();
        Ok(commits)
    }

    /// The paths that a checkpoint changed.
    pub(crate) fn changed_files(&self, checkpoint: &Checkpoint) -> Result<Vec<String>> {
        let after = checkpoint.commit_after.as_deref().unwrap_or_default();
        self.git
            .changed_files(checkpoint.commit_before.as_deref(), after)
    }

    /// Writes the bundle and removes the directory.
    pub(crate) fn seal(self) -> Result<()> {
        if let Some(head) = &self.head {
            let path = self.folder.bundle();
            write_bundle(&self.git, &self.folder.id, &path)?;
            if bundle::commit(&path, &self.folder.id)?.as_ref() != Some(head) {
                let why = format!("the last commit is missing: {head}");
                return Err(Error::new(path.display(), why));
            }
        }
        discard(&self.git.dir)
    }
}

/// Removes a git directory that is no longer needed: first from sight, so that a kill leaves no half of one.
pub(super) fn discard(git_dir: &Path) -> Result<()> {
    let failed = |error| Error::file(git_dir, &error);
    let hidden = git_dir.with_file_name(".localstore-repo.git.tmp");
    if hidden.exists() {
        std::fs::remove_dir_all(&hidden).map_err(failed)?;
    }
    move_folder(git_dir, &hidden).map_err(failed)?;
    std::fs::remove_dir_all(&hidden).map_err(failed)
}

//! A folder with the code as it was at a commit, and then at the next one.

use std::io;
use std::path::{Path, PathBuf};

use base::{Error, Result, write_atomically};
use tempfile::TempDir;

use crate::repo::{self, Git, History};

/// A folder for one commit after the other. Suites find a repository of their own there, whose HEAD is
/// detached at the commit; whatever they do to it, those at the next commit do not see.
pub(super) struct Checkout {
    folder: TempDir,
    /// No suite has seen this git directory.
    git: Git,
}

impl Checkout {
    pub(super) fn new(history: &History) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("localstore-")
            .tempdir()
            .map_err(|error| Error::file(&std::env::temp_dir(), &error))?;
        let (worktree, dir) = (folder.path().join("repo"), folder.path().join("git"));
        let mut clone = repo::bare();
        clone
            .args([
                "clone",
                "--quiet",
                "--shared",
                "--no-checkout",
                "--template=",
            ])
            .arg("--separate-git-dir")
            .arg(&dir)
            .arg(&history.git.dir)
            .arg(&worktree);
        repo::run(&mut clone, b"")?;
        let info = dir.join("info");
        std::fs::create_dir_all(&info).map_err(|error| Error::file(&info, &error))?;
        write_atomically(&info.join("attributes"), |file| {
            Ok(file.write_all(repo::ATTRIBUTES.as_bytes())?)
        })?;
        let git = Git {
            dir,
            worktree: Some(worktree),
        };
        Ok(Self { folder, git })
    }

    /// The history, for reading.
    #[cfg(feature = "network")]
    pub(super) fn git(&self) -> &Git {
        &self.git
    }

    /// Where the code is.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    /// Whether the folder is still there.
    pub(super) fn is_there(&self) -> bool {
        std::fs::symlink_metadata(self.folder()).is_ok_and(|found| found.is_dir())
    }

    /// Makes the folder what it was at the commit, with nothing else in it.
    pub(super) fn switch(&mut self, commit: &str) -> Result<()> {
        let worktree = self.folder();
        let switched = self.is_there() && self.try_switch(&worktree, commit).is_ok();
        if !switched {
            // Such as a folder that may not be written.
            let failed = |error: io::Error| Error::file(&worktree, &error);
            remove(&worktree).map_err(failed)?;
            std::fs::create_dir(&worktree).map_err(failed)?;
            self.try_switch(&worktree, commit)?;
        }
        Ok(())
    }

    fn try_switch(&self, worktree: &Path, commit: &str) -> Result<()> {
        let theirs = worktree.join(".git");
        let failed = |error: io::Error| Error::file(&theirs, &error);
        remove(&theirs).map_err(failed)?;
        let checkout = ["checkout", "--quiet", "--force", "--detach", commit, "--"];
        self.git.run(&checkout)?;
        // Twice: nested repositories too.
        self.git.run(&["clean", "-ffdxq"])?;
        copy(&self.git.dir, &theirs).map_err(failed)
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // The temporary folder alone does not remove what may not be written.
        let _ = remove(&self.folder());
    }
}

/// Removes a file, or a folder with all that is in it, whatever its permissions; what is not there is fine.
fn remove(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.is_dir() {
        return std::fs::remove_file(path);
    }
    if std::fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    permit(path)?;
    std::fs::remove_dir_all(path)
}

/// Lets the user write into all folders of a folder; links are not followed.
fn permit(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        allow_writing(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(unix)]
fn allow_writing(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

#[cfg(windows)]
fn allow_writing(path: &Path) -> io::Result<()> {
    let mut permissions = std::fs::metadata(path)?.permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "not on Unix")]
    permissions.set_readonly(false);
    std::fs::set_permissions(path, permissions)
}

/// Copies a folder of files and folders.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut folders: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        std::fs::create_dir(&to)?;
        for entry in std::fs::read_dir(&from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push((entry.path(), target));
            } else {
                std::fs::copy(entry.path(), target)?;
            }
        }
    }
    Ok(())
}

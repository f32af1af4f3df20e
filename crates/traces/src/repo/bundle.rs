//! The canonical form of the code: a bundle that plain `git clone` reads.

use std::path::Path;

use base::{Error, Existing, Result};

use super::git::{self, Git};

/// Writes the bundle of a trajectory, with its whole history, through a temporary file. The branch is
/// `trace/ID`, and the HEAD. There must be a commit.
pub(crate) fn write_bundle(git: &Git, id: &str, to: &Path) -> Result<()> {
    base::replace_atomically(to, Existing::Replace, |path| {
        let file = std::fs::OpenOptions::new().write(true).open(path);
        let file = file.map_err(|error| Error::file(path, &error))?;
        let mut command = git.command();
        command.args(["bundle", "create", "-", "HEAD"]);
        command.arg(branch(id));
        git::run_into(&mut command, file)
    })
}

/// The ref of a trajectory.
pub(super) fn branch(id: &str) -> String {
    format!("refs/heads/trace/{id}")
}

/// The commit of the bundle's branch; `None` if it has no such branch. An error if it is no bundle.
pub(super) fn commit(bundle: &Path, id: &str) -> Result<Option<String>> {
    let mut list = git::bare();
    // The folder that we are in may be gone.
    list.current_dir(bundle.parent().unwrap_or(Path::new(".")));
    let name = bundle.file_name().unwrap_or_default();
    let heads = git::run(list.args(["bundle", "list-heads"]).arg(name), b"")?;
    Ok(commit_of(&heads, id))
}

/// The commit of the branch in a list of refs.
pub(super) fn commit_of(heads: &[u8], id: &str) -> Option<String> {
    let heads = String::from_utf8_lossy(heads);
    let mut heads = heads.lines().filter_map(|line| line.split_once(' '));
    let found = heads.find(|(_, name)| *name == branch(id));
    found.map(|(commit, _)| commit.to_owned())
}

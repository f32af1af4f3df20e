//! Gives back the code of a part in a folder.

use std::path::Path;

use base::{Error, Result, write_atomically};

use super::git::{self, Git};
use super::history::private;
use super::private::ATTRIBUTES;
use crate::place::{self, Folder};

/// Makes `dest`, an empty folder, a clone of the recorded history with its HEAD detached at the commit.
/// An error if the history has not got it; then `dest` may be anything.
pub(crate) fn check_out(folder: &Folder, commit: &str, dest: &Path) -> Result<()> {
    git::require()?;
    let private = private(folder);
    let bundle = folder.bundle();
    let source = private.as_ref().map_or(&bundle, |git| &git.dir);
    place::check_kind(source).map_err(|error| Error::file(source, &error))?;
    let failed = |error: Error| Error::new(source.display(), error);
    let mut clone = git::bare();
    clone
        // Objects are not shared: the private git directory is removed one day.
        .args(["clone", "--quiet", "--no-checkout", "--no-local"])
        .args(["--template=", "--origin=origin"])
        .arg(source)
        .arg(dest);
    git::run(&mut clone, b"").map_err(failed)?;
    let git = Git {
        dir: dest.join(".git"),
        worktree: Some(dest.to_owned()),
    };
    if private.is_some() {
        let url = bundle.to_string_lossy();
        git.run(&["config", "remote.origin.url", &url])?;
    }
    let info = git.dir.join("info");
    let attributes = info.join("attributes");
    std::fs::create_dir_all(&info).map_err(|error| Error::file(&info, &error))?;
    write_atomically(&attributes, |file| {
        Ok(file.write_all(ATTRIBUTES.as_bytes())?)
    })?;
    if !git.succeeds(&["cat-file", "-e", &format!("{commit}^{{commit}}")]) {
        return Err(Error::new(
            source.display(),
            format!("it has no commit {commit}"),
        ));
    }
    git.run(&["checkout", "--quiet", "--detach", commit, "--"])
        .map_err(failed)
        .map(drop)
}

//! Where the overrides of a project are.

use std::path::{Path, PathBuf};

use base::{Error, Result};

/// The overrides below the root of a project.
const OVERRIDES: &str = ".weakincentives/prompts/overrides";

/// The default prompts document below the root of a project.
const DOCUMENT: &str = ".weakincentives/prompts/prompts.jsonl";

/// The overrides folder of a project.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder of the overrides; it need not be there.
    pub(crate) folder: PathBuf,
    /// The root of the project, unless the folder itself was named.
    pub(crate) root: Option<PathBuf>,
}

impl Place {
    /// The place of the project whose root this is.
    pub(crate) fn of_root(root: &Path) -> Result<Self> {
        let root = absolute(root)?;
        if !root.exists() {
            return Err(Error::new(root.display(), "no such folder"));
        }
        if !root.is_dir() {
            return Err(Error::new(root.display(), "not a folder"));
        }
        tracing::info!("root {}: named by --root", root.display());
        Ok(Self::below(root))
    }

    /// The place whose overrides folder this is.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self> {
        let folder = absolute(folder)?;
        tracing::info!("overrides folder {}: named by --dir", folder.display());
        Ok(Self { folder, root: None })
    }

    /// The place of the project that the current folder belongs to.
    pub(crate) fn here() -> Result<Self> {
        if let Some(root) = git_root() {
            tracing::info!("root {}: from 'git rev-parse'", root.display());
            return Ok(Self::below(root));
        }
        let here = std::env::current_dir().map_err(|error| Error::new("current folder", error))?;
        let Some(root) = here.ancestors().find(|folder| folder.join(".git").exists()) else {
            let what = format!("no Git repository at {} or above", here.display());
            return Err(Error::new(what, "nothing to keep overrides in")
                .hint("name the project's folder with --root"));
        };
        tracing::info!("root {}: it has a '.git'", root.display());
        Ok(Self::below(root.to_owned()))
    }

    fn below(root: PathBuf) -> Self {
        // With the separators of the system alone.
        let folder = root.join(OVERRIDES).components().collect();
        Self {
            folder,
            root: Some(root),
        }
    }

    /// The default prompts document, there or not.
    #[must_use]
    pub(crate) fn document(&self) -> Option<PathBuf> {
        let document = self.root.as_ref()?.join(DOCUMENT);
        Some(document.components().collect())
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::file(path, &error))
}

/// The root of the work tree that git says this is, if it says so.
fn git_root() -> Option<PathBuf> {
    let mut git = base::process::command("git");
    let output = git.args(["rev-parse", "--show-toplevel"]).output().ok()?;
    let path = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
    let path = path.strip_suffix(b"\r").unwrap_or(path);
    (output.status.success() && !path.is_empty()).then(|| path_of(path))
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(windows)]
fn path_of(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

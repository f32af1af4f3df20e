//! The repository that an agent works in. It is only read.

use std::path::{Path, PathBuf};

use base::{Error, Result};

use super::git::{self, Git};
use super::objects;

/// The user's repository.
#[derive(Debug)]
pub(crate) struct User {
    /// Its git directory, and its toplevel as the worktree.
    pub(super) git: Git,
    /// What its linked worktrees share.
    pub(super) common: PathBuf,
    /// `sha1` or `sha256`.
    pub(super) format: String,
    is_shallow: bool,
    /// What its configuration says under `core`, the last value last.
    core: Vec<(String, Vec<u8>)>,
}

impl User {
    /// The repository that the folder lies in; `None` if it lies in none. A folder without a worktree is
    /// an error: that of a bare repository, or one inside `.git`.
    pub(crate) fn find(dir: &Path) -> Result<Option<Self>> {
        let ask = |words: &[&str]| {
            let mut command = git::bare();
            command.current_dir(dir).arg("rev-parse").args(words);
            git::run(&mut command, b"")
        };
        let facts = ask(&[
            "--is-inside-work-tree",
            "--is-shallow-repository",
            "--show-object-format",
            // The last, for a path may have line breaks.
            "--absolute-git-dir",
        ]);
        let facts = match facts {
            Err(error) if error.to_string().contains("not a git repository") => return Ok(None),
            facts => facts?,
        };
        let mut facts = facts.splitn(4, |byte| *byte == b'\n');
        let mut next = || facts.next().unwrap_or_default();
        let (has_worktree, is_shallow, format) = (next(), next(), next());
        let git_dir = path(next());
        if has_worktree != b"true" {
            return Err(Error::new(
                dir.display(),
                "this is a git directory, which has no files of its own to record",
            ));
        }
        let toplevel = path(&ask(&["--show-toplevel"])?);
        let common = std::fs::read(git_dir.join("commondir"));
        let common = common.map_or_else(|_| git_dir.clone(), |line| git_dir.join(path(&line)));
        let git = Git {
            dir: git_dir,
            worktree: Some(toplevel),
        };
        let core = git.run(&["config", "-z", "--get-regexp", r"^core\."])?;
        Ok(Some(Self {
            git,
            core: core.split(|byte| *byte == 0).filter_map(setting).collect(),
            common,
            format: match format {
                b"sha256" => "sha256",
                _ => "sha1",
            }
            .to_owned(),
            is_shallow: is_shallow == b"true",
        }))
    }

    /// The commit that is checked out; `None` before the first one, or if it cannot be read.
    pub(super) fn head(&self) -> Option<String> {
        self.git
            .line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
            .ok()
    }

    /// Its index, which need not be there.
    pub(super) fn index(&self) -> PathBuf {
        self.git.dir.join("index")
    }

    /// The folders of its objects: its own, and those that it borrows from.
    pub(super) fn objects(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.common.join("objects")];
        let mut next = 0;
        while let Some(folder) = folders.get(next) {
            let lines = std::fs::read(folder.join("info/alternates")).unwrap_or_default();
            let found: Vec<PathBuf> = objects::alternates(&lines)
                .map(|path| folder.join(path))
                .collect();
            for folder in found {
                if folders.len() < 64 && !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
            next += 1;
        }
        folders
    }

    /// Whether all of its history is there, so that it can go into a bundle.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_shallow
            && !self.common.join("info/grafts").exists()
            && !objects::has_promised(&self.objects())
    }

    /// The value of `core.NAME` in the configuration; the name is in small letters.
    pub(super) fn core(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.core.iter().rev();
        let found = values.find(|(key, value)| {
            // For ourselves this is set otherwise.
            key == name && !(key == "attributesfile" && value == b"/dev/null")
        });
        found.map(|(_, value)| value.as_slice())
    }

    /// The same, for a path.
    pub(super) fn core_path(&self, name: &str) -> Option<PathBuf> {
        let value = self.core(name)?;
        let home = home();
        Some(match (value.strip_prefix(b"~/"), home) {
            (Some(below), Some(home)) => home.join(path(below)),
            _ => self.git.worktree.as_ref()?.join(path(value)),
        })
    }
}

/// Where git has the user's own files, if it need not be told.
pub(super) fn configuration_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = named("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| Some(home()?.join(".config")))?;
    Some(folder.join("git"))
}

/// What git takes for the user's home.
fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let profile = || std::env::home_dir().filter(|_| cfg!(windows));
    home.map(PathBuf::from).or_else(profile)
}

/// A setting under `core`, as `git config -z` prints it. One without a value is true.
fn setting(printed: &[u8]) -> Option<(String, Vec<u8>)> {
    let printed = printed.strip_prefix(b"core.")?;
    let mut words = printed.splitn(2, |byte| *byte == b'\n');
    let name = String::from_utf8_lossy(words.next()?).into_owned();
    Some((name, words.next().unwrap_or(b"true").to_vec()))
}

/// A path that git printed as a line.
pub(super) fn path(line: &[u8]) -> PathBuf {
    named(line.strip_suffix(b"\n").unwrap_or(line))
}

/// The path with this name, which may end in a line break.
pub(super) fn named(name: &[u8]) -> PathBuf {
    #[cfg(unix)]
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    #[cfg(windows)]
    let name = String::from_utf8_lossy(name).into_owned();
    PathBuf::from(name)
}

/// The bytes of a path, as git writes them.
pub(super) fn bytes(path: &Path) -> Vec<u8> {
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec();
    #[cfg(windows)]
    let bytes = path.to_string_lossy().replace('\\', "/").into_bytes();
    bytes
}

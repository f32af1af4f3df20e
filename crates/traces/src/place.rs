//! Where trajectories are: a folder each, under the root.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base::{Error, Result};
use db::Location;
use serde::Deserialize;

use crate::model::Time;

/// The folder with `trajectories`.
#[derive(Debug, Clone)]
pub(crate) struct Root(PathBuf);

/// The folder of a trajectory, which need not be there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
}

impl Root {
    /// `LOCALSTORE_TRACES`, else the folder of the store; absolute.
    pub(crate) fn of(location: &Location) -> Result<Self> {
        let named = std::env::var_os("LOCALSTORE_TRACES").filter(|path| !path.is_empty());
        let beside = || {
            location
                .path
                .parent()
                .map_or_else(PathBuf::new, Path::to_owned)
        };
        let folder = named.map_or_else(beside, PathBuf::from);
        // An empty path is the current folder.
        let folder = std::path::absolute(Path::new(".").join(folder));
        folder
            .map(Self)
            .map_err(|error| Error::file(Path::new("."), &error))
    }

    /// The folder of all trajectories.
    pub(crate) fn trajectories(&self) -> PathBuf {
        self.0.join("trajectories")
    }

    /// The folder of this id. The id must be valid.
    pub(crate) fn folder(&self, id: &str) -> Folder {
        Folder {
            id: id.to_owned(),
            path: self.trajectories().join(id),
        }
    }

    /// All trajectories, in the order of their ids.
    pub(crate) fn all(&self) -> Result<Vec<Folder>> {
        let path = self.trajectories();
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| Error::file(&path, &error))?,
        };
        let mut folders = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::file(&path, &error))?;
            let name = entry.file_name();
            if let Some(id) = name.to_str()
                && check_id(id).is_ok()
                && entry.path().is_dir()
            {
                folders.push(self.folder(id));
            }
        }
        folders.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(folders)
    }

    /// The trajectory that is meant: its id, a unique beginning of 4 letters or more, `last` or `last~N`.
    pub(crate) fn find(&self, name: &str) -> Result<Folder> {
        if name.is_empty() {
            return Err(Error::invalid_parameter("ID"));
        }
        let folders = self.all()?;
        if let Some(folder) = folders.iter().find(|folder| folder.id == name) {
            return Ok(folder.clone());
        }
        if let Some(back) = places_back(name) {
            let mut dated: Vec<_> = folders
                .into_iter()
                .map(|folder| (folder.started_at(), folder))
                .collect();
            dated.sort_by(|one, other| (other.0, &other.1.id).cmp(&(one.0, &one.1.id)));
            let count = dated.len();
            let found = dated.into_iter().nth(back).map(|(_, folder)| folder);
            let why = match count {
                0 => format!(
                    "there are no trajectories in {}",
                    self.trajectories().display()
                ),
                1 => "there is one trajectory only".to_owned(),
                count => format!("there are {count} trajectories only"),
            };
            return found.ok_or_else(|| Error::new(name, why));
        }
        let mut found: Vec<Folder> = Vec::new();
        if name.len() >= 4 {
            found = folders
                .into_iter()
                .filter(|folder| folder.id.starts_with(name))
                .collect();
        }
        match found.as_slice() {
            [folder] => Ok(folder.clone()),
            [] => Err(Error::new(name, "there is no such trajectory")
                .hint("'localstore trace list' shows all")),
            [one, other, ..] => Err(Error::new(
                name,
                format!("several trajectories begin so: {}, {} …", one.id, other.id),
            )),
        }
    }
}

/// `last` is 0, `last~N` is N.
fn places_back(name: &str) -> Option<usize> {
    match name.strip_prefix("last")? {
        "" => Some(0),
        back => back.strip_prefix('~')?.parse().ok(),
    }
}

impl Folder {
    /// The trace, canonical.
    pub(crate) fn trace(&self) -> PathBuf {
        self.path.join("agent_trace.json")
    }

    /// The git history, canonical.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.path.join("repo.bundle")
    }

    /// The agent's lines, masked.
    pub(crate) fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The private git directory, while recording or after a crash.
    pub(crate) fn git_dir(&self) -> PathBuf {
        self.path.join("repo.git")
    }

    /// The last evaluation.
    pub(crate) fn eval(&self) -> PathBuf {
        self.path.join("eval.json")
    }

    /// Held while recording.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join("recorder.lock")
    }

    /// When the recording began; `None` if the trace cannot be read.
    pub(crate) fn started_at(&self) -> Option<Time> {
        #[derive(Deserialize)]
        struct Started {
            started_at: String,
        }
        let bytes = read(&self.trace()).ok()?;
        let started: Started = serde_json::from_slice(&bytes).ok()?;
        Time::parse(&started.started_at)
    }
}

/// An error if the path is not there, or is a pipe or a device, which might never end.
pub(crate) fn check_kind(path: &Path) -> io::Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(());
    }
    Err(io::Error::other("is not a file"))
}

/// Opens a file of this kind for reading.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    check_kind(path)?;
    File::open(path)
}

/// Reads a file as it is opened by `open`.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file for writing that only its user may read, and makes it if it is not there; empty, or for
/// more at its end.
pub(crate) fn private_file(path: &Path, empty: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true);
    if empty {
        options.truncate(true);
    } else {
        options.append(true);
    }
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a folder that only its user may read, and those above it.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Moves a folder to where nothing is yet.
#[allow(
    clippy::disallowed_methods,
    reason = "its files are on disk; the caller syncs the folder above"
)]
pub(crate) fn move_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Refuses what cannot be the id of a trajectory: it is the name of a folder, and of a git ref.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_valid = (1..=64).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(is_part)
        && !id.contains("..")
        && !id.ends_with('.')
        && id.strip_suffix(".lock").is_none();
    if is_valid {
        return Ok(());
    }
    Err("up to 64 letters, digits, '.', '_' and '-', with a letter or a digit first".to_owned())
}

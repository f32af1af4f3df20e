//! Takes over the two files of a trajectory, whole or not at all, and gives them out.
//!
//! What comes from elsewhere is data: a bundle is unpacked by git in a temporary folder, which checks every
//! object of it, and nothing in it is checked out. Odd trees of old repositories are no reason to refuse
//! it, since a checkout refuses what is dangerous in them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base::{Error, Result, counted, note};
use db::Location;
use serde_json::Value;
use tempfile::TempDir;

use crate::index::Index;
use crate::model::Trace;
use crate::place::{self, Folder, Root, check_id, move_folder, private_file, private_folder};
use crate::repo::{self, History};
use crate::verify;

/// The two files of a trajectory that come from elsewhere, in a folder that is not listed yet.
pub(crate) struct Incoming {
    hidden: TempDir,
    folder: Folder,
}

/// What became of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// They are here now.
    New,
    /// The same was there before.
    Known,
}

impl Incoming {
    /// An empty place beside the trajectories.
    pub(crate) fn begin(root: &Root) -> Result<Self> {
        let trajectories = root.trajectories();
        let failed = |error: io::Error| Error::file(&trajectories, &error);
        private_folder(&trajectories).map_err(failed)?;
        let hidden = tempfile::Builder::new()
            .prefix(".localstore-")
            .tempdir_in(&trajectories)
            .map_err(failed)?;
        let folder = Folder {
            id: String::new(),
            path: hidden.path().join("incoming"),
        };
        private_folder(&folder.path).map_err(failed)?;
        Ok(Self { hidden, folder })
    }

    /// Where the trace is put.
    pub(crate) fn trace(&self) -> PathBuf {
        self.folder.trace()
    }

    /// Where the bundle is put; a trajectory without commits has none.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.bundle()
    }

    /// Checks the files and makes them a trajectory of the root. An error if something is wrong with
    /// them, or if another trajectory has the id; it names the files as `name` says, and then nothing
    /// is changed.
    pub(crate) fn take(
        self,
        root: &Root,
        location: &Location,
        name: impl Fn(&str) -> String,
    ) -> Result<(Folder, Taken)> {
        let mut trace = read(&self.trace(), &name("agent_trace.json"))?;
        let id = &trace.origin.trajectory_id;
        let refused = |why: String| Error::new(name("agent_trace.json"), why);
        check_id(id)
            .map_err(|why| refused(format!("$.trajectory_id: invalid id '{id}': {why}")))?;
        check(&trace, &self.bundle(), &name)?;
        let target = root.folder(id);
        if target.path.symlink_metadata().is_ok() {
            if self.is_same(&trace, &target)? {
                return Ok((target, Taken::Known));
            }
            let why = "another trajectory has this id";
            let hint = format!("'localstore trace rm {id}' removes it");
            return Err(Error::new(id, why).hint(hint));
        }
        rewrite(&mut trace, &target);
        write(&trace, &self.trace())?;
        let failed = |error: io::Error| Error::file(&target.path, &error);
        move_folder(&self.folder.path, &target.path).map_err(failed)?;
        base::sync_folder(&root.trajectories()).map_err(failed)?;
        self.hidden.close().map_err(failed)?;
        let indexed = Index::open(location).and_then(|mut index| index.replace(&target, &trace));
        if let Err(error) = indexed {
            note(&format!("it is not in the index: {error}"));
        }
        if trace.session_end.is_none() {
            note(&format!("{}: the recording never ended", target.id));
        }
        Ok((target, Taken::New))
    }

    /// Whether the trajectory that is there is this one.
    fn is_same(&self, trace: &Trace, there: &Folder) -> Result<bool> {
        let Ok(mut other) = Trace::read(&there.trace()) else {
            return Ok(false);
        };
        other.artifacts = trace.artifacts.clone();
        Ok(other == *trace && has_same_bytes(&self.bundle(), &there.bundle())?)
    }
}

/// Reads a trace. Parts that its turns repeat are dropped if they are equal.
fn read(path: &Path, name: &str) -> Result<Trace> {
    let failed = |why: String| Error::new(name, why);
    let bytes = std::fs::read(path).map_err(|error| failed(base::reason(&error)))?;
    let mut value: Value =
        serde_json::from_slice(&bytes).map_err(|error| failed(format!("not JSON: {error}")))?;
    if drop_repeated(&mut value) {
        let bytes = serde_json::to_vec(&value)?;
        return Trace::parse(&bytes).map_err(failed);
    }
    Trace::parse(&bytes).map_err(failed)
}

/// Removes the parts of turns that are equal to those of the trajectory; whether there were any.
fn drop_repeated(trace: &mut Value) -> bool {
    let number = |part: &Value| part.get("part").and_then(Value::as_u64);
    let parts = trace.get_mut("parts").map(Value::take);
    let by_number: HashMap<u64, &Value> = parts
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|part| Some((number(part)?, part)))
        .collect();
    let mut was_dropped = false;
    let turns = trace.get_mut("turns").and_then(Value::as_array_mut);
    for turn in turns.into_iter().flatten().filter_map(Value::as_object_mut) {
        let is_same =
            |part: &Value| number(part).and_then(|part| by_number.get(&part)) == Some(&part);
        let repeated = turn.get("parts").and_then(Value::as_array);
        if repeated.is_some_and(|parts| parts.iter().all(is_same)) {
            turn.remove("parts");
            was_dropped = true;
        }
    }
    if let (Some(parts), Some(place)) = (parts, trace.get_mut("parts")) {
        *place = parts;
    }
    was_dropped
}

/// Refuses what is wrong. `name` says what the two files are called.
pub(crate) fn check(trace: &Trace, bundle: &Path, name: &impl Fn(&str) -> String) -> Result<()> {
    repo::require()?;
    let mut problems = verify::of_trace(trace);
    if bundle.exists() {
        let history = History::of_bundle(bundle)
            .map_err(|error| renamed(&error, bundle, &name("repo.bundle")))?;
        problems.extend(verify::of_code(trace, &history, "repo.bundle")?);
    } else if verify::names_commits(trace) {
        return Err(Error::new(name("repo.bundle"), "no such file"));
    }
    let Some(first) = problems.first() else {
        return Ok(());
    };
    let more = match problems.len() - 1 {
        0 => String::new(),
        more => format!("; {} more", counted(more as u64, "problem")),
    };
    let file = if first.place.starts_with('$') {
        format!("{}: ", name("agent_trace.json"))
    } else {
        String::new()
    };
    Err(Error::plain(format_args!("{file}{first}{more}")))
}

/// The error with the name by which the file is known.
fn renamed(error: &Error, path: &Path, name: &str) -> Error {
    Error::plain(error.to_string().replace(&path.display().to_string(), name))
}

/// Tells the trace where its files are.
pub(crate) fn rewrite(trace: &mut Trace, folder: &Folder) {
    let text = |path: PathBuf| Some(path.to_string_lossy().into_owned());
    trace.artifacts.agent_trace = text(folder.trace());
    trace.artifacts.repo_bundle = text(folder.bundle());
}

fn write(trace: &Trace, path: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::file(path, &error);
    let mut bytes = serde_json::to_vec(trace)?;
    bytes.push(b'\n');
    let mut file = private_file(path, true).map_err(failed)?;
    file.write_all(&bytes)
        .and_then(|()| base::sync(&file))
        .map_err(failed)
}

/// Copies a file to one that only its user may read.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = place::open(from).map_err(|error| Error::file(from, &error))?;
    let failed = |error: io::Error| Error::file(to, &error);
    let mut file = private_file(to, true).map_err(failed)?;
    io::copy(&mut source, &mut file)
        .and_then(|_| base::sync(&file))
        .map_err(failed)
}

fn has_same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let size = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.len()).ok();
    if size(one) != size(other) {
        return Ok(false);
    }
    if size(one).is_none() {
        return Ok(true);
    }
    let open = |path: &Path| {
        let file = File::open(path).map_err(|error| Error::file(path, &error))?;
        Ok::<_, Error>(io::Read::bytes(io::BufReader::with_capacity(1 << 16, file)))
    };
    let mut pairs = open(one)?.zip(open(other)?);
    Ok(pairs.all(|pair| matches!(pair, (Ok(one), Ok(other)) if one == other)))
}

use std::path::{Path, PathBuf};

use base::{Error, Result, process, rows, write_atomically};
use serde::Serialize;

use super::{Context, commit_of, part_of};
use crate::model::Trace;
use crate::place::Folder;
use crate::repo;

/// Check out the code as it was at a part
///
/// DIR becomes a clone of the recorded history, with its HEAD detached at the commit of the part. Every
/// file has the bytes that it had then: no line ends are converted, and no hook, filter or submodule is
/// run. What was ignored is not there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace checkout last --part 12 --dest ../then")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// The number of the part
    #[arg(long, value_name = "PART")]
    part: u64,
    /// A folder that is empty or not there
    #[arg(long, value_name = "DIR")]
    dest: PathBuf,
    /// Also write what is printed to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is checked out where.
#[derive(Debug, Serialize)]
struct Metadata<'a> {
    trajectory_id: &'a str,
    session_id: &'a str,
    part: u64,
    timestamp: String,
    commit: &'a str,
    repo_path: String,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let folder = context.root.find(&args.id)?;
    let trace = Trace::read(&folder.trace())?;
    let part = part_of(&trace, args.part)?;
    let commit = commit_of(&trace, part)?;
    let dest = std::path::absolute(&args.dest).map_err(|error| Error::file(&args.dest, &error))?;
    let metadata = Metadata {
        trajectory_id: &trace.origin.trajectory_id,
        session_id: &part.origin.session_id,
        part: part.part,
        timestamp: part.timestamp.to_string(),
        commit,
        repo_path: dest.to_string_lossy().into_owned(),
    };
    match &args.out {
        None => checkout(&folder, commit, &dest)?,
        Some(file) => write_atomically(file, |out| {
            checkout(&folder, commit, &dest)?;
            serde_json::to_writer_pretty(&mut *out, &metadata)?;
            Ok(out.write_all(b"\n")?)
        })?,
    }
    rows::json(&metadata, context.out)
}

fn checkout(folder: &Folder, commit: &str, dest: &Path) -> Result<()> {
    let made = Made::at(dest)?;
    // git gets the signal too, and ends: then what it has made is removed.
    let interrupt = process::Interrupt::catch();
    let done = repo::check_out(folder, commit, dest);
    if done.is_ok() && !interrupt.came() {
        made.keep();
        return Ok(());
    }
    drop(made);
    interrupt.obey();
    done
}

/// A folder that is removed again, unless it is kept.
struct Made {
    /// The first folder that was not there before; `None` if the folder itself was, empty.
    new: Option<PathBuf>,
    folder: PathBuf,
    is_kept: bool,
}

impl Made {
    /// Makes the folder and those above it. An error if it is there and not empty.
    fn at(folder: &Path) -> Result<Self> {
        let failed = |error| Error::file(folder, &error);
        if folder.symlink_metadata().is_ok() {
            let is_empty = std::fs::read_dir(folder).map_err(failed)?.next().is_none();
            if !is_empty {
                return Err(Error::new(folder.display(), "the folder is not empty")
                    .hint("name one that is empty or not there: nothing is replaced"));
            }
        }
        let missing = |path: &&Path| path.symlink_metadata().is_err();
        let new = folder.ancestors().take_while(missing).last();
        let made = Self {
            new: new.map(Path::to_owned),
            folder: folder.to_owned(),
            is_kept: false,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        Ok(made)
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Some(new) = &self.new {
            let _ = std::fs::remove_dir_all(new);
            return;
        }
        for entry in std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let _ = if is_dir {
                std::fs::remove_dir_all(entry.path())
            } else {
                std::fs::remove_file(entry.path())
            };
        }
    }
}

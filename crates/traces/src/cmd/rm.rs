use std::io::Write;

use base::{Error, ExitStatus, Result, Stderr, answered_yes, can_ask, counted, note, printable};

use super::Context;
use crate::index::{Index, Row, Version};
use crate::model::Trace;
use crate::place::{Folder, move_folder};
use crate::record::{Lock, is_surely_recorded};

/// Remove trajectories
///
/// Prints what it will remove and asks first; without a terminal to ask on, -y is needed. The repository
/// that was recorded is never touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace rm --dry-run last")]
pub(super) struct Args {
    /// The trajectories: ids, beginnings of them, 'last' or 'last~N'
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Print what would be removed without removing it
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let mut folders: Vec<Folder> = Vec::new();
    for id in &args.ids {
        let folder = context.root.find(id)?;
        if is_surely_recorded(&folder) {
            return Err(Error::new(&folder.id, "it is being recorded"));
        }
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    let lines: Vec<String> = folders.iter().map(describe).collect();
    if !args.dry_run && !args.yes && !is_confirmed(&folders, &lines)? {
        note("nothing was removed");
        return Ok(ExitStatus::Failure);
    }
    let screen = context.out.screen();
    for (folder, line) in folders.iter().zip(lines) {
        if !args.dry_run {
            remove(folder, context)?;
        }
        let verb = if args.dry_run {
            "would remove"
        } else {
            "removed"
        };
        let line = format!("{verb} {}", printable(&line));
        writeln!(context.out, "{}", screen.fold(&line))?;
    }
    Ok(ExitStatus::Success)
}

fn describe(folder: &Folder) -> String {
    match Trace::read(&folder.trace()) {
        Err(_) => format!("{}: damaged", folder.id),
        Ok(trace) => {
            let row = Row::of(&trace, Version::default());
            let parts = counted(row.parts, "part");
            format!("{}: {}, {parts}, {}", folder.id, row.agent, row.started_at)
        }
    }
}

fn is_confirmed(folders: &[Folder], lines: &[String]) -> Result<bool> {
    if !can_ask() {
        let ids: Vec<&str> = folders.iter().map(|folder| folder.id.as_str()).collect();
        let ids = ids.join(" ");
        return Err(Error::new(&ids, "not removed: no terminal to ask on")
            .hint(format!("'localstore trace rm -y {ids}'")));
    }
    for line in lines {
        Stderr::line(line);
    }
    let them = if lines.len() == 1 { "it" } else { "them" };
    Stderr::print(&format!("Remove {them} (y/n)? "));
    answered_yes()
}

/// Removes the folder, first from sight and then in pieces, and its rows.
fn remove(folder: &Folder, context: &Context) -> Result<()> {
    let failed = |error| Error::file(&folder.path, &error);
    let lock = Lock::take(folder)?;
    let hidden = tempfile::Builder::new()
        .prefix(".localstore-")
        .tempdir_in(context.root.trajectories())
        .map_err(failed)?;
    move_folder(&folder.path, &hidden.path().join(&folder.id)).map_err(failed)?;
    drop(lock);
    hidden.close().map_err(failed)?;
    if context.location.path.exists() {
        let removed = Index::open(context.location).and_then(|mut index| index.remove(&folder.id));
        if let Err(error) = removed {
            note(&format!("its rows stay in the index: {error}"));
        }
    }
    Ok(())
}

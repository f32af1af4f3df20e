use std::io::Write;
use std::path::PathBuf;

use super::Context;
use super::storing::describe;
use crate::error::{Error, Result};
use crate::output::printable;
use crate::store::{Store, Stored, read_foreign};

/// Take over the runs of another store or of a LocalScore database
///
/// With their dates, tags and submissions, and none twice: a run that is here already is completed,
/// if the other file knows more of it. The other file is not changed. Merging again changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore merge laptop.sqlite3 --dry-run")]
pub struct Args {
    /// A file of localstore, or a database of the LocalScore web site
    file: PathBuf,
    /// Say what would be taken over, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let location = &context.location;
    let same = |path: &PathBuf| std::fs::canonicalize(path).ok();
    if same(&args.file).is_some_and(|file| same(&location.path) == Some(file)) {
        return Err(Error::new(args.file.display(), "this is the store itself"));
    }
    let foreign = read_foreign(&args.file)?;
    let merged: Vec<(Option<i64>, Stored)> = if !args.dry_run {
        let added = Store::open(location)?.merge(&foreign)?;
        added
            .iter()
            .map(|added| (Some(added.id), added.stored))
            .collect()
    } else if location.path.exists() {
        let store = Store::open_readonly(location)?;
        let looked_up = foreign.iter().map(|foreign| store.lookup(&foreign.run));
        looked_up.collect::<Result<_>>()?
    } else {
        vec![(None, Stored::New); foreign.len()]
    };

    let mut counts = [0; 3];
    let mut lines = String::new();
    for (foreign, (id, stored)) in foreign.iter().zip(&merged) {
        let what = describe(&foreign.run);
        let id = id.map_or_else(String::new, |id| format!(" {id}"));
        let line = match (stored, args.dry_run) {
            (Stored::New, false) => format!("run{id}: {what}"),
            (Stored::New, true) => format!("would take over: {what}"),
            (Stored::Completed, false) => format!("run{id}, completed: {what}"),
            (Stored::Completed, true) => format!("would complete run{id}: {what}"),
            (Stored::Already, _) => String::new(),
        };
        counts[*stored as usize] += 1;
        if !line.is_empty() {
            lines += &printable(&line);
            lines.push('\n');
        }
    }
    let [new, completed, known] = counts;
    writeln!(
        context.out,
        "{lines}{} runs: {new} new, {completed} completed, {known} known",
        foreign.len()
    )
    .map_err(|error| Error::stdout(&error))
}

use std::path::PathBuf;

use super::Context;
use crate::error::{Error, Result};
use crate::output::{Existing, Progress, replace_atomically};
use crate::process::Interrupt;
use crate::store::{Location, Store};

/// Copy the store to a file, also while others write to it
///
/// The copy is the store of one moment, runs and chats, in one file. It gets its name when it is
/// whole and safe on the disk. Only its user can read it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore backup runs-2025-06.sqlite3
  localstore backup --force ~/backup/localstore.sqlite3   # every night")]
pub struct Args {
    /// Where the copy is put
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    refuse_the_store(args, &context.location)?;
    let existing = if args.force {
        Existing::Replace
    } else if args.file.is_file() {
        return Err(Error::new(args.file.display(), "there is a file already")
            .hint("'--force' replaces it"));
    } else {
        Existing::Keep
    };
    let interrupt = Interrupt::catch();
    let copied = replace_atomically(&args.file, existing, |temporary| {
        let progress = Progress::new("copying", 0);
        let whole = store.copy_to(temporary, &mut |done, all| {
            progress.set_of(done, all);
            !interrupt.came()
        })?;
        if whole {
            Ok(())
        } else {
            Err(Error::reported())
        }
    });
    // The temporary file is gone by now.
    interrupt.obey();
    copied
}

/// A copy must not take the place of what it is a copy of, nor of what belongs to it.
fn refuse_the_store(args: &Args, location: &Location) -> Result<()> {
    let real = |path: &std::path::Path| std::fs::canonicalize(path).ok();
    let Some(file) = real(&args.file) else {
        return Ok(());
    };
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut path = location.path.clone().into_os_string();
        path.push(ending);
        if real(path.as_ref()).as_ref() == Some(&file) {
            return Err(Error::new(args.file.display(), "this is the store itself"));
        }
    }
    Ok(())
}

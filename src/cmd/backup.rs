use std::path::PathBuf;

use super::Context;
use crate::store::RESULTS;
use base::process::Interrupt;
use base::{Error, Existing, Progress, Result, replace_atomically};
use db::{Database, refuse_logs_beside};

/// Copy the store to a file, even while others write to it
///
/// The copy is a snapshot of the store, runs and chats, in one file. It gets its name once it is
/// complete and safe on the disk. Only its user can read it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore backup runs-2025-06.sqlite3
  localstore backup --force ~/backup/localstore.sqlite3   # every night")]
pub(crate) struct Args {
    /// The file to write
    file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Database::open_readonly(&context.location, &[&RESULTS])?;
    context.location.refuse(&args.file)?;
    refuse_logs_beside(&args.file)?;
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
        let whole = store.copy_to(temporary, &args.file, &mut |done, all| {
            progress.set_of(done, all);
            !interrupt.came()
        })?;
        if whole {
            Ok(())
        } else {
            Err(Error::plain("interrupted"))
        }
    });
    // The temporary file is removed by now.
    interrupt.obey();
    copied
}

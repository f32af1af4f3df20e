use std::fs::File;
use std::io::{Write, copy};
use std::path::PathBuf;

use base::{Error, Result, write_atomically};

use super::{Context, whole};
use crate::exchange::rewrite;
use crate::place::Folder;

/// Give out the two files of a trajectory
///
/// Writes agent_trace.json and repo.bundle to DIR, after a check. The paths in 'artifacts' become those in
/// DIR. 'import' and the tools of envoi read them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace export last ../to-elsewhere")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// The folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let (folder, mut trace) = whole(&args.id, context)?;
    let path = std::path::absolute(&args.dir).map_err(|error| Error::file(&args.dir, &error))?;
    let target = Folder {
        id: folder.id.clone(),
        path,
    };
    for file in [target.trace(), target.bundle()] {
        if file.symlink_metadata().is_ok() {
            return Err(Error::new(file.display(), "the file exists")
                .hint("name another folder: nothing is replaced"));
        }
    }
    std::fs::create_dir_all(&target.path).map_err(|error| Error::file(&target.path, &error))?;
    let bundle = folder.bundle();
    if bundle.exists() {
        let mut source = File::open(&bundle).map_err(|error| Error::file(&bundle, &error))?;
        write_atomically(
            &target.bundle(),
            |out| Ok(copy(&mut source, out).map(drop)?),
        )?;
    }
    rewrite(&mut trace, &target);
    write_atomically(&target.trace(), |out| {
        serde_json::to_writer(&mut *out, &trace)?;
        Ok(out.write_all(b"\n")?)
    })?;
    let line = format!("exported {} to {}", folder.id, target.path.display());
    let screen = context.out.screen();
    Ok(writeln!(context.out, "{}", screen.fold(&line))?)
}

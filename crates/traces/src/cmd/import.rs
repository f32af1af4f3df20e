use std::io::Write;
use std::path::{Path, PathBuf};

use base::{Error, Result};

use super::Context;
use crate::exchange::{Incoming, Taken, copy};
use crate::model::Trace;
use crate::place::Folder;

/// Take over a trajectory of another machine or of envoi's harness
///
/// The trace and the bundle are checked first, and nothing is taken if something is wrong. Parts that
/// turns repeat are dropped, and the paths in 'artifacts' become those of the new place.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore trace import ../from-elsewhere
  localstore trace import agent_trace.json --bundle repo.bundle")]
pub(super) struct Args {
    /// A folder with agent_trace.json and repo.bundle, or the trace itself
    #[arg(value_name = "DIR|FILE")]
    source: PathBuf,
    /// The bundle [default: repo.bundle beside the trace]
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let is_folder = args.source.is_dir();
    let folder = if is_folder {
        args.source.clone()
    } else {
        args.source
            .parent()
            .map_or_else(PathBuf::new, Path::to_owned)
    };
    let trace = if is_folder {
        folder.join("agent_trace.json")
    } else {
        args.source.clone()
    };
    let bundle = args
        .bundle
        .clone()
        .unwrap_or_else(|| folder.join("repo.bundle"));
    let wrong = |path: &Path| {
        path.symlink_metadata()
            .err()
            .map(|error| Error::file(path, &error))
    };
    if let Some(error) = wrong(&trace) {
        return Err(error);
    }
    // What is no trace is told before anything is copied.
    Trace::read(&trace)?;
    let incoming = Incoming::begin(&context.root)?;
    copy(&trace, &incoming.trace())?;
    // A trajectory without commits has none.
    if args.bundle.is_some() || bundle.exists() {
        copy(&bundle, &incoming.bundle())?;
    }
    let name = |file: &str| match file {
        "repo.bundle" => bundle.display().to_string(),
        _ => trace.display().to_string(),
    };
    let (folder, taken) = incoming.take(&context.root, context.location, name)?;
    print_taken(&folder, &taken, context)
}

/// Says where the trajectory is.
pub(super) fn print_taken(folder: &Folder, taken: &Taken, context: &mut Context) -> Result<()> {
    let path = folder.path.display();
    let line = match taken {
        Taken::New => format!("imported {} to {path}", folder.id),
        Taken::Known => format!("{} is there already: {path}", folder.id),
    };
    let screen = context.out.screen();
    Ok(writeln!(context.out, "{}", screen.fold(&line))?)
}

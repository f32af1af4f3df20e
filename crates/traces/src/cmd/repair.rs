use std::io::Write;

use base::Result;

use super::Context;
use crate::record::{Repaired, repair};

/// Complete a trajectory whose recording was killed
///
/// Adds the parts whose lines were passed on but not recorded yet, the end, the bundle and the rows of
/// the index. A trajectory that is whole stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace repair last")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let folder = context.root.find(&args.id)?;
    let repaired = repair(&folder, context.location)?;
    Ok(writeln!(
        context.out,
        "{}: {}",
        folder.id,
        words(&repaired)
    )?)
}

fn words(repaired: &Repaired) -> String {
    let mut done = Vec::new();
    if let Some(parts) = repaired.parts.filter(|parts| *parts > 0) {
        done.push(format!("{} added", base::counted(parts, "part")));
    }
    if let Some(reason) = repaired.reason {
        done.push(format!("ended as '{}'", reason.word()));
    }
    if repaired.has_bundle {
        done.push("repo.bundle written".to_owned());
    }
    if repaired.has_rows {
        done.push("rows written".to_owned());
    }
    if done.is_empty() {
        return "nothing to repair".to_owned();
    }
    done.join(", ")
}

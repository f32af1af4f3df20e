use std::io::Write;

use super::{Context, name};
use crate::name::Name;
use base::Result;

/// Print the file of a record, there or not
///
/// Without NAME, the overrides folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: git log -p -- \"$(localstore prompt path demo/welcome@stable)\"")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG
    #[arg(value_name = "NAME", value_parser = name)]
    name: Option<Name>,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let path = match &args.name {
        Some(name) => context.overrides.file(name),
        None => context.overrides.folder().to_owned(),
    };
    context.out.write_all(path.as_os_str().as_encoded_bytes())?;
    Ok(context.out.write_all(b"\n")?)
}

use std::fs::File;
use std::io::Write;

use base::{Error, Result};

use super::{Context, whole};
use crate::s3::{Address, Storage};

/// Send a trajectory to a bucket of S3-compatible storage
///
/// The bundle and then the trace are put below s3://BUCKET/PREFIX/trajectories/ID/, after a check.
/// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL are read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace push last s3://agents/nightly")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// s3://BUCKET or s3://BUCKET/PREFIX
    #[arg(value_name = "ADDRESS")]
    address: Address,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let storage = Storage::new(&args.address)?;
    let (folder, _) = whole(&args.id, context)?;
    let path = folder.trace();
    let file = File::open(&path).map_err(|error| Error::file(&path, &error))?;
    storage.push(&folder, &file)?;
    let id = &folder.id;
    writeln!(context.out, "TRACE_S3_URI: {}", args.address.trace(id))?;
    if folder.bundle().exists() {
        writeln!(context.out, "BUNDLE_S3_URI: {}", args.address.bundle(id))?;
    }
    Ok(())
}

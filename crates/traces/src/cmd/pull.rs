use std::path::Path;

use base::{Error, Result};

use super::{Context, import};
use crate::exchange::Incoming;
use crate::place::{check_id, private_file};
use crate::s3::{Address, Storage};

/// Take over a trajectory from a bucket of S3-compatible storage
///
/// It is checked as by 'import'. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION
/// and AWS_ENDPOINT_URL are read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: localstore trace pull 0199c2b4-5a10-7cc2-9b1e-1d0c1b1d6a11 s3://agents/nightly"
)]
pub(super) struct Args {
    /// The whole id of the trajectory
    #[arg(value_name = "ID", value_parser = id)]
    id: String,
    /// s3://BUCKET or s3://BUCKET/PREFIX
    #[arg(value_name = "ADDRESS")]
    address: Address,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let (id, address) = (&args.id, &args.address);
    let storage = Storage::new(address)?;
    let incoming = Incoming::begin(&context.root)?;
    let (trace, bundle) = (incoming.trace(), incoming.bundle());
    let open = |path: &Path| private_file(path, true).map_err(|error| Error::file(path, &error));
    let mut trace_file = open(&trace)?;
    let mut bundle_file = open(&bundle)?;
    if !storage.pull(id, &mut trace_file, &mut bundle_file)? {
        std::fs::remove_file(&bundle).map_err(|error| Error::file(&bundle, &error))?;
    }
    let name = |file: &str| match file {
        "repo.bundle" => address.bundle(id),
        _ => address.trace(id),
    };
    let (folder, taken) = incoming.take(&context.root, context.location, name)?;
    import::print_taken(&folder, &taken, context)
}

fn id(text: &str) -> Result<String, String> {
    check_id(text).map(|()| text.to_owned())
}

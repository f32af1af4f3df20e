use super::Context;
use super::filters::{Moment, since};
use super::moving::Moving;
use super::push::remote;
use crate::fleet::{self, Address, Wanted};
use crate::store::{Location, Store};
use base::{Error, ExitStatus, Result};

/// Take over the runs that others have sent to a remote database
///
/// With their dates, tags and links of submissions, and none twice, as 'merge' does. A run that was
/// removed here does not come back. Pulling again takes over what is new. With a filter only such runs
/// come; a later pull without one takes over the rest.
///
/// A token is read from LOCALSTORE_TOKEN, or from the first line of the file that
/// LOCALSTORE_TOKEN_FILE names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore pull libsql://fleet.example.org --since 7d")]
pub(crate) struct Args {
    #[arg(help = "libsql://HOST, https://… or http://… [default: $LOCALSTORE_REMOTE]")]
    remote: Option<Address>,
    /// Say what would be taken over, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only runs of models with this in their name; of llama-bench, in the name of their file too
    #[arg(
        long,
        value_name = "TEXT",
        help_heading = "Filters (text matches anywhere, ignoring case)"
    )]
    model: Option<String>,
    /// Only runs on accelerators with this in their name
    #[arg(
        long,
        value_name = "TEXT",
        help_heading = "Filters (text matches anywhere, ignoring case)"
    )]
    accelerator: Option<String>,
    /// Only runs measured at this time or later: a date, a time (UTC), an age such as 7d or 12h, today
    /// or yesterday
    #[arg(
        long,
        value_name = "TIME",
        value_parser = since,
        help_heading = "Filters (text matches anywhere, ignoring case)"
    )]
    since: Option<Moment>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let remote = remote(args.remote.as_ref())?;
    let wanted = Wanted {
        model: args.model.clone(),
        accelerator: args.accelerator.clone(),
        since: args.since.as_ref().map(|since| since.second),
    };
    // What would be taken over into a store that is not there yet.
    let folder = tempfile::tempdir().map_err(|error| Error::new("temporary folder", error))?;
    let mut store = match (args.dry_run, context.location.path.exists()) {
        (false, _) => Store::open(&context.location)?,
        (true, true) => Store::open_readonly(&context.location)?,
        (true, false) => Store::open(&Location::resolve(
            Some(folder.path().join("new")),
            None,
            &[],
        ))?,
    };
    let out = &mut context.out;
    let mut moving = Moving::new("take over", args.dry_run, &remote, out);
    let pulled = fleet::pull(&mut store, &remote, &wanted, args.dry_run, &mut |event| {
        moving.tell(event)
    });
    moving.end(pulled)
}

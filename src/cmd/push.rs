use std::io::Write;

use super::Context;
use super::moving::Moving;
use super::submission::variable;
use crate::fleet::{self, Address, Prepared, Remote, Token};
use crate::store::Store;
use base::{ExitStatus, Progress, Result, counted, note};

/// Send the runs that a remote database has not got from this store
///
/// The remote is a libSQL database, which many machines share; 'push --init' prepares it. Runs travel
/// whole, with their tags and the links of their submissions; chats never do. Pushing again sends what
/// is new. What was committed before a failure stays there, and the next push goes on after it.
///
/// A token is read from LOCALSTORE_TOKEN, or from the first line of the file that
/// LOCALSTORE_TOKEN_FILE names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore push libsql://fleet.example.org")]
pub(crate) struct Args {
    #[arg(help = "libsql://HOST, https://… or http://… [default: $LOCALSTORE_REMOTE]")]
    remote: Option<Address>,
    /// Prepare the database, or bring its tables up to date, and send nothing
    #[arg(long)]
    init: bool,
    /// Say what would be sent, change nothing
    #[arg(long, conflicts_with = "init")]
    dry_run: bool,
}

/// The remote that is named, or that the environment names.
pub(super) fn remote(named: Option<&Address>) -> Result<Remote> {
    let address = Address::resolve(named.cloned(), variable)?;
    let token = Token::from_environment(variable)?;
    Remote::new(address, token, variable)
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let remote = remote(args.remote.as_ref())?;
    let out = &mut context.out;
    if args.init {
        let mut progress = None;
        let prepared = fleet::prepare(&remote, &mut |done, all| {
            let progress = progress.get_or_insert_with(|| Progress::new("taking in", all));
            progress.set(done);
        });
        drop(progress);
        let line = match prepared? {
            Prepared::Made { site_runs: 0 } => format!("{}: prepared", remote.address()),
            Prepared::Made { site_runs } => format!(
                "{}: prepared; {} of the web site taken in",
                remote.address(),
                counted(site_runs, "run")
            ),
            Prepared::Before => format!("{}: was prepared before", remote.address()),
        };
        writeln!(out, "{}", out.screen().fold(&line))?;
        return Ok(ExitStatus::Success);
    }
    let path = &context.location.path;
    if !args.dry_run && !path.exists() {
        // The name may be mistyped.
        note(&format!(
            "{}: a new store, with nothing to send",
            path.display()
        ));
    }
    let mut store = if args.dry_run {
        Store::open_readonly(&context.location)?
    } else {
        Store::open(&context.location)?
    };
    let mut moving = Moving::new("send", args.dry_run, &remote, out);
    let pushed = fleet::push(&mut store, &remote, args.dry_run, &mut |event| {
        moving.tell(event)
    });
    moving.end(pushed)
}

use std::io::Write;

use super::Context;
use super::submission::variable;
use super::tally::Tally;
use super::words::{counted, describe_foreign};
use crate::fleet::{self, Address, Event, Prepared, Remote, Token};
use crate::store::Store;
use base::{ExitStatus, Progress, Result, Stderr};

/// Send the runs that a remote database has not got from this store
///
/// The remote is a libSQL database, which many machines share; 'push --init' prepares it. Runs travel
/// whole, with their tags and with links of what was submitted. Chats never do. Pushing again sends
/// what is new. What was committed before a failure stays there, and the next push goes on behind it.
///
/// A token is read from LOCALSTORE_TOKEN, or from the first line of the file that
/// LOCALSTORE_TOKEN_FILE names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore push libsql://fleet.example.org")]
pub(crate) struct Args {
    /// libsql://HOST, https://… or http://… [default: $LOCALSTORE_REMOTE]
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
        let line = match fleet::prepare(&remote)? {
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
    let mut store = if args.dry_run {
        Store::open_readonly(&context.location)?
    } else {
        Store::open(&context.location)?
    };
    let screen = out.screen();
    let mut progress = None;
    let mut runs = Tally::new("run", "send", args.dry_run);
    let mut left_out = 0;
    let pushed = fleet::push(&mut store, &remote, args.dry_run, &mut |event| {
        match event {
            Event::Begin { runs, is_first } => {
                if is_first {
                    base::note(fleet::WHAT_TRAVELS);
                }
                if !out.is_terminal() {
                    progress = Some(Progress::new("pushing", runs));
                }
            }
            Event::Run {
                id,
                stored,
                foreign,
            } => {
                if let Some(line) = runs.count(Some(id), stored, || describe_foreign(foreign)) {
                    writeln!(out, "{}", screen.fold(&line))?;
                }
            }
            Event::LeftOut(error) => {
                left_out += 1;
                out.flush()?;
                Stderr::error(&error);
            }
        }
        if let Some(progress) = &progress {
            progress.set(runs.all() + left_out);
        }
        Ok(())
    });
    drop(progress);
    out.flush()?;
    pushed?;
    let end = match left_out {
        0 => String::new(),
        left_out => format!(", {left_out} refused"),
    };
    let all = counted(runs.all() + left_out, "run");
    writeln!(
        out,
        "{}",
        screen.fold(&format!("{all}: {}{end}", runs.sum()))
    )?;
    Ok(if left_out > 0 {
        ExitStatus::Failure
    } else {
        ExitStatus::Success
    })
}

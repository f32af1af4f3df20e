use std::io::Write;

use super::sending::{Orders, Sending, check_tool, note_zeros, send, with_source};
use super::submission::queued_hint;
use super::{Context, resolve, resolve_all, unique};
use crate::store::{Store, runs, submissions};
use crate::submit::{Payload, Site, violations};
use base::{Error, ExitStatus, Result};
use base::{Stderr, Stdout, counted, note};

/// Send runs to LocalScore, where they are public
///
/// Without RUN, sends the most recently added run. Asks for consent as localscore does; without a
/// terminal to ask on, -y is needed. Prints a line for each run, with the link to its result. A run
/// that the site could not accept stays queued for it, and --pending sends it later. A submitted run
/// is not sent again, and a partial one or one of llama-bench is not sent at all.
///
/// Each attempt is recorded in the store before the run is sent. If the answer is lost, or the
/// program is interrupted before the answer is recorded, the site is asked for the run, now and by
/// each later submit of it. If the site shows it, it is submitted. Else it is 'unknown': it may be on
/// the site, and it is sent again only with --again, once that attempt has certainly ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore submit
  localstore submit --dry-run 12 > payload.json
  localstore submit --pending -y")]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7) or lists (3,5)
    #[arg(value_name = "RUN", conflicts_with = "pending")]
    runs: Vec<String>,
    /// Send the runs that are queued for the site
    #[arg(long, conflicts_with = "again")]
    pending: bool,
    /// Also send runs whose submission is unknown, unless the site shows them; it may then show them
    /// twice
    #[arg(long)]
    again: bool,
    /// Print what would be sent without sending it
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    sending: Sending,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let store = Store::open_readonly(&context.location)?;
    let ids = if args.pending {
        queued_ids(&args.sending.site()?, &store)?
    } else if args.runs.is_empty() {
        vec![resolve(&store, "last")?]
    } else {
        unique(resolve_all(&store, &args.runs)?)
    };
    if args.dry_run {
        return print_payloads(&ids, &store, &mut context.out);
    }
    if ids.is_empty() {
        return Ok(ExitStatus::Success);
    }
    drop(store);
    let target = args.sending.target()?;
    let orders = Orders {
        again: args.again,
        recorded: false,
    };
    send(&ids, &orders, &target, context)
}

/// The runs that are queued for the site. Notes if there are none, or if some are queued for other
/// sites.
fn queued_ids(site: &Site, store: &Store) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    let mut others: Vec<(Site, usize)> = Vec::new();
    for (id, stored) in store.read(submissions::pending)? {
        let other = Site::stored(stored.as_deref());
        match others.iter_mut().find(|(known, _)| *known == other) {
            _ if other == *site => ids.push(id),
            Some((_, count)) => *count += 1,
            None => others.push((other, 1)),
        }
    }
    if ids.is_empty() {
        note(&format!("no run is queued for {site}"));
    }
    for (other, count) in others {
        let runs = counted(count as u64, "run");
        let what = format_args!("{runs} queued for another site: {other}");
        Stderr::error(&Error::plain(what).hint(queued_hint(&other)));
    }
    Ok(ids)
}

fn print_payloads(ids: &[i64], store: &Store, out: &mut Stdout) -> Result<ExitStatus> {
    let mut status = ExitStatus::Success;
    let mut before = "";
    for &id in ids {
        if let Err(error) = check_tool(store, id) {
            Stderr::error(&error);
            status = ExitStatus::Failure;
            continue;
        }
        let run = store.read(|db| runs::read(db, id))?;
        let payload = Payload::of(&run);
        // Without a newline at the end, as the C tool sends it.
        write!(out, "{before}{}", payload.text())?;
        before = "\n";
        note_zeros(id, &payload);
        let mut found = violations(&payload.json);
        if run.is_partial() {
            found.insert(0, "partial".to_owned());
        }
        for (index, why) in found.iter().enumerate() {
            let error = Error::new(format_args!("run {id}: would not be sent"), why);
            let is_last = index + 1 == found.len();
            Stderr::error(&if is_last {
                with_source(error, run.source)
            } else {
                error
            });
        }
    }
    if out.is_terminal() && !before.is_empty() {
        writeln!(out)?;
    }
    Ok(status)
}

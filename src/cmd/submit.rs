use std::io::Write;

use super::Context;
use super::sending::{Orders, Sending, remark_zeros, send};
use crate::error::{Error, Result};
use crate::output::{Stdout, note};
use crate::store::Store;
use crate::submit::{Payload, violations};

/// Send runs to LocalScore, where they are public
///
/// Without RUN: the run added last. Asks as localscore does, and prints the link to the result. A
/// run that the site could not take stays queued, and --pending sends it later; a run that was
/// submitted is not sent again.
///
/// It is noted in the store before a run is sent. If the answer is lost, or we are interrupted
/// before it is noted, the run may or may not be on the site: its submission is 'unknown', and it
/// is only sent again with --again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore submit
  localstore submit --dry-run 12 > payload.json
  localstore submit --pending -y")]
pub struct Args {
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN", conflicts_with = "pending")]
    runs: Vec<String>,
    /// The runs that wait to be sent
    #[arg(long)]
    pending: bool,
    /// Also runs that were sent without a known end, which the site may show twice then
    #[arg(long)]
    again: bool,
    /// Print what would be sent, send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    sending: Sending,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let ids = choose(args, &store)?;
    if args.dry_run {
        return print_payloads(&ids, &store, &mut context.out);
    }
    if ids.is_empty() {
        note(&format!(
            "{}: no run waits to be submitted",
            store.path().display()
        ));
        return Ok(());
    }
    drop(store);
    let target = args.sending.target()?;
    let orders = Orders {
        again: args.again,
        recorded: false,
    };
    send(&ids, &orders, target, context)
}

/// The runs, each once.
fn choose(args: &Args, store: &Store) -> Result<Vec<i64>> {
    if args.pending {
        return store.pending();
    }
    if args.runs.is_empty() {
        return Ok(vec![store.resolve("last")?]);
    }
    super::each_once(store, &args.runs)
}

fn print_payloads(ids: &[i64], store: &Store, out: &mut Stdout) -> Result<()> {
    for (index, &id) in ids.iter().enumerate() {
        let run = store.run(id)?;
        let payload = Payload::of(&run);
        // As the C tool sends it: without a newline at its end.
        let before = if index > 0 { "\n" } else { "" };
        write!(out, "{before}{}", payload.text()).map_err(|error| Error::stdout(&error))?;
        remark_zeros(id, &payload);
        for violation in violations(&payload.json) {
            note(&format!("run {id} would not be sent: {violation}"));
        }
    }
    if out.is_terminal() && !ids.is_empty() {
        out.write_all(b"\n")
            .map_err(|error| Error::stdout(&error))?;
    }
    Ok(())
}

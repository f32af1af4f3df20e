use std::io::Write;

use serde::Serialize;

use super::Context;
use crate::rooms::ROOMS;
use crate::store::{Finding, Store, Totals, Watch};
use base::{ExitStatus, Result};
use base::{Progress, Stdout, note, printable, rows};

/// Check that everything in the store is right
///
/// Runs SQLite's own checks and ours: each test has its run, fingerprints and scores match the tests,
/// the public tables hold what ours do, and no row refers to one that is missing. Prints a line for
/// each thing that is wrong. Exit code 1 if there is any.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore check
  localstore check --repair
  localstore check --db backup.sqlite3 -o json")]
pub(crate) struct Args {
    /// Derive the public tables, fingerprints and scores from the tests again
    ///
    /// All in one transaction, which checks the store again before it commits. A run whose tests
    /// were changed is named and left as it is. Exit code 0 if nothing wrong is left.
    #[arg(long)]
    repair: bool,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line for each thing that is wrong, and one at the end
    Text,
    /// An object
    Json,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let store = Store::open_as_is(&context.location)?;
    let bar = Progress::new("checking", store.count_runs()?);
    let progress = &mut |runs| bar.set(runs);
    let out = &mut context.out;
    let mut document = Document::default();
    let mut mendable = 0;
    let mut printed = Ok(());
    let mut found = |finding: Finding| {
        document.wrong += u64::from(!finding.mended);
        mendable += u64::from(finding.mendable && !args.repair);
        if args.output == Output::Json {
            document.findings.push(finding);
        } else if printed.is_ok() {
            let done = match (args.repair, finding.mended) {
                (false, _) => "",
                (true, true) => " (mended)",
                (true, false) => " (cannot be mended)",
            };
            let line = format!("{}: {}{done}", finding.place, finding.what);
            printed = writeln!(out, "{}", printable(&line));
        }
    };
    let totals = if args.repair {
        drop(store);
        let (totals, findings) = Store::open(&context.location)?.repair(ROOMS, progress)?;
        findings.into_iter().for_each(&mut found);
        totals
    } else {
        let found = &mut found;
        store.check(ROOMS, &mut Watch { found, progress })?
    };
    document.totals = totals;
    drop(bar);
    printed?;
    match args.output {
        Output::Text => summarize(out, document.totals, document.wrong)?,
        Output::Json => rows::json(&document, out)?,
    }
    out.flush()?;
    if mendable > 0 {
        note(&format!(
            "'localstore check --repair' can mend {mendable} of them"
        ));
    }
    if document.wrong > 0 {
        return Ok(ExitStatus::Failure);
    }
    Ok(ExitStatus::Success)
}

/// All of it, for programs.
#[derive(Debug, Default, Serialize)]
struct Document {
    #[serde(flatten)]
    totals: Totals,
    /// What is wrong still.
    wrong: u64,
    findings: Vec<Finding>,
}

fn summarize(out: &mut Stdout, totals: Totals, wrong: u64) -> std::io::Result<()> {
    let Totals {
        runs,
        tests,
        scores,
        inserted,
    } = totals;
    if inserted > 0 {
        let runs = if inserted == 1 { "run" } else { "runs" };
        writeln!(
            out,
            "{inserted} {runs} inserted by the LocalScore site: \
             the next command that writes takes them up"
        )?;
    }
    let verdict = match wrong {
        0 => "nothing is wrong".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        wrong => format!("{wrong} things are wrong"),
    };
    writeln!(
        out,
        "{runs} runs, {tests} tests, {scores} scores: {verdict}"
    )
}

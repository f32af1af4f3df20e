use std::collections::HashSet;
use std::fmt;
use std::io::Write;

use serde::Serialize;

use super::Context;
use crate::rooms::ROOMS;
use crate::store::{Finding, Store, Totals, Watch};
use base::{ExitStatus, Result};
use base::{Progress, counted, note, printable, rows};

/// Check that everything in the store is right
///
/// Runs SQLite's own checks and ours: each test has its run, fingerprints and scores match the tests,
/// the public tables hold what ours do, and no row refers to one that is missing. Prints a line for
/// each error. Exit code 1 if there is any.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore check
  localstore check --repair
  localstore check --db backup.sqlite3 -o json")]
pub(crate) struct Args {
    /// Derive the public tables, fingerprints and scores from the tests again
    ///
    /// All in one transaction, which checks the store again before it commits. A run whose tests
    /// were changed is named and left as it is. Exit code 0 if no error is left.
    #[arg(long)]
    repair: bool,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line for each error, and one at the end
    Text,
    /// An object
    Json,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let store = Store::open_as_is(&context.location)?;
    let bar = Progress::new("checking", store.count_runs()?);
    let progress = &mut |runs| bar.set(runs);
    let out = &mut context.out;
    let screen = out.screen();
    let mut document = Document::default();
    let mut errors = Errors::default();
    let mut printed = Ok(());
    let mut found = |finding: Finding| {
        document.wrong += u64::from(!finding.mended);
        errors.count(&finding);
        if args.output == Output::Json {
            document.findings.push(finding);
        } else if printed.is_ok() {
            let done = match (args.repair, finding.mended) {
                (false, _) => "",
                (true, true) => " (mended)",
                (true, false) => " (cannot be mended)",
            };
            let line = format!("{}: {}{done}", finding.place, finding.what);
            printed = writeln!(out, "{}", screen.fold(&printable(&line)));
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
    let mends = match errors.mendable {
        mendable if mendable > 0 && !args.repair => {
            format!("; 'localstore check --repair' mends {mendable}")
        }
        _ => String::new(),
    };
    let answer = match document.wrong {
        0 => format!("{}: no error", checked(totals)),
        _ => format!("{errors}{mends}"),
    };
    match args.output {
        Output::Text => writeln!(out, "{}", screen.fold(&answer))?,
        Output::Json => rows::json(&document, out)?,
    }
    out.flush()?;
    if args.output == Output::Text && totals.inserted > 0 {
        let runs = counted(totals.inserted, "run");
        note(&format!(
            "{runs} inserted by the LocalScore site; the next command that writes counts them in"
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

/// How many things are wrong, and in how many runs.
#[derive(Debug, Default)]
struct Errors {
    all: u64,
    in_runs: u64,
    runs: HashSet<String>,
    mendable: u64,
}

impl Errors {
    fn count(&mut self, finding: &Finding) {
        if finding.mended {
            return;
        }
        self.all += 1;
        self.mendable += u64::from(finding.mendable);
        if finding.place.starts_with("run ") {
            self.in_runs += 1;
            self.runs.insert(finding.place.clone());
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&counted(self.all, "error"))?;
        let runs = counted(self.runs.len() as u64, "run");
        match self.in_runs {
            0 => Ok(()),
            all if all == self.all => write!(f, " in {runs}"),
            some => write!(f, ", {some} of them in {runs}"),
        }
    }
}

/// How much was checked.
fn checked(totals: Totals) -> String {
    let Totals {
        runs,
        tests,
        scores,
        ..
    } = totals;
    let counts = [(runs, "run"), (tests, "test"), (scores, "score")];
    counts
        .map(|(count, thing)| counted(count, thing))
        .join(", ")
}

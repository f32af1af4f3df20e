use std::io::Write;

use serde::Serialize;

use super::Context;
use crate::store::{Finding, Store, Totals, Watch};
use base::{ExitStatus, Result};
use base::{Progress, Stdout, note, printable};

/// Look whether everything in the store is right
///
/// SQLite's own checks, and ours: each test has its run, fingerprints and scores are those that the
/// tests give, the public tables hold what ours do, nothing refers to what is not there. Prints a
/// line for each thing that is wrong. Exit code 1 if there is any.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore check
  localstore check --repair
  localstore check --db backup.sqlite3 -o json")]
pub struct Args {
    /// Make right what can be computed from the rest
    ///
    /// In one transaction, and checked again before it counts. What our tables hold of a test is
    /// taken for true, unless its fingerprint fits the values of the public table instead. Exit
    /// code 0 if nothing wrong is left.
    #[arg(long)]
    repair: bool,
    /// How it is printed
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

pub fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let store = Store::open_as_is(&context.location)?;
    let progress = Progress::new("checking", store.count_runs()?);
    let mut printer = Printer {
        out: &mut context.out,
        output: args.output,
        progress,
        findings: Vec::new(),
        left: 0,
        mendable: 0,
        printed: Ok(()),
    };
    let totals = if args.repair {
        drop(store);
        let (totals, findings) = Store::open(&context.location)?.repair(&mut printer)?;
        for (finding, mended) in findings {
            printer.report(&finding, Some(mended));
        }
        totals
    } else {
        store.check(&mut printer)?
    };
    printer.finish(totals)
}

/// A finding for programs.
#[derive(Debug, Serialize)]
struct Line {
    place: String,
    what: String,
    /// Whether `--repair` can do something about it.
    mendable: bool,
    /// Whether it has.
    mended: bool,
}

/// The whole for programs.
#[derive(Debug, Serialize)]
struct Document {
    runs: u64,
    tests: u64,
    scores: u64,
    /// Runs that the LocalScore site has inserted, and that are not taken up yet.
    inserted: u64,
    /// What is wrong still.
    wrong: u64,
    findings: Vec<Line>,
}

struct Printer<'a> {
    out: &'a mut Stdout,
    output: Output,
    progress: Progress,
    findings: Vec<Line>,
    /// What is wrong still.
    left: u64,
    /// What `--repair`, which was not asked for, can do something about.
    mendable: u64,
    printed: std::io::Result<()>,
}

impl Watch for Printer<'_> {
    fn found(&mut self, finding: Finding) {
        self.report(&finding, None);
    }

    fn progress(&mut self, runs: u64) {
        self.progress.set(runs);
    }
}

impl Printer<'_> {
    /// Prints it; `mended` is none where nobody tried.
    fn report(&mut self, finding: &Finding, mended: Option<bool>) {
        self.left += u64::from(mended != Some(true));
        self.mendable += u64::from(mended.is_none() && finding.is_mendable());
        if self.output == Output::Json {
            self.findings.push(Line {
                place: finding.place.clone(),
                what: finding.what.clone(),
                mendable: finding.is_mendable(),
                mended: mended == Some(true),
            });
            return;
        }
        let done = match mended {
            None => "",
            Some(true) => " (mended)",
            Some(false) => " (cannot be mended)",
        };
        let line = format!("{}: {}{done}", finding.place, finding.what);
        let printed = writeln!(self.out, "{}", printable(&line));
        if self.printed.is_ok() {
            self.printed = printed;
        }
    }

    fn finish(self, totals: Totals) -> Result<ExitStatus> {
        let Totals {
            runs,
            tests,
            scores,
            inserted,
        } = totals;
        self.printed?;
        let out = self.out;
        match self.output {
            Output::Text => {
                if inserted > 0 {
                    let runs = if inserted == 1 { "run" } else { "runs" };
                    let line = format!(
                        "{inserted} {runs} inserted by the LocalScore site: \
                         the next command that writes takes them up"
                    );
                    writeln!(out, "{line}")?;
                }
                let verdict = match self.left {
                    0 => "nothing is wrong".to_owned(),
                    1 => "1 thing is wrong".to_owned(),
                    left => format!("{left} things are wrong"),
                };
                writeln!(
                    out,
                    "{runs} runs, {tests} tests, {scores} scores: {verdict}"
                )?;
            }
            Output::Json => {
                let document = Document {
                    runs,
                    tests,
                    scores,
                    inserted,
                    wrong: self.left,
                    findings: self.findings,
                };
                serde_json::to_writer_pretty(&mut *out, &document)?;
                out.write_all(b"\n")?;
            }
        }
        if self.mendable > 0 {
            out.flush()?;
            let mendable = self.mendable;
            note(&format!(
                "'localstore check --repair' can mend {mendable} of them"
            ));
        }
        if self.left > 0 {
            return Ok(ExitStatus::Failure);
        }
        Ok(ExitStatus::Success)
    }
}

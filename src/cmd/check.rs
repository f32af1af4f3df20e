use std::io::Write;

use serde::Serialize;

use super::Context;
use crate::rooms::ROOMS;
use crate::store::{Finding, Store, Totals, Watch};
use base::{ExitStatus, Result};
use base::{Progress, Stdout, note, printable};

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
pub struct Args {
    /// Derive the public tables, fingerprints and scores from the tests again
    ///
    /// All in one transaction, which checks the store again before it commits. A run whose tests
    /// were changed is named and left as it is. Exit code 0 if nothing wrong is left.
    #[arg(long)]
    repair: bool,
    /// The form of what is printed
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
    let bar = Progress::new("checking", store.count_runs()?);
    let progress = &mut |runs| bar.set(runs);
    let mut printer = Printer {
        out: &mut context.out,
        output: args.output,
        document: Document::default(),
        mendable: 0,
        printed: Ok(()),
    };
    let totals = if args.repair {
        drop(store);
        let (totals, findings) = Store::open(&context.location)?.repair(ROOMS, progress)?;
        for (finding, mended) in findings {
            printer.report(finding, Some(mended));
        }
        totals
    } else {
        let found = &mut |finding| printer.report(finding, None);
        store.check(ROOMS, &mut Watch { found, progress })?
    };
    drop(bar);
    printer.finish(totals)
}

/// All of it, for programs.
#[derive(Debug, Default, Serialize)]
struct Document {
    #[serde(flatten)]
    totals: Totals,
    /// What is wrong still.
    wrong: u64,
    findings: Vec<PrintedFinding>,
}

#[derive(Debug, Serialize)]
struct PrintedFinding {
    place: String,
    what: String,
    /// Whether `--repair` can mend it.
    mendable: bool,
    /// Whether it has.
    mended: bool,
}

struct Printer<'a> {
    out: &'a mut Stdout,
    output: Output,
    /// Its list of findings is kept for json alone.
    document: Document,
    /// How many findings `--repair`, which was not asked for, can mend.
    mendable: u64,
    printed: std::io::Result<()>,
}

impl Printer<'_> {
    /// Prints a finding; `mended` is none without `--repair`.
    fn report(&mut self, finding: Finding, mended: Option<bool>) {
        let mendable = finding.is_mendable();
        let Finding { place, what, .. } = finding;
        self.document.wrong += u64::from(mended != Some(true));
        self.mendable += u64::from(mended.is_none() && mendable);
        if self.output == Output::Json {
            let mended = mended == Some(true);
            self.document.findings.push(PrintedFinding {
                place,
                what,
                mendable,
                mended,
            });
            return;
        }
        let done = match mended {
            None => "",
            Some(true) => " (mended)",
            Some(false) => " (cannot be mended)",
        };
        if self.printed.is_ok() {
            let line = format!("{place}: {what}{done}");
            self.printed = writeln!(self.out, "{}", printable(&line));
        }
    }

    fn finish(self, totals: Totals) -> Result<ExitStatus> {
        let wrong = self.document.wrong;
        self.printed
            .and_then(|()| match self.output {
                Output::Text => summarize(self.out, totals, wrong),
                Output::Json => {
                    let document = Document {
                        totals,
                        ..self.document
                    };
                    serde_json::to_writer_pretty(&mut *self.out, &document)?;
                    self.out.write_all(b"\n")
                }
            })
            .and_then(|()| self.out.flush())?;
        if self.mendable > 0 {
            note(&format!(
                "'localstore check --repair' can mend {} of them",
                self.mendable
            ));
        }
        if wrong > 0 {
            return Ok(ExitStatus::Failure);
        }
        Ok(ExitStatus::Success)
    }
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

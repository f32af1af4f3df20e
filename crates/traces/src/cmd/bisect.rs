use std::io::Write;
use std::time::Duration;

use base::{Error, ExitStatus, Progress, Result, Stdout, counted, note, one_line, printable, rows};
use serde::Serialize;

use super::eval::state;
use super::{Context, Output};
use crate::eval::{Job, Limits, Outcome, Runner, Suite, Tests, first_change};
use crate::model::{Part, Trace};
use crate::repo::History;
use crate::stream::PartType;

/// Find the part at which a suite of tests began to pass or to fail
///
/// The suite runs at the first and at the last of the parts and, if one passes and the other fails, in about
/// log2 runs at the commits between, each in a checkout of its own as with 'eval'. The part found is the
/// first one that differs, if the suite changed once only; else one at which it changed.
///
/// A suite that could not run, as 'eval' says it, is an error here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace bisect last --suite 'unit=cargo test' --from 12")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// The suite: its name and its command
    #[arg(long, value_name = "NAME=CMD")]
    suite: Suite,
    /// The first part to look at
    #[arg(long, value_name = "PART")]
    from: Option<u64>,
    /// The last part to look at
    #[arg(long, value_name = "PART")]
    to: Option<u64>,
    /// How long a run of the suite may take, such as 90s or 10m; without limit if not given
    #[arg(long, value_name = "TIME", value_parser = super::timeout)]
    timeout: Option<Duration>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Document<'a> {
    trajectory_id: &'a str,
    suite: &'a str,
    /// The first and the last part that were looked at.
    from: u64,
    to: u64,
    commits: usize,
    /// Whether the suite is ok at the first part.
    ok_before: bool,
    /// The first part at which that differs; `None` if the ends agree.
    part: Option<u64>,
    commit: Option<&'a str>,
    summary: Option<&'a str>,
    changed_files: &'a [String],
    /// In the order in which they were made.
    runs: Vec<Run<'a>>,
}

/// A run of the suite.
#[derive(Debug, Serialize)]
struct Run<'a> {
    part: u64,
    commit: &'a str,
    #[serde(flatten)]
    outcome: Outcome,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let folder = context.root.find(&args.id)?;
    let trace = Trace::read(&folder.trace())?;
    let parts = super::parts_between(&trace, args.from, args.to)?;
    let jobs = jobs(&trace, |part| parts.contains(&part.part));
    if jobs.is_empty() {
        let what = format!("parts {} to {}", parts.start(), parts.end());
        return Err(Error::new(what, "nothing was committed until then"));
    }
    let tests = Tests::Suites(vec![args.suite.clone()]);
    let limits = Limits::new(args.timeout);
    let mut runs: Vec<Run<'_>> = Vec::new();
    let found = search(
        &History::detached(&folder)?,
        &tests,
        &jobs,
        &limits,
        &mut runs,
    );
    if limits.interrupt.came() {
        note("interrupted");
        limits.interrupt.obey();
        return Ok(ExitStatus::Failure);
    }
    let (ok_before, index) = found?;
    let job = index.and_then(|index| jobs.get(index));
    let part = job.and_then(|job| trace.part(job.part));
    let checkpoint = part.and_then(|part| part.repo_checkpoint.as_ref());
    let document = Document {
        trajectory_id: &folder.id,
        suite: &args.suite.name,
        from: *parts.start(),
        to: *parts.end(),
        commits: jobs.len(),
        ok_before,
        part: part.map(|part| part.part),
        commit: job.map(|job| job.commit),
        summary: part.and_then(|part| part.summary.as_deref()),
        changed_files: checkpoint.map_or(&[][..], |checkpoint| &checkpoint.changed_files),
        runs,
    };
    match args.output {
        Output::Json => rows::json(&document, context.out)?,
        Output::Text => print(&document, part, context.out)?,
    }
    Ok(ExitStatus::Success)
}

/// The commits of the wanted parts, in their order.
fn jobs(trace: &Trace, is_wanted: impl Fn(&Part) -> bool) -> Vec<Job<'_>> {
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for part in trace.parts.iter().filter(|part| is_wanted(part)) {
        if let Some(commit) = part.git_commit.as_deref()
            && jobs.last().is_none_or(|job| job.commit != commit)
        {
            let part = part.part;
            jobs.push(Job { commit, part });
        }
    }
    jobs
}

/// The state at the first commit, and the index of the one found.
fn search<'a>(
    history: &History,
    tests: &Tests,
    jobs: &[Job<'a>],
    limits: &Limits,
    runs: &mut Vec<Run<'a>>,
) -> Result<(bool, Option<usize>)> {
    let mut runner = Runner::new(history, tests, limits);
    let most = jobs.len().next_power_of_two().ilog2() + 2;
    let progress = Progress::new("searching", most.into());
    first_change(jobs.len(), |index| {
        let interrupted = || Error::plain("interrupted");
        let job = jobs.get(index).ok_or_else(interrupted)?;
        let evaluation = runner.run(job).ok_or_else(interrupted)?;
        let outcome = evaluation.path_results.into_values().next();
        let outcome = outcome.ok_or_else(interrupted)?;
        if let Some(error) = &outcome.error {
            let what = format!(
                "{} could not run at part {}",
                tests.names().concat(),
                job.part
            );
            return Err(Error::new(what, error));
        }
        let ok = outcome.ok;
        tracing::info!("part {} {}: {}", job.part, state(ok), outcome.counts());
        runs.push(Run {
            part: job.part,
            commit: job.commit,
            outcome,
        });
        progress.set(runs.len() as u64);
        Ok(ok)
    })
}

fn print(found: &Document<'_>, part: Option<&Part>, out: &mut Stdout) -> Result<()> {
    let screen = out.screen();
    let suite = found.suite;
    let mut lines = Vec::new();
    if let (Some(part), Some(commit)) = (part, found.commit) {
        lines.push(format!(
            "{suite} {} since part {}",
            state(!found.ok_before),
            part.part
        ));
        let kind = part.part_type.map_or("placeholder", PartType::word);
        let summary = part.summary.as_ref();
        let summary = summary.map_or(String::new(), |text| {
            format!(": {}", one_line(text, LONGEST))
        });
        lines.push(format!("part     {}, {kind}{summary}", part.part));
        lines.push(format!("commit   {commit}"));
        let files = found.changed_files;
        let names: Vec<&str> = files.iter().take(SHOWN).map(String::as_str).collect();
        let more = match files.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = if names.is_empty() {
            "none"
        } else {
            &names.join(", ")
        };
        lines.push(format!("changed  {names}{more}"));
    } else {
        let state = state(found.ok_before);
        let (from, to) = (found.from, found.to);
        lines.push(match found.runs.as_slice() {
            [_] => format!("{suite} {state} from part {from} to part {to}: there is one commit"),
            _ => format!(
                "{suite} {state} at part {from} and at part {to}: there is no change to find"
            ),
        });
    }
    let runs = found.runs.iter();
    let runs = runs.map(|run| format!("part {} {}", run.part, state(run.outcome.ok)));
    let runs: Vec<String> = runs.collect();
    let count = found.commits;
    let of = counted(count as u64, "commit");
    lines.push(format!(
        "ran at {} of {of}: {}",
        runs.len(),
        runs.join(", ")
    ));
    for line in lines {
        let line = screen.fold(&printable(&line));
        out.styled(format!("{line}\n").as_bytes())?;
    }
    if let Some(part) = found.part {
        let line = format!(
            "more: localstore trace diff {} {part}\n",
            found.trajectory_id
        );
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// How many changed files are named.
const SHOWN: usize = 10;

/// The most characters of a summary.
const LONGEST: usize = 250;

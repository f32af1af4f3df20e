use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use base::{
    Column, Error, ExitStatus, Progress, Result, RowFormat, Screen, Stdout, Table, counted, note,
    rows, write_atomically,
};
use serde::Serialize;

use super::Context;
use crate::eval::{Envoi, Evaluation, Input, Job, Limits, Outcome, Report, Suite, Tests, evaluate};
use crate::model::Trace;
use crate::place::Folder;
use crate::repo::History;

/// Run suites of tests at every commit of a trajectory
///
/// Each commit is checked out once, in a folder of its own, and each suite runs there by the shell, with
/// LOCALSTORE_TRACE_PART (the first part that has the commit) and LOCALSTORE_TRACE_COMMIT set. If the last
/// line that a suite prints is a JSON object with the integers passed, failed and total, that is its
/// result. Else a suite is one test, which passes with exit code 0.
///
/// A suite could not run if it cannot be started, if it does not end within --timeout, or if the server
/// of --envoi gives no counts. That is an error in the report, and exit code 1; suites that fail are
/// results.
///
/// The report is kept with the trajectory after every commit. The next 'eval' of the same suites goes on
/// from there, and tries again what could not run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore trace eval last --suite 'unit=cargo test' --suite 'lint=cargo clippy'
  localstore trace eval last --envoi http://127.0.0.1:8000 --test-path basics --out report.json")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// A suite: its name and its command; repeatable
    #[arg(long, value_name = "NAME=CMD", required_unless_present = "envoi")]
    suite: Vec<Suite>,
    /// A server of envoi that runs the suites, instead of commands
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "suite",
        requires = "test_path"
    )]
    envoi: Option<String>,
    /// A suite of the server; repeatable
    #[arg(long, value_name = "PATH", requires = "envoi", num_args = 1..)]
    test_path: Vec<String>,
    /// The first part to evaluate
    #[arg(long, value_name = "PART")]
    from: Option<u64>,
    /// The last part to evaluate
    #[arg(long, value_name = "PART")]
    to: Option<u64>,
    /// How many commits to evaluate at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// How long a suite may take, such as 90s or 10m; without limit if not given
    #[arg(long, value_name = "TIME", value_parser = super::timeout)]
    timeout: Option<Duration>,
    /// Write the report to this file too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Run again what the last report has
    #[arg(long)]
    again: bool,
    /// The output format; json is the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
}

/// What a suite found at a part, in csv and jsonl.
#[derive(Debug, Default, Serialize)]
struct Row {
    part: u64,
    timestamp: String,
    commit: Option<String>,
    suite: String,
    ok: Option<bool>,
    passed: Option<u64>,
    failed: Option<u64>,
    total: Option<u64>,
    error: Option<String>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let folder = context.root.find(&args.id)?;
    let trace = Trace::read(&folder.trace())?;
    let parts: HashSet<u64> = super::parts_between(&trace, args.from, args.to)?.collect();
    let tests = args.tests()?;
    let limits = Limits::new(args.timeout);
    let evaluated = match &args.out {
        None => args.evaluate(&folder, &trace, &parts, &tests, &limits),
        Some(path) => {
            let mut evaluated = None;
            let written = write_atomically(path, |file| {
                let report = args.evaluate(&folder, &trace, &parts, &tests, &limits)?;
                file.write_all(&report.bytes()?)?;
                evaluated = Some(report);
                Ok(())
            });
            written.and_then(|()| evaluated.ok_or_else(|| Error::plain("there is no report")))
        }
    };
    if limits.interrupt.came() {
        note("interrupted; the next 'eval' of these suites goes on from here");
        limits.interrupt.obey();
        return Ok(ExitStatus::Failure);
    }
    let report = evaluated?;
    args.print(&report, context.out)?;
    Ok(tell_problems(&report))
}

impl Args {
    fn tests(&self) -> Result<Tests> {
        let mut names = HashSet::new();
        let suites = self.suite.iter().map(|suite| &suite.name);
        if let Some(twice) = suites
            .chain(&self.test_path)
            .find(|name| !names.insert(*name))
        {
            let which = if self.envoi.is_some() {
                "--test-path"
            } else {
                "--suite"
            };
            let hint = format!("'{twice}' is there twice");
            return Err(Error::invalid_parameter(which).hint(hint));
        }
        match &self.envoi {
            Some(address) => Envoi::new(address, &self.test_path, self.timeout).map(Tests::Envoi),
            None => Ok(Tests::Suites(self.suite.clone())),
        }
    }

    /// Evaluates what the last report has not got; the report on these parts.
    fn evaluate(
        &self,
        folder: &Folder,
        trace: &Trace,
        parts: &HashSet<u64>,
        tests: &Tests,
        limits: &Limits,
    ) -> Result<Report> {
        let input = input(folder, tests);
        let last =
            Report::read(folder).filter(|last| !self.again && last.input.has_suites_of(&input));
        let mut kept_parts = parts.clone();
        let mut evaluations = BTreeMap::new();
        if let Some(last) = last {
            kept_parts.extend(last.part_to_commit.keys());
            evaluations = last.commit_evaluations;
            evaluations.retain(|_, evaluation| !evaluation.has_error());
        }
        let jobs = jobs(trace, parts, &evaluations);
        if jobs.is_empty() {
            tracing::info!("nothing to run: all is in the last report");
        } else {
            let history = History::detached(folder)?;
            let progress = Progress::new("evaluating", jobs.len() as u64);
            let mut count = 0;
            let done = |job: &Job<'_>, evaluation: Evaluation| {
                count += 1;
                progress.set(count);
                tracing::info!(
                    "{count} of {}: part {}, {}/{} passed",
                    jobs.len(),
                    job.part,
                    evaluation.passed,
                    evaluation.total
                );
                evaluations.insert(job.commit.to_owned(), evaluation);
                Report::of(trace, &input, &kept_parts, &evaluations).write(folder)
            };
            evaluate(&history, tests, &jobs, self.jobs.into(), limits, done)?;
        }
        Ok(Report::of(trace, &input, parts, &evaluations))
    }

    fn print(&self, report: &Report, out: &mut Stdout) -> Result<()> {
        match self.output {
            RowFormat::Json => out.write_all(&report.bytes()?)?,
            RowFormat::Jsonl => rows::jsonl(long_rows(report), out)?,
            RowFormat::Csv => rows::csv(long_rows(report), out)?,
            RowFormat::Md => {
                out.write_all(table(report, Screen::default()).markdown().as_bytes())?;
            }
            RowFormat::Table => {
                for line in answer(report) {
                    let line = out.screen().fold(&base::printable(&line));
                    out.styled(format!("{line}\n").as_bytes())?;
                }
                if report.commits_evaluated.is_empty() {
                    return Ok(());
                }
                out.styled(b"\n")?;
                let table = table(report, out.screen());
                print_table(table, &report.input.test_paths, out)?;
            }
        }
        Ok(())
    }
}

/// What is evaluated, and by what. What looks like a secret in a command is masked.
fn input(folder: &Folder, tests: &Tests) -> Input {
    let masked = |suite: &Suite| {
        let command = crate::secrets::text(&suite.command).into_owned();
        (suite.name.clone(), command)
    };
    let (suites, envoi) = match tests {
        Tests::Suites(suites) => (suites.iter().map(masked).collect(), None),
        Tests::Envoi(envoi) => (BTreeMap::new(), Some(envoi.address().to_owned())),
    };
    Input {
        trace_path: folder.trace().display().to_string(),
        bundle_path: folder.bundle().display().to_string(),
        test_paths: tests.names(),
        suites,
        envoi,
    }
}

/// The commits of these parts that are not evaluated, in the order of their first parts.
fn jobs<'a>(
    trace: &'a Trace,
    parts: &HashSet<u64>,
    evaluations: &BTreeMap<String, Evaluation>,
) -> Vec<Job<'a>> {
    let mut seen = HashSet::new();
    let parts = trace.parts.iter().filter(|part| parts.contains(&part.part));
    let commits = parts.filter_map(|part| {
        let commit = part.git_commit.as_deref()?;
        let part = part.part;
        Some(Job { commit, part })
    });
    commits
        .filter(|job| seen.insert(job.commit) && !evaluations.contains_key(job.commit))
        .collect()
}

/// Says what could not run; exit code 1 then.
fn tell_problems(report: &Report) -> ExitStatus {
    let mut status = ExitStatus::Success;
    for suite in &report.input.test_paths {
        let evaluations = || report.commit_evaluations.values();
        let outcomes = || evaluations().filter_map(|found| found.path_results.get(suite));
        let count = outcomes().filter(|outcome| outcome.error.is_some()).count();
        if let Some(error) = outcomes().find_map(|outcome| outcome.error.as_ref()) {
            let commits = counted(count as u64, "commit");
            note(&format!("{suite} could not run at {commits}: {error}"));
            status = ExitStatus::Failure;
        }
        if count == 0
            && evaluations().next().is_some()
            && outcomes().all(|found| found.is_not_found)
        {
            note(&format!("{suite}: its command was found at no commit"));
        }
    }
    status
}

/// Which suites pass at the last part that is evaluated, and since which part.
fn answer(report: &Report) -> Vec<String> {
    let names = &report.input.test_paths;
    let evaluated = |part: &&crate::eval::PartEvaluation| part.evaluation.is_some();
    let Some(last) = report.part_evaluations.iter().rfind(evaluated) else {
        return vec!["none of these parts has a commit: there is nothing to evaluate".to_owned()];
    };
    let standings = names.iter().filter_map(|name| {
        let (_, outcome) = report.outcomes(name).next_back()?;
        Some((name, outcome, since(report, name)?))
    });
    let standings: Vec<_> = standings.collect();
    let line = |(name, outcome, since): &(&String, &Outcome, u64)| {
        let end = match &outcome.error {
            Some(error) => return format!("{name} could not run: {error}"),
            None => format!("since part {since}: {}", outcome.counts()),
        };
        format!("{name} {} {end}", state(outcome.ok))
    };
    let at = last.part;
    match standings.as_slice() {
        [one] => vec![format!("{}, at part {at}", line(one))],
        all => {
            let ok = all.iter().filter(|(_, outcome, _)| outcome.ok).count();
            let count = all.len();
            let pass = if ok == 1 { "passes" } else { "pass" };
            let first = format!("{ok} of {count} suites {pass} at part {at}");
            let lines = all.iter().map(|one| format!("  {}", line(one)));
            std::iter::once(first).chain(lines).collect()
        }
    }
}

/// Whether a suite is ok, as a verb.
pub(super) fn state(is_ok: bool) -> &'static str {
    if is_ok { "passes" } else { "fails" }
}

/// The first part since which the suite is in the state of the last one.
fn since(report: &Report, suite: &str) -> Option<u64> {
    let (_, last) = report.outcomes(suite).next_back()?;
    let is_same = |outcome: &Outcome| {
        outcome.ok == last.ok && outcome.error.is_some() == last.error.is_some()
    };
    let same = report.outcomes(suite).rev();
    let same = same.take_while(|(_, outcome)| is_same(outcome));
    same.last().map(|(part, _)| part)
}

/// A row for each commit.
fn table(report: &Report, screen: Screen) -> Table {
    let mut table = Table::new(&[("parts", Column::Text), ("commit", Column::Whole)]);
    let commits = || report.commits_evaluated.iter();
    let evaluation = |commit: &String| report.commit_evaluations.get(commit);
    let ranges = ranges(report);
    for commit in commits() {
        let parts = ranges.get(commit.as_str()).map_or("", String::as_str);
        table.row(&[parts, super::short(commit)]);
    }
    for suite in &report.input.test_paths {
        let cells = commits().map(|commit| {
            let outcome = evaluation(commit).and_then(|found| found.path_results.get(suite));
            outcome.map_or_else(String::new, Outcome::counts)
        });
        table.column(&super::suite_head(suite, screen), Column::Number, cells);
    }
    let total = |found: &Evaluation| format!("{}/{}", found.passed, found.total);
    if report.input.test_paths.len() > 1 {
        let cells = commits().map(|commit| evaluation(commit).map_or_else(String::new, total));
        table.column("total", Column::Number, cells);
    }
    let seconds = |found: &Evaluation| Duration::from_millis(found.duration_ms).as_secs_f64();
    let cells = commits().map(|commit| {
        evaluation(commit).map_or_else(String::new, |found| format!("{:.1}", seconds(found)))
    });
    table.column("seconds", Column::Number, cells);
    table
}

/// The parts of each commit, such as `1-4, 9`.
fn ranges(report: &Report) -> BTreeMap<&str, String> {
    let parts = report.part_evaluations.as_slice();
    let mut ranges: BTreeMap<&str, String> = BTreeMap::new();
    for group in parts.chunk_by(|one, other| one.commit == other.commit) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        if let Some(commit) = &first.commit {
            let text = ranges.entry(commit).or_default();
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&super::span(first.part, last.part));
        }
    }
    ranges
}

fn long_rows(report: &Report) -> impl Iterator<Item = Row> {
    let parts = report.part_evaluations.iter();
    parts.flat_map(|part| {
        report.input.test_paths.iter().map(move |suite| {
            let results = part.evaluation.as_ref().map(|found| &found.path_results);
            let outcome = results.and_then(|results| results.get(suite));
            Row {
                part: part.part,
                timestamp: part.timestamp.clone(),
                commit: part.commit.clone(),
                suite: suite.clone(),
                ok: outcome.map(|outcome| outcome.ok),
                passed: outcome.map(|outcome| outcome.passed),
                failed: outcome.map(|outcome| outcome.failed),
                total: outcome.map(|outcome| outcome.total),
                error: outcome.and_then(|outcome| outcome.error.clone()),
            }
        })
    })
}

/// Prints a table with a column for each suite. Where the screen is too narrow, columns are left out and
/// named: the last suites first, and the first one last.
pub(super) fn print_table(mut table: Table, suites: &[String], out: &mut Stdout) -> Result<()> {
    let screen = out.screen();
    let heads = suites.iter().map(|suite| super::suite_head(suite, screen));
    let heads: Vec<String> = heads.collect();
    let (first, others) = heads.split_at(heads.len().min(1));
    let others = others.iter().rev().map(String::as_str);
    let least = others.chain(["tokens in/out", "seconds", "commit"]);
    let heads: Vec<&str> = least.chain(first.iter().map(String::as_str)).collect();
    let hidden = table.leave_out(screen, &heads);
    out.styled(table.render(screen).as_bytes())?;
    if !hidden.is_empty() {
        let hidden: Vec<&str> = hidden.into_iter().rev().collect();
        out.note(&format!("hidden: {}; '-o csv' has all", hidden.join(", ")));
    }
    Ok(())
}

//! `compare`: the choice of runs, the report and the gate.

mod document;
mod headline;
mod sides;
mod text;
mod words;

use std::collections::{HashMap, HashSet};

use super::named::{self, NamedRun};
use super::words as runs_in_words;
use super::{Context, unique};
use crate::model::{Difference, Names, Run, Tool, differences};
use crate::stats::{self, Comparison, GateOutcome, Metric, Row, TestKey};
use crate::store::Store;
use base::{Error, ExitStatus, Markup, Result, RowFormat, Stderr, Stdout, rows, shell_word};

pub(crate) use base::number::{amount, percent};
pub(crate) use headline::{changes, ids};
pub(crate) use sides::{Baseline, best};
pub(crate) use words::{interval, method, not_comparable, remarks, test_name, title};

/// Compare runs, and say how certain each change is
///
/// The first line is the answer, the second what the changes are measured from.
/// That is one reference: the level of the base, which is the geometric mean of
/// the runs of its configuration and machine between two changes of level, if
/// three or more are at it; else the base. A BASE off its level is itself the
/// reference. Then come what differs, the geometric means over the tests, and
/// the tests with another verdict than their mean; --tests shows all.
///
///   better, worse  a certain change of at least --min-change
///   same           the whole interval is within --min-change
///   noise          large enough, but not certain
///   unclear        small, but the interval does not rule out a large change
///   unverified     nothing measures the noise
///
/// The method is one of:
///
///   rank 4,4       Mann-Whitney test and Hodges-Lehmann interval, with
///                  this many values on each side
///   welch 4,4      Welch's t test on logarithms
///   history 10     prediction interval from the runs at the level, this many
///
/// Tests of llama-bench are compared by t/s where all settings are equal; a
/// setting that a version does not print counts as its default there.
///
/// Several NEW runs are rows, and * marks the best. A run in a file has its name
/// and no id; nothing is stored. A median of several runs has no base id in csv,
/// json and jsonl; json names its runs in 'base'.
///
/// With --fail-on-regression one line on stderr follows the report, and the exit
/// code is
///
///   0  nothing got worse
///   1  any failure
///   2  something got worse: by --min-change or more, and significantly over all
///      rows together; or a geometric mean by more than --fail-above, whatever is
///      known of the noise
///   3  the runs cannot be compared (another model, quantisation or test set, a
///      GPU against a CPU, a partial run; of llama-bench another model, machine
///      or settings; two tools, even with --force), or the gate cannot decide: no
///      earlier run, nothing that measures the noise, or so much noise that a
///      loss beyond --fail-above could pass unseen. '--undecided pass' accepts
///      the latter
///
/// The repetitions of a run do not measure the noise between runs: keep earlier
/// runs in the store. A change that lasts for three runs is the new level.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    override_usage = "localstore compare [OPTIONS] BASE NEW...
       localstore compare [OPTIONS] --baseline BASELINE [NEW]",
    after_help = "Examples:
  localstore compare last~1 last
  localstore compare -o md release last > comparison.md
  localstore compare --baseline median-of-5 --fail-on-regression --min-change 3"
)]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7), lists (3,5) or files: the base first
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// The base for NEW (or for the last run): 'last' is the previous run of the same configuration
    /// and machine, 'median-of-N' the median of N such runs since the last change of level, a tag
    /// the last such run that has it
    #[arg(long, value_name = "BASELINE")]
    baseline: Option<Baseline>,
    /// The metrics to compare, separated by commas: pp, tg, ttft, time (of the whole test), of
    /// llama-bench t/s, pp, tg, time, or the names of the fields
    #[arg(long, value_name = "METRIC", value_delimiter = ',', value_parser = metric)]
    metric: Vec<Metric>,
    /// The smallest change that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = percentage)]
    min_change: f64,
    /// The probability of a false verdict [default: 0.05, for the gate 0.01]
    #[arg(long, value_name = "P", value_parser = probability)]
    alpha: Option<f64>,
    /// Show the rows of all single tests, with their method
    #[arg(long)]
    tests: bool,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
    /// Exit with 2 if something got worse, with 3 if that cannot be decided
    #[arg(long)]
    fail_on_regression: bool,
    /// A geometric mean that is worse by more than this, in percent, is a regression whatever is
    /// known of the noise
    #[arg(long, value_name = "PCT", default_value = "25", value_parser = percentage)]
    fail_above: f64,
    /// What the gate does if it cannot decide: fail exits with 3, pass with 0
    #[arg(long, value_name = "ANSWER", default_value = "fail")]
    undecided: Undecided,
    /// Compare runs that are not comparable
    #[arg(long)]
    force: bool,
}

/// The gate's answer if it cannot decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Undecided {
    Fail,
    Pass,
}

/// A base, one run or the median of several, and the runs that are compared with it.
pub(crate) struct Report {
    /// The base: usually one run.
    pub(crate) base: Vec<NamedRun>,
    /// Why there is no base.
    no_base: String,
    /// The runs that are compared with it, one by one.
    pub(crate) new: Vec<NewRun>,
    /// The properties in which they differ: base first, then each new run.
    pub(crate) differences: Vec<Difference>,
    /// The metrics and limits.
    pub(crate) options: stats::Options,
    /// The outcome of the gate, if one was requested.
    pub(crate) gate: Option<GateOutcome>,
}

/// A new run and its comparison with the base.
pub(crate) struct NewRun {
    pub(crate) run: NamedRun,
    pub(crate) comparison: Comparison,
    /// The ids of the runs at the level of the base; empty if there is no level. A base in a file has
    /// none.
    pub(crate) level: Vec<i64>,
    /// The number of runs before it that could be at the level, the base included.
    pub(crate) earlier: usize,
    /// The repetitions of a test in it and in the base, the fewer; `None` if they are not known.
    pub(crate) repetitions: Option<usize>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let finder = named::Finder::open(&context.location)?;
    let (base, new) = choose(&args.runs, args.baseline.as_ref(), args.min_change, &finder)?;
    let options = options(args, &new)?;
    let mut report = if base.is_empty() && args.fail_on_regression {
        Report::without_base(no_earlier(finder.store(), &new)?, options)
    } else {
        compare(finder.store(), base, new, options)?
    };
    if args.fail_on_regression {
        report.gate = Some(report.outcome());
    }
    let printed = print(&report, args, &mut context.out);
    let Some(outcome) = report.gate else {
        return printed.map(|()| ExitStatus::Success);
    };
    // The verdict stands even if the reader closed the report early.
    if let Err(error) = printed
        && !error.is_closed_pipe()
    {
        return Err(error);
    }
    let accepts = args.undecided == Undecided::Pass;
    if let Some(answer) = report.answer(accepts) {
        Stderr::error(&answer);
    }
    Ok(match exit_code(outcome, accepts) {
        0 => ExitStatus::Success,
        code => ExitStatus::Code(code),
    })
}

/// The exit code of the gate.
fn exit_code(outcome: GateOutcome, accepts: bool) -> u8 {
    match outcome {
        GateOutcome::Ok => 0,
        GateOutcome::Undecided if accepts => 0,
        GateOutcome::Regression => 2,
        GateOutcome::Undecided | GateOutcome::NotComparable => 3,
    }
}

/// Prints the whole report, and flushes it so that it precedes the verdict on a shared terminal.
fn print(report: &Report, args: &Args, out: &mut Stdout) -> Result<()> {
    let (tests, accepts) = (args.tests, args.undecided == Undecided::Pass);
    match args.output {
        RowFormat::Table => text::print(report, Markup::Text(out.screen()), tests, out),
        RowFormat::Md => text::print(report, Markup::Markdown, tests, out),
        RowFormat::Csv => rows::csv(document::rows(report), out),
        RowFormat::Json => rows::json(&document::Document::new(report, accepts), out),
        RowFormat::Jsonl => rows::jsonl(document::rows(report), out),
    }?;
    out.finish()
}

fn options(args: &Args, new: &[NamedRun]) -> Result<stats::Options> {
    let default = stats::Options::default();
    let alpha = args.alpha.unwrap_or(default.gate_alpha);
    Ok(stats::Options {
        metrics: metrics(&args.metric, new)?.unwrap_or_else(|| Metric::of(tool(new)).to_vec()),
        min_change: args.min_change,
        alpha: args.alpha.unwrap_or(default.alpha),
        // Several comparisons share the probability of a false alarm (Bonferroni).
        gate_alpha: alpha / stats::number(new.len().max(1)),
        fail_above: args.fail_above,
        level_stays: args.baseline.is_some(),
        force: args.force,
    })
}

/// The tool of these runs; of several, nothing is compared.
fn tool(runs: &[NamedRun]) -> Tool {
    runs.first().map(|run| run.run.tool).unwrap_or_default()
}

/// The metrics that were asked for, each once; an error if the tool of these runs does not measure
/// one of them, `None` if none were.
pub(crate) fn metrics(asked: &[Metric], runs: &[NamedRun]) -> Result<Option<Vec<Metric>>> {
    let tool = tool(runs);
    if asked.iter().any(|metric| !metric.is_of(tool)) {
        return Err(Error::invalid_parameter("--metric").hint(match tool {
            Tool::LocalScore => "LocalScore measures pp, tg, ttft, time",
            Tool::LlamaBench => "llama-bench measures t/s, pp, tg, time",
        }));
    }
    Ok((!asked.is_empty()).then(|| unique(asked.iter().copied())))
}

/// The error if `--baseline` finds no run: of llama-bench, the settings are part of a configuration.
fn no_earlier(store: Option<&Store>, new: &[NamedRun]) -> Result<String> {
    let why = "no earlier run of this configuration and machine";
    if let (Some(store), [new]) = (store, new)
        && let Some((id, reason)) = sides::other_settings(store, new)?
    {
        let reason = words::in_words(&reason);
        return Ok(format!("{why}; run {id} cannot be compared: {reason}"));
    }
    Ok(why.to_owned())
}

/// The runs of the base and those that are compared with it. With `--baseline` there may be no base.
pub(crate) fn choose(
    runs: &[String],
    baseline: Option<&Baseline>,
    min_change: f64,
    finder: &named::Finder,
) -> Result<(Vec<NamedRun>, Vec<NamedRun>)> {
    let (base, new) = if let Some(baseline) = baseline {
        let new = match runs {
            [] => finder.run("last")?,
            [name] => finder.run(name)?,
            [_, second, ..] => {
                return Err(Error::invalid_parameter(second)
                    .hint("with --baseline there is one NEW run, else the last one"));
            }
        };
        (baseline_of(finder, baseline, &new, min_change)?, vec![new])
    } else {
        let [base, new @ ..] = runs else {
            return Err(
                Error::new("missing parameter", "BASE").hint("localstore compare last~1 last")
            );
        };
        // A range or a list as the base is all that is compared.
        let mut runs = finder.runs(base)?.into_iter();
        let first: Vec<NamedRun> = runs.next().into_iter().collect();
        let mut all: Vec<NamedRun> = runs.collect();
        for name in new {
            all.extend(finder.runs(name)?);
        }
        if all.is_empty() {
            return Err(Error::new("missing parameter", "NEW")
                .hint(format!("localstore compare {} last", shell_word(base))));
        }
        let mut new: Vec<NamedRun> = Vec::new();
        for run in all {
            if new.iter().all(|other| other.name() != run.name()) {
                new.push(run);
            }
        }
        (first, new)
    };
    let on_both_sides = |run: &&NamedRun| base.iter().any(|base| base.name() == run.name());
    if let Some(run) = new.iter().find(on_both_sides) {
        return Err(Error::new(run.name(), "on both sides").hint("localstore compare last~1 last"));
    }
    Ok((base, new))
}

/// The runs that `--baseline` selects for this run.
fn baseline_of(
    finder: &named::Finder,
    baseline: &Baseline,
    new: &NamedRun,
    min_change: f64,
) -> Result<Vec<NamedRun>> {
    let earlier = |count| match finder.store() {
        Some(store) => sides::baseline(store, count, new, min_change),
        None => Ok(Vec::new()),
    };
    match baseline {
        Baseline::Last => earlier(1),
        Baseline::MedianOf(count) => earlier(*count),
        Baseline::Named(name) => {
            let tagged = finder.store().map(|store| sides::tagged(store, name, new));
            match tagged.transpose()?.flatten() {
                Some(run) => Ok(vec![run]),
                None => Ok(vec![finder.run(name)?]),
            }
        }
    }
}

/// Compares each of the new runs with the base, using the noise of earlier runs.
pub(crate) fn compare(
    store: Option<&Store>,
    base: Vec<NamedRun>,
    new: Vec<NamedRun>,
    options: stats::Options,
) -> Result<Report> {
    if let ([], Some(new)) = (base.as_slice(), new.first()) {
        let why = no_earlier(store, std::slice::from_ref(new))?;
        let error = Error::new(new.name(), why);
        return Err(match new.id() {
            Some(id) => error.hint(format!("localstore history {id}")),
            None => error,
        });
    }
    let base_runs: Vec<&Run> = base.iter().map(|stored| &stored.run).collect();
    let history = match store {
        Some(store) => sides::history(store, &base, &new, options.min_change)?,
        None => Vec::new(),
    };
    let history_runs: Vec<&Run> = history.iter().map(|(_, run)| run).collect();
    let ids = history.iter().map(|(id, _)| Some(*id));
    let ids: Vec<Option<i64>> = ids.chain(base.iter().map(NamedRun::id)).collect();
    let mut columns = Vec::with_capacity(new.len());
    for run in new {
        let comparison = stats::compare(&base_runs, &[&run.run], &history_runs, &options);
        let level = comparison.level.iter().flat_map(|level| &level.runs);
        let mut level: Vec<i64> = level.filter_map(|&at| *ids.get(at)?).collect();
        level.sort_unstable();
        let earlier = ids.len();
        let sides = base_runs.iter().copied().chain([&run.run]);
        let repetitions = sides.map(|run| run.tests.first()?.repetitions());
        let repetitions: Option<Vec<usize>> = repetitions.collect();
        let repetitions = repetitions.and_then(|all| all.into_iter().min());
        columns.push(NewRun {
            run,
            comparison,
            level,
            earlier,
            repetitions,
        });
    }
    let all: Vec<&Run> = base_runs
        .iter()
        .copied()
        .chain(columns.iter().map(|column| &column.run.run))
        .collect();
    let differences = differences(&all);
    Ok(Report {
        no_base: String::new(),
        base,
        new: columns,
        differences,
        options,
        gate: None,
    })
}

/// Compares a run with its level, else with the run before it, of its configuration and machine.
///
/// The report has this one new run; `None` for a partial run, and if there is no earlier run.
pub(crate) fn standing(store: &Store, id: i64, options: stats::Options) -> Result<Option<Report>> {
    let new = NamedRun::read(store, id)?;
    if new.listed.partial {
        return Ok(None);
    }
    let base = sides::baseline(store, 1, &new, options.min_change)?;
    if base.is_empty() {
        return Ok(None);
    }
    let metrics = match new.run.tool {
        Tool::LocalScore => options.metrics,
        tool @ Tool::LlamaBench => Metric::of(tool).to_vec(),
    };
    let options = stats::Options {
        metrics,
        level_stays: true,
        ..options
    };
    compare(Some(store), base, vec![new], options).map(Some)
}

/// A line of the report: a test, or the geometric mean over the tests.
pub(crate) struct Compared<'a> {
    /// The test; `None` for the geometric mean over the tests.
    pub(crate) test: Option<TestKey>,
    /// The name of the test.
    pub(crate) name: String,
    /// The value of the base.
    pub(crate) base: f64,
    /// The row of each new run; `None` where it lacks the test.
    pub(crate) rows: Vec<Option<&'a Row>>,
}

impl NewRun {
    /// The rows of the tests, then the geometric means.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.comparison.all_rows()
    }
}

impl Report {
    /// The report of a first run, which there is nothing to compare with.
    fn without_base(no_base: String, options: stats::Options) -> Self {
        Self {
            no_base,
            base: Vec::new(),
            new: Vec::new(),
            differences: Vec::new(),
            options,
            gate: None,
        }
    }

    /// The base: `run 15`, `the median of runs 4–8`.
    pub(crate) fn base_name(&self) -> String {
        match self.base.as_slice() {
            [base] => base.name(),
            all => {
                let mut all: Vec<i64> = all.iter().filter_map(NamedRun::id).collect();
                all.sort_unstable();
                format!("the median of runs {}", headline::ids(&all))
            }
        }
    }

    /// The base above a column of its values: `run 15`, `median`.
    fn base_head(&self) -> String {
        match self.base.as_slice() {
            [base] => base.name(),
            _ => "median".to_owned(),
        }
    }

    /// The base below the head `run`, or above a column of its values.
    fn base_label(&self) -> String {
        match self.base.as_slice() {
            [base] => base.label(),
            _ => "median".to_owned(),
        }
    }

    /// What tells the runs apart, the base first, and what they share.
    pub(crate) fn names(&self) -> Names {
        let runs = self.base.iter().chain(self.new.iter().map(|new| &new.run));
        let traits: Vec<_> = runs.map(|run| runs_in_words::traits(&run.listed)).collect();
        Names::of(&traits)
    }

    /// The metrics of a table of several runs.
    fn speeds(&self) -> Vec<Metric> {
        let metrics = &self.options.metrics;
        let speeds: Vec<Metric> = metrics
            .iter()
            .copied()
            .filter(|metric| Metric::SPEEDS.contains(metric))
            .collect();
        if speeds.is_empty() {
            metrics.clone()
        } else {
            speeds
        }
    }

    /// The head of the intervals: `95% interval`.
    fn interval_head(&self) -> String {
        let percent = 100.0 * (1.0 - self.options.alpha);
        // 0.05 is not a binary fraction.
        format!("{}% interval", (percent * 1e9).round() / 1e9)
    }

    /// The lines of this metric: each test that a new run has, then the mean.
    pub(crate) fn compared(&self, metric: Metric) -> Vec<Compared<'_>> {
        let all = self.new.iter().flat_map(NewRun::rows);
        let all = all.filter(|row| row.metric == metric).map(|row| row.test);
        let mut seen = HashSet::new();
        let mut keys: Vec<Option<TestKey>> = all.filter(|key| seen.insert(*key)).collect();
        keys.sort_by_key(Option::is_none);
        if !self.have_same_tests() {
            keys.retain(Option::is_some);
        }
        let mut columns: Vec<HashMap<_, &Row>> = Vec::with_capacity(self.new.len());
        for column in &self.new {
            let rows = column.rows().filter(|row| row.metric == metric);
            columns.push(rows.map(|row| (row.test, row)).collect());
        }
        let compared = |key: Option<TestKey>| {
            let rows: Vec<Option<&Row>> = columns
                .iter()
                .map(|column| column.get(&key).copied())
                .collect();
            let first = rows.iter().flatten().next()?;
            Some(Compared {
                test: key,
                name: test_name(first),
                base: first.base,
                rows,
            })
        };
        keys.into_iter().filter_map(compared).collect()
    }

    /// Whether all new runs have the same tests, so that their means are comparable. Those without any
    /// have no mean.
    fn have_same_tests(&self) -> bool {
        let tests = |column: &NewRun| -> Vec<Option<TestKey>> {
            column.comparison.rows.iter().map(|row| row.test).collect()
        };
        let all: Vec<_> = self.new.iter().map(tests).collect();
        let mut known = all.iter().filter(|tests| !tests.is_empty());
        let first = known.next();
        first.is_some() && known.all(|tests| Some(tests) == first)
    }

    /// The outcome over all new runs: the worst.
    fn outcome(&self) -> GateOutcome {
        let gates = self.new.iter().map(|new| new.comparison.gate.outcome);
        gates.max().unwrap_or(GateOutcome::Undecided)
    }
}

/// A metric by its name or its short name.
pub(crate) fn metric(text: &str) -> std::result::Result<Metric, String> {
    match text.trim().to_lowercase().as_str() {
        "pp" => Some(Metric::PromptTps),
        "tg" => Some(Metric::GenTps),
        "ttft" => Some(Metric::TtftMs),
        "time" => Some(Metric::AvgTimeMs),
        "t/s" => Some(Metric::Tps),
        name => Metric::from_name(&name.replace('-', "_")),
    }
    .ok_or_else(|| "pp, tg, ttft, time; of llama-bench t/s, pp, tg, time".to_owned())
}

/// A percentage of 0 or more.
pub(crate) fn percentage(text: &str) -> std::result::Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("a percentage, such as 5".to_owned()),
    }
}

fn probability(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("a number between 0 and 1, such as 0.05".to_owned()),
    }
}

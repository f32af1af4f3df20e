//! `compare`: which runs, what is printed, and the gate.

mod document;
mod sides;
mod text;
mod words;

use super::Context;
use crate::model::{Difference, Run, Text, differences};
use crate::stats::{self, Comparison, Metric, Outcome, Reason};
use crate::store::{Store, select};
use base::{Error, Result};
use base::{Stdout, note};
pub use sides::{Baseline, Stored, history};
pub use text::keys;
pub use words::{change, difference, interval, method, remarks, test_name, title, value, what};

/// Compare runs test by test, and say how sure each change is
///
/// Each test that the runs share has a row for each metric: the values, the
/// change in percent (a shorter time is better), an interval, and a verdict:
///
///   better, worse  a significant change of at least --min-change
///   same           the whole interval is within --min-change
///   ~              large enough, but not significant
///   unclear        small, but the interval does not rule out a large change
///   unverified     nothing tells how sure it is
///
/// The method tells how:
///
///   rank 4,4       Mann-Whitney test and Hodges-Lehmann interval, of so many
///                  values a side
///   welch 4,4      Welch's t test on logarithms
///   history 10     prediction interval from so many earlier runs of the same
///                  configuration and machine; the change is from their level
///
/// With several NEW runs each has a column, and * marks the best. A median of
/// several runs has no base id in csv, json and jsonl; json names its runs in
/// 'base'.
///
/// With --fail-on-regression the exit code is 2 if something got worse: by at
/// least --min-change, and significantly over all rows together; 3 if the runs
/// cannot be compared: another model, quantisation or test set, a GPU against a
/// CPU, a partial run; 1 for any failure. The report is printed before. The
/// repetitions of a run do not tell the noise between runs: keep earlier runs
/// in the store. A change that lasts for three runs is the new level.
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
pub struct Args {
    /// Ids, 'last', 'last~N' or tags: the base first
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// What NEW (or the last run) is compared with: last, the run measured before it of the same
    /// configuration and machine; 'median-of-N' of them, since the last change of level; or a tag,
    /// of whose runs the last one of the same configuration and machine
    #[arg(long, value_name = "BASELINE")]
    baseline: Option<Baseline>,
    /// What is compared, separated by commas: pp, tg, ttft, time (of the whole test), or the names
    /// of the fields
    #[arg(long, value_name = "METRIC", value_delimiter = ',', value_parser = metric)]
    metric: Vec<Metric>,
    /// The smallest change that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = percent)]
    min_change: f64,
    /// The probability of a false verdict [default: 0.05, for the gate 0.01]
    #[arg(long, value_name = "P", value_parser = probability)]
    alpha: Option<f64>,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Exit with 2 if something got worse, with 3 if the runs cannot be compared
    #[arg(long)]
    fail_on_regression: bool,
    /// Compare what cannot be compared all the same
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A table for a terminal
    #[value(alias = "console")]
    Table,
    /// A header, and a line a row
    Csv,
    /// One object with everything
    Json,
    /// An object a row
    Jsonl,
    /// Markdown, for a pull request
    Md,
}

/// One run or the median of several, and what it is compared with.
pub struct Report {
    /// The base: usually one run.
    pub base: Vec<Stored>,
    /// The runs that are compared with it, one by one.
    pub new: Vec<Column>,
    /// In what they differ: base first, then each new run.
    pub differences: Vec<Difference>,
    /// What counted.
    pub options: stats::Options,
    /// What the gate says, if it was asked.
    pub gate: Option<Outcome>,
}

/// A new run and its comparison with the base.
pub struct Column {
    pub run: Stored,
    pub comparison: Comparison,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let (base, new) = choose(&args.runs, args.baseline.as_ref(), args.min_change, &store)?;
    let count = new.len();
    let mut report = compare(&store, base, new, options(args, count))?;
    if args.fail_on_regression {
        report.gate = Some(report.outcome(args.force));
    }
    let printed = print(&report, args.output, &mut context.out);
    let Some(outcome) = report.gate else {
        return printed;
    };
    match printed {
        // The verdict stands, whether or not somebody reads the report to its end.
        Err(error) if !error.is_closed_pipe() => return Err(error),
        _ => {}
    }
    if report.new.iter().any(|new| new.comparison.gate.asked == 0) {
        note("the gate could not decide: nothing tells a change from noise");
    }
    match outcome {
        Outcome::Ok => Ok(()),
        Outcome::Regression => {
            note("regression");
            Err(Error::exit(2))
        }
        Outcome::NotComparable => {
            note("the runs cannot be compared; '--force' compares what they have in common");
            Err(Error::exit(3))
        }
    }
}

/// Prints all of it: the report first, the verdict after it, also where both go to one terminal.
fn print(report: &Report, output: Output, out: &mut Stdout) -> Result<()> {
    match output {
        Output::Table => text::table(report, out),
        Output::Md => text::markdown(report, out),
        Output::Csv => document::csv(report, out),
        Output::Json => document::json(report, out),
        Output::Jsonl => document::jsonl(report, out),
    }?;
    out.finish()
}

fn options(args: &Args, new: usize) -> stats::Options {
    let default = stats::Options::default();
    let alpha = args.alpha.unwrap_or(default.gate_alpha);
    #[allow(clippy::cast_precision_loss, reason = "a few runs")]
    let gate_alpha = alpha / new.max(1) as f64;
    stats::Options {
        metrics: if args.metric.is_empty() {
            default.metrics
        } else {
            let mut metrics = Vec::new();
            for &metric in &args.metric {
                if !metrics.contains(&metric) {
                    metrics.push(metric);
                }
            }
            metrics
        },
        min_change: args.min_change,
        alpha: args.alpha.unwrap_or(default.alpha),
        // Several comparisons share the probability of a false alarm (Bonferroni).
        gate_alpha,
    }
}

/// The runs of the base and those that are compared with it.
pub fn choose(
    runs: &[String],
    baseline: Option<&Baseline>,
    min_change: f64,
    store: &Store,
) -> Result<(Vec<Stored>, Vec<Stored>)> {
    let read = |name: &String| Stored::read(store, store.read(|db| select::resolve(db, name))?);
    let (base, new) = if let Some(baseline) = baseline {
        let new = match runs {
            [] => Stored::read(store, store.read(|db| select::resolve(db, "last"))?)?,
            [name] => read(name)?,
            [_, second, ..] => {
                return Err(Error::invalid_parameter(second)
                    .hint("with --baseline there is one NEW run, else the last one"));
            }
        };
        let base = sides::baseline(store, baseline, &new, min_change)?;
        (base, vec![new])
    } else {
        let [base, new @ ..] = runs else {
            return Err(missing("BASE"));
        };
        if new.is_empty() {
            return Err(missing("NEW"));
        }
        let base = vec![read(base)?];
        let ids = super::each_once(store, new)?;
        let new = ids.into_iter().map(|id| Stored::read(store, id));
        (base, new.collect::<Result<_>>()?)
    };
    for run in &new {
        let id = run.listed.id;
        if base.iter().any(|base| base.listed.id == id) {
            return Err(
                Error::new(format_args!("run {id}"), "it would be compared with itself")
                    .hint("'localstore list' shows the runs"),
            );
        }
    }
    Ok((base, new))
}

fn missing(name: &str) -> Error {
    Error::new("missing parameter", name)
        .hint("compare takes BASE and NEW, or --baseline; see 'localstore compare --help'")
}

/// Compares each of the new runs with the base, on the noise that earlier runs tell.
pub fn compare(
    store: &Store,
    base: Vec<Stored>,
    new: Vec<Stored>,
    options: stats::Options,
) -> Result<Report> {
    let base_runs: Vec<&Run> = base.iter().map(|stored| &stored.run).collect();
    let mut columns = Vec::with_capacity(new.len());
    for run in new {
        let history = history(store, &base, &run, options.min_change)?;
        let history: Vec<&Run> = history.iter().collect();
        let comparison = stats::compare(&base_runs, &[&run.run], &history, &options);
        columns.push(Column { run, comparison });
    }
    let all: Vec<&Run> = base_runs
        .iter()
        .copied()
        .chain(columns.iter().map(|column| &column.run.run))
        .collect();
    let differences = differences(&all);
    Ok(Report {
        base,
        new: columns,
        differences,
        options,
        gate: None,
    })
}

impl Report {
    /// What the gate says, if it was asked: that nothing could be decided is no failure.
    fn gate_in_a_word(&self) -> Option<&'static str> {
        let undecided = || self.new.iter().any(|new| new.comparison.gate.asked == 0);
        Some(match self.gate? {
            Outcome::Regression => "regression",
            Outcome::NotComparable => "not comparable",
            Outcome::Ok if undecided() => "undecided",
            Outcome::Ok => "ok",
        })
    }

    /// The outcome over all columns: a regression in one is one.
    fn outcome(&self, force: bool) -> Outcome {
        let outcomes = || {
            self.new
                .iter()
                .map(|new| new.comparison.gate.outcome(force))
        };
        for worst in [Outcome::Regression, Outcome::NotComparable] {
            if outcomes().any(|outcome| outcome == worst) {
                return worst;
            }
        }
        Outcome::Ok
    }
}

/// Why runs cannot be compared, in words.
fn in_words(reason: &Reason) -> String {
    match reason {
        Reason::NothingInCommon => "no test in common".to_owned(),
        Reason::Model => "another model".to_owned(),
        Reason::Quant => "another quantisation".to_owned(),
        Reason::TestSet => "other tests".to_owned(),
        Reason::Accelerator => "another kind of accelerator".to_owned(),
        Reason::Partial => "a partial run".to_owned(),
        Reason::MissingValue { test, metric } => {
            format!("{} of {} on one side only", metric.name(), printed(test))
        }
    }
}

fn printed(name: &Text) -> String {
    name.display().into_owned()
}

/// A metric by its name or its short one.
pub fn metric(text: &str) -> std::result::Result<Metric, String> {
    match text.trim().to_lowercase().as_str() {
        "pp" => Some(Metric::PromptTps),
        "tg" => Some(Metric::GenTps),
        "ttft" => Some(Metric::TtftMs),
        "time" => Some(Metric::AvgTimeMs),
        name => Metric::from_name(&name.replace('-', "_")),
    }
    .ok_or_else(|| "it is one of pp, tg, ttft, time".to_owned())
}

/// A percentage of 0 or more.
pub fn percent(text: &str) -> std::result::Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("it is a percentage, such as 5".to_owned()),
    }
}

fn probability(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("it is a probability between 0 and 1, such as 0.05".to_owned()),
    }
}

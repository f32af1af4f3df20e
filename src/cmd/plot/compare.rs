use super::{Context, OutFile, check_count, nothing, series};
use crate::cmd::compare::{self, Baseline, Compared, Report};
use crate::cmd::named::{Finder, NamedRun};
use crate::model::Tool;
use crate::stats::{self, Direction, Metric, Outcome, Row, Verdict};
use base::Result;
use base::number::percent;
use picture::{Bar, Bars, BarsPanel, Caption, Group, Tone};

/// Draw a comparison as bars: a group for each test, a bar for each run
///
/// Draws what 'localstore compare' prints, with its verdicts. The bars begin at zero. The whiskers
/// are the interval of the change from the level, else from the base; the level is a tick.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "localstore plot compare [OPTIONS] BASE NEW...
       localstore plot compare [OPTIONS] --baseline BASELINE [NEW...]",
    after_help = "Examples:
  localstore plot compare last~1 last --out comparison.svg
  localstore plot compare --baseline median-of-5 --metric tg > tg.svg"
)]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7), lists (3,5) or files: the base first
    #[arg(value_name = "RUN")]
    pub(super) runs: Vec<String>,
    /// The base for NEW (or for the last run), as in 'localstore compare'
    #[arg(long, value_name = "BASELINE")]
    baseline: Option<Baseline>,
    /// The metrics to draw, separated by commas: pp, tg, ttft, time (of the whole test), of
    /// llama-bench t/s, pp, tg, time, or the names of the fields [default: pp,tg,ttft or t/s]
    #[arg(long, value_name = "METRIC", value_delimiter = ',', value_parser = compare::metric)]
    metric: Vec<Metric>,
    /// The smallest change that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = compare::percentage)]
    min_change: f64,
    #[command(flatten)]
    pub(super) out: OutFile,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    args.out.check_svg()?;
    let finder = Finder::open(&context.location)?;
    let (base, new) =
        compare::choose(&args.runs, args.baseline.as_ref(), args.min_change, &finder)?;
    check_count(1 + new.len())?;
    let mut options = stats::Options {
        min_change: args.min_change,
        level_stays: args.baseline.is_some(),
        ..stats::Options::default()
    };
    // The sentence is that of 'localstore compare' with the same options.
    let tool = new.first().map(|run| run.run.tool).unwrap_or_default();
    let mut drawn = match tool {
        Tool::LocalScore => Metric::SPEEDS.to_vec(),
        Tool::LlamaBench => Metric::of(tool).to_vec(),
    };
    options.metrics = Metric::of(tool).to_vec();
    if let Some(asked) = compare::metrics(&args.metric, &new)? {
        drawn.clone_from(&asked);
        options.metrics = asked;
    }
    let report = compare::compare(finder.store(), base, new, options)?;
    let Some(picture) = bars(&report, &drawn).draw() else {
        let why = match report.new.as_slice() {
            [new] if !new.comparison.reasons.is_empty() => report.headline(new),
            _ => "the runs have no test in common that has a value".to_owned(),
        };
        return Err(nothing(&why));
    };
    args.out.write(picture.document(), context)
}

fn bars(report: &Report, metrics: &[Metric]) -> Bars {
    let new = report.new.iter().map(|column| &column.run);
    let runs: Vec<&NamedRun> = report.base.iter().take(1).chain(new).collect();
    let (mut runs, title) = series(&runs);
    if report.base.len() > 1
        && let Some(base) = runs.first_mut()
    {
        "base".clone_into(&mut base.name);
        base.key = report.base_name();
    }
    let sentence = match report.new.as_slice() {
        [new] => report.headline(new),
        _ => report.ranking().into_iter().next().unwrap_or_default(),
    };
    let level = report.new.iter().find(|new| new.is_from_level());
    let panels = metrics.iter();
    Bars {
        caption: Caption {
            title,
            sentence,
            note: note(report),
        },
        runs,
        panels: panels.map(|&metric| panel(report, metric)).collect(),
        tick: level.map(|new| format!("level of {} runs", new.level.len())),
    }
}

fn panel(report: &Report, metric: Metric) -> BarsPanel {
    BarsPanel {
        unit: unit(metric).to_owned(),
        higher_is_better: metric.higher_is_better(),
        groups: report
            .compared(metric)
            .iter()
            .map(|compared| group(report, compared))
            .collect(),
    }
}

/// A test, or the mean over the tests.
fn group(report: &Report, compared: &Compared) -> Group {
    let base = Bar {
        value: compared.base,
        interval: None,
        verdict: String::new(),
        tone: Tone::Neutral,
    };
    let outcomes = report.new.iter().map(|new| new.comparison.outcome);
    let new = compared.rows.iter().zip(outcomes);
    let new = new.map(|(row, outcome)| row.map(|row| bar(row, outcome)));
    let references = compared.rows.iter().flatten().map(|row| row.reference);
    Group {
        name: compared.name.clone(),
        tick: references
            .into_iter()
            .find(|&reference| reference != compared.base),
        bars: std::iter::once(Some(base)).chain(new).collect(),
    }
}

fn bar(row: &Row, outcome: Outcome) -> Bar {
    // The interval is that of the change from the reference.
    let interval = row.interval.map(|change| {
        let end = |end: f64| row.reference * (100.0 + end) / 100.0;
        (end(change.low), end(change.high))
    });
    Bar {
        value: row.new,
        interval,
        verdict: match outcome {
            Outcome::NotComparable => percent(row.change_percent),
            _ => format!(
                "{} {}{}",
                percent(row.change_percent),
                sign(row.verdict),
                row.verdict.name()
            ),
        },
        tone: tone(row),
    }
}

/// The sign of a certain change.
fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "▲ ",
        Verdict::Worse => "▼ ",
        _ => "",
    }
}

/// The tone of the verdict.
pub(crate) fn tone(row: &Row) -> Tone {
    match (row.verdict, row.direction) {
        (Verdict::Better, _) => Tone::Better,
        (Verdict::Worse, _) => Tone::Worse,
        (_, Some(Direction::Worse)) if row.regression => Tone::Worse,
        _ => Tone::Neutral,
    }
}

pub(super) fn unit(metric: Metric) -> &'static str {
    match metric {
        Metric::PromptTps => "prompt processing, tokens/s",
        Metric::GenTps => "generation, tokens/s",
        Metric::TtftMs => "time to first token, ms",
        Metric::AvgTimeMs => "time of the whole test, ms",
        Metric::Tps => "tokens/s",
    }
}

/// What the whiskers show, and why the runs may not be comparable.
fn note(report: &Report) -> String {
    let mut remarks: Vec<String> = Vec::new();
    let rows = || report.new.iter().flat_map(|column| &column.comparison.rows);
    if rows().any(|row| row.interval.is_some()) {
        remarks.push("whiskers: the 95% interval".to_owned());
    }
    for column in &report.new {
        if let Some(remark) = compare::not_comparable(&column.comparison)
            && !remarks.contains(&remark)
        {
            remarks.push(remark);
        }
    }
    remarks.join("; ")
}

use super::{Context, Target, nothing};
use crate::cmd::compare::percent;
use crate::cmd::filters::Filters;
use crate::cmd::history::{self, Metric, Trend, TrendChange};
use crate::store::{Filter, Listed, Store};
use base::Result;
use base::note;
use picture::{LevelChange, Picture, Point};

/// Draw one configuration over time, with its changes of level
///
/// Draws what 'localstore history' prints. A configuration is a model with its quantisation on one
/// accelerator under one runtime: that of RUN, else that of the last measured run that the filters
/// choose. The runs stand in the order in which they were measured, at equal distances. Partial
/// runs are left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore plot history --model llama --accelerator 4090 --out trend.svg
  localstore plot history last --metric ttft_ms --since 90d > trend.svg")]
pub(crate) struct Args {
    /// An id, 'last', 'last~N' or a tag: a run of the configuration
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// What is drawn
    #[arg(long, value_name = "METRIC", default_value = "score")]
    metric: Metric,
    /// The smallest change of level that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = percent)]
    min_change: f64,
    /// Only the last N runs, up to 1000
    #[arg(long, value_name = "N", default_value_t = 500,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let filter = Filter::from(&args.filters);
    let (configuration, others) = history::choose(args.run.as_deref(), &store, &filter)?;
    let (mut trend, cut) = Trend::last(&store, configuration, &filter, args.limit)?;
    trend.find_changes(&store, args.metric, args.min_change)?;
    let picture = draw(&trend, args.metric, Some(trend.title())).ok_or_else(|| {
        nothing("no run of this configuration has all tests of the benchmark and a value")
    })?;
    args.target.write(&picture, context)?;
    if cut {
        let shown = trend.runs.len();
        note(&format!(
            "the last {shown} runs; '--limit' draws up to 1000"
        ));
    }
    history::tell_others(others);
    Ok(())
}

/// Draws a trend, whose changes are those of the metric; `None` if there is nothing to draw.
/// Without a title it is one of several in a page that tells what they are of.
pub(crate) fn draw(trend: &Trend, metric: Metric, title: Option<String>) -> Option<Picture> {
    let (name, of) = match metric {
        Metric::Score => ("LocalScore", "score of all tests"),
        Metric::PromptTps => ("Prompt processing, tokens/s", "mean of all tests"),
        Metric::GenTps => ("Generation, tokens/s", "mean of all tests"),
        Metric::TtftMs => ("Time to first token, ms", "mean of all tests"),
    };
    let (title, unit, width) = match title {
        Some(title) => (title, format!("{name}, {of}"), picture::WIDTH),
        None => (name.to_owned(), of.to_owned(), picture::COLUMN),
    };
    // Partial runs have no place between the others.
    let runs = trend.runs.iter().enumerate();
    let whole: Vec<(usize, &Listed)> = runs.filter(|(_, run)| !run.partial).collect();
    let point = |(_, run): &(usize, &Listed)| Point {
        run: run.id,
        time: run.measured_at,
        value: metric.value(run),
        label: match &run.runtime_version {
            Some(version) => format!("version {}", version.display()),
            None => String::new(),
        },
    };
    let change = |change: &TrendChange| {
        let index = change.point.index;
        Some(LevelChange {
            index: whole
                .binary_search_by_key(&index, |(index, _)| *index)
                .ok()?,
            before: change.point.before,
            after: change.point.after,
            percent: change.point.change_percent,
            cause: change.causes(),
        })
    };
    let trend = picture::Trend {
        title,
        unit,
        higher_is_better: metric != Metric::TtftMs,
        points: whole.iter().map(point).collect(),
        changes: trend.changes.iter().filter_map(change).collect(),
        width,
    };
    trend.draw()
}

use super::{Context, OutFile, nothing};
use crate::cmd::compare::percentage;
use crate::cmd::filters::Filters;
use crate::cmd::history::{self, Trend, TrendChange, TrendMetric};
use crate::store::{Filter, Store, TrendRun};
use base::Result;
use picture::{LevelChange, Picture, Point};

/// Draw one configuration over time, with its changes of level
///
/// Draws what 'localstore history' prints. A configuration is a model with its quantisation on one
/// accelerator under one runtime: that of RUN, or of the last measured run that matches the filters.
/// The runs are drawn in the order they were measured, at equal distances. Partial runs are left
/// out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore plot history --model llama --accelerator 4090 --out trend.svg
  localstore plot history last --metric ttft_ms --since 90d > trend.svg")]
pub(crate) struct Args {
    /// An id, 'last', 'last~N' or a tag: a run of the configuration
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// The metric to draw
    #[arg(long, value_name = "METRIC", default_value = "score")]
    metric: TrendMetric,
    /// The smallest change of level that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = percentage)]
    min_change: f64,
    /// Only the last N runs, up to 1000
    #[arg(long, value_name = "N", default_value_t = 500,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    out: OutFile,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    args.out.check_svg()?;
    let store = Store::open_readonly(&context.location)?;
    let filter = Filter::from(&args.filters);
    let (configuration, matching) = history::choose(args.run.as_deref(), &store, &filter)?;
    let mut trend = Trend::last(&store, configuration, &filter, args.limit)?;
    trend.find_changes(&store, args.metric, args.min_change)?;
    let picture = draw(&trend, args.metric, Some(trend.title())).ok_or_else(|| {
        nothing("no run of this configuration has all tests of the benchmark and a value")
    })?;
    args.out.write(picture.document(), context)?;
    if trend.runs.len() < trend.all {
        let shown = trend.runs.len();
        context.note(&format!(
            "the last {shown} runs; '--limit' draws up to 1000"
        ));
    }
    history::note_others(&matching, &store, &filter, context)
}

/// Draws a trend with the changes of the metric; `None` if there is nothing to draw. Without a
/// title, the picture is for a page that names the configuration.
pub(crate) fn draw(trend: &Trend, metric: TrendMetric, title: Option<String>) -> Option<Picture> {
    let (name, scope) = match metric {
        TrendMetric::Score => ("LocalScore", "score of all tests"),
        TrendMetric::PromptTps => ("Prompt processing, tokens/s", "mean of all tests"),
        TrendMetric::GenTps => ("Generation, tokens/s", "mean of all tests"),
        TrendMetric::TtftMs => ("Time to first token, ms", "mean of all tests"),
    };
    let (title, unit, width) = match title {
        Some(title) => (title, format!("{name}, {scope}"), picture::WIDTH),
        None => (name.to_owned(), scope.to_owned(), picture::COLUMN),
    };
    // Partial runs are left out.
    let runs = trend.runs.iter().enumerate();
    let whole: Vec<(usize, &TrendRun)> = runs.filter(|(_, run)| !run.partial).collect();
    let point = |(_, run): &(usize, &TrendRun)| Point {
        run: run.id,
        time: run.measured_at,
        value: metric.of(run),
        label: match &run.version {
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
            cause: change.causes().join(", "),
        })
    };
    let trend = picture::Trend {
        title,
        unit,
        higher_is_better: metric != TrendMetric::TtftMs,
        points: whole.iter().map(point).collect(),
        changes: trend.changes.iter().filter_map(change).collect(),
        width,
    };
    trend.draw()
}

use super::{Context, OutFile, nothing};
use crate::cmd::compare::percentage;
use crate::cmd::filters::Filters;
use crate::cmd::history::{self, EXAMINED, Trend, TrendChange, TrendMetric};
use crate::store::{Filter, Store, TrendRun};
use base::Result;
use picture::{LevelChange, Picture, Point};

/// Draw one configuration over time, with its changes of level
///
/// Draws what 'localstore history' prints. A configuration is a model with its quantisation on one
/// accelerator under one runtime: that of RUN, else among those with two whole runs that match the filters
/// the one measured last. The runs are drawn in the order they were measured, at equal distances; of
/// more than 2000 the lowest and the highest of each pixel. Partial runs are left out, runs with a
/// guessed date are hollow.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore plot history --model llama --accelerator 4090 --out trend.svg
  localstore plot history last --metric ttft_ms --since 90d > trend.svg")]
pub(crate) struct Args {
    /// An id, 'last', 'last~N', 'best' or a tag: a run of the configuration
    #[arg(value_name = "RUN")]
    pub(super) run: Option<String>,
    /// The metric to draw [default: score, of llama-bench gen_tps]
    #[arg(long, value_name = "METRIC", hide_default_value = true)]
    metric: Option<TrendMetric>,
    /// The smallest change of level that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = percentage)]
    min_change: f64,
    /// Only the last N runs; 0 for all
    #[arg(long, value_name = "N", default_value_t = 500)]
    limit: u32,
    #[command(flatten)]
    pub(super) out: OutFile,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    args.out.check_svg()?;
    let store = Store::open_readonly(&context.location)?;
    let filter = Filter::from(&args.filters);
    let (configuration, matching) =
        history::choose(args.run.as_deref(), &store, &args.filters, args.metric)?;
    let metric = args
        .metric
        .unwrap_or_else(|| TrendMetric::default_of(&configuration));
    let examined = match args.limit {
        0 => 0,
        limit => limit.max(EXAMINED),
    };
    let mut trend = Trend::last(&store, configuration, &filter, examined)?;
    trend.find_changes(&store, metric, args.min_change)?;
    let title = trend.title();
    trend.keep_last(match args.limit {
        0 => usize::MAX,
        limit => limit as usize,
    });
    let picture = draw(&trend, Some(title)).ok_or_else(|| {
        nothing("no run of this configuration has all tests of the benchmark and a value")
    })?;
    args.out.write(picture.document(), context)?;
    if trend.runs.len() < trend.all {
        let shown = trend.runs.len();
        context.note(&format!(
            "the last {shown} of {} runs; '--limit 0' draws all",
            trend.all
        ));
    }
    if let Some(left_out) = trend.left_out() {
        context.note(&left_out);
    }
    history::note_others(&matching, &store, &filter, context)
}

/// Draws a trend with its changes; `None` if there is nothing to draw. With a title it is a picture by
/// itself, without one it is for a page that names the configuration.
pub(crate) fn draw(trend: &Trend, title: Option<String>) -> Option<Picture> {
    let (name, scope) = match trend.metric {
        TrendMetric::Score => ("LocalScore", "score of all tests"),
        TrendMetric::PromptTps => ("Prompt processing, tokens/s", "mean of all tests"),
        TrendMetric::GenTps => ("Generation, tokens/s", "mean of all tests"),
        TrendMetric::TtftMs => ("Time to first token, ms", "mean of all tests"),
    };
    // The page has it above the picture.
    let is_told = title.is_none() && trend.metric == TrendMetric::default_of(&trend.configuration);
    let sentence = if is_told {
        String::new()
    } else {
        trend.headline()
    };
    let scope = trend.tests().unwrap_or_else(|| scope.to_owned());
    let (title, unit, width) = match title {
        Some(title) => (title, format!("{name}, {scope}"), picture::WIDTH),
        None => (name.to_owned(), scope, picture::COLUMN),
    };
    // Partial runs are left out, and those without these tests.
    let runs = trend.runs.iter().enumerate();
    let has_value = |run: &TrendRun| !run.partial && trend.metric.has(run);
    let whole: Vec<(usize, &TrendRun)> = runs.filter(|(_, run)| has_value(run)).collect();
    let point = |(_, run): &(usize, &TrendRun)| Point {
        run: run.id,
        time: run.measured_at,
        is_guessed: run.is_guessed,
        value: trend.metric.of(run),
        shown: trend.metric.value(trend.metric.of(run)),
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
            is_better: trend.is_better(change),
            words: trend.in_words(change),
            cause: change.causes().join(", "),
        })
    };
    let picture = picture::Trend {
        title,
        sentence,
        unit,
        higher_is_better: trend.metric != TrendMetric::TtftMs,
        points: whole.iter().map(point).collect(),
        changes: trend.changes.iter().filter_map(change).collect(),
        width,
    };
    picture.draw()
}

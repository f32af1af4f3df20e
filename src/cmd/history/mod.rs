//! `history`: one configuration over time.

mod chart;
mod document;

use super::compare::percentage;
use super::filters::Filters;
use super::{Context, resolve, words};
use crate::model::{Difference, Text, differences};
use crate::stats::{self, ChangePoint};
use crate::store::{Configuration, Filter, Listed, Store, runs, trends};
use base::number;
use base::rows::{self, Limit};
use base::{
    Column, ColumnOf, Error, Markup, Result, RowFormat, Stdout, Table, markdown, note, printable,
};

/// Show one configuration over time
///
/// A configuration is a model with its quantisation on one accelerator under one runtime, whatever
/// its version. It is that of RUN, or of the last measured run that matches the filters. Its runs
/// are listed in the order they were measured, and where the level changed (by at least --min-change,
/// for three runs or more), what else changed: the runtime's version, the kernel, the machine.
///
/// Partial runs are listed, but ignored in the search for changes. Of more than 1000 runs, only the
/// last 1000 are searched for changes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore history --model llama --accelerator 4090
  localstore history last --metric gen_tps --since 90d
  localstore history -o csv > trend.csv")]
pub(crate) struct Args {
    /// An id, 'last', 'last~N' or a tag: a run of the configuration
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// The metric whose changes of level are shown
    #[arg(long, value_name = "METRIC", default_value = "score")]
    metric: TrendMetric,
    /// The smallest change of level that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = percentage)]
    min_change: f64,
    /// Show the last N runs; 0 for all
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: u32,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
    #[command(flatten)]
    filters: Filters,
}

/// The value of a run that a trend follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TrendMetric {
    /// The score
    Score,
    /// Prompt processing, tokens per second, mean over the tests
    #[value(name = "prompt_tps", aliases = ["prompt-tps", "pp"])]
    PromptTps,
    /// Generation, tokens per second, mean over the tests
    #[value(name = "gen_tps", aliases = ["gen-tps", "tg"])]
    GenTps,
    /// Time to first token, milliseconds, mean over the tests
    #[value(name = "ttft_ms", aliases = ["ttft-ms", "ttft"])]
    TtftMs,
}

impl TrendMetric {
    /// All of them, in the order of the columns.
    pub(crate) const ALL: [Self; 4] = [Self::Score, Self::PromptTps, Self::GenTps, Self::TtftMs];

    /// Its name with its unit, for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::PromptTps => "pp t/s",
            Self::GenTps => "tg t/s",
            Self::TtftMs => "ttft ms",
        }
    }

    /// The value of a run; NaN for a partial run, whose averages are over other tests.
    pub(crate) fn value(self, run: &Listed) -> f64 {
        let summary = &run.summary;
        match self {
            _ if run.partial => f64::NAN,
            Self::Score => summary.performance_score,
            Self::PromptTps => summary.avg_prompt_tps,
            Self::GenTps => summary.avg_gen_tps,
            Self::TtftMs => summary.avg_ttft_ms,
        }
    }
}

/// One configuration over time.
pub(crate) struct Trend {
    /// Its model, accelerator and runtime.
    pub(crate) configuration: Configuration,
    /// The run before the ones shown, which makes the first level more certain.
    before: Option<Listed>,
    /// Its runs in the order they were measured.
    pub(crate) runs: Vec<Listed>,
    /// Where the level of the metric changed.
    pub(crate) changes: Vec<TrendChange>,
}

/// A change of level, and what else changed there.
pub(crate) struct TrendChange {
    /// Where, and by how much.
    pub(crate) point: ChangePoint,
    /// How the first run at the new level differs from the last complete one before it.
    pub(crate) differences: Vec<Difference>,
}

impl Trend {
    /// The last `limit` matching runs (0 for all), and whether there are more. There are no changes
    /// until [`Self::find_changes`].
    pub(crate) fn last(
        store: &Store,
        configuration: Configuration,
        filter: &Filter,
        limit: u32,
    ) -> Result<(Self, bool)> {
        let mut runs =
            store.read(|db| trends::series(db, configuration.id, filter, Limit(limit).asked()))?;
        let cut = limit > 0 && runs.len() > limit as usize;
        let before = cut.then(|| runs.remove(0));
        if runs.is_empty() {
            let why = "no run of this configuration matches";
            return Err(Error::new(store.path().display(), why));
        }
        let trend = Self {
            configuration,
            before,
            runs,
            changes: Vec::new(),
        };
        Ok((trend, cut))
    }

    /// Finds where the level of the metric changed, and what else changed there.
    pub(crate) fn find_changes(
        &mut self,
        store: &Store,
        metric: TrendMetric,
        min_change: f64,
    ) -> Result<()> {
        self.changes.clear();
        let runs: Vec<&Listed> = self.before.iter().chain(&self.runs).collect();
        let values: Vec<f64> = runs.iter().map(|run| metric.value(run)).collect();
        for mut point in stats::change_points(&values, min_change) {
            let before = runs[..point.index].iter().rev().find(|run| !run.partial);
            let differences = match before {
                Some(before) => {
                    let [before, after] = [
                        store.read(|db| runs::read(db, before.id))?,
                        store.read(|db| runs::read(db, runs[point.index].id))?,
                    ];
                    differences(&[&before, &after])
                }
                None => Vec::new(),
            };
            point.index -= usize::from(self.before.is_some());
            // The first run that is shown has nothing before it.
            if point.index > 0 {
                self.changes.push(TrendChange { point, differences });
            }
        }
        Ok(())
    }

    /// The values of the metric, run by run.
    pub(crate) fn values(&self, metric: TrendMetric) -> Vec<f64> {
        self.runs.iter().map(|run| metric.value(run)).collect()
    }
}

impl TrendChange {
    /// `+12.3%: runtime version 0.9.2 → 0.9.3, …`
    pub(crate) fn in_words(&self) -> String {
        let percent = number::change(self.point.change_percent);
        if self.differences.is_empty() {
            return percent + ", nothing else is known to have changed";
        }
        format!("{percent}: {}", self.causes())
    }

    /// `runtime version 0.9.2 → 0.9.3, …`; empty if nothing else is known to have changed.
    pub(crate) fn causes(&self) -> String {
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
        let differences: Vec<String> = self
            .differences
            .iter()
            .map(|difference| {
                let values: Vec<String> = difference.values.iter().map(known).collect();
                format!("{} {}", difference.name, values.join(" → "))
            })
            .collect();
        differences.join(", ")
    }
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let filter = Filter::from(&args.filters);
    let (configuration, others) = choose(args.run.as_deref(), &store, &filter)?;
    let machines = store.read(|db| trends::machines(db, configuration.id))?;
    let (mut trend, cut) = Trend::last(&store, configuration, &filter, args.limit)?;
    trend.find_changes(&store, args.metric, args.min_change)?;
    let out = &mut context.out;
    match args.output {
        RowFormat::Table => print(&trend, args.metric, Markup::Text(out.screen()), out)?,
        RowFormat::Md => print(&trend, args.metric, Markup::Markdown, out)?,
        RowFormat::Csv => rows::csv(document::rows(&trend), out)?,
        RowFormat::Json => document::json(&trend, args, out)?,
        RowFormat::Jsonl => rows::jsonl(document::rows(&trend), out)?,
    }
    if cut {
        let shown = trend.runs.len();
        context.note(&format!(
            "runs shown: the last {shown}; '--limit 0' shows all"
        ));
    }
    if machines.len() > 1 {
        let names: Vec<String> = machines.iter().map(Text::to_string).collect();
        context.note(&format!(
            "these runs come from {} machines ({}): a change between two of them is not a trend",
            names.len(),
            names.join(", ")
        ));
    }
    note_others(others);
    Ok(())
}

/// Notes that more configurations match than the one shown.
pub(crate) fn note_others(others: usize) {
    let matches = match others {
        0 => return,
        1 => "1 more configuration matches".to_owned(),
        n => format!("{n} more configurations match"),
    };
    note(&(matches + "; '--model' and the other filters select one"));
}

/// The configuration of the run, or the last measured one that matches the filters, and the number
/// of others that match.
pub(crate) fn choose(
    run: Option<&str>,
    store: &Store,
    filter: &Filter,
) -> Result<(Configuration, usize)> {
    if let Some(name) = run {
        if filter.is_on_configurations() {
            return Err(Error::invalid_parameter(name)
                .hint("name a run, or select a configuration with filters, but not both"));
        }
        let id = resolve(store, name)?;
        let configuration = store.read(|db| trends::configuration_of(db, id))?;
        return Ok((configuration, 0));
    }
    let mut matching = store
        .read(|db| trends::configurations(db, filter))?
        .into_iter();
    let Some(first) = matching.next() else {
        return Err(Error::new(store.path().display(), "no run matches"));
    };
    Ok((first, matching.len()))
}

impl Trend {
    /// The change that begins with the run at that index.
    fn change_at(&self, index: usize) -> Option<&TrendChange> {
        self.changes
            .iter()
            .find(|change| change.point.index == index)
    }

    /// Model, accelerator and runtime.
    pub(crate) fn title(&self) -> String {
        let configuration = &self.configuration;
        let model = words::known(&configuration.model, "model");
        let model = words::with_quant(&model, configuration.quant.as_ref());
        let accelerator = words::known(&configuration.accelerator, "accelerator");
        let runtime = words::known(&configuration.runtime, "runtime");
        format!("{model}, {accelerator}, {runtime}")
    }
}

const COLUMNS: [ColumnOf<Listed>; 7] = [
    words::ID,
    words::MEASURED,
    ("version", Column::Text, |run| {
        words::cell(&run.runtime_version)
    }),
    words::SCORE,
    words::PROMPT_TPS,
    words::GEN_TPS,
    words::TTFT_MS,
];

/// Prints the trend for people; only plain text has charts.
fn print(trend: &Trend, metric: TrendMetric, markup: Markup, out: &mut Stdout) -> Result<()> {
    let mut text = match markup {
        Markup::Markdown => markdown(&trend.title()) + "\n\n",
        Markup::Text(screen) => {
            let mut text = format!("{}\n\n", printable(&trend.title()));
            for metric in TrendMetric::ALL {
                text += &chart::sparkline(metric.title(), &trend.values(metric), screen);
            }
            text.push('\n');
            if out.is_terminal() {
                let changes: Vec<usize> = trend.changes.iter().map(|c| c.point.index).collect();
                let (title, values) = (metric.title(), trend.values(metric));
                text += &chart::chart(title, &values, &changes, screen);
                text.push('\n');
            }
            text
        }
    };
    let mut table = Table::of(&trend.runs, &COLUMNS);
    if !trend.changes.is_empty() {
        let changes = (0..trend.runs.len()).map(|index| trend.change_at(index));
        let percent = |change: &TrendChange| number::change(change.point.change_percent);
        let cells = changes.map(|change| change.map_or_else(String::new, percent));
        table.column("change", Column::Whole, cells);
    }
    text += &markup.table(&table);
    if !trend.changes.is_empty() {
        text.push('\n');
    }
    for change in &trend.changes {
        let id = trend.runs[change.point.index].id;
        let title = metric.title();
        text += &markup.item(&format!("{title} from run {id} on {}", change.in_words()));
    }
    out.styled(text.as_bytes())
}

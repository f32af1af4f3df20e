//! `history`: one configuration over time.

mod changes;
mod chart;
mod document;

pub(crate) use changes::TrendChange;
pub(crate) use chart::sign;

use std::fmt::Write as _;

use super::compare::percentage;
use super::filters::Filters;
use super::{Context, list, resolve, words};
use crate::model::{Text, Tool, differences, listed_score, short_device, short_quant};
use crate::stats;
use crate::store::{
    Configuration, Filter, Listed, Matching, Others, Speed, Store, TrendRun, runs, select, trends,
};
use base::rows;
use base::time::date;
use base::{
    Column, ColumnOf, Error, Markup, Result, RowFormat, Screen, Stderr, Style, Table, markdown,
    number, printable,
};

/// Show one configuration over time
///
/// A configuration is a model with its quantisation on one accelerator under one runtime, whatever
/// its version. It is that of RUN, else among those with two whole runs that match the filters the one
/// measured last. The first line says at which level it is and since when; below are the runs, the
/// newest first, and where the level changed (by at least --min-change, for three runs or more), what
/// else changed: the runtime's version, the kernel, the machine.
///
/// A trend of llama-bench is of the runs with equal settings on one machine that have all tests of RUN,
/// else of the run measured last: by default the tests of generation alone, of which it shows the mean.
/// It goes on where the build or the names of the settings change; other runs are left out.
///
/// Partial runs are listed, but count in no level, nor do runs with a guessed date (~), which are hollow
/// in the chart. Where a model has only one known runtime on a machine, its runs of an unknown runtime
/// belong to that. Of more than 500 runs, the last 500 are examined; --limit 0 examines all.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore history --model llama --accelerator 4090
  localstore history last --metric gen_tps --since 90d
  localstore history -o csv > trend.csv")]
pub(crate) struct Args {
    /// An id, 'last', 'last~N', 'best' or a tag: a run of the configuration
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// The metric whose changes of level are shown [default: score, of llama-bench gen_tps]
    #[arg(long, value_name = "METRIC", hide_default_value = true)]
    metric: Option<TrendMetric>,
    /// The smallest change of level that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = percentage)]
    min_change: f64,
    /// Show the last N runs; 0 for all [default: 20 in a table, else 500]
    #[arg(long, value_name = "N", hide_default_value = true)]
    limit: Option<u32>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
    #[command(flatten)]
    filters: Filters,
}

/// The number of runs in which changes of level are looked for, the last ones, unless more are asked
/// for.
pub(crate) const EXAMINED: u32 = 500;

/// The number of runs in the table.
const SHOWN: u32 = 20;

/// The number of other configurations that are named.
const NAMED: usize = 10;

/// The number of settings that are named in which other runs differ.
const NAMED_SETTINGS: usize = 3;

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

    /// Its name for people.
    pub(crate) fn name(self) -> &'static str {
        let title = self.title();
        title.split_once(' ').map_or(title, |(name, _)| name)
    }

    /// A value of it, for people.
    pub(crate) fn value(self, value: f64) -> String {
        match self {
            Self::Score => listed_score(value).to_string(),
            _ => number::amount(value),
        }
    }

    /// `score 1912`, `ttft 165.14 ms`.
    fn with_value(self, value: f64) -> String {
        let value = self.value(value);
        match self.title().split_once(' ') {
            Some((name, unit)) => format!("{name} {value} {unit}"),
            None => format!("{} {value}", self.title()),
        }
    }

    /// Whether a change in percent is for the better.
    pub(crate) fn is_better(self, change: f64) -> bool {
        (change > 0.0) == (self != Self::TtftMs)
    }

    /// The value of a run; NaN for a partial run, whose averages are over other tests.
    pub(crate) fn of(self, run: &TrendRun) -> f64 {
        let value = self.figure(run).filter(|_| !run.partial);
        value.unwrap_or(f64::NAN)
    }

    /// Whether the run has tests that tell it.
    pub(crate) fn has(self, run: &TrendRun) -> bool {
        self.figure(run).is_some()
    }

    fn figure(self, run: &TrendRun) -> Option<f64> {
        let figures = &run.figures;
        match self {
            Self::Score => figures.score,
            Self::PromptTps => figures.prompt_tps,
            Self::GenTps => figures.gen_tps,
            Self::TtftMs => figures.ttft_ms,
        }
    }

    /// Of llama-bench: the tests that it is of; `None` for what only LocalScore measures.
    fn speed(self) -> Option<Speed> {
        match self {
            Self::PromptTps => Some(Speed::Prompt),
            Self::GenTps => Some(Speed::Generation),
            Self::Score | Self::TtftMs => None,
        }
    }

    /// What is shown of a configuration where nothing else is asked for.
    pub(crate) fn default_of(configuration: &Configuration) -> Self {
        match configuration.reference.map(|reference| reference.speed) {
            None => Self::Score,
            Some(Speed::Prompt) => Self::PromptTps,
            Some(Speed::Generation) => Self::GenTps,
        }
    }

    /// Those that a tool measures, in the order of the columns.
    pub(crate) fn of_tool(tool: Tool) -> &'static [Self] {
        match tool {
            Tool::LocalScore => &Self::ALL,
            Tool::LlamaBench => &[Self::PromptTps, Self::GenTps],
        }
    }

    /// The same for the search of changes: NaN too where nobody knows when the run was measured.
    fn dated(self, run: &TrendRun) -> f64 {
        if run.is_guessed {
            f64::NAN
        } else {
            self.of(run)
        }
    }
}

/// One configuration over time.
pub(crate) struct Trend {
    /// Its model, accelerator and runtime.
    pub(crate) configuration: Configuration,
    /// Its runs in the order they were measured, those that were asked for.
    pub(crate) runs: Vec<TrendRun>,
    /// The number of all its runs that match.
    pub(crate) all: usize,
    /// The metric that changes were looked for in.
    pub(crate) metric: TrendMetric,
    /// The smallest change of level, in percent.
    min_change: f64,
    /// Where its level changed.
    pub(crate) changes: Vec<TrendChange>,
    /// Of llama-bench: the tests of each [`Speed`].
    tests: [Vec<String>; 2],
    /// Of llama-bench: the runs of the configuration that are not in it.
    others: Option<Others>,
}

impl Trend {
    /// The last `limit` matching runs (0 for all). There are no changes until [`Self::find_changes`].
    pub(crate) fn last(
        store: &Store,
        configuration: Configuration,
        filter: &Filter,
        limit: u32,
    ) -> Result<Self> {
        let limit = (limit > 0).then_some(limit);
        let series = store.read(|db| trends::series(db, &configuration, filter, limit))?;
        if series.runs.is_empty() {
            let why = "no run of this configuration matches";
            return Err(Error::new(store.path().display(), why));
        }
        Ok(Self {
            metric: TrendMetric::default_of(&configuration),
            configuration,
            runs: series.runs,
            all: series.all,
            min_change: stats::Options::default().min_change,
            changes: Vec::new(),
            tests: series.tests,
            others: series.others,
        })
    }

    /// Finds where the level of the metric changed, and what else changed there.
    pub(crate) fn find_changes(
        &mut self,
        store: &Store,
        metric: TrendMetric,
        min_change: f64,
    ) -> Result<()> {
        (self.metric, self.min_change) = (metric, min_change);
        self.changes.clear();
        let values: Vec<f64> = self.runs.iter().map(|run| metric.dated(run)).collect();
        for point in stats::change_points(&values, min_change) {
            let is_whole = |run: &&TrendRun| !run.partial && !run.is_guessed;
            let before = self.runs[..point.index].iter().rev().find(is_whole);
            let differences = match before {
                Some(before) => {
                    let [before, after] = [
                        store.read(|db| runs::read(db, before.id))?,
                        store.read(|db| runs::read(db, self.runs[point.index].id))?,
                    ];
                    differences(&[&before, &after])
                }
                None => Vec::new(),
            };
            self.changes.push(TrendChange { point, differences });
        }
        Ok(())
    }

    /// Leaves out all but the last runs, and the changes before them.
    pub(crate) fn keep_last(&mut self, runs: usize) {
        let gone = self.runs.len().saturating_sub(runs);
        self.runs.drain(..gone);
        self.changes.retain(|change| change.point.index > gone);
        for change in &mut self.changes {
            change.point.index -= gone;
        }
    }

    /// The change that begins with the run at that index.
    pub(crate) fn change_at(&self, index: usize) -> Option<&TrendChange> {
        let at = |change: &&TrendChange| change.point.index == index;
        self.changes.iter().find(at)
    }

    /// Whether a change is for the better.
    pub(crate) fn is_better(&self, change: &TrendChange) -> bool {
        self.metric.is_better(change.point.change_percent)
    }

    /// Model, quantisation, accelerator and runtime; of llama-bench the tests too.
    pub(crate) fn title(&self) -> String {
        let configuration = &self.configuration;
        let parts = [
            Some(model_of(configuration)),
            configuration
                .quant
                .as_ref()
                .map(|quant| short_quant(&quant.to_string())),
            Some(words::known(&configuration.accelerator, "accelerator")),
            Some(words::known(&configuration.runtime, "runtime")),
            self.tests(),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The tests of which its values are the means.
    pub(crate) fn tests(&self) -> Option<String> {
        let speed = self.metric.speed()?;
        match self.tests[speed as usize].as_slice() {
            [] => None,
            [test] => Some(test.clone()),
            [one, two] => Some(format!("mean of {one} and {two}")),
            [first, .., last] => {
                let count = self.tests[speed as usize].len();
                Some(format!("mean of {count} tests, {first} … {last}"))
            }
        }
    }

    /// The runs of the configuration that are left out, and how they are shown.
    pub(crate) fn left_out(&self) -> Option<String> {
        let others = self.others.as_ref()?;
        let (runs, are) = match others.count {
            1 => ("1 run".to_owned(), "is"),
            count => (format!("{count} runs"), "are"),
        };
        let named = others.settings.iter().take(NAMED_SETTINGS);
        let mut named: Vec<&str> = named.map(String::as_str).collect();
        if others.settings.len() > NAMED_SETTINGS {
            named.push("…");
        }
        let reason = |reason: &&str| match *reason {
            "settings" => format!("settings ({})", named.join(", ")),
            reason => reason.to_owned(),
        };
        let differ = others.reasons.iter().map(reason).collect::<Vec<_>>();
        let differ = differ.join(" or ");
        let command = others
            .last
            .map_or_else(String::new, |id| format!(": 'localstore history {id}'"));
        Some(format!(
            "{runs} with other {differ} {are} left out{command}"
        ))
    }

    /// The answer: at which level it is, since when, and of how many runs that is said.
    pub(crate) fn headline(&self) -> String {
        let runs = match (self.runs.len(), self.all) {
            (1, 1) => "1 run".to_owned(),
            (some, all) if some < all => format!("the last {some} of {all} runs"),
            (_, all) => format!("{all} runs"),
        };
        let level = |value: fn(TrendMetric, &TrendRun) -> f64| {
            let values = self.runs.iter().map(|run| value(self.metric, run));
            stats::level(&values.collect::<Vec<f64>>(), self.min_change)
        };
        let Some(last) = self.changes.last() else {
            let level = level(TrendMetric::dated).or_else(|| level(TrendMetric::of));
            let Some(level) = level else {
                return format!("no whole run with a value; {runs}");
            };
            let level = self.metric.with_value(level);
            let known = |run: &&TrendRun| self.metric.dated(run).is_finite();
            return match self.runs.iter().find(known) {
                Some(first) if self.runs.len() > 1 && self.runs.len() == self.all => format!(
                    "{level} since run {} ({}); {runs}, no change",
                    first.id,
                    date(first.measured_at)
                ),
                // It may hold since a run that was not examined.
                Some(_) if self.runs.len() > 1 => format!("{level}; {runs}, no change"),
                _ => format!("{level}; {runs}"),
            };
        };
        let run = &self.runs[last.point.index];
        format!(
            "{} since run {} ({}): {}, {}; {runs}, {}",
            self.metric.with_value(last.point.after),
            run.id,
            date(run.measured_at),
            number::percent(last.point.change_percent),
            verdict(self.is_better(last)),
            match self.changes.len() {
                1 => "1 change".to_owned(),
                changes => format!("{changes} changes"),
            }
        )
    }

    /// A change without its causes: `run 16 (2025-09-25): 1826 → 1652, −9.5%, worse`.
    pub(crate) fn in_words(&self, change: &TrendChange) -> String {
        let [run, date, levels, percent, verdict] = changes::cells(self, change);
        format!("{run} ({date}): {levels}, {percent}, {verdict}")
    }

    /// The chart.
    fn chart(&self, screen: Screen) -> String {
        let dot = |(index, run): (usize, &TrendRun)| chart::Dot {
            id: run.id,
            value: self.metric.of(run),
            is_guessed: run.is_guessed,
            change: self.change_at(index).map(|change| self.is_better(change)),
        };
        let dots: Vec<chart::Dot> = self.runs.iter().enumerate().map(dot).collect();
        chart::chart(&dots, screen)
    }
}

/// The model of a configuration.
pub(crate) fn model_of(configuration: &Configuration) -> String {
    let Configuration {
        tool, model, quant, ..
    } = configuration;
    words::model_name(*tool, model, quant).unwrap_or_else(|| "unknown model".to_owned())
}

/// The machines of a trend, by their processors; one of llama-bench has only one.
pub(crate) fn machines(store: &Store, configuration: &Configuration) -> Result<Vec<Text>> {
    match configuration.tool {
        Tool::LocalScore => store.read(|db| trends::machines(db, configuration.id)),
        Tool::LlamaBench => Ok(Vec::new()),
    }
}

/// A run of a trend as a list shows it, but of llama-bench with its values in the trend: a list shows
/// those of one test.
pub(crate) fn listed(store: &Store, run: &TrendRun) -> Result<Listed> {
    let mut listed = store.read(|db| select::listed(db, run.id))?;
    if listed.tool == Tool::LlamaBench {
        listed.figures = run.figures;
    }
    Ok(listed)
}

/// The word for a change.
pub(crate) fn verdict(is_better: bool) -> &'static str {
    if is_better { "better" } else { "worse" }
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let filter = Filter::from(&args.filters);
    let (configuration, matching) =
        choose(args.run.as_deref(), &store, &args.filters, args.metric)?;
    let metric = args
        .metric
        .unwrap_or_else(|| TrendMetric::default_of(&configuration));
    let machines = machines(&store, &configuration)?;
    let examined = match args.limit {
        Some(0) => 0,
        limit => limit.unwrap_or(0).max(EXAMINED),
    };
    let mut trend = Trend::last(&store, configuration, &filter, examined)?;
    trend.find_changes(&store, metric, args.min_change)?;
    let is_for_people = matches!(args.output, RowFormat::Table | RowFormat::Md);
    let limit = args
        .limit
        .unwrap_or(if is_for_people { SHOWN } else { EXAMINED });
    let shown = match limit {
        0 => trend.runs.len(),
        limit => trend.runs.len().min(limit as usize),
    };
    let more = trend.all - shown;
    let screen = context.out.screen();
    match args.output {
        RowFormat::Table => print(&trend, shown, &store, Markup::Text(screen), context)?,
        RowFormat::Md => print(&trend, shown, &store, Markup::Markdown, context)?,
        format => {
            trend.keep_last(shown);
            let out = &mut context.out;
            match format {
                RowFormat::Csv => rows::csv(document::rows(&trend), out)?,
                RowFormat::Json => document::json(&trend, args.min_change, out)?,
                _ => rows::jsonl(document::rows(&trend), out)?,
            }
        }
    }
    if more > 0 {
        context.note(&format!("{more} more; '--limit 0' shows all"));
    }
    let guessed = trend.runs.iter().map(|run| run.is_guessed);
    args.filters.note_guessed(guessed, context);
    if machines.len() > 1 {
        let names: Vec<String> = machines.iter().map(Text::to_string).collect();
        context.note(&format!(
            "these runs come from {} machines ({}): a change between two of them is not a trend",
            names.len(),
            names.join(", ")
        ));
    }
    if let Some(left_out) = trend.left_out() {
        context.note(&left_out);
    }
    note_others(&matching, &store, &filter, context)
}

/// Notes which of several matching configurations is shown, and how each other is shown.
pub(crate) fn note_others(
    matching: &[Matching],
    store: &Store,
    filter: &Filter,
    context: &mut Context,
) -> Result<()> {
    if matching.len() < 2 {
        return Ok(());
    }
    let with_trend = matching.iter().filter(|one| one.has_trend).count();
    let rest = matching.len() - with_trend;
    let mut words = match with_trend {
        0 => format!("shown: the one measured last of {rest}, none of which has two whole runs"),
        1 => "shown: the only one with a trend".to_owned(),
        several => format!("shown: the one measured last of {several} with a trend"),
    };
    if with_trend > 0 && rest > 0 {
        let have = if rest == 1 { "has" } else { "have" };
        let _ = write!(words, "; {rest} {have} one run");
    }
    context.note(&words);
    let listed = match with_trend {
        0 => matching,
        with_trend => &matching[..with_trend],
    };
    if listed.len() < 2 {
        return Ok(());
    }
    let named = &listed[..listed.len().min(NAMED)];
    let full = |one: &Matching| {
        let (of, text) = (&one.configuration, Text::to_string);
        let parts = [
            Some(model_of(of)),
            of.quant.as_ref().map(text).as_deref().map(short_quant),
            of.accelerator
                .as_ref()
                .map(text)
                .as_deref()
                .map(short_device),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    let names: Vec<String> = named.iter().map(full).collect();
    let mut table = Table::new(&[
        ("", Column::Number),
        ("", Column::Text),
        ("", Column::Whole),
    ]);
    for (one, name) in named.iter().zip(&names) {
        let runs = match one.runs {
            Some(runs) => runs,
            None => store.read(|db| trends::count(db, &one.configuration, filter))?,
        };
        let runs = match runs {
            1 => "1 run ".to_owned(),
            runs => format!("{runs} runs"),
        };
        let is_alone = names.iter().filter(|other| *other == name).count() == 1;
        let apart = match one.configuration.tool {
            Tool::LocalScore => Some(words::known(&one.configuration.runtime, "runtime")),
            Tool::LlamaBench => one.apart.clone(),
        };
        let name = match apart {
            Some(apart) if !is_alone => format!("{name}, {apart}"),
            _ => name.clone(),
        };
        table.row(&[runs, name, format!(" localstore history {}", one.last.id)]);
    }
    let mut screen = Stderr::screen();
    screen.width = screen.width.map(|width| width - 2);
    let mut lines = String::new();
    for line in table.render(screen).lines().skip(1) {
        lines.extend(["  ", line, "\n"]);
    }
    Stderr::print(&lines);
    if named.len() < listed.len() {
        let more = listed.len() - named.len();
        context.note(&format!(
            "{more} more; '--model' and the other filters select one"
        ));
    }
    Ok(())
}

/// The configuration of the run, or the first one that matches the filters, and all that match. Of
/// llama-bench, the trend of that metric.
pub(crate) fn choose(
    run: Option<&str>,
    store: &Store,
    filters: &Filters,
    metric: Option<TrendMetric>,
) -> Result<(Configuration, Vec<Matching>)> {
    let mut filter = Filter::from(filters);
    let speed = metric.and_then(TrendMetric::speed);
    if let Some(name) = run {
        if filter.is_on_configurations() {
            return Err(Error::invalid_parameter(name)
                .hint("name a run, or select a configuration with filters, but not both"));
        }
        let id = resolve(store, name)?;
        let configuration = store.read(|db| trends::trend_of(db, id, speed))?;
        check_metric(metric, &configuration)?;
        if configuration.tool == Tool::LlamaBench && configuration.reference.is_none() {
            let other = store.read(|db| trends::trend_of(db, id, None))?.reference;
            let hint = other.map(|_| format!("localstore history {id}"));
            let error = no_such_test(format_args!("run {id}"), speed);
            return Err(hint.into_iter().fold(error, Error::hint));
        }
        return Ok((configuration, Vec::new()));
    }
    let find = |filter: &Filter| store.read(|db| trends::matching(db, filter, speed));
    let mut matching = Vec::new();
    if metric.is_some() && speed.is_none() && filter.tool.is_none() {
        // No other tool measures it.
        filter.tool = Some(Tool::LocalScore);
        matching = find(&filter)?;
        filter.tool = None;
    }
    if matching.is_empty() {
        matching = find(&filter)?;
    }
    let Some(first) = matching.first() else {
        if store.read(|db| select::count(db, &filter))? > 0 {
            return Err(no_such_test("the runs that match", speed));
        }
        return Err(filters.no_match(&[], store)?);
    };
    check_metric(metric, &first.configuration)?;
    Ok((first.configuration.clone(), matching))
}

/// The error for runs of llama-bench that no trend can be of.
fn no_such_test(of: impl std::fmt::Display, speed: Option<Speed>) -> Error {
    match speed {
        None => Error::new(of, "no test is of a prompt or of generation alone"),
        Some(Speed::Prompt) => Error::new(of, "no test is of a prompt alone"),
        Some(Speed::Generation) => Error::new(of, "no test is of generation alone"),
    }
}

/// Refuses a metric that the tool does not measure.
fn check_metric(metric: Option<TrendMetric>, of: &Configuration) -> Result<()> {
    let why = match (of.tool, metric) {
        (Tool::LlamaBench, Some(TrendMetric::Score)) => "llama-bench has no score",
        (Tool::LlamaBench, Some(TrendMetric::TtftMs)) => {
            "llama-bench does not measure the time to the first token"
        }
        _ => return Ok(()),
    };
    let metric = metric.as_ref().and_then(clap::ValueEnum::to_possible_value);
    let name = metric.map_or_else(String::new, |value| value.get_name().to_owned());
    Err(Error::new(format_args!("--metric {name}"), why).hint("gen_tps or prompt_tps"))
}

/// A run in the table.
struct Shown {
    run: Listed,
    /// The metric of the trend, and the sign of a change that begins here.
    change: Option<(TrendMetric, &'static str)>,
}

impl Shown {
    /// The cell of a metric, with the sign behind the one that changes.
    fn cell(&self, metric: TrendMetric, text: String) -> String {
        match self.change {
            Some((changed, sign)) if changed == metric => format!("{text} {sign}"),
            _ => text,
        }
    }
}

const COLUMNS: [ColumnOf<Shown>; 7] = [
    ("id", Column::Number, |shown| (words::ID.2)(&shown.run)),
    ("measured", Column::Whole, |shown| {
        (words::MEASURED.2)(&shown.run)
    }),
    ("version", Column::Text, |shown| {
        words::cell(&shown.run.runtime_version)
    }),
    ("score", Column::Number, |shown| {
        shown.cell(TrendMetric::Score, (words::SCORE.2)(&shown.run))
    }),
    ("pp t/s", Column::Number, |shown| {
        let text = (words::PROMPT_TPS.2)(&shown.run);
        shown.cell(TrendMetric::PromptTps, text)
    }),
    ("tg t/s", Column::Number, |shown| {
        shown.cell(TrendMetric::GenTps, (words::GEN_TPS.2)(&shown.run))
    }),
    ("ttft ms", Column::Number, |shown| {
        shown.cell(TrendMetric::TtftMs, (words::TTFT_MS.2)(&shown.run))
    }),
];

/// The columns that a narrow screen has no room for, the least important first.
const LEAST_IMPORTANT: [&str; 4] = ["ttft ms", "pp t/s", "tg t/s", "version"];

/// Prints the trend for people, with the last runs; only plain text has a chart.
fn print(
    trend: &Trend,
    shown: usize,
    store: &Store,
    markup: Markup,
    context: &mut Context,
) -> Result<()> {
    let mut text = String::new();
    match markup {
        Markup::Markdown => {
            let (headline, title) = (markdown(&trend.headline()), markdown(&trend.title()));
            let _ = writeln!(text, "**{headline}**\n\n{title}\n");
        }
        Markup::Text(screen) => {
            let (headline, title) = (trend.headline(), trend.title());
            let (headline, title) = (printable(&headline), printable(&title));
            let _ = writeln!(
                text,
                "{}\n{}\n",
                screen.fold(&headline),
                screen.fold(&title)
            );
            let chart = trend.chart(screen);
            if !chart.is_empty() {
                let _ = writeln!(text, "{chart}");
            }
        }
    }
    let changes = changes::in_words(trend, markup);
    if !changes.is_empty() {
        let _ = writeln!(text, "{changes}");
    }
    let mut rows = Vec::new();
    for (index, run) in trend.runs.iter().enumerate().rev().take(shown) {
        let change = trend.change_at(index);
        rows.push(Shown {
            run: listed(store, run)?,
            change: change.map(|change| (trend.metric, sign(trend.is_better(change)))),
        });
    }
    let metrics = TrendMetric::of_tool(trend.configuration.tool);
    let is_measured = |head: &str| {
        let of_head = TrendMetric::ALL.into_iter().find(|one| one.title() == head);
        of_head.is_none_or(|metric| metrics.contains(&metric))
    };
    let columns = COLUMNS.into_iter().filter(|(head, ..)| is_measured(head));
    let mut table = Table::of(&rows, &columns.collect::<Vec<_>>());
    for (head, _, _) in COLUMNS {
        table.paint(head, |cell| match cell.chars().last() {
            Some('▲') => Some(Style::Better),
            Some('▼') => Some(Style::Worse),
            _ => None,
        });
    }
    let mut hidden = Vec::new();
    if let Markup::Text(screen) = markup {
        let least = LEAST_IMPORTANT
            .into_iter()
            .filter(|head| *head != trend.metric.title());
        hidden = table.leave_out(screen, &least.collect::<Vec<_>>());
    }
    text += &markup.table(&table);
    context.out.styled(text.as_bytes())?;
    let any = |has: fn(&Listed) -> bool| rows.iter().any(|shown| has(&shown.run));
    let is_about = any(|run| run.source.is_rounded() || run.measured_guessed);
    list::note_marks(is_about, any(|run| run.partial), context);
    if !hidden.is_empty() {
        let hidden = hidden.join(", ");
        context.note(&format!("hidden: {hidden}; a wider terminal shows them"));
    }
    Ok(())
}

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
use crate::model::{Text, differences, listed_score, short_device, short_quant};
use crate::stats;
use crate::store::{
    Configuration, Filter, Listed, Matching, Store, TrendRun, runs, select, trends,
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
    /// The metric whose changes of level are shown
    #[arg(long, value_name = "METRIC", default_value = "score")]
    metric: TrendMetric,
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
        let summary = &run.summary;
        match self {
            _ if run.partial => f64::NAN,
            Self::Score => summary.performance_score,
            Self::PromptTps => summary.avg_prompt_tps,
            Self::GenTps => summary.avg_gen_tps,
            Self::TtftMs => summary.avg_ttft_ms,
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
        let (runs, all) = store.read(|db| trends::series(db, &configuration, filter, limit))?;
        if runs.is_empty() {
            let why = "no run of this configuration matches";
            return Err(Error::new(store.path().display(), why));
        }
        Ok(Self {
            configuration,
            runs,
            all,
            metric: TrendMetric::Score,
            min_change: stats::Options::default().min_change,
            changes: Vec::new(),
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

    /// Model, quantisation, accelerator and runtime.
    pub(crate) fn title(&self) -> String {
        let configuration = &self.configuration;
        let parts = [
            Some(words::known(&configuration.model, "model")),
            configuration
                .quant
                .as_ref()
                .map(|quant| short_quant(&quant.to_string())),
            Some(words::known(&configuration.accelerator, "accelerator")),
            Some(words::known(&configuration.runtime, "runtime")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
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

/// The word for a change.
pub(crate) fn verdict(is_better: bool) -> &'static str {
    if is_better { "better" } else { "worse" }
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let filter = Filter::from(&args.filters);
    let (configuration, matching) = choose(args.run.as_deref(), &store, &args.filters)?;
    let machines = store.read(|db| trends::machines(db, configuration.id))?;
    let examined = match args.limit {
        Some(0) => 0,
        limit => limit.unwrap_or(0).max(EXAMINED),
    };
    let mut trend = Trend::last(&store, configuration, &filter, examined)?;
    trend.find_changes(&store, args.metric, args.min_change)?;
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
            Some(words::known(&of.model, "model")),
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
        let runs = match store.read(|db| trends::count(db, &one.configuration, filter))? {
            1 => "1 run ".to_owned(),
            runs => format!("{runs} runs"),
        };
        let is_alone = names.iter().filter(|other| *other == name).count() == 1;
        let runtime = words::known(&one.configuration.runtime, "runtime");
        let name = if is_alone {
            name.clone()
        } else {
            format!("{name}, {runtime}")
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

/// The configuration of the run, or the first one that matches the filters, and all that match.
pub(crate) fn choose(
    run: Option<&str>,
    store: &Store,
    filters: &Filters,
) -> Result<(Configuration, Vec<Matching>)> {
    let filter = Filter::from(filters);
    if let Some(name) = run {
        if filter.is_on_configurations() {
            return Err(Error::invalid_parameter(name)
                .hint("name a run, or select a configuration with filters, but not both"));
        }
        let id = resolve(store, name)?;
        let configuration = store.read(|db| {
            let configuration = trends::configuration_of(db, id)?;
            trends::complete(db, configuration)
        })?;
        return Ok((configuration, Vec::new()));
    }
    let matching = store.read(|db| trends::matching(db, &filter))?;
    let Some(first) = matching.first() else {
        return Err(filters.no_match(&[], store)?);
    };
    Ok((first.configuration.clone(), matching))
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
            run: store.read(|db| select::listed(db, run.id))?,
            change: change.map(|change| (trend.metric, sign(trend.is_better(change)))),
        });
    }
    let mut table = Table::of(&rows, &COLUMNS);
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

//! `report`: the contents of the page.

mod tables;

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::compare::{self, Report};
use super::filters::Filters;
use super::history::{self, Trend, TrendChange, TrendMetric, listed, sign, verdict};
use super::named::NamedRun;
use super::plot::draw_trend;
use super::{Context, OutFile, unique, words};
use crate::model::{Text, Tool, short_device, short_quant};
use crate::page::{Block, Cell, News, Page, Part, Section};
use crate::stats;
use crate::store::{Configuration, Filter, Listed, Matching, Store, TrendRun, select, trends};
use base::number::percent;
use base::time::date;
use base::{Result, counted};
use picture::Tone;

/// Write one HTML page of the best runs, trends and the last comparisons
///
/// The page is self-contained: no network, no script. It follows its reader's light or dark
/// setting, fits a phone, and can be printed. What changed lately comes first, then the best runs,
/// then each model on each accelerator: the trends of score and speeds, the last run against its
/// level, and the runs. The same store gives the same page.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore report runs.html
  localstore report --model llama --since 90d > llama.html")]
pub(crate) struct Args {
    /// Write to this file, whole or not at all [default: standard output]
    #[arg(value_name = "FILE", conflicts_with = "out")]
    file: Option<PathBuf>,
    #[command(flatten)]
    out: OutFile,
    /// Only the last N runs of each configuration; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: u32,
    /// The smallest change that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = compare::percentage)]
    min_change: f64,
    #[command(flatten)]
    filters: Filters,
}

/// The number of changes that come first.
const MAX_NEWS: usize = 10;

/// The number of best runs on the page.
const MAX_BEST: u32 = 30;

/// The number of configurations on the page.
const MAX_CONFIGURATIONS: usize = 20;

/// The number of runs in the table of a configuration.
const MAX_RUNS: usize = 50;

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let page = page(args, &store)?.html();
    let out = args.file.as_ref().or(args.out.out.as_ref()).cloned();
    OutFile { out }.write(page, context)
}

fn page(args: &Args, store: &Store) -> Result<Page> {
    let filter = Filter::from(&args.filters);
    let runs = store.read(|db| select::count(db, &filter))?;
    let matching = store.read(|db| trends::matching(db, &filter, None))?;
    let all = matching.len();
    let (of_bench, of_localscore): (Vec<_>, Vec<_>) = matching
        .into_iter()
        .partition(|one| one.configuration.tool == Tool::LlamaBench);
    let has_bench = match filter.tool {
        Some(Tool::LocalScore) => false,
        // Those without a trend count too.
        Some(Tool::LlamaBench) | None => {
            let tool = Some(Tool::LlamaBench);
            let of_bench = Filter {
                tool,
                ..filter.clone()
            };
            store.read(|db| select::count(db, &of_bench))? > 0
        }
    };
    let has_localscore = !of_localscore.is_empty();

    let mut remarks = Vec::new();
    let mut parts = Vec::new();
    let mut last = None;
    if has_localscore || !has_bench {
        let found = ToolPart::read(args, store, Tool::LocalScore, of_localscore)?;
        last = found.last;
        remarks.extend(found.remark);
        let sections = match runs {
            0 => vec![no_runs(&filter)],
            _ => vec![latest(found.news), best_section(found.best)],
        };
        parts.push(Part {
            sections,
            configurations: found.configurations,
        });
    }
    if has_bench {
        let found = ToolPart::read(args, store, Tool::LlamaBench, of_bench)?;
        last = last.max(found.last);
        let mut blocks: Vec<Block> = found.remark.map(Block::Text).into_iter().collect();
        blocks.push(news(found.news));
        blocks.extend(found.best);
        let section = Section {
            id: "llama-bench".to_owned(),
            title: Tool::LlamaBench.name().to_owned(),
            blocks,
        };
        parts.push(Part {
            sections: vec![section],
            configurations: found.configurations,
        });
    }
    let mut summary = vec![counted(runs, "run"), counted(all as u64, "configuration")];
    summary.extend(last.map(|time| format!("to {}", date(time))));
    if !filter.is_empty() {
        summary.push(args.filters.in_words());
    }
    let title = match (has_localscore, has_bench) {
        (true, true) => "LocalScore and llama-bench runs",
        (false, true) => "llama-bench runs",
        _ => "LocalScore runs",
    };
    Ok(Page {
        title: title.to_owned(),
        summary: summary.join(", "),
        remarks,
        parts,
    })
}

/// What the page has of the runs of one tool.
struct ToolPart {
    remark: Option<String>,
    news: Vec<Change>,
    best: Vec<Block>,
    configurations: Vec<Section>,
    /// When its last run was measured.
    last: Option<i64>,
}

impl ToolPart {
    fn read(args: &Args, store: &Store, tool: Tool, mut matching: Vec<Matching>) -> Result<Self> {
        let filter = Filter {
            tool: Some(tool),
            ..Filter::from(&args.filters)
        };
        let all = matching.len();
        matching.truncate(MAX_CONFIGURATIONS);
        let prefix = match tool {
            Tool::LocalScore => "c",
            Tool::LlamaBench => "b",
        };
        let mut found = Vec::new();
        for (number, one) in matching.iter().enumerate() {
            let id = format!("{prefix}{number}");
            let title = title(one, &matching);
            found.push(Found::read(
                args,
                store,
                &filter,
                &one.configuration,
                id,
                title,
            )?);
        }
        let last = found.iter().map(|one| one.measured_at).max();
        let mut news: Vec<Change> = found.iter().flat_map(|one| one.changes.clone()).collect();
        news.sort_by_key(|change| Reverse(change.moment));
        // The one with the latest change comes first; those without one stay as they were measured.
        found.sort_by_key(|one| Reverse(one.changes.iter().map(|change| change.moment).max()));
        let remark = (all > MAX_CONFIGURATIONS).then(|| {
            format!(
                "{MAX_CONFIGURATIONS} of {all} configurations are shown: those with two whole runs \
                 first, then those measured last. Filters choose others."
            )
        });
        let (best, ranked) = store.read(|db| trends::best(db, &filter, Some(MAX_BEST)))?;
        let link = |run: &Listed| {
            let is_same = |one: &Matching| {
                let of = &one.configuration;
                (&of.model, &of.quant, &of.accelerator, &of.runtime)
                    == (&run.model, &run.quant, &run.accelerator, &run.runtime)
            };
            let number = matching.iter().position(is_same);
            number.map(|number| format!("#{prefix}{number}"))
        };
        Ok(Self {
            remark,
            news,
            best: best_runs(tool, &best, ranked, link),
            configurations: found.into_iter().map(|one| one.section).collect(),
            last,
        })
    }
}

fn no_runs(filter: &Filter) -> Section {
    let (title, blocks) = if filter.is_empty() {
        let command = "localstore record localscore -m model.gguf".to_owned();
        let text = "This runs a benchmark and keeps it:".to_owned();
        (
            "No runs yet.",
            vec![Block::Text(text), Block::Command(command)],
        )
    } else {
        ("No run matches.", Vec::new())
    };
    Section {
        id: "none".to_owned(),
        title: title.to_owned(),
        blocks,
    }
}

/// What changed lately.
fn latest(changes: Vec<Change>) -> Section {
    Section {
        id: "news".to_owned(),
        title: "What changed lately".to_owned(),
        blocks: vec![news(changes)],
    }
}

fn news(changes: Vec<Change>) -> Block {
    if changes.is_empty() {
        Block::Text("Nothing changed.".to_owned())
    } else {
        let news = changes.into_iter().take(MAX_NEWS);
        Block::News(news.map(|change| change.news).collect())
    }
}

fn best_section(blocks: Vec<Block>) -> Section {
    Section {
        id: "best".to_owned(),
        title: "Best runs".to_owned(),
        blocks,
    }
}

fn best_runs(
    tool: Tool,
    best: &[Listed],
    ranked: usize,
    link: impl Fn(&Listed) -> Option<String>,
) -> Vec<Block> {
    let (caption, command, nothing) = match tool {
        Tool::LocalScore => (
            "By score; partial runs do not count",
            "localstore best --limit 0",
            "No run has all tests of the benchmark.",
        ),
        Tool::LlamaBench => (
            "Best runs, by the speed of generation",
            "localstore best --tool llama-bench --limit 0",
            "No run has a test of generation alone.",
        ),
    };
    let mut caption = caption.to_owned();
    if best.len() < ranked {
        let shown = best.len();
        let _ = write!(caption, ". {shown} of {ranked}; '{command}' shows all");
    }
    match best {
        [] => vec![Block::Text(nothing.to_owned())],
        _ => vec![Block::Table(tables::best(tool, caption, best, link))],
    }
}

/// Model, quantisation and accelerator; what tells it from others too if they are not unique.
fn title(of: &Matching, all: &[Matching]) -> String {
    let configuration = &of.configuration;
    let model = words::model_name(
        configuration.tool,
        &configuration.model,
        &configuration.quant,
    );
    let mut parts = vec![model.unwrap_or_else(|| "Unknown model".to_owned())];
    let quant = configuration.quant.as_ref().map(Text::to_string);
    parts.extend(quant.as_deref().map(short_quant));
    let accelerator = words::text_or(&configuration.accelerator, "unknown accelerator");
    parts.push(short_device(&accelerator));
    let is_alike = |one: &&Matching| {
        let one = &one.configuration;
        (&one.model, &one.quant, &one.accelerator)
            == (
                &configuration.model,
                &configuration.quant,
                &configuration.accelerator,
            )
    };
    if all.iter().filter(is_alike).count() > 1 {
        match configuration.tool {
            Tool::LocalScore => parts.push(words::known(&configuration.runtime, "runtime")),
            Tool::LlamaBench => parts.extend(of.apart.clone()),
        }
    }
    parts.join(", ")
}

/// A change of the level of the score, and its place among the others.
#[derive(Clone)]
struct Change {
    moment: (i64, i64),
    news: News,
}

/// What the page has of a configuration.
struct Found {
    section: Section,
    changes: Vec<Change>,
    measured_at: i64,
}

impl Found {
    fn read(
        args: &Args,
        store: &Store,
        filter: &Filter,
        configuration: &Configuration,
        id: String,
        title: String,
    ) -> Result<Self> {
        let mut trend = Trend::last(store, configuration.clone(), filter, args.limit)?;
        let mut pictures = Vec::new();
        let mut main_picture = Vec::new();
        let mut others = Vec::new();
        let mut changes = Vec::new();
        let mut answer = Cell::default();
        let main = TrendMetric::default_of(configuration);
        for &metric in TrendMetric::of_tool(configuration.tool) {
            trend.find_changes(store, metric, args.min_change)?;
            let picture = draw_trend(&trend, None);
            if metric == main {
                main_picture.extend(picture);
                answer = self::answer(&trend);
                let news = trend.changes.iter();
                let news = news.map(|change| Change::new(&trend, change, &id, &title));
                changes = news.collect();
            } else {
                pictures.extend(picture);
                others.push(metric.name());
            }
        }
        let runs = trend.runs;
        let whole: Vec<&TrendRun> = runs.iter().filter(|run| !run.partial).collect();
        let last = whole.last().copied().or(runs.last());
        let mut blocks = vec![Block::Answer(answer)];
        let mut standing = None;
        if let [_, .., last] = whole.as_slice() {
            let options = stats::Options {
                metrics: match configuration.tool {
                    Tool::LocalScore => stats::Metric::SPEEDS.to_vec(),
                    Tool::LlamaBench => stats::Metric::of(configuration.tool).to_vec(),
                },
                min_change: args.min_change,
                ..stats::Options::default()
            };
            standing = compare::standing(store, last.id, options)?;
        }
        blocks.extend(facts(store, configuration, &runs, last, standing.as_ref())?);
        let right = standing.as_ref().map_or_else(Vec::new, comparison);
        if whole.len() > 1 {
            let mut left = vec![Block::Pictures(main_picture)];
            if !pictures.is_empty() {
                let pictures = vec![Block::Pictures(pictures)];
                left.push(Block::Closed(others.join(", "), pictures));
            }
            blocks.push(Block::Beside(left, right));
        }
        let all = counted(runs.len() as u64, "run");
        let shown = runs.iter().rev().take(MAX_RUNS);
        let shown = shown.map(|run| listed(store, run));
        let shown = shown.collect::<Result<Vec<_>>>()?;
        let mut caption = "The newest first".to_owned();
        if runs.len() > MAX_RUNS
            && let Some(run) = last
        {
            caption = format!(
                "The last {MAX_RUNS}; 'localstore history {} --limit 0' shows all",
                run.id
            );
        }
        let table = Block::Table(tables::runs(configuration.tool, caption, &shown));
        blocks.push(Block::Closed(all, vec![table]));
        Ok(Self {
            section: Section { id, title, blocks },
            changes,
            measured_at: runs.last().map_or(0, |run| run.measured_at),
        })
    }
}

impl Change {
    fn new(trend: &Trend, change: &TrendChange, section: &str, title: &str) -> Self {
        let run = &trend.runs[change.point.index];
        let is_better = trend.is_better(change);
        let percent = percent(change.point.change_percent);
        let words = format!("{percent} {}", verdict(is_better));
        Self {
            moment: (run.measured_at, run.id),
            news: News {
                section: section.to_owned(),
                run: format!("{} run {}", sign(is_better), run.id),
                date: date(run.measured_at),
                change: Cell::from(words).tone(tone(is_better)),
                configuration: title.to_owned(),
            },
        }
    }
}

fn tone(is_better: bool) -> Tone {
    if is_better { Tone::Better } else { Tone::Worse }
}

/// The level of the score, and since when. The number of runs stands below.
fn answer(trend: &Trend) -> Cell {
    let headline = trend.headline();
    match (trend.changes.last(), headline.split_once("; ")) {
        (Some(change), Some((level, _))) => Cell::from(level).tone(tone(trend.is_better(change))),
        _ => headline.into(),
    }
}

/// Processor, memory, kernel and versions, on one line.
fn facts(
    store: &Store,
    configuration: &Configuration,
    runs: &[TrendRun],
    last: Option<&TrendRun>,
    standing: Option<&Report>,
) -> Result<Option<Block>> {
    let mut facts = Vec::new();
    let read = match (standing, last) {
        (None, Some(last)) => Some(NamedRun::read(store, last.id)?),
        _ => None,
    };
    let compared = standing.and_then(|report| Some(&report.new.first()?.run));
    if let Some(stored) = compared.or(read.as_ref()) {
        let system = &stored.run.environment.system;
        let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
        let machines = history::machines(store, configuration)?;
        let machines = match machines.as_slice() {
            [_, _, ..] => machines.iter().map(Text::to_string).collect(),
            _ => text(&system.cpu_name).into_iter().collect::<Vec<_>>(),
        };
        let processors = machines.iter().map(|name| short_device(name));
        facts.extend(few(unique(processors).as_slice()));
        let memory = system.ram_gb.filter(|gb| gb.is_finite() && *gb > 0.0);
        facts.extend(memory.map(|gb| format!("{gb:.1} GiB")));
        let kernel = [text(&system.kernel_type), text(&system.kernel_release)];
        facts.push(kernel.into_iter().flatten().collect::<Vec<_>>().join(" "));
    }
    let versions = unique(runs.iter().filter_map(|run| run.version.as_ref()));
    let versions: Vec<String> = versions.into_iter().map(Text::to_string).collect();
    let runtime = words::known(&configuration.runtime, "runtime");
    facts.push(match few(&versions) {
        Some(versions) => format!("{runtime} {versions}"),
        None => runtime,
    });
    facts.retain(|fact| !fact.is_empty());
    Ok((!facts.is_empty()).then(|| Block::Facts(facts.join(", "))))
}

/// The values, or the ends of many; `None` without any.
fn few(values: &[String]) -> Option<String> {
    match values {
        [] => None,
        [first, _, _, _, .., last] => Some(format!("{first} … {last} ({})", values.len())),
        _ => Some(values.join(", ")),
    }
}

/// The last run against its level.
fn comparison(report: &Report) -> Vec<Block> {
    let Some(new) = report.new.first() else {
        return Vec::new();
    };
    let mut blocks = vec![Block::Text(report.headline(new))];
    blocks.extend(tables::means(report, new).map(Block::Table));
    let count = new.comparison.rows.len();
    if let Some(table) = tables::tests(report, new) {
        let title = match count {
            1 => "all rows: 1 test".to_owned(),
            _ => format!("all {count} rows"),
        };
        blocks.push(Block::Closed(title, vec![Block::Table(table)]));
    }
    blocks
}

//! `report`: the contents of the page.

mod tables;

use super::compare;
use super::filters::Filters;
use super::history::{Trend, TrendMetric};
use super::named::NamedRun;
use super::plot::draw_trend;
use super::{Context, OutFile, words};
use crate::page::{Chapter, Page, Part};
use crate::stats;
use crate::store::{Configuration, Filter, Listed, Store, TrendRun, select, trends};
use base::Result;
use base::time::utc;

/// Write one HTML page of the best runs, trends and the last comparison
///
/// The page is self-contained: no network, no script. It follows its reader's light or dark
/// setting, and can be printed. For each model on each accelerator, it has the trends of score and
/// speeds, a comparison of the last two whole runs, and the last runs. The same store gives the same
/// page.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore report --out runs.html
  localstore report --model llama --since 90d > llama.html")]
pub(crate) struct Args {
    #[command(flatten)]
    out: OutFile,
    /// Only the last N runs in each trend, up to 1000
    #[arg(long, value_name = "N", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// The smallest change that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = compare::percentage)]
    min_change: f64,
    #[command(flatten)]
    filters: Filters,
}

/// The number of best runs on the page.
const MAX_BEST: u32 = 30;

/// The number of configurations on the page, those measured last.
const MAX_CONFIGURATIONS: usize = 20;

/// The number of runs in the table of a configuration.
const MAX_RECENT: usize = 10;

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let page = page(args, &store)?.html();
    args.out.write(page, context)
}

fn page(args: &Args, store: &Store) -> Result<Page> {
    let filter = Filter::from(&args.filters);
    let mut configurations = store.read(|db| trends::configurations(db, &filter))?;
    let all = configurations.len();
    configurations.truncate(MAX_CONFIGURATIONS);
    // One more than is shown, to know whether there are more.
    let (best, _) = store.read(|db| trends::best(db, &filter, Some(MAX_BEST + 1)))?;

    let mut newest = None;
    let mut chapters: Vec<Chapter> = Vec::new();
    for configuration in &configurations {
        let model = words::text_or(&configuration.model, "Unknown model");
        let title = words::with_quant(&model, configuration.quant.as_ref());
        let (part, last) = section(args, store, &filter, configuration)?;
        newest = newest.max(last);
        match chapters.iter_mut().find(|chapter| chapter.title == title) {
            Some(chapter) => chapter.parts.push(part),
            None => chapters.push(Chapter {
                title,
                parts: vec![part],
            }),
        }
    }
    let name = store.path().file_name().unwrap_or(store.path().as_os_str());
    let mut facts = vec![
        ("Store", name.to_string_lossy().into_owned()),
        (
            "Runs",
            store.read(|db| select::count(db, &filter))?.to_string(),
        ),
        ("Configurations", all.to_string()),
    ];
    if let Some(time) = newest.and_then(utc) {
        facts.push(("Last run measured", time));
    }
    if !filter.is_empty() {
        facts.push(("Filtered by", args.filters.in_words()));
    }
    let mut remarks = Vec::new();
    if all > MAX_CONFIGURATIONS {
        remarks.push(format!(
            "The page shows the {MAX_CONFIGURATIONS} configurations that were measured last: \
             filters choose others."
        ));
    }
    if all == 0 {
        remarks.push("No run matches.".to_owned());
    }
    Ok(Page {
        title: "LocalScore runs".to_owned(),
        facts,
        first: best_runs(&best),
        chapters,
        remarks,
    })
}

fn best_runs(best: &[Listed]) -> Part {
    let mut paragraphs = vec![
        "The best run of each model on each accelerator, by score. Partial runs do not count."
            .to_owned(),
    ];
    let shown = best.get(..MAX_BEST as usize).unwrap_or(best);
    if shown.len() < best.len() {
        paragraphs.push(format!(
            "The first {MAX_BEST}; 'localstore best' ranks all."
        ));
    }
    Part {
        title: "Best runs".to_owned(),
        paragraphs,
        tables: match shown {
            [] => Vec::new(),
            _ => vec![tables::best(shown)],
        },
        ..Part::default()
    }
}

/// The section of a configuration, and when it was last measured.
fn section(
    args: &Args,
    store: &Store,
    filter: &Filter,
    configuration: &Configuration,
) -> Result<(Part, Option<i64>)> {
    let accelerator = words::text_or(&configuration.accelerator, "Unknown accelerator");
    let runtime = words::known(&configuration.runtime, "runtime");
    let mut part = Part {
        title: format!("{accelerator}, {runtime}"),
        ..Part::default()
    };
    let mut trend = Trend::last(store, configuration.clone(), filter, args.limit)?;
    if trend.runs.iter().filter(|run| !run.partial).count() > 1 {
        for metric in TrendMetric::ALL {
            trend.find_changes(store, metric, args.min_change)?;
            part.pictures.extend(draw_trend(&trend, None));
        }
    }
    if part.pictures.is_empty() {
        part.paragraphs
            .push("A trend needs two runs with all tests of the benchmark.".to_owned());
    }
    let runs = trend.runs;
    let whole: Vec<&TrendRun> = runs.iter().filter(|run| !run.partial).collect();
    if let [.., base, new] = whole.as_slice() {
        let options = stats::Options {
            metrics: stats::Metric::SPEEDS.to_vec(),
            min_change: args.min_change,
            ..stats::Options::default()
        };
        let read = |run: &TrendRun| NamedRun::read(store, run.id).map(|stored| vec![stored]);
        let report = compare::compare(Some(store), read(base)?, read(new)?, options)?;
        part.tables.extend(tables::comparison(&report));
    }
    let recent = runs.iter().rev().take(MAX_RECENT);
    let recent = recent.map(|run| store.read(|db| select::listed(db, run.id)));
    part.tables
        .push(tables::recent(&recent.collect::<Result<Vec<_>>>()?));
    Ok((part, runs.last().map(|run| run.measured_at)))
}

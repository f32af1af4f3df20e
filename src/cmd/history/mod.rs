//! `history`: one configuration over time.

mod chart;
mod document;

use std::io::Write;

use super::Context;
use super::compare::percent;
use super::filters::Filters;
use crate::model::{Difference, Source, Text, differences};
use crate::stats::{self, ChangePoint};
use crate::store::{Configuration, Filter, Listed, Store, runs, select, trends};
use base::{Column, Stdout, Table, color_wanted, markdown, note, printable};
use base::{Error, Result};

/// Show one configuration over time
///
/// A configuration is a model with its quantisation on one accelerator under one runtime, whatever
/// its version. It is that of RUN, else of the run measured last that the filters choose. Its runs
/// are listed as they were measured, and where the level changed (by at least --min-change, and for
/// three runs or more) what changed there: the runtime's version, the kernel, the machine.
///
/// Partial runs are listed, but count in no trend, and of more than 1000 runs changes are looked
/// for in the last 1000.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore history --model llama --accelerator 4090
  localstore history last --metric gen_tps --since 90d
  localstore history -o csv > trend.csv")]
pub struct Args {
    /// An id, 'last', 'last~N' or a tag: a run of the configuration
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Whose changes of level are looked for
    #[arg(long, value_name = "METRIC", default_value = "score")]
    metric: Metric,
    /// The smallest change of level that matters, in percent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = percent)]
    min_change: f64,
    /// The last so many runs; 0: all
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: u32,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A table for a terminal, with a chart there
    #[value(alias = "console")]
    Table,
    /// A header, and a line a run
    Csv,
    /// One object with everything
    Json,
    /// An object a run
    Jsonl,
    /// Markdown
    Md,
}

/// What a trend is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
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

impl Metric {
    /// All of them, in the order of the columns.
    pub const ALL: [Self; 4] = [Self::Score, Self::PromptTps, Self::GenTps, Self::TtftMs];

    /// Its name with its unit, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::PromptTps => "pp t/s",
            Self::GenTps => "tg t/s",
            Self::TtftMs => "ttft ms",
        }
    }

    /// The value of a run; nan for a partial run, whose averages are of other tests.
    pub fn value(self, run: &Listed) -> f64 {
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
pub struct Trend {
    /// What it is of.
    pub configuration: Configuration,
    /// The run before those that are shown: with it the level at their beginning is known better.
    before: Option<Listed>,
    /// Its runs in the order in which they were measured.
    pub runs: Vec<Listed>,
    /// Where the level of the metric changed.
    pub changes: Vec<Change>,
}

/// A change of level, and what else changed there.
pub struct Change {
    /// Where, and by how much.
    pub point: ChangePoint,
    /// In what the first run at the new level differs from the last full one before it.
    pub differences: Vec<Difference>,
}

impl Trend {
    /// The last `limit` runs that match, 0 for all; and whether there are more. Changes are still to
    /// be found.
    pub fn last(
        store: &Store,
        configuration: Configuration,
        filter: &Filter,
        limit: u32,
    ) -> Result<(Self, bool)> {
        let limit = Some(limit).filter(|&limit| limit > 0);
        // One more than is shown tells whether there are more.
        let asked = limit.map(|limit| limit.saturating_add(1));
        let mut runs = store.read(|db| trends::series(db, configuration.id, filter, asked))?;
        let cut = limit.is_some_and(|limit| runs.len() > limit as usize);
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
    pub fn find_changes(&mut self, store: &Store, metric: Metric, min_change: f64) -> Result<()> {
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
            // The first run that is shown begins the trend, whatever was before it.
            if point.index > 0 {
                self.changes.push(Change { point, differences });
            }
        }
        Ok(())
    }

    /// The values of the metric, run by run.
    pub fn values(&self, metric: Metric) -> Vec<f64> {
        self.runs.iter().map(|run| metric.value(run)).collect()
    }
}

impl Change {
    /// `+12.3%: runtime version 0.9.2 → 0.9.3, …`
    pub fn in_words(&self) -> String {
        let percent = format!("{:+.1}%", self.point.change_percent);
        if self.differences.is_empty() {
            return percent + ", nothing else is known to have changed";
        }
        format!("{percent}: {}", self.causes())
    }

    /// `runtime version 0.9.2 → 0.9.3, …`; empty if nothing else is known to have changed.
    pub fn causes(&self) -> String {
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

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let filter = Filter::from(&args.filters);
    let (configuration, others) = choose(args.run.as_deref(), &store, &filter)?;
    let machines = store.read(|db| trends::machines(db, configuration.id))?;
    let (mut trend, cut) = Trend::last(&store, configuration, &filter, args.limit)?;
    trend.find_changes(&store, args.metric, args.min_change)?;
    let out = &mut context.out;
    match args.output {
        Output::Table => print_table(&trend, args.metric, out)?,
        Output::Md => print_markdown(&trend, args.metric, out)?,
        Output::Csv => document::csv(&trend, out)?,
        Output::Json => document::json(&trend, args, out)?,
        Output::Jsonl => document::jsonl(&trend, out)?,
    }
    if cut {
        let shown = trend.runs.len();
        note(&format!(
            "runs shown: the last {shown}; '--limit 0' shows all"
        ));
    }
    if machines.len() > 1 {
        let names: Vec<String> = machines.iter().map(Text::to_string).collect();
        note(&format!(
            "these runs are of {} machines ({}): a change between two of them is no trend",
            names.len(),
            names.join(", ")
        ));
    }
    tell_others(others);
    Ok(())
}

/// Says on stderr that more configurations match than the one that is shown.
pub fn tell_others(others: usize) {
    match others {
        0 => {}
        1 => note("1 more configuration matches; '--model' and the other filters choose"),
        n => note(&format!(
            "{n} more configurations match; '--model' and the other filters choose"
        )),
    }
}

/// The configuration of the run, else the one measured last that the filters choose, and how many
/// more they choose.
pub fn choose(run: Option<&str>, store: &Store, filter: &Filter) -> Result<(Configuration, usize)> {
    if let Some(name) = run {
        if filter.is_on_configurations() {
            return Err(Error::invalid_parameter(name)
                .hint("name a run, or choose a configuration by filters, not both"));
        }
        return Ok((
            store.read(|db| trends::configuration_of(db, select::resolve(db, name)?))?,
            0,
        ));
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
    /// The change at which the run of that index is the first.
    fn change_at(&self, index: usize) -> Option<&Change> {
        self.changes
            .iter()
            .find(|change| change.point.index == index)
    }

    /// Model, accelerator and runtime.
    pub fn title(&self) -> String {
        let known = |text: &Option<Text>| text.as_ref().map(Text::to_string);
        let of = &self.configuration;
        let model = known(&of.model).unwrap_or_else(|| "unknown model".to_owned());
        let quant = known(&of.quant).map_or_else(String::new, |quant| format!(" - {quant}"));
        let accelerator =
            known(&of.accelerator).unwrap_or_else(|| "unknown accelerator".to_owned());
        let runtime = known(&of.runtime).unwrap_or_else(|| "unknown runtime".to_owned());
        format!("{model}{quant}, {accelerator}, {runtime}")
    }
}

/// The columns of runs; with the changes if there are any.
fn table(trend: &Trend) -> Table {
    let mut columns = vec![
        ("id", Column::Number),
        ("measured", Column::Whole),
        ("version", Column::Text),
        ("score", Column::Number),
        ("pp t/s", Column::Number),
        ("tg t/s", Column::Number),
        ("ttft ms", Column::Number),
    ];
    if !trend.changes.is_empty() {
        columns.push(("change", Column::Whole));
    }
    let mut table = Table::new(&columns);
    for (index, run) in trend.runs.iter().enumerate() {
        let measured = super::time(run.measured_at).unwrap_or_default();
        let version = run.runtime_version.as_ref().map(Text::to_string);
        let rounded = if run.source == Source::Console {
            "~"
        } else {
            ""
        };
        let partial = if run.partial { " partial" } else { "" };
        let summary = &run.summary;
        let mut cells = vec![
            run.id.to_string(),
            measured.get(..10).unwrap_or_default().to_owned(),
            version.unwrap_or_else(|| "?".to_owned()),
            format!("{rounded}{}{partial}", summary.listed_score()),
            two_decimals(summary.avg_prompt_tps),
            two_decimals(summary.avg_gen_tps),
            two_decimals(summary.avg_ttft_ms),
        ];
        if let Some(change) = trend.change_at(index) {
            cells.push(format!("{:+.1}%", change.point.change_percent));
        }
        table.row(&cells);
    }
    table
}

/// As the C tool prints a value; what no test measures is kept short.
fn two_decimals(value: f64) -> String {
    if value.abs() < 1e9 {
        format!("{value:.2}")
    } else {
        format!("{value:.3e}")
    }
}

fn change_lines(trend: &Trend, metric: Metric, bullet: &str) -> String {
    let lines: Vec<String> = trend
        .changes
        .iter()
        .map(|change| {
            let id = trend.runs[change.point.index].id;
            let line = format!("{} from run {id} on {}", metric.title(), change.in_words());
            let line = if bullet.is_empty() {
                printable(&line).into_owned()
            } else {
                markdown(&line)
            };
            [bullet, &line, "\n"].concat()
        })
        .collect();
    lines.concat()
}

fn print_table(trend: &Trend, metric: Metric, out: &mut Stdout) -> Result<()> {
    let width = out.width();
    let on_terminal = out.is_terminal();
    let mut text = printable(&trend.title()).into_owned() + "\n\n";
    for one in Metric::ALL {
        text += &chart::sparkline(one.title(), &trend.values(one), width);
    }
    if on_terminal {
        let changes: Vec<usize> = trend.changes.iter().map(|c| c.point.index).collect();
        let color = color_wanted();
        text += "\n";
        text += &chart::chart(
            metric.title(),
            &trend.values(metric),
            &changes,
            width,
            color,
        );
    }
    text += "\n";
    let rows = table(trend).render(width);
    text += &rows;
    if !trend.changes.is_empty() {
        text += "\n";
        text += &change_lines(trend, metric, "");
    }
    out.styled(text.as_bytes())
}

fn print_markdown(trend: &Trend, metric: Metric, out: &mut Stdout) -> Result<()> {
    let mut text = markdown(&trend.title()) + "\n\n";
    text += &table(trend).markdown();
    let changes = change_lines(trend, metric, "- ");
    if !changes.is_empty() {
        text += "\n";
        text += &changes;
    }
    out.write_all(text.as_bytes())
        .map_err(|error| Error::stdout(&error))
}

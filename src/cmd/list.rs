use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use super::Context;
use super::filters::Filters;
use super::words;
use crate::model::{SubmissionState, Text, Tool, short_device, short_quant};
use crate::store::{Filter, Listed, Sort, Store, select};
use base::rows::{self, Limit};
use base::time::{Clock, rfc3339, utc};
use base::{Column, ColumnOf, Error, Result, RowFormat, Screen, Stderr, Table};

/// List runs, most recently added first
///
/// A narrow terminal shows the columns that matter most, and always the one that is sorted by.
/// '~' stands before a score that was computed from the rounded values of a console table and before a
/// guessed date, and 'p' behind the score of a partial run: a test of the benchmark is missing, so it is
/// not comparable with others. Times are in UTC; --local shows those of this computer.
///
/// Runs of llama-bench have no score. Their pp and tg are the speeds of the first test of a prompt
/// alone and of generation alone, with the least depth; '~' stands before those of a table, which are
/// rounded. Where both tools are in the list, a column says which one measured a run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore list llama 4090
  localstore list --model llama --since 7d
  localstore list --sort tg --columns id,quant,tg,tags
  localstore list --sort score -o csv")]
pub(crate) struct Args {
    /// Runs with each of these in their model, quantisation, accelerator or a tag
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
    /// The sort order
    #[arg(long, value_name = "ORDER", default_value = "added")]
    sort: Sort,
    /// Print at most this many runs; 0 for all [default: 1000 in a table, else all]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    filters: Filters,
}

/// How a table of runs looks.
#[derive(Debug, clap::Args)]
pub(crate) struct View {
    /// The columns of a table, in this order
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<Choice>,
    /// Show times of this computer's time zone
    #[arg(long)]
    local: bool,
}

/// A column, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    Id,
    Measured,
    Tool,
    Model,
    Quant,
    Accelerator,
    Score,
    Pp,
    Tg,
    Ttft,
    Tags,
    Submission,
    All,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let default = match args.output {
        RowFormat::Table => 1000,
        _ => 0,
    };
    let limit = Limit(args.limit.unwrap_or(default));
    let filter = Filter {
        words: args.words.clone(),
        ..(&args.filters).into()
    };
    let runs = store.read(|db| select::list(db, &filter, args.sort, limit.asked()))?;
    let (runs, more) = limit.cut(runs);
    print(
        &runs,
        args.output,
        &args.view,
        args.sort,
        with_tool,
        context,
    )?;
    let guessed = runs.iter().map(|run| run.measured_guessed);
    args.filters.note_guessed(guessed, context);
    if more {
        let all = store.read(|db| select::count(db, &filter))?;
        note_more(runs.len(), all, context);
    }
    if runs.is_empty() && args.output == RowFormat::Table {
        context.out.finish()?;
        Stderr::error(&args.filters.no_match(&args.words, &store)?);
    }
    Ok(())
}

/// Says how many of the runs are shown.
pub(crate) fn note_more(shown: usize, all: u64, context: &mut Context) {
    context.note(&format!("{shown} of {all}; '--limit 0' shows all"));
}

/// Prints runs, in this order, and what their marks mean; for programs, these rows.
pub(crate) fn print<R: Serialize + Default>(
    runs: &[Listed],
    format: RowFormat,
    view: &View,
    sort: Sort,
    row: fn(&Listed) -> R,
    context: &mut Context,
) -> Result<()> {
    let screen = match format {
        RowFormat::Table => context.out.screen(),
        RowFormat::Md => Screen::default(),
        _ if view.columns.is_empty() => {
            return rows::write(runs, format, &[], row, &mut context.out);
        }
        _ => {
            let hint = "csv, json and jsonl have all fields";
            return Err(Error::invalid_parameter("--columns").hint(hint));
        }
    };
    if runs.is_empty() && format == RowFormat::Table {
        return Ok(());
    }
    let (table, columns) = table(runs, view, sort, screen);
    let text = match format {
        RowFormat::Md => table.markdown(),
        _ => table.render(screen),
    };
    context.out.styled(text.as_bytes())?;
    let any = |column, has: fn(&Listed) -> bool| columns.contains(&column) && runs.iter().any(has);
    let is_about = any(Choice::Score, |run| words::score(run).starts_with('~'))
        || any(Choice::Pp, |run| {
            (words::PROMPT_TPS.2)(run).starts_with('~')
        })
        || any(Choice::Tg, |run| (words::GEN_TPS.2)(run).starts_with('~'))
        || any(Choice::Measured, |run| run.measured_guessed);
    let is_partial = any(Choice::Score, |run| run.partial);
    note_marks(is_about, is_partial, context);
    if view.columns.is_empty() && screen.width.is_some() {
        let all = [Choice::Measured].into_iter();
        let all = all.chain(least_important(runs).rev().map(|(choice, _)| choice));
        let hidden = all.filter(|choice| !columns.contains(choice) && !is_empty(*choice, runs));
        let hidden: Vec<&str> = hidden.map(name).collect();
        if !hidden.is_empty() {
            let hidden = hidden.join(", ");
            context.note(&format!("hidden: {hidden}; '--columns all' shows them"));
        }
    }
    Ok(())
}

/// Notes what the marks in a table mean.
pub(crate) fn note_marks(is_about: bool, is_partial: bool, context: &mut Context) {
    let marks = marks(is_about, is_partial);
    if !marks.is_empty() {
        context.note(&marks);
    }
}

/// What the marks in a table mean.
pub(crate) fn marks(is_about: bool, is_partial: bool) -> String {
    let marks = [
        is_about.then_some(ABOUT),
        is_partial.then_some("p partial, not comparable"),
    ];
    marks.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What the mark `~` means.
pub(crate) const ABOUT: &str = "~ about (rounded, or a guessed date)";

/// The columns, as they stand from left to right.
const COLUMNS: [Choice; 12] = [
    Choice::Id,
    Choice::Measured,
    Choice::Tool,
    Choice::Model,
    Choice::Quant,
    Choice::Accelerator,
    Choice::Score,
    Choice::Pp,
    Choice::Tg,
    Choice::Ttft,
    Choice::Tags,
    Choice::Submission,
];

/// Those that can be left out, the least important first, and the width from which on each is there.
const LEAST_IMPORTANT: [(Choice, usize); 8] = [
    (Choice::Ttft, 121),
    (Choice::Pp, 100),
    (Choice::Tg, 100),
    (Choice::Submission, 100),
    (Choice::Tags, NAMES),
    (Choice::Tool, NAMES),
    (Choice::Model, NAMES),
    (Choice::Accelerator, NAMES),
];

/// Those that can be left out for these runs: what there is instead of a score is not among them.
fn least_important(runs: &[Listed]) -> impl DoubleEndedIterator<Item = (Choice, usize)> {
    let is_needed = runs.iter().any(|run| run.tool == Tool::LlamaBench);
    let all = LEAST_IMPORTANT.into_iter();
    all.filter(move |(choice, _)| *choice != Choice::Tg || !is_needed)
}

/// The width that has room for names. Below it, what is sorted by takes the place of the time.
const NAMES: usize = 48;

/// Whether the column tells nothing about these runs.
fn is_empty(column: Choice, runs: &[Listed]) -> bool {
    match column {
        Choice::Tool => runs.windows(2).all(|pair| pair[0].tool == pair[1].tool),
        Choice::Score | Choice::Ttft => runs.iter().all(|run| run.tool == Tool::LlamaBench),
        Choice::Tags => runs.iter().all(|run| run.tags.is_empty()),
        Choice::Submission => runs.iter().all(|run| run.submission.is_none()),
        _ => false,
    }
}

/// The table, and its columns: those that are asked for, else those that the screen has room for.
fn table(runs: &[Listed], view: &View, sort: Sort, screen: Screen) -> (Table, Vec<Choice>) {
    let key = match sort {
        Sort::Added => Choice::Id,
        Sort::Date => Choice::Measured,
        Sort::Model => Choice::Model,
        Sort::Quant => Choice::Quant,
        Sort::Accelerator => Choice::Accelerator,
        Sort::Score => Choice::Score,
        Sort::Pp => Choice::Pp,
        Sort::Tg => Choice::Tg,
        Sort::Ttft => Choice::Ttft,
    };
    let in_the_way = match key {
        Choice::Id | Choice::Measured | Choice::Quant | Choice::Score => 0,
        _ => NAMES,
    };
    let is_in = |choice, width| match least_important(runs).find(|(other, _)| *other == choice) {
        _ if choice == key => true,
        _ if is_empty(choice, runs) => false,
        Some((_, from)) => width >= from,
        None => choice != Choice::Measured || width >= in_the_way,
    };
    let mut columns = match (view.columns.as_slice(), screen.width) {
        ([], Some(width)) => {
            let columns = COLUMNS.into_iter();
            columns.filter(|&choice| is_in(choice, width)).collect()
        }
        (chosen, _) if chosen.is_empty() || chosen.contains(&Choice::All) => {
            let is_in = |choice: &Choice| *choice != Choice::Tool || !is_empty(*choice, runs);
            COLUMNS.into_iter().filter(is_in).collect()
        }
        (chosen, _) => chosen.to_vec(),
    };
    let can_go = least_important(runs).map(|(choice, _)| choice);
    let can_go: Vec<&str> = can_go.filter(|&choice| choice != key).map(head).collect();
    let is_tight = screen.width.is_some_and(|width| width < NAMES)
        && runs.iter().any(|run| run.tool == Tool::LlamaBench)
        && [Choice::Measured, Choice::Tg]
            .iter()
            .all(|choice| columns.contains(choice));
    // What measured a run matters more than the time of day.
    for has_times in [!is_tight, false] {
        let (table, left_out) = lay_out(&columns, runs, view, (screen, has_times), &can_go);
        if !left_out.contains(&head(Choice::Tool)) {
            columns.retain(|&choice| !left_out.contains(&head(choice)));
            return (table, columns);
        }
    }
    columns.retain(|&choice| choice != Choice::Tool);
    let (table, left_out) = lay_out(&columns, runs, view, (screen, !is_tight), &can_go);
    columns.retain(|&choice| !left_out.contains(&head(choice)));
    (table, columns)
}

/// A table with these columns, and those of them for which the screen has no room.
fn lay_out(
    columns: &[Choice],
    runs: &[Listed],
    view: &View,
    (screen, has_times): (Screen, bool),
    can_go: &[&'static str],
) -> (Table, Vec<&'static str>) {
    let mut table = Table::new::<&str>(&[]);
    let accelerator = if columns.contains(&Choice::Tool) {
        ACCELERATOR_OF_TOOL
    } else {
        ACCELERATOR
    };
    for &choice in columns {
        match choice {
            Choice::Measured => {
                let (head, cells) = measured(runs, view.local, has_times);
                table.column(&head, Column::Whole, cells.into_iter());
            }
            Choice::Accelerator => {
                let cells = runs.iter().map(|run| short(&run.accelerator, short_device));
                table.column(head(choice), Column::Short(accelerator), cells);
            }
            _ => add_column(&mut table, choice, runs, view),
        }
    }
    let left_out = match view.columns.as_slice() {
        [] => table.leave_out(screen, can_go),
        _ => Vec::new(),
    };
    (table, left_out)
}

fn short(text: &Option<Text>, short: fn(&str) -> String) -> String {
    text.as_ref()
        .map_or_else(|| "?".to_owned(), |text| short(&text.display()))
}

fn name(column: Choice) -> &'static str {
    match column {
        Choice::Pp => "pp",
        Choice::Tg => "tg",
        Choice::Ttft => "ttft",
        other => head(other),
    }
}

fn head(column: Choice) -> &'static str {
    match column {
        Choice::Id => "id",
        Choice::Measured => "measured",
        Choice::Tool => "tool",
        Choice::Model => "model",
        Choice::Quant => "quant",
        Choice::Accelerator => "accelerator",
        Choice::Score => "score",
        Choice::Pp => words::PROMPT_TPS.0,
        Choice::Tg => words::GEN_TPS.0,
        Choice::Ttft => words::TTFT_MS.0,
        Choice::Tags => "tags",
        Choice::Submission => "submission",
        Choice::All => "",
    }
}

/// The widest quantisation that is not cut where columns are chosen.
const QUANT: usize = 12;

/// The width of an accelerator's name on a screen, and that beside a column more.
const ACCELERATOR: usize = 15;
const ACCELERATOR_OF_TOOL: usize = 11;

fn add_column(table: &mut Table, column: Choice, runs: &[Listed], view: &View) {
    let mut add = |(head, layout, cell): ColumnOf<Listed>| {
        table.column(head, layout, runs.iter().map(cell));
    };
    match column {
        Choice::Id => add(words::ID),
        Choice::Tool => add(("tool", Column::Whole, |run| run.tool.title().to_owned())),
        Choice::Model => add(("model", Column::Text, |run| {
            let name = words::model_name(run.tool, &run.model, &run.quant);
            name.unwrap_or_else(|| "?".to_owned())
        })),
        Choice::Quant => {
            let cells: Vec<String> = runs
                .iter()
                .map(|run| short(&run.quant, short_quant))
                .collect();
            // Where the columns are not chosen, all others that can be cut are left out first.
            let can_be_cut = view.columns.is_empty();
            let is_wide = cells.iter().any(|cell| cell.chars().count() > QUANT);
            let layout = if can_be_cut || is_wide {
                Column::Text
            } else {
                Column::Whole
            };
            table.column(head(column), layout, cells.into_iter());
        }
        Choice::Score => add(words::SCORE),
        Choice::Pp => add(words::PROMPT_TPS),
        Choice::Tg => add(words::GEN_TPS),
        Choice::Ttft => add(words::TTFT_MS),
        Choice::Tags => add(("tags", Column::Text, |run| run.tags.join(" "))),
        Choice::Submission => add(("submission", Column::Whole, submission_cell)),
        Choice::Measured | Choice::Accelerator | Choice::All => {}
    }
}

/// The head and the cells of the column of dates; times too if there may be some, where two runs of a
/// model on an accelerator share a day.
fn measured(runs: &[Listed], is_local: bool, has_times: bool) -> (String, Vec<String>) {
    let clock = if is_local {
        Clock::local()
    } else {
        Clock::utc()
    };
    let times: Vec<String> = runs
        .iter()
        .map(|run| clock.minute(run.measured_at))
        .collect();
    let date = |time: &str| time.split(' ').next().unwrap_or_default().to_owned();
    let mut days = HashSet::new();
    let share_a_day = has_times
        && runs
            .iter()
            .zip(&times)
            .any(|(run, time)| !days.insert((&run.model, &run.accelerator, date(time))));
    let has_guesses = runs.iter().any(|run| run.measured_guessed);
    let cells = runs.iter().zip(&times).map(|(run, time)| {
        let mark = match has_guesses {
            true if run.measured_guessed => "~",
            true => " ",
            false => "",
        };
        let time = if share_a_day {
            time.clone()
        } else {
            date(time)
        };
        format!("{mark}{time}")
    });
    let mut head = format!("{}measured", if has_guesses { " " } else { "" });
    if is_local {
        let names: BTreeSet<String> = runs.iter().map(|run| clock.name(run.measured_at)).collect();
        let names: Vec<String> = names.into_iter().collect();
        let _ = write!(head, " ({})", names.join("/"));
    }
    (head, cells.collect())
}

/// The state of the submission of a run, with the time where the state is unknown.
fn submission_cell(run: &Listed) -> String {
    run.submission
        .as_ref()
        .map_or_else(String::new, |submission| {
            match (submission.state, submission.changed_at.get(..16)) {
                (SubmissionState::Unknown, Some(minute)) => format!("unknown {minute}"),
                (state, _) => state.name().to_owned(),
            }
        })
}

/// A run in the formats for programs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    id: i64,
    measured_at: String,
    added_at: Option<String>,
    model: Option<String>,
    quant: Option<String>,
    accelerator: Option<String>,
    runtime: Option<String>,
    runtime_version: Option<String>,
    score: Option<f64>,
    avg_prompt_tps: Option<f64>,
    avg_gen_tps: Option<f64>,
    avg_ttft_ms: Option<f64>,
    tests: i64,
    partial: bool,
    rounded: bool,
    tags: Vec<String>,
    link: Option<String>,
    submission: &'static str,
    submission_site: Option<String>,
    submission_changed_at: Option<String>,
    submission_attempts: i64,
    submission_reason: Option<String>,
    /// The kind of capture it came from; `site` if the LocalScore site inserted it.
    source: &'static str,
    measured_guessed: bool,
    /// The tool that measured it, where there may be another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'static str>,
}

/// A run in the formats for programs, with its tool.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct WithTool(Row);

impl Default for WithTool {
    fn default() -> Self {
        Self(Row {
            tool: Some(""),
            ..Row::default()
        })
    }
}

pub(crate) fn with_tool(run: &Listed) -> WithTool {
    WithTool(Row {
        tool: Some(run.tool.name()),
        ..row(run)
    })
}

pub(crate) fn row(run: &Listed) -> Row {
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let submission = run.submission.as_ref();
    Row {
        id: run.id,
        measured_at: utc(run.measured_at).unwrap_or_default(),
        added_at: run.added_at.as_deref().map(rfc3339),
        model: text(&run.model),
        quant: text(&run.quant),
        accelerator: text(&run.accelerator),
        runtime: text(&run.runtime),
        runtime_version: text(&run.runtime_version),
        score: run.figures.score,
        avg_prompt_tps: run.figures.prompt_tps,
        avg_gen_tps: run.figures.gen_tps,
        avg_ttft_ms: run.figures.ttft_ms,
        tests: run.tests,
        partial: run.partial,
        rounded: run.source.is_rounded(),
        tags: run.tags.clone(),
        link: run.link.clone(),
        submission: submission.map_or("never", |submission| submission.state.name()),
        submission_site: submission.and_then(|submission| submission.site.clone()),
        submission_changed_at: submission.map(|submission| rfc3339(&submission.changed_at)),
        submission_attempts: submission.map_or(0, |submission| submission.attempts),
        submission_reason: submission.and_then(|submission| submission.reason.clone()),
        source: run.source.name(),
        measured_guessed: run.measured_guessed,
        tool: None,
    }
}

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use base::time::Clock;
use base::{
    Column, Result, RowFormat, Screen, Stdout, Table, counted, printable, rows, write_atomically,
};
use picture::{Caption, Course, CourseLine, CoursePoint, Series};
use serde::Serialize;

use super::eval::print_table;
use super::show::{agent, duration};
use super::{Context, short, span, suite_head};
use crate::eval::{Outcome, Report};
use crate::model::{Time, Trace, Turn};

/// Show how tests, time and tokens went, turn by turn
///
/// Each row says what was true at the end of a turn: the time since the beginning, the tokens so far, and
/// the tests that passed in each suite. The counts are those of the last 'trace eval'; without one, those of
/// the tests that the agent ran itself, the last of each suite.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace analyze last --svg tests.svg")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// Draw the passed tests of each suite by part into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
}

/// The tests of a trajectory, wherever they are from.
struct Results {
    /// The names of the suites, in their order.
    suites: Vec<String>,
    /// What each suite found, by the part from which on that holds.
    outcomes: Vec<BTreeMap<u64, Outcome>>,
    /// Where that is from, in words.
    source: String,
}

/// A turn, and what was true at its end.
struct Line<'a> {
    turn: &'a Turn,
    elapsed_ms: Option<u64>,
    tokens: Option<(u64, u64)>,
    /// Of each suite, if it has an outcome by then.
    outcomes: Vec<Option<&'a Outcome>>,
}

/// A turn for programs.
#[derive(Debug, Serialize)]
struct Document<'a> {
    turn: u64,
    part_start: Option<u64>,
    part_end: Option<u64>,
    commit: Option<&'a str>,
    elapsed_ms: Option<u64>,
    tokens_input: Option<u64>,
    tokens_output: Option<u64>,
    suites: BTreeMap<&'a str, Option<&'a Outcome>>,
    passed: u64,
    total: u64,
}

/// A suite at the end of a turn, in csv.
#[derive(Debug, Default, Serialize)]
struct Row<'a> {
    turn: u64,
    part_start: Option<u64>,
    part_end: Option<u64>,
    commit: Option<&'a str>,
    elapsed_ms: Option<u64>,
    tokens_input: Option<u64>,
    tokens_output: Option<u64>,
    suite: &'a str,
    ok: Option<bool>,
    passed: Option<u64>,
    failed: Option<u64>,
    total: Option<u64>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let folder = context.root.find(&args.id)?;
    let trace = Trace::read(&folder.trace())?;
    let results = match Report::read(&folder) {
        Some(report) => of_report(report),
        None => of_calls(&trace),
    };
    let lines = lines(&trace, &results);
    print(&trace, &results, &lines, args.output, context.out)?;
    if let Some(path) = &args.svg {
        draw(&trace, &results, path)?;
    }
    Ok(())
}

/// What the last evaluation found.
fn of_report(report: Report) -> Results {
    let outcomes = |suite: &String| {
        let outcomes = report.outcomes(suite);
        outcomes
            .map(|(part, found)| (part, found.clone()))
            .collect()
    };
    let time = Time::parse(&report.generated_at);
    let time = time.map_or_else(String::new, |time| {
        format!(" of {}", Clock::utc().minute(time.0.as_second()))
    });
    Results {
        outcomes: report.input.test_paths.iter().map(outcomes).collect(),
        suites: report.input.test_paths,
        source: format!("as the evaluation{time} found"),
    }
}

/// What the agent's own test calls found.
fn of_calls(trace: &Trace) -> Results {
    let mut suites: Vec<String> = Vec::new();
    let mut outcomes: Vec<BTreeMap<u64, Outcome>> = Vec::new();
    for part in &trace.parts {
        for call in &part.envoi_calls {
            let known = suites.iter().position(|suite| *suite == call.path);
            let index = known.unwrap_or(suites.len());
            if known.is_none() {
                suites.push(call.path.clone());
                outcomes.push(BTreeMap::new());
            }
            let outcome = match &call.result {
                Some(counts) => Outcome::of(counts.passed, counts.failed, counts.total),
                None => Outcome::error("the call has no counts"),
            };
            if let Some(outcomes) = outcomes.get_mut(index) {
                outcomes.insert(part.part, outcome);
            }
        }
    }
    Results {
        suites,
        outcomes,
        source: "as the agent's own calls say".to_owned(),
    }
}

impl Results {
    /// The outcome of each suite as of this part.
    fn at(&self, part: u64) -> impl Iterator<Item = Option<&Outcome>> {
        self.outcomes
            .iter()
            .map(move |outcomes| Some(outcomes.range(..=part).next_back()?.1))
    }
}

/// The sums of passed tests and of all.
fn sums<'a>(outcomes: impl Iterator<Item = Option<&'a Outcome>>) -> (u64, u64) {
    outcomes
        .flatten()
        .fold((0, 0), |(passed, total): (u64, u64), outcome| {
            (
                passed.saturating_add(outcome.passed),
                total.saturating_add(outcome.total),
            )
        })
}

fn lines<'a>(trace: &'a Trace, results: &'a Results) -> Vec<Line<'a>> {
    let mut tokens: Option<(u64, u64)> = None;
    let mut last_part = 0;
    let turns = trace.turns.iter().map(|turn| {
        if let Some(usage) = &turn.token_usage {
            let (input, output) = tokens.unwrap_or_default();
            tokens = Some((
                input.saturating_add(usage.tokens.input),
                output.saturating_add(usage.tokens.output),
            ));
        }
        last_part = turn.part_end.unwrap_or(last_part);
        let part = turn.part_end.and_then(|part| trace.part(part));
        let end = part.map_or(turn.timestamp, |part| part.timestamp);
        Line {
            turn,
            elapsed_ms: end.milliseconds_since(trace.started_at),
            tokens,
            outcomes: results.at(last_part).collect(),
        }
    });
    turns.collect()
}

impl Line<'_> {
    fn parts(&self) -> String {
        match (self.turn.part_start, self.turn.part_end) {
            (Some(first), Some(last)) => span(first, last),
            _ => "-".to_owned(),
        }
    }

    fn passed(&self) -> String {
        match sums(self.outcomes.iter().copied()) {
            (0, 0) if self.outcomes.iter().all(Option::is_none) => String::new(),
            (passed, total) => format!("{passed}/{total}"),
        }
    }

    fn document<'a>(&'a self, results: &'a Results) -> Document<'a> {
        let (passed, total) = sums(self.outcomes.iter().copied());
        let suites = results.suites.iter().map(String::as_str);
        Document {
            turn: self.turn.turn,
            part_start: self.turn.part_start,
            part_end: self.turn.part_end,
            commit: self.turn.git_commit.as_deref(),
            elapsed_ms: self.elapsed_ms,
            tokens_input: self.tokens.map(|(input, _)| input),
            tokens_output: self.tokens.map(|(_, output)| output),
            suites: suites.zip(self.outcomes.iter().copied()).collect(),
            passed,
            total,
        }
    }

    /// A row for each suite; one without a suite if there is none.
    fn rows<'a>(&'a self, results: &'a Results) -> Vec<Row<'a>> {
        let row = |suite, outcome: Option<&Outcome>| Row {
            turn: self.turn.turn,
            part_start: self.turn.part_start,
            part_end: self.turn.part_end,
            commit: self.turn.git_commit.as_deref(),
            elapsed_ms: self.elapsed_ms,
            tokens_input: self.tokens.map(|(input, _)| input),
            tokens_output: self.tokens.map(|(_, output)| output),
            suite,
            ok: outcome.map(|outcome| outcome.ok),
            passed: outcome.map(|outcome| outcome.passed),
            failed: outcome.map(|outcome| outcome.failed),
            total: outcome.map(|outcome| outcome.total),
        };
        let suites = results.suites.iter().zip(&self.outcomes);
        let rows: Vec<Row<'_>> = suites
            .map(|(suite, outcome)| row(suite, *outcome))
            .collect();
        if rows.is_empty() {
            vec![row("", None)]
        } else {
            rows
        }
    }
}

fn print(
    trace: &Trace,
    results: &Results,
    lines: &[Line<'_>],
    format: RowFormat,
    out: &mut Stdout,
) -> Result<()> {
    let documents = || lines.iter().map(|line| line.document(results));
    match format {
        RowFormat::Json => rows::json(&documents().collect::<Vec<_>>(), out)?,
        RowFormat::Jsonl => rows::jsonl(documents(), out)?,
        RowFormat::Csv => rows::csv(lines.iter().flat_map(|line| line.rows(results)), out)?,
        RowFormat::Md => out.write_all(
            table(lines, results, Screen::default())
                .markdown()
                .as_bytes(),
        )?,
        RowFormat::Table => {
            let answer = answer(trace, results);
            let answer = out.screen().fold(&printable(&answer));
            out.styled(format!("{answer}\n").as_bytes())?;
            if !lines.is_empty() {
                out.styled(b"\n")?;
                let table = table(lines, results, out.screen());
                print_table(table, &results.suites, out)?;
            }
        }
    }
    Ok(())
}

/// How many tests pass at the end.
fn answer(trace: &Trace, results: &Results) -> String {
    let last = trace.part_count();
    if results.suites.is_empty() {
        let parts = counted(last, "part");
        return format!("no tests are recorded in {parts}; 'localstore trace eval' runs some");
    }
    let (passed, total) = sums(results.at(last));
    let tests = counted(total, "test");
    let pass = if total == 1 { "passes" } else { "pass" };
    format!(
        "{passed} of {tests} {pass} at part {last}, {}",
        results.source
    )
}

fn table(lines: &[Line<'_>], results: &Results, screen: Screen) -> Table {
    let mut table = Table::new(&[
        ("turn", Column::Number),
        ("parts", Column::Whole),
        ("commit", Column::Whole),
        ("elapsed", Column::Number),
        ("tokens in/out", Column::Number),
    ]);
    for line in lines {
        let tokens = line.tokens;
        table.row(&[
            line.turn.turn.to_string(),
            line.parts(),
            line.turn
                .git_commit
                .as_deref()
                .map_or("-", short)
                .to_owned(),
            line.elapsed_ms.map_or_else(String::new, duration),
            tokens.map_or_else(String::new, |(input, output)| {
                format!("{}/{}", amount(input), amount(output))
            }),
        ]);
    }
    for (index, suite) in results.suites.iter().enumerate() {
        let cell = |line: &Line<'_>| {
            let outcome = line.outcomes.get(index).copied().flatten();
            outcome.map_or_else(String::new, Outcome::counts)
        };
        table.column(
            &suite_head(suite, screen),
            Column::Number,
            lines.iter().map(cell),
        );
    }
    if !results.suites.is_empty() {
        table.column("total", Column::Number, lines.iter().map(Line::passed));
    }
    table
}

/// A number of tokens: `950`, `12k`, `1.2M`.
fn amount(tokens: u64) -> String {
    match tokens {
        0..1000 => tokens.to_string(),
        1000..999_500 => format!("{}k", (tokens + 500) / 1000),
        _ => {
            let tenths = tokens.saturating_add(50_000) / 100_000;
            format!("{}.{}M", tenths / 10, tenths % 10)
        }
    }
}

/// Draws the passed tests by part.
fn draw(trace: &Trace, results: &Results, path: &std::path::Path) -> Result<()> {
    let last = trace.part_count();
    let lines = results.suites.iter().zip(&results.outcomes);
    let lines = lines.map(|(suite, outcomes)| {
        let counts = outcomes.range(..=last).next_back();
        let key = counts.map_or_else(String::new, |(_, outcome)| outcome.counts());
        let point = |(part, outcome): (&u64, &Outcome)| CoursePoint {
            part: *part,
            value: passed(outcome),
            shown: outcome.counts(),
        };
        let series = Series {
            name: suite.clone(),
            key,
        };
        let points = outcomes.iter().map(point).collect();
        CourseLine { series, points }
    });
    let course = Course {
        caption: Caption {
            title: format!("{}: {}", agent(trace), trace.origin.trajectory_id),
            sentence: answer(trace, results),
            note: String::new(),
        },
        unit: "passed tests, more is better".to_owned(),
        parts: last,
        lines: lines.collect(),
    };
    let Some(picture) = course.draw() else {
        return Err(
            base::Error::new(path.display(), "there are no tests to draw")
                .hint("localstore trace eval ID --suite NAME=CMD"),
        );
    };
    let document = picture.document();
    write_atomically(path, |file| Ok(file.write_all(document.as_bytes())?))
}

/// The number of passed tests as a value to draw; none if the suite could not run.
#[allow(clippy::cast_precision_loss, reason = "it is drawn only")]
fn passed(outcome: &Outcome) -> f64 {
    match outcome.error {
        None => outcome.passed as f64,
        Some(_) => f64::NAN,
    }
}

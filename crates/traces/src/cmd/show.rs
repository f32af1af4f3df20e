use std::io::Write;

use base::time::Clock;
use base::{Column, Markup, Result, Table, counted, one_line, printable, rows};
use serde::Serialize;
use serde_json::Value;

use super::{Context, Output, part_of};
use crate::events::lines_of;
use crate::index::{Row, Version};
use crate::model::{Artifacts, Part, SessionEnd, Trace, Turn};
use crate::place::Folder;
use crate::record::is_recorded;
use crate::stream::PartType;

/// Show a trajectory by turns, or one part in full
///
/// With '--part' the lines are printed that the agent wrote about the part, without secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore trace show last
  localstore trace show last --part 12")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// The number of a part
    #[arg(long, value_name = "PART")]
    part: Option<u64>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

/// A trajectory for programs: all but its parts.
#[derive(Debug, Serialize)]
struct Document<'a> {
    trajectory_id: &'a str,
    session_id: &'a str,
    agent: &'a str,
    agent_model: &'a str,
    started_at: String,
    parts: u64,
    commits: u64,
    solved: u64,
    required: u64,
    turns: &'a [Turn],
    artifacts: &'a Artifacts,
    session_end: &'a Option<SessionEnd>,
}

/// A part for programs.
#[derive(Debug, Serialize)]
struct PartDocument<'a> {
    part: &'a Part,
    /// The agent's own lines; empty if they were not kept.
    events: Vec<Value>,
}

/// The most characters of the agent's lines that are printed for people.
const LONGEST: usize = 64 << 10;

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let folder = context.root.find(&args.id)?;
    let trace = Trace::read(&folder.trace())?;
    match (args.part, args.output) {
        (None, Output::Text) => show(&folder, &trace, context),
        (None, Output::Json) => {
            let row = Row::of(&trace, Version::default());
            let document = Document {
                trajectory_id: &trace.origin.trajectory_id,
                session_id: &trace.origin.session_id,
                agent: &trace.origin.agent,
                agent_model: &trace.origin.agent_model,
                started_at: row.started_at,
                parts: row.parts,
                commits: row.commits,
                solved: row.solved,
                required: row.required,
                turns: &trace.turns,
                artifacts: &trace.artifacts,
                session_end: &trace.session_end,
            };
            rows::json(&document, context.out)
        }
        (Some(number), output) => {
            let part = part_of(&trace, number)?;
            let lines = lines_of(&folder, &trace, number);
            match output {
                Output::Text => show_part(&trace, part, lines, context),
                Output::Json => {
                    let events = lines?.unwrap_or_default();
                    rows::json(&PartDocument { part, events }, context.out)
                }
            }
        }
    }
}

/// Shows the trajectory: how it ended, where it is, and its turns.
fn show(folder: &Folder, trace: &Trace, context: &mut Context) -> Result<()> {
    let screen = context.out.screen();
    let row = Row::of(trace, Version::default());
    let tested = match (row.solved, row.required) {
        (0, 0) => String::new(),
        (solved, 0) => format!(", {} solved", counted(solved, "suite")),
        (solved, required) => format!(", {solved} of {} solved", counted(required, "suite")),
    };
    let parts = counted(row.parts, "part");
    let turns = counted(row.turns, "turn");
    let answer = format!(
        "{}: {}{tested}: {parts}, {turns}, {}",
        folder.id,
        end(folder, trace),
        counted(row.commits, "commit"),
    );
    let from = Clock::local().minute(trace.started_at.0.as_second());
    let last = trace.parts.last().map(|part| part.timestamp);
    let elapsed = last
        .and_then(|last| last.milliseconds_since(trace.started_at))
        .map_or(String::new(), |passed| format!(", {}", duration(passed)));
    let session = match trace.origin.session_id.as_str() {
        "" => String::new(),
        session => format!(", session {session}"),
    };
    let lines = [
        answer,
        format!("{}{session}, {from}{elapsed}", agent(trace)),
        format!("in {}", folder.path.display()),
    ];
    let text: String = lines
        .iter()
        .map(|line| Markup::Text(screen).item(line))
        .collect();
    context.out.styled(text.as_bytes())?;
    if trace.turns.is_empty() {
        return Ok(());
    }
    let table = Table::of(
        &trace
            .turns
            .iter()
            .map(|turn| Shown { turn, trace })
            .collect::<Vec<_>>(),
        &[
            ("turn", Column::Number, |shown| shown.turn.turn.to_string()),
            ("parts", Column::Number, |shown| {
                let range = shown.turn.part_start.zip(shown.turn.part_end);
                range.map_or("-".to_owned(), |(start, end)| {
                    if start == end {
                        start.to_string()
                    } else {
                        format!("{start}-{end}")
                    }
                })
            }),
            ("at", Column::Number, |shown| {
                let passed = shown
                    .turn
                    .timestamp
                    .milliseconds_since(shown.trace.started_at);
                passed.map_or(String::new(), duration)
            }),
            ("files", Column::Number, Shown::changed_files),
            ("tests", Column::Number, Shown::tests),
            ("tokens in", Column::Number, |shown| {
                shown.tokens(|usage| usage.input)
            }),
            ("out", Column::Number, |shown| {
                shown.tokens(|usage| usage.output)
            }),
            ("prompt", Column::Text, |shown| {
                one_line(shown.turn.prompt.as_deref().unwrap_or_default(), 240)
            }),
        ],
    );
    let text = format!("\n{}", table.render(screen));
    context.out.styled(text.as_bytes())
}

/// A turn as it is shown.
struct Shown<'a> {
    turn: &'a Turn,
    trace: &'a Trace,
}

impl Shown<'_> {
    fn parts(&self) -> impl DoubleEndedIterator<Item = &Part> {
        let range = self.turn.part_start.zip(self.turn.part_end);
        self.trace.parts.iter().filter(move |part| {
            range.is_some_and(|(start, end)| (start..=end).contains(&part.part))
        })
    }

    /// How many files it changed, each counted once.
    fn changed_files(&self) -> String {
        let files = self
            .parts()
            .filter_map(|part| part.repo_checkpoint.as_ref())
            .flat_map(|checkpoint| &checkpoint.changed_files);
        match files.collect::<std::collections::HashSet<_>>().len() {
            0 => String::new(),
            count => count.to_string(),
        }
    }

    /// The counts of its last test call.
    fn tests(&self) -> String {
        let mut calls = self
            .parts()
            .rev()
            .filter_map(|part| part.envoi_calls.last());
        match calls.next().map(|call| &call.result) {
            Some(Some(counts)) => format!("{}/{}", counts.passed, counts.total),
            Some(None) => "error".to_owned(),
            None => String::new(),
        }
    }

    fn tokens(&self, of: fn(&crate::stream::TokenUsage) -> u64) -> String {
        let usage = self.turn.token_usage.as_ref();
        usage.map_or(String::new(), |usage| of(&usage.tokens).to_string())
    }
}

/// How it ended, in words.
fn end(folder: &Folder, trace: &Trace) -> String {
    match &trace.session_end {
        Some(end) => end.reason.word().replace('_', " "),
        None if is_recorded(folder) => "running".to_owned(),
        None => "unfinished".to_owned(),
    }
}

pub(super) fn agent(trace: &Trace) -> String {
    match trace.origin.agent_model.as_str() {
        "" => trace.origin.agent.clone(),
        model => format!("{} with {model}", trace.origin.agent),
    }
}

/// `12.3 s`, `4 min 5 s`, `2 h 7 min`.
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Shows a part: what it is, what it left, and the lines of the agent.
fn show_part(
    trace: &Trace,
    part: &Part,
    events: Result<Option<Vec<Value>>>,
    context: &mut Context,
) -> Result<()> {
    let screen = context.out.screen();
    let kind = part.part_type.map_or("placeholder", PartType::word);
    let item = part.item_type.as_deref().filter(|item| *item != kind);
    let item = item.map_or(String::new(), |item| format!(" {item}"));
    let of = trace.part_count();
    let mut lines = vec![format!("part {} of {of}: {kind}{item}", part.part)];
    let time = Clock::local().minute(part.timestamp.0.as_second());
    let took = part.duration_ms.map(duration);
    let took = took.map_or(String::new(), |took| {
        format!(", {took} after the part before")
    });
    lines.push(format!("at {time}{took}"));
    if let Some(summary) = &part.summary {
        lines.push(format!("summary: {summary}"));
    }
    if let Some(commit) = &part.git_commit {
        lines.push(format!("commit {commit}"));
    }
    if let Some(checkpoint) = &part.repo_checkpoint {
        let not = if checkpoint.committed {
            ""
        } else {
            ", not committed"
        };
        let files = counted(checkpoint.changed_files.len() as u64, "file");
        lines.push(format!("changed {files}{not}"));
        let files = checkpoint.changed_files.iter();
        lines.extend(files.map(|file| format!("  {file}")));
    }
    for call in &part.envoi_calls {
        let result = match (&call.result, &call.error) {
            (Some(counts), _) => format!("{} of {} passed", counts.passed, counts.total),
            (None, Some(error)) => error.clone(),
            (None, None) => format!("status {}", call.status_code),
        };
        lines.push(format!("test call {}: {result}", call.path));
    }
    let mut text = String::new();
    for line in lines {
        text += &Markup::Text(screen).item(&line);
    }
    context.out.styled(text.as_bytes())?;
    let events = match events {
        Ok(Some(events)) if !events.is_empty() => events,
        Ok(Some(_)) => {
            context.out.note("events.jsonl has no lines of this part");
            return Ok(());
        }
        Ok(None) => {
            context
                .out
                .note("the agent's lines were not kept: there is no events.jsonl");
            return Ok(());
        }
        Err(error) => {
            context.out.note(&error.to_string());
            return Ok(());
        }
    };
    let mut pretty = String::new();
    for event in &events {
        pretty += "\n";
        pretty += &serde_json::to_string_pretty(event)?;
        pretty += "\n";
    }
    // A pipe gets everything as it is.
    if !context.out.is_terminal() {
        return Ok(context.out.write_all(pretty.as_bytes())?);
    }
    let cut = pretty.char_indices().nth(LONGEST).map(|(end, _)| end);
    for line in pretty[..cut.unwrap_or(pretty.len())].lines() {
        writeln!(context.out, "{}", printable(line))?;
    }
    if let Some(end) = cut {
        let rest = pretty.len() - end;
        context.out.note(&format!(
            "{rest} bytes more are not shown; '-o json' has all"
        ));
    }
    Ok(())
}

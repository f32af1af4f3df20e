use std::collections::HashMap;

use base::time::Clock;
use base::{Column, ColumnOf, Result, RowFormat, Style, Table, note, rows};
use serde::Serialize;

use super::Context;
use crate::index::{Index, Row, Version};
use crate::model::{Time, Trace};
use crate::place::Folder;
use crate::record::is_recorded;

/// List trajectories, newest first
///
/// 'end' says why a trajectory ended, or 'running' while it is recorded. One that is 'unfinished' was cut
/// off: 'localstore trace repair ID' completes it. Every folder is listed, also those of other machines.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace list -o jsonl")]
pub(super) struct Args {
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
}

/// A folder of a trajectory.
#[derive(Debug)]
struct Listed {
    id: String,
    /// The id, or on a narrow screen a unique beginning of it.
    shown_id: String,
    /// What its file says, or why that cannot be read.
    row: Result<Row>,
    end: String,
}

/// A trajectory in the formats for programs.
#[derive(Debug, Default, Serialize)]
struct Record {
    id: String,
    started: Option<String>,
    agent: Option<String>,
    model: Option<String>,
    session_id: Option<String>,
    parts: Option<u64>,
    turns: Option<u64>,
    commits: Option<u64>,
    solved: Option<u64>,
    required: Option<u64>,
    end: String,
    error: Option<String>,
}

const COLUMNS: [ColumnOf<Listed>; 9] = [
    ("id", Column::Whole, |listed| listed.shown_id.clone()),
    ("started", Column::Whole, |listed| {
        listed.cell(|row| minute(&row.started_at))
    }),
    ("agent", Column::Text, |listed| {
        listed.cell(|row| row.agent.clone())
    }),
    ("model", Column::Short(20), |listed| {
        listed.cell(|row| row.agent_model.clone())
    }),
    ("parts", Column::Number, |listed| {
        listed.cell(|row| row.parts.to_string())
    }),
    ("turns", Column::Number, |listed| {
        listed.cell(|row| row.turns.to_string())
    }),
    ("commits", Column::Number, |listed| {
        listed.cell(|row| row.commits.to_string())
    }),
    ("solved", Column::Number, |listed| listed.cell(solved)),
    ("end", Column::Whole, |listed| listed.end.clone()),
];

/// The columns that a narrow screen can do without.
const LEAST_IMPORTANT: [&str; 3] = ["turns", "commits", "solved"];

/// An id of this length is never shown by its beginning alone.
const SHORT: usize = 12;

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let folders = context.root.all()?;
    let mut index = match Index::rows(context.location) {
        Ok(rows) => rows,
        Err(error) => {
            tracing::info!("the index cannot be read: {error}");
            Vec::new()
        }
    };
    let mut indexed: HashMap<String, Row> = index
        .drain(..)
        .map(|row| (row.trajectory_id.clone(), row))
        .collect();
    let mut listed: Vec<Listed> = folders
        .iter()
        .map(|folder| list(folder, indexed.remove(&folder.id)))
        .collect();
    let started = |listed: &Listed| Time::parse(&listed.row.as_ref().ok()?.started_at);
    listed.sort_by_cached_key(|listed| std::cmp::Reverse((started(listed), listed.id.clone())));
    if args.output != RowFormat::Table {
        return rows::write(&listed, args.output, &COLUMNS, record, context.out);
    }
    if listed.is_empty() {
        let folder = context.root.trajectories();
        note(&format!("no trajectories in {}", folder.display()));
        return Ok(());
    }
    if context.out.screen().width.is_some() {
        shorten_ids(&mut listed);
    }
    let mut table = Table::of(&listed, &COLUMNS);
    table.paint("end", style);
    table.print(&LEAST_IMPORTANT, context.out)?;
    for listed in &listed {
        if let Err(error) = &listed.row {
            context.out.note(&error.to_string());
        }
    }
    Ok(())
}

/// Reads what the folder has, or takes the row if it was made from the same version of the file.
fn list(folder: &Folder, indexed: Option<Row>) -> Listed {
    let version = Version::of(&folder.trace());
    let row = match indexed {
        Some(row) if row.file == version && version != Version::default() => Ok(row),
        _ => Trace::read(&folder.trace()).map(|trace| Row::of(&trace, version)),
    };
    let end = match &row {
        Err(_) => "damaged".to_owned(),
        Ok(Row {
            reason: Some(reason),
            ..
        }) => reason.clone(),
        Ok(_) if is_recorded(folder) => "running".to_owned(),
        Ok(_) => "unfinished".to_owned(),
    };
    Listed {
        id: folder.id.clone(),
        shown_id: folder.id.clone(),
        row,
        end,
    }
}

impl Listed {
    fn cell(&self, of: impl Fn(&Row) -> String) -> String {
        self.row.as_ref().map(of).unwrap_or_default()
    }
}

/// Shows long ids by their shortest beginnings that are unique.
fn shorten_ids(listed: &mut [Listed]) {
    let mut ids: Vec<String> = listed.iter().map(|listed| listed.id.clone()).collect();
    ids.sort();
    for listed in listed.iter_mut().filter(|listed| listed.id.len() > SHORT) {
        let Ok(at) = ids.binary_search(&listed.id) else {
            continue;
        };
        let before = at.checked_sub(1).and_then(|before| ids.get(before));
        let neighbours = before.into_iter().chain(ids.get(at + 1));
        let same = |other: &String| {
            let pairs = other.bytes().zip(listed.id.bytes());
            pairs.take_while(|(one, other)| one == other).count()
        };
        let length = neighbours.map(same).max().unwrap_or(0) + 1;
        listed.shown_id.truncate(length.max(SHORT));
    }
}

/// The time to the minute, in the time zone of this computer.
fn minute(time: &str) -> String {
    Time::parse(time).map_or_else(String::new, |time| {
        Clock::local().minute(time.0.as_second())
    })
}

/// How many of the required suites are solved; of all suites where none is required.
fn solved(row: &Row) -> String {
    match (row.solved, row.required) {
        (0, 0) => String::new(),
        (solved, 0) => solved.to_string(),
        (solved, required) => format!("{solved}/{required}"),
    }
}

fn style(end: &str) -> Option<Style> {
    match end {
        "solved" => Some(Style::Better),
        "damaged" | "agent_error" | "envoi_error" => Some(Style::Worse),
        "running" | "unfinished" => Some(Style::Undecided),
        _ => None,
    }
}

fn record(listed: &Listed) -> Record {
    let unreadable = Record {
        id: listed.id.clone(),
        end: listed.end.clone(),
        ..Record::default()
    };
    match &listed.row {
        Err(error) => Record {
            error: Some(error.to_string()),
            ..unreadable
        },
        Ok(row) => Record {
            started: Some(row.started_at.clone()),
            agent: Some(row.agent.clone()),
            model: Some(row.agent_model.clone()),
            session_id: Some(row.session_id.clone()),
            parts: Some(row.parts),
            turns: Some(row.turns),
            commits: Some(row.commits),
            solved: Some(row.solved),
            required: Some(row.required),
            ..unreadable
        },
    }
}

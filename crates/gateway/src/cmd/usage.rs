use std::cmp::Reverse;
use std::collections::HashMap;

use base::number::amount;
use base::time::moment;
use base::{Column, ColumnOf, ExitStatus, Result, RowFormat, Table, note, rows};
use rusqlite::Connection;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Context, HOST};
use crate::store::requests::{self, By, Used};
use crate::store::{ROOM, backends, keys};

/// Show requests, tokens and times by model, key, backend or day
///
/// Errors are answers with a status of 400 or more, but for clients that left before the end. Tokens are
/// those that the answers tell; of a stream that tells none its pieces are counted. 'hits' are answers from
/// the cache, which add no tokens and no times. 'gen t/s' is the speed of streams behind their first byte.
/// 'ttft' is the time to the first byte in milliseconds that half (p50) and 95 of 100 (p95) of the answers
/// did not exceed; an answer that is not a stream sends its first byte last.
///
/// 'serve --keep' says how long requests are kept one by one. Of older ones the sums of each day (UTC) are
/// there, and their ttft is about: within a quarter.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore usage --since 7d
  localstore usage --by key --since 2025-06-01 -o csv")]
pub struct Args {
    /// What a row is of
    #[arg(long, value_name = "WHAT", default_value = "model")]
    by: By,
    /// Requests that came at this time or later: a date, a time (UTC), an age such as 7d or 12h, today or
    /// yesterday
    #[arg(long, value_name = "TIME", value_parser = first)]
    since: Option<i64>,
    /// Requests that came at this time or before; a date includes its whole day
    #[arg(long, value_name = "TIME", value_parser = last)]
    until: Option<i64>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
}

fn first(text: &str) -> Result<i64, String> {
    moment(text).map(|(first, _)| first)
}

fn last(text: &str) -> Result<i64, String> {
    moment(text).map(|(_, last)| last)
}

/// What was used under one name.
struct Group {
    name: String,
    /// Of a backend that is still there.
    url: Option<String>,
    used: Used,
}

/// A group in the formats for programs, whose first field is called as what rows are of.
struct Record<'a, const BY: u8>(Option<&'a Group>);

impl<const BY: u8> Default for Record<'_, BY> {
    fn default() -> Self {
        Self(None)
    }
}

const MODEL: u8 = By::Model as u8;
const KEY: u8 = By::Key as u8;
const BACKEND: u8 = By::Backend as u8;
const DAY: u8 = By::Day as u8;

impl<const BY: u8> Serialize for Record<'_, BY> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nothing = Used::default();
        let used = self.0.map_or(&nothing, |group| &group.used);
        let sums = &used.sums;
        let is_backend = BY == BACKEND;
        let mut record = serializer.serialize_struct("Record", 9 + usize::from(is_backend))?;
        let name = match BY {
            KEY => "key",
            BACKEND => "backend",
            DAY => "day",
            _ => "model",
        };
        record.serialize_field(name, self.0.map_or("", |group| &group.name))?;
        if is_backend {
            record.serialize_field("url", &self.0.and_then(|group| group.url.as_ref()))?;
        }
        record.serialize_field("requests", &sums.requests)?;
        record.serialize_field("errors", &sums.errors)?;
        record.serialize_field("cache_hits", &sums.cache_hits)?;
        record.serialize_field("prompt_tokens", &sums.prompt_tokens)?;
        record.serialize_field("completion_tokens", &sums.completion_tokens)?;
        record.serialize_field("gen_tps", &sums.gen_tps())?;
        record.serialize_field("ttft_p50_ms", &used.ttft_p50_ms)?;
        record.serialize_field("ttft_p95_ms", &used.ttft_p95_ms)?;
        record.end()
    }
}

/// The columns behind the name.
const COLUMNS: [ColumnOf<Group>; 8] = [
    ("requests", Column::Number, |group| {
        group.used.sums.requests.to_string()
    }),
    ("errors", Column::Number, |group| {
        group.used.sums.errors.to_string()
    }),
    ("hits", Column::Number, |group| {
        group.used.sums.cache_hits.to_string()
    }),
    ("prompt", Column::Number, |group| {
        group.used.sums.prompt_tokens.to_string()
    }),
    ("completion", Column::Number, |group| {
        group.used.sums.completion_tokens.to_string()
    }),
    ("gen t/s", Column::Number, |group| {
        group.used.sums.gen_tps().map_or_else(String::new, amount)
    }),
    ("ttft p50", Column::Number, |group| {
        time(&group.used, group.used.ttft_p50_ms)
    }),
    ("ttft p95", Column::Number, |group| {
        time(&group.used, group.used.ttft_p95_ms)
    }),
];

/// The columns that a narrow screen can do without.
const LEAST_IMPORTANT: [&str; 6] = ["hits", "ttft p95", "ttft p50", "prompt", "errors", "url"];

fn time(used: &Used, ms: Option<f64>) -> String {
    let about = if used.about { "~" } else { "" };
    ms.map_or_else(String::new, |ms| about.to_owned() + &amount(ms))
}

impl Args {
    /// Runs the command.
    pub fn run(&self, context: &mut Context<'_>) -> Result<ExitStatus> {
        let db = context.existing_store(&[&ROOM])?;
        let read = |db: &Connection| {
            let cut = requests::cut_days(db, self.since, self.until)?;
            let days = match self.since.or(self.until) {
                Some(_) => requests::days(db)?,
                None => None,
            };
            Ok((self.groups(db)?, cut, days))
        };
        let (groups, cut, days) = match &db {
            Some(db) => db.read(read)?,
            None => Default::default(),
        };
        match self.output {
            RowFormat::Table if groups.is_empty() => say_empty(days),
            RowFormat::Table => self.table(&groups, context)?,
            RowFormat::Md => {
                let table = self.named(&groups);
                context.out.styled(table.markdown().as_bytes())?;
            }
            _ => match self.by {
                By::Model => self.write::<MODEL>(&groups, context)?,
                By::Key => self.write::<KEY>(&groups, context)?,
                By::Backend => self.write::<BACKEND>(&groups, context)?,
                By::Day => self.write::<DAY>(&groups, context)?,
            },
        }
        if !cut.is_empty() {
            let days = cut.join(" and ");
            context.out.note(&format!(
                "left out of {days}: requests that are in the sums of the day only, which the period does not hold as a whole"
            ));
        }
        Ok(ExitStatus::Success)
    }

    /// The groups as they are shown: days in their order, else what was used most first.
    fn groups(&self, db: &Connection) -> rusqlite::Result<Vec<Group>> {
        // Both by ids as text.
        let mut names = HashMap::new();
        let mut urls = HashMap::new();
        match self.by {
            By::Key => names.extend(keys::all(db)?.into_iter().map(|key| {
                let name = key.name.unwrap_or(key.prefix);
                (key.id.to_string(), name)
            })),
            By::Backend => {
                let backends = backends::all(db)?.into_iter();
                urls.extend(backends.map(|backend| (backend.label, backend.url)));
            }
            By::Model | By::Day => {}
        }
        let used = requests::used(db, self.by, self.since, self.until)?;
        let group = |used: Used| Group {
            name: names
                .remove(&used.name)
                .unwrap_or_else(|| used.name.clone()),
            url: urls.remove(&used.name),
            used,
        };
        let mut groups: Vec<Group> = used.into_iter().map(group).collect();
        if self.by != By::Day {
            groups.sort_by_key(|group| Reverse(group.used.sums.requests));
        }
        Ok(groups)
    }

    fn write<const BY: u8>(&self, groups: &[Group], context: &mut Context<'_>) -> Result<()> {
        let record = |group| Record::<BY>(Some(group));
        match self.output {
            RowFormat::Csv => rows::csv(groups.iter().map(record), context.out),
            RowFormat::Json => {
                rows::json(&groups.iter().map(record).collect::<Vec<_>>(), context.out)
            }
            _ => rows::jsonl(groups.iter().map(record), context.out),
        }
    }

    /// The table for people.
    fn named(&self, groups: &[Group]) -> Table {
        let (head, nothing) = match self.by {
            By::Model => ("model", "(refused)"),
            By::Key => ("key", "(no key)"),
            By::Backend => ("backend", "(none)"),
            By::Day => ("day", ""),
        };
        let mut table = Table::new::<&str>(&[]);
        let name = |group: &Group| match group.name.as_str() {
            "" => nothing.to_owned(),
            name => name.to_owned(),
        };
        table.column(head, Column::Text, groups.iter().map(name));
        if groups.iter().any(|group| group.url.is_some()) {
            let url = |group: &Group| group.url.clone().unwrap_or_default();
            table.column("url", Column::Long(HOST), groups.iter().map(url));
        }
        for (head, layout, cell) in COLUMNS {
            table.column(head, layout, groups.iter().map(cell));
        }
        table
    }

    fn table(&self, groups: &[Group], context: &mut Context<'_>) -> Result<()> {
        self.named(groups).print(&LEAST_IMPORTANT, context.out)?;
        if groups
            .iter()
            .any(|group| group.used.about && group.used.ttft_p50_ms.is_some())
        {
            context
                .out
                .note("~ about: of days whose requests are no longer there one by one");
        }
        Ok(())
    }
}

/// Says that there is nothing in the period, and which days there are.
fn say_empty(days: Option<(String, String)>) {
    match days {
        Some((first, last)) if first == last => {
            note(&format!(
                "no requests in this period; all there are came on {first}"
            ));
        }
        Some((first, last)) => {
            note(&format!(
                "no requests in this period; those there are came from {first} to {last}"
            ));
        }
        None => note("no requests: 'localstore serve' writes down each that it serves"),
    }
}

use base::time::{Clock, utc};
use base::{Column, ColumnOf, Result, RowFormat, Style, Table, note, rows};
use serde::Serialize;

use super::Context;
use crate::store::ROOM;
use crate::store::keys::{self, Key};

/// List keys
///
/// 'prefix' is how a key begins; the store has no more of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore key list -o jsonl")]
pub(super) struct Args {
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
}

/// A key in the formats for programs; times in RFC 3339.
#[derive(Debug, Default, Serialize)]
struct Record {
    id: i64,
    name: Option<String>,
    prefix: String,
    models: Vec<String>,
    rpm: Option<u32>,
    created: Option<String>,
    expires: Option<String>,
    revoked: Option<String>,
    last_used: Option<String>,
    agent: bool,
}

const COLUMNS: [ColumnOf<Key>; 10] = [
    ("id", Column::Number, |key| key.id.to_string()),
    ("name", Column::Text, |key| {
        key.name.clone().unwrap_or_default()
    }),
    ("prefix", Column::Whole, |key| key.prefix.clone()),
    ("models", Column::Text, |key| key.models.join(" ")),
    ("rpm", Column::Number, |key| {
        key.rpm.map_or_else(String::new, |rpm| rpm.to_string())
    }),
    ("created", Column::Whole, |key| minute(Some(key.created_at))),
    ("expires", Column::Whole, |key| minute(key.expires_at)),
    ("revoked", Column::Whole, |key| minute(key.revoked_at)),
    ("last used", Column::Whole, |key| minute(key.last_used_at)),
    ("agent", Column::Whole, |key| {
        if key.is_agent { "yes" } else { "" }.to_owned()
    }),
];

/// The columns that a narrow screen can do without.
const LEAST_IMPORTANT: [&str; 6] = ["created", "agent", "rpm", "last used", "models", "expires"];

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let keys = match context.existing_store(&[&ROOM])? {
        Some(db) => db.read(|db| Ok(keys::all(db)?))?,
        None => Vec::new(),
    };
    if args.output != RowFormat::Table {
        return rows::write(&keys, args.output, &COLUMNS, record, context.out);
    }
    if keys.is_empty() {
        note("no keys: 'localstore key create NAME' makes one");
        return Ok(());
    }
    let mut table = Table::of(&keys, &COLUMNS);
    table.paint("revoked", |text| (!text.is_empty()).then_some(Style::Worse));
    table.print(&LEAST_IMPORTANT, context.out)?;
    Ok(())
}

fn record(key: &Key) -> Record {
    Record {
        id: key.id,
        name: key.name.clone(),
        prefix: key.prefix.clone(),
        models: key.models.clone(),
        rpm: key.rpm,
        created: utc(key.created_at),
        expires: key.expires_at.and_then(utc),
        revoked: key.revoked_at.and_then(utc),
        last_used: key.last_used_at.and_then(utc),
        agent: key.is_agent,
    }
}

/// The time to the minute, in the time zone of this computer.
fn minute(seconds: Option<i64>) -> String {
    seconds.map_or_else(String::new, |seconds| Clock::local().minute(seconds))
}

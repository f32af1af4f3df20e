use base::number::amount;
use base::{Column, ColumnOf, Result, RowFormat, Table, note, printable, rows};
use serde::Serialize;

use super::Context;
use crate::cmd::HOST;
use crate::routing::{Backend, Registry};
use crate::store::{ROOM, backends, requests};

/// List the backends of all models
///
/// 'gen_tps' is the speed of generation that routing goes by, and 'from' where it comes from: 'run 12' is a
/// stored result, 'live' the last answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore model list -o json")]
pub(super) struct Args {
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
}

/// A backend and its speed.
struct Listed {
    backend: Backend,
    gen_tps: Option<f64>,
    from: Option<String>,
}

/// A backend in the formats for programs.
#[derive(Debug, Default, Serialize)]
struct Record {
    id: i64,
    model: String,
    url: String,
    upstream: String,
    provider: Option<String>,
    gen_tps: Option<f64>,
    from: Option<String>,
    parallel: u32,
    agent: Option<String>,
}

const COLUMNS: [ColumnOf<Listed>; 9] = [
    ("id", Column::Number, |listed| listed.backend.id.to_string()),
    ("model", Column::Text, |listed| listed.backend.model.clone()),
    ("url", Column::Long(HOST), |listed| {
        listed.backend.url.clone()
    }),
    ("upstream", Column::Text, |listed| {
        listed.backend.upstream.clone()
    }),
    ("provider", Column::Whole, |listed| {
        listed.backend.provider.clone().unwrap_or_default()
    }),
    ("gen_tps", Column::Number, |listed| {
        listed.gen_tps.map_or_else(String::new, amount)
    }),
    ("from", Column::Whole, |listed| {
        listed.from.clone().unwrap_or_default()
    }),
    ("parallel", Column::Number, |listed| {
        listed.backend.parallel.to_string()
    }),
    ("agent", Column::Text, |listed| {
        listed.backend.agent.clone().unwrap_or_default()
    }),
];

/// The columns that a narrow screen can do without.
const LEAST_IMPORTANT: [&str; 5] = ["agent", "parallel", "upstream", "provider", "from"];

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let (registry, listed) = read(context)?;
    if args.output != RowFormat::Table {
        return rows::write(&listed, args.output, &COLUMNS, record, context.out);
    }
    if listed.is_empty() {
        note("no models: 'localstore model add NAME --url URL' adds one");
        return Ok(());
    }
    Table::of(&listed, &COLUMNS).print(&LEAST_IMPORTANT, context.out)?;
    note_names(&registry, context);
    Ok(())
}

/// The models, and their backends by the names of the models.
fn read(context: &Context<'_>) -> Result<(Registry, Vec<Listed>)> {
    let Some(db) = context.existing_store(&[&ROOM, context.speeds.room()])? else {
        return Ok((Registry::default(), Vec::new()));
    };
    db.read(|db| {
        let registry = backends::registry(db)?;
        let live = requests::live(db)?;
        let mut all = Vec::new();
        for backend in registry.models.values().flatten() {
            let stored = if backend.filters.is_empty() {
                None
            } else {
                context.speeds.newest(db, &backend.filters)?.measured
            };
            let (speed, from) = match stored {
                Some(stored) => (Some(stored.speed), Some(format!("run {}", stored.run))),
                None => match live.speed(backend.id) {
                    Some(speed) => (Some(speed), Some("live".to_owned())),
                    None => (None, None),
                },
            };
            all.push(Listed {
                backend: (**backend).clone(),
                gen_tps: speed.map(|speed| speed.gen_tps),
                from,
            });
        }
        Ok((registry, all))
    })
}

/// Says what the rows do not: other names, and who answers for whom.
fn note_names(registry: &Registry, context: &mut Context<'_>) {
    for (alias, model) in &registry.aliases {
        let (alias, model) = (printable(alias), printable(model));
        context
            .out
            .note(&format!("{alias} is another name of {model}"));
    }
    for (model, fallbacks) in &registry.fallbacks {
        let (model, fallbacks) = (printable(model), fallbacks.join(", "));
        let fallbacks = printable(&fallbacks);
        context
            .out
            .note(&format!("{model} falls back to {fallbacks}"));
    }
}

fn record(listed: &Listed) -> Record {
    let backend = &listed.backend;
    Record {
        id: backend.id,
        model: backend.model.clone(),
        url: backend.url.clone(),
        upstream: backend.upstream.clone(),
        provider: backend.provider.clone(),
        gen_tps: listed.gen_tps,
        from: listed.from.clone(),
        parallel: backend.parallel,
        agent: backend.agent.clone(),
    }
}

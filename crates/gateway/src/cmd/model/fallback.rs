use base::{Error, Result, note, printable};
use db::Database;

use super::{Context, no_such_model};
use crate::cmd::name;
use crate::routing::{Meaning, Providers, Registry};
use crate::store::{ROOM, backends};

/// Name the models that answer when no backend of a model can
///
/// They are asked in this order, in the place of those that were named before; none named: cleared. A client
/// whose key has a right to NAME needs none to them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore model fallback llama8 llama3 gpt-5-mini")]
pub(super) struct Args {
    /// The model
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// The models that answer for it
    #[arg(value_name = "OTHER", value_parser = name)]
    others: Vec<String>,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let providers = Providers::from_environment()?;
    let mut db = Database::open(context.location, &[&ROOM])?;
    let mut unset = Vec::new();
    let (model, others, before) = db.write(|db| {
        let mut registry = backends::registry(db)?;
        let mut canonical = |name: &str| canonical(name, &registry, &providers, &mut unset);
        let model = canonical(&args.name)?;
        let mut others: Vec<String> = Vec::new();
        for other in &args.others {
            let other = canonical(other)?;
            if !others.contains(&other) {
                others.push(other);
            }
        }
        let before = registry.fallbacks.insert(model.clone(), others.clone());
        if let Some(way) = registry.fallback_loop(&model) {
            let way: Vec<_> = way.iter().map(|name| printable(name)).collect();
            return Err(Error::new("a loop of fallbacks", way.join(" → ")).into());
        }
        backends::put_fallbacks(db, &model, &others)?;
        Ok((model, others, before.unwrap_or_default()))
    })?;
    let listed = |names: &[String]| printable(&names.join(", ")).into_owned();
    let model = printable(&model);
    note(&match (others.as_slice(), before.as_slice()) {
        ([], []) => format!("{model} has no fallback"),
        ([], before) => format!("{model} falls back to nothing; before: {}", listed(before)),
        (others, _) => format!("{model} falls back to {}", listed(others)),
    });
    for (name, variable) in unset {
        let name = printable(&name);
        note(&format!(
            "warning: {name} needs {variable}, which is not set here"
        ));
    }
    Ok(())
}

/// What a name is called in the gateway; an error if it means nothing. A rule whose variable is not set here
/// may hold where the gateway runs: its variable is noted.
fn canonical(
    name: &str,
    registry: &Registry,
    providers: &Providers,
    unset: &mut Vec<(String, String)>,
) -> Result<String> {
    match registry.meaning(name, providers) {
        Meaning::Model(model) => Ok(model),
        Meaning::Rule(_) => Ok(name.to_owned()),
        Meaning::Unset(variable) => {
            unset.push((name.to_owned(), variable));
            Ok(name.to_owned())
        }
        Meaning::Unknown => Err(no_such_model(registry, name)),
    }
}

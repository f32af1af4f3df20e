use base::{Error, Result, counted, note, printable};
use db::Database;

use super::{Context, no_such_model};
use crate::address::base_url;
use crate::cmd::name;
use crate::routing::Backend;
use crate::store::{ROOM, agents, backends};

/// Remove a model, or one backend of it
///
/// With its last backend a model loses its other names and its fallbacks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore model rm llama8 --url http://127.0.0.1:8080")]
pub(super) struct Args {
    /// The model
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// Remove the backend with this URL alone
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let url = args.url.as_deref().map(base_url).transpose()?;
    let url = url.map(|(url, _)| url);
    let mut db = Database::open(context.location, &[&ROOM])?;
    let (removed, before, after, agents) = db.write(|db| {
        let before = backends::registry(db)?;
        let removed: Vec<Backend> = match before.models.get(&args.name) {
            None => return Err(no_such_model(&before, &args.name).into()),
            Some(all) => {
                let meant = |backend: &Backend| url.as_ref().is_none_or(|url| *url == backend.url);
                let all = all.iter().map(|backend| (**backend).clone());
                all.filter(meant).collect()
            }
        };
        if removed.is_empty() {
            let model = printable(&args.name);
            let error = Error::new(
                format_args!("{model} at {}", url.unwrap_or_default()),
                "no such backend",
            );
            return Err(error.hint("'localstore model list' shows all").into());
        }
        backends::remove(db, &removed)?;
        Ok((removed, before, backends::registry(db)?, agents::all(db)?))
    })?;
    let model = printable(&args.name);
    let count = counted(removed.len(), "backend");
    note(&match after.models.get(&args.name) {
        None => format!("{model} removed ({count})"),
        Some(left) => format!("{count} of {model} removed, {} left", left.len()),
    });
    for alias in before
        .aliases
        .keys()
        .filter(|alias| !after.aliases.contains_key(*alias))
    {
        note(&format!("its other name {} went with it", printable(alias)));
    }
    for (other, fallbacks) in &before.fallbacks {
        if *other != args.name && after.fallbacks.get(other) != Some(fallbacks) {
            note(&format!(
                "{} does not fall back to it any more",
                printable(other)
            ));
        }
    }
    for agent in removed.iter().filter_map(|backend| backend.agent.as_ref()) {
        let state = agents.iter().find(|(name, _)| name == agent);
        if state.is_some_and(|(_, state)| state.stopped_at.is_none()) {
            let agent = printable(agent);
            note(&format!(
                "it comes back when the agent {agent} registers again: stop it there"
            ));
        }
    }
    Ok(())
}

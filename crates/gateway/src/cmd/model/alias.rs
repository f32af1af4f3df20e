use std::io::Write;

use base::{Error, Result, note, printable};
use db::Database;

use super::{Context, no_such_model};
use crate::cmd::name;
use crate::store::{ROOM, backends};

/// Give a model another name, or list its other names
///
/// A key needs a right of its own for each name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore model alias llama8 fast
  localstore model alias --rm fast")]
pub(super) struct Args {
    /// The model
    #[arg(value_name = "NAME", value_parser = name, required_unless_present = "rm")]
    name: Option<String>,
    /// Its other name [default: print those that it has]
    #[arg(value_name = "OTHER", value_parser = name)]
    other: Option<String>,
    /// Remove this other name
    #[arg(long, value_name = "OTHER", conflicts_with_all = ["name", "other"])]
    rm: Option<String>,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    match (&args.rm, &args.name, &args.other) {
        (Some(alias), ..) => remove(alias, context),
        (None, Some(model), Some(alias)) => put(model, alias, context),
        (None, model, _) => list(model.as_deref().unwrap_or_default(), context),
    }
}

fn remove(alias: &str, context: &Context<'_>) -> Result<()> {
    let mut db = Database::open(context.location, &[&ROOM])?;
    db.write(|db| {
        if backends::remove_alias(db, alias)? {
            return Ok(());
        }
        let error = Error::new(printable(alias), "no model has this other name");
        Err(error.hint("'localstore model list' shows all").into())
    })?;
    note(&format!("{} removed", printable(alias)));
    Ok(())
}

fn put(model: &str, alias: &str, context: &Context<'_>) -> Result<()> {
    let mut db = Database::open(context.location, &[&ROOM])?;
    let (model, before) = db.write(|db| {
        let registry = backends::registry(db)?;
        let canonical = registry.canonical(model);
        let canonical = canonical.ok_or_else(|| no_such_model(&registry, model))?;
        if registry.models.contains_key(alias) {
            return Err(Error::new(printable(alias), "this is a model itself").into());
        }
        let before = backends::put_alias(db, alias, canonical)?;
        Ok((canonical.to_owned(), before))
    })?;
    let (alias, model) = (printable(alias), printable(&model));
    match before.filter(|before| *before != model) {
        None => note(&format!("{alias} is another name of {model}")),
        Some(before) => {
            let before = printable(&before);
            note(&format!(
                "{alias} is another name of {model}, and no longer of {before}"
            ));
        }
    }
    Ok(())
}

fn list(model: &str, context: &mut Context<'_>) -> Result<()> {
    let registry = super::registry(context)?;
    let canonical = registry.canonical(model);
    let canonical = canonical.ok_or_else(|| no_such_model(&registry, model))?;
    let aliases = registry.aliases.iter();
    let mut aliases = aliases.filter(|(_, of)| *of == canonical).peekable();
    if aliases.peek().is_none() {
        note(&format!("{} has no other name", printable(canonical)));
    }
    for (alias, _) in aliases {
        writeln!(context.out, "{alias}")?;
    }
    Ok(())
}

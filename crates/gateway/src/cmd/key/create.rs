use std::time::Duration;

use base::{Error, Result, note, printable, shell_word};
use db::Database;

use super::Context;
use crate::cmd::{name, some_time};
use crate::store::ROOM;
use crate::store::keys::{self, Key};

/// Create a key, and print it this once
///
/// The key alone is printed on standard output. With the first key for clients, a gateway asks all clients
/// for one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore key create alice --models 'llama*' --expires 30d")]
pub(super) struct Args {
    /// Whose key it is, to revoke it by; no two keys have the same
    #[arg(value_name = "NAME", value_parser = key_name)]
    name: Option<String>,
    /// The models that it may ask for; * and ? stand for any text and any character. Repeatable
    #[arg(long, value_name = "GLOB", value_parser = name, action = clap::ArgAction::Append, default_value = "*")]
    models: Vec<String>,
    /// It ends after this time [default: never]
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    expires: Option<Duration>,
    /// The most requests a minute, in each gateway [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rpm: Option<u32>,
    /// It may register agents, and nothing else; '--models' limits the names that they may register
    #[arg(long)]
    agent: bool,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let key = keys::generate().map_err(|error| Error::new("no random bytes", error))?;
    let now = jiff::Timestamp::now().as_second();
    let end = |time: Duration| now.saturating_add_unsigned(time.as_secs());
    let row = Key {
        prefix: key[..keys::PREFIX].to_owned(),
        name: args.name.clone(),
        models: args.models.clone(),
        rpm: args.rpm,
        is_agent: args.agent,
        created_at: now,
        expires_at: args.expires.map(end),
        ..Key::default()
    };
    let mut db = Database::open(context.location, &[&ROOM])?;
    db.survive_power_failure()?;
    let (id, is_first) = db.write(|db| {
        let all = keys::all(db)?;
        if let Some(same) = all
            .iter()
            .find(|key| key.name.is_some() && key.name == row.name)
        {
            return Err(taken(same).into());
        }
        let is_first = !row.is_agent && !all.iter().any(|key| !key.is_agent);
        Ok((keys::insert(db, &row, &keys::hash(&key))?, is_first))
    })?;
    let printed = context.out.styled(format!("{key}\n").as_bytes());
    let printed = printed.and_then(|()| context.out.finish());
    printed.map_err(|error| error.hint(format!("localstore key revoke {id}")))?;
    note("the key is shown this once: the store has only its hash");
    if is_first {
        note("from now on every client needs a key, but for gateways with '--auth off'");
    }
    Ok(())
}

/// The error for the name of another key.
fn taken(key: &Key) -> Error {
    let name = key.name.as_deref().unwrap_or_default();
    let why = match key.revoked_at {
        Some(_) => "a revoked key has this name: usage goes by it",
        None => "there is a key of this name",
    };
    let error = Error::new(printable(name), why);
    match key.revoked_at {
        Some(_) => error,
        None => error.hint(format!("localstore key revoke {}", shell_word(name))),
    }
}

/// Reads a name that `key revoke` does not take for an id or a prefix.
fn key_name(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with(keys::BEGINNING) {
        return Err("a name looks neither like an id nor like a key".to_owned());
    }
    name(text)
}

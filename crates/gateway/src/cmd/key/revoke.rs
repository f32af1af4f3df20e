use base::{Error, Result, note, printable};
use db::Database;

use super::Context;
use crate::cmd::name;
use crate::store::ROOM;
use crate::store::keys::{self, Key};

/// Revoke a key
///
/// No gateway on this store takes it any more once this has ended. Streams that run end by themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore key revoke alice")]
pub(super) struct Args {
    /// The id, the name or the beginning of the key
    #[arg(value_name = "ID|NAME|PREFIX", value_parser = name)]
    key: String,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let mut db = Database::open(context.location, &[&ROOM])?;
    db.survive_power_failure()?;
    let key = db.write(|db| {
        let key = find(&args.key, keys::all(db)?, |hash| keys::find(db, hash))?;
        keys::revoke(db, key.id)?;
        Ok(key)
    })?;
    let shown = match &key.name {
        Some(name) => format!("key {}, {}", key.id, printable(name)),
        None => format!("key {}, {}…", key.id, key.prefix),
    };
    match key.revoked_at.and_then(base::time::utc) {
        Some(time) => note(&format!("{shown}: revoked before, at {time}")),
        None => note(&format!("{shown}: revoked")),
    }
    Ok(())
}

/// The key that is meant by its id, its name, its beginning, or as a whole.
fn find(
    typed: &str,
    mut all: Vec<Key>,
    by_hash: impl Fn(&[u8; 32]) -> rusqlite::Result<Option<Key>>,
) -> db::Result<Key> {
    // Somebody's key is not repeated.
    let shown: String = if typed.starts_with(keys::BEGINNING) {
        typed.chars().take(keys::PREFIX).collect()
    } else {
        typed.to_owned()
    };
    let list = "'localstore key list' shows all";
    let none = || Error::new(printable(&shown), "no such key").hint(list);
    if let Ok(id) = typed.parse::<i64>() {
        all.retain(|key| key.id == id);
    } else if !typed.starts_with(keys::BEGINNING) {
        all.retain(|key| key.name.as_deref() == Some(typed));
    } else if typed.len() > keys::PREFIX {
        if let Some(key) = by_hash(&keys::hash(typed))? {
            return Ok(key);
        }
        if all.iter().any(|key| key.prefix == shown) {
            let why = "only a part of a key; its first 10 characters are enough";
            let hint = format!("localstore key revoke {shown}");
            return Err(Error::new(format_args!("{shown}…"), why).hint(hint).into());
        }
        return Err(none().into());
    } else {
        all.retain(|key| key.prefix.starts_with(typed));
    }
    if all.len() > 1 {
        let ids: Vec<String> = all.iter().map(|key| key.id.to_string()).collect();
        let why = format!("{} keys begin like this: {}", all.len(), ids.join(", "));
        return Err(Error::new(printable(&shown), why).hint(list).into());
    }
    all.pop().ok_or_else(|| none().into())
}

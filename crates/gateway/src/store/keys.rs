//! Keys: what lets a client in.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderValue;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

/// A key as it is stored, without what a client shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: i64,
    pub(crate) prefix: String,
    pub(crate) name: Option<String>,
    /// Globs of the names that it may ask for, or of an agent's register.
    pub(crate) models: Vec<String>,
    /// Requests a minute.
    pub(crate) rpm: Option<u32>,
    /// Whether it may register agents, and nothing else.
    pub(crate) is_agent: bool,
    /// Times in seconds since 1970.
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) last_used_at: Option<i64>,
}

/// How every key begins.
pub(crate) const BEGINNING: &str = "sk-ls-";

/// The characters of a key that are stored.
pub(crate) const PREFIX: usize = 10;

/// The letters and digits of a key behind its beginning: enough for 32 bytes.
const LENGTH: usize = 43;

/// The text of a key that has never been there; an error if the system has no random bytes.
pub(crate) fn generate() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(in_letters(bytes))
}

/// The bytes as one number in base 62, behind the beginning of a key.
fn in_letters(mut bytes: [u8; 32]) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digits = (0..LENGTH).map(|_| {
        let mut rest = 0;
        for byte in &mut bytes {
            let value = rest << 8 | u16::from(*byte);
            // Below 256, since the rest is below 62.
            *byte = (value / 62).to_le_bytes()[0];
            rest = value % 62;
        }
        char::from(DIGITS[usize::from(rest)])
    });
    let digits: Vec<char> = digits.collect();
    let digits = digits.into_iter().rev();
    BEGINNING.chars().chain(digits).collect()
}

/// Stores a key by its hash, with the rights of this one. Returns its id.
pub(crate) fn insert(db: &Connection, key: &Key, hash: &[u8; 32]) -> rusqlite::Result<i64> {
    let models = serde_json::to_string(&key.models)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let sql = "INSERT INTO localstore_gateway_keys
           (hash, prefix, name, models, rpm, agent, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id";
    db.prepare_cached(sql)?.query_row(
        params![
            hash.as_slice(),
            key.prefix,
            key.name,
            models,
            key.rpm,
            key.is_agent,
            key.created_at,
            key.expires_at,
        ],
        |row| row.get(0),
    )
}

/// All keys, in the order in which they were created.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<Key>> {
    let sql = "SELECT id, prefix, name, models, rpm, agent, created_at, expires_at, revoked_at,
           last_used_at FROM localstore_gateway_keys ORDER BY id";
    db.prepare(sql)?.query_map([], key)?.collect()
}

/// Revokes the key from now on.
pub(crate) fn revoke(db: &Connection, id: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE localstore_gateway_keys SET revoked_at = unixepoch()
         WHERE id = ?1 AND revoked_at IS NULL";
    db.prepare_cached(sql)?.execute([id]).map(drop)
}

/// Writes down that the key was used at this time, in seconds since 1970.
pub(crate) fn used(db: &Connection, id: i64, at: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE localstore_gateway_keys SET last_used_at = max(coalesce(last_used_at, 0), ?2)
         WHERE id = ?1";
    db.prepare_cached(sql)?.execute([id, at]).map(drop)
}

/// What is stored of the text of a key.
pub(crate) fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// What the gateway shows to an agent that registered with the key of this hash: who knows the key, or its
/// hash, can tell it.
pub(crate) fn agent_bearer(hash: &[u8], name: &str) -> Option<HeaderValue> {
    let mut mac = Hmac::<Sha256>::new_from_slice(hash).ok()?;
    mac.update(b"localstore agent ");
    mac.update(name.as_bytes());
    let mut shown = "Bearer ".to_owned();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(shown, "{byte:02x}");
    }
    let mut shown = HeaderValue::from_str(&shown).ok()?;
    shown.set_sensitive(true);
    Some(shown)
}

/// The key with this hash.
pub(crate) fn find(db: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<Key>> {
    let sql = "SELECT id, prefix, name, models, rpm, agent, created_at, expires_at, revoked_at,
           last_used_at FROM localstore_gateway_keys WHERE hash = ?1";
    let mut found = db.prepare_cached(sql)?;
    found.query_row([hash.as_slice()], key).optional()
}

/// Whether a key for clients, or one for agents, was ever created.
pub(crate) fn was_created(db: &Connection, is_agent: bool) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM localstore_gateway_keys WHERE agent = ?1 LIMIT 1")?
        .exists([is_agent])
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    let models: String = row.get(3)?;
    Ok(Key {
        id: row.get(0)?,
        prefix: row.get(1)?,
        name: row.get(2)?,
        // What cannot be read gives no right.
        models: serde_json::from_str(&models).unwrap_or_default(),
        rpm: row.get(4)?,
        is_agent: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        revoked_at: row.get(8)?,
        last_used_at: row.get(9)?,
    })
}

impl Key {
    /// Whether it is neither revoked nor expired at this time, in seconds since 1970.
    pub(crate) fn is_valid(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it gives a right for this name.
    pub(crate) fn allows(&self, name: &str) -> bool {
        self.models.iter().any(|glob| matches(glob, name))
    }
}

/// Whether a glob matches the whole name: `*` stands for any text, `?` for any character.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // The last star, and the first character that it does not stand for yet.
    let mut star = None;
    while seen < name.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&c) if c == '?' || c == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((from, end)) => {
                    at = from + 1;
                    seen = end + 1;
                    star = Some((from, seen));
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_shown_what_its_key_tells() {
        let shown = agent_bearer(&hash("sk-ls-x"), "box").unwrap();
        assert!(shown.is_sensitive());
        assert_eq!(
            shown,
            "Bearer ea58b2a34080bec6657b5433b04fcba39b2bc476749eb852405bfa6da58ded26"
        );
    }

    #[test]
    fn a_key_has_all_bits_of_its_bytes() {
        let zeros = in_letters([0; 32]);
        assert_eq!(zeros, format!("sk-ls-{}", "0".repeat(43)));
        // 2^256 - 1.
        let ones = in_letters([255; 32]);
        assert_eq!(ones.len(), 49);
        let value = ones[BEGINNING.len()..]
            .bytes()
            .fold([0_u8; 33], |sum, digit| {
                let digit = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'A'..=b'Z' => digit - b'A' + 10,
                    _ => digit - b'a' + 36,
                };
                let mut carry = u16::from(digit);
                let mut next = sum;
                for byte in next.iter_mut().rev() {
                    carry += u16::from(*byte) * 62;
                    *byte = carry.to_le_bytes()[0];
                    carry >>= 8;
                }
                next
            });
        assert_eq!((value[0], &value[1..]), (0, [255; 32].as_slice()));
        let mut one = [0; 32];
        one[31] = 63;
        assert!(in_letters(one).ends_with("0011"));
        assert_ne!(generate().unwrap(), generate().unwrap());
    }

    #[test]
    fn a_glob_matches_the_whole_name() {
        for (glob, name) in [
            ("*", ""),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a?c", "aéc"),
            ("*a*a", "aba"),
            ("a", "a"),
        ] {
            assert!(matches(glob, name), "{glob} {name}");
        }
        for (glob, name) in [
            ("", "a"),
            ("a", "ab"),
            ("a?", "a"),
            ("*b", "abc"),
            ("[a]", "a"),
            ("A", "a"),
        ] {
            assert!(!matches(glob, name), "{glob} {name}");
        }
    }
}

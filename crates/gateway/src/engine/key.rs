//! The key that an agent registers with.

use std::fmt;
use std::path::Path;

use base::{Error, Result, first_line};
use hyper::header::HeaderValue;

use crate::store::keys;

/// The variable that contains the key, and the one that names the file with it.
const KEY: &str = "LOCALSTORE_KEY";
const KEY_FILE: &str = "LOCALSTORE_KEY_FILE";

/// The longest key, in bytes.
const LONGEST: usize = 4 << 10;

/// The key of an agent. It is never shown.
pub(crate) struct AgentKey(String);

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentKey")
    }
}

impl AgentKey {
    /// The key of `LOCALSTORE_KEY`, else of the first line of the file that `LOCALSTORE_KEY_FILE` names; `None`
    /// if neither is set. An error if the file cannot be read, or if what is there cannot be a key.
    pub(crate) fn from_environment() -> Result<Option<Self>> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(text) = set(KEY) {
            let key = Self::new(text.as_encoded_bytes());
            return key.map(Some).map_err(|why| Error::new(KEY, why));
        }
        let Some(path) = set(KEY_FILE) else {
            return Ok(None);
        };
        let path = Path::new(&path);
        let line = first_line(path, LONGEST as u64 + 2);
        let line = line.map_err(|error| Error::file(path, &error))?;
        let key = Self::new(&line).map_err(|why| Error::new(path.display(), why));
        let hint = "LOCALSTORE_KEY_FILE names the file whose first line is the key";
        key.map(Some).map_err(|error| error.hint(hint))
    }

    fn new(text: &[u8]) -> Result<Self, &'static str> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err("there is no key in it");
        }
        if text.len() > LONGEST {
            return Err("it is too long to be a key");
        }
        let text = std::str::from_utf8(text).ok();
        let text = text.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
        text.map(|key| Self(key.to_owned()))
            .ok_or("it contains a character that cannot be in a key")
    }

    /// What a gateway is shown.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut header = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// What callers of the agent with this name show.
    pub(crate) fn bearer(&self, name: &str) -> Option<HeaderValue> {
        keys::agent_bearer(&keys::hash(&self.0), name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_word_of_ascii_and_is_not_shown() {
        let key = AgentKey::new(b" sk-ls-x\r\n").unwrap();
        assert_eq!(key.header().unwrap(), "Bearer sk-ls-x");
        assert!(!format!("{key:?} {:?}", key.header()).contains("sk-ls"));
        for text in ["", " \n", "a b", "a\u{e9}", &"a".repeat(LONGEST + 1)] {
            assert!(AgentKey::new(text.as_bytes()).is_err(), "{text}");
        }
    }
}

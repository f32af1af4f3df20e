//! Names of prompts, and the identifiers that they consist of.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base::{Error, Result};

/// The tag of a name that has none.
pub(crate) const LATEST: &str = "latest";

/// The name of a record: `NS/KEY@TAG`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// Which prompt it is.
    pub(crate) prompt: PromptName,
    /// Its tag.
    pub(crate) tag: String,
}

/// The name of a prompt: its namespace and its key. Two that are spelled differently may be the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PromptName {
    /// The parts of the namespace, one at least.
    pub(crate) ns: Vec<String>,
    /// The key.
    pub(crate) key: String,
}

impl Name {
    /// The record's file below the overrides folder.
    #[must_use]
    pub(crate) fn file(&self) -> PathBuf {
        let folders = self.prompt.ns.iter().chain([&self.prompt.key]);
        let folder: PathBuf = folders.collect();
        folder.join(format!("{}.json", self.tag))
    }

    /// The name of the record in this file below the overrides folder; an error if no record can have
    /// this file.
    pub(crate) fn of_file(file: &Path) -> Result<Self> {
        let invalid = |why: &str| Error::plain(format!("not the file of a record: {why}"));
        let mut parts = Vec::new();
        for part in file {
            parts.push(
                part.to_str()
                    .ok_or_else(|| invalid("its path is not UTF-8"))?,
            );
        }
        let tag = parts.pop().and_then(|tag| tag.strip_suffix(".json"));
        let (Some(tag), Some(key), false) = (tag, parts.pop(), parts.is_empty()) else {
            return Err(invalid("it is not in a folder NS/KEY"));
        };
        let (ns, spelled) = (parts.join("/"), format!("{}/{key}@{tag}", parts.join("/")));
        let name = Self {
            prompt: PromptName::new(&ns, key)?,
            tag: identifier(tag, "tag")?,
        };
        if name.to_string() != spelled {
            return Err(invalid("a part of its path begins or ends with a space"));
        }
        Ok(name)
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (prompt, tag) = text.split_once('@').unwrap_or((text, LATEST));
        Ok(Self {
            prompt: prompt.parse()?,
            tag: identifier(tag, "tag")?,
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.prompt, self.tag)
    }
}

impl PromptName {
    /// The name of a prompt with this namespace and this key, however they are spelled.
    pub(crate) fn new(ns: &str, key: &str) -> Result<Self> {
        let parts = ns.split('/').map(trimmed).filter(|part| !part.is_empty());
        let parts: Vec<String> = parts
            .map(|part| identifier(part, "namespace"))
            .collect::<Result<_>>()?;
        if parts.is_empty() {
            let why = format!("no namespace before '{key}', as in NS/KEY or NS/KEY@TAG");
            return Err(Error::new("invalid name", why));
        }
        let key = identifier(key, "key")?;
        Ok(Self { ns: parts, key })
    }

    /// The namespace.
    #[must_use]
    pub(crate) fn namespace(&self) -> String {
        self.ns.join("/")
    }
}

impl FromStr for PromptName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (ns, key) = text.rsplit_once('/').unwrap_or(("", text));
        Self::new(ns, key)
    }
}

impl fmt::Display for PromptName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace(), self.key)
    }
}

/// The path of a section: its keys.
pub(crate) type SectionPath = Vec<String>;

/// The keys of a section's path, which are joined by `/`; empty ones do not count.
#[must_use]
pub(crate) fn section_path(text: &str) -> SectionPath {
    let keys = text.split('/').filter(|key| !key.is_empty());
    keys.map(str::to_owned).collect()
}

/// The identifier, trimmed. `what` it is of: namespace, key or tag.
pub(crate) fn identifier(text: &str, what: &str) -> Result<String> {
    let name = trimmed(text);
    let is_first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_one = name.starts_with(is_first)
        && name.len() <= 64
        && name.chars().all(|c| is_first(c) || "._-".contains(c));
    if !is_one {
        let why = "at most 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first";
        return Err(Error::new(format!("invalid {what} '{name}'"), why));
    }
    if cfg!(windows) && is_reserved(name) {
        let why = "Windows has no file of this name";
        return Err(Error::new(format!("invalid {what} '{name}'"), why));
    }
    Ok(name.to_owned())
}

/// The text without what Python counts as space at both ends.
#[must_use]
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// Whether Windows takes the name for a device, or drops the end of it.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let is_numbered = |device: &str| {
        let number = stem.strip_prefix(device).unwrap_or_default();
        matches!(number.as_bytes(), [b'1'..=b'9'])
    };
    name.ends_with('.')
        || matches!(stem, "con" | "prn" | "aux" | "nul")
        || is_numbered("com")
        || is_numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_their_parts() {
        let name: Name = " demo // web /welcome@ v1 ".parse().unwrap();
        assert_eq!(name.to_string(), "demo/web/welcome@v1");
        assert_eq!(name, "demo/web/welcome@v1".parse().unwrap());
        assert_eq!(name.file(), Path::new("demo/web/welcome/v1.json"));
        assert_eq!(Name::of_file(&name.file()).unwrap(), name);
        let latest: Name = "demo/welcome".parse().unwrap();
        assert_eq!(latest.tag, LATEST);
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for text in [
            "welcome",
            "/welcome",
            "demo/",
            "Demo/x",
            "demo/../x",
            "demo/x@",
            "a/b@c@d",
            "demo/é",
        ] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        for file in [
            "x.json",
            "key/x.json",
            "Demo/key/x.json",
            "demo/key/ x.json",
            "demo/key/x.txt",
        ] {
            assert!(Name::of_file(Path::new(file)).is_err(), "{file}");
        }
        assert!(is_reserved("con") && is_reserved("com1.x") && is_reserved("a."));
        assert!(!is_reserved("con1") && !is_reserved("com") && !is_reserved("comet"));
    }
}

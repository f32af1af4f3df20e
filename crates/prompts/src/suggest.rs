//! What shells offer while a command is typed: quickly or not at all, and never an error.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use base::Result;

use crate::document::{Documents, Section};
use crate::json::Object;
use crate::name::{Name, section_path};
use crate::overrides::Overrides;
use crate::place::Place;
use crate::record::Bom;

/// The longest file that is read for it.
const LARGEST: u64 = 4 << 20;

/// What a word is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The name of a record or of a prompt.
    Names,
    /// The path of a section of the named record.
    Sections,
    /// The name of a tool of the named record.
    Tools,
}

/// The words that may stand there, sorted. `typed` are all words of the command.
#[must_use]
pub fn suggestions(wanted: Wanted, typed: &[OsString]) -> Vec<String> {
    let found = find(wanted, typed).unwrap_or_default();
    found.into_iter().collect()
}

fn find(wanted: Wanted, typed: &[OsString]) -> Result<BTreeSet<String>> {
    let place = match (value_of("--root", typed), value_of("--dir", typed)) {
        (Some(root), _) => Place::of_root(Path::new(&root))?,
        (None, Some(folder)) => Place::of_folder(Path::new(&folder))?,
        (None, None) => Place::here()?,
    };
    let document = place.document().filter(|file| is_small(file));
    // Without it there are the records still.
    let documents = document.map(|file| Documents::of_default(&file).unwrap_or_default());
    let documents = documents.unwrap_or_default();
    let overrides = Overrides::new(place.folder);
    let mut found = BTreeSet::new();
    if wanted == Wanted::Names {
        let names = overrides.find_all()?.into_iter();
        found.extend(names.filter_map(|found| Some(found.name.ok()?.to_string())));
        found.extend(
            documents
                .all()
                .iter()
                .map(|document| document.prompt.to_string()),
        );
        return Ok(found);
    }
    let mut names = typed.iter().skip(2).filter_map(|word| word.to_str());
    let Some(name) = names.find_map(|word| word.parse::<Name>().ok()) else {
        return Ok(found);
    };
    let is_section = wanted == Wanted::Sections;
    if let Some(document) = documents.find(&name.prompt) {
        if is_section {
            found.extend(document.sections.iter().map(Section::name));
        } else {
            found.extend(document.tools.iter().map(|tool| tool.name.clone()));
        }
    }
    if is_small(&overrides.file(&name))
        && let Some(record) = overrides.read(&name, Bom::Ignore)?
    {
        if is_section {
            let keys = record.sections().into_iter().flat_map(Object::iter);
            found.extend(keys.map(|member| section_path(&member.key).join("/")));
        } else {
            let keys = record.tools().into_iter().flat_map(Object::iter);
            found.extend(keys.map(|member| member.key.clone()));
        }
    }
    Ok(found)
}

fn is_small(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST)
}

/// The value of an option: `--root DIR` or `--root=DIR`.
fn value_of(option: &str, typed: &[OsString]) -> Option<OsString> {
    let mut words = typed.iter();
    while let Some(word) = words.next() {
        if word == OsStr::new(option) {
            return words.next().cloned();
        }
        let value = word.to_str().and_then(|word| word.strip_prefix(option));
        if let Some(value) = value.and_then(|value| value.strip_prefix('=')) {
            return Some(value.into());
        }
    }
    None
}

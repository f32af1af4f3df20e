//! A prompts document of a folder of text files: each file is a section.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base::{Error, Result};

use crate::document::{Document, Section};
use crate::hash::Hash;
use crate::input::{read_file, text};
use crate::name::PromptName;

/// The document of this prompt whose templates are the files of this folder. The path of a section is
/// the relative path of its file without the last extension; hidden files and folders do not count.
pub(crate) fn document(prompt: &PromptName, folder: &Path) -> Result<Document> {
    if !folder.exists() {
        return Err(Error::new(folder.display(), "no such folder"));
    }
    let mut files = Vec::new();
    collect(folder, &mut Vec::new(), &mut Vec::new(), &mut files)?;
    let mut document = Document::new(prompt.clone());
    let mut sources: HashMap<Vec<String>, PathBuf> = HashMap::new();
    for (path, file) in files {
        if let Some(other) = sources.insert(path.clone(), file.clone()) {
            let why = format!(
                "a second file of section {}, beside {}",
                path.join("/"),
                other.display()
            );
            return Err(Error::new(file.display(), why));
        }
        let bytes = read_file(&file).map_err(|error| Error::file(&file, &error))?;
        let body = text(&bytes).map_err(|error| Error::new(file.display(), error))?;
        let hash = Hash::of_text(body);
        document.add_section(Section {
            path,
            hash,
            body: Some(body.to_owned()),
            params: None,
        })?;
    }
    let count = document.sections.len();
    tracing::info!("{}: {count} templates of {prompt}", folder.display());
    Ok(document)
}

/// Collects the files of a folder and below, sorted by name. `keys` lead to it; `above` are the real
/// paths of the folders that it is in, so that a link back to one of them is not followed.
fn collect(
    folder: &Path,
    keys: &mut Vec<String>,
    above: &mut Vec<PathBuf>,
    files: &mut Vec<(Vec<String>, PathBuf)>,
) -> Result<()> {
    let failed = |error: std::io::Error| Error::file(folder, &error);
    let real = folder.canonicalize().map_err(failed)?;
    if above.contains(&real) {
        return Ok(());
    }
    above.push(real);
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut entries: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()
        .map_err(failed)?;
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_str();
        let name = name.ok_or_else(|| Error::new(entry.display(), "its name is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        let metadata = std::fs::metadata(&entry).map_err(|error| Error::file(&entry, &error))?;
        if metadata.is_dir() {
            keys.push(name.to_owned());
            collect(&entry, keys, above, files)?;
            keys.pop();
        } else if metadata.is_file() {
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            let path = keys.iter().cloned().chain([stem.to_owned()]).collect();
            files.push((path, entry));
        }
    }
    above.pop();
    Ok(())
}

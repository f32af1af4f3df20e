//! The overrides of a project: finding, reading and changing its records.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use base::{Error, Result, reason};

use crate::document::Document;
use crate::json::Json;
use crate::judge::{Against, applicable, judge};
use crate::name::Name;
use crate::problem::{Kind, Problem};
use crate::record::{Bom, Format, Record};
use crate::write;

/// The records below a folder.
#[derive(Debug)]
pub(crate) struct Overrides {
    folder: PathBuf,
}

/// A file that is found where records are.
#[derive(Debug)]
pub(crate) struct Found {
    /// The file.
    pub(crate) file: PathBuf,
    /// The record's name; an error if no record can have this file.
    pub(crate) name: Result<Name>,
}

/// What is known when a record is changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// The prompt as the code has it.
    pub(crate) document: Option<&'a Document>,
    /// The format that was asked for.
    pub(crate) format: Option<Format>,
}

/// The format of a new file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewFormat {
    format: Format,
    /// Whether nothing told it.
    is_guess: bool,
}

/// What a change has done.
#[derive(Debug)]
pub(crate) struct Upserted {
    /// The record as it is now; `None` if there is none.
    pub(crate) record: Option<Record>,
    /// Whether the file changed.
    pub(crate) is_changed: bool,
}

impl Overrides {
    /// The overrides in this folder, which need not be there.
    #[must_use]
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    #[must_use]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a record, there or not.
    #[must_use]
    pub(crate) fn file(&self, name: &Name) -> PathBuf {
        self.folder.join(name.file())
    }

    /// All files with the name of a record's, and those that end alike; sorted by namespace, key and
    /// tag.
    pub(crate) fn find_all(&self) -> Result<Vec<Found>> {
        let mut files = Vec::new();
        if self.folder.exists() {
            collect(&self.folder, &mut Vec::new(), &mut files)?;
        }
        let found = files.into_iter().map(|file| {
            let below = file.strip_prefix(&self.folder).unwrap_or(&file);
            let name = Name::of_file(below);
            Found { file, name }
        });
        let mut found: Vec<Found> = found.collect();
        let key = |found: &Found| {
            let name = found.name.as_ref().ok();
            let name = name
                .map(|Name { prompt, tag }| (prompt.namespace(), prompt.key.clone(), tag.clone()));
            (name, found.file.clone())
        };
        found.sort_by_cached_key(key);
        Ok(found)
    }

    /// Reads a record; `None` if it is not there.
    pub(crate) fn read(&self, name: &Name, bom: Bom) -> Result<Option<Record>> {
        let file = self.file(name);
        let Some(bytes) = write::read(&file)? else {
            return Ok(None);
        };
        let record = Record::read(&file, name, &bytes, bom);
        record.map(Some).map_err(|problem| problem.error(&file))
    }

    /// Reads a record for a command that goes on with others: also that it cannot be read is a problem.
    pub(crate) fn inspect(&self, name: &Name, bom: Bom) -> Result<Option<Record>, Problem> {
        let file = self.file(name);
        let bytes = write::try_read(&file)
            .map_err(|error| Problem::new(None, Kind::Malformed, reason(&error)))?;
        bytes
            .map(|bytes| Record::read(&file, name, &bytes, bom))
            .transpose()
    }

    /// Reads a record that must be there.
    pub(crate) fn required(&self, name: &Name) -> Result<Record> {
        self.read(name, Bom::Warn)?
            .ok_or_else(|| self.missing(name))
    }

    /// The error that a record is not there.
    #[must_use]
    pub(crate) fn missing(&self, name: &Name) -> Error {
        let error = Error::new(name, "no such record");
        let found = self.find_all().unwrap_or_default().into_iter();
        let names = found.filter_map(|found| found.name.ok());
        let tags: Vec<String> = names
            .filter(|other| other.prompt == name.prompt)
            .map(|other| other.tag)
            .collect();
        match tags.as_slice() {
            [] => error.hint("localstore prompt list"),
            tags => error.hint(format!("tags of {}: {}", name.prompt, tags.join(", "))),
        }
    }

    /// What applies of a record, in the shape of a record, with the tag as it was asked for; `None` if
    /// there is no record or nothing of it applies.
    pub(crate) fn resolve(&self, document: &Document, tag: &str) -> Result<Option<Json>> {
        let name = format!("{}@{tag}", document.prompt).parse()?;
        match self.read(&name, Bom::Refuse)? {
            Some(record) => applicable(&record, document, tag),
            None => Ok(None),
        }
    }

    /// Changes a record, or a new one if there is none; `change` may be called again if others change the
    /// file meanwhile. Nothing is written over a file that cannot be read.
    pub(crate) fn upsert(
        &self,
        name: &Name,
        known: Known<'_>,
        mut change: impl FnMut(&mut Record) -> Result<()>,
    ) -> Result<Upserted> {
        let mut new = None;
        let changed = self.update(name, known, |old| {
            let mut record = match old {
                Some(record) => record,
                None => self.new_record(name, known, &mut new)?,
            };
            change(&mut record)?;
            Ok(Some(record))
        })?;
        if let Some(new) = new {
            new.note();
        }
        Ok(changed)
    }

    /// Changes a record; `change` gets `None` if there is none, and gives `None` to leave the file as it
    /// is. What the library could not read is neither changed nor written.
    pub(crate) fn update(
        &self,
        name: &Name,
        known: Known<'_>,
        mut change: impl FnMut(Option<Record>) -> Result<Option<Record>>,
    ) -> Result<Upserted> {
        let file = self.file(name);
        let mut last = None;
        let is_changed = write::change(&file, |bytes| {
            let old = bytes.map(|bytes| Record::read(&file, name, bytes, Bom::Warn));
            let old = old.transpose().map_err(|problem| problem.error(&file))?;
            if let Some(record) = &old {
                known.check(record)?;
            }
            let new = change(old.clone())?;
            if let Some(record) = &new {
                known.check(record)?;
            }
            // What means the same stays as it is spelled, but for a byte order mark.
            let has_mark = bytes.is_some_and(|bytes| bytes.starts_with("\u{feff}".as_bytes()));
            let is_other =
                |new: &&Record| has_mark || old.as_ref().is_none_or(|old| old.object != new.object);
            let written = new.as_ref().filter(is_other).map(Record::to_bytes);
            last = new.or(old);
            Ok(written)
        })?;
        Ok(Upserted {
            record: last,
            is_changed,
        })
    }

    /// Writes a record as it is, if `may_replace` allows it for the bytes that are there. Tells whether
    /// the file changed.
    pub(crate) fn replace(
        &self,
        record: &Record,
        mut may_replace: impl FnMut(&[u8]) -> Result<bool>,
    ) -> Result<bool> {
        write::change(&self.file(&record.name), |old| {
            let is_written = old.map_or(Ok(true), &mut may_replace)?;
            Ok(is_written.then(|| record.to_bytes()))
        })
    }

    /// Whether there is something at the place of a record, be it a link to nothing.
    #[must_use]
    pub(crate) fn is_there(&self, name: &Name) -> bool {
        fs::symlink_metadata(self.file(name)).is_ok()
    }

    /// Removes a record, whatever is in its file, and the folders that are empty then. Tells whether it was
    /// there.
    pub(crate) fn delete(&self, name: &Name) -> Result<bool> {
        write::delete(&self.file(name), &self.folder)
    }

    /// Writes a record of all sections and tools of the document, unless there is one: that stays, and it
    /// is an error if nothing of it applies.
    pub(crate) fn seed_if_necessary(
        &self,
        document: &Document,
        tag: &str,
        format: Option<Format>,
    ) -> Result<Upserted> {
        let name: Name = format!("{}@{tag}", document.prompt).parse()?;
        let known = Known {
            document: Some(document),
            format,
        };
        let file = self.file(&name);
        let mut new = None;
        let mut last = None;
        let is_changed = write::change(&file, |bytes| {
            let Some(bytes) = bytes else {
                let mut record = self.new_record(&name, known, &mut new)?;
                record.seed(document)?;
                let bytes = record.to_bytes();
                last = Some(record);
                return Ok(Some(bytes));
            };
            let record = Record::read(&file, &name, bytes, Bom::Refuse);
            let record = record.map_err(|problem| problem.error(&file))?;
            known.check(&record)?;
            if applicable(&record, document, &name.tag)?.is_none() {
                let problems = judge(&record, Against::Document(document)).problems;
                let why = problems.first().map(ToString::to_string);
                let why = why.unwrap_or_else(|| "it has no overrides".to_owned());
                let why = format!("it is there, and nothing in it applies: {why}");
                return Err(Error::new(file.display(), why));
            }
            last = Some(record);
            Ok(None)
        })?;
        if let Some(new) = new {
            new.note();
        }
        Ok(Upserted {
            record: last,
            is_changed,
        })
    }

    /// A record without overrides. `format` is what was found before, or what is found now.
    pub(crate) fn new_record(
        &self,
        name: &Name,
        known: Known<'_>,
        format: &mut Option<NewFormat>,
    ) -> Result<Record> {
        let NewFormat { format, .. } = match format {
            Some(format) => *format,
            None => *format.insert(self.new_format(known)?),
        };
        let file = self.file(name);
        Ok(Record::new(file, name, known.document, format))
    }

    /// The format of a new file.
    fn new_format(&self, known: Known<'_>) -> Result<NewFormat> {
        let told = known
            .format
            .or(known.document.and_then(|document| document.format));
        if let Some(format) = told {
            return Ok(NewFormat::known(format));
        }
        let mut formats = BTreeSet::new();
        for found in self.find_all()? {
            let Ok(name) = &found.name else { continue };
            let bytes = write::read(&found.file).ok().flatten();
            let record =
                bytes.and_then(|bytes| Record::read(&found.file, name, &bytes, Bom::Ignore).ok());
            formats.extend(record.map(|record| record.format));
        }
        match formats.iter().collect::<Vec<_>>().as_slice() {
            [] => Ok(NewFormat {
                format: Format::One,
                is_guess: true,
            }),
            [format] => Ok(NewFormat::known(**format)),
            _ => Err(
                Error::new(self.folder.display(), "files of both formats are there")
                    .hint("--format 1 or 2; 'localstore prompt convert --to 1' makes all alike"),
            ),
        }
    }
}

impl NewFormat {
    fn known(format: Format) -> Self {
        Self {
            format,
            is_guess: false,
        }
    }

    /// Says which format it is, if nobody has said so.
    fn note(self) {
        if self.is_guess {
            base::note("format 1, for weakincentives up to 0.18; --format 2 for 0.19 and later");
        }
    }
}

impl Known<'_> {
    /// Refuses a record that the library could not read, or that is of another format than was asked
    /// for; without that, than the document's.
    pub(crate) fn check(&self, record: &Record) -> Result<()> {
        if let Some(format) = self.format.filter(|&format| format != record.format) {
            return Err(record.error(&record.format_problem(&format!("not {format}"))));
        }
        let against = self.document.map_or(Against::Unknown, Against::Document);
        let judged = judge(record, against);
        let is_asked_for =
            |problem: &Problem| problem.kind == Kind::Format && self.format.is_some();
        let mut problems = judged.problems.iter();
        match problems.find(|problem| problem.is_fatal() && !is_asked_for(problem)) {
            Some(problem) => Err(record.error(problem)),
            None => Ok(()),
        }
    }
}

/// Collects the `.json` files of a folder and below. Hidden ones do not count; `above` are the real paths
/// of the folders that it is in, so that a link back to one of them is not followed.
fn collect(folder: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error: std::io::Error| Error::file(folder, &error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut is_entered = false;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let (path, name) = (entry.path(), entry.file_name());
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
        if !is_folder {
            if path.extension() == Some(OsStr::new("json")) {
                files.push(path);
            }
            continue;
        }
        if !is_entered {
            let real = folder.canonicalize().map_err(failed)?;
            if above.contains(&real) {
                return Ok(());
            }
            above.push(real);
            is_entered = true;
        }
        collect(&path, above, files)?;
    }
    if is_entered {
        above.pop();
    }
    Ok(())
}

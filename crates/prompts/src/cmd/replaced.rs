use std::path::PathBuf;

use crate::document::contract_hash;
use crate::hash::Hash;
use crate::input::{input_name, read_input_json, read_input_text};
use crate::name::Name;
use crate::problem::Entry;
use crate::record::Record;
use base::{Error, Result};

/// What an override replaces, for a prompt without a document.
#[derive(Debug, clap::Args)]
pub(super) struct Replaced {
    /// The text that the override replaces; of a tool JSON, as 'hash --tool' takes it
    #[arg(long, value_name = "FILE", conflicts_with = "hash")]
    template: Option<PathBuf>,
    /// The hash of what the override replaces
    #[arg(long, value_name = "HEX")]
    hash: Option<Hash>,
}

/// A hash that is known before a record is read.
pub(super) struct Expected {
    /// What is replaced, if it was given: the document's, or else that of the options.
    hash: Option<Hash>,
    /// The template that was given.
    pub(super) template: Option<String>,
}

impl Replaced {
    /// Reads what was given. It is an error if the document has another hash: the code and the template
    /// have drifted apart.
    pub(super) fn expected(
        &self,
        name: &Name,
        entry: &Entry,
        documented: Option<&Hash>,
    ) -> Result<Expected> {
        let mut template = None;
        let told = match &self.template {
            None => self.hash.clone(),
            Some(file) if matches!(entry, Entry::Tool(_)) => {
                let json = read_input_json(file)?;
                let hash = json.as_object().and_then(contract_hash);
                let why = "not an object of description, params_schema and result_schema";
                Some(hash.ok_or_else(|| Error::new(input_name(file), why))?)
            }
            Some(file) => Some(Hash::of_text(template.insert(read_input_text(file)?))),
        };
        if let (Some(told), Some(known)) = (&told, documented)
            && told != known
        {
            let why = format!("drift: the hash given is {told}, the prompts document has {known}");
            return Err(Error::new(format!("{name}: {entry}"), why));
        }
        Ok(Expected {
            hash: documented.cloned().or(told),
            template,
        })
    }
}

impl Expected {
    /// The hash for an entry: what was given, or else what the entry has.
    pub(super) fn hash(&self, entry: &Entry, record: &Record) -> Result<Hash> {
        let told = || Record::told_hash(entry, record.entry(entry)?);
        self.hash.clone().or_else(told).ok_or_else(|| {
            let what = format!("{}: {entry}", record.name);
            Error::new(what, "the hash of what it replaces is not known")
                .hint("give --prompts FILE, --template FILE or --hash HEX")
        })
    }
}

use std::path::{Path, PathBuf};

use super::replaced::Replaced;
use super::{Context, EntryArgs, Output, name, print_changed, say};
use crate::hash::Hash;
use crate::input::{read_input_json, read_input_text};
use crate::json::{Json, Object};
use crate::name::Name;
use crate::overrides::{Known, Overrides, Upserted};
use crate::problem::{Entry, Kind, Problem};
use crate::record::{Format, Record};
use base::{Error, Result, note};

/// Set the override of a section or a tool
///
/// The text of a section is read from FILE, else from stdin, and kept byte for byte. For a tool it is
/// JSON as 'show --tool' prints it; --description and --param change only what they name. With a prompts
/// document the override replaces what the code has now, else what --template or --hash say, else what
/// it has replaced so far.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: localstore prompt set demo/welcome --section system/intro intro.md"
)]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG
    #[arg(value_name = "NAME", value_parser = name)]
    name: Name,
    #[command(flatten)]
    entry: EntryArgs,
    /// The text of the section, or the JSON of the tool [default: stdin]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    replaced: Replaced,
    #[command(flatten)]
    marks: Marks,
    #[command(flatten)]
    texts: Texts,
    /// The output format; json and jsonl print the record as it is then
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

/// What only a section of format 2 has.
#[derive(Debug, clap::Args)]
#[group(conflicts_with = "tool")]
struct Marks {
    /// The summary of the section (format 2)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    summary: Option<String>,
    /// Remove the summary (format 2)
    #[arg(long, conflicts_with = "summary")]
    no_summary: bool,
    /// Which of text and summary is shown (format 2)
    #[arg(long, value_name = "WHICH")]
    visibility: Option<Visibility>,
    /// Remove the visibility (format 2)
    #[arg(long, conflicts_with = "visibility")]
    no_visibility: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Visibility {
    /// The text
    Full,
    /// The summary
    Summary,
}

/// Texts of a tool.
#[derive(Debug, clap::Args)]
#[group(conflicts_with_all = ["section", "file"])]
struct Texts {
    /// The description of the tool
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    description: Option<String>,
    /// The description of a parameter of the tool, repeatable
    #[arg(long, value_name = "NAME=TEXT", value_parser = param, allow_hyphen_values = true)]
    param: Vec<(String, String)>,
}

/// Reads the name of a parameter and its description.
fn param(text: &str) -> Result<(String, String), &'static str> {
    let named = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, text) = named.ok_or("it has the form NAME=TEXT")?;
    Ok((name.to_owned(), text.to_owned()))
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let Some(entry) = args.entry.entry() else {
        return Err(Error::new(
            "missing parameter",
            "--section PATH or --tool NAME",
        ));
    };
    let documents = context.documents(Some(&args.name.prompt))?;
    let known = context.known(documents.try_find(&args.name.prompt)?);
    let set = match &entry {
        Entry::Tool(tool) => args.set_tool(&entry, tool, known, &context.overrides)?,
        _ => args.set_section(&entry, known, &context.overrides)?,
    };
    let what = if set.is_changed { "set" } else { "unchanged" };
    say(&args.name, format_args!("{entry} {what}"));
    print_changed(set.record, args.output, context.out)
}

impl Args {
    fn set_section(
        &self,
        entry: &Entry,
        known: Known<'_>,
        overrides: &Overrides,
    ) -> Result<Upserted> {
        let path = self.entry.section.as_deref().unwrap_or_default();
        let document = known.document;
        let section = document.map(|document| document.required_section(path));
        let hash = section.transpose()?.map(|section| &section.hash);
        let expected = self.replaced.expected(&self.name, entry, hash)?;
        let body = if self.file.is_none() && self.marks.are_given() {
            None
        } else {
            Some(read_input_text(self.input())?)
        };
        let mut was_stale = false;
        let set = overrides.upsert(&self.name, known, |record| {
            let hash = expected.hash(entry, record)?;
            self.marks.check(record)?;
            let section = record.section_mut(path);
            match &body {
                Some(body) => section.set("body", body.as_str()),
                None if section.get("body").is_none() => {
                    let what = format!("{}: {entry}", self.name);
                    return Err(Error::new(
                        what,
                        "not overridden yet, so there is no text to keep",
                    )
                    .hint("give the text too: FILE, or '-' for stdin"));
                }
                None => was_stale = is_other(entry, section, &hash),
            }
            section.set(entry.hash_key(), &hash);
            self.marks.set(section);
            Ok(())
        })?;
        if was_stale {
            note_stale(&self.name, entry);
        }
        Ok(set)
    }

    fn set_tool(
        &self,
        entry: &Entry,
        name: &str,
        known: Known<'_>,
        overrides: &Overrides,
    ) -> Result<Upserted> {
        let document = known.document;
        let tool = document.map(|document| document.required_tool(name));
        let hash = tool.transpose()?.map(|tool| &tool.hash);
        let expected = self.replaced.expected(&self.name, entry, hash)?;
        let texts = if self.texts.are_given() {
            None
        } else {
            let file = self.input();
            let texts = tool_texts(&read_input_json(file)?);
            Some(texts.map_err(|why| Error::new(format!("{}: {entry}", self.name), why))?)
        };
        let mut was_stale = false;
        let set = overrides.upsert(&self.name, known, |record| {
            let hash = expected.hash(entry, record)?;
            let tool = record.tool_mut(name);
            if let Some((description, params)) = &texts {
                tool.set("description", description.clone());
                tool.set("param_descriptions", params.clone());
            } else {
                was_stale = is_other(entry, tool, &hash);
                self.texts.set(tool);
            }
            tool.set(entry.hash_key(), &hash);
            Ok(())
        })?;
        if was_stale {
            note_stale(&self.name, entry);
        }
        Ok(set)
    }

    fn input(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new("-"))
    }
}

/// Whether the entry that is there replaces something else.
fn is_other(entry: &Entry, object: &Object, hash: &Hash) -> bool {
    Record::told_hash(entry, object).is_some_and(|told| told != *hash)
}

fn note_stale(name: &Name, entry: &Entry) {
    note(&format!(
        "{name}: {entry} was stale; what stays of it applies again: read it"
    ));
}

impl Marks {
    fn are_given(&self) -> bool {
        self.summary.is_some() || self.visibility.is_some() || self.no_summary || self.no_visibility
    }

    /// Refuses them for a record that cannot have them.
    fn check(&self, record: &Record) -> Result<()> {
        if record.format == Format::Two || !self.are_given() {
            return Ok(());
        }
        let why = "format 1 has neither summary nor visibility".to_owned();
        Err(record.error(&Problem::new(None, Kind::Format, why)))
    }

    fn set(&self, section: &mut Object) {
        if let Some(summary) = &self.summary {
            section.set("summary", summary.as_str());
        } else if self.no_summary {
            section.remove("summary");
        }
        match self.visibility {
            Some(Visibility::Full) => section.set("visibility", "full"),
            Some(Visibility::Summary) => section.set("visibility", "summary"),
            None if self.no_visibility => {
                section.remove("visibility");
            }
            None => {}
        }
    }
}

impl Texts {
    fn are_given(&self) -> bool {
        self.description.is_some() || !self.param.is_empty()
    }

    fn set(&self, tool: &mut Object) {
        if let Some(description) = &self.description {
            tool.set("description", description.as_str());
        }
        if !self.param.is_empty() {
            let params = tool.object_mut("param_descriptions");
            for (name, text) in &self.param {
                params.set(name, text.as_str());
            }
        }
    }
}

/// The description and the descriptions of the parameters in this value; `null` and none if missing.
fn tool_texts(json: &Json) -> Result<(Json, Object), String> {
    let not = |what: &str, wanted: &str, json: &Json| {
        Err(format!("{what}: not {wanted}, but {}", json.kind()))
    };
    let Some(object) = json.as_object() else {
        return not("its texts", "an object", json);
    };
    let description = match object.get("description") {
        None => Json::Null,
        Some(text @ Json::String(_)) => text.clone(),
        Some(other) => return not("description", "a string", other),
    };
    let params = match object.get("param_descriptions") {
        None => Object::default(),
        Some(Json::Object(params)) => params.clone(),
        Some(other) => return not("param_descriptions", "an object", other),
    };
    if let Some(param) = params.iter().find(|param| param.value.as_str().is_none()) {
        return not(
            &format!("parameter {}", param.key),
            "a string",
            &param.value,
        );
    }
    Ok((description, params))
}

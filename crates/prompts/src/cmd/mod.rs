//! The commands of `prompt`, one file each.

mod accept;
mod check;
mod convert;
mod copy;
mod diff;
mod edit;
mod hash;
mod list;
mod path;
mod replaced;
mod resolve;
mod rm;
mod seed;
mod set;
mod show;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

use base::{Error, ExitStatus, Result, Stderr, Stdout};

use crate::document::{Document, Documents};
use crate::json::Json;
use crate::name::{Name, PromptName, SectionPath, identifier, section_path};
use crate::overrides::{Known, Overrides};
use crate::place::Place;
use crate::problem::Entry;
use crate::record::{Format, Record};
use crate::templates;

/// Overrides of prompts: files beside the code that replace texts of it
///
/// An override replaces the text of a section of a prompt, or the descriptions of a tool, and is tied to
/// the hash of the text that it replaces: when the code changes, it no longer applies. The files are
/// those of the Python library weakincentives, in ROOT/.weakincentives/prompts/overrides.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Example: localstore prompt check --prompts prompts.jsonl"
)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// Where the overrides are, and what the code has.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of prompt")]
struct Options {
    /// The project's folder [default: the Git repository of the current folder]
    #[arg(long, value_name = "DIR", global = true)]
    root: Option<PathBuf>,
    /// The overrides folder itself
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "root")]
    dir: Option<PathBuf>,
    /// A prompts document, repeatable; '-': stdin [default: ROOT/.weakincentives/prompts/prompts.jsonl]
    #[arg(long, value_name = "FILE", global = true, action = clap::ArgAction::Append)]
    prompts: Vec<PathBuf>,
    /// A folder whose text files are the sections of the prompt NAME
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "prompts")]
    templates: Option<PathBuf>,
    /// The format of new files, 1 or 2: weakincentives up to 0.18, or from 0.19 on
    #[arg(long, value_name = "FORMAT", global = true, value_parser = format)]
    format: Option<Format>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Set(set::Args),
    Edit(edit::Args),
    Seed(seed::Args),
    Resolve(resolve::Args),
    Check(check::Args),
    Accept(accept::Args),
    Diff(diff::Args),
    Copy(copy::Args),
    Convert(convert::Args),
    Rm(rm::Args),
    Hash(hash::Args),
    Path(path::Args),
}

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// A JSON object per line
    Jsonl,
}

/// What the commands work with.
struct Context<'a> {
    options: &'a Options,
    overrides: Overrides,
    place: Place,
    out: &'a mut Stdout,
}

impl Args {
    /// Whether the output goes through the pager where the terminal is shorter.
    #[must_use]
    pub fn is_paged(&self) -> bool {
        matches!(
            self.command,
            Command::List(_) | Command::Show(_) | Command::Diff(_)
        )
    }

    /// Runs the command.
    pub fn run(&self, out: &mut Stdout) -> Result<ExitStatus> {
        // It needs no project.
        if let Command::Hash(args) = &self.command {
            hash::run(args, out)?;
            return Ok(ExitStatus::Success);
        }
        let place = self.options.place()?;
        let overrides = Overrides::new(place.folder.clone());
        let mut context = Context {
            options: &self.options,
            overrides,
            place,
            out,
        };
        match &self.command {
            Command::List(args) => list::run(args, &mut context)?,
            Command::Show(args) => return show::run(args, &mut context),
            Command::Set(args) => set::run(args, &mut context)?,
            Command::Edit(args) => edit::run(args, &mut context)?,
            Command::Seed(args) => seed::run(args, &mut context)?,
            Command::Resolve(args) => resolve::run(args, &mut context)?,
            Command::Check(args) => return check::run(args, &mut context),
            Command::Accept(args) => accept::run(args, &mut context)?,
            Command::Diff(args) => return diff::run(args, &mut context),
            Command::Copy(args) => copy::run(args, &mut context)?,
            Command::Convert(args) => return convert::run(args, &mut context),
            Command::Rm(args) => return rm::run(args, &mut context),
            Command::Hash(_) => {}
            Command::Path(args) => path::run(args, &mut context)?,
        }
        Ok(ExitStatus::Success)
    }
}

impl Options {
    fn place(&self) -> Result<Place> {
        match (&self.root, &self.dir) {
            (Some(root), _) => Place::of_root(root),
            (_, Some(folder)) => Place::of_folder(folder),
            (None, None) => Place::here(),
        }
    }
}

impl Context<'_> {
    /// What is known when a record is changed.
    fn known<'d>(&self, document: Option<&'d Document>) -> Known<'d> {
        let format = self.options.format;
        Known { document, format }
    }

    /// The prompts documents: those that were named, or the default one. `prompt` is what was named on
    /// the command line; a folder of templates belongs to it.
    fn documents(&self, prompt: Option<&PromptName>) -> Result<Documents> {
        let options = self.options;
        match (&options.templates, prompt, self.place.document()) {
            (Some(folder), Some(prompt), _) => {
                Ok(Documents::of_one(templates::document(prompt, folder)?))
            }
            (Some(_), None, _) => Err(Error::new(
                "--templates",
                "it is of one prompt, and needs a NAME of that prompt alone",
            )),
            (None, _, _) if !options.prompts.is_empty() => Documents::of_files(&options.prompts),
            (None, _, Some(file)) => Documents::of_default(&file),
            (None, _, None) => Ok(Documents::default()),
        }
    }
}

/// Prints a record as it is in a file, or in one line.
fn print_record(record: &Json, output: Output, out: &mut Stdout) -> Result<()> {
    let text = match output {
        Output::Text | Output::Json => record.pretty(),
        Output::Jsonl => record.compact() + "\n",
    };
    Ok(out.write_all(text.as_bytes())?)
}

/// Prints the record that a command has changed, `null` if there is none; nothing for people, who are told
/// otherwise.
fn print_changed(record: Option<Record>, output: Output, out: &mut Stdout) -> Result<()> {
    match (output, record) {
        (Output::Text, _) => Ok(()),
        (_, None) => print_record(&Json::Null, output, out),
        (_, Some(record)) => print_record(&record.object.into(), output, out),
    }
}

/// A section or a tool.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct EntryArgs {
    /// The section of this path, such as system/intro
    #[arg(long, value_name = "PATH", value_parser = section, allow_hyphen_values = true)]
    section: Option<SectionPath>,
    /// The tool of this name
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    tool: Option<String>,
}

impl EntryArgs {
    /// The entry that was named, if one was.
    fn entry(&self) -> Option<Entry> {
        match (&self.section, &self.tool) {
            (Some(path), _) => Some(Entry::Section(path.join("/"))),
            (None, tool) => tool.clone().map(Entry::Tool),
        }
    }
}

/// Another record: NAME, or @TAG for another tag of the same prompt.
#[derive(Debug, Clone)]
enum Other {
    Name(Name),
    Tag(String),
}

impl Other {
    /// The name of the other record; `name` is that of the first.
    fn relative_to(&self, name: &Name) -> Name {
        match self {
            Self::Name(other) => other.clone(),
            Self::Tag(tag) => Name {
                prompt: name.prompt.clone(),
                tag: tag.clone(),
            },
        }
    }
}

/// Reads NAME or @TAG.
fn other(text: &str) -> Result<Other, String> {
    match text.strip_prefix('@') {
        Some(text) => tag(text).map(Other::Tag),
        None => name(text).map(Other::Name),
    }
}

/// Says for people what a command has done.
fn say(name: &Name, what: impl Display) {
    Stderr::line(&format!("{name}: {what}"));
}

/// Reads the path of a section.
fn section(text: &str) -> Result<SectionPath, String> {
    let path = section_path(text);
    if path.is_empty() {
        return Err("a path is keys joined by '/', one at least".to_owned());
    }
    Ok(path)
}

/// Reads the name of a record.
fn name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error: Error| error.to_string())
}

/// Reads a tag.
fn tag(text: &str) -> Result<String, String> {
    identifier(text, "tag").map_err(|error| error.to_string())
}

/// Reads the number of a format.
fn format(text: &str) -> Result<Format, String> {
    match text {
        "1" => Ok(Format::One),
        "2" => Ok(Format::Two),
        _ => Err("1 or 2".to_owned()),
    }
}

use std::io::Write;

use super::list::{state, style};
use super::{Context, EntryArgs, Output, name, print_record};
use crate::document::Documents;
use crate::json::Json;
use crate::judge::{counts, judge};
use crate::name::{Name, section_path};
use crate::problem::Entry;
use crate::record::{Bom, Record};
use base::{Column, Error, ExitStatus, Result, Stderr, Table, counted, printable};

/// Print a record: its entries and their state
///
/// An entry is 'ok' if it applies; it is 'stale' if the text that it replaces has changed. -o json prints
/// the record as it is in the file. With --section only the text of that section, byte for byte, with --tool
/// only its object.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore prompt show demo/welcome
  localstore prompt show demo/welcome --section system > system.md
  localstore prompt show --all -o jsonl")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG
    #[arg(value_name = "NAME", value_parser = name, required_unless_present = "all")]
    name: Option<Name>,
    #[command(flatten)]
    entry: EntryArgs,
    /// Print every record
    #[arg(long, conflicts_with_all = ["name", "section", "tool"])]
    all: bool,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

/// The width that is left to texts where the screen is too narrow for the names of entries.
const LEAST_OF_TEXT: usize = 8;

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<ExitStatus> {
    let Some(name) = &args.name else {
        return all(args.output, context);
    };
    let record = context.overrides.required(name)?;
    if let Some(path) = &args.entry.section {
        let body = body(&record, path)?;
        context.out.write_all(body.as_bytes())?;
    } else if let Some(tool) = &args.entry.tool {
        let missing = || missing(&record, &Entry::Tool(tool.clone()));
        let tool = record.tool(tool).ok_or_else(missing)?.clone();
        print_record(&tool.into(), args.output, context.out)?;
    } else if args.output == Output::Text {
        let documents = context.documents(Some(&name.prompt))?;
        print(&record, &documents, context)?;
    } else {
        print_record(&record.object.into(), args.output, context.out)?;
    }
    Ok(ExitStatus::Success)
}

/// The text of a section.
fn body<'a>(record: &'a Record, path: &[String]) -> Result<&'a str> {
    let entry = Entry::Section(path.join("/"));
    let section = record.section(path);
    let section = section.ok_or_else(|| missing(record, &entry))?;
    section.get("body").and_then(Json::as_str).ok_or_else(|| {
        let what = format!("{}: {entry}", record.file.display());
        Error::new(what, "no body, or one that is not a string")
    })
}

/// The error that an override is not there, or not an object.
fn missing(record: &Record, entry: &Entry) -> Error {
    let what = format!("{}: {entry}", record.name);
    let mut known = Vec::new();
    for (other, _) in entries(record) {
        if other == *entry {
            return Error::new(what, "not an object");
        }
        match (entry, other) {
            (Entry::Section(_), Entry::Section(name)) | (Entry::Tool(_), Entry::Tool(name)) => {
                known.push(name);
            }
            _ => {}
        }
    }
    let error = Error::new(what, "not in the record");
    match known.as_slice() {
        [] => error,
        known => error.hint(format!("it has {}", known.join(", "))),
    }
}

/// Prints every record. One that cannot be read is an error at its place, and the rest goes on.
fn all(output: Output, context: &mut Context<'_>) -> Result<ExitStatus> {
    let documents = context.documents(None)?;
    let mut status = ExitStatus::Success;
    let mut records = Vec::new();
    for found in context.overrides.find_all()? {
        let record = match &found.name {
            Ok(name) => context.overrides.read(name, Bom::Warn),
            Err(error) => Err(Error::new(found.file.display(), error)),
        };
        match record {
            Ok(record) => records.extend(record),
            Err(error) => {
                Stderr::error(&error);
                status = ExitStatus::Failure;
            }
        }
    }
    match output {
        Output::Text => {
            for (index, record) in records.iter().enumerate() {
                if index > 0 {
                    context.out.write_all(b"\n")?;
                }
                print(record, &documents, context)?;
            }
        }
        Output::Json => {
            let records = records.into_iter().map(|record| record.object.into());
            print_record(&Json::Array(records.collect()), output, context.out)?;
        }
        Output::Jsonl => {
            for record in records {
                print_record(&record.object.into(), output, context.out)?;
            }
        }
    }
    Ok(status)
}

/// Prints a record for people.
fn print(record: &Record, documents: &Documents, context: &mut Context<'_>) -> Result<()> {
    let document = documents.find(&record.name.prompt);
    let judged = judge(record, document.into());
    judged.trace(record);
    let state_of_all = state(&judged.problems, document.is_some());
    let [sections, tools] = counts(record);
    let screen = context.out.screen();
    let head = format!(
        "{}: {state_of_all}, format {}, {}, {}",
        record.name,
        record.format,
        counted(sections, "section"),
        counted(tools, "tool"),
    );
    writeln!(context.out, "{}", screen.fold(&head))?;
    let file = record.file.display().to_string();
    writeln!(context.out, "{}", printable(&file))?;
    let of_file = judged
        .problems
        .iter()
        .filter(|problem| problem.entry.is_none());
    for problem in of_file {
        let problem = printable(&problem.to_string()).into_owned();
        writeln!(context.out, "{}", screen.fold(&problem))?;
    }
    let problems = judged.of_entries();
    let mut table = Table::new(&[
        ("entry", Column::Text),
        ("state", Column::Whole),
        ("text", Column::Short(LEAST_OF_TEXT)),
    ]);
    let mut is_empty = true;
    for (entry, value) in entries(record) {
        let state = match problems.get(&entry) {
            Some(problem) => problem.kind.to_string(),
            None if document.is_some() => "ok".to_owned(),
            None => "?".to_owned(),
        };
        table.row(&[entry.to_string(), state, preview(value)]);
        is_empty = false;
    }
    if !is_empty {
        table.paint("state", style);
        context.out.write_all(b"\n")?;
        let text = table.render(screen);
        context.out.styled(text.as_bytes())?;
    }
    Ok(())
}

/// The entries of a record, sections first.
fn entries(record: &Record) -> impl Iterator<Item = (Entry, &Json)> {
    let sections = record.sections().into_iter().flat_map(|all| all.iter());
    let tools = record.tools().into_iter().flat_map(|all| all.iter());
    let examples = record.object.get("task_example_overrides");
    let examples = examples.and_then(Json::as_array).unwrap_or_default();
    let sections = sections.map(|member| {
        let path = section_path(&member.key).join("/");
        (Entry::Section(path), &member.value)
    });
    let tools = tools.map(|member| (Entry::Tool(member.key.clone()), &member.value));
    let examples = examples.iter().enumerate();
    let examples = examples.map(|(index, value)| (Entry::Example(index), value));
    sections.chain(tools).chain(examples)
}

/// The first line of the text of an entry that has any.
fn preview(entry: &Json) -> String {
    let mut texts = ["body", "description", "objective"].into_iter();
    let text = texts.find_map(|key| entry.string(key));
    let text = text.unwrap_or_default().trim();
    match text.split_once('\n') {
        Some((first, _)) => format!("{} …", first.trim_end()),
        None => text.to_owned(),
    }
}

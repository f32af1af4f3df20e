use std::ffi::OsStr;

use serde::Serialize;

use super::{Context, Output};
use crate::document::Documents;
use crate::judge::{counts, judge};
use crate::name::Name;
use crate::overrides::{Found, Overrides};
use crate::problem::{Kind, Problem};
use crate::record::{Bom, Format};
use base::{Column, ColumnOf, Result, Style, Table, rows};

/// List records and their state
///
/// The state is 'ok' if all of a record applies, else what is wrong with how many entries: 'stale' if the
/// text that they replace has changed, 'unknown' if it is not there. It is '?' without a prompts document.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore prompt list
  localstore prompt list demo/ @stable -o jsonl")]
pub(super) struct Args {
    /// Records with each of these in NS/KEY@TAG
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

/// A record, or a file at the place of one.
#[derive(Debug)]
struct Listed {
    /// The file; relative to the folder if it has no name.
    title: String,
    path: String,
    name: Option<Name>,
    format: Option<Format>,
    /// The number of sections and tools, if the file can be read.
    counts: Option<[usize; 2]>,
    has_document: bool,
    problems: Vec<Problem>,
}

/// A record in the formats for programs.
#[derive(Debug, Serialize)]
struct Row<'a> {
    ns: Option<String>,
    prompt_key: Option<&'a str>,
    tag: Option<&'a str>,
    path: &'a str,
    version: Option<u8>,
    sections: Option<usize>,
    tools: Option<usize>,
    problems: Vec<ProblemRow<'a>>,
}

#[derive(Debug, Serialize)]
struct ProblemRow<'a> {
    entry: Option<String>,
    kind: String,
    message: &'a str,
}

/// The columns of the table.
const COLUMNS: [ColumnOf<Listed>; 6] = [
    ("prompt", Column::Text, |listed| listed.prompt()),
    ("tag", Column::Text, |listed| listed.tag().to_owned()),
    ("format", Column::Number, |listed| {
        listed
            .format
            .map_or(String::new(), |format| format.to_string())
    }),
    ("sections", Column::Number, |listed| listed.count(0)),
    ("tools", Column::Number, |listed| listed.count(1)),
    ("state", Column::Text, |listed| {
        state(&listed.problems, listed.has_document)
    }),
];

/// The columns that a narrow screen can do without.
const LEAST_IMPORTANT: [&str; 3] = ["tools", "format", "sections"];

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let documents = context.documents(None)?;
    let all = context.overrides.find_all()?;
    let count = all.len();
    let found = all.into_iter().filter(|found| {
        let title = title(&context.overrides, found);
        let mut filters = args.filters.iter();
        filters.all(|filter| title.contains(filter.as_str()))
    });
    let listed = found.filter_map(|found| list(&context.overrides, &documents, &found));
    let listed: Vec<Listed> = listed.collect();
    match args.output {
        Output::Json => rows::json(
            &listed.iter().map(Listed::row).collect::<Vec<_>>(),
            context.out,
        )?,
        Output::Jsonl => rows::jsonl(listed.iter().map(Listed::row), context.out)?,
        Output::Text if listed.is_empty() && count > 0 => {
            context
                .out
                .note(&format!("none of the {count} records matches"));
        }
        Output::Text if listed.is_empty() => {
            let folder = context.overrides.folder().display().to_string();
            context.out.note(&format!("no records in {folder}"));
        }
        Output::Text => {
            let mut table = Table::of(&listed, &COLUMNS);
            table.paint("state", style);
            table.print(&LEAST_IMPORTANT, context.out)?;
            if listed
                .iter()
                .any(|one| !one.has_document && one.problems.is_empty())
            {
                context
                    .out
                    .note("? not known without a prompts document ('--prompts FILE')");
            }
        }
    }
    Ok(())
}

/// The name, or the path below the folder.
fn title(overrides: &Overrides, found: &Found) -> String {
    if let Ok(name) = &found.name {
        return name.to_string();
    }
    let below = found.file.strip_prefix(overrides.folder());
    let below = below.unwrap_or(&found.file);
    // As in names, on Windows too.
    let parts: Vec<_> = below.iter().map(OsStr::to_string_lossy).collect();
    parts.join("/")
}

/// What is in a file; `None` if it is gone meanwhile.
fn list(overrides: &Overrides, documents: &Documents, found: &Found) -> Option<Listed> {
    let mut listed = Listed {
        title: title(overrides, found),
        path: found.file.display().to_string(),
        name: None,
        format: None,
        counts: None,
        has_document: false,
        problems: Vec::new(),
    };
    let name = match &found.name {
        Ok(name) => name,
        Err(error) => {
            let problem = Problem::new(None, Kind::Identifier, error.to_string());
            listed.problems.push(problem);
            return Some(listed);
        }
    };
    listed.name = Some(name.clone());
    let document = documents.find(&name.prompt);
    listed.has_document = document.is_some();
    match overrides.inspect(name, Bom::Warn) {
        Ok(record) => {
            let record = record?;
            listed.format = Some(record.format);
            listed.counts = Some(counts(&record));
            let judged = judge(&record, document.into());
            judged.trace(&record);
            listed.problems = judged.problems;
        }
        Err(problem) => listed.problems.push(problem),
    }
    Some(listed)
}

/// What is wrong, in a few words: of a problem of the file its kind, else how many entries have each
/// kind.
pub(super) fn state(problems: &[Problem], has_document: bool) -> String {
    let of_file = problems.iter().find(|problem| problem.entry.is_none());
    if let Some(problem) = of_file {
        return problem.kind.to_string();
    }
    let mut kinds: Vec<(Kind, usize)> = Vec::new();
    for problem in problems {
        match kinds.iter_mut().find(|(kind, _)| *kind == problem.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((problem.kind, 1)),
        }
    }
    match kinds.as_slice() {
        [] if has_document => "ok".to_owned(),
        [] => "?".to_owned(),
        kinds if kinds.iter().any(|(kind, _)| *kind == Kind::Malformed) => {
            Kind::Malformed.to_string()
        }
        kinds => {
            let kinds = kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
            kinds.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The colour of a state.
pub(super) fn style(state: &str) -> Option<Style> {
    match state {
        "ok" | "?" => None,
        "malformed" | "header" | "format" | "identifier" => Some(Style::Worse),
        _ => Some(Style::Undecided),
    }
}

impl Listed {
    fn prompt(&self) -> String {
        match &self.name {
            Some(name) => name.prompt.to_string(),
            None => self.title.clone(),
        }
    }

    fn tag(&self) -> &str {
        self.name.as_ref().map_or("", |name| &name.tag)
    }

    fn count(&self, index: usize) -> String {
        self.counts
            .map_or(String::new(), |counts| counts[index].to_string())
    }

    fn row(&self) -> Row<'_> {
        let name = self.name.as_ref();
        let problems = self.problems.iter().map(|problem| ProblemRow {
            entry: problem.entry.as_ref().map(ToString::to_string),
            kind: problem.kind.to_string(),
            message: &problem.message,
        });
        Row {
            ns: name.map(|name| name.prompt.namespace()),
            prompt_key: name.map(|name| name.prompt.key.as_str()),
            tag: name.map(|name| name.tag.as_str()),
            path: &self.path,
            version: self.format.map(Format::number),
            sections: self.counts.map(|counts| counts[0]),
            tools: self.counts.map(|counts| counts[1]),
            problems: problems.collect(),
        }
    }
}

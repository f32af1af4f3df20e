use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::{Context, Output, name};
use crate::document::Documents;
use crate::judge::judge;
use crate::name::Name;
use crate::overrides::{Found, Overrides};
use crate::problem::{Kind, Problem};
use crate::record::{Bom, Format};
use base::{ExitStatus, Result, counted, printable, rows};

/// Check that all records are right and apply
///
/// Prints a line for each problem; exit code 1 if there is any, so it is a gate for CI. Without a prompts
/// document it finds what the library cannot read, and files of both formats side by side; with one also
/// entries that are stale or unknown, and what would fail only when the prompt is rendered.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore prompt check --prompts prompts.jsonl --strict
  localstore prompt check demo/welcome@stable --templates prompts/welcome")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG; one that is not there has no problem [default: all]
    #[arg(value_name = "NAME", value_parser = name)]
    names: Vec<Name>,
    /// A record without a prompts document is a problem too
    #[arg(long)]
    strict: bool,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// The number of files.
    checked: usize,
    problems: Vec<Row>,
    /// The number of records without a document.
    #[serde(skip)]
    undocumented: usize,
    /// Those that were named and are not there.
    #[serde(skip)]
    missing: Vec<Name>,
}

/// A problem in the formats for programs.
#[derive(Debug, Serialize)]
struct Row {
    path: String,
    ns: Option<String>,
    prompt_key: Option<String>,
    tag: Option<String>,
    entry: Option<String>,
    kind: String,
    message: String,
    /// The line for people, of all but the path.
    #[serde(skip)]
    line: String,
}

impl Row {
    fn new(path: &Path, name: Option<&Name>, problem: &Problem) -> Self {
        Self {
            path: path.display().to_string(),
            ns: name.map(|name| name.prompt.namespace()),
            prompt_key: name.map(|name| name.prompt.key.clone()),
            tag: name.map(|name| name.tag.clone()),
            entry: problem.entry.as_ref().map(ToString::to_string),
            kind: problem.kind.to_string(),
            message: problem.message.clone(),
            line: problem.to_string(),
        }
    }
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<ExitStatus> {
    let first = args.names.first().map(|name| &name.prompt);
    let is_one = args.names.iter().all(|name| Some(&name.prompt) == first);
    let documents = context.documents(first.filter(|_| is_one))?;
    let report = args.check(&context.overrides, &documents)?;
    match args.output {
        Output::Text => {
            for row in &report.problems {
                let line = format!("{}: {}", row.path, row.line);
                writeln!(context.out, "{}", printable(&line))?;
            }
        }
        Output::Json => rows::json(&report, context.out)?,
        Output::Jsonl => rows::jsonl(&report.problems, context.out)?,
    }
    context.out.note(&report.summary(args.strict));
    Ok(if report.problems.is_empty() {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

impl Args {
    fn check(&self, overrides: &Overrides, documents: &Documents) -> Result<Report> {
        let found = if self.names.is_empty() {
            overrides.find_all()?
        } else {
            let names: BTreeSet<&Name> = self.names.iter().collect();
            let found = names.into_iter().map(|name| Found {
                file: overrides.file(name),
                name: Ok(name.clone()),
            });
            found.collect()
        };
        let mut report = Report::default();
        let mut formats: BTreeMap<Format, usize> = BTreeMap::new();
        for Found { file, name } in &found {
            let name = match name {
                Ok(name) => name,
                Err(error) => {
                    let problem = Problem::new(None, Kind::Identifier, error.to_string());
                    report.add(file, None, &[problem]);
                    report.checked += 1;
                    continue;
                }
            };
            let document = documents.find(&name.prompt);
            let problems = match overrides.inspect(name, Bom::Refuse) {
                Ok(None) => {
                    report
                        .missing
                        .extend(self.names.contains(name).then(|| name.clone()));
                    continue;
                }
                Ok(Some(record)) => {
                    *formats.entry(record.format).or_default() += 1;
                    judge(&record, document.into()).problems
                }
                Err(problem) => vec![problem],
            };
            report.checked += 1;
            report.add(file, Some(name), &problems);
            if document.is_none() {
                report.undocumented += 1;
                if self.strict {
                    let why = "no prompts document has this prompt".to_owned();
                    let problem = Problem::new(None, Kind::Undocumented, why);
                    report.add(file, Some(name), &[problem]);
                }
            }
        }
        if formats.len() > 1 {
            let counts = formats.iter();
            let counts: Vec<String> = counts
                .map(|(format, count)| format!("{} of format {format}", counted(*count, "file")))
                .collect();
            let why = format!("{}, and weakincentives reads only one", counts.join(", "));
            let problem = Problem::new(None, Kind::Mixed, why);
            report.add(overrides.folder(), None, &[problem]);
        }
        Ok(report)
    }
}

impl Report {
    fn add(&mut self, path: &Path, name: Option<&Name>, problems: &[Problem]) {
        let rows = problems.iter().map(|problem| Row::new(path, name, problem));
        self.problems.extend(rows);
    }

    /// What was done, for people.
    fn summary(&self, is_strict: bool) -> String {
        let problems = match self.problems.len() {
            0 => "no problem".to_owned(),
            count => counted(count, "problem"),
        };
        let mut parts = vec![format!("{}, {problems}", counted(self.checked, "record"))];
        if self.undocumented > 0 && !is_strict {
            let count = self.undocumented;
            parts.push(format!(
                "{count} without a prompts document, checked for form alone"
            ));
        }
        let missing = self.missing.iter();
        parts.extend(missing.map(|name| format!("{name} is not there")));
        parts.join("; ")
    }
}

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::time::Duration;

use similar::udiff::UnifiedHunkHeader;
use similar::{ChangeTag, DiffOp, TextDiff};

use super::{Context, Other, name, other};
use crate::document::{Document, Section, Tool};
use crate::json::{Json, Object};
use crate::judge::{Against, Judged, judge};
use crate::name::Name;
use base::{ExitStatus, Result, Stdout, Style, printable};

/// The lines around a change that are shown.
const CONTEXT: usize = 3;

/// How long the smallest difference of two texts is looked for; then any will do.
const LONGEST: Duration = Duration::from_secs(2);

/// Show how the texts of a record differ from the templates or from another record
///
/// A unified diff of each section, then of the texts of the tools. With one NAME it goes from the templates
/// of the prompts document to the record, with two from the first record to the second.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore prompt diff demo/welcome --prompts prompts.jsonl
  localstore prompt diff demo/welcome@stable @candidate")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG
    #[arg(value_name = "NAME", value_parser = name)]
    name: Name,
    /// Another record: @TAG of the same prompt, or another NAME
    #[arg(value_name = "NAME2", value_parser = other)]
    other: Option<Other>,
    /// Exit code 1 if they differ
    #[arg(long)]
    exit_code: bool,
}

/// The texts of one side, in the order in which they are shown.
type Texts = BTreeMap<Part, String>;

/// Which text of a record it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// The body of a section, or else this field.
    Section(Vec<String>, Option<&'static str>),
    /// The description of a tool, or else that of this parameter.
    Tool(String, Option<String>),
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Section(path, None) => write!(formatter, "section {}", path.join("/")),
            Self::Section(path, Some(field)) => {
                write!(formatter, "section {}: {field}", path.join("/"))
            }
            Self::Tool(name, None) => write!(formatter, "tool {name}: description"),
            Self::Tool(name, Some(param)) => write!(formatter, "tool {name}: parameter {param}"),
        }
    }
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<ExitStatus> {
    let name = &args.name;
    let record = readable(name, context)?;
    let mut are_same = true;
    let (old, new, titles) = if let Some(other) = &args.other {
        let other = other.relative_to(name);
        let (old, new) = (record, readable(&other, context)?);
        are_same = old.sections == new.sections && old.tools == new.tools;
        let titles = [name.to_string(), other.to_string()];
        (texts(&old), texts(&new), titles)
    } else {
        let documents = context.documents(Some(&name.prompt))?;
        let document = documents.required(&name.prompt)?;
        let new = texts(&record);
        let titles = ["template".to_owned(), name.to_string()];
        (templates(document, &new)?, new, titles)
    };
    let parts: BTreeSet<&Part> = old.keys().chain(new.keys()).collect();
    let mut are_equal = true;
    for part in parts {
        let sides = [old.get(part), new.get(part)];
        if sides[0] != sides[1] {
            are_equal = false;
            let titles = [0, 1].map(|side| match sides[side] {
                Some(_) => format!("{}: {part}", titles[side]),
                None => "/dev/null".to_owned(),
            });
            let texts = sides.map(|text| text.map_or("", String::as_str));
            print(&titles, texts, context.out)?;
        }
    }
    if are_equal && !are_same {
        context
            .out
            .note("the texts are equal, the hashes of what they replace are not");
    }
    Ok(if args.exit_code && !are_equal {
        ExitStatus::Failure
    } else {
        ExitStatus::Success
    })
}

/// The entries of a record that must be there and well-formed.
fn readable(name: &Name, context: &Context<'_>) -> Result<Judged> {
    let record = context.overrides.required(name)?;
    let judged = judge(&record, Against::Nothing);
    match judged.problems.iter().find(|problem| problem.is_fatal()) {
        Some(problem) => Err(record.error(problem)),
        None => Ok(judged),
    }
}

/// The texts of a record.
fn texts(judged: &Judged) -> Texts {
    let mut texts = Texts::new();
    for (path, entry) in &judged.sections {
        for (key, field) in [
            ("body", None),
            ("summary", Some("summary")),
            ("visibility", Some("visibility")),
        ] {
            let text = entry.string(key).map(str::to_owned);
            texts.extend(text.map(|text| (Part::Section(path.clone(), field), text)));
        }
    }
    for (tool, entry) in &judged.tools {
        let description = entry.string("description").map(str::to_owned);
        texts.extend(description.map(|text| (Part::Tool(tool.clone(), None), text)));
        let params = entry
            .as_object()
            .and_then(|entry| entry.get("param_descriptions"));
        for param in params
            .and_then(Json::as_object)
            .into_iter()
            .flat_map(Object::iter)
        {
            let part = Part::Tool(tool.clone(), Some(param.key.clone()));
            texts.insert(part, param.value.as_str().unwrap_or_default().to_owned());
        }
    }
    texts
}

/// What the document has of the texts that are replaced.
fn templates(document: &Document, replaced: &Texts) -> Result<Texts> {
    let mut texts = Texts::new();
    for part in replaced.keys() {
        let text = match part {
            Part::Section(path, None) => {
                let section = document.section(path);
                section.map(Section::template).transpose()?
            }
            Part::Section(_, Some(_)) => None,
            Part::Tool(name, None) => {
                let tool = document.tool(name);
                tool.map(Tool::required_description).transpose()?
            }
            Part::Tool(name, Some(param)) => {
                let tool = document.tool(name);
                tool.and_then(|tool| Some(tool.param_descriptions.get(param)?.as_str()))
            }
        };
        texts.extend(text.map(|text| (part.clone(), text.to_owned())));
    }
    Ok(texts)
}

/// Prints how one text differs from another.
fn print(titles: &[String; 2], [old, new]: [&str; 2], out: &mut Stdout) -> Result<()> {
    // Only what ends with a newline is a line: a carriage return is text.
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let diff = TextDiff::configure()
        .timeout(LONGEST)
        .diff_slices(&old, &new);
    let mut line = |style: Option<Style>, sign: &str, text: &str| -> Result<()> {
        if !out.is_terminal() {
            out.write_all(sign.as_bytes())?;
            return Ok(out.write_all(text.as_bytes())?);
        }
        let screen = out.screen();
        let line = format!("{sign}{}", printable(text.trim_end_matches('\n')));
        let painted = style.map_or(line.clone(), |style| screen.paint(style, &line));
        out.styled(format!("{painted}\n").as_bytes())
    };
    line(
        Some(Style::Bold),
        "--- ",
        &format!("{}\n", printable(&titles[0])),
    )?;
    line(
        Some(Style::Bold),
        "+++ ",
        &format!("{}\n", printable(&titles[1])),
    )?;
    for group in diff.grouped_ops(CONTEXT) {
        let header = UnifiedHunkHeader::new(&[whole(&group)]);
        line(Some(Style::Dim), "", &format!("{header}\n"))?;
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (style, sign) = match change.tag() {
                ChangeTag::Equal => (None, " "),
                ChangeTag::Delete => (Some(Style::Worse), "-"),
                ChangeTag::Insert => (Some(Style::Better), "+"),
            };
            let text = change.value();
            if text.ends_with('\n') {
                line(style, sign, text)?;
            } else {
                line(style, sign, &format!("{text}\n"))?;
                line(None, "", "\\ No newline at end of file\n")?;
            }
        }
    }
    Ok(())
}

/// All changes of a hunk as one. Its lines are counted: of a last change that only removes, the part in
/// the new text need not be the end of the hunk.
fn whole(hunk: &[DiffOp]) -> DiffOp {
    DiffOp::Replace {
        old_index: hunk[0].old_range().start,
        old_len: hunk.iter().map(|op| op.old_range().len()).sum(),
        new_index: hunk[0].new_range().start,
        new_len: hunk.iter().map(|op| op.new_range().len()).sum(),
    }
}

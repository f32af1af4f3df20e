use super::Context;
use crate::model::{Part, Trace};
use crate::stream::PartType;
use base::{Column, ColumnOf, Result, RowFormat, note, rows};
use serde::Serialize;

/// List the parts of a trajectory
///
/// With '-o jsonl' each part is printed as it is stored, a record a line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace parts last --changed")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// The first part to list
    #[arg(long, value_name = "PART")]
    from: Option<u64>,
    /// The last part to list
    #[arg(long, value_name = "PART")]
    to: Option<u64>,
    /// Only parts of this type
    #[arg(long = "type", value_name = "TYPE")]
    part_type: Option<PartType>,
    /// Only parts that changed files
    #[arg(long)]
    changed: bool,
    /// Only parts whose summary, item type or test path has this text, in any case
    #[arg(long = "match", value_name = "TEXT")]
    text: Option<String>,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
}

/// A part in the formats for programs, but for jsonl.
#[derive(Debug, Default, Serialize)]
struct Row {
    part: u64,
    timestamp: String,
    duration_ms: Option<u64>,
    part_type: Option<&'static str>,
    item_type: Option<String>,
    summary: Option<String>,
    git_commit: Option<String>,
    changed_files: Option<usize>,
    tested_path: Option<String>,
    passed: Option<u64>,
    total: Option<u64>,
}

const COLUMNS: &[ColumnOf<Part>] = &[
    ("part", Column::Number, |part| part.part.to_string()),
    ("type", Column::Text, |part| {
        part.part_type.map_or("-", PartType::word).to_owned()
    }),
    ("item", Column::Text, |part| {
        part.item_type.clone().unwrap_or_default()
    }),
    ("files", Column::Number, |part| {
        match &part.repo_checkpoint {
            Some(checkpoint) => checkpoint.changed_files.len().to_string(),
            None => String::new(),
        }
    }),
    ("tests", Column::Number, tests),
    ("summary", Column::Text, |part| {
        part.summary.clone().unwrap_or_default()
    }),
];

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let folder = context.root.find(&args.id)?;
    let trace = Trace::read(&folder.trace())?;
    if args.from.is_some() || args.to.is_some() {
        super::parts_between(&trace, args.from, args.to)?;
    }
    let parts: Vec<Part> = trace
        .parts
        .into_iter()
        .filter(|part| args.is_wanted(part))
        .collect();
    if args.output == RowFormat::Jsonl {
        return rows::jsonl(&parts, context.out);
    }
    if args.output == RowFormat::Table && parts.is_empty() {
        note("no such parts");
        return Ok(());
    }
    rows::write(&parts, args.output, COLUMNS, row, context.out)
}

impl Args {
    fn is_wanted(&self, part: &Part) -> bool {
        let wanted = self.text.as_ref().map(|text| text.to_lowercase());
        let has = |text: &Option<String>| match (text, &wanted) {
            (Some(text), Some(wanted)) => text.to_lowercase().contains(wanted),
            _ => false,
        };
        self.from.is_none_or(|from| part.part >= from)
            && self.to.is_none_or(|to| part.part <= to)
            && self
                .part_type
                .is_none_or(|kind| part.part_type == Some(kind))
            && (!self.changed || part.repo_checkpoint.is_some())
            && (wanted.is_none()
                || has(&part.summary)
                || has(&part.item_type)
                || part
                    .envoi_calls
                    .iter()
                    .any(|call| has(&Some(call.path.clone()))))
    }
}

/// The counts of the last test call.
fn tests(part: &Part) -> String {
    match part.envoi_calls.last().map(|call| &call.result) {
        Some(Some(counts)) => format!("{}/{}", counts.passed, counts.total),
        Some(None) => "error".to_owned(),
        None => String::new(),
    }
}

fn row(part: &Part) -> Row {
    let call = part.envoi_calls.last();
    let counts = call.and_then(|call| call.result.as_ref());
    Row {
        part: part.part,
        timestamp: part.timestamp.to_string(),
        duration_ms: part.duration_ms,
        part_type: part.part_type.map(PartType::word),
        item_type: part.item_type.clone(),
        summary: part.summary.clone(),
        git_commit: part.git_commit.clone(),
        changed_files: part
            .repo_checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.changed_files.len()),
        tested_path: call.map(|call| call.path.clone()),
        passed: counts.map(|counts| counts.passed),
        total: counts.map(|counts| counts.total),
    }
}

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::hash::Hash;
use crate::input::{input_name, read_input_json, read_input_text};
use crate::json::Json;
use base::{Error, Result, Stdout};

/// Print the hash of a template, of a tool's contract or of JSON
///
/// The hash of a template is that of its bytes. The hash of a tool is that of its description and of the
/// schemas of its parameters and its result, in canonical JSON: sorted keys, no spaces, ASCII.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore prompt hash system.md
  localstore prompt hash --tool search.json")]
pub(super) struct Args {
    /// A template [default: stdin]
    #[arg(value_name = "FILE", conflicts_with_all = ["tool", "json"])]
    file: Option<PathBuf>,
    /// A tool: a JSON object of its description and its schemas, as in a prompts document
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    tool: Option<PathBuf>,
    /// A JSON value
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut Stdout) -> Result<()> {
    let hash = match (&args.tool, &args.json) {
        (Some(file), _) => {
            let tool = read_input_json(file)?;
            of_tool(&tool).map_err(|error| Error::new(input_name(file), error))?
        }
        (_, Some(file)) => Hash::of_json(&read_input_json(file)?),
        (None, None) => {
            let file = args.file.as_deref().unwrap_or(Path::new("-"));
            Hash::of_text(&read_input_text(file)?)
        }
    };
    Ok(writeln!(out, "{hash}")?)
}

fn of_tool(tool: &Json) -> Result<Hash> {
    let tool = tool
        .as_object()
        .ok_or_else(|| Error::plain(format!("not an object, but {}", tool.kind())))?;
    let member = |key| {
        let member = tool.member(key).map(|member| &member.value);
        member.ok_or_else(|| Error::plain(format!("no {key}")))
    };
    let description = member("description")?;
    let description = description.as_str().ok_or_else(|| {
        Error::plain(format!(
            "description: not a string, but {}",
            description.kind()
        ))
    })?;
    let (params, result) = (member("params_schema")?, member("result_schema")?);
    Ok(Hash::of_tool(description, params, result))
}

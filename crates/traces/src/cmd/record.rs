use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use base::{Error, ExitStatus, Result};

use super::Context;
use crate::place::check_id;
use crate::record::{Recording, record};
use crate::s3::Address;
use crate::stream::Agent;

/// Run a coding agent and record its work
///
/// The agent's output passes through byte for byte. Each part of its work is written at once to
/// the trace, and the code at that part to the bundle; 'localstore trace show last' shows it
/// while it goes on. Nothing in the repository's own .git changes.
///
/// The exit code is that of the command, or 128 plus the number of the signal that killed it; 127 if
/// there is no such command, 0 if the limit of parts stopped it, 1 if the command succeeded but a
/// checkpoint failed.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "localstore trace record [OPTIONS] -- <CMD>...",
    after_help = "Examples:
  localstore trace record -- codex exec --json 'Fix the failing test'
  localstore trace record --max-parts 200 -- opencode run --format json 'Fix the failing test'
  localstore trace record -- claude -p --verbose --output-format stream-json 'Fix the failing test'
  localstore trace record --continue last -- codex exec resume --last --json 'And now the docs'"
)]
pub(super) struct Args {
    /// What prints the output [default: told by its first line of JSON]
    #[arg(long, value_name = "AGENT")]
    agent: Option<Agent>,
    /// The id of the trajectory [default: a new UUID]
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<String>,
    /// Run the command in this folder and record the repository that it is in, or the folder itself if
    /// it is in none [default: the current folder]
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Stop the agent after this part of the trajectory; 0: never
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_parts: u64,
    /// Stop the agent after this time, in seconds or as 90s, 5m or 2h
    #[arg(long, value_name = "TIME", value_parser = super::timeout)]
    timeout: Option<Duration>,
    /// A test suite that must pass, repeatable; the trajectory is solved when all have
    #[arg(long, value_name = "SUITE", action = clap::ArgAction::Append)]
    require: Vec<String>,
    /// Keep this as the prompt of the first turn, unless the agent prints it
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Go on with this trajectory, in the same repository
    #[arg(long = "continue", value_name = "ID", conflicts_with = "id")]
    resumed: Option<String>,
    /// Send both files to s3://BUCKET or s3://BUCKET/PREFIX, after checkpoints and at the end
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Address>,
    /// Do not keep the agent's lines in events.jsonl
    #[arg(long)]
    no_events: bool,
    /// The agent's command and its arguments
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    if args.command.is_empty() {
        return Err(Error::invalid_parameter("CMD").hint("the agent's command stands behind '--'"));
    }
    let recording = Recording {
        agent: args.agent,
        id: args.id.as_deref(),
        resumed: args.resumed.as_deref(),
        folder: args.repo.as_deref(),
        max_parts: args.max_parts,
        timeout: args.timeout,
        require: &args.require,
        prompt: args.prompt.as_deref(),
        has_events: !args.no_events,
        to: args.to.as_ref(),
        command: &args.command,
    };
    record(&recording, &context.root, context.location)
}

fn id(text: &str) -> Result<String, String> {
    check_id(text).map(|()| text.to_owned())
}

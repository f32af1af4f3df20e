use std::io::Write;
use std::path::Path;

use base::{Error, ExitStatus, Result, counted, printable};

use super::Context;
use crate::index::{Index, Version};
use crate::model::Trace;
use crate::place::{Folder, check_id};
use crate::record::is_surely_recorded;
use crate::repo::History;
use crate::verify;

/// Check that a trajectory is whole
///
/// Prints each thing that is wrong: gaps in the parts, commits that the bundle has not got, changed files
/// that are not those that git names, turns, times and totals that do not fit, an index that differs from
/// the file, and a recording that never ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore trace verify last")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'; or a folder that has its files
    #[arg(value_name = "ID|DIR")]
    trajectory: String,
}

/// What is wrong.
#[derive(Default)]
struct Found {
    lines: Vec<String>,
}

impl Found {
    fn add(&mut self, found: impl std::fmt::Display) {
        self.lines.push(printable(&found.to_string()).into_owned());
    }
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let dir = Path::new(&args.trajectory);
    let (folder, is_ours) = match context.root.find(&args.trajectory) {
        Ok(folder) => (Some(folder), true),
        Err(_) if dir.is_dir() => (None, false),
        Err(error) => return Err(error),
    };
    let path = match &folder {
        Some(folder) => folder.path.clone(),
        None => std::path::absolute(dir).map_err(|error| Error::file(dir, &error))?,
    };
    let file = path.join("agent_trace.json");
    let version = Version::of(&file);
    let mut found = Found::default();
    let trace = match Trace::read(&file) {
        Ok(trace) => trace,
        Err(error) => {
            found.add(error);
            return report(&found, None, context);
        }
    };
    let folder = folder.unwrap_or_else(|| Folder {
        id: trace.origin.trajectory_id.clone(),
        path,
    });
    if let Err(why) = check_id(&trace.origin.trajectory_id) {
        let id = &trace.origin.trajectory_id;
        found.add(format_args!("$.trajectory_id: invalid id '{id}': {why}"));
    } else if folder.id != trace.origin.trajectory_id {
        let id = &trace.origin.trajectory_id;
        found.add(format_args!(
            "$.trajectory_id: {id} in the folder {}",
            folder.id
        ));
    }
    let is_running = is_surely_recorded(&folder);
    let mut can_repair = trace.session_end.is_none();
    if trace.session_end.is_none() && !is_running {
        found.add("$.session_end: the recording never ended");
    }
    for problem in verify::of_trace(&trace) {
        found.add(problem);
    }
    // Where nothing was ever committed there is no bundle.
    let has_code = verify::names_commits(&trace) || folder.bundle().exists();
    if has_code {
        match history(&folder, &trace) {
            Err(error) => found.add(error),
            Ok((history, name)) => {
                for problem in verify::of_code(&trace, &history, name)? {
                    found.add(problem);
                }
            }
        }
    }
    if is_ours && !is_running {
        match Index::find(context.location, &folder.id) {
            Err(error) => found.add(format_args!("index: {error}")),
            Ok(None) => tracing::info!("{} is not indexed", folder.id),
            Ok(Some(indexed)) => {
                for problem in verify::of_index(&trace, version, &indexed) {
                    can_repair = true;
                    found.add(problem);
                }
            }
        }
    }
    let status = report(&found, Some(&trace), context)?;
    if is_running {
        context
            .out
            .note("it is being recorded: this is how it is now");
    } else if is_ours && !found.lines.is_empty() && can_repair {
        let hint = format!("'localstore trace repair {}' completes it", folder.id);
        context.out.note(&hint);
    }
    Ok(status)
}

/// What has the code: the bundle; before the end of a recording its git directory, which may be ahead.
fn history(folder: &Folder, trace: &Trace) -> Result<(History, &'static str)> {
    if trace.session_end.is_none() && folder.git_dir().is_dir() {
        return Ok((History::open(folder)?, "repo.git"));
    }
    Ok((History::of_bundle(&folder.bundle())?, "repo.bundle"))
}

/// Prints what was found, and how much that is.
fn report(found: &Found, trace: Option<&Trace>, context: &mut Context) -> Result<ExitStatus> {
    let screen = context.out.screen();
    for line in &found.lines {
        writeln!(context.out, "{}", screen.fold(line))?;
    }
    let size = trace.map_or(String::new(), |trace| {
        format!(
            ": {}, {}, {}",
            counted(trace.part_count(), "part"),
            counted(trace.turns.len() as u64, "turn"),
            counted(trace.commits().len() as u64, "commit")
        )
    });
    let count = found.lines.len();
    let count = match count {
        0 => "no problems".to_owned(),
        count => counted(count as u64, "problem"),
    };
    writeln!(context.out, "{count}{size}")?;
    Ok(if found.lines.is_empty() {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

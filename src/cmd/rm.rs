use std::io::{self, IsTerminal, Write};

use super::{Context, answered_yes, submission, words};
use crate::model::SubmissionState;
use crate::store::{Listed, Store, runs, select};
use base::{ExitStatus, Result, Stderr, printable};

/// Remove runs from the store
///
/// Prints what it will remove and, on a terminal, asks. What a run shares with others (the names of
/// models, machines and runtimes) stays. The record of its submission is removed with it, after a
/// note.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore rm last --dry-run")]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    #[command(flatten)]
    removal: Removal,
}

/// How things are removed: runs, chats or messages.
#[derive(Debug, clap::Args)]
pub(crate) struct Removal {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print what would be removed, remove nothing
    #[arg(long)]
    dry_run: bool,
}

impl Removal {
    /// Removes what these lines describe, once it is confirmed, and prints them.
    pub(crate) fn run(
        &self,
        lines: &[String],
        context: &mut Context,
        remove: impl FnOnce(&mut Store) -> Result<usize>,
    ) -> Result<ExitStatus> {
        let verb = if self.dry_run {
            "would remove"
        } else {
            if !self.yes && io::stdin().is_terminal() && !is_confirmed(lines)? {
                context.note("nothing was removed");
                return Ok(ExitStatus::Failure);
            }
            remove(&mut Store::open(&context.location)?)?;
            "removed"
        };
        for line in lines {
            writeln!(context.out, "{verb} {}", printable(line))?;
        }
        Ok(ExitStatus::Success)
    }
}

/// Whether a person agrees to remove what these lines describe.
fn is_confirmed(lines: &[String]) -> Result<bool> {
    for line in lines {
        Stderr::print(&format!("{}\n", printable(line)));
    }
    let them = if lines.len() == 1 { "it" } else { "them" };
    Stderr::print(&format!("Remove {them} (y/n)? "));
    answered_yes()
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let store = Store::open_readonly(&context.location)?;
    let ids = super::each_once(&store, &args.runs)?;
    let runs: Vec<Listed> = ids
        .iter()
        .map(|&id| store.read(|db| select::listed(db, id)))
        .collect::<Result<_>>()?;
    drop(store);
    for remark in runs.iter().filter_map(forgotten) {
        context.note(&remark);
    }
    let lines: Vec<String> = runs.iter().map(describe).collect();
    args.removal
        .run(&lines, context, |store| runs::remove(store, &ids))
}

fn describe(run: &Listed) -> String {
    format!(
        "run {}: {}, {}, score {}{}",
        run.id,
        words::known(&run.model, "model"),
        words::known(&run.accelerator, "accelerator"),
        run.summary.listed_score(),
        if run.partial { ", partial" } else { "" }
    )
}

/// The remark on a run that was submitted: once removed and added again, nothing keeps it from being
/// sent a second time.
fn forgotten(run: &Listed) -> Option<String> {
    let submission = run.submission.as_ref()?;
    let sent = matches!(
        submission.state,
        SubmissionState::Submitted | SubmissionState::Unknown
    );
    let remark = submission::remark(run.id, submission);
    sent.then(|| format!("{remark}; this is forgotten with it"))
}

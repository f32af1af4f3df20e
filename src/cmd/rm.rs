use std::io::{self, BufRead, IsTerminal, Write};

use super::{Context, submission};
use crate::model::{SubmissionState, Text};
use crate::store::{Listed, Store, runs, select};
use base::{Error, Result};
use base::{Stderr, note, printable};

/// Remove runs from the store
///
/// Says what it will remove and, on a terminal, asks. What a run shares with others (the names of
/// models, machines and runtimes) stays. That it was submitted is forgotten with it, and said so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore rm last --dry-run")]
pub struct Args {
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Say what would be removed, remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let (ids, runs) = choose(args, context)?;
    let verb = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let lines: Vec<String> = runs.iter().map(describe).collect();
    for remark in runs.iter().filter_map(forgotten) {
        note(&remark);
    }
    if !args.dry_run {
        if !args.yes && io::stdin().is_terminal() && !confirmed(&lines)? {
            note("nothing was removed");
            return Err(Error::reported());
        }
        runs::remove(&mut Store::open(&context.location)?, &ids)?;
    }
    for line in lines {
        writeln!(context.out, "{verb} {}", printable(&line)).map_err(|e| Error::stdout(&e))?;
    }
    Ok(())
}

/// The runs, and what they are.
fn choose(args: &Args, context: &Context) -> Result<(Vec<i64>, Vec<Listed>)> {
    let store = Store::open_readonly(&context.location)?;
    let ids = super::each_once(&store, &args.runs)?;
    let runs = ids
        .iter()
        .map(|&id| store.read(|db| select::listed(db, id)))
        .collect::<Result<_>>()?;
    Ok((ids, runs))
}

fn describe(run: &Listed) -> String {
    let text = |text: &Option<Text>, what: &str| {
        text.as_ref()
            .map_or_else(|| format!("unknown {what}"), Text::to_string)
    };
    format!(
        "run {}: {}, {}, score {}{}",
        run.id,
        text(&run.model, "model"),
        text(&run.accelerator, "accelerator"),
        run.summary.listed_score(),
        if run.partial { ", partial" } else { "" }
    )
}

/// What nothing will keep from being sent a second time, if it is added again.
fn forgotten(run: &Listed) -> Option<String> {
    let submission = run.submission.as_ref()?;
    let sent = matches!(
        submission.state,
        SubmissionState::Submitted | SubmissionState::Unknown
    );
    let remark = submission::remark(run.id, submission);
    sent.then(|| format!("{remark}; this is forgotten with it"))
}

/// Whether a person wants what these lines say to be removed.
pub fn confirmed(lines: &[String]) -> Result<bool> {
    let mut question = String::new();
    for line in lines {
        question.push_str(&printable(line));
        question.push('\n');
    }
    question.push_str(if lines.len() == 1 {
        "Remove it"
    } else {
        "Remove them"
    });
    question.push_str(" (y/n)? ");
    Stderr::print(&question);
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Error::new("standard input", error))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

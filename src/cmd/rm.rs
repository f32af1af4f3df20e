use std::io::Write;

#[cfg(feature = "network")]
use super::push::remote;
use super::{Context, cannot_ask, resolve_all, submission, unique, words};
#[cfg(feature = "network")]
use crate::fleet::{self, Address, Remote, Standing, Withdrawal};
use crate::model::SubmissionState;
use crate::store::{Listed, Store, runs, select};
#[cfg(feature = "network")]
use base::shell_word;
use base::{ExitStatus, Result, Stderr, answered_yes, can_ask, printable};

/// Remove runs from the store
///
/// Prints what it will remove and asks first; without a terminal to ask on, -y is needed. Data shared
/// with other runs (the names of models, machines and runtimes) is kept. The record of a run's
/// submission is removed with it, and a note says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore rm --dry-run last")]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7) or lists (3,5)
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    #[cfg(feature = "network")]
    /// Also withdraw them from this remote, those that this store has pushed
    #[arg(long, value_name = "REMOTE")]
    remote: Option<Address>,
    #[command(flatten)]
    removal: Removal,
}

/// The options for removing runs, chats or messages.
#[derive(Debug, clap::Args)]
pub(crate) struct Removal {
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Print what would be removed without removing it
    #[arg(long)]
    dry_run: bool,
}

impl Removal {
    /// Removes what these lines describe, after confirmation, and prints them. `thing` is what the
    /// ids are of: `run`, `chat` or `message`; `command` is what was typed, without the ids.
    pub(crate) fn run(
        &self,
        thing: &str,
        command: &str,
        ids: &[i64],
        lines: &[String],
        context: &mut Context,
        remove: impl FnOnce(&mut Store) -> Result<usize>,
    ) -> Result<ExitStatus> {
        let verb = if self.dry_run {
            "would remove"
        } else {
            if !self.yes {
                if !can_ask() {
                    return Err(cannot_ask(
                        thing,
                        ids,
                        "not removed",
                        &format!("{command} -y"),
                    ));
                }
                if !is_confirmed(lines)? {
                    context.note("nothing was removed");
                    return Ok(ExitStatus::Failure);
                }
            }
            remove(&mut Store::open(&context.location)?)?;
            "removed"
        };
        let screen = context.out.screen();
        for line in lines {
            let line = format!("{verb} {}", printable(line));
            writeln!(context.out, "{}", screen.fold(&line))?;
        }
        Ok(ExitStatus::Success)
    }
}

/// Asks whether to remove what these lines describe.
fn is_confirmed(lines: &[String]) -> Result<bool> {
    for line in lines {
        Stderr::line(line);
    }
    let them = if lines.len() == 1 { "it" } else { "them" };
    Stderr::print(&format!("Remove {them} (y/n)? "));
    answered_yes()
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    let store = Store::open_readonly(&context.location)?;
    let ids = unique(resolve_all(&store, &args.runs)?);
    let runs: Vec<Listed> = ids
        .iter()
        .map(|&id| store.read(|db| select::listed(db, id)))
        .collect::<Result<_>>()?;
    for remark in runs.iter().filter_map(submission_warning) {
        context.note(&remark);
    }
    let describe = |run: &Listed| format!("run {}: {}", run.id, words::describe_listed(run));
    let lines = runs.iter().map(describe);
    #[cfg(not(feature = "network"))]
    let lines: Vec<String> = lines.collect();
    #[cfg(feature = "network")]
    let mut lines: Vec<String> = lines.collect();
    #[cfg(feature = "network")]
    let withdrawal = args.withdrawal(&store, &ids, &mut lines)?;
    drop(store);
    #[cfg(feature = "network")]
    let command = args.command();
    #[cfg(not(feature = "network"))]
    let command = "rm".to_owned();
    args.removal
        .run("run", &command, &ids, &lines, context, |store| {
            // What is gone there can be sent again from here, and not the other way round.
            #[cfg(feature = "network")]
            if let Some((remote, withdrawal)) = &withdrawal {
                withdrawal.run(remote)?;
            }
            runs::remove(store, &ids)
        })
}

#[cfg(feature = "network")]
impl Args {
    /// The command without options that any removal has.
    fn command(&self) -> String {
        match &self.remote {
            Some(address) => format!("rm --remote {}", shell_word(&address.url())),
            None => "rm".to_owned(),
        }
    }

    /// What is withdrawn from the remote, if one is named; the lines tell what becomes of each run.
    fn withdrawal(
        &self,
        store: &Store,
        ids: &[i64],
        lines: &mut [String],
    ) -> Result<Option<(Remote, Withdrawal)>> {
        let Some(address) = &self.remote else {
            return Ok(None);
        };
        let remote = remote(Some(address))?;
        let withdrawal = fleet::find(store, &remote, ids)?;
        for (line, standing) in lines.iter_mut().zip(&withdrawal.standings) {
            let what = match standing {
                Standing::Ours => format!("; also from {address}"),
                Standing::Others => format!("; it stays on {address}: another store has sent it"),
                Standing::Absent => format!("; it is not on {address}"),
            };
            line.push_str(&what);
        }
        Ok(Some((remote, withdrawal)))
    }
}

/// The warning about a run that was submitted: removed and added again, it could be submitted a
/// second time.
fn submission_warning(run: &Listed) -> Option<String> {
    let submission = run.submission.as_ref()?;
    let sent = matches!(
        submission.state,
        SubmissionState::Submitted | SubmissionState::Unknown
    );
    let remark = submission::remark(run.id, submission);
    sent.then(|| format!("{remark}; removing the run removes this record"))
}

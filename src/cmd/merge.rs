use std::io::Write;
use std::path::PathBuf;

use super::Context;
use super::storing::describe;
use crate::model::Run;
use crate::store::{Foreign, ForeignChat, ForeignFile, MergedChat, Refused, Store, Stored, runs};
use base::{ExitStatus, Result};
use base::{Progress, note, printable};

/// Take over the runs and chats of another store, or of a LocalScore database
///
/// With their dates, tags and submissions, and none twice: a run that is here already is completed,
/// if the other file knows more of it. What waits to be submitted there waits there alone. A chat
/// that is here already gets the messages that it lacks. A run that is damaged there is named and
/// left out, or its submission alone, and the exit code is 1. The other file is not changed. Merging
/// again changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore merge laptop.sqlite3 --dry-run")]
pub struct Args {
    /// A file of localstore or llamafile, or a database of the LocalScore web site
    file: PathBuf,
    /// Say what would be taken over, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    context.location.refuse(&args.file)?;
    let mut file = ForeignFile::open(&args.file)?;
    let mut target = Target::open(args, context)?;
    // On a terminal the lines tell how far it is.
    let progress = if context.out.is_terminal() {
        None
    } else {
        Some(Progress::new("merging", file.count()?))
    };
    let mut counts = [0_u64; 3];
    let mut refused = 0;
    let mut is_whole = true;
    loop {
        // A batch is stored whole or not at all, and merging again takes over the rest.
        let batch = file.next_batch()?;
        if batch.runs.is_empty() && batch.refused.is_empty() {
            break;
        }
        let merged = target.take(&batch.runs)?;
        refused += batch.refused.len() as u64;
        for Refused { id, why } in batch.refused.iter().chain(&batch.left_out) {
            is_whole = false;
            note(&format!("{}: run {id}: {why}", args.file.display()));
        }
        for (foreign, (id, stored)) in batch.runs.iter().zip(&merged) {
            counts[*stored as usize] += 1;
            if let Some(line) = line(&foreign.run, *id, *stored, args.dry_run) {
                writeln!(context.out, "{}", printable(&line))?;
            }
        }
        if let Some(progress) = &progress {
            progress.set(counts.iter().sum::<u64>() + refused);
        }
        // What was stored has been said, whatever comes next.
        context.out.flush()?;
    }
    drop(progress);
    let chats = file.chats()?;
    if !chats.is_empty() {
        merge_chats(&chats, &mut target, args.dry_run, context)?;
    }
    let [new, completed, known] = counts;
    let all = counts.iter().sum::<u64>() + refused;
    let end = match refused {
        0 => String::new(),
        refused => format!(", {refused} refused"),
    };
    writeln!(
        context.out,
        "{all} runs: {new} new, {completed} completed, {known} known{end}"
    )?;
    if !is_whole {
        return Ok(ExitStatus::Failure);
    }
    Ok(ExitStatus::Success)
}

fn merge_chats(
    chats: &[ForeignChat],
    target: &mut Target,
    dry_run: bool,
    context: &mut Context,
) -> Result<()> {
    let merged = target.take_chats(chats)?;
    let mut counts = [0_usize; 3];
    let mut lines = String::new();
    for (
        chat,
        MergedChat {
            id,
            stored,
            messages,
        },
    ) in chats.iter().zip(merged)
    {
        counts[stored as usize] += 1;
        let title = chat.title();
        let messages = match messages {
            1 => "1 message".to_owned(),
            n => format!("{n} messages"),
        };
        let line = match (stored, dry_run) {
            (Stored::New, false) => format!("chat {id}: {title}, {messages}"),
            (Stored::New, true) => format!("would take over chat: {title}, {messages}"),
            (Stored::Completed, false) => format!("chat {id}, completed: {title}, {messages}"),
            (Stored::Completed, true) => format!("would complete chat {id}: {title}, {messages}"),
            (Stored::Already, _) => continue,
        };
        lines += &printable(&line);
        lines.push('\n');
    }
    let [new, completed, known] = counts;
    Ok(writeln!(
        context.out,
        "{lines}{} chats: {new} new, {completed} completed, {known} known",
        chats.len()
    )?)
}

/// What takes the runs: a store, or with `--dry-run` what tells what it would do.
enum Target {
    Store(Store),
    DryRun(Option<Store>),
}

impl Target {
    fn open(args: &Args, context: &Context) -> Result<Self> {
        let location = &context.location;
        if !args.dry_run {
            return Store::open(location).map(Self::Store);
        }
        let store = location.path.exists();
        let store = store.then(|| Store::open_readonly(location)).transpose()?;
        Ok(Self::DryRun(store))
    }

    fn take(&mut self, runs: &[Foreign]) -> Result<Vec<(Option<i64>, Stored)>> {
        Ok(match self {
            Self::Store(store) => {
                let added = store.merge(runs)?.into_iter();
                added.map(|added| (Some(added.id), added.stored)).collect()
            }
            Self::DryRun(Some(store)) => {
                let looked_up = runs
                    .iter()
                    .map(|foreign| store.read(|db| runs::lookup(db, &foreign.run)));
                looked_up.collect::<Result<_>>()?
            }
            Self::DryRun(None) => vec![(None, Stored::New); runs.len()],
        })
    }

    fn take_chats(&mut self, chats: &[ForeignChat]) -> Result<Vec<MergedChat>> {
        match self {
            Self::Store(store) => store.merge_chats(chats),
            Self::DryRun(Some(store)) => store.lookup_chats(chats),
            Self::DryRun(None) => Ok(chats.iter().map(ForeignChat::as_new).collect()),
        }
    }
}

/// The line for a run; none for one that was known.
fn line(run: &Run, id: Option<i64>, stored: Stored, dry_run: bool) -> Option<String> {
    let what = describe(run);
    let id = id.map_or_else(String::new, |id| format!(" {id}"));
    match (stored, dry_run) {
        (Stored::New, false) => Some(format!("run{id}: {what}")),
        (Stored::New, true) => Some(format!("would take over: {what}")),
        (Stored::Completed, false) => Some(format!("run{id}, completed: {what}")),
        (Stored::Completed, true) => Some(format!("would complete run{id}: {what}")),
        (Stored::Already, _) => None,
    }
}

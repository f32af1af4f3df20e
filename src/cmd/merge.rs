use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::Context;
use super::storing::{SQLITE, path_word};
use super::tally::Tally;
use super::words::{describe, describe_bench};
use crate::store::{
    ChatRows, ForeignBench, ForeignFile, ForeignRun, Merged, MergedChat, Next, Refused, Store,
    Stored, lookup_new, runs,
};
use base::{Error, ExitStatus, Progress, Result, counted, note};

/// Take over the runs and chats of another store, or of a database of LocalScore or llama-bench
///
/// With their dates, tags and submissions, and none twice: a run that is here already is completed,
/// if the other file knows more of it. What waits to be submitted there waits there alone. A chat
/// that is here already gets the messages that it lacks. A run that is damaged there is named and
/// left out, or its submission alone, and the exit code is 1. The other file is not changed. Merging
/// again changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore merge laptop.sqlite3 --dry-run")]
pub(crate) struct Args {
    /// A file of localstore or llamafile, a database of the LocalScore web site, or one that
    /// 'llama-bench -o sql' has filled
    file: PathBuf,
    /// Say what would be taken over, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitStatus> {
    context.location.refuse(&args.file)?;
    refuse_text(&args.file)?;
    let mut file = ForeignFile::open(&args.file)?;
    let mut target = Target::open(args, context)?;
    let out = &mut context.out;
    let screen = out.screen();
    // On a terminal the lines tell how far it is.
    let progress = (!out.is_terminal()).then(|| Progress::new("merging", file.count()));
    let mut runs = Tally::new("run", "take over", args.dry_run);
    let mut refused = 0;
    let mut is_whole = true;
    if file.has_backend_ops {
        let why = "the table test_backend_ops is left out: that program measures no model";
        note(&format!("{}: {why}", args.file.display()));
    }
    // What comes next is stored whole or not at all, and merging again takes over the rest.
    while let Some(next) = file.next()? {
        let mut wrong = Vec::new();
        let mut lines = Vec::new();
        match next {
            Next::Runs(batch) => {
                let merged = target.take(&batch.runs)?;
                refused += batch.refused.len() as u64;
                for Refused { id, why } in batch.refused.iter().chain(&batch.left_out) {
                    wrong.push(format!("run {id}: {why}"));
                }
                for (foreign, (id, stored)) in batch.runs.iter().zip(merged) {
                    lines.extend(runs.count(id, stored, || describe(&foreign.dated.run)));
                }
            }
            Next::Bench(bench) => {
                let merged = target.take_bench(&file, bench)?;
                refused += merged.refused;
                wrong = merged.why;
                for merged in merged.runs {
                    let describe = || describe_bench(&merged.run, merged.source);
                    lines.extend(runs.count(merged.id, merged.stored, describe));
                }
            }
        }
        is_whole &= wrong.is_empty();
        for why in wrong {
            note(&format!("{}: {why}", args.file.display()));
        }
        for line in lines {
            writeln!(out, "{}", screen.fold(&line))?;
        }
        if let Some(progress) = &progress {
            progress.set(runs.all() + refused);
        }
        // What was stored has been said, whatever comes next.
        out.flush()?;
    }
    drop(progress);
    let foreign = file.chats()?;
    let mut chats = Tally::new("chat", "take over", args.dry_run);
    for (chat, merged) in foreign.iter().zip(target.take_chats(&foreign)?) {
        let messages = counted(merged.messages as u64, "message");
        let what = || format!("{}, {messages}", chat.title());
        if let Some(line) = chats.count(Some(merged.id), merged.stored, what) {
            writeln!(out, "{}", screen.fold(&line))?;
        }
    }
    if !foreign.is_empty() {
        let sum = format!("{}: {}", counted(chats.all(), "chat"), chats.sum());
        writeln!(out, "{}", screen.fold(&sum))?;
    }
    let end = match refused {
        0 => String::new(),
        refused => format!(", {refused} refused"),
    };
    let all = counted(runs.all() + refused, "run");
    let sum = format!("{all}: {}{end}", runs.sum());
    writeln!(out, "{}", screen.fold(&sum))?;
    if !is_whole {
        return Ok(ExitStatus::Failure);
    }
    Ok(ExitStatus::Success)
}

/// Refuses a file with no database in it: `add` reads those.
fn refuse_text(path: &Path) -> Result<()> {
    let mut head = Vec::new();
    let file = path.is_file().then(|| File::open(path).ok()).flatten();
    if let Some(file) = file
        && file
            .take(SQLITE.len() as u64)
            .read_to_end(&mut head)
            .is_ok()
        && !SQLITE.starts_with(&head)
    {
        let hint = format!("localstore add {}", path_word(path));
        return Err(Error::new(path.display(), "not a store").hint(hint));
    }
    Ok(())
}

/// What takes the runs: a store, or with `--dry-run` the answer of one, if there is one.
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

    fn take(&mut self, runs: &[ForeignRun]) -> Result<Vec<(Option<i64>, Stored)>> {
        match self {
            Self::Store(store) => {
                let added = store.merge(runs)?.into_iter();
                Ok(added.map(|added| (Some(added.id), added.stored)).collect())
            }
            Self::DryRun(Some(store)) => {
                let found = runs
                    .iter()
                    .map(|foreign| store.read(|db| runs::lookup(db, &foreign.dated)));
                found.collect()
            }
            Self::DryRun(None) => Ok(vec![(None, Stored::New); runs.len()]),
        }
    }

    fn take_bench(&mut self, file: &ForeignFile, bench: ForeignBench) -> Result<Merged> {
        match self {
            Self::Store(store) => store.merge_bench(file, bench),
            Self::DryRun(Some(store)) => store.lookup_bench(file, bench),
            Self::DryRun(None) => lookup_new(file, bench),
        }
    }

    fn take_chats(&mut self, chats: &[ChatRows]) -> Result<Vec<MergedChat>> {
        match self {
            Self::Store(store) => store.merge_chats(chats),
            Self::DryRun(Some(store)) => store.lookup_chats(chats),
            Self::DryRun(None) => Ok(chats.iter().map(ChatRows::as_new).collect()),
        }
    }
}

//! Completes what a recording that was killed has left.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use base::{Error, Result};
use db::Location;
use serde::{Deserialize, Serialize};

use super::journal::{Code, Journal};
use super::lock::{Goals, Lock};
use super::pass::LONGEST;
use crate::index::{Index, PartRow, Version};
use crate::model::{Checkpoint, Extra, Reason, Time, Trace, Turn, Usage};
use crate::place::{self, Folder};
use crate::repo::{Left, is_hash};
use crate::stream::{Agent, Event, Part, Reader, TokenUsage};
use crate::verify;

/// What was done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Repaired {
    /// The number of parts that were added; `None` if the recording had ended.
    pub(crate) parts: Option<u64>,
    /// Why it ended, if that was not recorded.
    pub(crate) reason: Option<Reason>,
    /// Whether the bundle was written from the private git directory.
    pub(crate) has_bundle: bool,
    /// Whether rows of the index were written.
    pub(crate) has_rows: bool,
}

/// Our line in `events.jsonl` where a recording was continued.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Mark {
    localstore: String,
    /// What was recorded before.
    parts: u64,
    turns: u64,
}

/// The word of a mark.
const CONTINUED: &str = "continued";

/// The line where a recording goes on after this trace.
pub(super) fn mark(trace: &Trace) -> Result<Vec<u8>> {
    let mark = Mark {
        localstore: CONTINUED.to_owned(),
        parts: trace.part_count(),
        turns: trace.turns.len() as u64,
    };
    Ok(serde_json::to_vec(&mark)?)
}

/// Completes a trajectory, and its rows. An error if it is being recorded.
pub(crate) fn repair(folder: &Folder, location: &Location) -> Result<Repaired> {
    let lock = Lock::take(folder)?;
    let mut repaired = complete(folder, lock.left.as_ref(), location)?;
    let version = Version::of(&folder.trace());
    let trace = Trace::read(&folder.trace())?;
    let indexed = Index::find(location, &folder.id)?;
    let is_right = |indexed| verify::of_index(&trace, version, &indexed).is_empty();
    if !indexed.is_some_and(is_right) {
        Index::open(location)?.replace(folder, &trace)?;
        repaired.has_rows = true;
    }
    lock.release();
    Ok(repaired)
}

/// Completes a trajectory. The lock must be held; `left` are the goals of the run that was killed.
pub(super) fn complete(
    folder: &Folder,
    left: Option<&Goals>,
    location: &Location,
) -> Result<Repaired> {
    sweep(&folder.path);
    let trace = Trace::read(&folder.trace())?;
    let git = Left::find(folder)?;
    let mut repaired = Repaired::default();
    if trace.session_end.is_none() {
        let rows = rows_behind(&trace, location);
        let (parts, reason) = end(folder, trace, git.as_ref(), left, rows)?;
        repaired.parts = Some(parts);
        repaired.reason = Some(reason);
    }
    if let Some(git) = git {
        repaired.has_bundle = git.head.is_some();
        git.seal()?;
    }
    Ok(repaired)
}

/// Whether the recording was killed before it had written anything.
pub(super) fn has_nothing(folder: &Folder) -> bool {
    let lock = folder.lock();
    let is_nothing = |entry: io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path() == lock || is_leftover(&entry.file_name()))
    };
    std::fs::read_dir(&folder.path).is_ok_and(|mut entries| entries.all(is_nothing))
}

/// Whether this is the name of something temporary that a kill has left.
fn is_leftover(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name == "agent_trace.json.tmp"
            || name
                .strip_prefix(".localstore-")
                .is_some_and(|rest| rest.strip_suffix(".tmp").is_some())
    })
}

/// Removes what is temporary and was left by a kill.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !is_leftover(&entry.file_name()) {
            continue;
        }
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(&path),
            _ => std::fs::remove_file(&path),
        };
        if removed.is_ok() {
            tracing::debug!("{}: a leftover, removed", path.display());
        }
    }
}

/// The commits that are there already.
struct Chain {
    head: Option<String>,
    /// By their messages.
    made: HashMap<String, Checkpoint>,
}

impl Code for Chain {
    fn head(&self) -> Option<&str> {
        self.head.as_deref()
    }

    fn checkpoint(&mut self, message: &str) -> Result<Option<Checkpoint>> {
        let made = self.made.remove(message);
        if let Some(made) = &made {
            self.head.clone_from(&made.commit_after);
        }
        Ok(made)
    }
}

/// Adds the parts that were passed on but not handled, and the end: the number of parts, and the reason.
fn end(
    folder: &Folder,
    mut trace: Trace,
    git: Option<&Left>,
    left: Option<&Goals>,
    rows: Vec<Part>,
) -> Result<(u64, Reason)> {
    let recorded = trace.part_count();
    let last = trace.parts.last().and_then(|part| part.git_commit.clone());
    let last = last.filter(|commit| is_hash(commit));
    let last = last.or_else(|| git.and_then(|git| git.start.clone()));
    let mut chain = Chain {
        head: last.clone(),
        made: HashMap::new(),
    };
    let tip = git.and_then(|git| git.head.clone()).or(last.clone());
    if let Some(git) = git {
        for (message, mut checkpoint) in git.since(last.as_deref())? {
            checkpoint.changed_files = git.changed_files(&checkpoint)?;
            chain.made.insert(message, checkpoint);
        }
    }
    let path = folder.events();
    let failed = |error: io::Error| Error::file(&path, &error);
    let goals = left.cloned().unwrap_or_default();
    let named = goals.agent.as_deref().and_then(Agent::named);
    let mut replay = Replay::of(&path, &trace, named).map_err(failed)?;
    let is_known = match &mut replay {
        Some(replay) => replay.skip(recorded).map_err(failed)?,
        None => false,
    };
    let mut journal = match replay {
        Some(mut replay) if is_known => {
            // What came after the last part is handled again.
            let turns = usize::try_from(replay.mark.turns).unwrap_or(usize::MAX);
            let is_of_last = |turn: &Turn| recorded > 0 && turn.part_end == Some(recorded);
            while trace.turns.len() > turns && !trace.turns.last().is_some_and(is_of_last) {
                trace.turns.pop();
            }
            let open = (trace.turns.len() > turns).then(|| trace.turns.pop());
            let previous = trace.parts.last().map(|part| part.timestamp);
            let mut journal = Journal::new(folder, trace, chain, goals);
            if let Some(mut turn) = open.flatten() {
                turn.token_usage = replay.tokens.take().map(|tokens| Usage {
                    tokens,
                    extra: Extra::new(),
                });
                journal.reopen(turn, previous);
            }
            replay.rest(&mut journal).map_err(failed)?;
            journal
        }
        _ => {
            let arrived = changed(&folder.trace()).map_err(failed)?;
            let previous = trace.parts.last().map(|part| part.timestamp);
            let is_open = |turn: &mut Turn| !rows.is_empty() && turn.part_end == Some(recorded);
            let open = trace.turns.pop_if(is_open);
            let mut journal = Journal::new(folder, trace, chain, goals);
            if let Some(turn) = open {
                journal.reopen(turn, previous);
            }
            for part in rows {
                journal.event(Event::Part(part), arrived);
            }
            journal
        }
    };
    journal.code.head = tip;
    let reason = journal.end(Some(Reason::Interrupted), false);
    journal.save(true)?;
    Ok((journal.parts() - recorded, reason))
}

/// The parts that only the index has: those behind the last one in a large file, which is not written after
/// every part. Test calls are not among what the index has of them.
fn rows_behind(trace: &Trace, location: &Location) -> Vec<Part> {
    let Some(last) = trace.parts.last() else {
        return Vec::new();
    };
    let found = Index::find(location, &trace.origin.trajectory_id);
    let Ok(Some((_, rows))) = found else {
        return Vec::new();
    };
    let mut rows = rows.into_iter().skip(trace.parts.len() - 1);
    if rows.next() != Some(PartRow::of(last)) {
        return Vec::new();
    }
    rows.map_while(PartRow::part).collect()
}

/// When the file was written last.
fn changed(path: &Path) -> io::Result<Time> {
    let changed = std::fs::metadata(path)?.modified()?;
    Ok(jiff::Timestamp::try_from(changed).map_or_else(|_| Time::now(), Time::of))
}

/// The events of the last run, from `events.jsonl`.
struct Replay {
    lines: BufReader<File>,
    reader: Reader,
    /// What was recorded before the run.
    mark: Mark,
    /// When the last line came.
    arrived: Time,
    /// Events after the last recorded part that came with it in one line.
    rest: Vec<Event>,
    /// The tokens of the turn of the last recorded part, up to it.
    tokens: Option<TokenUsage>,
}

impl Replay {
    /// `None` if no lines were kept. `named` is the agent, if it was named.
    fn of(path: &Path, trace: &Trace, named: Option<Agent>) -> io::Result<Option<Self>> {
        let file = match place::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        let (mut mark, mut from) = (Mark::default(), 0);
        while next_line(&mut lines, &mut line)? {
            let is_mark = line.starts_with(b"{\"localstore\":");
            let found = is_mark.then(|| serde_json::from_slice::<Mark>(&line).ok());
            if let Some(found) = found.flatten()
                && found.localstore == CONTINUED
                && found.parts <= trace.part_count()
            {
                mark = found;
                from = lines.stream_position()?;
            }
        }
        lines.seek(SeekFrom::Start(from))?;
        let first = mark.parts.saturating_add(1);
        let recorded = trace.part(first);
        let agent = recorded.and_then(|part| Agent::named(&part.origin.agent));
        Ok(Some(Self {
            lines,
            reader: Reader::new(agent.or(named)),
            mark,
            arrived: changed(path)?,
            rest: Vec::new(),
            tokens: None,
        }))
    }

    /// Passes over what is recorded, up to this part; false if the lines do not have it.
    fn skip(&mut self, recorded: u64) -> io::Result<bool> {
        let mut parts = self.mark.parts;
        let mut line = Vec::new();
        while parts < recorded {
            if !next_line(&mut self.lines, &mut line)? {
                return Ok(false);
            }
            for event in self.reader.line(&line) {
                match event {
                    event if parts == recorded => self.rest.push(event),
                    Event::Part(_) => parts += 1,
                    Event::TurnStarted { .. } | Event::TurnCompleted { .. } => self.tokens = None,
                    Event::Tokens(tokens) => {
                        self.tokens = Some(self.tokens.unwrap_or_default().plus(tokens));
                    }
                    _ => {}
                }
            }
        }
        Ok(true)
    }

    /// Records the rest.
    fn rest<C: Code>(mut self, journal: &mut Journal<C>) -> io::Result<()> {
        for event in self.rest {
            journal.event(event, self.arrived);
        }
        let mut line = Vec::new();
        while next_line(&mut self.lines, &mut line)? {
            let events = self.reader.line(&line);
            if let Some(agent) = self.reader.agent() {
                journal.set_agent(agent);
            }
            for event in events {
                journal.event(event, self.arrived);
            }
        }
        for event in self.reader.end() {
            journal.event(event, self.arrived);
        }
        Ok(())
    }
}

/// Reads the next line, without its newline; false at the end. One that is too long is empty.
fn next_line(lines: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    // Masked lines may be a little longer than they were.
    let longest = 2 * LONGEST as u64;
    if lines.by_ref().take(longest).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 == longest {
        line.clear();
        lines.skip_until(b'\n')?;
    }
    Ok(true)
}

//! `agent_trace.json` while it grows.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::{Error, Result};
use serde::Serialize;

use crate::model::{Artifacts, Extra, Origin, Part, SessionEnd, Time, Turn};
use crate::place::private_file;

/// Up to this size the file is replaced after every part.
const SMALL: usize = 16 << 20;

/// A larger file is replaced when this many times its last cost has passed.
const REST: u32 = 20;

/// How long a file that could not be written is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// The file, replaced whole each time. Records are serialised once and kept as bytes.
#[derive(Debug)]
pub(super) struct TraceFile {
    path: PathBuf,
    /// The records so far, with commas between.
    parts: Vec<u8>,
    turns: Vec<u8>,
    /// Whether there is more to write than the file has.
    is_behind: bool,
    /// When it may be replaced again.
    due: Instant,
}

/// What stands before the parts.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    #[serde(flatten)]
    pub(super) origin: &'a Origin,
    pub(super) started_at: Time,
}

/// What stands behind the turns.
#[derive(Serialize)]
pub(super) struct Tail<'a> {
    pub(super) artifacts: &'a Artifacts,
    pub(super) session_end: Option<&'a SessionEnd>,
    #[serde(flatten)]
    pub(super) extra: &'a Extra,
}

impl TraceFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            parts: Vec::new(),
            turns: Vec::new(),
            is_behind: true,
            due: Instant::now(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn add_part(&mut self, part: &Part) {
        append(&mut self.parts, part);
        self.is_behind = true;
    }

    /// Adds a turn that has ended.
    pub(super) fn add_turn(&mut self, turn: &Turn) {
        append(&mut self.turns, turn);
        self.is_behind = true;
    }

    /// The file does not have all that is known.
    pub(super) fn set_behind(&mut self) {
        self.is_behind = true;
    }

    /// Whether so much is in it that it is not replaced after every part.
    pub(super) fn is_large(&self) -> bool {
        self.parts.len() + self.turns.len() > SMALL
    }

    /// How long to wait until it is to be replaced; `None` if it has everything.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.is_behind
            .then(|| self.due.saturating_duration_since(Instant::now()))
    }

    /// Replaces the file: neither a reader nor a kill ever finds half of it. With `sync` it also survives
    /// a loss of power.
    pub(super) fn replace(
        &mut self,
        head: &Head,
        turn: Option<&Turn>,
        tail: &Tail,
        sync: bool,
    ) -> Result<()> {
        let start = Instant::now();
        let written = self.write(head, turn, tail, sync);
        let cost = start.elapsed();
        self.is_behind = written.is_err();
        let rest = if self.is_behind {
            RETRY
        } else {
            cost.saturating_mul(REST)
        };
        self.due = Instant::now() + rest;
        written.map_err(|error| Error::file(&self.path, &error))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an fsync after every part would cost more than all the rest"
    )]
    fn write(&self, head: &Head, turn: Option<&Turn>, tail: &Tail, sync: bool) -> io::Result<()> {
        let temporary = temporary(&self.path);
        let mut file = private_file(&temporary, true)?;
        let result = self
            .fill(&mut file, head, turn, tail)
            .and_then(|()| if sync { base::sync(&file) } else { Ok(()) })
            .and_then(|()| std::fs::rename(&temporary, &self.path));
        if result.is_err() {
            // On a full disk its space is needed.
            let _ = std::fs::remove_file(&temporary);
        }
        result?;
        match self.path.parent() {
            Some(folder) if sync => base::sync_folder(folder),
            _ => Ok(()),
        }
    }

    fn fill(
        &self,
        file: &mut File,
        head: &Head,
        turn: Option<&Turn>,
        tail: &Tail,
    ) -> io::Result<()> {
        let mut before = serde_json::to_vec(head)?;
        before.pop();
        before.extend_from_slice(b",\"parts\":[");
        file.write_all(&before)?;
        file.write_all(&self.parts)?;
        file.write_all(b"],\"turns\":[")?;
        file.write_all(&self.turns)?;
        let mut after = Vec::new();
        if let Some(turn) = turn {
            if !self.turns.is_empty() {
                after.push(b',');
            }
            serde_json::to_writer(&mut after, turn)?;
        }
        after.extend_from_slice(b"],");
        let tail = serde_json::to_vec(tail)?;
        after.extend_from_slice(tail.get(1..).unwrap_or_default());
        after.push(b'\n');
        file.write_all(&after)
    }
}

/// Where the next version is written. It has the same name each time, so that what a kill leaves is
/// overwritten.
pub(super) fn temporary(path: &Path) -> PathBuf {
    path.with_extension("json.tmp")
}

/// Appends a record to a list. What is serialised here has no way to fail.
fn append(list: &mut Vec<u8>, record: &impl Serialize) {
    let before = list.len();
    if before > 0 {
        list.push(b',');
    }
    if serde_json::to_writer(&mut *list, record).is_err() {
        list.truncate(before);
    }
}

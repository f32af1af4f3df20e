//! How many runs or chats were taken over or sent, for commands that end with that.

use crate::store::Stored;
use base::printable;

/// How many runs or chats were new, completed and known.
pub(super) struct Tally {
    kind: &'static str,
    verb: &'static str,
    dry_run: bool,
    counts: [u64; 3],
}

impl Tally {
    /// `kind` is `run` or `chat`, and `verb` what is done with a new one.
    pub(super) fn new(kind: &'static str, verb: &'static str, dry_run: bool) -> Self {
        let counts = [0; 3];
        Self {
            kind,
            verb,
            dry_run,
            counts,
        }
    }

    /// Counts a run or chat. Gives the line for it; none for one that was known.
    pub(super) fn count(
        &mut self,
        id: Option<i64>,
        stored: Stored,
        what: impl FnOnce() -> String,
    ) -> Option<String> {
        self.counts[stored as usize] += 1;
        let Self { kind, verb, .. } = self;
        let name = id.map_or(String::new(), |id| format!(" {kind} {id}"));
        let id = id.unwrap_or_default();
        let done = match (stored, self.dry_run) {
            (Stored::New, false) => format!("{kind} {id}"),
            (Stored::New, true) if name.is_empty() && *kind != "run" => {
                format!("would {verb} {kind}")
            }
            (Stored::New, true) => format!("would {verb}{name}"),
            (Stored::Completed, false) => format!("{kind} {id}, completed"),
            (Stored::Completed, true) => format!("would complete {kind} {id}"),
            (Stored::Already, _) => return None,
        };
        let line = format!("{done}: {}", what());
        Some(printable(&line).into_owned())
    }

    /// Counts so many that were known.
    #[cfg(feature = "network")]
    pub(super) fn known(&mut self, count: u64) {
        self.counts[Stored::Already as usize] += count;
    }

    /// How many were counted.
    pub(super) fn all(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many of each: `998 new, 1 completed, 1 known`.
    pub(super) fn sum(&self) -> String {
        let [new, completed, known] = self.counts;
        format!("{new} new, {completed} completed, {known} known")
    }
}

//! A trajectory as `agent_trace.json` holds it.
//!
//! Every key is written, in the order of the fields here. What other programs add to an object is kept,
//! and written behind our keys.

mod read;
mod time;

use serde::Serialize;
use serde_json::{Map, Value};

pub(crate) use time::Time;

use crate::stream::{Call, PartType, TokenUsage};

/// Keys of other programs.
pub(crate) type Extra = Map<String, Value>;

/// A trajectory: one recorded piece of work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Trace {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    pub(crate) started_at: Time,
    pub(crate) parts: Vec<Part>,
    pub(crate) turns: Vec<Turn>,
    pub(crate) artifacts: Artifacts,
    pub(crate) session_end: Option<SessionEnd>,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// Whose work it is: the first keys of a trace, of a part and of a turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Origin {
    pub(crate) trajectory_id: String,
    /// The agent's own id of its session; empty until it is known.
    pub(crate) session_id: String,
    pub(crate) agent: String,
    /// Empty until it is known.
    pub(crate) agent_model: String,
}

/// The smallest thing seen of the agent.
#[allow(clippy::struct_field_names, reason = "the keys of the file")]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Part {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// Its number, from 1.
    pub(crate) part: u64,
    pub(crate) timestamp: Time,
    /// The time since the previous part of the turn.
    pub(crate) duration_ms: Option<u64>,
    pub(crate) role: String,
    /// `None` for a placeholder of envoi's harness.
    pub(crate) part_type: Option<PartType>,
    /// The agent's own word for it.
    pub(crate) item_type: Option<String>,
    pub(crate) summary: Option<String>,
    /// The commit that holds the code as of this part.
    pub(crate) git_commit: Option<String>,
    /// What this part changed; `None` if nothing.
    pub(crate) repo_checkpoint: Option<Checkpoint>,
    pub(crate) envoi_calls: Vec<Call>,
    pub(crate) testing_state: TestingState,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// A commit of the whole worktree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Checkpoint {
    pub(crate) commit_before: Option<String>,
    pub(crate) commit_after: Option<String>,
    /// False if it could not be made.
    pub(crate) committed: bool,
    /// Paths relative to the worktree, in byte order; a move has both.
    pub(crate) changed_files: Vec<String>,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// Where the tests stand after a part.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct TestingState {
    /// The number of suites that passed once; only required ones count, if any are.
    pub(crate) solved_paths: u64,
    /// The number of suites that are required.
    pub(crate) total_paths: u64,
    /// The last call: its suite, counts, status and error.
    pub(crate) latest_path: Option<String>,
    pub(crate) latest_passed: Option<u64>,
    pub(crate) latest_total: Option<u64>,
    pub(crate) latest_status_code: Option<i64>,
    pub(crate) latest_error: Option<String>,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// One request and its answer.
#[allow(clippy::struct_field_names, reason = "the keys of the file")]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Turn {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// Its number, from 1.
    pub(crate) turn: u64,
    /// Its first and its last part; `None` if it has none.
    pub(crate) part_start: Option<u64>,
    pub(crate) part_end: Option<u64>,
    pub(crate) timestamp: Time,
    pub(crate) prompt: Option<String>,
    pub(crate) git_commit: Option<String>,
    /// The last of its parts'.
    pub(crate) repo_checkpoint: Option<Checkpoint>,
    /// Always `null` here: the trajectory has it.
    pub(crate) session_end: Option<Value>,
    pub(crate) token_usage: Option<Usage>,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// The tokens of a turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Usage {
    #[serde(flatten)]
    pub(crate) tokens: TokenUsage,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// Where the two files are: paths, or URIs of S3.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Artifacts {
    pub(crate) agent_trace: Option<String>,
    pub(crate) repo_bundle: Option<String>,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// How the trajectory ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SessionEnd {
    pub(crate) reason: Reason,
    pub(crate) total_parts: u64,
    pub(crate) total_turns: u64,
    pub(crate) final_git_commit: Option<String>,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// Why the trajectory ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// Every required suite has passed.
    Solved,
    /// The limit of parts was reached.
    PartLimit,
    /// The limit of time was reached.
    Timeout,
    /// The agent failed.
    AgentError,
    /// envoi's harness failed; only read.
    EnvoiError,
    /// The agent ended by itself.
    Completed,
    /// Ctrl-C, or a crash.
    Interrupted,
}

impl Reason {
    pub(crate) const ALL: [Self; 7] = [
        Self::Solved,
        Self::PartLimit,
        Self::Timeout,
        Self::AgentError,
        Self::EnvoiError,
        Self::Completed,
        Self::Interrupted,
    ];

    /// The word in the file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Solved => "solved",
            Self::PartLimit => "part_limit",
            Self::Timeout => "timeout",
            Self::AgentError => "agent_error",
            Self::EnvoiError => "envoi_error",
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Trace {
    /// One that begins now.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            origin: Origin {
                trajectory_id: id.to_owned(),
                ..Origin::default()
            },
            started_at: Time::now(),
            parts: Vec::new(),
            turns: Vec::new(),
            artifacts: Artifacts::default(),
            session_end: None,
            extra: Extra::new(),
        }
    }

    /// The number of parts.
    pub(crate) fn part_count(&self) -> u64 {
        self.parts.len() as u64
    }

    /// The part of this number.
    pub(crate) fn part(&self, number: u64) -> Option<&Part> {
        self.parts.iter().find(|part| part.part == number)
    }

    /// The commits of the parts, each once, in the order of their first parts.
    pub(crate) fn commits(&self) -> Vec<&str> {
        let mut seen = std::collections::HashSet::new();
        let commits = self
            .parts
            .iter()
            .filter_map(|part| part.git_commit.as_deref());
        commits.filter(|commit| seen.insert(*commit)).collect()
    }
}

//! The report of an evaluation, as `eval.json` holds it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use base::{Error, Existing, Result, replace_atomically};
use serde::{Deserialize, Serialize};

use crate::model::{Part, Time, Trace};
use crate::place::{self, Folder};

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) trajectory_id: String,
    pub(crate) session_id: String,
    pub(crate) generated_at: String,
    pub(crate) input: Input,
    /// In the order of their first parts.
    pub(crate) commits_evaluated: Vec<String>,
    pub(crate) commit_evaluations: BTreeMap<String, Evaluation>,
    /// `None` for a part without a commit.
    pub(crate) part_to_commit: BTreeMap<u64, Option<String>>,
    pub(crate) part_evaluations: Vec<PartEvaluation>,
}

/// What was evaluated, and by what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) trace_path: String,
    pub(crate) bundle_path: String,
    /// The names of the suites, in their order.
    pub(crate) test_paths: Vec<String>,
    /// The command of each suite, masked; empty if a server ran them.
    #[serde(default)]
    pub(crate) suites: BTreeMap<String, String>,
    /// The address of the server.
    #[serde(default)]
    pub(crate) envoi: Option<String>,
}

/// What the suites found at a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Evaluation {
    pub(crate) duration_ms: u64,
    /// The sums of the suites; one that could not run adds 1 to `failed`.
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) total: u64,
    pub(crate) path_results: BTreeMap<String, Outcome>,
}

/// What a suite found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Whether there are tests and none failed.
    pub(crate) ok: bool,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) total: u64,
    /// Why the suite could not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Whether the shell did not find a command; not kept.
    #[serde(skip)]
    pub(crate) is_not_found: bool,
}

/// A part, and what the suites found at its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartEvaluation {
    pub(crate) part: u64,
    pub(crate) timestamp: String,
    pub(crate) commit: Option<String>,
    /// `None` for a part without a commit, or one that is not evaluated yet.
    pub(crate) evaluation: Option<Evaluation>,
}

impl Outcome {
    /// That of a suite which counts its tests.
    pub(crate) fn of(passed: u64, failed: u64, total: u64) -> Self {
        Self {
            ok: failed == 0 && total > 0,
            passed,
            failed,
            total,
            error: None,
            is_not_found: false,
        }
    }

    /// That of a suite which is one test.
    pub(crate) fn of_exit(is_success: bool) -> Self {
        Self::of(u64::from(is_success), u64::from(!is_success), 1)
    }

    /// That of a suite which could not run.
    pub(crate) fn error(why: impl Into<String>) -> Self {
        Self {
            error: Some(why.into()),
            ..Self::of(0, 0, 0)
        }
    }

    /// In a few words: its counts, or that it could not run.
    pub(crate) fn counts(&self) -> String {
        match self.error {
            None => format!("{}/{}", self.passed, self.total),
            Some(_) => "error".to_owned(),
        }
    }
}

impl Evaluation {
    /// The sums of these outcomes.
    pub(crate) fn of(
        path_results: BTreeMap<String, Outcome>,
        duration: std::time::Duration,
    ) -> Self {
        let outcomes = || path_results.values();
        let sum = |count: fn(&Outcome) -> u64| {
            outcomes().fold(0, |sum: u64, outcome| sum.saturating_add(count(outcome)))
        };
        let failed = |outcome: &Outcome| match outcome.error {
            None => outcome.failed,
            Some(_) => 1,
        };
        Self {
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            passed: sum(|outcome| outcome.passed),
            failed: sum(failed),
            total: sum(|outcome| outcome.total),
            path_results,
        }
    }

    /// Whether a suite could not run.
    pub(crate) fn has_error(&self) -> bool {
        self.path_results
            .values()
            .any(|outcome| outcome.error.is_some())
    }
}

impl Input {
    /// Whether the same suites were run by the same commands.
    pub(crate) fn has_suites_of(&self, other: &Self) -> bool {
        let names = |input: &Self| input.test_paths.iter().cloned().collect::<HashSet<_>>();
        names(self) == names(other) && self.suites == other.suites && self.envoi == other.envoi
    }
}

impl Report {
    /// The report on these parts of a trajectory, as far as their commits are evaluated.
    pub(crate) fn of(
        trace: &Trace,
        input: &Input,
        parts: &HashSet<u64>,
        evaluations: &BTreeMap<String, Evaluation>,
    ) -> Self {
        let parts: Vec<&Part> = trace
            .parts
            .iter()
            .filter(|part| parts.contains(&part.part))
            .collect();
        let mut seen = HashSet::new();
        let mut commits_evaluated = Vec::new();
        let mut commit_evaluations = BTreeMap::new();
        for commit in parts.iter().filter_map(|part| part.git_commit.as_ref()) {
            if let Some(evaluation) = evaluations.get(commit)
                && seen.insert(commit)
            {
                commits_evaluated.push(commit.clone());
                commit_evaluations.insert(commit.clone(), evaluation.clone());
            }
        }
        let part_evaluation = |part: &&Part| PartEvaluation {
            part: part.part,
            timestamp: part.timestamp.to_string(),
            commit: part.git_commit.clone(),
            evaluation: part
                .git_commit
                .as_ref()
                .and_then(|commit| evaluations.get(commit).cloned()),
        };
        Self {
            trajectory_id: trace.origin.trajectory_id.clone(),
            session_id: trace.origin.session_id.clone(),
            generated_at: Time::now().to_string(),
            input: input.clone(),
            commits_evaluated,
            commit_evaluations,
            part_to_commit: parts
                .iter()
                .map(|part| (part.part, part.git_commit.clone()))
                .collect(),
            part_evaluations: parts.iter().map(part_evaluation).collect(),
        }
    }

    /// The last report on the trajectory; `None` if there is none, or it cannot be read.
    pub(crate) fn read(folder: &Folder) -> Option<Self> {
        let bytes = place::read(&folder.eval()).ok()?;
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(report) => Some(report).filter(|report| report.trajectory_id == folder.id),
            Err(error) => {
                tracing::info!("{}: {error}", folder.eval().display());
                None
            }
        }
    }

    /// Replaces the last report on the trajectory.
    pub(crate) fn write(&self, folder: &Folder) -> Result<()> {
        let bytes = self.bytes()?;
        replace_atomically(&folder.eval(), Existing::Replace, |path| {
            write_to(path, &bytes)
        })
    }

    /// The report as a file has it.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The outcome of a suite at each part that has one.
    pub(crate) fn outcomes<'a>(
        &'a self,
        suite: &'a str,
    ) -> impl DoubleEndedIterator<Item = (u64, &'a Outcome)> {
        self.part_evaluations.iter().filter_map(move |part| {
            let evaluation = part.evaluation.as_ref()?;
            Some((part.part, evaluation.path_results.get(suite)?))
        })
    }
}

fn write_to(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(path);
    let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, bytes));
    written.map_err(|error| Error::file(path, &error))
}

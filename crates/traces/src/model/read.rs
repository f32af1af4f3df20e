//! Reads `agent_trace.json`. An error names the JSON path of what is wrong.

use std::path::Path;

use base::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Artifacts, Checkpoint, Extra, Origin, Part, Reason, SessionEnd, TestingState, Time, Trace,
    Turn, Usage,
};
use crate::place;
use crate::stream::{Call, Counts, PartType, TokenUsage};

/// Why a value cannot be read: its path, and what was expected.
type Fault = String;

impl Trace {
    /// Reads the file. An error if it is not there, not JSON or not a trace; it names the JSON path.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = place::read(path).map_err(|error| Error::file(path, &error))?;
        Self::parse(&bytes).map_err(|why| Error::new(path.display(), why))
    }

    /// Reads the bytes of the file; an error is the reason.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
        let mut object = Reader::of(value, "$".to_owned())?;
        let parts: Vec<Value> = object.required("parts")?;
        let turns: Vec<Value> = object.optional("turns")?.unwrap_or_default();
        let trace = Self {
            origin: origin(&mut object)?,
            started_at: object.time("started_at")?,
            parts: each(parts, "$.parts", part)?,
            turns: each(turns, "$.turns", turn)?,
            artifacts: match object.object("artifacts")? {
                Some(object) => artifacts(object)?,
                None => Artifacts::default(),
            },
            session_end: object.object("session_end")?.map(session_end).transpose()?,
            extra: object.rest(),
        };
        let mut numbers = std::collections::HashSet::new();
        for (index, part) in trace.parts.iter().enumerate() {
            if !numbers.insert(part.part) {
                return Err(format!(
                    "$.parts[{index}].part: {} is there twice",
                    part.part
                ));
            }
        }
        Ok(trace)
    }
}

/// An object of which fields are taken, and its path.
struct Reader {
    object: Map<String, Value>,
    path: String,
}

impl Reader {
    fn of(value: Value, path: String) -> Result<Self, Fault> {
        match value {
            Value::Object(object) => Ok(Self { object, path }),
            _ => Err(format!("{path}: an object is expected")),
        }
    }

    /// A field that may be missing or null.
    fn optional<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, Fault> {
        match self.object.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| format!("{}.{key}: {error}", self.path)),
        }
    }

    fn required<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, Fault> {
        let value = self.optional(key)?;
        value.ok_or_else(|| format!("{}.{key}: missing", self.path))
    }

    fn time(&mut self, key: &str) -> Result<Time, Fault> {
        let text: String = self.required(key)?;
        Time::parse(&text).ok_or_else(|| format!("{}.{key}: invalid time '{text}'", self.path))
    }

    fn object(&mut self, key: &str) -> Result<Option<Self>, Fault> {
        let path = format!("{}.{key}", self.path);
        let value: Option<Value> = self.optional(key)?;
        value.map(|value| Self::of(value, path)).transpose()
    }

    /// What was not taken.
    fn rest(self) -> Extra {
        self.object
    }
}

fn each<T>(
    values: Vec<Value>,
    path: &str,
    read: fn(Reader) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut index = 0;
    let mut next = |value| {
        let object = Reader::of(value, format!("{path}[{index}]"));
        index += 1;
        read(object?)
    };
    values.into_iter().map(&mut next).collect()
}

fn origin(object: &mut Reader) -> Result<Origin, Fault> {
    Ok(Origin {
        trajectory_id: object.required("trajectory_id")?,
        session_id: object.optional("session_id")?.unwrap_or_default(),
        agent: object.optional("agent")?.unwrap_or_default(),
        agent_model: object.optional("agent_model")?.unwrap_or_default(),
    })
}

fn part(mut object: Reader) -> Result<Part, Fault> {
    let calls: Vec<Value> = object.optional("envoi_calls")?.unwrap_or_default();
    let path = format!("{}.envoi_calls", object.path);
    Ok(Part {
        origin: origin(&mut object)?,
        part: object.required("part")?,
        timestamp: object.time("timestamp")?,
        duration_ms: object.optional("duration_ms")?,
        role: object
            .optional("role")?
            .unwrap_or_else(|| "assistant".to_owned()),
        part_type: object.optional::<PartType>("part_type")?,
        item_type: object.optional("item_type")?,
        summary: object.optional("summary")?,
        git_commit: object.optional("git_commit")?,
        repo_checkpoint: object
            .object("repo_checkpoint")?
            .map(checkpoint)
            .transpose()?,
        envoi_calls: each(calls, &path, call)?,
        testing_state: match object.object("testing_state")? {
            Some(object) => testing_state(object)?,
            None => TestingState::default(),
        },
        extra: object.rest(),
    })
}

fn checkpoint(mut object: Reader) -> Result<Checkpoint, Fault> {
    Ok(Checkpoint {
        commit_before: object.optional("commit_before")?,
        commit_after: object.optional("commit_after")?,
        committed: object.optional("committed")?.unwrap_or(true),
        changed_files: object.optional("changed_files")?.unwrap_or_default(),
        extra: object.rest(),
    })
}

fn call(mut object: Reader) -> Result<Call, Fault> {
    Ok(Call {
        path: object.required("path")?,
        timestamp: object.required("timestamp")?,
        duration_ms: object.required("duration_ms")?,
        status_code: object.required("status_code")?,
        error: object.optional("error")?,
        result: object.object("result")?.map(counts).transpose()?,
        extra: object.rest(),
    })
}

fn counts(mut object: Reader) -> Result<Counts, Fault> {
    Ok(Counts {
        passed: object.required("passed")?,
        failed: object.required("failed")?,
        total: object.required("total")?,
        tests: object
            .optional("tests")?
            .unwrap_or(Value::Array(Vec::new())),
        extra: object.rest(),
    })
}

fn testing_state(mut object: Reader) -> Result<TestingState, Fault> {
    Ok(TestingState {
        solved_paths: object.optional("solved_paths")?.unwrap_or_default(),
        total_paths: object.optional("total_paths")?.unwrap_or_default(),
        latest_path: object.optional("latest_path")?,
        latest_passed: object.optional("latest_passed")?,
        latest_total: object.optional("latest_total")?,
        latest_status_code: object.optional("latest_status_code")?,
        latest_error: object.optional("latest_error")?,
        extra: object.rest(),
    })
}

fn turn(mut object: Reader) -> Result<Turn, Fault> {
    Ok(Turn {
        origin: origin(&mut object)?,
        turn: object.required("turn")?,
        part_start: object.optional("part_start")?,
        part_end: object.optional("part_end")?,
        timestamp: object.time("timestamp")?,
        prompt: object.optional("prompt")?,
        git_commit: object.optional("git_commit")?,
        repo_checkpoint: object
            .object("repo_checkpoint")?
            .map(checkpoint)
            .transpose()?,
        session_end: object.optional("session_end")?,
        token_usage: object.object("token_usage")?.map(usage).transpose()?,
        extra: object.rest(),
    })
}

fn usage(mut object: Reader) -> Result<Usage, Fault> {
    let mut count = |key| Ok::<u64, Fault>(object.optional(key)?.unwrap_or_default());
    Ok(Usage {
        tokens: TokenUsage {
            input: count("input")?,
            output: count("output")?,
            reasoning: count("reasoning")?,
            cached: count("cached")?,
            total: count("total")?,
        },
        extra: object.rest(),
    })
}

fn artifacts(mut object: Reader) -> Result<Artifacts, Fault> {
    Ok(Artifacts {
        agent_trace: object.optional("agent_trace")?,
        repo_bundle: object.optional("repo_bundle")?,
        extra: object.rest(),
    })
}

fn session_end(mut object: Reader) -> Result<SessionEnd, Fault> {
    let word: String = object.required("reason")?;
    let reason = Reason::ALL.into_iter().find(|reason| reason.word() == word);
    Ok(SessionEnd {
        reason: reason.ok_or_else(|| format!("{}.reason: unknown reason '{word}'", object.path))?,
        total_parts: object.optional("total_parts")?.unwrap_or_default(),
        total_turns: object.optional("total_turns")?.unwrap_or_default(),
        final_git_commit: object.optional("final_git_commit")?,
        extra: object.rest(),
    })
}

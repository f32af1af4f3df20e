//! The records of a trajectory, made of what its agent tells.

use std::collections::HashSet;

use base::{Result, note};
use jiff::Timestamp;

use super::file::{Head, Tail, TraceFile};
use super::lock::Goals;
use crate::model::{
    Artifacts, Checkpoint, Extra, Origin, Part, Reason, SessionEnd, TestingState, Time, Trace,
    Turn, Usage,
};
use crate::place::Folder;
use crate::secrets;
use crate::stream::{self, Agent, Call, Event, TokenUsage};

/// The most kinds of unknown events that are told.
const MOST_TOLD: usize = 20;

/// The code that the agent works on.
pub(super) trait Code {
    /// The last commit.
    fn head(&self) -> Option<&str>;

    /// Commits the worktree; `None` if no file has changed.
    fn checkpoint(&mut self, message: &str) -> Result<Option<Checkpoint>>;
}

/// A trajectory that grows.
pub(super) struct Journal<C> {
    pub(super) code: C,
    goals: Goals,
    /// Of the first turn, unless the stream has one.
    prompt: Option<String>,
    file: TraceFile,
    origin: Origin,
    started_at: Time,
    parts: u64,
    turns: u64,
    /// The turn that goes on.
    turn: Option<Turn>,
    /// When the last part of this turn was complete.
    previous: Option<Time>,
    testing: TestingState,
    solved: HashSet<String>,
    /// The test calls so far, by what tells them apart.
    calls: HashSet<(String, String, i64, i64)>,
    commits: HashSet<String>,
    artifacts: Artifacts,
    end: Option<SessionEnd>,
    extra: Extra,
    /// Whether the agent tells the tokens of the whole session.
    counts_sessions: bool,
    /// The tokens of this session's turns.
    spent: TokenUsage,
    has_agent_failed: bool,
    /// The last thing that went wrong with a checkpoint, or with the file.
    told: Option<String>,
    has_checkpoint_failed: bool,
    unknown: HashSet<String>,
}

impl<C: Code> Journal<C> {
    /// A trajectory with this trace so far.
    pub(super) fn new(folder: &Folder, trace: Trace, code: C, goals: Goals) -> Self {
        let mut file = TraceFile::new(folder.trace());
        let mut testing = TestingState::default();
        let (mut solved, mut calls) = (HashSet::new(), HashSet::new());
        for part in &trace.parts {
            file.add_part(part);
            for call in &part.envoi_calls {
                solve(&mut solved, &goals, call);
                calls.insert(call.identity());
            }
        }
        let mut spent = TokenUsage::default();
        for turn in &trace.turns {
            file.add_turn(turn);
            if let Some(usage) = &turn.token_usage
                && turn.origin.session_id == trace.origin.session_id
            {
                spent = spent.plus(usage.tokens);
            }
        }
        if let Some(part) = trace.parts.last() {
            testing.clone_from(&part.testing_state);
        }
        testing.total_paths = goals.require.len() as u64;
        testing.solved_paths = solved.len() as u64;
        Self {
            code,
            goals,
            prompt: None,
            file,
            parts: trace.part_count(),
            turns: trace.turns.len() as u64,
            turn: None,
            previous: None,
            testing,
            solved,
            calls,
            commits: trace.commits().into_iter().map(str::to_owned).collect(),
            origin: trace.origin,
            started_at: trace.started_at,
            artifacts: trace.artifacts,
            end: None,
            extra: trace.extra,
            counts_sessions: false,
            spent,
            has_agent_failed: false,
            told: None,
            has_checkpoint_failed: false,
            unknown: HashSet::new(),
        }
    }

    /// The request of the first turn from now on.
    pub(super) fn set_prompt(&mut self, prompt: Option<&str>) {
        self.prompt = prompt.map(|prompt| secrets::text(prompt).into_owned());
    }

    /// Who works from now on. What is known of the session of another agent is forgotten.
    pub(super) fn set_agent(&mut self, agent: Agent) {
        self.counts_sessions = agent.counts_sessions();
        if self.origin.agent == agent.name() {
            return;
        }
        if !self.origin.agent.is_empty() {
            self.origin.session_id.clear();
            self.origin.agent_model.clear();
        }
        agent.name().clone_into(&mut self.origin.agent);
        self.file.set_behind();
    }

    /// Takes what the agent tells; the record of a part, if it is one and the limit allows it.
    pub(super) fn event(&mut self, event: Event, arrived: Time) -> Option<Part> {
        match event {
            Event::Session { id, model } => {
                let session = self.origin.session_id.clone();
                for (known, new) in [
                    (&mut self.origin.session_id, id),
                    (&mut self.origin.agent_model, model),
                ] {
                    if let Some(new) = new
                        && !new.is_empty()
                        && *known != new
                    {
                        *known = new;
                        self.file.set_behind();
                    }
                }
                if self.origin.session_id != session {
                    self.spent = TokenUsage::default();
                }
            }
            Event::TurnStarted { prompt } => {
                self.end_turn();
                if !self.is_full() {
                    self.turn(arrived, prompt);
                }
            }
            Event::Part(seen) if !self.is_full() => return Some(self.part(seen, arrived)),
            Event::Part(_) => {}
            Event::TurnCompleted { usage } => {
                if let Some(mut tokens) = usage {
                    if self.counts_sessions {
                        tokens = tokens.minus(self.spent).unwrap_or(tokens);
                    }
                    self.spent = self.spent.plus(tokens);
                    // Behind the limit no turn begins.
                    if self.turn.is_some() || !self.is_full() {
                        self.turn(arrived, None).token_usage = Some(Usage {
                            tokens,
                            extra: Extra::new(),
                        });
                    }
                }
                self.end_turn();
            }
            Event::Tokens(tokens) => {
                let usage = self.turn(arrived, None).token_usage.get_or_insert_default();
                usage.tokens = usage.tokens.plus(tokens);
                self.file.set_behind();
            }
            Event::Failed => self.has_agent_failed = true,
            Event::Unknown(kind) => {
                if self.unknown.len() < MOST_TOLD && self.unknown.insert(kind.clone()) {
                    note(&format!(
                        "events of the unknown type '{kind}' are passed over"
                    ));
                }
            }
        }
        None
    }

    /// The turn that goes on; begins one if there is none.
    fn turn(&mut self, timestamp: Time, prompt: Option<String>) -> &mut Turn {
        let Self {
            turn,
            turns,
            origin,
            file,
            code,
            ..
        } = self;
        let first = &mut self.prompt;
        turn.get_or_insert_with(|| {
            *turns += 1;
            file.set_behind();
            Turn {
                origin: origin.clone(),
                turn: *turns,
                part_start: None,
                part_end: None,
                timestamp,
                prompt: prompt.or(first.take()),
                git_commit: code.head().map(str::to_owned),
                repo_checkpoint: None,
                session_end: None,
                token_usage: None,
                extra: Extra::new(),
            }
        })
    }

    /// Goes on with a turn, whose last part was complete at `previous`.
    pub(super) fn reopen(&mut self, turn: Turn, previous: Option<Time>) {
        self.turns += 1;
        self.turn = Some(turn);
        self.previous = previous;
    }

    /// Ends the turn that goes on, if one does.
    pub(super) fn end_turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.file.add_turn(&turn);
        }
        self.previous = None;
    }

    fn part(&mut self, mut seen: stream::Part, arrived: Time) -> Part {
        let number = self.parts + 1;
        let timestamp = seen.timestamp.and_then(own_time).unwrap_or(arrived);
        // The clock of the agent may be behind ours.
        self.started_at = self.started_at.min(timestamp);
        let checkpoint = self.checkpoint(&format!("part {number} checkpoint"));
        let git_commit = self.code.head().map(str::to_owned);
        self.commits.extend(git_commit.clone());
        // A call that is told again, as in a later answer, is not a new one.
        seen.calls.retain(|call| self.calls.insert(call.identity()));
        for call in &seen.calls {
            self.test(call);
        }
        let part = Part {
            origin: self.origin.clone(),
            part: number,
            timestamp,
            duration_ms: self
                .previous
                .and_then(|previous| timestamp.milliseconds_since(previous)),
            role: "assistant".to_owned(),
            part_type: Some(seen.kind),
            item_type: Some(seen.item_type),
            summary: seen.summary.map(|text| secrets::text(&text).into_owned()),
            git_commit: git_commit.clone(),
            repo_checkpoint: checkpoint.clone(),
            envoi_calls: seen.calls,
            testing_state: self.testing.clone(),
            extra: Extra::new(),
        };
        let origin = self.origin.clone();
        let turn = self.turn(timestamp, None);
        turn.origin = origin;
        turn.part_start.get_or_insert(number);
        turn.part_end = Some(number);
        turn.git_commit = git_commit;
        if checkpoint.is_some() {
            turn.repo_checkpoint = checkpoint;
        }
        self.previous = Some(timestamp);
        self.parts = number;
        self.file.add_part(&part);
        part
    }

    /// Commits the worktree. A failure is told, and recorded as a checkpoint that was not committed.
    fn checkpoint(&mut self, message: &str) -> Option<Checkpoint> {
        match self.code.checkpoint(message) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                self.has_checkpoint_failed = true;
                self.tell(&format!("{message}: {error}"), &error.to_string());
                Some(Checkpoint {
                    commit_before: self.code.head().map(str::to_owned),
                    commit_after: None,
                    committed: false,
                    changed_files: Vec::new(),
                    extra: Extra::new(),
                })
            }
        }
    }

    /// Tells what went wrong, once while it goes on for the same reason.
    fn tell(&mut self, text: &str, why: &str) {
        if self.told.as_deref() != Some(why) {
            note(text);
            self.told = Some(why.to_owned());
        }
    }

    fn test(&mut self, call: &Call) {
        solve(&mut self.solved, &self.goals, call);
        let counts = call.result.as_ref();
        let state = &mut self.testing;
        state.solved_paths = self.solved.len() as u64;
        state.latest_path = Some(call.path.clone());
        state.latest_passed = counts.map(|counts| counts.passed);
        state.latest_total = counts.map(|counts| counts.total);
        state.latest_status_code = Some(call.status_code);
        state.latest_error = call.error.clone().map(stream::name);
    }

    /// The number of parts so far.
    pub(super) fn parts(&self) -> u64 {
        self.parts
    }

    /// Whether the limit of parts is reached.
    pub(super) fn is_full(&self) -> bool {
        self.goals.max_parts > 0 && self.parts >= self.goals.max_parts
    }

    /// Whether a checkpoint could not be made.
    pub(super) fn has_checkpoint_failed(&self) -> bool {
        self.has_checkpoint_failed
    }

    /// How long to wait until the file is to be written; `None` if it has everything.
    pub(super) fn wait(&self) -> Option<std::time::Duration> {
        self.file.wait()
    }

    /// Writes the file after a part, unless it is so large that it has to wait.
    pub(super) fn save_part(&mut self, part: &Part) {
        let has_checkpoint = part.repo_checkpoint.is_some();
        if has_checkpoint
            || !self.file.is_large()
            || self.file.wait().is_some_and(|wait| wait.is_zero())
        {
            let _ = self.save(has_checkpoint);
        }
    }

    /// Writes the file. A failure is told.
    pub(super) fn save(&mut self, sync: bool) -> Result<()> {
        let head = Head {
            origin: &self.origin,
            started_at: self.started_at,
        };
        let tail = Tail {
            artifacts: &self.artifacts,
            session_end: self.end.as_ref(),
            extra: &self.extra,
        };
        let saved = self.file.replace(&head, self.turn.as_ref(), &tail, sync);
        match &saved {
            Ok(()) => {}
            Err(error) => {
                let error = error.to_string();
                self.tell(&error, &error);
            }
        }
        saved
    }

    /// Why the agent ended, when it was stopped for `stopped` or ended by itself.
    fn reason(&self, stopped: Option<Reason>, has_failed: bool) -> Reason {
        let required = &self.goals.require;
        if !required.is_empty() && self.solved.len() == required.len() {
            Reason::Solved
        } else if self.is_full() {
            Reason::PartLimit
        } else if let Some(reason) = stopped {
            reason
        } else if has_failed || self.has_agent_failed {
            Reason::AgentError
        } else {
            Reason::Completed
        }
    }

    /// Ends the trajectory: what changed after the last part is committed, and the file has the end when
    /// it is saved next. `stopped` says why we ended it, if we did.
    pub(super) fn end(&mut self, stopped: Option<Reason>, has_failed: bool) -> Reason {
        self.end_turn();
        if self.origin.agent.is_empty() {
            self.set_agent(Agent::Generic);
        }
        self.checkpoint("end");
        let reason = self.reason(stopped, has_failed);
        self.end = Some(SessionEnd {
            reason,
            total_parts: self.parts,
            total_turns: self.turns,
            final_git_commit: self.code.head().map(str::to_owned),
            extra: Extra::new(),
        });
        self.file.set_behind();
        reason
    }

    /// The row of the trajectory in the index.
    pub(super) fn row(&self) -> crate::index::Row {
        crate::index::Row {
            trajectory_id: self.origin.trajectory_id.clone(),
            session_id: self.origin.session_id.clone(),
            agent: self.origin.agent.clone(),
            agent_model: self.origin.agent_model.clone(),
            started_at: self.started_at.to_string(),
            parts: self.parts,
            turns: self.turns,
            commits: self.commits.len() as u64,
            solved: self.testing.solved_paths,
            required: self.testing.total_paths,
            reason: self.end.as_ref().map(|end| end.reason.word().to_owned()),
            file: crate::index::Version::of(self.file.path()),
        }
    }
}

/// Adds the suite of the call if all of its tests passed; only required ones count, if any are.
fn solve(solved: &mut HashSet<String>, goals: &Goals, call: &Call) {
    let counts = call.result.as_ref();
    let has_passed = counts.is_some_and(|counts| counts.total > 0 && counts.passed == counts.total);
    if has_passed && (goals.require.is_empty() || goals.require.contains(&call.path)) {
        solved.insert(call.path.clone());
    }
}

/// The event's own time; none before 1970, which no clock shows.
fn own_time(time: Timestamp) -> Option<Time> {
    (time >= Timestamp::UNIX_EPOCH).then(|| Time::of(time))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::secrets::Masker;
    use crate::stream::Reader;

    /// A folder that changes with every second part.
    struct Changing(u64, Option<String>);

    impl Code for Changing {
        fn head(&self) -> Option<&str> {
            self.1.as_deref()
        }

        fn checkpoint(&mut self, _: &str) -> Result<Option<Checkpoint>> {
            self.0 += 1;
            if self.0.is_multiple_of(2) {
                return Ok(None);
            }
            let after = Some(format!("{:040x}", self.0));
            let commit_before = std::mem::replace(&mut self.1, after.clone());
            Ok(Some(Checkpoint {
                commit_before,
                commit_after: after,
                committed: true,
                changed_files: vec!["a".to_owned()],
                extra: Extra::new(),
            }))
        }
    }

    /// Records the lines: what is read back, and the parts that were meant.
    fn record(lines: &[u8], goals: &Goals) -> (Trace, Vec<Part>) {
        let room = tempfile::tempdir().unwrap();
        let folder = Folder {
            id: "t".to_owned(),
            path: room.path().to_owned(),
        };
        let code = Changing(0, None);
        let mut journal = Journal::new(&folder, Trace::new("t"), code, goals.clone());
        let (mut reader, mut masker) = (Reader::new(None), Masker::default());
        let mut parts = Vec::new();
        for line in lines.split(|byte| *byte == b'\n') {
            let events = reader.line(&masker.line(line));
            if let Some(agent) = reader.agent() {
                journal.set_agent(agent);
            }
            for event in events {
                parts.extend(journal.event(event, Time::now()));
            }
        }
        journal.end(None, false);
        journal.save(false).unwrap();
        let bytes = std::fs::read(folder.trace()).unwrap();
        let trace = Trace::parse(&bytes).unwrap();
        let mut whole = serde_json::to_vec(&trace).unwrap();
        whole.push(b'\n');
        assert_eq!(bytes, whole);
        (trace, parts)
    }

    static STREAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/trace");
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let streams = paths.filter(|path| path.extension().is_some_and(|it| it == "jsonl"));
        streams.map(|path| std::fs::read(path).unwrap()).collect()
    });

    proptest! {
        #[test]
        fn a_damaged_stream_becomes_a_trace_that_reads_back_as_it_was_meant(
            stream in any::<prop::sample::Index>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4usize), 0..20),
            max_parts in 0..10u64,
        ) {
            let mut bytes = STREAMS[stream.index(STREAMS.len())].clone();
            for (at, byte, length) in damage {
                let at = at.index(bytes.len());
                let end = (at + length).min(bytes.len());
                bytes.splice(at..end, [byte]);
            }
            let goals = Goals { max_parts, ..Goals::default() };
            let (trace, parts) = record(&bytes, &goals);
            prop_assert_eq!(&trace.parts, &parts);
            prop_assert!(max_parts == 0 || trace.part_count() <= max_parts);
            let covered = trace.turns.iter().filter_map(|turn| Some((turn.part_start?, turn.part_end?)));
            let covered: Vec<u64> = covered.flat_map(|(first, last)| first..=last).collect();
            let all: Vec<u64> = (1..=trace.part_count()).collect();
            prop_assert_eq!(covered, all);
        }
    }

    /// The parts of lines of our own events, each with some more fields.
    fn parts(fields: &[&str]) -> Vec<Part> {
        let line = |fields: &&str| {
            format!(r#"{{"event":"part.completed","part_type":"tool","item_type":"a",{fields}}}"#)
        };
        let lines: Vec<String> = fields.iter().map(line).collect();
        record(lines.join("\n").as_bytes(), &Goals::default()).1
    }

    #[test]
    fn times_of_the_stream_are_kept_and_a_clock_that_runs_backwards_has_no_duration() {
        let parts = parts(&[
            r#""timestamp_ms":1700000001000"#,
            r#""timestamp_ms":1700000001250"#,
            r#""timestamp_ms":1700000000000"#,
        ]);
        let times = parts.iter().map(|part| part.timestamp.to_string());
        let times: Vec<String> = times.collect();
        assert_eq!(
            times,
            [
                "2023-11-14T22:13:21.000000+00:00",
                "2023-11-14T22:13:21.250000+00:00",
                "2023-11-14T22:13:20.000000+00:00",
            ]
        );
        let durations: Vec<_> = parts.iter().map(|part| part.duration_ms).collect();
        assert_eq!(durations, [None, Some(250), None]);
    }

    #[test]
    fn times_that_no_clock_shows_are_those_of_the_arrival() {
        let parts = parts(&[
            r#""timestamp_ms":-1"#,
            r#""timestamp_ms":9223372036854775807"#,
            r#""timestamp_ms":1e30"#,
            r#""timestamp_ms":"x""#,
        ]);
        assert_eq!(parts.len(), 4);
        let now = Time::now().0.as_second();
        for part in parts {
            let age = now - part.timestamp.0.as_second();
            assert!(age.abs() < 3600, "{part:?}");
        }
    }

    #[test]
    fn names_are_bounded_and_never_empty() {
        let long = "ä".repeat(2000);
        let session = format!(r#"{{"event":"session.started","session_id":"{long}"}}"#);
        let part = |item: &str| {
            format!(r#"{{"event":"part.completed","part_type":"text","item_type":"{item}"}}"#)
        };
        let stream = [session, part(&long), part("")].join("\n");
        let (_, parts) = record(stream.as_bytes(), &Goals::default());
        let item = |part: &Part| part.item_type.clone().unwrap();
        assert_eq!(item(&parts[0]).chars().count(), 1000);
        assert_eq!(parts[0].origin.session_id.chars().count(), 1000);
        assert_eq!(item(&parts[1]), "text");
    }

    /// A part with a test call that took so many milliseconds.
    fn test(duration: u64, path: &str, passed: u64, total: u64) -> String {
        let failed = total - passed;
        let result = json!({"passed": passed, "failed": failed, "total": total, "tests": []});
        let call = json!({
            "path": path, "timestamp": "x", "duration_ms": duration, "status_code": 200,
            "result": result,
        });
        json!({"event": "part.completed", "part_type": "tool", "test_call": call}).to_string()
    }

    #[test]
    fn the_same_test_call_is_kept_once() {
        let lines = [
            test(1, "a", 2, 2),
            test(2, "a", 1, 2),
            test(1, "a", 2, 2),
            test(1, "b", 0, 2),
        ];
        let (_, parts) = record(lines.join("\n").as_bytes(), &Goals::default());
        let calls: Vec<usize> = parts.iter().map(|part| part.envoi_calls.len()).collect();
        assert_eq!(calls, [1, 1, 0, 1]);
        assert_eq!(parts[2].testing_state.latest_passed, Some(1));
    }

    #[test]
    fn suites_are_solved_once_and_only_required_ones_count() {
        let lines = [
            test(1, "a", 1, 2),
            test(2, "b", 2, 2),
            test(3, "a", 2, 2),
            test(4, "a", 0, 2),
            test(5, "c", 0, 0),
        ];
        let lines = lines.join("\n");
        let solved = |require: &[&str]| {
            let goals = Goals {
                require: require.iter().map(|&suite| suite.to_owned()).collect(),
                ..Goals::default()
            };
            let (trace, parts) = record(lines.as_bytes(), &goals);
            let states = parts.iter().map(|part| &part.testing_state);
            let solved: Vec<u64> = states.map(|state| state.solved_paths).collect();
            let last = &parts[4].testing_state;
            assert_eq!(last.total_paths, require.len() as u64);
            assert_eq!(last.latest_path.as_deref(), Some("c"));
            assert_eq!(last.latest_total, Some(0));
            (solved, trace.session_end.unwrap().reason)
        };
        assert_eq!(solved(&[]), (vec![0, 1, 2, 2, 2], Reason::Completed));
        assert_eq!(solved(&["a"]), (vec![0, 0, 1, 1, 1], Reason::Solved));
        let both = solved(&["a", "c"]);
        assert_eq!(both, (vec![0, 0, 1, 1, 1], Reason::Completed));
    }
}

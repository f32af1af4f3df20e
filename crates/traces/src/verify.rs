//! What is wrong with a trajectory. Few calls of git, however many parts it has.

use std::collections::{HashMap, HashSet};
use std::fmt;

use base::{Result, counted};

use crate::index::{PartRow, Row, Version};
use crate::model::{Checkpoint, Part, Trace};
use crate::repo::{History, is_hash};

/// The most commits that are looked at one by one, to tell which of them is damaged.
const SINGLY: usize = 20;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The JSON path, or the file.
    pub(crate) place: String,
    pub(crate) why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

fn problem(place: impl fmt::Display, why: impl fmt::Display) -> Problem {
    Problem {
        place: place.to_string(),
        why: why.to_string(),
    }
}

const TOO_EARLY: &str = "before the beginning of the trajectory";

/// What is wrong with the number of the part or turn at this place in its list.
fn misnumbered(number: u64, index: usize) -> Option<String> {
    let expected = index as u64 + 1;
    (number != expected).then(|| format!("{number} where {expected} is expected"))
}

/// What is wrong with the trace by itself: its numbers, times, turns and totals.
pub(crate) fn of_trace(trace: &Trace) -> Vec<Problem> {
    let mut found = Vec::new();
    for (index, part) in trace.parts.iter().enumerate() {
        let at = format!("$.parts[{index}]");
        if let Some(why) = misnumbered(part.part, index) {
            found.push(problem(format_args!("{at}.part"), why));
        }
        if part.timestamp < trace.started_at {
            found.push(problem(format_args!("{at}.timestamp"), TOO_EARLY));
        }
    }
    of_turns(trace, &mut found);
    if let Some(end) = &trace.session_end {
        let totals = [
            ("total_parts", end.total_parts, trace.parts.len()),
            ("total_turns", end.total_turns, trace.turns.len()),
        ];
        for (key, told, count) in totals {
            if told != count as u64 {
                let why = format!("{told} where there are {count}");
                found.push(problem(format_args!("$.session_end.{key}"), why));
            }
        }
    }
    found
}

/// Turns are numbered without gaps, and each part belongs to one of them, in order.
fn of_turns(trace: &Trace, found: &mut Vec<Problem>) {
    let mut covered = 0;
    for (index, turn) in trace.turns.iter().enumerate() {
        let at = format!("$.turns[{index}]");
        if let Some(why) = misnumbered(turn.turn, index) {
            found.push(problem(format_args!("{at}.turn"), why));
        }
        if turn.timestamp < trace.started_at {
            found.push(problem(format_args!("{at}.timestamp"), TOO_EARLY));
        }
        match (turn.part_start, turn.part_end) {
            (None, None) => {}
            (Some(start), Some(end)) if start <= end => {
                if start != covered + 1 {
                    let why = format!("part {start} where part {} is next", covered + 1);
                    found.push(problem(format_args!("{at}.part_start"), why));
                }
                covered = end;
            }
            (start, end) => {
                found.push(problem(&at, "its first part is not before its last"));
                covered = start.max(end).unwrap_or(covered);
            }
        }
    }
    let count = trace.part_count();
    if covered != count && !(trace.turns.is_empty() && count == 0) {
        let why = format!("they end with part {covered} of {count}");
        found.push(problem("$.turns", why));
    }
}

/// Whether the trace names a commit.
pub(crate) fn names_commits(trace: &Trace) -> bool {
    !named_commits(trace).is_empty()
}

/// What is wrong with the commits that the trace names. `file` is what has them.
pub(crate) fn of_code(trace: &Trace, history: &History, file: &str) -> Result<Vec<Problem>> {
    let mut found = Vec::new();
    let named = named_commits(trace);
    let mut unique: Vec<&str> = Vec::new();
    let mut seen = HashSet::new();
    for (place, commit) in &named {
        if !is_hash(commit) {
            found.push(problem(place, format_args!("invalid commit '{commit}'")));
        } else if seen.insert(*commit) {
            unique.push(commit);
        }
    }
    let trees = history.trees(&unique)?;
    let mut told = HashSet::new();
    for (place, commit) in &named {
        if is_hash(commit) && !trees.contains_key(*commit) && told.insert(*commit) {
            let why = format!("{file} has no commit {commit}");
            found.push(problem(place, why));
        }
    }
    let there: Vec<&str> = unique
        .into_iter()
        .filter(|commit| trees.contains_key(*commit))
        .collect();
    if let Err(error) = history.check_objects(&there) {
        let damaged: Vec<&&str> = there
            .iter()
            .take(SINGLY)
            .filter(|commit| !history.has(commit))
            .collect();
        for commit in &damaged {
            found.push(problem(file, format_args!("files of {commit} are missing")));
        }
        if damaged.is_empty() {
            found.push(problem(file, error));
        }
    }
    // The harness of envoi keeps its code in a branch of its own name, and lists what git says of
    // changed files in another way.
    if let Some(tip) = history.tip(&trace.origin.trajectory_id) {
        of_chain(trace, &history.chain(&tip)?, &mut found);
        of_changed_files(trace, history, &trees, &mut found)?;
        let end = trace.session_end.as_ref();
        if let Some(end) = end
            && end.final_git_commit.as_ref() != Some(&tip)
        {
            let commit = end.final_git_commit.as_deref().unwrap_or("null");
            let why = format!("{commit} where {file} ends with {tip}");
            found.push(problem("$.session_end.final_git_commit", why));
        }
    }
    Ok(found)
}

/// All commits that the trace names, with their places.
fn named_commits(trace: &Trace) -> Vec<(String, &str)> {
    fn of_checkpoint<'a>(
        at: &str,
        checkpoint: Option<&'a Checkpoint>,
        named: &mut Vec<(String, &'a str)>,
    ) {
        let Some(checkpoint) = checkpoint else { return };
        for (key, commit) in [
            ("commit_before", &checkpoint.commit_before),
            ("commit_after", &checkpoint.commit_after),
        ] {
            if let Some(commit) = commit {
                named.push((format!("{at}.repo_checkpoint.{key}"), commit));
            }
        }
    }
    let mut named = Vec::new();
    for (index, part) in trace.parts.iter().enumerate() {
        let at = format!("$.parts[{index}]");
        if let Some(commit) = &part.git_commit {
            named.push((format!("{at}.git_commit"), commit.as_str()));
        }
        of_checkpoint(&at, part.repo_checkpoint.as_ref(), &mut named);
    }
    for (index, turn) in trace.turns.iter().enumerate() {
        let at = format!("$.turns[{index}]");
        if let Some(commit) = &turn.git_commit {
            named.push((format!("{at}.git_commit"), commit.as_str()));
        }
        of_checkpoint(&at, turn.repo_checkpoint.as_ref(), &mut named);
    }
    let end = trace.session_end.as_ref();
    if let Some(commit) = end.and_then(|end| end.final_git_commit.as_deref()) {
        named.push(("$.session_end.final_git_commit".to_owned(), commit));
    }
    named
}

/// Each part goes on from the commit of the part before. Between them there may be what changed after
/// the last part of a recording that was continued later.
fn of_chain(trace: &Trace, chain: &[(String, String)], found: &mut Vec<Problem>) {
    let places: HashMap<&str, usize> = chain
        .iter()
        .enumerate()
        .map(|(place, (commit, _))| (commit.as_str(), place))
        .collect();
    let leads_to = |from: Option<&str>, to: Option<&str>| {
        if from == to {
            return true;
        }
        let Some(to) = to.and_then(|to| places.get(to)) else {
            return false;
        };
        // The newest is the first.
        let between = match from {
            Some(from) => places.get(from).and_then(|from| chain.get(*to..*from)),
            None => chain.get(*to..),
        };
        let is_own = |(_, subject): &(String, String)| matches!(subject.as_str(), "start" | "end");
        between.is_some_and(|between| !between.is_empty() && between.iter().all(is_own))
    };
    let mut before: Option<&Part> = None;
    for (index, part) in trace.parts.iter().enumerate() {
        let at = format!("$.parts[{index}]");
        let commit = part.git_commit.as_deref();
        let shown = |commit: Option<&str>| commit.unwrap_or("null").to_owned();
        if let Some(checkpoint) = &part.repo_checkpoint {
            let (from, to) = (&checkpoint.commit_before, &checkpoint.commit_after);
            if let Some(before) = before
                && !leads_to(before.git_commit.as_deref(), from.as_deref())
            {
                let why = format!(
                    "{} where part {} has {}",
                    shown(from.as_deref()),
                    before.part,
                    shown(before.git_commit.as_deref())
                );
                found.push(problem(
                    format_args!("{at}.repo_checkpoint.commit_before"),
                    why,
                ));
            }
            if checkpoint.committed && to.as_deref() != commit {
                let why = format!(
                    "{} where git_commit is {}",
                    shown(to.as_deref()),
                    shown(commit)
                );
                found.push(problem(
                    format_args!("{at}.repo_checkpoint.commit_after"),
                    why,
                ));
            }
        } else if let Some(before) = before
            && !leads_to(before.git_commit.as_deref(), commit)
        {
            let why = "another commit than that of the part before, without a checkpoint";
            found.push(problem(format_args!("{at}.git_commit"), why));
        }
        before = Some(part);
    }
}

/// The changed files of each checkpoint are those that git names.
fn of_changed_files(
    trace: &Trace,
    history: &History,
    trees: &HashMap<String, String>,
    found: &mut Vec<Problem>,
) -> Result<()> {
    let empty = history.empty_tree()?;
    let mut checked = Vec::new();
    let mut pairs = Vec::new();
    for (index, part) in trace.parts.iter().enumerate() {
        let checkpoint = part.repo_checkpoint.as_ref();
        let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.committed) else {
            continue;
        };
        let tree = |commit: &String| trees.get(commit).map(String::as_str);
        let before = checkpoint
            .commit_before
            .as_ref()
            .map_or(Some(empty.as_str()), tree);
        let after = checkpoint.commit_after.as_ref().and_then(tree);
        if let (Some(before), Some(after)) = (before, after) {
            pairs.push((before, after));
            checked.push((index, checkpoint));
        }
    }
    let all = history.changed_files(&pairs)?;
    for ((index, checkpoint), files) in checked.into_iter().zip(all) {
        let told: HashSet<&String> = checkpoint.changed_files.iter().collect();
        let files: HashSet<&String> = files.iter().collect();
        let place = format!("$.parts[{index}].repo_checkpoint.changed_files");
        let missing = files.difference(&told).min();
        let invented = told.difference(&files).min();
        if let Some(file) = missing {
            let others = files.difference(&told).count() - 1;
            let others = match others {
                0 => String::new(),
                others => format!(" and {}", counted(others as u64, "other file")),
            };
            let why = format!("'{file}'{others} changed too");
            found.push(problem(&place, why));
        }
        if let Some(file) = invented {
            found.push(problem(&place, format_args!("'{file}' did not change")));
        }
    }
    Ok(())
}

/// Where the index differs from the trace, which was read from this version of its file.
pub(crate) fn of_index(
    trace: &Trace,
    file: Version,
    indexed: &(Row, Vec<PartRow>),
) -> Vec<Problem> {
    let (row, parts) = indexed;
    if row.file != file {
        let why = "made from another version of agent_trace.json";
        return vec![problem("index", why)];
    }
    let mut found = Vec::new();
    if *row != Row::of(trace, file) {
        found.push(problem(
            "index",
            "the trajectory differs from agent_trace.json",
        ));
    }
    let expected: Vec<PartRow> = trace.parts.iter().map(PartRow::of).collect();
    let differs = |(index, part): (usize, &PartRow)| parts.get(index) != Some(part);
    let first = expected.iter().enumerate().position(differs);
    if let Some(first) = first.or((parts.len() > expected.len()).then_some(expected.len())) {
        let why = format!("part {} differs from agent_trace.json", first + 1);
        found.push(problem("index", why));
    }
    found
}

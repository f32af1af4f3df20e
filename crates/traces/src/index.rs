//! The index of trajectories in the store. The files are the truth.

use std::path::Path;
use std::time::UNIX_EPOCH;

use base::Result;
use db::{Database, Location, Room, Schema};
use rusqlite::{Connection, params};

use crate::model::{Part, Trace};
use crate::place::Folder;
use crate::stream::{self, PartType};

/// The tables of this room.
pub static ROOM: Room = Room {
    name: "traces",
    version_key: "localstore.schema_version.traces",
    table: "localstore_trace_trajectories",
    migrations: &[include_str!("schema/0001_trajectories.sql")],
    signs: &[],
};

/// The store, opened for the rows of trajectories.
pub(crate) struct Index(Database);

/// The row of a trajectory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) trajectory_id: String,
    pub(crate) session_id: String,
    pub(crate) agent: String,
    pub(crate) agent_model: String,
    pub(crate) started_at: String,
    pub(crate) parts: u64,
    pub(crate) turns: u64,
    pub(crate) commits: u64,
    pub(crate) solved: u64,
    pub(crate) required: u64,
    pub(crate) reason: Option<String>,
    pub(crate) file: Version,
}

/// The row of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartRow {
    part: u64,
    part_type: Option<String>,
    item_type: Option<String>,
    summary: Option<String>,
    git_commit: Option<String>,
    /// The suite and the counts of the last test call.
    tested_path: Option<String>,
    passed: Option<u64>,
    total: Option<u64>,
}

impl PartRow {
    /// The row of a part.
    pub(crate) fn of(part: &Part) -> Self {
        let call = part.envoi_calls.last();
        let counts = call.and_then(|call| call.result.as_ref());
        Self {
            part: part.part,
            part_type: part.part_type.map(|kind| kind.word().to_owned()),
            item_type: part.item_type.clone(),
            summary: part.summary.clone(),
            git_commit: part.git_commit.clone(),
            tested_path: call.map(|call| call.path.clone()),
            passed: counts.map(|counts| stored(counts.passed)),
            total: counts.map(|counts| stored(counts.total)),
        }
    }
}

impl PartRow {
    /// What the row tells of its part; `None` if its type is unknown.
    pub(crate) fn part(self) -> Option<stream::Part> {
        let types = <PartType as clap::ValueEnum>::value_variants();
        let is_type = |kind: &&PartType| Some(kind.word()) == self.part_type.as_deref();
        Some(stream::Part {
            kind: *types.iter().find(is_type)?,
            item_type: self.item_type.unwrap_or_default(),
            summary: self.summary,
            timestamp: None,
            calls: Vec::new(),
        })
    }
}

/// The count as the store has it, whose integers end earlier.
fn stored(count: u64) -> u64 {
    count.min(i64::MAX.unsigned_abs())
}

/// Which version of `agent_trace.json` a row was made from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) size: i64,
    /// In nanoseconds since 1970.
    pub(crate) modified: i64,
}

impl Version {
    /// That of the file; zeros if it cannot be read.
    pub(crate) fn of(path: &Path) -> Self {
        let Ok(metadata) = std::fs::metadata(path) else {
            return Self::default();
        };
        let modified = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            size: i64::try_from(metadata.len()).unwrap_or(i64::MAX),
            modified: modified.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)),
        }
    }
}

impl Row {
    /// The row of a trace, which was read from this version of its file.
    pub(crate) fn of(trace: &Trace, file: Version) -> Self {
        let state = trace.parts.last().map(|part| &part.testing_state);
        Self {
            trajectory_id: trace.origin.trajectory_id.clone(),
            session_id: trace.origin.session_id.clone(),
            agent: trace.origin.agent.clone(),
            agent_model: trace.origin.agent_model.clone(),
            started_at: trace.started_at.to_string(),
            parts: trace.part_count(),
            turns: trace.turns.len() as u64,
            commits: trace.commits().len() as u64,
            solved: state.map_or(0, |state| stored(state.solved_paths)),
            required: state.map_or(0, |state| stored(state.total_paths)),
            reason: trace
                .session_end
                .as_ref()
                .map(|end| end.reason.word().to_owned()),
            file,
        }
    }
}

impl Index {
    /// Opens the store for writing, and makes it if it is not there.
    pub(crate) fn open(location: &Location) -> Result<Self> {
        Database::open(location, &[&ROOM]).map(Self)
    }

    /// The rows of all trajectories; none if there is no store.
    pub(crate) fn rows(location: &Location) -> Result<Vec<Row>> {
        if !location.path.exists() {
            return Ok(Vec::new());
        }
        Database::open_readonly(location, &[&ROOM])?.read(|db| Ok(rows(db)?))
    }

    /// The rows of all trajectories as the store has them now, which is left as it is; none if there is no
    /// index.
    pub(crate) fn peek(location: &Location) -> Result<Vec<Row>> {
        let (db, schema) = db::foreign::open(&location.path, &ROOM)?;
        match schema {
            Schema::Version(_) => rows(&db).map_err(|error| db::failure(&location.path, &error)),
            _ => Ok(Vec::new()),
        }
    }

    /// The row of a trajectory and those of its parts; `None` if it is not indexed, or there is no store.
    pub(crate) fn find(location: &Location, id: &str) -> Result<Option<(Row, Vec<PartRow>)>> {
        if !location.path.exists() {
            return Ok(None);
        }
        let db = Database::open_readonly(location, &[&ROOM])?;
        db.read(|db| {
            let row = rows(db)?.into_iter().find(|row| row.trajectory_id == id);
            let Some(row) = row else {
                return Ok(None);
            };
            Ok(Some((row, part_rows(db, id)?)))
        })
    }

    /// Writes the row of a trajectory and those of some of its parts, in one transaction.
    pub(crate) fn write(&mut self, row: &Row, parts: &[Part]) -> Result<()> {
        self.0.write(|db| Ok(write(db, row, parts)?))
    }

    /// Writes all rows of the trajectory in place of those that are there.
    pub(crate) fn replace(&mut self, folder: &Folder, trace: &Trace) -> Result<()> {
        let row = Row::of(trace, Version::of(&folder.trace()));
        self.0.write(|db| {
            remove(db, &folder.id)?;
            Ok(write(db, &row, &trace.parts)?)
        })
    }

    /// Removes the rows of the trajectory.
    pub(crate) fn remove(&mut self, id: &str) -> Result<()> {
        self.0.write(|db| Ok(remove(db, id)?))
    }
}

fn remove(db: &Connection, id: &str) -> rusqlite::Result<()> {
    let sql = "DELETE FROM localstore_trace_trajectories WHERE trajectory_id = ?1";
    db.execute(sql, [id]).map(drop)
}

fn write(db: &Connection, row: &Row, parts: &[Part]) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO localstore_trace_trajectories (trajectory_id, session_id, agent, agent_model,
           started_at, parts, turns, commits, solved, required, reason, file_size, file_modified)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (trajectory_id) DO UPDATE SET session_id = ?2, agent = ?3, agent_model = ?4,
           started_at = ?5, parts = ?6, turns = ?7, commits = ?8, solved = ?9, required = ?10,
           reason = ?11, file_size = ?12, file_modified = ?13
         RETURNING id";
    let id: i64 = db.prepare_cached(sql)?.query_row(
        params![
            row.trajectory_id,
            row.session_id,
            row.agent,
            row.agent_model,
            row.started_at,
            row.parts,
            row.turns,
            row.commits,
            row.solved,
            row.required,
            row.reason,
            row.file.size,
            row.file.modified,
        ],
        |row| row.get(0),
    )?;
    for part in parts {
        write_part(db, id, part)?;
    }
    Ok(())
}

fn write_part(db: &Connection, trajectory: i64, part: &Part) -> rusqlite::Result<()> {
    let sql =
        "REPLACE INTO localstore_trace_parts (trajectory, part, part_type, item_type, summary,
           git_commit, tested_path, passed, total) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let row = PartRow::of(part);
    db.prepare_cached(sql)?.execute(params![
        trajectory,
        row.part,
        row.part_type,
        row.item_type,
        row.summary,
        row.git_commit,
        row.tested_path,
        row.passed,
        row.total,
    ])?;
    Ok(())
}

fn part_rows(db: &Connection, id: &str) -> rusqlite::Result<Vec<PartRow>> {
    let sql = "SELECT part, part_type, item_type, summary, git_commit, tested_path, passed, total
         FROM localstore_trace_parts WHERE trajectory =
           (SELECT id FROM localstore_trace_trajectories WHERE trajectory_id = ?1) ORDER BY part";
    db.prepare(sql)?
        .query_map([id], |row| {
            Ok(PartRow {
                part: row.get(0)?,
                part_type: row.get(1)?,
                item_type: row.get(2)?,
                summary: row.get(3)?,
                git_commit: row.get(4)?,
                tested_path: row.get(5)?,
                passed: row.get(6)?,
                total: row.get(7)?,
            })
        })?
        .collect()
}

fn rows(db: &Connection) -> rusqlite::Result<Vec<Row>> {
    let sql =
        "SELECT trajectory_id, session_id, agent, agent_model, started_at, parts, turns, commits,
         solved, required, reason, file_size, file_modified FROM localstore_trace_trajectories";
    db.prepare(sql)?
        .query_map([], |row| {
            Ok(Row {
                trajectory_id: row.get(0)?,
                session_id: row.get(1)?,
                agent: row.get(2)?,
                agent_model: row.get(3)?,
                started_at: row.get(4)?,
                parts: row.get(5)?,
                turns: row.get(6)?,
                commits: row.get(7)?,
                solved: row.get(8)?,
                required: row.get(9)?,
                reason: row.get(10)?,
                file: Version {
                    size: row.get(11)?,
                    modified: row.get(12)?,
                },
            })
        })?
        .collect()
}

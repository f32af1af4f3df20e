-- An index of the folders of trajectories: each row can be made again from its agent_trace.json.
CREATE TABLE localstore_trace_trajectories (
  id INTEGER PRIMARY KEY,
  trajectory_id TEXT NOT NULL UNIQUE,
  session_id TEXT NOT NULL,
  agent TEXT NOT NULL,
  agent_model TEXT NOT NULL,
  started_at TEXT NOT NULL,
  parts INTEGER NOT NULL,
  turns INTEGER NOT NULL,
  commits INTEGER NOT NULL,
  solved INTEGER NOT NULL,
  required INTEGER NOT NULL,
  reason TEXT,                   -- NULL while it is recorded
  file_size INTEGER NOT NULL,    -- of agent_trace.json, as the row was made from it
  file_modified INTEGER NOT NULL -- in nanoseconds since 1970
);

CREATE TABLE localstore_trace_parts (
  trajectory INTEGER NOT NULL REFERENCES localstore_trace_trajectories (id) ON DELETE CASCADE,
  part INTEGER NOT NULL,
  part_type TEXT,
  item_type TEXT,
  summary TEXT,
  git_commit TEXT,
  tested_path TEXT,              -- of the last test call in this part
  passed INTEGER,
  total INTEGER,
  PRIMARY KEY (trajectory, part)
) WITHOUT ROWID;

-- What was changed, a row for each change, so that another database finds what is new since it was
-- told last. The nonce tells this log from that of a copy of this store, which went on by itself.
CREATE TABLE localstore_changes (
    change INTEGER PRIMARY KEY AUTOINCREMENT,
    nonce BLOB NOT NULL DEFAULT (randomblob(8)),
    run_id INTEGER NOT NULL,
    -- run (a new one), completed, tag, submission or rm.
    kind TEXT NOT NULL,
    -- The id of the database that it was pulled from; empty: merge or the web site brought it; null: it
    -- was made here.
    from_store BLOB
);
INSERT INTO localstore_changes (run_id, kind) SELECT run_id, 'run' FROM localstore_runs ORDER BY run_id;

-- The runs that nobody has added here, and what brought them, as above.
CREATE TABLE localstore_brought (
    run_id INTEGER PRIMARY KEY,
    from_store BLOB NOT NULL,
    -- Its id in the database that it was pulled from.
    remote_run INTEGER
);
INSERT INTO localstore_brought (run_id, from_store)
SELECT run_id, x'' FROM localstore_runs WHERE source = 'site';

-- How far the log of each database has been taken over.
CREATE TABLE localstore_peers (
    -- The id of the database.
    store BLOB PRIMARY KEY,
    change INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    -- The first change that was left out since it needs a newer program, and the format of its run.
    left_out INTEGER,
    left_out_format INTEGER
);

-- The runs that were removed here, which no pull brings back.
CREATE TABLE localstore_removed (
    fingerprint BLOB NOT NULL,
    core BLOB NOT NULL,
    poor INTEGER NOT NULL,
    -- As in localstore_runs; the rows that they refer to stay.
    environment_id INTEGER NOT NULL
);
CREATE INDEX localstore_removed_fingerprint_idx ON localstore_removed (fingerprint);
CREATE INDEX localstore_removed_core_idx ON localstore_removed (core, poor);

-- What a newer program has told of a run and this one has no place for: JSON, kept as it came.
CREATE TABLE localstore_unknown_members (
    run_id INTEGER PRIMARY KEY,
    members TEXT NOT NULL
);

-- The name of this store in the logs of others.
INSERT OR IGNORE INTO metadata (key, value) VALUES ('localstore.store_id', lower(hex(randomblob(16))));

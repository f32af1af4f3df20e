-- The tables of a fleet, version 1, beside the public tables of LocalScore. They are a contract between
-- programs of different ages: what is here is never changed, and what is added has a default.

-- The one row of the fleet itself.
CREATE TABLE localstore_fleet (
    -- 16 random bytes.
    id BLOB NOT NULL,
    -- The version of these tables, and which version a program must know to read and to write them.
    version INTEGER NOT NULL,
    reads_from INTEGER NOT NULL,
    writes_from INTEGER NOT NULL,
    -- The change in the log up to which runs of the web site were given a row below.
    site_change INTEGER NOT NULL DEFAULT 0
);

-- A run without loss. A row is there before that of benchmark_runs; runs of the web site get one when a
-- store writes next.
CREATE TABLE localstore_fleet_runs (
    -- Of the sequence of benchmark_runs; a run of llama-bench leaves no row there.
    run_id INTEGER PRIMARY KEY,
    tool TEXT NOT NULL,
    -- 16 bytes over the tests, and 8 over what any capture tells of them: see the store's own tables.
    fingerprint BLOB NOT NULL,
    core BLOB NOT NULL,
    poor INTEGER NOT NULL,
    source TEXT NOT NULL,
    -- Seconds since 1970.
    measured_at INTEGER NOT NULL,
    model TEXT,
    accelerator TEXT,
    -- The version of the body, which is JSON in zlib's format, and 8 bytes over its text.
    format INTEGER NOT NULL,
    digest BLOB NOT NULL,
    body BLOB NOT NULL,
    -- Its rows in test_results, which has no index on runs: the first id, and how many there are.
    first_test INTEGER,
    tests INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX localstore_fleet_runs_fingerprint_idx ON localstore_fleet_runs (fingerprint);
CREATE INDEX localstore_fleet_runs_core_idx ON localstore_fleet_runs (core, poor);
CREATE INDEX localstore_fleet_runs_model_idx ON localstore_fleet_runs (model, accelerator, measured_at);

-- What was changed, a row for each change; the nonce tells this log from that of a copy.
CREATE TABLE localstore_fleet_log (
    change INTEGER PRIMARY KEY AUTOINCREMENT,
    nonce BLOB NOT NULL DEFAULT (randomblob(8)),
    -- The store that changed it; null: the web site.
    store BLOB,
    -- run (new or completed), tag, submission or withdrawn.
    kind TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    -- The tag, the submission or the withdrawn run as JSON; of a run of the web site the id that the
    -- rows of its tests lie behind, one after the other, or null where they do not.
    detail TEXT
);
CREATE INDEX localstore_fleet_log_run_idx ON localstore_fleet_log (run_id);
CREATE INDEX localstore_fleet_log_site_idx ON localstore_fleet_log (change) WHERE store IS NULL;

-- How far the log of each store has been taken over.
CREATE TABLE localstore_fleet_stores (
    store BLOB PRIMARY KEY,
    change INTEGER NOT NULL,
    nonce BLOB NOT NULL
);

-- What the means of a row of accelerator_model_performance_scores are made of: for each how many values
-- are not zero, their sum, and what rounding has taken from it.
CREATE TABLE localstore_fleet_sums (
    accelerator_id INTEGER NOT NULL,
    model_variant_id INTEGER NOT NULL,
    prompt_count INTEGER NOT NULL,
    prompt_sum REAL NOT NULL,
    prompt_rest REAL NOT NULL,
    gen_count INTEGER NOT NULL,
    gen_sum REAL NOT NULL,
    gen_rest REAL NOT NULL,
    ttft_count INTEGER NOT NULL,
    ttft_sum REAL NOT NULL,
    ttft_rest REAL NOT NULL,
    score_count INTEGER NOT NULL,
    score_sum REAL NOT NULL,
    score_rest REAL NOT NULL,
    PRIMARY KEY (accelerator_id, model_variant_id)
) WITHOUT ROWID;

-- The score table is true whoever writes.

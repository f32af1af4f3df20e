-- Runs of llama-bench beside those of LocalScore. What both have is in localstore_runs, which says
-- whose run it is. A run of llama-bench has no row in the public tables, but its id is one of theirs,
-- so that the web site never hands out the same: the reference to them has to go, and SQLite takes one
-- away with the table alone. Views are made again below; a broken one of somebody else must not stop
-- this.
DROP VIEW IF EXISTS localstore_view_runs;
DROP VIEW IF EXISTS localstore_view_tests;
PRAGMA legacy_alter_table = 1;
CREATE TABLE localstore_runs_of_tools (
    -- Of a run of LocalScore the id in benchmark_runs; one sequence for all tools.
    run_id INTEGER PRIMARY KEY,
    -- 16 bytes over the tests: the same run twice is one run, unless the machine is another one.
    fingerprint BLOB NOT NULL,
    -- 8 bytes over what any capture of the run tells, rounded; and whether this one told less than
    -- a csv does. Of two captures of which one is poor, these find the other.
    core BLOB NOT NULL,
    poor INTEGER NOT NULL,
    -- json, csv, console or site: what the run came from, so what it can know.
    source TEXT NOT NULL,
    environment_id INTEGER NOT NULL REFERENCES localstore_environments(id),
    -- Of the first test; null for a run without tests.
    model_id INTEGER REFERENCES localstore_models(id),
    -- Whether one of the nine baseline tests of LocalScore is missing.
    partial INTEGER NOT NULL,
    -- When the first test began, else when the run was added: seconds since 1970.
    measured_at INTEGER NOT NULL,
    configuration_id INTEGER REFERENCES localstore_configurations(id),
    -- What the level of a trend is of: the score as in the public table, which may not have an index
    -- of ours; of llama-bench, the mean speed of generation, else that of the prompt.
    score REAL NOT NULL DEFAULT 0,
    -- 1 if nobody knows when the run was measured, and measured_at is a guess.
    measured_guessed INTEGER NOT NULL DEFAULT 0,
    -- localscore or llama-bench.
    tool TEXT NOT NULL DEFAULT 'localscore'
);
INSERT INTO localstore_runs_of_tools (run_id, fingerprint, core, poor, source, environment_id, model_id,
    partial, measured_at, configuration_id, score, measured_guessed)
SELECT run_id, fingerprint, core, poor, source, environment_id, model_id, partial, measured_at,
    configuration_id, score, measured_guessed
FROM localstore_runs;
DROP TABLE localstore_runs;
ALTER TABLE localstore_runs_of_tools RENAME TO localstore_runs;
PRAGMA legacy_alter_table = 0;
CREATE INDEX localstore_runs_fingerprint_idx ON localstore_runs (fingerprint);
CREATE INDEX localstore_runs_core_idx ON localstore_runs (core, poor);
CREATE INDEX localstore_runs_environment_idx ON localstore_runs (environment_id);
CREATE INDEX localstore_runs_measured_idx ON localstore_runs (measured_at);
CREATE INDEX localstore_runs_trend_idx ON localstore_runs
    (configuration_id, measured_at, run_id, partial, score, environment_id, measured_guessed);
CREATE INDEX localstore_runs_best_idx ON localstore_runs (configuration_id, partial, score);

-- No trend mixes the tools.
ALTER TABLE localstore_configurations ADD COLUMN tool TEXT NOT NULL DEFAULT 'localscore';

-- Columns without a type hold a value as it was printed: an integer or a real number where these give
-- the printed digits back, else text.

-- The fields of documents in their order, each list once: a JSON array of [name, kind], for a table of
-- [name, kind, width, whether its values stand at the left]. In sql, the name of the table.
CREATE TABLE localstore_bench_schemas (
    id INTEGER PRIMARY KEY,
    fields TEXT NOT NULL,
    table_name TEXT
);
CREATE INDEX localstore_bench_schemas_idx ON localstore_bench_schemas (fields, table_name);

-- What all rows of a run have, each combination once; null where the version has no such field.
CREATE TABLE localstore_bench_identities (
    id INTEGER PRIMARY KEY,
    build_commit,
    build_number,
    cpu_info,
    gpu_info,
    backends,
    cuda,
    opencl,
    vulkan,
    kompute,
    metal,
    sycl,
    rpc,
    gpu_blas,
    blas,
    model_filename,
    model_type,
    model_size,
    model_n_params
);
CREATE INDEX localstore_bench_identities_idx ON localstore_bench_identities
    (model_type, model_filename, build_number, build_commit);

-- The settings of tests, each combination once: a JSON array of the values of all fields that are not
-- in other columns, in the order of the schema; bytes that are not UTF-8 make it a blob.
CREATE TABLE localstore_bench_settings (
    id INTEGER PRIMARY KEY,
    schema_id INTEGER NOT NULL REFERENCES localstore_bench_schemas(id),
    -- 8 bytes over the values.
    hash BLOB NOT NULL,
    setting_values TEXT NOT NULL
);
CREATE INDEX localstore_bench_settings_idx ON localstore_bench_settings (hash);

CREATE TABLE localstore_bench_runs (
    run_id INTEGER PRIMARY KEY REFERENCES localstore_runs(run_id),
    identity_id INTEGER NOT NULL REFERENCES localstore_bench_identities(id),
    -- The runs of one document have one number: the id of the first of them.
    document INTEGER NOT NULL,
    tests INTEGER NOT NULL,
    -- Of the first test of a prompt alone, and of generation alone, with the least depth; null
    -- where there is none.
    prompt_tps REAL,
    gen_tps REAL,
    -- Means over the tests of a prompt alone, and of generation alone.
    mean_prompt_tps REAL,
    mean_gen_tps REAL,
    -- The columns of its table, where one was read.
    table_id INTEGER REFERENCES localstore_bench_schemas(id),
    -- 1 if its json told bytes of 0x80 and more, which that of most builds has lost.
    tells_bytes INTEGER NOT NULL DEFAULT 0,
    added_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX localstore_bench_runs_document_idx ON localstore_bench_runs (document);

CREATE TABLE localstore_bench_tests (
    run_id INTEGER NOT NULL REFERENCES localstore_runs(run_id),
    -- Its place in the document, from 0; the places between may be those of other runs.
    position INTEGER NOT NULL,
    setting_id INTEGER NOT NULL REFERENCES localstore_bench_settings(id),
    n_prompt INTEGER NOT NULL,
    n_gen INTEGER NOT NULL,
    -- Null in versions that have no such field.
    n_depth INTEGER,
    test_time TEXT,
    avg_ns,
    stddev_ns,
    avg_ts,
    stddev_ts,
    -- A JSON array of integers.
    samples_ns TEXT,
    -- As they were printed, where samples_ns does not give them.
    samples_ts TEXT,
    PRIMARY KEY (run_id, position)
) WITHOUT ROWID;

-- The runs and the tests for other programs, a row each: an interface, so that names and meanings
-- stay. They read tables alone, and what the web site has inserted since our last write as well: its
-- runs lie behind our last one, and its tests behind those of that run. The SQL is such as SQLite
-- had for many years, for a program whose SQLite cannot parse a view cannot open the file.
CREATE VIEW localstore_view_runs AS
SELECT
    r.run_id AS run_id,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.measured_at, 'unixepoch') AS measured_at,
    r.measured_guessed AS measured_guessed,
    strftime('%Y-%m-%dT%H:%M:%SZ', coalesce(x.added_at, CASE typeof(b.created_at)
        WHEN 'text' THEN CASE WHEN b.created_at GLOB '[0-9]*' THEN datetime(b.created_at) END
        WHEN 'integer' THEN datetime(b.created_at, 'unixepoch') END)) AS added_at,
    m.model_name AS model,
    m.model_quant_str AS quant,
    e.accelerator_name AS accelerator,
    e.accelerator_type AS accelerator_type,
    e.memory_gb AS memory_gb,
    e.cpu_name AS cpu,
    e.ram_gb AS ram_gb,
    e.kernel_type || ' ' || e.kernel_release AS kernel,
    e.runtime_name AS runtime,
    e.runtime_version AS runtime_version,
    e.runtime_commit AS runtime_commit,
    CAST(b.performance_score AS REAL) AS score,
    coalesce(x.prompt_tps, CAST(b.avg_prompt_tps AS REAL)) AS avg_prompt_tps,
    coalesce(x.gen_tps, CAST(b.avg_gen_tps AS REAL)) AS avg_gen_tps,
    CAST(b.avg_ttft_ms AS REAL) AS avg_ttft_ms,
    coalesce(x.tests, (SELECT count(*) FROM localstore_tests t WHERE t.run_id = r.run_id)) AS tests,
    r.partial AS partial,
    r.source = 'console' AS rounded,
    (SELECT group_concat(tag, ' ') FROM
        (SELECT tag FROM localstore_tags t WHERE t.run_id = r.run_id ORDER BY tag)) AS tags,
    (SELECT s.state FROM localstore_submissions s WHERE s.run_id = r.run_id) AS submission,
    (SELECT s.link FROM localstore_submissions s WHERE s.run_id = r.run_id) AS link,
    r.source AS source,
    r.tool AS tool
FROM localstore_runs r
JOIN localstore_environments e ON e.id = r.environment_id
LEFT JOIN benchmark_runs b ON b.id = r.run_id
LEFT JOIN localstore_bench_runs x ON x.run_id = r.run_id
LEFT JOIN localstore_models m ON m.id = r.model_id
UNION ALL
SELECT
    b.id,
    strftime('%Y-%m-%dT%H:%M:%SZ', b.created),
    b.created IS NULL,
    strftime('%Y-%m-%dT%H:%M:%SZ', b.created),
    m.name,
    v.quantization,
    a.name,
    a.type,
    a.memory_gb,
    s.cpu_name,
    s.ram_gb,
    s.kernel_type || ' ' || s.kernel_release,
    u.name,
    u.version,
    u.commit_hash,
    CAST(b.performance_score AS REAL),
    CAST(b.avg_prompt_tps AS REAL),
    CAST(b.avg_gen_tps AS REAL),
    CAST(b.avg_ttft_ms AS REAL),
    (SELECT count(*) FROM test_results p WHERE p.benchmark_run_id = b.id AND p.id > (
        SELECT coalesce(max(test_result_id), 0) FROM localstore_tests
        WHERE run_id = (SELECT max(run_id) FROM localstore_tests))),
    (SELECT count(DISTINCT p.n_prompt || '+' || p.n_gen) FROM test_results p
     WHERE p.benchmark_run_id = b.id AND p.id > (
        SELECT coalesce(max(test_result_id), 0) FROM localstore_tests
        WHERE run_id = (SELECT max(run_id) FROM localstore_tests))
     AND p.n_prompt || '+' || p.n_gen IN ('1024+16', '4096+256', '2048+256', '2048+768',
        '1024+1024', '1280+3072', '384+1152', '64+1024', '16+1536')) < 9,
    0,
    NULL,
    NULL,
    NULL,
    'site',
    'localscore'
FROM (SELECT *, CASE typeof(created_at)
        WHEN 'text' THEN CASE WHEN created_at GLOB '[0-9]*' THEN datetime(created_at) END
        WHEN 'integer' THEN datetime(created_at, 'unixepoch') END AS created
      FROM benchmark_runs) b
LEFT JOIN runtimes u ON u.id = b.runtime_id
LEFT JOIN benchmark_systems s ON s.id = b.system_id
LEFT JOIN accelerators a ON a.id = b.accelerator_id
LEFT JOIN model_variants v ON v.id = b.model_variant_id
LEFT JOIN models m ON m.id = v.model_id
WHERE b.id > (SELECT coalesce(max(run_id), 0) FROM localstore_runs)
    AND NOT EXISTS (SELECT 1 FROM localstore_tests t WHERE t.run_id = b.id);

-- nan, which is text in our tables, is null here.
CREATE VIEW localstore_view_tests AS
SELECT
    t.run_id AS run_id,
    t.position AS position,
    t.name AS test,
    t.n_prompt AS n_prompt,
    t.n_gen AS n_gen,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.measured_at, 'unixepoch') AS measured_at,
    r.measured_guessed AS measured_guessed,
    t.test_time AS test_time,
    m.model_name AS model,
    m.model_quant_str AS quant,
    e.accelerator_name AS accelerator,
    e.runtime_name AS runtime,
    e.runtime_version AS runtime_version,
    CASE WHEN t.avg_time_ms NOT IN ('nan', '-nan') THEN CAST(t.avg_time_ms AS REAL) END AS avg_time_ms,
    CASE WHEN t.stddev_time_ms NOT IN ('nan', '-nan') THEN CAST(t.stddev_time_ms AS REAL) END AS stddev_time_ms,
    CASE WHEN t.prompt_tps NOT IN ('nan', '-nan') THEN CAST(t.prompt_tps AS REAL) END AS prompt_tps,
    CASE WHEN t.prompt_tps_stddev NOT IN ('nan', '-nan') THEN CAST(t.prompt_tps_stddev AS REAL) END AS prompt_tps_stddev,
    CASE WHEN t.gen_tps NOT IN ('nan', '-nan') THEN CAST(t.gen_tps AS REAL) END AS gen_tps,
    CASE WHEN t.gen_tps_stddev NOT IN ('nan', '-nan') THEN CAST(t.gen_tps_stddev AS REAL) END AS gen_tps_stddev,
    CASE WHEN t.ttft_ms NOT IN ('nan', '-nan') THEN CAST(t.ttft_ms AS REAL) END AS ttft_ms,
    CASE WHEN t.power_watts NOT IN ('nan', '-nan') THEN CAST(t.power_watts AS REAL) END AS power_watts,
    CASE WHEN t.prompt_tps_watt NOT IN ('nan', '-nan') THEN CAST(t.prompt_tps_watt AS REAL) END AS prompt_tps_watt,
    CASE WHEN t.gen_tps_watt NOT IN ('nan', '-nan') THEN CAST(t.gen_tps_watt AS REAL) END AS gen_tps_watt,
    t.samples_ns AS samples_ns,
    0 AS n_depth,
    NULL AS tps,
    NULL AS tps_stddev,
    r.tool AS tool
FROM localstore_tests t
JOIN localstore_runs r ON r.run_id = t.run_id
JOIN localstore_environments e ON e.id = r.environment_id
LEFT JOIN localstore_models m ON m.id = t.model_id
UNION ALL
SELECT
    t.run_id,
    t.position,
    CASE WHEN t.n_prompt > 0 THEN 'pp' || t.n_prompt ELSE '' END
        || CASE WHEN t.n_prompt > 0 AND t.n_gen > 0 THEN '+' ELSE '' END
        || CASE WHEN t.n_gen > 0 THEN 'tg' || t.n_gen ELSE '' END
        || CASE WHEN t.n_depth > 0 THEN ' @ d' || t.n_depth ELSE '' END,
    t.n_prompt,
    t.n_gen,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.measured_at, 'unixepoch'),
    r.measured_guessed,
    t.test_time,
    m.model_name,
    m.model_quant_str,
    e.accelerator_name,
    e.runtime_name,
    e.runtime_version,
    CAST(t.avg_ns AS REAL) / 1e6,
    CAST(t.stddev_ns AS REAL) / 1e6,
    CASE WHEN t.n_gen = 0 AND t.avg_ts NOT IN ('nan', '-nan') THEN CAST(t.avg_ts AS REAL) END,
    CASE WHEN t.n_gen = 0 AND t.stddev_ts NOT IN ('nan', '-nan') THEN CAST(t.stddev_ts AS REAL) END,
    CASE WHEN t.n_prompt = 0 AND t.avg_ts NOT IN ('nan', '-nan') THEN CAST(t.avg_ts AS REAL) END,
    CASE WHEN t.n_prompt = 0 AND t.stddev_ts NOT IN ('nan', '-nan') THEN CAST(t.stddev_ts AS REAL) END,
    NULL,
    NULL,
    NULL,
    NULL,
    t.samples_ns,
    coalesce(t.n_depth, 0),
    CASE WHEN t.avg_ts NOT IN ('nan', '-nan') THEN CAST(t.avg_ts AS REAL) END,
    CASE WHEN t.stddev_ts NOT IN ('nan', '-nan') THEN CAST(t.stddev_ts AS REAL) END,
    r.tool
FROM localstore_bench_tests t
JOIN localstore_runs r ON r.run_id = t.run_id
JOIN localstore_environments e ON e.id = r.environment_id
LEFT JOIN localstore_models m ON m.id = r.model_id
UNION ALL
SELECT
    b.id,
    (SELECT count(*) FROM test_results q WHERE q.benchmark_run_id = b.id AND q.id < p.id AND q.id > (
        SELECT coalesce(max(test_result_id), 0) FROM localstore_tests
        WHERE run_id = (SELECT max(run_id) FROM localstore_tests))),
    p.name,
    p.n_prompt,
    p.n_gen,
    strftime('%Y-%m-%dT%H:%M:%SZ', b.created),
    b.created IS NULL,
    NULL,
    m.name,
    v.quantization,
    a.name,
    u.name,
    u.version,
    CAST(p.avg_time_ms AS REAL),
    NULL,
    CAST(p.prompt_tps AS REAL),
    NULL,
    CAST(p.gen_tps AS REAL),
    NULL,
    CAST(p.ttft_ms AS REAL),
    CAST(p.power_watts AS REAL),
    CAST(p.prompt_tps_watt AS REAL),
    CAST(p.gen_tps_watt AS REAL),
    NULL,
    0,
    NULL,
    NULL,
    'localscore'
FROM test_results p
JOIN (SELECT *, CASE typeof(created_at)
        WHEN 'text' THEN CASE WHEN created_at GLOB '[0-9]*' THEN datetime(created_at) END
        WHEN 'integer' THEN datetime(created_at, 'unixepoch') END AS created
      FROM benchmark_runs) b ON b.id = p.benchmark_run_id
LEFT JOIN runtimes u ON u.id = b.runtime_id
LEFT JOIN accelerators a ON a.id = b.accelerator_id
LEFT JOIN model_variants v ON v.id = b.model_variant_id
LEFT JOIN models m ON m.id = v.model_id
WHERE p.id > (SELECT coalesce(max(test_result_id), 0) FROM localstore_tests
        WHERE run_id = (SELECT max(run_id) FROM localstore_tests))
    AND b.id > (SELECT coalesce(max(run_id), 0) FROM localstore_runs)
    AND NOT EXISTS (SELECT 1 FROM localstore_tests t WHERE t.run_id = b.id);

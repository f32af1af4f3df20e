-- 1 if nobody knows when the run was measured: measured_at is then the date of the file that it came
-- in, or the time when it was added. A date that the capture, the user or the site gave is no guess.
ALTER TABLE localstore_runs ADD COLUMN measured_guessed INTEGER NOT NULL DEFAULT 0;

-- Until now measured_at was the time of the add where the first test had no date.
UPDATE localstore_runs SET measured_guessed = 1
WHERE source <> 'site' AND NOT EXISTS
    (SELECT 1 FROM localstore_tests t
     WHERE t.run_id = localstore_runs.run_id AND t.position = 0
         AND t.test_time GLOB '[0-9][0-9][0-9][0-9]-*' AND unixepoch(t.test_time) IS NOT NULL);

-- With all that the level of a trend is found by, of which no guessed date is part.
DROP INDEX localstore_runs_trend_idx;
CREATE INDEX localstore_runs_trend_idx ON localstore_runs
    (configuration_id, measured_at, run_id, partial, score, environment_id, measured_guessed);

-- The runs and the tests for other programs, a row each: an interface, so that names and meanings
-- stay. They read tables alone, and what the web site has inserted since our last write as well: its
-- runs lie behind our last one, and its tests behind those of that run. The SQL is such as SQLite
-- had for many years, for a program whose SQLite cannot parse a view cannot open the file.
DROP VIEW IF EXISTS localstore_view_runs;
CREATE VIEW localstore_view_runs AS
SELECT
    r.run_id AS run_id,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.measured_at, 'unixepoch') AS measured_at,
    r.measured_guessed AS measured_guessed,
    strftime('%Y-%m-%dT%H:%M:%SZ', CASE typeof(b.created_at)
        WHEN 'text' THEN CASE WHEN b.created_at GLOB '[0-9]*' THEN datetime(b.created_at) END
        WHEN 'integer' THEN datetime(b.created_at, 'unixepoch') END) AS added_at,
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
    CAST(b.avg_prompt_tps AS REAL) AS avg_prompt_tps,
    CAST(b.avg_gen_tps AS REAL) AS avg_gen_tps,
    CAST(b.avg_ttft_ms AS REAL) AS avg_ttft_ms,
    (SELECT count(*) FROM localstore_tests t WHERE t.run_id = r.run_id) AS tests,
    r.partial AS partial,
    r.source = 'console' AS rounded,
    (SELECT group_concat(tag, ' ') FROM
        (SELECT tag FROM localstore_tags t WHERE t.run_id = r.run_id ORDER BY tag)) AS tags,
    (SELECT s.state FROM localstore_submissions s WHERE s.run_id = r.run_id) AS submission,
    (SELECT s.link FROM localstore_submissions s WHERE s.run_id = r.run_id) AS link,
    r.source AS source
FROM localstore_runs r
JOIN benchmark_runs b ON b.id = r.run_id
JOIN localstore_environments e ON e.id = r.environment_id
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
        WHERE run_id = (SELECT max(run_id) FROM localstore_runs))),
    (SELECT count(DISTINCT p.n_prompt || '+' || p.n_gen) FROM test_results p
     WHERE p.benchmark_run_id = b.id AND p.id > (
        SELECT coalesce(max(test_result_id), 0) FROM localstore_tests
        WHERE run_id = (SELECT max(run_id) FROM localstore_runs))
     AND p.n_prompt || '+' || p.n_gen IN ('1024+16', '4096+256', '2048+256', '2048+768',
        '1024+1024', '1280+3072', '384+1152', '64+1024', '16+1536')) < 9,
    0,
    NULL,
    NULL,
    NULL,
    'site'
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
DROP VIEW IF EXISTS localstore_view_tests;
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
    t.samples_ns AS samples_ns
FROM localstore_tests t
JOIN localstore_runs r ON r.run_id = t.run_id
JOIN localstore_environments e ON e.id = r.environment_id
LEFT JOIN localstore_models m ON m.id = t.model_id
UNION ALL
SELECT
    b.id,
    (SELECT count(*) FROM test_results q WHERE q.benchmark_run_id = b.id AND q.id < p.id AND q.id > (
        SELECT coalesce(max(test_result_id), 0) FROM localstore_tests
        WHERE run_id = (SELECT max(run_id) FROM localstore_runs))),
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
    NULL
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
        WHERE run_id = (SELECT max(run_id) FROM localstore_runs))
    AND b.id > (SELECT coalesce(max(run_id), 0) FROM localstore_runs)
    AND NOT EXISTS (SELECT 1 FROM localstore_tests t WHERE t.run_id = b.id);

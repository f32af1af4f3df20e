-- What a trend is of: one model on one accelerator under one runtime, whatever its version. Each
-- combination once. Runs point to theirs, so that a trend and the best run of each are found by
-- index, however many runs there are.
CREATE TABLE localstore_configurations (
    id INTEGER PRIMARY KEY,
    model_name TEXT,
    model_quant_str TEXT,
    accelerator_name TEXT,
    runtime_name TEXT
);
-- Not unique: null differs from null there. Rows are looked up under the write lock.
CREATE INDEX localstore_configurations_idx ON localstore_configurations
    (model_name, model_quant_str, accelerator_name, runtime_name);

INSERT INTO localstore_configurations (model_name, model_quant_str, accelerator_name, runtime_name)
SELECT m.model_name, m.model_quant_str, e.accelerator_name, e.runtime_name
FROM localstore_runs r
JOIN localstore_environments e ON e.id = r.environment_id
LEFT JOIN localstore_models m ON m.id = r.model_id
GROUP BY 1, 2, 3, 4
ORDER BY min(r.run_id);

ALTER TABLE localstore_runs ADD COLUMN
    configuration_id INTEGER REFERENCES localstore_configurations(id);
-- As in the public table, which may not have an index of ours.
ALTER TABLE localstore_runs ADD COLUMN score REAL NOT NULL DEFAULT 0;

UPDATE localstore_runs
SET configuration_id = (
        SELECT c.id
        FROM localstore_environments e
        LEFT JOIN localstore_models m ON m.id = localstore_runs.model_id
        JOIN localstore_configurations c
            ON c.model_name IS m.model_name AND c.model_quant_str IS m.model_quant_str
            AND c.accelerator_name IS e.accelerator_name AND c.runtime_name IS e.runtime_name
        WHERE e.id = localstore_runs.environment_id),
    -- A run without its public row is damage that 'check' mends; it must not stop the migration.
    score = coalesce((SELECT CAST(b.performance_score AS REAL) FROM benchmark_runs b
                      WHERE b.id = localstore_runs.run_id), 0);

-- With all that the level of a trend is found by.
CREATE INDEX localstore_runs_trend_idx ON localstore_runs
    (configuration_id, measured_at, run_id, partial, score, environment_id);
CREATE INDEX localstore_runs_best_idx ON localstore_runs (configuration_id, partial, score);
-- Runs of a model are found by their configuration now.
DROP INDEX localstore_runs_configuration_idx;

-- The base address of the site that a run is for; null: the public one.
ALTER TABLE localstore_submissions ADD COLUMN site TEXT;

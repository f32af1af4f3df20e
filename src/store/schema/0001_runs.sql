-- llamafile's tables, as its own schema has them. It makes them only where there is no metadata,
-- so either program may have been first.
CREATE TABLE IF NOT EXISTS metadata (
    key TEXT PRIMARY KEY,
    value TEXT
);

CREATE TABLE IF NOT EXISTS chats (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    model TEXT,
    title TEXT
);

CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    chat_id INTEGER,
    role TEXT,
    content TEXT,
    temperature REAL,
    top_p REAL,
    presence_penalty REAL,
    frequency_penalty REAL,
    FOREIGN KEY (chat_id) REFERENCES chats(id)
);

-- The tables of the public LocalScore database, so that its web site runs on this file. No column,
-- constraint or index of ours belongs in them.
CREATE TABLE IF NOT EXISTS `accelerators` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`type` text NOT NULL,
	`memory_gb` real NOT NULL,
	`manufacturer` text,
	`created_at` integer DEFAULT (CURRENT_TIMESTAMP)
);

CREATE TABLE IF NOT EXISTS `models` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`params` integer NOT NULL,
	`created_at` integer DEFAULT (CURRENT_TIMESTAMP)
);

CREATE TABLE IF NOT EXISTS `model_variants` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`model_id` integer,
	`quantization` text NOT NULL,
	`created_at` integer DEFAULT (CURRENT_TIMESTAMP),
	FOREIGN KEY (`model_id`) REFERENCES `models`(`id`) ON UPDATE no action ON DELETE no action
);

CREATE TABLE IF NOT EXISTS `runtimes` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`version` text,
	`commit_hash` text,
	`created_at` integer DEFAULT (CURRENT_TIMESTAMP)
);

CREATE TABLE IF NOT EXISTS `benchmark_systems` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`cpu_name` text,
	`cpu_arch` text,
	`ram_gb` real,
	`kernel_type` text,
	`kernel_release` text,
	`system_version` text,
	`created_at` integer DEFAULT (CURRENT_TIMESTAMP)
);

CREATE TABLE IF NOT EXISTS `benchmark_runs` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`system_id` integer,
	`accelerator_id` integer,
	`model_variant_id` integer,
	`runtime_id` integer,
	`avg_prompt_tps` real NOT NULL,
	`avg_gen_tps` real NOT NULL,
	`avg_ttft_ms` real NOT NULL,
	`performance_score` real NOT NULL,
	`created_at` integer DEFAULT (CURRENT_TIMESTAMP),
	FOREIGN KEY (`system_id`) REFERENCES `benchmark_systems`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`accelerator_id`) REFERENCES `accelerators`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`model_variant_id`) REFERENCES `model_variants`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`runtime_id`) REFERENCES `runtimes`(`id`) ON UPDATE no action ON DELETE no action
);

CREATE TABLE IF NOT EXISTS `test_results` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`benchmark_run_id` integer,
	`name` text,
	`n_prompt` integer,
	`n_gen` integer,
	`avg_time_ms` real,
	`power_watts` real,
	`prompt_tps` real,
	`gen_tps` real,
	`prompt_tps_watt` real,
	`gen_tps_watt` real,
	`vram_used_mb` real,
	`ttft_ms` real,
	`created_at` integer DEFAULT (CURRENT_TIMESTAMP),
	FOREIGN KEY (`benchmark_run_id`) REFERENCES `benchmark_runs`(`id`) ON UPDATE no action ON DELETE no action
);

CREATE TABLE IF NOT EXISTS `accelerator_model_performance_scores` (
	`accelerator_id` integer NOT NULL,
	`accelerator_name` text NOT NULL,
	`accelerator_type` text NOT NULL,
	`accelerator_memory_gb` real NOT NULL,
	`model_id` integer NOT NULL,
	`model_name` text NOT NULL,
	`model_variant_id` integer NOT NULL,
	`model_variant_quant` text NOT NULL,
	`avg_prompt_tps` real,
	`avg_gen_tps` real,
	`avg_ttft` real,
	`performance_score` real,
	FOREIGN KEY (`accelerator_id`) REFERENCES `accelerators`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`model_id`) REFERENCES `models`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`model_variant_id`) REFERENCES `model_variants`(`id`) ON UPDATE no action ON DELETE no action
);

CREATE UNIQUE INDEX IF NOT EXISTS `accelerator_model_performance_scores_unique_idx` ON `accelerator_model_performance_scores` (`accelerator_id`,`model_id`,`model_variant_id`);
CREATE UNIQUE INDEX IF NOT EXISTS `accelerator_unique_idx` ON `accelerators` (`name`,`type`,`memory_gb`);
CREATE UNIQUE INDEX IF NOT EXISTS `system_unique_idx` ON `benchmark_systems` (`cpu_name`,`cpu_arch`,`ram_gb`,`kernel_type`,`kernel_release`,`system_version`);
CREATE UNIQUE INDEX IF NOT EXISTS `model_variant_unique_idx` ON `model_variants` (`model_id`,`quantization`);
CREATE UNIQUE INDEX IF NOT EXISTS `model_name_idx` ON `models` (`name`);
CREATE UNIQUE INDEX IF NOT EXISTS `runtime_unique_idx` ON `runtimes` (`name`,`version`,`commit_hash`);

-- Our own tables keep what a run came with. The public tables keep the first of two values under
-- one name, know no nan and drop half of the fields, so an export is made from these alone.
--
-- Columns of numbers have no type on purpose: nan, -nan and -0.0, which SQLite would change, are
-- text in them, and so are integers above 2^63 - 1.

-- Runtime, system and accelerator, each combination once.
CREATE TABLE localstore_environments (
    id INTEGER PRIMARY KEY,
    runtime_name TEXT,
    runtime_version TEXT,
    runtime_commit TEXT,
    cpu_name TEXT,
    cpu_arch TEXT,
    ram_gb,
    kernel_type TEXT,
    kernel_release TEXT,
    system_version TEXT,
    accelerator_name TEXT,
    manufacturer TEXT,
    memory_gb,
    accelerator_type TEXT
);
-- Not unique: null differs from null there. Rows are looked up under the write lock.
CREATE INDEX localstore_environments_idx ON localstore_environments
    (accelerator_name, cpu_name, runtime_version);

-- The fields of a test that tell what was measured, each combination once.
CREATE TABLE localstore_models (
    id INTEGER PRIMARY KEY,
    build_commit TEXT,
    build_number INTEGER,
    model_name TEXT,
    model_quant_str TEXT,
    model_params_str TEXT,
    model_filename TEXT,
    model_type TEXT,
    model_size,
    model_n_params,
    main_gpu INTEGER
);
CREATE INDEX localstore_models_idx ON localstore_models (model_name, model_quant_str);

CREATE TABLE localstore_runs (
    run_id INTEGER PRIMARY KEY REFERENCES benchmark_runs(id),
    -- 16 bytes over the tests: the same run twice is one run, unless the machine is another one.
    fingerprint BLOB NOT NULL,
    -- 8 bytes over what any capture of the run tells, rounded; and whether this one told less than
    -- a csv does. Of two captures of which one is poor, these find the other.
    core INTEGER NOT NULL,
    poor INTEGER NOT NULL,
    -- json, csv, console or site: what the run came from, so what it can know.
    source TEXT NOT NULL,
    environment_id INTEGER NOT NULL REFERENCES localstore_environments(id),
    -- Of the first test; null for a run without tests.
    model_id INTEGER REFERENCES localstore_models(id),
    -- Whether one of the nine baseline tests is missing.
    partial INTEGER NOT NULL,
    -- When the first test began, else when the run was added: seconds since 1970.
    measured_at INTEGER NOT NULL
);
CREATE INDEX localstore_runs_fingerprint_idx ON localstore_runs (fingerprint);
CREATE INDEX localstore_runs_core_idx ON localstore_runs (core, poor);
CREATE INDEX localstore_runs_configuration_idx ON localstore_runs (model_id, environment_id);
CREATE INDEX localstore_runs_environment_idx ON localstore_runs (environment_id);
CREATE INDEX localstore_runs_measured_idx ON localstore_runs (measured_at);

CREATE TABLE localstore_tests (
    run_id INTEGER NOT NULL REFERENCES localstore_runs(run_id),
    -- 0, 1, 2 …: the order in which the tests were run.
    position INTEGER NOT NULL,
    -- The same test in the public table.
    test_result_id INTEGER NOT NULL,
    model_id INTEGER NOT NULL REFERENCES localstore_models(id),
    name TEXT NOT NULL,
    n_prompt INTEGER NOT NULL,
    n_gen INTEGER NOT NULL,
    test_time TEXT,
    avg_time_ms,
    stddev_time_ms,
    prompt_tps,
    prompt_tps_watt,
    prompt_tps_stddev,
    gen_tps,
    gen_tps_watt,
    gen_tps_stddev,
    power_watts,
    ttft_ms,
    -- A JSON array of integers.
    samples_ns TEXT,
    -- The number of repetitions, where it is known without the samples.
    reps INTEGER,
    PRIMARY KEY (run_id, position)
) WITHOUT ROWID;

CREATE TABLE localstore_tags (
    tag TEXT NOT NULL,
    run_id INTEGER NOT NULL REFERENCES localstore_runs(run_id),
    PRIMARY KEY (tag, run_id)
) WITHOUT ROWID;
CREATE INDEX localstore_tags_run_idx ON localstore_tags (run_id, tag);

-- What became of sending a run to LocalScore; no row: it was never tried.
CREATE TABLE localstore_submissions (
    run_id INTEGER PRIMARY KEY REFERENCES localstore_runs(run_id),
    -- submitted, pending, failed or unknown.
    state TEXT NOT NULL,
    -- The id of the result there, and where it is shown.
    remote_id INTEGER,
    link TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    changed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- For each row of accelerator_model_performance_scores, what its means are made of: the number of
-- values that are not zero, and their exact sum, so that a run can be taken out again.
CREATE TABLE localstore_scores (
    accelerator_id INTEGER NOT NULL REFERENCES accelerators(id),
    model_variant_id INTEGER NOT NULL REFERENCES model_variants(id),
    runs INTEGER NOT NULL,
    sums BLOB NOT NULL,
    PRIMARY KEY (accelerator_id, model_variant_id)
) WITHOUT ROWID;

-- Times are in seconds since 1970, but for those whose name ends in _ms.
CREATE TABLE localstore_gateway_backends (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given out again: requests name it
  model TEXT NOT NULL,
  url TEXT NOT NULL,                     -- stands for /v1; without a slash at its end
  upstream TEXT NOT NULL,                -- the name of the model there
  provider TEXT,                         -- whose key is sent; the environment has it
  parallel INTEGER NOT NULL DEFAULT 1,
  filters TEXT,                          -- JSON; which stored results tell its speed
  agent TEXT REFERENCES localstore_gateway_agents (name) ON DELETE CASCADE,
  added_at INTEGER NOT NULL,
  UNIQUE (model, url)
);

CREATE TABLE localstore_gateway_aliases (
  alias TEXT PRIMARY KEY,
  model TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE localstore_gateway_fallbacks (
  model TEXT NOT NULL,
  position INTEGER NOT NULL,
  fallback TEXT NOT NULL,
  PRIMARY KEY (model, position)
) WITHOUT ROWID;

CREATE TABLE localstore_gateway_keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  hash BLOB NOT NULL UNIQUE,             -- SHA-256 of the key
  prefix TEXT NOT NULL,                  -- its first 10 characters
  name TEXT UNIQUE,
  models TEXT NOT NULL,                  -- JSON; globs
  rpm INTEGER,
  agent INTEGER NOT NULL DEFAULT 0,      -- whether it may register agents, and nothing else
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER,
  last_used_at INTEGER
);

CREATE TABLE localstore_gateway_agents (
  name TEXT PRIMARY KEY,
  endpoint TEXT NOT NULL,
  models TEXT NOT NULL,                  -- JSON
  key_id INTEGER REFERENCES localstore_gateway_keys (id),
  heartbeat_at INTEGER NOT NULL,
  stopped_at INTEGER                     -- when it said goodbye, unless it beat since
) WITHOUT ROWID;

-- No text of a request or an answer, no header and no address of a client. No index: it would take a tenth
-- more of the file to save a second of 'usage --since' over ten million rows.
CREATE TABLE localstore_gateway_requests (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  key_id INTEGER,
  model TEXT NOT NULL,                   -- empty if it was refused before routing
  backend_id,                            -- of localstore_gateway_backends, or the name of a rule
  route TEXT NOT NULL,
  status INTEGER NOT NULL,
  error TEXT,                            -- the code of the error
  tries INTEGER NOT NULL,
  cached INTEGER NOT NULL,
  streamed INTEGER NOT NULL,
  prompt_tokens INTEGER,
  completion_tokens INTEGER,
  estimated INTEGER NOT NULL,            -- whether completion_tokens are counted chunks
  ttft_ms REAL,
  total_ms REAL NOT NULL,
  bytes_in INTEGER NOT NULL,
  bytes_out INTEGER NOT NULL
);

-- What was counted of requests that are no longer there one by one.
CREATE TABLE localstore_gateway_usage_days (
  day TEXT NOT NULL,
  key_id INTEGER NOT NULL,               -- 0 without a key
  model TEXT NOT NULL,
  backend TEXT NOT NULL,
  requests INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  cache_hits INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  gen_tokens INTEGER NOT NULL,           -- of the answers whose time of generation is known
  gen_ms REAL NOT NULL,
  ttft BLOB NOT NULL,                    -- 32 counts, each a big-endian u32
  PRIMARY KEY (day, key_id, model, backend)
) WITHOUT ROWID;

-- A gateway reads the models again when this changes.
CREATE TABLE localstore_gateway_generation (generation INTEGER NOT NULL);
INSERT INTO localstore_gateway_generation VALUES (1);
CREATE TRIGGER localstore_gateway_backends_insert AFTER INSERT ON localstore_gateway_backends
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_backends_update AFTER UPDATE ON localstore_gateway_backends
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_backends_delete AFTER DELETE ON localstore_gateway_backends
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_agents_update AFTER UPDATE OF key_id ON localstore_gateway_agents
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_aliases_insert AFTER INSERT ON localstore_gateway_aliases
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_aliases_update AFTER UPDATE ON localstore_gateway_aliases
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_aliases_delete AFTER DELETE ON localstore_gateway_aliases
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_fallbacks_insert AFTER INSERT ON localstore_gateway_fallbacks
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_fallbacks_update AFTER UPDATE ON localstore_gateway_fallbacks
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;
CREATE TRIGGER localstore_gateway_fallbacks_delete AFTER DELETE ON localstore_gateway_fallbacks
  BEGIN UPDATE localstore_gateway_generation SET generation = generation + 1; END;

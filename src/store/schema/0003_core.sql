-- A hash is bytes: as an integer it lay beyond 2^53, where JavaScript's client of libSQL refuses the
-- whole row. The column keeps the type that it was declared with, which changes no blob: SQLite
-- alters no column in a file in which a view of somebody else is broken.
DROP INDEX localstore_runs_core_idx;
UPDATE localstore_runs SET core = unhex(printf('%016x', core)) WHERE typeof(core) = 'integer';
CREATE INDEX localstore_runs_core_idx ON localstore_runs (core, poor);

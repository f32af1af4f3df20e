//! The remote database: its tables, its version, and what it knows of this store.

use base::{Error, Result};

use super::hrana::{Answer, Batch, Failed, Failure, Kind, Remote, Row, Value};
use super::site;
use crate::store::peers::{Position, StoreId};
use crate::store::{public_columns, public_schema};

/// The version of the tables that this program makes, reads and writes.
const VERSION: i64 = 1;

/// What the names of the tables of the fleet begin with.
const OURS: &str = "localstore_fleet";

/// The tables of the fleet.
pub(super) const TABLES: &str = include_str!("schema.sql");

/// The columns of `benchmark_runs` with a mean in the score table, what they are called in the sums,
/// and the column of the mean.
const MEANS: [(&str, &str, &str); 4] = [
    ("avg_prompt_tps", "prompt", "avg_prompt_tps"),
    ("avg_gen_tps", "gen", "avg_gen_tps"),
    ("avg_ttft_ms", "ttft", "avg_ttft"),
    ("performance_score", "score", "performance_score"),
];

/// What the remote is: itself, how far it has taken over the log of the store ?1, the end of its own log,
/// the nonce there of the change that this store has taken over, of the pairs of id and change in ?2, and
/// how many runs of the web site have no row of the fleet yet. One value, as every column costs 60 bytes.
pub(super) const STATE: &str =
    "SELECT json_array(hex(f.id),version,reads_from,writes_from,s.change,
hex(s.nonce),h.change,hex(h.nonce),hex((SELECT nonce FROM localstore_fleet_log WHERE change=
(SELECT value->>1 FROM json_each(?2) WHERE unhex(value->>0)=f.id))),
(SELECT count(*) FROM localstore_fleet_log WHERE store IS NULL AND change>site_change))s
FROM localstore_fleet f LEFT JOIN localstore_fleet_stores s ON s.store=?1
LEFT JOIN localstore_fleet_log h ON h.change=(SELECT max(change) FROM localstore_fleet_log)";

/// The values of [`STATE`].
type StateValues = (
    String,
    i64,
    i64,
    i64,
    Option<i64>,
    String,
    Option<i64>,
    String,
    String,
    u64,
);

/// What a remote is to a store.
#[derive(Debug)]
pub(super) struct State {
    pub(super) id: StoreId,
    reads_from: i64,
    writes_from: i64,
    /// How far it has taken over the log of the store.
    pub(super) position: Option<Position>,
    /// The end of its own log; `None` if that is empty.
    pub(super) end: Option<Position>,
    /// The nonce there of the change that the store has taken over last.
    pub(super) nonce: Option<Vec<u8>>,
    /// How many runs the web site has inserted that no store has taken up.
    pub(super) site_runs: u64,
}

impl State {
    /// Reads the row of [`STATE`].
    fn read(row: Row<'_>) -> Result<Self> {
        let wrong = || Error::new("localstore_fleet", "its row is not as a fleet has it");
        let state: StateValues =
            serde_json::from_str(row.text(0, "state")?).map_err(|_| wrong())?;
        let (id, _, reads_from, writes_from, change, nonce, end, end_nonce, known, site_runs) =
            state;
        let place = |change: Option<i64>, nonce: &str| match change {
            None => Ok(None),
            Some(change) => {
                let nonce = unhex(nonce).ok_or_else(wrong)?;
                Ok::<_, Error>(Some(Position { change, nonce }))
            }
        };
        let id = unhex(&id).and_then(|id| id.try_into().ok());
        Ok(Self {
            id: id.ok_or_else(wrong)?,
            reads_from,
            writes_from,
            position: place(change, &nonce)?,
            end: place(end, &end_nonce)?,
            nonce: unhex(&known).filter(|nonce| !nonce.is_empty()),
            site_runs,
        })
    }

    /// An error if this program is too old to write there.
    pub(super) fn check_writes(&self, remote: &Remote) -> Result<()> {
        check_version(remote, self.writes_from, "written")
    }

    /// An error if this program is too old to read there.
    pub(super) fn check_reads(&self, remote: &Remote) -> Result<()> {
        check_version(remote, self.reads_from, "read")
    }
}

fn check_version(remote: &Remote, needed: i64, what: &str) -> Result<()> {
    if needed <= VERSION {
        return Ok(());
    }
    let why = format!(
        "it is {what} by programs that know version {needed} of its tables, and this one knows \
         version {VERSION}"
    );
    Err(Error::new(remote.address(), why).hint("install a newer localstore"))
}

/// The version up to which this program writes, for guards inside a transaction.
pub(super) const WRITES: i64 = VERSION;

/// Asks what the remote is to the store of this id; `peers` are the ids of remotes and the changes that
/// were taken over from each.
pub(super) fn state(remote: &Remote, store: &StoreId, peers: &[(Vec<u8>, i64)]) -> Result<State> {
    let mut batch = Batch::read();
    batch.then(STATE, state_values(store, peers));
    let answer = remote.run(&batch)?;
    match &answer.failed {
        Some(failed) if failed.error.message.contains("no such table") => Err(not_prepared(remote)),
        Some(failed) => Err(failure(remote, failed)),
        None => read_state(remote, &answer, 0),
    }
}

/// The values of [`STATE`].
pub(super) fn state_values(store: &StoreId, peers: &[(Vec<u8>, i64)]) -> Vec<Value> {
    let peers: Vec<String> = peers
        .iter()
        .map(|(id, change)| format!("[\"{}\",{change}]", hex(id)))
        .collect();
    vec![
        store.to_vec().into(),
        format!("[{}]", peers.join(",")).into(),
    ]
}

/// Reads the state from a step of an answer.
pub(super) fn read_state(remote: &Remote, answer: &Answer, step: usize) -> Result<State> {
    let mut rows = answer.rows(step);
    match (rows.next(), rows.next()) {
        (Some(row), None) => State::read(row).map_err(|error| of(remote, error)),
        (Some(_), Some(_)) => {
            let why = "its table localstore_fleet is damaged: it has more than one row";
            Err(Error::new(remote.address(), why))
        }
        _ => Err(not_prepared(remote)),
    }
}

/// What the server says of a statement.
pub(super) fn failure(remote: &Remote, failed: &Failed) -> Error {
    Error::new(remote.address(), &failed.error.message)
}

/// Says of which server an error is.
pub(super) fn of(remote: &Remote, error: Error) -> Error {
    Error::new(remote.address(), error)
}

/// Runs a batch of which no step is expected to fail.
pub(super) fn ask(remote: &Remote, batch: &Batch) -> Result<Answer, Failure> {
    let answer = remote.run(batch)?;
    match &answer.failed {
        Some(failed) => Err(Failure {
            kind: Kind::Other,
            error: failure(remote, failed),
        }),
        None => Ok(answer),
    }
}

fn not_prepared(remote: &Remote) -> Error {
    let address = remote.address();
    Error::new(address, "this database is not prepared for a fleet")
        .hint(format!("localstore push --init {}", address.url()))
}

/// The bytes of these digits.
pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    bytes.collect()
}

/// The digits of these bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// What `push --init` has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// The tables were made.
    Made {
        /// How many runs of the web site were there before.
        site_runs: u64,
    },
    /// They were there.
    Before,
}

/// Prepares the database, or finds that it is. It may be empty or be that of a LocalScore web site, whose
/// runs get rows of the fleet; `tell` is given how many were looked at, and of how many.
pub(crate) fn prepare(remote: &Remote, tell: &mut dyn FnMut(u64, u64)) -> Result<Prepared> {
    let prepared = make(remote)?;
    // There is nothing to take up, and a replica has not seen the tables yet.
    if matches!(prepared, Prepared::Made { site_runs: 0 }) {
        return Ok(prepared);
    }
    let state = state(remote, &StoreId::default(), &[])?;
    state.check_writes(remote)?;
    site::take_up(remote, &state, tell)?;
    Ok(prepared)
}

fn make(remote: &Remote) -> Result<Prepared> {
    // Two at the same moment: the second one finds what the first one has made.
    for _ in 0..3 {
        let found = Found::of(remote)?;
        if found.has("localstore_fleet") {
            return Ok(Prepared::Before);
        }
        let site_runs = found.check(remote)?;
        let answer = remote.run(&making(&found)?)?;
        match &answer.failed {
            None => return Ok(Prepared::Made { site_runs }),
            Some(failed) if failed.error.message.contains("already exists") => {}
            Some(failed) => return Err(failure(remote, failed)),
        }
    }
    Ok(Prepared::Before)
}

/// The tables of a database, each with its columns.
struct Found {
    columns: Vec<(String, String)>,
    site_runs: u64,
}

impl Found {
    fn of(remote: &Remote) -> Result<Self> {
        let mut batch = Batch::read();
        let tables = batch.then(
            "SELECT s.name, x.name FROM sqlite_schema s JOIN pragma_table_info(s.name) x
             WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite~_%' ESCAPE '~'
             LIMIT 10000",
            Vec::new(),
        );
        let answer = ask(remote, &batch)?;
        let columns = answer.rows(tables).map(|row| {
            let text = |at, what| row.text(at, what).map(str::to_owned);
            Ok((text(0, "table")?, text(1, "column")?))
        });
        let mut found = Self {
            columns: columns.collect::<Result<_>>()?,
            site_runs: 0,
        };
        if found.has("benchmark_runs") {
            let mut batch = Batch::read();
            let count = batch.then("SELECT count(*) FROM benchmark_runs", []);
            let answer = ask(remote, &batch)?;
            let count = answer.rows(count).next();
            let count = count.map_or(Ok(0), |row| row.integer(0, "count"))?;
            found.site_runs = count.unsigned_abs();
        }
        Ok(found)
    }

    fn has(&self, table: &str) -> bool {
        self.columns.iter().any(|(name, _)| name == table)
    }

    /// An error unless the database is empty or that of a web site; gives how many runs are in it.
    fn check(&self, remote: &Remote) -> Result<u64> {
        if ["localstore_runs", "chats", "messages"]
            .iter()
            .any(|table| self.has(table))
        {
            let why = "this is a store of localstore or llamafile, which may have chats in it; a \
                fleet needs a database of its own";
            return Err(Error::new(remote.address(), why));
        }
        if let Some((table, _)) = self.columns.iter().find(|(name, _)| name.starts_with(OURS)) {
            let why =
                format!("{table} is there, and localstore_fleet is not: this is a part of a fleet");
            return Err(Error::new(remote.address(), why));
        }
        let ours = public_columns().map_err(|error| Error::new(remote.address(), error))?;
        let is_whole = ours.iter().all(|column| self.columns.contains(column));
        if !self.columns.is_empty() && !is_whole {
            let why = "this is another program's database; a fleet needs one that is empty or that of a \
                LocalScore web site";
            return Err(Error::new(remote.address(), why));
        }
        Ok(self.site_runs)
    }
}

/// Makes all tables and triggers, and takes the runs that are there into sums and log.
fn making(found: &Found) -> Result<Batch> {
    let mut batch = Batch::write();
    if !found.has("benchmark_runs") {
        let schema = public_schema().map_err(|error| Error::new("the schema", error))?;
        for sql in schema {
            batch.then(sql, []);
        }
    }
    for sql in TABLES
        .split_inclusive(";\n")
        .filter(|sql| sql.contains(';'))
    {
        batch.then(sql, []);
    }
    batch.then(
        "INSERT INTO localstore_fleet (id, version, reads_from, writes_from)
         VALUES (randomblob(16), ?1, 1, 1)",
        vec![VERSION.into()],
    );
    batch.then(
        "INSERT INTO localstore_fleet_log (kind, run_id, detail)
         SELECT 'run', b.id, CASE WHEN max(t.id) - min(t.id) + 1 = count(t.id) THEN min(t.id) - 1 END
         FROM benchmark_runs b LEFT JOIN test_results t ON t.benchmark_run_id = b.id
         GROUP BY b.id ORDER BY b.id",
        Vec::new(),
    );
    batch.then(
        sums_of("true", "GROUP BY accelerator_id, model_variant_id"),
        [],
    );
    batch.then(means_of("true"), []);
    for sql in triggers() {
        batch.then(sql, []);
    }
    Ok(batch)
}

/// The columns of the sums, with those of one mean made by this function from its names.
fn of_means(each: impl Fn(&str, &str, &str) -> String) -> String {
    let columns: Vec<String> = MEANS
        .iter()
        .map(|(value, sum, mean)| each(value, sum, mean))
        .collect();
    columns.join(", ")
}

fn sum_columns() -> String {
    of_means(|_, sum, _| format!("{sum}_count, {sum}_sum, {sum}_rest"))
}

/// Enters the sums over the runs of this condition.
fn sums_of(condition: &str, group: &str) -> String {
    let sums = of_means(|value, _, _| {
        let value = format!("CAST({value} AS REAL)");
        format!("count(nullif({value}, 0)), total({value}), 0.0")
    });
    format!(
        "INSERT INTO localstore_fleet_sums (accelerator_id, model_variant_id, {})
         SELECT accelerator_id, model_variant_id, {sums} FROM benchmark_runs
         WHERE accelerator_id IS NOT NULL AND model_variant_id IS NOT NULL AND ({condition}) {group}",
        sum_columns()
    )
}

/// Writes the rows of the score table for the sums `s` of this condition.
fn means_of(condition: &str) -> String {
    let means = of_means(|_, sum, _| {
        format!("CASE WHEN s.{sum}_count > 0 THEN (s.{sum}_sum + s.{sum}_rest) / s.{sum}_count END")
    });
    let columns = of_means(|_, _, mean| mean.to_owned());
    let set = of_means(|_, _, mean| format!("{mean} = excluded.{mean}"));
    format!(
        "INSERT INTO accelerator_model_performance_scores (accelerator_id, accelerator_name,
             accelerator_type, accelerator_memory_gb, model_id, model_name, model_variant_id,
             model_variant_quant, {columns})
         SELECT a.id, a.name, a.type, a.memory_gb, m.id, m.name, v.id, v.quantization, {means}
         FROM localstore_fleet_sums s JOIN accelerators a ON a.id = s.accelerator_id
         JOIN model_variants v ON v.id = s.model_variant_id JOIN models m ON m.id = v.model_id
         WHERE {condition}
         ON CONFLICT (accelerator_id, model_id, model_variant_id) DO UPDATE SET {set}"
    )
}

/// The triggers that keep sums and scores true, and note the runs of the web site.
fn triggers() -> Vec<String> {
    let is_row = |table: &str, row: &str| {
        format!(
            "{table}accelerator_id = {row}.accelerator_id
             AND {table}model_variant_id = {row}.model_variant_id"
        )
    };
    let first = of_means(|value, _, _| {
        let value = format!("coalesce(CAST(NEW.{value} AS REAL), 0.0)");
        format!("{value} <> 0, {value}, 0.0")
    });
    // Neumaier's summation: what a sum is too large to take in goes to the rest.
    let more = of_means(|_, sum, _| {
        format!(
            "{sum}_count = {sum}_count + excluded.{sum}_count,
             {sum}_sum = {sum}_sum + excluded.{sum}_sum,
             {sum}_rest = coalesce({sum}_rest + CASE WHEN abs({sum}_sum) >= abs(excluded.{sum}_sum)
                 THEN ({sum}_sum - ({sum}_sum + excluded.{sum}_sum)) + excluded.{sum}_sum
                 ELSE (excluded.{sum}_sum - ({sum}_sum + excluded.{sum}_sum)) + {sum}_sum END, 0.0)"
        )
    });
    let anew = |row: &str| {
        format!(
            "DELETE FROM localstore_fleet_sums WHERE {key};
             {};
             DELETE FROM accelerator_model_performance_scores WHERE {key}
                 AND NOT EXISTS (SELECT 1 FROM localstore_fleet_sums WHERE {key});
             {};",
            sums_of(
                &is_row("", row),
                "GROUP BY accelerator_id, model_variant_id"
            ),
            means_of(&is_row("s.", row)),
            key = is_row("", row),
        )
    };
    let values = of_means(|value, _, _| value.to_owned());
    vec![
        "CREATE TRIGGER localstore_fleet_site AFTER INSERT ON benchmark_runs
         WHEN NOT EXISTS (SELECT 1 FROM localstore_fleet_runs WHERE run_id = NEW.id)
         BEGIN
             INSERT INTO localstore_fleet_log (kind, run_id, detail)
             VALUES ('run', NEW.id, coalesce((SELECT max(id) FROM test_results), 0));
         END"
        .to_owned(),
        format!(
            "CREATE TRIGGER localstore_fleet_insert AFTER INSERT ON benchmark_runs
             WHEN NEW.accelerator_id IS NOT NULL AND NEW.model_variant_id IS NOT NULL
             BEGIN
                 INSERT INTO localstore_fleet_sums (accelerator_id, model_variant_id, {})
                 VALUES (NEW.accelerator_id, NEW.model_variant_id, {first})
                 ON CONFLICT (accelerator_id, model_variant_id) DO UPDATE SET {more};
                 {};
             END",
            sum_columns(),
            means_of(&is_row("s.", "NEW")),
        ),
        format!(
            "CREATE TRIGGER localstore_fleet_delete AFTER DELETE ON benchmark_runs
             WHEN OLD.accelerator_id IS NOT NULL AND OLD.model_variant_id IS NOT NULL
             BEGIN
                 {}
             END",
            anew("OLD")
        ),
        format!(
            "CREATE TRIGGER localstore_fleet_update
             AFTER UPDATE OF accelerator_id, model_variant_id, {values} ON benchmark_runs
             BEGIN
                 {}
                 {}
             END",
            anew("OLD"),
            anew("NEW")
        ),
    ]
}

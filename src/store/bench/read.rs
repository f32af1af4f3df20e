//! Reading: the rows of stored runs as they were printed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use db::refused;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow};

use super::values::{Decoder, token};
use crate::model::bench::{
    Column, DocumentRun, IDENTITY, Identity, Kind, RESULTS, Recount, Row, Samples, Schema, Settings,
};
use crate::model::{Environment, Test, Text};
use crate::store::own::{self, of_test};
use crate::store::rows::{Odd, text};

/// The identity of a stored run.
pub(in crate::store) fn identity_of(db: &Connection, id: i64) -> rusqlite::Result<Identity> {
    let sql = format!(
        "SELECT {} FROM localstore_bench_identities
         WHERE id = (SELECT identity_id FROM localstore_bench_runs WHERE run_id = ?1)",
        IDENTITY.join(", ")
    );
    let identity = db.prepare_cached(&sql)?.query_row([id], |row| {
        let mut identity = Identity::default();
        for (place, value) in identity.values.iter_mut().enumerate() {
            *value = token(row.get_ref(place)?);
        }
        Ok(identity)
    });
    there(
        identity,
        "its row of localstore_bench_runs or localstore_bench_identities is missing",
    )
}

/// What a row has that must be there.
fn there<T>(found: rusqlite::Result<T>, why: &str) -> rusqlite::Result<T> {
    found.optional()?.ok_or_else(|| refused(why))
}

/// A test of a stored run with all that its row needs.
#[derive(Debug, Clone)]
pub(crate) struct StoredRow {
    /// Its run.
    pub run: i64,
    /// Its place in the document.
    pub position: i64,
    /// The run's identity.
    pub identity: Arc<Identity>,
    /// Its settings.
    pub settings: Arc<Settings>,
    /// The columns of the run's table, where one was read.
    pub table: Option<Arc<Schema>>,
    /// Whether json has told bytes of 0x80 and more, which it loses in most builds.
    pub tells_bytes: bool,
    /// The row; its places of run and settings mean nothing.
    pub row: Row,
}

/// The chosen runs of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredDocument {
    /// Their ids, the least first.
    pub runs: Vec<i64>,
}

/// The documents of these runs, the one with the least id first; other runs are passed over.
pub(crate) fn documents(db: &Connection, ids: &[i64]) -> db::Result<Vec<StoredDocument>> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let mut statement = db.prepare_cached(
        "SELECT document, run_id FROM localstore_bench_runs
         WHERE run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id",
    )?;
    let rows = statement.query_map([ids], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
    let mut documents: Vec<StoredDocument> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let (document, run) = row?;
        let place = *places.entry(document).or_insert(documents.len());
        if place == documents.len() {
            documents.push(StoredDocument { runs: Vec::new() });
        }
        documents[place].runs.push(run);
    }
    Ok(documents)
}

/// Of these runs those of llama-bench of which only a table was read.
pub(crate) fn tables(db: &Connection, ids: &[i64]) -> db::Result<Vec<i64>> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let mut statement = db.prepare_cached(
        "SELECT run_id FROM localstore_runs WHERE poor AND tool = 'llama-bench'
             AND run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id",
    )?;
    let tables = statement.query_map([ids], |row| row.get(0))?;
    Ok(tables.collect::<rusqlite::Result<_>>()?)
}

/// What all rows of a stored run have.
struct Head {
    run: i64,
    identity: Arc<Identity>,
    table: Option<Arc<Schema>>,
    tells_bytes: bool,
}

/// Reads rows, and remembers what they refer to.
#[derive(Default)]
pub(crate) struct Reader {
    schemas: HashMap<i64, Arc<Schema>>,
    settings: HashMap<i64, Arc<Settings>>,
    identities: HashMap<i64, Arc<Identity>>,
}

/// The most settings, and the most identities, that [`Reader`] remembers.
const MOST_SETTINGS: usize = 1024;

/// The columns that [`Reader::row`] reads.
const ROW: &str = "t.run_id, t.setting_id, t.n_prompt, t.n_gen, t.n_depth, t.test_time, t.avg_ns,
    t.stddev_ns, t.avg_ts, t.stddev_ts, t.samples_ns, t.samples_ts, t.position";

impl Reader {
    /// Hands over the rows of a document in the order in which they were printed.
    pub(crate) fn each_row<E: From<rusqlite::Error>>(
        &mut self,
        db: &Connection,
        document: &StoredDocument,
        mut work: impl FnMut(&StoredRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut heads = HashMap::new();
        // Where each run ends before the next one begins, no row has to be sorted.
        let mut is_in_order = true;
        let mut end = -1;
        for &run in &document.runs {
            let head = self.head(db, run)?;
            let places = db
                .prepare_cached(
                    "SELECT
                         (SELECT min(position) FROM localstore_bench_tests WHERE run_id = ?1),
                         (SELECT max(position) FROM localstore_bench_tests WHERE run_id = ?1)",
                )?
                .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (first, last): (Option<i64>, Option<i64>) = places;
            is_in_order &= first.unwrap_or_default() > end;
            end = last.unwrap_or_default();
            heads.insert(run, head);
        }
        let order = if is_in_order {
            "t.run_id, t.position"
        } else {
            "t.position"
        };
        let sql = format!(
            "SELECT {ROW} FROM localstore_bench_tests t WHERE t.run_id IN
                 (SELECT value FROM json_each(?1)) ORDER BY {order}"
        );
        let ids = serde_json::to_string(&document.runs).unwrap_or_default();
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query([ids])?;
        while let Some(row) = rows.next()? {
            if let Some(head) = heads.get(&row.get(0)?) {
                work(&self.stored(db, head, row)?)?;
            }
        }
        Ok(())
    }

    /// Hands over the first row of the run, then the first one with other settings or other fields,
    /// and so on.
    pub(crate) fn each_kind_of_row<E: From<rusqlite::Error>>(
        &mut self,
        db: &Connection,
        run: i64,
        mut work: impl FnMut(&StoredRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let head = self.head(db, run)?;
        let mut known = HashSet::new();
        let mut statement = db.prepare_cached(
            "SELECT position, setting_id, (n_depth IS NULL) + 2 * (test_time IS NULL)
                 + 4 * (avg_ns IS NULL) + 8 * (stddev_ns IS NULL) + 16 * (stddev_ts IS NULL)
             FROM localstore_bench_tests WHERE run_id = ?1 ORDER BY position",
        )?;
        let mut rows = statement.query([run])?;
        while let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            let kind: (i64, u8) = (row.get(1)?, row.get(2)?);
            if known.insert(kind) {
                work(&self.one(db, &head, position)?)?;
            }
        }
        Ok(())
    }

    /// The first row of a run; `None` if it has none.
    pub(crate) fn first_row(
        &mut self,
        db: &Connection,
        run: i64,
    ) -> rusqlite::Result<Option<StoredRow>> {
        let head = self.head(db, run)?;
        let sql = format!(
            "SELECT {ROW} FROM localstore_bench_tests t WHERE t.run_id = ?1
             ORDER BY t.position LIMIT 1"
        );
        let mut statement = db.prepare_cached(&sql)?;
        statement
            .query_row([run], |row| self.stored(db, &head, row))
            .optional()
    }

    /// The row at this place.
    fn one(&mut self, db: &Connection, head: &Head, position: i64) -> rusqlite::Result<StoredRow> {
        let sql = format!(
            "SELECT {ROW} FROM localstore_bench_tests t WHERE t.run_id = ?1 AND t.position = ?2"
        );
        let mut statement = db.prepare_cached(&sql)?;
        statement.query_row((head.run, position), |row| self.stored(db, head, row))
    }

    /// The row of a run with this head.
    fn stored(
        &mut self,
        db: &Connection,
        head: &Head,
        row: &SqlRow<'_>,
    ) -> rusqlite::Result<StoredRow> {
        let position = row.get(12)?;
        let (settings, row) = self
            .row(db, row)
            .map_err(|error| of_test(position, error))?;
        Ok(StoredRow {
            run: head.run,
            position,
            identity: Arc::clone(&head.identity),
            settings,
            table: head.table.clone(),
            tells_bytes: head.tells_bytes,
            row,
        })
    }

    /// What all rows of a run have.
    fn head(&mut self, db: &Connection, run: i64) -> rusqlite::Result<Head> {
        let found = db
            .prepare_cached(
                "SELECT table_id, tells_bytes, identity_id FROM localstore_bench_runs
                 WHERE run_id = ?1",
            )?
            .query_row([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let found = there(found, "its row of localstore_bench_runs is missing")?;
        let (table, tells_bytes, identity_id): (Option<i64>, bool, i64) = found;
        let identity = if let Some(identity) = self.identities.get(&identity_id) {
            Arc::clone(identity)
        } else {
            let identity = Arc::new(identity_of(db, run)?);
            if self.identities.len() >= MOST_SETTINGS {
                self.identities.clear();
            }
            self.identities.insert(identity_id, Arc::clone(&identity));
            identity
        };
        Ok(Head {
            run,
            identity,
            table: table.map(|id| self.schema(db, id)).transpose()?,
            tells_bytes,
        })
    }

    fn row(&mut self, db: &Connection, row: &SqlRow<'_>) -> rusqlite::Result<(Arc<Settings>, Row)> {
        let settings = self.settings(db, row.get(1)?)?;
        let mut results: [Option<Text>; RESULTS.len()] = Default::default();
        for (place, result) in results.iter_mut().enumerate() {
            *result = token(row.get_ref(5 + place)?);
        }
        let ns = match row.get_ref(10)? {
            ValueRef::Text(json) => Some(
                serde_json::from_slice(json)
                    .map_err(|_| refused("samples_ns is not a list of integers"))?,
            ),
            ValueRef::Null => None,
            _ => return Err(refused("samples_ns is not a list of integers")),
        };
        let row = Row {
            run: 0,
            settings: 0,
            n_prompt: row.get(2)?,
            n_gen: row.get(3)?,
            n_depth: row.get(4)?,
            results,
            samples: Samples {
                ns,
                ts: text(row.get_ref(11)?),
            },
        };
        Ok((settings, row))
    }

    /// The settings of this id.
    pub(in crate::store) fn settings(
        &mut self,
        db: &Connection,
        id: i64,
    ) -> rusqlite::Result<Arc<Settings>> {
        if let Some(settings) = self.settings.get(&id) {
            return Ok(Arc::clone(settings));
        }
        let found = db
            .prepare_cached(
                "SELECT schema_id, setting_values FROM localstore_bench_settings WHERE id = ?1",
            )?
            .query_row([id], |row| {
                let values = text(row.get_ref(1)?).unwrap_or_default();
                Ok((row.get(0)?, values))
            });
        let (schema, values) = there(found, "its settings are not in localstore_bench_settings")?;
        let schema = self.schema(db, schema)?;
        let mut decoder = Decoder(values.as_bytes());
        let values: Vec<_> = std::iter::from_fn(|| decoder.item()).collect();
        if values.len() != schema.settings() {
            return Err(refused("its settings do not fit their fields"));
        }
        let settings = Arc::new(Settings { schema, values });
        // Few tests have settings of their own; where all have, they are not kept.
        if self.settings.len() >= MOST_SETTINGS {
            self.settings.clear();
        }
        self.settings.insert(id, Arc::clone(&settings));
        Ok(settings)
    }

    fn schema(&mut self, db: &Connection, id: i64) -> rusqlite::Result<Arc<Schema>> {
        if let Some(schema) = self.schemas.get(&id) {
            return Ok(Arc::clone(schema));
        }
        let found = db
            .prepare_cached(
                "SELECT fields, table_name FROM localstore_bench_schemas WHERE id = ?1",
            )?
            .query_row([id], |row| {
                Ok((text(row.get_ref(0)?), text(row.get_ref(1)?)))
            });
        let (fields, table) = there(found, "its fields are not in localstore_bench_schemas")?;
        let fields = fields.unwrap_or_default();
        let mut decoder = Decoder(fields.as_bytes().get(1..).unwrap_or_default());
        let mut columns = Vec::new();
        loop {
            let items: Vec<Option<Text>> = std::iter::from_fn(|| decoder.item()).collect();
            let mut items = items.into_iter().flatten();
            let (Some(name), Some(kind)) = (items.next(), items.next()) else {
                break;
            };
            let width = items
                .next()
                .and_then(|width| width.to_string().parse().ok());
            let is_left = items.next().is_some_and(|word| word.as_bytes() == b"true");
            columns.push(Column {
                name,
                kind: Kind::from_name(&kind.to_string()).unwrap_or(Kind::Text),
                width: width.map(|width| (width, is_left)),
            });
        }
        let schema = Arc::new(Schema::new(columns, table));
        self.schemas.insert(id, Arc::clone(&schema));
        Ok(schema)
    }
}

/// What a run was measured on, and what all its tests have.
pub(crate) fn head(db: &Connection, id: i64) -> db::Result<(Environment, Identity)> {
    let environment = own::environment_of(db, id, Odd::Unknown)?;
    Ok((environment, identity_of(db, id)?))
}

/// The settings of a run's tests, each once.
pub(crate) fn settings(db: &Connection, id: i64) -> db::Result<Vec<Arc<Settings>>> {
    let mut reader = Reader::default();
    let mut statement = db.prepare_cached(
        "SELECT setting_id FROM localstore_bench_tests WHERE run_id = ?1
         GROUP BY setting_id ORDER BY min(position)",
    )?;
    let ids = statement.query_map([id], |row| row.get(0))?;
    let settings = ids.map(|id| reader.settings(db, id?));
    Ok(settings.collect::<rusqlite::Result<_>>()?)
}

/// The first tests of a run, or all.
pub(crate) fn first_rows(
    db: &Connection,
    id: i64,
    limit: Option<u32>,
) -> db::Result<Vec<StoredRow>> {
    let mut reader = Reader::default();
    let head = reader.head(db, id)?;
    let mut statement = db.prepare_cached(&format!(
        "SELECT {ROW} FROM localstore_bench_tests t WHERE t.run_id = ?1
         ORDER BY t.position LIMIT ?2"
    ))?;
    let mut rows = statement.query((id, limit.map_or(-1, i64::from)))?;
    let mut first = Vec::new();
    while let Some(row) = rows.next()? {
        first.push(reader.stored(db, &head, row)?);
    }
    Ok(first)
}

/// The tests of a stored run.
pub(in crate::store) fn tests(db: &Connection, id: i64) -> rusqlite::Result<Vec<Test>> {
    let mut tests = Vec::new();
    let document = StoredDocument { runs: vec![id] };
    Reader::default().each_row(db, &document, |row| {
        tests.push(row.row.test(&row.settings, &row.identity));
        Ok::<(), rusqlite::Error>(())
    })?;
    Ok(tests)
}

/// A stored run as its rows give it, whatever is stored of them.
pub(in crate::store) fn derived(db: &Connection, id: i64) -> rusqlite::Result<DocumentRun> {
    let identity = Arc::new(identity_of(db, id)?);
    let mut run = Recount::new(identity);
    let document = StoredDocument { runs: vec![id] };
    Reader::default().each_row(db, &document, |row| {
        run.count(&row.row, &row.settings);
        Ok::<(), rusqlite::Error>(())
    })?;
    Ok(run.end())
}

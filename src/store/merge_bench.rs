//! Runs of llama-bench in another file: those of a store, with the documents that they are of, and the
//! rows that llama-bench's own sql has put into a database.

use std::sync::Arc;

use db::{is_about_a_value, reason, refused};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow};

use super::Store;
use super::bench::{self, Adding, Reader, StoredDocument, StoredRow, Writer};
use super::changes::{self, Change, OTHERS};
use super::members::{self, More};
use super::merge::ForeignFile;
use super::own::environment_of;
use super::rows::Odd;
use super::runs::{Measured, Stored};
use super::tags::{self, check_tag};
use crate::model::bench::{
    Builder, Column, Document, DocumentRun, Kind, Refusal, Samples, Schema, version,
};
use crate::model::{Environment, Source, Text};

/// The names of the tables of llama-bench, the older one first.
const TABLES: [&str; 2] = ["test", "llama_bench"];

/// The columns without which such a table is another program's.
const NEEDED: [&str; 4] = ["n_prompt", "n_gen", "avg_ts", "build_commit"];

/// The most fields of a row.
pub(crate) const MOST_FIELDS: usize = 1000;

/// Runs of llama-bench in another file, which are stored together.
pub(crate) enum ForeignBench {
    /// These runs of a store, of one document.
    Own(Vec<i64>),
    /// Rows of a table.
    Rows(TableRows),
}

/// Rows of a table with the same fields.
pub(crate) struct TableRows {
    document: Document,
    /// What is wrong with some of them.
    refused: Vec<String>,
}

/// A run of llama-bench that was taken over, or would be.
pub(crate) struct MergedBench {
    /// The run.
    pub(crate) run: DocumentRun,
    /// What it was read from.
    pub(crate) source: Source,
    /// Its id here; `None` for a new one that is not stored.
    pub(crate) id: Option<i64>,
    /// What became of it.
    pub(crate) stored: Stored,
}

/// What became of the runs of a document.
#[derive(Default)]
pub(crate) struct Merged {
    /// Those that were taken over, or would be.
    pub(crate) runs: Vec<MergedBench>,
    /// How many cannot be taken over.
    pub(crate) refused: u64,
    /// What is wrong with these, each with its place in the file.
    pub(crate) why: Vec<String>,
}

/// A document, or one run of it, with all that is known of it.
#[derive(Debug)]
pub(crate) struct Part {
    /// The rows.
    pub(crate) document: Document,
    /// The places of the rows in the whole document; none: 0, 1, 2 …
    pub(crate) positions: Vec<i64>,
    /// When runs whose tests have no date were measured.
    pub(crate) measured: Measured,
    /// The values that the document does not have.
    pub(crate) machine: Environment,
    /// The tags of its runs.
    pub(crate) tags: Vec<String>,
    /// When its runs were added, as `YYYY-MM-DD HH:MM:SS`; `None` for now.
    pub(crate) added_at: Option<String>,
    /// The columns of the table that a run was read from before it was known better.
    pub(crate) table: Option<Arc<Schema>>,
    /// What a newer program has told of its runs.
    pub(crate) more: More,
}

impl Store {
    /// Adds runs of llama-bench in one transaction.
    pub(crate) fn merge_bench(
        &mut self,
        file: &ForeignFile,
        bench: ForeignBench,
    ) -> base::Result<Merged> {
        // What a row refers to is found or made just before it.
        self.write_without_foreign_keys(|db| {
            let (mut first, mut writer) = (None, Writer::default());
            let merged = changes::brought(db, OTHERS, || {
                each_part(file, bench, |part| add(db, &mut writer, part, &mut first))
            })?;
            let known = merged.runs.iter().filter(|run| run.stored != Stored::New);
            for id in known.filter_map(|run| run.id) {
                changes::claim(db, id, false)?;
            }
            Ok(merged)
        })
    }

    /// What adding them would do.
    pub(crate) fn lookup_bench(
        &self,
        file: &ForeignFile,
        bench: ForeignBench,
    ) -> base::Result<Merged> {
        self.read(|db| each_part(file, bench, |part| lookup(db, part)))
    }
}

/// What adding them to a new store would do.
pub(crate) fn lookup_new(file: &ForeignFile, bench: ForeignBench) -> base::Result<Merged> {
    let merged = each_part(file, bench, |part| {
        let kept = part.document.runs.iter().filter(|run| !run.is_refused);
        Ok(kept.map(|_| (None, Stored::New)).collect())
    });
    merged.map_err(|error| error.of_file(file.path()))
}

/// Adds the runs of a part of a document with their dates and tags. `first` is the id of the first
/// new run of all of it.
pub(super) fn add(
    db: &Connection,
    writer: &mut Writer,
    part: &mut Part,
    first: &mut Option<i64>,
) -> db::Result<Vec<(Option<i64>, Stored)>> {
    let adding = Adding {
        measured: part.measured,
        machine: &part.machine,
        tag: None,
    };
    let mut added = bench::add_part(
        db,
        writer,
        &mut part.document,
        adding,
        first,
        &part.positions,
    )?;
    for one in &mut added {
        if let Some(added_at) = part.added_at.as_ref().filter(|_| one.is_new()) {
            db.prepare_cached("UPDATE localstore_bench_runs SET added_at = ?2 WHERE run_id = ?1")?
                .execute((one.id, added_at))?;
        }
        // Skip tags that `tag` would refuse.
        for tag in part.tags.iter().filter(|tag| check_tag(tag).is_ok()) {
            tags::add(db, tag, one.id)?;
        }
        if let Some(table) = &part.table
            && !bench::has_table(db, one.id)?
        {
            bench::add_table(db, one.id, table)?;
            if one.stored == Stored::Already {
                one.stored = Stored::Completed;
                changes::note(db, one.id, Change::Completed)?;
            }
        }
        if members::complete(db, one.id, &part.more)? && one.stored == Stored::Already {
            one.stored = Stored::Completed;
            changes::note(db, one.id, Change::Completed)?;
        }
    }
    let added = added.into_iter();
    Ok(added.map(|added| (Some(added.id), added.stored)).collect())
}

/// What [`add`] would do.
pub(super) fn lookup(db: &Connection, part: &Part) -> db::Result<Vec<(Option<i64>, Stored)>> {
    let mut found = bench::lookup(db, &part.document, part.measured)?;
    for (id, stored) in &mut found {
        if let Some(id) = *id
            && part.table.is_some()
            && !bench::has_table(db, id)?
        {
            *stored = Stored::Completed;
        }
    }
    Ok(found)
}

/// Hands over part by part, and gathers what became of each run.
fn each_part(
    file: &ForeignFile,
    bench: ForeignBench,
    mut work: impl FnMut(&mut Part) -> db::Result<Vec<(Option<i64>, Stored)>>,
) -> db::Result<Merged> {
    let mut merged = Merged::default();
    let mut take = |merged: &mut Merged, mut part: Part| {
        let source = part.document.source;
        let kept = part.document.runs.iter().filter(|run| !run.is_refused);
        let kept: Vec<DocumentRun> = kept.cloned().collect();
        merged.refused += (part.document.runs.len() - kept.len()) as u64;
        let runs = kept.into_iter().zip(work(&mut part)?);
        merged
            .runs
            .extend(runs.map(|(run, (id, stored))| MergedBench {
                run,
                source,
                id,
                stored,
            }));
        Ok::<(), db::Error>(())
    };
    match bench {
        ForeignBench::Rows(TableRows { document, refused }) => {
            merged.why = refused;
            let part = Part {
                document,
                positions: Vec::new(),
                measured: file.changed_at(),
                machine: Environment::default(),
                tags: Vec::new(),
                added_at: None,
                table: None,
                more: More::default(),
            };
            take(&mut merged, part)?;
            if !merged.why.is_empty() {
                merged.refused = merged.refused.max(1);
            }
        }
        ForeignBench::Own(ids) => {
            for id in ids {
                match own_run(file.db(), &mut file.reader(), id) {
                    Ok(part) => take(&mut merged, part)?,
                    Err(db::Error::Sqlite(error)) if is_about_a_value(&error) => {
                        merged.refused += 1;
                        merged.why.push(format!("run {id}: {}", reason(&error)));
                    }
                    Err(error) => return Err(error.of_file(file.path()).into()),
                }
            }
        }
    }
    Ok(merged)
}

/// A run of a store, of which nothing is trusted: its rows are taken as if they were read anew.
pub(super) fn own_run(db: &Connection, reader: &mut Reader, id: i64) -> db::Result<Part> {
    let head: (String, Option<String>, i64, bool, Option<i64>) = db
        .prepare_cached(
            "SELECT r.source, CASE WHEN x.added_at GLOB '[0-9]*' THEN datetime(x.added_at) END,
                 r.measured_at, r.measured_guessed, x.run_id
             FROM localstore_runs r LEFT JOIN localstore_bench_runs x ON x.run_id = r.run_id
             WHERE r.run_id = ?1",
        )?
        .query_row([id], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })?;
    let (source, added_at, at, is_guessed, Some(_)) = head else {
        return Err(refused("its row of localstore_bench_runs is missing").into());
    };
    let added_at = added_at.ok_or_else(|| refused("added_at is not a date"))?;
    let source = Source::from_name(&source)
        .filter(|source| *source != Source::Site)
        .ok_or_else(|| refused(format!("source is '{source}'")))?;
    let tags = db
        .prepare_cached("SELECT tag FROM localstore_tags WHERE run_id = ?1 ORDER BY tag")?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let machine = environment_of(db, id, Odd::Refused).optional()?;
    let machine = machine.ok_or_else(|| refused("its header is not in localstore_environments"))?;
    let mut builder = Builder::new(source);
    let mut positions = Vec::new();
    let mut table = None;
    let mut identity = None;
    let mut tells_bytes = false;
    let document = StoredDocument { runs: vec![id] };
    reader.each_row(db, &document, |stored| {
        let StoredRow {
            identity: of_run,
            settings,
            row,
            ..
        } = stored;
        let schema = &settings.schema;
        if schema.columns().len() > MOST_FIELDS || schema.is_table() != source.is_rounded() {
            let why = format!(
                "test {}: its fields are not those of a row",
                stored.position
            );
            return Err(refused(why).into());
        }
        let values = row.values(of_run, settings);
        let values: Vec<Option<&[u8]>> = values
            .iter()
            .map(|value| value.as_ref().map(Text::as_bytes))
            .collect();
        if let Err(Refusal { why, .. }) = builder.push(schema, &values, row.samples.clone())? {
            return Err(refused(format!("test {}: {why}", stored.position)).into());
        }
        positions.push(stored.position);
        table.clone_from(&stored.table);
        identity = Some(Arc::clone(of_run));
        tells_bytes = stored.tells_bytes;
        Ok::<(), db::Error>(())
    })?;
    // A table does not have the build in its columns.
    if source.is_rounded()
        && let Some(identity) = identity
        && let (Some(commit), Some(number)) =
            (identity.get("build_commit"), identity.get("build_number"))
    {
        builder.set_build(commit.as_bytes(), number.as_bytes());
    }
    let mut document = builder.end();
    let [run] = document.runs.as_mut_slice() else {
        let runs = document.runs.len();
        return Err(refused(format!("its tests are those of {runs} runs")).into());
    };
    // The bytes of a csv may be in a run whose json has lost them.
    run.tells_bytes = tells_bytes;
    Ok(Part {
        document,
        positions,
        measured: Measured { at, is_guessed },
        machine,
        tags,
        added_at: Some(added_at),
        table: table.filter(|_| !source.is_rounded()),
        more: members::read(db, id)?,
    })
}

/// The tables of llama-bench in a database, read from the first row to the last.
#[derive(Default)]
pub(super) struct Tables {
    /// Those that are still to be read, the next one last.
    tables: Vec<Table>,
}

struct Table {
    name: &'static str,
    /// The names and the declared types.
    columns: Vec<(String, String)>,
    sql: String,
    /// The least rowid that is still to be read; `None` behind the last row.
    next: Option<i64>,
}

impl Tables {
    /// Finds the tables; an error in words if one computes what it should have as rows.
    pub(super) fn find(db: &Connection) -> rusqlite::Result<Result<Self, String>> {
        let mut tables = Vec::new();
        for name in TABLES.into_iter().rev() {
            let columns: Vec<(String, String, bool)> = db
                .prepare(
                    "SELECT x.name, upper(x.type), x.hidden <> 0 OR t.type <> 'table' OR t.wr
                     FROM pragma_table_list t, pragma_table_xinfo(t.name, 'main') x
                     WHERE t.schema = 'main' AND t.name = ?1 COLLATE NOCASE ORDER BY x.cid",
                )?
                .query_map([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let has = |needed: &&str| columns.iter().any(|(column, ..)| column == needed);
            if !NEEDED.iter().all(has) {
                continue;
            }
            if columns.len() > MOST_FIELDS {
                return Ok(Err(format!("{name} has more than {MOST_FIELDS} columns")));
            }
            if columns.iter().any(|(.., is_computed)| *is_computed) {
                return Ok(Err(format!("{name} is no plain table")));
            }
            if let Some(damage) = db::foreign::damage_of(db, name)? {
                return Ok(Err(damage));
            }
            let quoted = columns
                .iter()
                .map(|(column, ..)| format!("\"{}\"", column.replace('"', "\"\"")));
            let sql = format!(
                "SELECT {}, _rowid_ FROM main.\"{name}\" WHERE _rowid_ >= ?1 ORDER BY _rowid_",
                quoted.collect::<Vec<_>>().join(", ")
            );
            tables.push(Table {
                name,
                columns: columns
                    .into_iter()
                    .map(|(column, kind, _)| (column, kind))
                    .collect(),
                sql,
                next: Some(i64::MIN),
            });
        }
        Ok(Ok(Self { tables }))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The next rows with the same fields; `None` at the end.
    pub(super) fn next(&mut self, db: &Connection) -> db::Result<Option<TableRows>> {
        while let Some(table) = self.tables.last_mut() {
            if let Some(rows) = table.read(db)? {
                return Ok(Some(rows));
            }
            self.tables.pop();
        }
        Ok(None)
    }
}

impl Table {
    fn read(&mut self, db: &Connection) -> db::Result<Option<TableRows>> {
        let Some(next) = self.next.take() else {
            return Ok(None);
        };
        let mut builder = Builder::new(Source::Csv);
        let mut refused = Vec::new();
        let mut current: Option<(Vec<bool>, Option<i64>, Arc<Schema>)> = None;
        let mut statement = db.prepare_cached(&self.sql)?;
        let mut rows = statement.query([next])?;
        while let Some(row) = rows.next()? {
            let rowid: i64 = row.get(self.columns.len())?;
            let (is_there, build) = self.shape(row)?;
            let is_same = current
                .as_ref()
                .is_some_and(|(mask, number, _)| *mask == is_there && *number == build);
            if !is_same {
                let schema = self.schema(&is_there, build);
                let schema = match &current {
                    Some((.., before)) if **before == schema => Arc::clone(before),
                    Some(_) => {
                        self.next = Some(rowid);
                        break;
                    }
                    None => Arc::new(schema),
                };
                current = Some((is_there, build, schema));
            }
            let Some((is_there, _, schema)) = &current else {
                break;
            };
            let values = values(row, is_there, schema)?;
            let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(&**value)).collect();
            if let Err(Refusal { why, is_known }) =
                builder.push(schema, &values, Samples::default())?
                && !is_known
            {
                refused.push(format!("{} row {rowid}: {why}", self.name));
            }
        }
        if current.is_none() {
            return Ok(None);
        }
        let document = builder.end();
        Ok(Some(TableRows { document, refused }))
    }

    /// Which fields the row has, and its build.
    fn shape(&self, row: &SqlRow<'_>) -> rusqlite::Result<(Vec<bool>, Option<i64>)> {
        let mut is_there = Vec::with_capacity(self.columns.len());
        let mut build = None;
        for (place, (name, _)) in self.columns.iter().enumerate() {
            let value = row.get_ref(place)?;
            is_there.push(value != ValueRef::Null);
            if name == "build_number" {
                build = match value {
                    ValueRef::Integer(number) => Some(number),
                    ValueRef::Text(text) => std::str::from_utf8(text)
                        .ok()
                        .and_then(|text| text.parse().ok()),
                    _ => None,
                };
            }
        }
        Ok((is_there, build))
    }

    /// The fields of a row, which has those that are not null.
    fn schema(&self, is_there: &[bool], build: Option<i64>) -> Schema {
        let columns = |version: i64| -> Vec<Column> {
            let there = self
                .columns
                .iter()
                .zip(is_there)
                .filter(|(_, there)| **there);
            let columns = there.map(|((name, declared), _)| Column {
                name: name.as_str().into(),
                kind: kind(name, declared, version),
                width: None,
            });
            columns.collect()
        };
        let table = || Some(self.name.into());
        let build = build.unwrap_or_default();
        let version = version(&Schema::new(columns(build), table()), build);
        Schema::new(columns(version), table())
    }
}

/// The kind of a column's values: that of its type, where bool and integer have the same one.
fn kind(name: &str, declared: &str, version: i64) -> Kind {
    let known = Kind::of(name, version);
    match declared {
        "TEXT" => Kind::Text,
        "REAL" => Kind::Real,
        "INTEGER" => known
            .filter(|kind| *kind == Kind::Bool)
            .unwrap_or(Kind::Integer),
        _ => known.unwrap_or(Kind::Text),
    }
}

/// The values of a row that are not null, as they were printed.
fn values(row: &SqlRow<'_>, is_there: &[bool], schema: &Schema) -> rusqlite::Result<Vec<Vec<u8>>> {
    let places = is_there.iter().enumerate().filter(|(_, there)| **there);
    let values = places.zip(schema.columns()).map(|((place, _), column)| {
        Ok(match row.get_ref(place)? {
            ValueRef::Null => Vec::new(),
            ValueRef::Integer(integer) => integer.to_string().into_bytes(),
            // An integer beyond 64 bits.
            ValueRef::Real(real) if column.kind != Kind::Real && real.fract() == 0.0 => {
                format!("{real:.0}").into_bytes()
            }
            ValueRef::Real(real) => real.to_string().into_bytes(),
            ValueRef::Text(text) | ValueRef::Blob(text) => text.to_vec(),
        })
    });
    values.collect()
}

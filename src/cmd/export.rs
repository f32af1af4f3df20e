use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use super::compare;
use super::filters::Filters;
use super::{Context, resolve, resolve_all};
use crate::formats::bench::{self, Line, md, sql};
use crate::formats::{Format, console, csv, json, jsonl};
use crate::store::bench::{Reader, StoredDocument, StoredRow};
use crate::store::{Filter, Store, bench as bench_store, runs, select};
use base::time::rfc3339;
use base::{Error, Result, counted, write_atomically};

/// Print runs as the tool printed them
///
/// Without RUN, prints the most recently added run or, with filters or --all, every matching run in
/// the order they were added. Several runs share one csv header; their json documents are separated
/// by a newline.
///
/// A run of llama-bench is printed in the fields of the version that made it. Runs with the same
/// fields share a document, and those that were printed in one document are that document again.
/// LocalScore and llama-bench never share one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore export -o json 3 > run3.json
  localstore export -o csv --all --out runs.csv
  localstore export -o sql --all | sqlite3 llama-bench.sqlite")]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7) or lists (3,5)
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// The output format; md is another name of console
    #[arg(short, long, value_name = "FORMAT", default_value = "console")]
    output: Format,
    /// Write to this file, whole or not at all
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print all runs
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let ids = selected_ids(args, &store)?;
    let items = items(args, &store, ids, context)?;
    let ends_without_newline =
        args.output == Format::Json && matches!(items.last(), Some(Item::LocalScore(_)));
    if let Some(path) = &args.out {
        context.location.refuse(path)?;
        return write_atomically(path, |out| write(out, args.output, &store, items));
    }
    let out = &mut context.out;
    write(out, args.output, &store, items)?;
    // The C tool's json ends without a newline, so a prompt would follow on the same line.
    if ends_without_newline && out.is_terminal() {
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn selected_ids(args: &Args, store: &Store) -> Result<Vec<i64>> {
    let filter = Filter::from(&args.filters);
    if !args.runs.is_empty() {
        if args.all || !filter.is_empty() {
            return Err(Error::invalid_parameter(&args.runs[0])
                .hint("name runs, or select them with filters or --all, but not both"));
        }
        return resolve_all(store, &args.runs);
    }
    if !args.all && filter.is_empty() {
        return Ok(vec![resolve(store, "last")?]);
    }
    let ids = store.read(|db| select::ids(db, &filter))?;
    if ids.is_empty() {
        return Err(args.filters.no_match(&[], store)?);
    }
    Ok(ids)
}

/// What is printed as a whole.
#[derive(Debug)]
enum Item {
    /// A run of LocalScore.
    LocalScore(i64),
    /// The chosen runs of a document of llama-bench.
    Bench(StoredDocument),
}

/// The runs that the format can print, those of a document of llama-bench together. Of others, those
/// that were named are an error; filters pass them over.
fn items(
    args: &Args,
    store: &Store,
    mut ids: Vec<i64>,
    context: &mut Context,
) -> Result<Vec<Item>> {
    let documents = store.read(|db| bench_store::documents(db, &ids))?;
    let all: HashSet<i64> = documents
        .iter()
        .flat_map(|document| document.runs.iter().copied())
        .collect();
    let mut left_out: Vec<(Vec<i64>, &str)> = Vec::new();
    if args.output == Format::Sql {
        let others = ids.iter().copied().filter(|id| !all.contains(id));
        left_out.push((others.collect(), "-o sql is for runs of llama-bench"));
    }
    if args.output != Format::Console {
        let tables = store.read(|db| bench_store::tables(db, &ids))?;
        left_out.push((
            tables,
            "only a table with rounded values was read, which '-o md' prints",
        ));
    }
    left_out.retain(|(ids, _)| !ids.is_empty());
    let is_chosen = args.all || !Filter::from(&args.filters).is_empty();
    let count: usize = left_out.iter().map(|(ids, _)| ids.len()).sum();
    for (out, why) in &left_out {
        if !is_chosen || count == ids.len() {
            return Err(Error::new(format_args!("run {}", out[0]), why));
        }
        let runs = match out.as_slice() {
            [id] => format!("run {id}"),
            many if many.len() > MOST_IDS => counted(many.len() as u64, "run"),
            many => format!("runs {}", compare::ids(many)),
        };
        context.note(&format!("passed over {runs}: {why}"));
    }
    let documents = if left_out.is_empty() {
        documents
    } else {
        let left_out: HashSet<i64> = left_out.into_iter().flat_map(|(ids, _)| ids).collect();
        ids.retain(|id| !left_out.contains(id));
        store.read(|db| bench_store::documents(db, &ids))?
    };
    Ok(in_order(&ids, documents))
}

/// The most runs that are named one by one where they are passed over.
const MOST_IDS: usize = 20;

/// The runs of LocalScore in the order in which they were named, and in the place of the first run of
/// a document a document; these stand in the order of their least run.
fn in_order(ids: &[i64], documents: Vec<StoredDocument>) -> Vec<Item> {
    let mut place_of = HashMap::new();
    for (place, document) in documents.iter().enumerate() {
        place_of.extend(document.runs.iter().map(|run| (*run, place)));
    }
    let mut seen = vec![false; documents.len()];
    let mut documents = documents.into_iter();
    let mut items = Vec::new();
    for id in ids {
        match place_of.get(id) {
            None => items.push(Item::LocalScore(*id)),
            Some(&place) if std::mem::replace(&mut seen[place], true) => {}
            Some(_) => items.extend(documents.next().map(Item::Bench)),
        }
    }
    items
}

fn write(out: &mut dyn Write, format: Format, store: &Store, items: Vec<Item>) -> Result<()> {
    store.read(|db| {
        let mut reader = Reader::default();
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Bench(document) if document.runs.len() > 1 && format != Format::Jsonl => {
                    let parts = parts(db, &mut reader, document, format)?;
                    all.extend(parts.into_iter().map(Item::Bench));
                }
                item => all.push(item),
            }
        }
        if format == Format::Console {
            return write_tables(out, db, &mut reader, &all);
        }
        write_documents(out, db, &mut reader, format, &all)
    })
}

/// The runs of a document that can be printed together.
fn parts(
    db: &Connection,
    reader: &mut Reader,
    document: StoredDocument,
    format: Format,
) -> db::Result<Vec<StoredDocument>> {
    let mut parts: Vec<(bench::Shape, md::Draft, StoredDocument)> = Vec::new();
    // Of many runs most begin with the settings and fields of another one.
    let mut known = HashMap::new();
    for run in document.runs {
        let Some(row) = reader.first_row(db, run)? else {
            continue;
        };
        let first = &row.row;
        let fields = [first.n_depth.is_some()].into_iter();
        let fields: Vec<bool> = fields
            .chain(first.results.iter().map(Option::is_some))
            .collect();
        let key = (
            Arc::clone(&row.identity),
            Arc::clone(&row.settings),
            row.table.clone(),
            row.tells_bytes,
            fields,
        );
        if let Some(&place) = known.get(&key) {
            let (.., part): &mut (_, _, StoredDocument) = &mut parts[place];
            part.runs.push(run);
            continue;
        }
        let line = line(&row);
        let shape = bench::Shape::of(line);
        let draft = md::Draft::new(line, row.table.as_ref());
        let place = parts.iter().position(|(known, known_draft, _)| {
            if format == Format::Console {
                known_draft.is_same(&draft)
            } else {
                *known == shape
            }
        });
        let place = place.unwrap_or(parts.len());
        if place == parts.len() {
            parts.push((shape, draft, StoredDocument { runs: Vec::new() }));
        }
        parts[place].2.runs.push(run);
        known.insert(key, place);
    }
    Ok(parts.into_iter().map(|(_, _, part)| part).collect())
}

fn line(row: &StoredRow) -> Line<'_> {
    Line {
        run: row.run,
        identity: &row.identity,
        settings: &row.settings,
        row: &row.row,
        tells_bytes: row.tells_bytes,
    }
}

fn failed(error: std::io::Error) -> db::Error {
    Error::from(error).into()
}

/// Writes the documents of all formats but that of tables.
fn write_documents(
    out: &mut dyn Write,
    db: &Connection,
    reader: &mut Reader,
    format: Format,
    items: &[Item],
) -> db::Result<()> {
    let mut tables = sql::Tables::default();
    if format == Format::Sql {
        for item in items {
            let Item::Bench(document) = item else {
                continue;
            };
            for &run in &document.runs {
                reader.each_kind_of_row(db, run, |row| {
                    tables.count(line(row));
                    Ok::<(), db::Error>(())
                })?;
            }
        }
    }
    let mut writer = bench::Writer::new(out, format, tables);
    let mut before: Option<&Item> = None;
    for item in items {
        match item {
            Item::LocalScore(id) => {
                let is_first = !matches!(before, Some(Item::LocalScore(_)));
                writer.end().map_err(failed)?;
                let out = writer.out();
                if format == Format::Csv && is_first {
                    let blank: &[u8] = if before.is_some() { b"\n" } else { b"" };
                    out.write_all(blank)
                        .and_then(|()| csv::write_header(out))
                        .map_err(failed)?;
                }
                if format == Format::Json && !is_first {
                    out.write_all(b"\n").map_err(failed)?;
                }
                write_run(out, db, format, *id)?;
            }
            Item::Bench(document) => {
                if matches!(before, Some(Item::LocalScore(_))) {
                    writer.set_off();
                    if format == Format::Json {
                        writer.out().write_all(b"\n").map_err(failed)?;
                    }
                }
                reader.each_row(db, document, |row| writer.row(line(row)).map_err(failed))?;
            }
        }
        before = Some(item);
    }
    writer.end().map_err(failed)
}

/// Writes the tables that the tools show.
fn write_tables(
    out: &mut dyn Write,
    db: &Connection,
    reader: &mut Reader,
    items: &[Item],
) -> db::Result<()> {
    let mut waiting: Option<(md::Draft, Vec<&StoredDocument>)> = None;
    let mut is_first = true;
    for item in items {
        match item {
            Item::LocalScore(id) => {
                if let Some(table) = waiting.take() {
                    write_table(out, db, reader, table, &mut is_first)?;
                }
                if !std::mem::take(&mut is_first) {
                    out.write_all(b"\n").map_err(failed)?;
                }
                write_run(out, db, Format::Console, *id)?;
            }
            Item::Bench(document) => {
                let Some(next) = draft(db, reader, document)? else {
                    continue;
                };
                waiting = Some(match waiting.take() {
                    None => (next, vec![document]),
                    Some((draft, mut documents)) => {
                        if let Some(joined) = draft.joined(&next) {
                            documents.push(document);
                            (joined, documents)
                        } else {
                            write_table(out, db, reader, (draft, documents), &mut is_first)?;
                            (next, vec![document])
                        }
                    }
                });
            }
        }
    }
    match waiting {
        Some(table) => write_table(out, db, reader, table, &mut is_first),
        None => Ok(()),
    }
}

/// What decides on the columns of a document's table; `None` if it has no rows.
fn draft(
    db: &Connection,
    reader: &mut Reader,
    document: &StoredDocument,
) -> db::Result<Option<md::Draft>> {
    let mut draft: Option<md::Draft> = None;
    for &run in &document.runs {
        reader.each_kind_of_row(db, run, |row| {
            draft
                .get_or_insert_with(|| md::Draft::new(line(row), row.table.as_ref()))
                .count(&row.settings);
            Ok::<(), db::Error>(())
        })?;
    }
    Ok(draft)
}

fn write_table(
    out: &mut dyn Write,
    db: &Connection,
    reader: &mut Reader,
    (draft, documents): (md::Draft, Vec<&StoredDocument>),
    is_first: &mut bool,
) -> db::Result<()> {
    let table = draft.table();
    let mut text = Vec::new();
    if !std::mem::take(is_first) {
        text.push(b'\n');
    }
    table.write_header(&mut text);
    let mut last = None;
    for document in documents {
        reader.each_row(db, document, |row| {
            table.write_row(&mut text, line(row));
            let written = out.write_all(&text).map_err(failed);
            text.clear();
            last = Some(std::sync::Arc::clone(&row.identity));
            written
        })?;
    }
    if let Some(identity) = last {
        md::write_footer(&mut text, &identity);
    }
    out.write_all(&text).map_err(failed)
}

/// Writes a run of LocalScore.
fn write_run(out: &mut dyn Write, db: &Connection, format: Format, id: i64) -> db::Result<()> {
    let run = runs::read(db, id)?;
    match format {
        Format::Csv => csv::write_tests(out, &run),
        Format::Json => json::write(out, &run),
        Format::Console => console::write(out, &run),
        Format::Jsonl => {
            let listed = select::listed(db, id)?;
            let added_at = listed.added_at.as_deref().map(rfc3339);
            let label = jsonl::Label {
                id,
                tags: &listed.tags,
                added_at: added_at.unwrap_or_default(),
                link: listed.link.as_deref(),
            };
            jsonl::write(out, &label, &run)
        }
        // There is no such format of LocalScore.
        Format::Sql => Ok(()),
    }
    .map_err(failed)
}

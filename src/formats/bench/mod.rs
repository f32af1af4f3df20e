//! The formats of llama-bench: one file each.
//!
//! A document is printed as the version that made its rows prints it: in their fields, in their
//! order. Neighbours with the same fields share a document.

pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod jsonl;
pub(crate) mod md;
pub(crate) mod sql;

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use super::Format;
use crate::model::Text;
use crate::model::bench::{Column, Identity, Kind, RESULTS, Role, Row, Settings, version};

/// A row to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// The id or the place of its run.
    pub run: i64,
    /// What all rows of its run have.
    pub identity: &'a Arc<Identity>,
    /// Its settings.
    pub settings: &'a Arc<Settings>,
    /// Its sizes and results.
    pub row: &'a Row,
    /// Whether json has told bytes of 0x80 and more, which it loses in most builds.
    pub tells_bytes: bool,
}

/// A value of a row.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Text(&'a Text),
    Size(i64),
}

impl Value<'_> {
    /// The bytes for all formats but json, with U+FFFD for each byte that json has lost.
    fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(text) if text.as_bytes().is_ascii() => Cow::Borrowed(text.as_bytes()),
            Self::Text(text) => text.printed(),
            Self::Size(size) => Cow::Owned(size.to_string().into_bytes()),
        }
    }
}

impl<'a> Line<'a> {
    /// The fields that the row has, and their values, in their order.
    fn values(self) -> impl Iterator<Item = (&'a Column, Value<'a>)> {
        let fields = self.settings.schema.fields();
        fields.filter_map(move |(column, role)| Some((column, self.value(role)?)))
    }

    fn value(self, role: Role) -> Option<Value<'a>> {
        let Row {
            n_prompt, n_gen, ..
        } = *self.row;
        let text = match role {
            Role::Identity(place) => &self.identity.values[place],
            Role::Setting(place) => self.settings.values.get(place)?,
            Role::Result(place) => &self.row.results[place],
            Role::Prompt => return Some(Value::Size(n_prompt)),
            Role::Gen => return Some(Value::Size(n_gen)),
            Role::Depth => return self.row.n_depth.map(Value::Size),
            Role::Speed => return None,
        };
        text.as_ref().map(Value::Text)
    }

    /// The value of the field of this name.
    fn get(self, name: &str) -> Option<Value<'a>> {
        let mut fields = self.settings.schema.fields();
        let (_, role) = fields.find(|(column, _)| column.name.as_bytes() == name.as_bytes())?;
        self.value(role)
    }

    /// The version that printed the row.
    fn version(self) -> i64 {
        let build_number = self.identity.number("build_number").unwrap_or_default();
        version(&self.settings.schema, build_number)
    }
}

/// What the rows of a document have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The names and kinds of the fields.
    fields: Vec<(Text, Kind)>,
    /// The table in sql.
    table: Text,
}

impl Shape {
    /// That of a row.
    pub(crate) fn of(line: Line<'_>) -> Self {
        let fields: Vec<_> = line
            .values()
            .map(|(column, _)| (column.name.clone(), column.kind))
            .collect();
        let table = table_name(line);
        Self { fields, table }
    }
}

/// The table in sql: that of the source, else that of the version.
fn table_name(line: Line<'_>) -> Text {
    line.settings.schema.table().cloned().unwrap_or_else(|| {
        let is_new = line.version() >= 6065 || line.get("n_cpu_moe").is_some();
        Text::from(if is_new { "llama_bench" } else { "test" })
    })
}

/// The shape of the row before, and what told it: nearly always that of the next one.
#[derive(Debug)]
struct Before {
    identity: Arc<Identity>,
    settings: Arc<Settings>,
    known: [bool; RESULTS.len() + 1],
    run: i64,
    shape: Shape,
}

/// Prints rows as documents, one after the other.
pub(crate) struct Writer<'a> {
    out: &'a mut dyn Write,
    format: Format,
    tables: sql::Tables,
    before: Option<Before>,
    /// Whether a document stands before the next one, which has to be set off.
    has_document: bool,
    line: Vec<u8>,
    /// In sql, how each statement of the document begins.
    insert_head: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Prints in any format but that of tables for people.
    pub(crate) fn new(out: &'a mut dyn Write, format: Format, tables: sql::Tables) -> Self {
        Self {
            out,
            format,
            tables,
            before: None,
            has_document: false,
            line: Vec::new(),
            insert_head: Vec::new(),
        }
    }

    /// What the documents are written to, between two of them.
    pub(crate) fn out(&mut self) -> &mut dyn Write {
        self.out
    }

    /// Sets the next document off from what stands before it.
    pub(crate) fn set_off(&mut self) {
        self.has_document = true;
    }

    /// Writes a row, which may begin a document.
    pub(crate) fn row(&mut self, line: Line<'_>) -> io::Result<()> {
        let is_first = self.begin(line)?;
        let out = &mut self.line;
        out.clear();
        match self.format {
            Format::Csv => csv::write_row(out, line),
            Format::Json => json::write_object(out, line, is_first),
            Format::Jsonl => jsonl::write_object(out, line),
            Format::Sql | Format::Console => sql::write_insert(out, line, &self.insert_head),
        }
        self.out.write_all(out)
    }

    /// Begins a document if the row is not one of the one before; gives whether it is the first.
    fn begin(&mut self, line: Line<'_>) -> io::Result<bool> {
        let mut known = [line.row.n_depth.is_some(); RESULTS.len() + 1];
        for (known, value) in known.iter_mut().zip(&line.row.results) {
            *known = value.is_some();
        }
        let run = line.run;
        if let Some(before) = &mut self.before
            && Arc::ptr_eq(&before.identity, line.identity)
            && Arc::ptr_eq(&before.settings, line.settings)
            && before.known == known
        {
            before.run = run;
            return Ok(false);
        }
        let shape = Shape::of(line);
        let is_same = self.before.as_ref().is_some_and(|before| {
            // An array may hold objects with other keys, and those of a run stay together.
            before.shape == shape || (self.format == Format::Json && before.run == run)
        });
        if !is_same {
            self.end()?;
            self.write_head(&shape)?;
        }
        self.before = Some(Before {
            identity: Arc::clone(line.identity),
            settings: Arc::clone(line.settings),
            known,
            run,
            shape,
        });
        Ok(!is_same)
    }

    fn write_head(&mut self, shape: &Shape) -> io::Result<()> {
        if self.has_document && matches!(self.format, Format::Csv | Format::Sql) {
            self.out.write_all(b"\n")?;
        }
        self.has_document = true;
        let out = &mut self.line;
        out.clear();
        match self.format {
            Format::Csv => csv::write_header(out, shape),
            Format::Json => out.extend_from_slice(b"[\n"),
            Format::Jsonl => {}
            Format::Sql | Format::Console => {
                self.insert_head = sql::insert_head(shape);
                self.tables.write_create(out, shape);
            }
        }
        self.out.write_all(out)
    }

    /// Ends the document, if there is one.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.before.take().is_some() && self.format == Format::Json {
            self.out.write_all(b"\n]\n")?;
        }
        Ok(())
    }
}

//! The sql of llama-bench: a statement that creates the table, then one that inserts a row for each
//! test.

use super::csv::write_doubled;
use super::{Line, Shape};
use crate::model::Text;
use crate::model::bench::Kind;

/// The tables of all documents of an export: each is created before its first document, with the
/// columns of all of them, so that every statement is valid.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    /// The versions of its documents, with their fields.
    versions: Vec<(i64, Shape)>,
    is_created: bool,
}

impl Tables {
    /// Counts in the document of this row.
    pub(crate) fn count(&mut self, line: Line<'_>) {
        let shape = Shape::of(line);
        match self.find(&shape) {
            Some(table) if table.versions.iter().any(|(_, known)| *known == shape) => {}
            Some(table) => table.versions.push((line.version(), shape)),
            None => self.tables.push(Table {
                versions: vec![(line.version(), shape)],
                is_created: false,
            }),
        }
    }

    fn find(&mut self, shape: &Shape) -> Option<&mut Table> {
        let name = shape.table.as_bytes();
        let is_meant = |table: &&mut Table| {
            let mut shapes = table.versions.iter();
            shapes.any(|(_, known)| known.table.as_bytes().eq_ignore_ascii_case(name))
        };
        self.tables.iter_mut().find(is_meant)
    }

    /// Writes the statement that creates the table of the document that begins, unless it is there:
    /// the columns of its newest version come first.
    pub(super) fn write_create(&mut self, out: &mut Vec<u8>, shape: &Shape) {
        let mut columns = shape.fields.clone();
        if let Some(table) = self.find(shape) {
            if std::mem::replace(&mut table.is_created, true) {
                return;
            }
            let versions = &mut table.versions;
            versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
            columns = union(versions.iter().map(|(_, shape)| shape));
        }
        out.extend_from_slice(b"CREATE TABLE IF NOT EXISTS ");
        write_name(out, &shape.table);
        out.extend_from_slice(b" (\n");
        for (index, (name, kind)) in columns.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",\n  " } else { b"  " });
            write_name(out, name);
            out.extend_from_slice(match kind {
                Kind::Text | Kind::Other => b" TEXT",
                Kind::Bool | Kind::Integer => b" INTEGER",
                Kind::Real => b" REAL",
            });
        }
        out.extend_from_slice(b"\n);\n\n");
    }
}

fn union<'a>(shapes: impl Iterator<Item = &'a Shape>) -> Vec<(Text, Kind)> {
    let mut columns: Vec<(Text, Kind)> = Vec::new();
    for (name, kind) in shapes.flat_map(|shape| &shape.fields) {
        // Names of columns are the same in upper and lower case.
        let is_same =
            |(known, _): &(Text, Kind)| known.as_bytes().eq_ignore_ascii_case(name.as_bytes());
        if !columns.iter().any(is_same) {
            columns.push((name.clone(), *kind));
        }
    }
    columns
}

/// Writes the statement that inserts a test.
pub(super) fn write_insert(out: &mut Vec<u8>, line: Line<'_>, shape: &Shape) {
    out.extend_from_slice(b"INSERT INTO ");
    write_name(out, &shape.table);
    out.extend_from_slice(b" (");
    for (index, (name, _)) in shape.fields.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        write_name(out, name);
    }
    out.extend_from_slice(b") VALUES (");
    for (index, (_, value)) in line.values().enumerate() {
        out.extend_from_slice(if index > 0 { b", '" } else { b"'" });
        // The tool does not double them, and so prints what is not SQL.
        write_doubled(out, &value.bytes(), b'\'');
        out.push(b'\'');
    }
    out.extend_from_slice(b");\n");
}

/// Writes a name, in quotes where it needs them; none of the tool does.
fn write_name(out: &mut Vec<u8>, name: &Text) {
    let name = name.printed();
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_plain = name.iter().all(is_letter)
        && name.first().is_some_and(|byte| !byte.is_ascii_digit())
        && !RESERVED
            .iter()
            .any(|word| name.eq_ignore_ascii_case(word.as_bytes()));
    if is_plain {
        out.extend_from_slice(&name);
    } else {
        out.push(b'"');
        write_doubled(out, &name, b'"');
        out.push(b'"');
    }
}

/// The words of SQLite that cannot be names.
const RESERVED: [&str; 60] = [
    "add",
    "all",
    "alter",
    "and",
    "as",
    "autoincrement",
    "between",
    "case",
    "check",
    "collate",
    "commit",
    "constraint",
    "create",
    "default",
    "deferrable",
    "delete",
    "distinct",
    "drop",
    "else",
    "escape",
    "except",
    "exists",
    "foreign",
    "from",
    "group",
    "having",
    "in",
    "index",
    "insert",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "limit",
    "not",
    "nothing",
    "notnull",
    "null",
    "on",
    "or",
    "order",
    "primary",
    "references",
    "returning",
    "select",
    "set",
    "table",
    "then",
    "to",
    "transaction",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "when",
    "where",
    "if",
    "raise",
];

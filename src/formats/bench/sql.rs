//! The sql of llama-bench: a statement that creates a table, then one that inserts a row per test.
//!
//! The tool doubles no quote; other programs, and this one, do.

use memchr::{memchr, memmem};

use super::csv::write_doubled;
use super::{Line, Shape};
use crate::model::Text;
use crate::model::bench::Kind;

/// The statement that creates a table: its name, and its columns with the kinds that it tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Create {
    /// The name of the table.
    pub table: Vec<u8>,
    /// The columns.
    pub columns: Vec<(Vec<u8>, Option<Kind>)>,
}

/// The statement that inserts rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Insert<'a> {
    /// What stands before the values: the same in all rows of a document.
    pub head: &'a [u8],
    /// The name of the table.
    pub table: &'a [u8],
    /// The columns; empty for those of the table.
    pub columns: Vec<&'a [u8]>,
    /// The values in their brackets, and the end of the statement.
    pub values: &'a [u8],
}

/// Whether these are the columns of results.
#[must_use]
pub(crate) fn are_results(columns: &[&[u8]]) -> bool {
    const SOME: [&[u8]; 5] = [
        b"n_prompt",
        b"n_gen",
        b"avg_ts",
        b"build_commit",
        b"model_type",
    ];
    SOME.iter().filter(|name| columns.contains(name)).count() >= 2
}

/// Whether llama-bench has a table of this name.
fn is_own(table: &[u8]) -> bool {
    table == b"test" || table == b"llama_bench"
}

/// Whether a statement about a table of llama-bench begins with this line.
#[must_use]
pub(crate) fn begins(line: &[u8]) -> bool {
    let table = after_words(line, &[b"CREATE", b"TABLE"])
        .map(after_if_not_exists)
        .or_else(|| after_words(line, &[b"INSERT", b"INTO"]));
    table.and_then(name).is_some_and(|(table, _)| is_own(table))
}

/// Reads a whole statement that creates a table of results.
#[must_use]
pub(crate) fn create(statement: &[u8]) -> Option<Create> {
    let rest = after_if_not_exists(after_words(statement, &[b"CREATE", b"TABLE"])?);
    let (table, rest) = name(rest)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"(")?;
    let columns = &rest[..memchr::memrchr(b')', rest)?];
    let columns: Vec<(Vec<u8>, Option<Kind>)> = columns
        .split(|&byte| byte == b',')
        .filter_map(|column| {
            let (name, kind) = name(column)?;
            let kind = match kind.trim_ascii().split(u8::is_ascii_whitespace).next() {
                Some(kind) if kind.eq_ignore_ascii_case(b"TEXT") => Some(Kind::Text),
                Some(kind) if kind.eq_ignore_ascii_case(b"INTEGER") => Some(Kind::Integer),
                Some(kind) if kind.eq_ignore_ascii_case(b"REAL") => Some(Kind::Real),
                _ => None,
            };
            Some((name.to_vec(), kind))
        })
        .collect();
    let names: Vec<&[u8]> = columns.iter().map(|(name, _)| name.as_slice()).collect();
    (is_own(table) && are_results(&names)).then(|| Create {
        table: table.to_vec(),
        columns,
    })
}

/// Reads a statement that inserts rows of results, as far as its values.
#[must_use]
pub(crate) fn insert(statement: &[u8]) -> Option<Insert<'_>> {
    let rest = after_words(statement, &[b"INSERT", b"INTO"])?;
    let (table, rest) = name(rest)?;
    let rest = rest.trim_ascii_start();
    let (columns, rest) = match rest.strip_prefix(b"(") {
        Some(rest) => {
            let end = memchr(b')', rest)?;
            let columns = rest[..end].split(|&byte| byte == b',');
            (columns.map(unquoted).collect(), &rest[end + 1..])
        }
        None => (Vec::new(), rest),
    };
    let values = after_words(rest, &[b"VALUES"])?;
    let is_result = columns.is_empty() || are_results(&columns);
    (is_own(table) && is_result).then(|| Insert {
        head: &statement[..statement.len() - values.len()],
        table,
        columns,
        values,
    })
}

/// The values of a row; `None` for NULL.
pub(crate) type Values = Vec<Option<Vec<u8>>>;

/// The rows in the values of an [`Insert`], each of so many columns.
pub(crate) fn rows(values: &[u8], columns: usize) -> Result<Vec<Values>, String> {
    let wrong = |found: usize| format!("{found} values for {columns} columns");
    let strict = strict_rows(values);
    if let Some(rows) = strict.as_ref()
        && rows.iter().all(|row| row.len() == columns)
    {
        return Ok(strict.unwrap_or_default());
    }
    match bare_row(values) {
        Some(row) if row.len() == columns => Ok(vec![row]),
        _ => Err(match strict {
            Some(rows) => {
                let row = rows.iter().find(|row| row.len() != columns);
                wrong(row.map_or(0, Vec::len))
            }
            None => {
                "quotes inside of values are not doubled, and cannot be told from theirs".to_owned()
            }
        }),
    }
}

/// The rows as sql has them; `None` if they are none.
fn strict_rows(values: &[u8]) -> Option<Vec<Values>> {
    let mut rows = Vec::new();
    let mut rest = values.trim_ascii();
    loop {
        rest = rest.strip_prefix(b"(")?;
        let mut row = Vec::new();
        loop {
            rest = rest.trim_ascii_start();
            if let Some(text) = rest.strip_prefix(b"'") {
                let mut value = Vec::new();
                rest = text;
                loop {
                    let quote = memchr(b'\'', rest)?;
                    value.extend_from_slice(&rest[..quote]);
                    rest = &rest[quote + 1..];
                    match rest.strip_prefix(b"'") {
                        Some(more) => {
                            value.push(b'\'');
                            rest = more;
                        }
                        None => break,
                    }
                }
                row.push(Some(value));
            } else {
                let end = rest.iter().position(|byte| b",)'(".contains(byte))?;
                let word = rest[..end].trim_ascii();
                if word.is_empty() || word.contains(&b' ') {
                    return None;
                }
                row.push((!word.eq_ignore_ascii_case(b"NULL")).then(|| word.to_vec()));
                rest = &rest[end..];
            }
            rest = rest.trim_ascii_start();
            match rest.split_first()? {
                (b',', more) => rest = more,
                (b')', more) => {
                    rest = more;
                    break;
                }
                _ => return None,
            }
        }
        rows.push(row);
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None | Some((b';', [])) => return Some(rows),
            Some((b',', more)) => rest = more.trim_ascii_start(),
            _ => return None,
        }
    }
}

/// The row as the tool prints it, with the quotes in its values as they are.
fn bare_row(values: &[u8]) -> Option<Values> {
    let inner = values
        .trim_ascii()
        .strip_prefix(b"('")?
        .strip_suffix(b"');")?;
    let mut begin = 0;
    let mut row = Vec::new();
    for at in memmem::find_iter(inner, b"', '") {
        row.push(Some(inner[begin..at].to_vec()));
        begin = at + 4;
    }
    row.push(Some(inner[begin..].to_vec()));
    Some(row)
}

/// The text after these words, in whatever case.
fn after_words<'a>(text: &'a [u8], words: &[&[u8]]) -> Option<&'a [u8]> {
    let mut rest = text;
    for word in words {
        rest = rest.trim_ascii_start();
        let (found, after) = rest.split_at_checked(word.len())?;
        if !found.eq_ignore_ascii_case(word) || after.first().is_some_and(u8::is_ascii_alphanumeric)
        {
            return None;
        }
        rest = after;
    }
    Some(rest.trim_ascii_start())
}

fn after_if_not_exists(text: &[u8]) -> &[u8] {
    after_words(text, &[b"IF", b"NOT", b"EXISTS"]).unwrap_or(text)
}

/// The name at the beginning of the text, without its quotes, and the text after it.
fn name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"(),;".contains(byte);
    let end = text.iter().position(is_end).unwrap_or(text.len());
    (end > 0).then(|| (unquoted(&text[..end]), &text[end..]))
}

/// The name without its quotes.
fn unquoted(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii();
    let quotes: [(&[u8], &[u8]); 3] = [(b"\"", b"\""), (b"`", b"`"), (b"[", b"]")];
    let mut quotes = quotes.into_iter();
    let bare = quotes.find_map(|(open, close)| name.strip_prefix(open)?.strip_suffix(close));
    bare.unwrap_or(name)
}

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

/// How the statements that insert the tests of a document begin.
pub(super) fn insert_head(shape: &Shape) -> Vec<u8> {
    let mut head = b"INSERT INTO ".to_vec();
    write_name(&mut head, &shape.table);
    head.extend_from_slice(b" (");
    for (index, (name, _)) in shape.fields.iter().enumerate() {
        if index > 0 {
            head.extend_from_slice(b", ");
        }
        write_name(&mut head, name);
    }
    head.extend_from_slice(b") VALUES (");
    head
}

/// Writes the statement that inserts a test.
pub(super) fn write_insert(out: &mut Vec<u8>, line: Line<'_>, head: &[u8]) {
    out.extend_from_slice(head);
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
const RESERVED: [&str; 58] = [
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
];

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: &[Values]) -> Vec<Vec<String>> {
        let text = |value: &Option<Vec<u8>>| match value {
            Some(value) => String::from_utf8(value.clone()).unwrap(),
            None => "NULL".to_owned(),
        };
        rows.iter()
            .map(|row| row.iter().map(text).collect())
            .collect()
    }

    #[test]
    fn a_table_tells_the_kinds_of_its_columns() {
        let text = b"CREATE TABLE IF NOT EXISTS test (\n  n_prompt INTEGER,\n  n_gen INTEGER,\n  \
            avg_ts REAL,\n  \"mine\" TEXT\n);\n";
        assert!(begins(text));
        let created = create(text).unwrap();
        assert_eq!(created.table, b"test");
        let kinds: Vec<_> = created.columns.iter().map(|(_, kind)| *kind).collect();
        let expected = [Kind::Integer, Kind::Integer, Kind::Real, Kind::Text];
        assert_eq!(kinds, expected.map(Some));
        assert_eq!(created.columns[3].0, b"mine");
        assert_eq!(create(b"CREATE TABLE test (a INTEGER, avg_ts REAL);"), None);
        assert!(!begins(
            b"CREATE TABLE tests (n_prompt INTEGER, n_gen INTEGER);"
        ));
    }

    #[test]
    fn a_row_has_columns_of_its_own_or_those_of_the_table() {
        let text = b"INSERT INTO llama_bench (n_prompt, n_gen, avg_ts) VALUES ('1', '0', '2.5');";
        let inserted = insert(text).unwrap();
        assert_eq!(inserted.table, b"llama_bench");
        assert_eq!(inserted.columns, [&b"n_prompt"[..], b"n_gen", b"avg_ts"]);
        let values = rows(inserted.values, 3).unwrap();
        assert_eq!(texts(&values), [["1", "0", "2.5"]]);
        let inserted = insert(b"insert into \"test\" VALUES(1,NULL,2.5),('1','b''c',-1);").unwrap();
        assert_eq!((inserted.table, inserted.columns.len()), (&b"test"[..], 0));
        let values = rows(inserted.values, 3).unwrap();
        assert_eq!(texts(&values), [["1", "NULL", "2.5"], ["1", "b'c", "-1"]]);
        assert_eq!(insert(b"INSERT INTO test (a, b) VALUES ('1', '2');"), None);
    }

    #[test]
    fn bare_quotes_are_kept_where_they_can_be_told_apart() {
        let values = rows(b"('/home/o'brien/'x', y'.gguf', '2');", 2).unwrap();
        assert_eq!(texts(&values), [["/home/o'brien/'x', y'.gguf", "2"]]);
        let error = "quotes inside of values are not doubled, and cannot be told from theirs";
        assert_eq!(rows(b"('a', 'b'c', '2');", 2), Err(error.to_owned()));
        let count = |found| Err(format!("{found} values for 3 columns"));
        assert_eq!(rows(b"('a', '2');", 3), count(2));
        assert_eq!(rows(b"('a', '2', '', '');", 3), count(4));
    }
}

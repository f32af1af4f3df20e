//! Values between Rust and SQLite, without loss.

use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::types::{FromSql, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, Row, Statement};

use crate::model::{Text, Value};

/// `benchmark_runs.created_at` as `YYYY-MM-DD HH:MM:SS`; null if it is not a date. The column is
/// declared an integer, so another program may have put seconds there. SQLite takes words such as
/// 'now' for a date too.
pub(crate) const CREATED_AT: &str = "CASE typeof(b.created_at)
    WHEN 'text' THEN iif(b.created_at GLOB '[0-9]*', datetime(b.created_at), NULL)
    WHEN 'integer' THEN datetime(b.created_at, 'unixepoch') END";

/// A value as it is stored. A string is text where SQLite and other programs can take it as such, else
/// a blob. Text are also nan, which SQLite turns into null, -0.0, which it turns into 0, and integers
/// above 2^63 - 1.
#[derive(Clone, Copy)]
pub(super) struct Sql<'a>(pub Value<'a>);

impl ToSql for Sql<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let word = |text: &'static str| ValueRef::Text(text.as_bytes());
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Missing => ValueRef::Null,
            Value::Text(text) => {
                let bytes = text.as_bytes();
                if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) {
                    ValueRef::Text(bytes)
                } else {
                    ValueRef::Blob(bytes)
                }
            }
            Value::Integer(value) => ValueRef::Integer(value),
            Value::Unsigned(value) => match i64::try_from(value) {
                Ok(value) => ValueRef::Integer(value),
                Err(_) => return Ok(value.to_string().into()),
            },
            Value::Number(value) if value.is_nan() => word(if value.is_sign_negative() {
                "-nan"
            } else {
                "nan"
            }),
            Value::Number(value) if value == 0.0 && value.is_sign_negative() => word("-0.0"),
            Value::Number(value) => ValueRef::Real(value),
        }))
    }
}

impl<'a> From<&'a Option<Text>> for Sql<'a> {
    fn from(text: &'a Option<Text>) -> Self {
        Self(text.as_ref().map_or(Value::Missing, Value::Text))
    }
}

impl From<Option<f64>> for Sql<'_> {
    fn from(number: Option<f64>) -> Self {
        Self(number.map_or(Value::Missing, Value::Number))
    }
}

/// The number of rows per statement: that of the tests of a complete run of LocalScore.
const ROWS: usize = 9;

/// The placeholders of this number of values in a statement.
pub(super) fn marks(count: usize) -> String {
    let marks = "?,".repeat(count);
    marks.trim_end_matches(',').to_owned()
}

/// Takes the next value of a row.
pub(super) type Bind<'b> = &'b mut dyn FnMut(&dyn ToSql) -> rusqlite::Result<()>;

/// Inserts `count` rows, several in a statement, which costs as much as a row. `row` hands over the
/// values of the row of an index; `end` stands behind all of them. The ids of the rows follow one
/// another.
pub(super) fn insert_rows(
    db: &Connection,
    table: &str,
    columns: &str,
    end: &str,
    count: usize,
    row: impl Fn(usize, Bind<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let marks = marks(columns.split(',').count());
    for first in (0..count).step_by(ROWS) {
        let rows = first..count.min(first + ROWS);
        let values = format!("({marks}),").repeat(rows.len());
        let values = values.trim_end_matches(',');
        let insert = format!("INSERT INTO {table} ({columns}) VALUES {values} {end}");
        let mut insert = db.prepare_cached(&insert)?;
        let mut place = 0;
        for index in rows {
            row(index, &mut |value| {
                place += 1;
                insert.raw_bind_parameter(place, value)
            })?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

/// How a value is read that none of the writers here has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Odd {
    /// As if it was unknown.
    Unknown,
    /// It is an error that names the column.
    Refused,
}

/// The names of a statement's columns. Most columns are read in their order, so a name is looked for
/// behind the last one first.
pub(super) struct Columns {
    names: Vec<String>,
    next: AtomicUsize,
}

impl Columns {
    pub(super) fn of(statement: &Statement<'_>) -> Self {
        let names = statement.column_names();
        Self {
            names: names.into_iter().map(str::to_owned).collect(),
            next: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn index(&self, name: &str) -> rusqlite::Result<usize> {
        let next = self.next.load(Ordering::Relaxed);
        let index = match self.names.get(next) {
            Some(column) if column == name => next,
            _ => self.find(name)?,
        };
        self.next.store(index + 1, Ordering::Relaxed);
        Ok(index)
    }

    fn find(&self, name: &str) -> rusqlite::Result<usize> {
        let found = self.names.iter().position(|column| column == name);
        found.ok_or_else(|| rusqlite::Error::InvalidColumnName(name.to_owned()))
    }
}

/// A row, read by the names of its columns.
#[derive(Clone, Copy)]
pub(super) struct Cells<'r> {
    columns: &'r Columns,
    row: &'r Row<'r>,
    odd: Odd,
}

impl<'r> Cells<'r> {
    /// A row of this store.
    pub(super) fn new(columns: &'r Columns, row: &'r Row<'_>) -> Self {
        Self::of_any(columns, row, Odd::Unknown)
    }

    /// A row that anybody may have written.
    pub(super) fn of_any(columns: &'r Columns, row: &'r Row<'_>, odd: Odd) -> Self {
        Self { columns, row, odd }
    }

    /// Whether what none of the writers here has written is an error.
    pub(super) fn is_strict(self) -> bool {
        self.odd == Odd::Refused
    }

    pub(super) fn raw(self, name: &str) -> rusqlite::Result<ValueRef<'r>> {
        self.row.get_ref(self.columns.index(name)?)
    }

    pub(super) fn get<T: FromSql>(self, name: &str) -> rusqlite::Result<T> {
        self.row.get(self.columns.index(name)?)
    }

    pub(super) fn text(self, name: &str) -> rusqlite::Result<Option<Text>> {
        self.read(name, text)
    }

    pub(super) fn number(self, name: &str) -> rusqlite::Result<Option<f64>> {
        self.read(name, number)
    }

    pub(super) fn unsigned(self, name: &str) -> rusqlite::Result<Option<u64>> {
        self.read(name, unsigned)
    }

    fn read<T>(
        self,
        name: &str,
        read: impl FnOnce(ValueRef<'_>) -> Option<T>,
    ) -> rusqlite::Result<Option<T>> {
        let index = self.columns.index(name)?;
        let value = self.row.get_ref(index)?;
        let read = read(value);
        if self.is_strict() && read.is_none() && value != ValueRef::Null {
            let kind = value.data_type();
            return Err(rusqlite::Error::InvalidColumnType(
                index,
                name.to_owned(),
                kind,
            ));
        }
        Ok(read)
    }
}

/// Reads all rows of a statement by the names of their columns.
pub(super) fn query<T>(
    statement: &mut Statement<'_>,
    params: impl Params,
    mut read: impl FnMut(Cells<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let columns = Columns::of(statement);
    statement
        .query_map(params, |row| read(Cells::new(&columns, row)))?
        .collect()
}

/// Reads the one row that a statement has.
pub(super) fn query_one<T>(
    statement: &mut Statement<'_>,
    params: impl Params,
    odd: Odd,
    read: impl FnOnce(Cells<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let columns = Columns::of(statement);
    statement.query_row(params, |row| read(Cells::of_any(&columns, row, odd)))
}

/// Reads a string as [`Sql`] stores it.
pub(super) fn text(value: ValueRef<'_>) -> Option<Text> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec().into()),
        _ => None,
    }
}

/// Reads a number as [`Sql`] stores it.
pub(super) fn number(value: ValueRef<'_>) -> Option<f64> {
    #[allow(
        clippy::cast_precision_loss,
        reason = "an integer stands for the same double"
    )]
    match value {
        // SQLite stores no -0.0: where one is read, the file has a changed bit.
        ValueRef::Real(value) => Some(value + 0.0),
        ValueRef::Integer(value) => Some(value as f64),
        ValueRef::Text(b"nan") => Some(f64::NAN.copysign(1.0)),
        ValueRef::Text(b"-nan") => Some(f64::NAN.copysign(-1.0)),
        ValueRef::Text(b"-0.0") => Some(-0.0),
        _ => None,
    }
}

/// Reads an unsigned integer as [`Sql`] stores it.
pub(super) fn unsigned(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::Integer(value) => u64::try_from(value).ok(),
        ValueRef::Text(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

//! Values between Rust and SQLite, without loss.

use rusqlite::types::{ToSql, ToSqlOutput, Type, Value as Owned, ValueRef};
use rusqlite::{Connection, Row};

use crate::model::Text;

/// `benchmark_runs.created_at` as `YYYY-MM-DD HH:MM:SS`; null where it is no date. The column is
/// declared an integer, so another program may have put seconds there. SQLite takes words such as
/// 'now' for a date too.
pub const CREATED_AT: &str = "CASE typeof(b.created_at)
    WHEN 'text' THEN iif(b.created_at GLOB '[0-9]*', datetime(b.created_at), NULL)
    WHEN 'integer' THEN datetime(b.created_at, 'unixepoch') END";

/// A string: text where SQLite and other programs can take it as such, else a blob.
pub struct SqlText<'a>(pub &'a Option<Text>);

impl ToSql for SqlText<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            None => ValueRef::Null,
            Some(text) => plain(text),
        }))
    }
}

fn plain(text: &Text) -> ValueRef<'_> {
    let bytes = text.as_bytes();
    let is_plain = std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
    if is_plain {
        ValueRef::Text(bytes)
    } else {
        ValueRef::Blob(bytes)
    }
}

/// A number: nan, which SQLite turns into null, and -0.0, which it turns into 0, are text.
pub struct SqlNumber(pub Option<f64>);

impl ToSql for SqlNumber {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = |text: &'static str| ValueRef::Text(text.as_bytes());
        Ok(ToSqlOutput::Borrowed(match self.0 {
            None => ValueRef::Null,
            Some(value) if value.is_nan() && value.is_sign_negative() => text("-nan"),
            Some(value) if value.is_nan() => text("nan"),
            Some(value) if value == 0.0 && value.is_sign_negative() => text("-0.0"),
            Some(value) => ValueRef::Real(value),
        }))
    }
}

/// An unsigned integer: text above 2^63 - 1.
pub struct SqlUnsigned(pub Option<u64>);

impl ToSql for SqlUnsigned {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match self.0 {
            None => Owned::Null,
            Some(value) => match i64::try_from(value) {
                Ok(value) => Owned::Integer(value),
                Err(_) => Owned::Text(value.to_string()),
            },
        }))
    }
}

/// The number of rows per statement: that of the tests of a complete run of LocalScore.
const ROWS: usize = 9;

/// Takes the values of a row.
pub type Bind<'b> = &'b mut dyn FnMut(&[&dyn ToSql]) -> rusqlite::Result<()>;

/// Inserts `count` rows, several in a statement, which costs as much as a row. `into` is
/// `INSERT INTO table (columns)`, and `row` hands over the values of the row of an index. The ids
/// of the rows follow one another.
pub fn insert_rows(
    db: &Connection,
    into: &str,
    count: usize,
    row: impl Fn(usize, Bind<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let columns = into.matches(',').count() + 1;
    let one = ["(", &vec!["?"; columns].join(","), ")"].concat();
    let rows: Vec<usize> = (0..count).collect();
    for rows in rows.chunks(ROWS) {
        let values = vec![one.as_str(); rows.len()].join(",");
        let mut insert = db.prepare_cached(&[into, " VALUES ", &values].concat())?;
        let mut place = 0;
        for &index in rows {
            row(index, &mut |values| {
                values.iter().try_for_each(|value| {
                    place += 1;
                    insert.raw_bind_parameter(place, value)
                })
            })?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

/// How a value is read that none of the writers here has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// As if it was unknown.
    Unknown,
    /// It is an error that names the column.
    Refused,
}

/// A row whose columns were written by the types above.
#[derive(Clone, Copy)]
pub struct Cells<'r, 'stmt> {
    pub row: &'r Row<'stmt>,
    pub odd: Odd,
}

impl<'r, 'stmt> Cells<'r, 'stmt> {
    /// A row of this store.
    pub fn of(row: &'r Row<'stmt>) -> Self {
        let odd = Odd::Unknown;
        Self { row, odd }
    }

    pub fn text(self, index: usize) -> rusqlite::Result<Option<Text>> {
        self.read(index, text)
    }

    pub fn number(self, index: usize) -> rusqlite::Result<Option<f64>> {
        self.read(index, number)
    }

    pub fn unsigned(self, index: usize) -> rusqlite::Result<Option<u64>> {
        self.read(index, unsigned)
    }

    fn read<T>(
        self,
        index: usize,
        read: impl FnOnce(ValueRef<'_>) -> Option<T>,
    ) -> rusqlite::Result<Option<T>> {
        let value = self.row.get_ref(index)?;
        let kind = value.data_type();
        let read = read(value);
        if self.odd == Odd::Refused && read.is_none() && kind != Type::Null {
            let column = self.row.as_ref().column_name(index)?.to_owned();
            return Err(rusqlite::Error::InvalidColumnType(index, column, kind));
        }
        Ok(read)
    }
}

/// An error about what a row holds, and not about the file.
pub fn refused(why: impl Into<String>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, why.into().into())
}

/// Reads what [`SqlText`] wrote.
pub fn text(value: ValueRef<'_>) -> Option<Text> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec().into()),
        _ => None,
    }
}

/// Reads what [`SqlNumber`] wrote.
pub fn number(value: ValueRef<'_>) -> Option<f64> {
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

/// Reads what [`SqlUnsigned`] wrote.
pub fn unsigned(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::Integer(value) => u64::try_from(value).ok(),
        ValueRef::Text(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

//! Rows in every format, each from a serializable struct.
//!
//! In csv a missing value is an empty field, and a list is joined by spaces.

use std::fmt::{self, Display};
use std::io::Write;

use serde::Serialize;
use serde::ser::{Impossible, SerializeSeq, SerializeStruct, Serializer};

use crate::error::Result;
use crate::streams::Stdout;
use crate::table::{ColumnOf, Table};

/// The output format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RowFormat {
    /// A table for people
    #[value(alias = "console")]
    Table,
    /// Comma-separated values under a header
    Csv,
    /// One JSON document
    Json,
    /// A JSON object per line
    Jsonl,
    /// Markdown
    Md,
}

/// The maximum number of rows to show; 0 for all.
pub struct Limit(pub u32);

impl Limit {
    /// The number of rows to read: one more than is shown, to know whether there are more.
    #[must_use]
    pub fn asked(&self) -> Option<u32> {
        (self.0 > 0).then(|| self.0.saturating_add(1))
    }

    /// The rows that are shown, and whether there are more.
    #[must_use]
    pub fn cut<T>(&self, mut rows: Vec<T>) -> (Vec<T>, bool) {
        let more = self.0 > 0 && rows.len() > self.0 as usize;
        if more {
            rows.truncate(self.0 as usize);
        }
        (rows, more)
    }
}

/// Prints the items: as a table of the columns for people, or as a row each for programs.
pub fn write<T, R: Serialize + Default>(
    items: &[T],
    format: RowFormat,
    columns: &[ColumnOf<T>],
    row: impl Fn(&T) -> R,
    out: &mut Stdout,
) -> Result<()> {
    let rows = items.iter().map(row);
    match format {
        RowFormat::Table if items.is_empty() => {}
        RowFormat::Table => {
            let text = Table::of(items, columns).render(out.screen());
            out.styled(text.as_bytes())?;
        }
        RowFormat::Md => out.write_all(Table::of(items, columns).markdown().as_bytes())?,
        RowFormat::Csv => csv(rows, out)?,
        RowFormat::Json => json(&rows.collect::<Vec<R>>(), out)?,
        RowFormat::Jsonl => jsonl(rows, out)?,
    }
    Ok(())
}

/// Prints the rows under a header, even if there are no rows.
pub fn csv<R: Serialize + Default>(
    rows: impl IntoIterator<Item = R>,
    out: &mut Stdout,
) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(Fields::of(&R::default()).names)?;
    for row in rows {
        writer.write_record(Fields::of(&row).cells)?;
    }
    Ok(writer.flush()?)
}

/// Prints an indented document.
pub fn json<D: Serialize + ?Sized>(document: &D, out: &mut Stdout) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    Ok(out.write_all(b"\n")?)
}

/// Prints an object per line.
pub fn jsonl<R: Serialize>(rows: impl IntoIterator<Item = R>, out: &mut Stdout) -> Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, &row)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The fields of a struct, each a name and a text.
pub fn fields(row: &impl Serialize) -> impl Iterator<Item = (&'static str, String)> {
    let fields = Fields::of(row);
    fields.names.into_iter().zip(fields.cells)
}

/// The fields of a struct as text.
#[derive(Default)]
struct Fields {
    names: Vec<&'static str>,
    cells: Vec<String>,
}

impl Fields {
    fn of(row: &impl Serialize) -> Self {
        let mut fields = Self::default();
        // A nested field has no cell; the csv writer then refuses the row.
        let _ = row.serialize(&mut fields);
        fields
    }

    #[allow(clippy::unnecessary_wraps, reason = "the return type of a serializer")]
    fn push(&mut self, value: impl Display) -> fmt::Result {
        self.cells.push(value.to_string());
        Ok(())
    }
}

impl SerializeStruct for &mut Fields {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> fmt::Result {
        self.names.push(name);
        value.serialize(&mut **self)
    }

    fn end(self) -> fmt::Result {
        Ok(())
    }
}

/// The elements of a list, which share one cell.
struct List<'a> {
    fields: &'a mut Fields,
    elements: Fields,
}

impl SerializeSeq for List<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        value.serialize(&mut self.elements)
    }

    fn end(self) -> fmt::Result {
        self.fields.push(self.elements.cells.join(" "))
    }
}

/// The methods that print a value unchanged.
macro_rules! print_values {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, value: $type) -> fmt::Result {
            self.push(value)
        })*
    };
}

/// The methods for values that do not fit into a cell.
macro_rules! refuse {
    ($($method:ident($($type:ty),*) -> $result:ty,)*) => {
        $(fn $method(self, $(_: $type),*) -> Result<$result, fmt::Error> {
            Err(fmt::Error)
        })*
    };
}

impl<'a> Serializer for &'a mut Fields {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = List<'a>;
    type SerializeTuple = Impossible<(), fmt::Error>;
    type SerializeTupleStruct = Impossible<(), fmt::Error>;
    type SerializeTupleVariant = Impossible<(), fmt::Error>;
    type SerializeMap = Impossible<(), fmt::Error>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), fmt::Error>;

    print_values! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
        serialize_unit_struct: &'static str,
    }

    refuse! {
        serialize_bytes(&[u8]) -> (),
        serialize_tuple(usize) -> Self::SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant,
        serialize_map(Option<usize>) -> Self::SerializeMap,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant,
    }

    fn serialize_none(self) -> fmt::Result {
        self.push("")
    }

    fn serialize_unit(self) -> fmt::Result {
        self.push("")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> fmt::Result {
        self.push(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, fmt::Error> {
        Ok(List {
            fields: self,
            elements: Fields::default(),
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Serialize)]
    struct Row {
        id: i64,
        value: f64,
        name: Option<&'static str>,
        tags: Vec<String>,
        partial: bool,
    }

    #[test]
    fn a_field_is_a_cell() {
        let row = Row {
            id: 7,
            value: f64::NAN,
            tags: vec!["a".to_owned(), "b".to_owned()],
            ..Row::default()
        };
        let fields = Fields::of(&row);
        assert_eq!(fields.names, ["id", "value", "name", "tags", "partial"]);
        assert_eq!(fields.cells, ["7", "NaN", "", "a b", "false"]);
        assert_eq!(Fields::of(&Row::default()).cells[1], "0");
    }
}

//! The csv of llama-bench: a header line of field names, then a line per test, every value quoted.

use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memmem};

use super::{Line, Shape};
use crate::model::bench::{Column, Kind, Schema, version};

/// Whether the line is a header: it has the token counts and the speed. That of LocalScore names its
/// speeds otherwise.
#[must_use]
pub(crate) fn is_header(line: &[u8]) -> bool {
    // Fast: few other lines contain this name.
    if memmem::find(line, b"avg_ts").is_none() {
        return false;
    }
    let columns = || line.split(|&byte| byte == b',').map(column_name);
    let has = |name: &[u8]| columns().any(|column| column == name);
    let is_name = |column: &[u8]| column.iter().all(|byte| !b"\"'\x1b".contains(byte));
    [&b"n_prompt"[..], b"n_gen", b"avg_ts"].into_iter().all(has)
        && ![&b"prompt_tps"[..], b"gen_tps"].into_iter().any(has)
        && columns().all(is_name)
        && columns().next().is_some_and(is_first_name)
}

/// Whether nothing stands before the name of the first column, such as a time stamp.
fn is_first_name(column: &[u8]) -> bool {
    !column.iter().any(|byte| b" \t|>:]".contains(byte))
}

/// The name of a column, with or without quotes.
fn column_name(column: &[u8]) -> &[u8] {
    let column = column.trim_ascii();
    let quoted = column.strip_prefix(b"\"");
    quoted
        .and_then(|column| column.strip_suffix(b"\""))
        .unwrap_or(column)
}

/// A row with more values is refused.
const MAX_COLUMNS: usize = 1000;

/// A table of which the header has been read.
#[derive(Debug)]
pub(crate) struct Table {
    schemas: Schemas,
    /// Where the values of the last row are in its text, and whether they were quoted.
    values: Vec<(Range<usize>, bool)>,
    /// The last row without its quotes, if some of them are doubled.
    unquoted: Vec<u8>,
}

/// Why a line is no row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadRow {
    /// It ends inside a value.
    Cut,
    /// It has this many values, not one for each column.
    Count(usize, usize),
    /// A quote inside a value is not doubled.
    Quote,
}

impl BadRow {
    /// The message.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Cut => "a quote that does not end".to_owned(),
            Self::Count(values, columns) => format!("{values} values for {columns} columns"),
            Self::Quote => "a quote inside a value that is not doubled".to_owned(),
        }
    }
}

impl Table {
    /// The table with this header; an error if a column is there twice, or too many are.
    pub(crate) fn new(header: &[u8]) -> Result<Self, String> {
        let names: Vec<&[u8]> = header
            .split(|&byte| byte == b',')
            .map(column_name)
            .collect();
        Ok(Self {
            schemas: Schemas::new(&names, None, |_| None)?,
            values: Vec::new(),
            unquoted: Vec::new(),
        })
    }

    /// How many columns there are.
    #[must_use]
    pub(crate) fn columns(&self) -> usize {
        self.schemas.names.len()
    }

    /// Reads the values of a row, without the end of its line, into `values`, which belong to the
    /// fields of the schema that is returned.
    pub(crate) fn row<'a>(
        &'a mut self,
        record: &'a [u8],
        values: &mut Vec<Option<&'a [u8]>>,
    ) -> Result<&'a Arc<Schema>, BadRow> {
        let is_plain = split(record, &mut self.values).ok_or(BadRow::Cut)?;
        if !is_plain {
            unquote(record, &mut self.unquoted, &mut self.values)?;
        }
        let text = if is_plain { record } else { &self.unquoted };
        if self.values.len() != self.schemas.names.len() {
            let (found, columns) = (self.values.len(), self.schemas.names.len());
            return Err(BadRow::Count(found, columns));
        }
        let value = |place: usize| &text[self.values[place].0.clone()];
        let schema = self.schemas.of_row(value);
        let of_columns = schema.columns().iter().zip(&self.values);
        values.clear();
        values.extend(of_columns.map(|(column, (range, is_quoted))| {
            let value = &text[range.clone()];
            if column.kind == Kind::Text {
                return Some(value);
            }
            // Where other programs put rows of several versions together, a field that a row does not
            // have is empty.
            let value = value.trim_ascii();
            let value = match (column.kind, value) {
                (Kind::Bool, b"True" | b"TRUE") => b"1",
                (Kind::Bool, b"False" | b"FALSE") => b"0",
                _ => value,
            };
            Some(value).filter(|value| *is_quoted || !value.is_empty())
        }));
        Ok(schema)
    }
}

/// The number of values of a line, or more if a comma is quoted.
#[must_use]
pub(crate) fn count_values(record: &[u8]) -> usize {
    memchr_iter(b',', record).count() + 1
}

/// The places of the values of a record without their quotes. `None` if it ends inside of quotes;
/// false if quotes are doubled, so that there is no place with the value.
fn split(record: &[u8], values: &mut Vec<(Range<usize>, bool)>) -> Option<bool> {
    values.clear();
    let mut at = 0;
    loop {
        if record.get(at) == Some(&b'"') {
            let begin = at + 1;
            let end = begin + memchr(b'"', &record[begin..])?;
            values.push((begin..end, true));
            match record.get(end + 1) {
                None => return Some(true),
                Some(b',') => at = end + 2,
                Some(_) => {
                    let is_whole = memchr_iter(b'"', record).count().is_multiple_of(2);
                    return is_whole.then_some(false);
                }
            }
        } else {
            let end = memchr(b',', &record[at..]).map(|step| at + step);
            values.push((at..end.unwrap_or(record.len()), false));
            match end {
                None => return Some(true),
                Some(end) => at = end + 1,
            }
        }
    }
}

/// As [`split`], with the values in another text, where no quote is doubled.
fn unquote(
    record: &[u8],
    text: &mut Vec<u8>,
    values: &mut Vec<(Range<usize>, bool)>,
) -> Result<(), BadRow> {
    text.clear();
    values.clear();
    let mut rest = record;
    loop {
        let begin = text.len();
        let value = rest.trim_ascii_start();
        let is_quoted = value.first() == Some(&b'"');
        let mut end = if is_quoted {
            rest = &value[1..];
            loop {
                let quote = memchr(b'"', rest).ok_or(BadRow::Cut)?;
                text.extend_from_slice(&rest[..quote]);
                rest = &rest[quote + 1..];
                match rest.first() {
                    Some(b'"') => {
                        text.push(b'"');
                        rest = &rest[1..];
                    }
                    _ => break,
                }
            }
            rest = rest.trim_ascii_start();
            0
        } else {
            let end = memchr(b',', rest).unwrap_or(rest.len());
            text.extend_from_slice(&rest[..end]);
            end
        };
        values.push((begin..text.len(), is_quoted));
        match rest.get(end) {
            None => return Ok(()),
            Some(b',') => end += 1,
            Some(_) => return Err(BadRow::Quote),
        }
        rest = &rest[end..];
    }
}

/// The schemas of a table of named columns: whether `flash_attn` is a flag depends on the version,
/// and so on the build number of each row.
#[derive(Debug)]
pub(crate) struct Schemas {
    /// The names of the columns.
    pub names: Vec<Vec<u8>>,
    /// The places of the build number and of `flash_attn`.
    build: Option<usize>,
    flag: Option<usize>,
    with_flag: Arc<Schema>,
    without_flag: Arc<Schema>,
    /// The build number of the last row, and whether its `flash_attn` is a flag.
    last: (Vec<u8>, bool),
}

impl Schemas {
    /// For columns of these names; `shown` gives the kind that the source tells. An error if a column
    /// is there twice.
    pub(crate) fn new(
        names: &[&[u8]],
        table: Option<&[u8]>,
        shown: impl Fn(&[u8]) -> Option<Kind>,
    ) -> Result<Self, String> {
        if names.len() > MAX_COLUMNS {
            return Err(format!("a row of more than {MAX_COLUMNS} fields"));
        }
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                let name = String::from_utf8_lossy(name);
                return Err(format!("the column {name} is there twice"));
            }
        }
        let of_version = |version| {
            let columns = names.iter().map(|name| {
                let own = std::str::from_utf8(name).ok();
                let own = own.and_then(|name| Kind::of(name, version));
                let kind = match (shown(name), own) {
                    (Some(Kind::Integer) | None, Some(own)) => own,
                    (Some(kind), _) => kind,
                    (None, None) => Kind::Text,
                };
                Column {
                    name: name.to_vec().into(),
                    kind,
                    width: None,
                }
            });
            let table = table.map(|table| table.to_vec().into());
            Arc::new(Schema::new(columns.collect(), table))
        };
        let without_flag = of_version(i64::MAX);
        Ok(Self {
            names: names.iter().map(|name| name.to_vec()).collect(),
            build: names.iter().position(|name| *name == b"build_number"),
            flag: names.iter().position(|name| *name == b"flash_attn"),
            last: (Vec::new(), version(&without_flag, 0) < FLAG_ENDS),
            with_flag: of_version(0),
            without_flag,
        })
    }

    /// The schema of a row of which this gives the values by place.
    pub(crate) fn of_row<'a>(&mut self, value: impl Fn(usize) -> &'a [u8]) -> &Arc<Schema> {
        let Some(flag) = self.flag else {
            return &self.without_flag;
        };
        let build = self.build.map(&value).unwrap_or_default();
        if self.last.0 != build {
            let number = std::str::from_utf8(build).ok();
            let number = number.and_then(|number| number.trim().parse().ok());
            let version = version(&self.without_flag, number.unwrap_or(0));
            self.last = (build.to_vec(), version < FLAG_ENDS);
        }
        // Packages number their builds otherwise.
        if self.last.1 && !matches!(value(flag), b"-1" | b"2") {
            &self.with_flag
        } else {
            &self.without_flag
        }
    }
}

/// From this build on `flash_attn` is an integer.
const FLAG_ENDS: i64 = 9437;

/// Writes the line of names.
pub(super) fn write_header(out: &mut Vec<u8>, shape: &Shape) {
    for (index, (name, _)) in shape.fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let name = name.printed();
        // No name of the tool needs quotes.
        if name.iter().any(|byte| b",\"\n\r;\t".contains(byte)) {
            write_quoted(out, &name);
        } else {
            out.extend_from_slice(&name);
        }
    }
    out.push(b'\n');
}

/// Writes the line of a test.
pub(super) fn write_row(out: &mut Vec<u8>, line: Line<'_>) {
    for (index, (_, value)) in line.values().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_quoted(out, &value.bytes());
    }
    out.push(b'\n');
}

fn write_quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    write_doubled(out, value, b'"');
    out.push(b'"');
}

/// Writes a value in which this quote stands twice.
pub(super) fn write_doubled(out: &mut Vec<u8>, value: &[u8], quote: u8) {
    let mut rest = value;
    while let Some(at) = memchr(quote, rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(quote);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(header: &str, record: &str) -> Result<Vec<Option<String>>, BadRow> {
        let mut table = Table::new(header.as_bytes()).unwrap();
        let mut values = Vec::new();
        table.row(record.as_bytes(), &mut values)?;
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        Ok(values.iter().map(|value| value.map(text)).collect())
    }

    fn texts(values: &[&str]) -> Vec<Option<String>> {
        let texts = values.iter();
        texts.map(|value| Some((*value).to_owned())).collect()
    }

    #[test]
    fn a_header_is_that_of_one_tool() {
        for (line, expected) in [
            ("n_prompt,n_gen,avg_ts", true),
            ("\"avg_ts\", \"n_gen\", \"n_prompt\",mine", true),
            ("n_prompt,n_gen,avg_ts,gen_tps", false),
            ("n_prompt,n_gen,prompt_tps,gen_tps", false),
            ("12:00:01 build_commit,n_prompt,n_gen,avg_ts", false),
            ("n_prompt,n_gen,avg_tsx", false),
            (
                "INSERT INTO test (a, n_prompt, n_gen, avg_ts) VALUES ('1')",
                false,
            ),
        ] {
            assert_eq!(is_header(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn values_have_quotes_or_not() {
        let header = "cpu_info,n_prompt,mine";
        assert_eq!(
            row(header, "\"a \",\"1\",\"x\""),
            Ok(texts(&["a ", "1", "x"]))
        );
        assert_eq!(row(header, "a , 1,x y"), Ok(texts(&["a ", "1", "x y"])));
        let doubled = row(header, "\"a,\"\"b\"\"\",\"1\",\"\"\"\"");
        assert_eq!(doubled, Ok(texts(&["a,\"b\"", "1", "\""])));
        assert_eq!(row(header, "\"\",1,"), Ok(texts(&["", "1", ""])));
        // A field that the row does not have.
        let missing = vec![Some("a".to_owned()), None, Some("x".to_owned())];
        assert_eq!(row(header, "a,,x"), Ok(missing));
        assert_eq!(row(header, "\"a\",\"\",\"x\""), Ok(texts(&["a", "", "x"])));
    }

    #[test]
    fn a_damaged_row_is_an_error() {
        let header = "cpu_info,n_prompt,mine";

        assert_eq!(row(header, "a,1"), Err(BadRow::Count(2, 3)));
        assert_eq!(row(header, "a,1,x,y"), Err(BadRow::Count(4, 3)));
        assert_eq!(row(header, "\"a\",\"1\",\"x"), Err(BadRow::Cut));
        let bare = Err(BadRow::Quote);
        assert_eq!(row(header, "\"a\"b\"\",\"1\",\"x\""), bare);
        let twice = Table::new(b"n_depth,n_prompt,n_depth").map(|_| ());
        assert_eq!(twice, Err("the column n_depth is there twice".to_owned()));
    }

    #[test]
    fn flash_attn_is_a_flag_in_old_versions() {
        let mut table = Table::new(b"build_number,flash_attn,use_mmap,mine").unwrap();
        for (build, expected) in [("9000", Kind::Bool), ("9437", Kind::Integer)] {
            let record = format!("{build},1,True,2");
            let mut values = Vec::new();
            let schema = table.row(record.as_bytes(), &mut values).unwrap();
            let kinds: Vec<Kind> = schema.columns().iter().map(|column| column.kind).collect();
            assert_eq!(kinds, [Kind::Integer, expected, Kind::Bool, Kind::Text]);
            assert_eq!(values[2], Some(&b"1"[..]));
        }
    }
}

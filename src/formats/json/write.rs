//! Writes the document as the C tool prints it.

use std::io::{self, Write};

use crate::formats::number::Printed;
use crate::model::{Field, HeaderField, Piece, Run, Test, Text, Value};

/// Writes the document of a run, as the C tool's `json_printer`; no newline at the end.
///
/// Missing values are null; the C tool has none.
pub(crate) fn write(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    out.write_all(b"{\n")?;
    for (name, fields) in HeaderField::OBJECTS {
        writeln!(out, "  \"{name}\": {{")?;
        for (index, field) in fields.iter().enumerate() {
            write!(out, "    \"{}\": ", field.name())?;
            match field.get(&run.environment) {
                Value::Text(text) => {
                    out.write_all(b"\"")?;
                    out.write_all(text.as_bytes())?;
                    out.write_all(b"\"")?;
                }
                value => write_value(out, value, 2)?,
            }
            let is_last = index + 1 == fields.len();
            out.write_all(if is_last { b"\n" } else { b",\n" })?;
        }
        out.write_all(b"  },\n")?;
    }
    out.write_all(b"  \"results\": [\n")?;
    for (index, test) in run.tests.iter().enumerate() {
        if index > 0 {
            out.write_all(b",\n")?;
        }
        write_test(out, test)?;
    }
    out.write_all(b"\n  ]\n}")
}

fn write_test(out: &mut dyn Write, test: &Test) -> io::Result<()> {
    out.write_all(b"    {\n")?;
    for field in Field::ALL {
        write!(out, "      \"{}\": ", field.name())?;
        write_value(out, field.get(test), 6)?;
        out.write_all(b",\n")?;
    }
    match &test.samples_ns {
        None => out.write_all(b"      \"samples_ns\": null\n")?,
        Some(samples) => {
            out.write_all(b"      \"samples_ns\": [ ")?;
            for (index, sample) in samples.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(out, "{comma}{sample}")?;
            }
            out.write_all(b" ]\n")?;
        }
    }
    out.write_all(b"    }")
}

fn write_value(out: &mut dyn Write, value: Value<'_>, decimals: usize) -> io::Result<()> {
    match value {
        Value::Missing => out.write_all(b"null"),
        Value::Text(text) => write_string(out, text),
        value => write!(out, "{}", Printed(value, decimals)),
    }
}

/// Writes a model's string as the C tool's `escape_json`, which takes a byte of 0x80 or more as a
/// negative number and so loses its value.
fn write_string(out: &mut dyn Write, text: &Text) -> io::Result<()> {
    let mut escaped = Vec::with_capacity(text.as_bytes().len() + 2);
    escaped.push(b'"');
    for piece in text.pieces() {
        match piece {
            Piece::Lost | Piece::Byte(0x80..) => escaped.extend_from_slice(b"\\ufffff"),
            Piece::Byte(byte @ (b'"' | b'\\')) => escaped.extend_from_slice(&[b'\\', byte]),
            Piece::Byte(byte @ 0..=0x1f) => write!(escaped, "\\u{byte:04x}")?,
            Piece::Byte(byte) => escaped.push(byte),
        }
    }
    escaped.push(b'"');
    out.write_all(&escaped)
}

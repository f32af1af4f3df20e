//! Writes the document as the C tool prints it.

use std::io::{self, Write};

use crate::formats::number::write_fixed;
use crate::model::{Environment, Field, Piece, Run, Test, Text, Value};

/// Writes the document of a run, as the C tool's `json_printer`; no newline at the end.
///
/// What the run does not know reads null: the C tool always knows.
pub fn write(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    let Environment {
        runtime,
        system,
        accelerator,
    } = &run.environment;
    out.write_all(b"{\n")?;
    object(
        out,
        "runtime_info",
        &[
            ("name", Printed::Text(&runtime.name)),
            ("version", Printed::Text(&runtime.version)),
            ("commit", Printed::Text(&runtime.commit)),
        ],
    )?;
    object(
        out,
        "system_info",
        &[
            ("cpu_name", Printed::Text(&system.cpu_name)),
            ("cpu_arch", Printed::Text(&system.cpu_arch)),
            ("ram_gb", Printed::Number(system.ram_gb)),
            ("kernel_type", Printed::Text(&system.kernel_type)),
            ("kernel_release", Printed::Text(&system.kernel_release)),
            ("version", Printed::Text(&system.version)),
        ],
    )?;
    object(
        out,
        "accelerator_info",
        &[
            ("name", Printed::Text(&accelerator.name)),
            ("manufacturer", Printed::Text(&accelerator.manufacturer)),
            ("memory_gb", Printed::Number(accelerator.memory_gb)),
            ("type", Printed::Text(&accelerator.kind)),
        ],
    )?;
    out.write_all(b"  \"results\": [\n")?;
    for (index, test) in run.tests.iter().enumerate() {
        if index > 0 {
            out.write_all(b",\n")?;
        }
        write_test(out, test)?;
    }
    out.write_all(b"\n  ]\n}")
}

enum Printed<'a> {
    Text(&'a Option<Text>),
    Number(Option<f64>),
}

fn object(out: &mut dyn Write, name: &str, members: &[(&str, Printed<'_>)]) -> io::Result<()> {
    writeln!(out, "  \"{name}\": {{")?;
    for (index, (key, value)) in members.iter().enumerate() {
        write!(out, "    \"{key}\": ")?;
        match value {
            Printed::Text(Some(text)) => {
                out.write_all(b"\"")?;
                out.write_all(text.as_bytes())?;
                out.write_all(b"\"")?;
            }
            Printed::Number(Some(number)) => write_fixed(out, *number, 2)?,
            Printed::Text(None) | Printed::Number(None) => out.write_all(b"null")?,
        }
        let comma: &[u8] = if index + 1 < members.len() {
            b",\n"
        } else {
            b"\n"
        };
        out.write_all(comma)?;
    }
    out.write_all(b"  },\n")
}

fn write_test(out: &mut dyn Write, test: &Test) -> io::Result<()> {
    out.write_all(b"    {\n")?;
    for field in Field::ALL {
        write!(out, "      \"{}\": ", field.name())?;
        match field.get(test) {
            Value::Missing => out.write_all(b"null")?,
            Value::Text(text) => write_string(out, text)?,
            Value::Integer(value) => write!(out, "{value}")?,
            Value::Unsigned(value) => write!(out, "{value}")?,
            Value::Number(value) => write_fixed(out, value, 6)?,
        }
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

/// Writes a model's string as the C tool's `escape_json`, which takes a byte of 0x80 or more for a
/// negative number and so loses it.
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

//! The csv of llama-bench: a header of bare names, then a line a test, each value in quotes.

use super::{Line, Shape};

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
    while let Some(at) = memchr::memchr(quote, rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(quote);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

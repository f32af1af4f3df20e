//! The jsonl of llama-bench: an object a test, on a line each.

use super::{Line, json};

/// Writes the line of a test.
pub(super) fn write_object(out: &mut Vec<u8>, line: Line<'_>) {
    out.push(b'{');
    for (column, value) in line.values() {
        json::write_member(out, line, &column.name, column.kind, value);
        out.extend_from_slice(b", ");
    }
    json::write_samples_ns(out, line);
    // The tool prints no space here.
    out.push(b',');
    json::write_samples_ts(out, line);
    out.extend_from_slice(b"}\n");
}

//! A run as a body: deflated JSON with the names of `json`, from which it comes back without loss.
//!
//! A value that is missing is a member that is absent. Strings stand for what JSON has no numbers for
//! (nan, inf, -0.0) or what its readers round (integers beyond 2^63 - 1), and `{"base64": …}` for a
//! text that is not UTF-8. The tests of llama-bench are rows, whose fields and settings are listed
//! once.
//!
//! The text is the same on every machine that has the run: members stand in one order, and behind all
//! others those that only the first machine decides, which are not in the digest. A later program may
//! add members at the end of an object, in the outermost one before those; a program that does not
//! know them keeps them as [`More`].

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::decode;
pub(crate) use write::{Encoded, encode};

use crate::model::bench::RESULTS;
use crate::model::{Field, Text, Value};

/// The number of what is described here; another one is not read.
pub(crate) const FORMAT: i64 = 1;

/// The most bytes of a body's JSON.
pub(crate) const MOST_JSON: usize = 8 << 20;

fn too_large() -> String {
    format!("it is larger than {} MiB", MOST_JSON >> 20)
}

/// The members of the outermost object of a run of LocalScore.
const RUN: [&str; 7] = [
    "runtime_info",
    "system_info",
    "accelerator_info",
    "results",
    "measured_at",
    "measured_guess",
    "added_at",
];

/// The members of the outermost object of a run of llama-bench.
const BENCH: [&str; 14] = [
    "runtime_info",
    "system_info",
    "accelerator_info",
    "identity",
    "schemas",
    "settings",
    "results",
    "tells_bytes",
    "table",
    "measured_at",
    "measured_guess",
    "added_at",
    "document",
    "positions",
];

/// The members of a test of llama-bench.
const ROW: [&str; 11] = [
    "settings",
    "n_prompt",
    "n_gen",
    "n_depth",
    RESULTS[0],
    RESULTS[1],
    RESULTS[2],
    RESULTS[3],
    RESULTS[4],
    "samples_ns",
    "samples_ts",
];

/// The members of a test of LocalScore: the fields in their order, and those behind them.
fn test_names() -> Vec<&'static str> {
    let mut all = names(Field::ALL, Field::name);
    all.extend(["samples_ns", "reps"]);
    all
}

fn names<F: Copy>(fields: &[F], name: impl Fn(F) -> &'static str) -> Vec<&'static str> {
    fields.iter().map(|field| name(*field)).collect()
}

fn text_value(text: Option<&Text>) -> Value<'_> {
    text.map_or(Value::Missing, Value::Text)
}

/// The name of a test in messages and in [`More`].
fn result(index: usize) -> String {
    format!("results[{index}]")
}

fn not_one(runs: usize) -> String {
    format!("its tests are those of {runs} runs")
}

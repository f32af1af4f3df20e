//! The formats: one file each, which both reads and writes. No SQL here.
//!
//! To add a format: write its file, list it here, and give it a line in [`Format`].

pub(crate) mod bench;
pub(crate) mod chat_json;
pub(crate) mod chat_markdown;
pub(crate) mod console;
pub(crate) mod csv;
pub(crate) mod grouping;
pub(crate) mod json;
pub(crate) mod jsonl;
pub(crate) mod lexer;
pub(crate) mod llamafile_json;
pub(crate) mod number;
pub(crate) mod score_display;

use crate::model::Run;

/// A format that `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A header line, then one line per test
    Csv,
    /// One document per run, or per document of llama-bench, laid out as the tool prints it
    Json,
    /// The table that the tool shows, also called md
    #[value(alias = "md")]
    Console,
    /// Clean JSON, one run per line; of llama-bench its own, one test per line
    Jsonl,
    /// Statements that fill a table with runs of llama-bench
    Sql,
}

/// A run as it was read.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// The run.
    pub run: Run,
    /// Unknown keys or columns, which were ignored.
    pub unknown: Vec<String>,
    /// Its approximate size in the text, in bytes, including the text before it.
    pub length: usize,
}

/// What is wrong with a document, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Bytes from the beginning of the document.
    pub offset: usize,
    /// The message.
    pub why: String,
    /// The kind of flaw.
    pub kind: FlawKind,
}

/// The kind of a [`Flaw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlawKind {
    /// A mistake in a LocalScore document.
    Bad,
    /// The document ends too early.
    Cut,
    /// The document does not come from LocalScore.
    Foreign,
}

impl Flaw {
    /// A mistake in a LocalScore document.
    pub(crate) fn new(offset: usize, why: impl Into<String>) -> Self {
        Self {
            offset,
            why: why.into(),
            kind: FlawKind::Bad,
        }
    }

    /// The document ends too early.
    #[must_use]
    pub(crate) fn cut(offset: usize) -> Self {
        Self {
            kind: FlawKind::Cut,
            ..Self::new(offset, "the document is cut off")
        }
    }
}

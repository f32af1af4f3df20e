//! The formats: one file each, reading and writing side by side. No SQL here.
//!
//! To add a format: write its file, list it here, and give it a line in [`Format`].

pub(crate) mod chat_json;
pub(crate) mod chat_markdown;
pub(crate) mod console;
pub(crate) mod csv;
pub(crate) mod grouping;
pub(crate) mod json;
pub(crate) mod jsonl;
mod lexer;
pub(crate) mod llamafile_json;
pub(crate) mod number;
pub(crate) mod score_display;

use std::fmt;

use crate::model::Run;

/// A format that `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A header line and a line a test
    Csv,
    /// A document a run, laid out as the C tool prints it
    Json,
    /// The table that LocalScore shows, also called md
    #[value(alias = "md")]
    Console,
    /// Clean JSON, a run a line
    Jsonl,
}

/// A run that was read, and what of it was passed over.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// The run.
    pub run: Run,
    /// Keys or columns that mean nothing to us.
    pub unknown: Vec<String>,
    /// About how many bytes of text it was read from, those before it included.
    pub length: usize,
}

/// What is wrong with a document, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Bytes from the beginning of the document.
    pub offset: usize,
    /// What is wrong.
    pub why: String,
    /// What kind of flaw it is.
    pub kind: FlawKind,
}

/// What kind of flaw it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlawKind {
    /// A mistake in a document of ours.
    Bad,
    /// The document ends too early.
    Cut,
    /// The document does not come from LocalScore.
    Foreign,
}

impl Flaw {
    /// A flaw of a document of ours.
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

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

//! What is wrong with a record.

use std::fmt;
use std::path::Path;

use base::Error;

/// A problem of a record, or of a file where records are.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The entry that has it; `None`: the file itself.
    pub(crate) entry: Option<Entry>,
    /// Which kind it is.
    pub(crate) kind: Kind,
    /// What is wrong, and where.
    pub(crate) message: String,
}

/// An entry of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entry {
    /// The override of a section, by its path.
    Section(String),
    /// The override of a tool, by its name.
    Tool(String),
    /// An override of an example, by its index in the file.
    Example(usize),
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The library cannot read it.
    Malformed,
    /// The header is not that of the file, or not that of the document.
    Header,
    /// The file cannot be that of a record.
    Identifier,
    /// There are files of both formats.
    Mixed,
    /// The library in use reads the other format.
    Format,
    /// The text that it replaces has changed.
    Stale,
    /// What it replaces is not there.
    Unknown,
    /// It fails when it is rendered: a stray `$` or a name that is not there.
    Placeholder,
    /// It fails when it is rendered: the description of a tool.
    Description,
    /// There is no document of the prompt.
    Undocumented,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub(crate) fn new(entry: Option<Entry>, kind: Kind, message: String) -> Self {
        Self {
            entry,
            kind,
            message,
        }
    }

    /// Whether nothing of the record can be used.
    #[must_use]
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self.kind, Kind::Malformed | Kind::Header | Kind::Format)
    }

    /// The error that the file has this problem.
    #[must_use]
    pub(crate) fn error(&self, file: &Path) -> Error {
        Error::new(file.display(), self)
    }
}

/// `ENTRY: KIND: MESSAGE`.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = &self.entry {
            write!(formatter, "{entry}: ")?;
        }
        write!(formatter, "{}: {}", self.kind, self.message)
    }
}

impl Entry {
    /// The name of its hash in the file.
    #[must_use]
    pub(crate) fn hash_key(&self) -> &'static str {
        match self {
            Self::Tool(_) => "expected_contract_hash",
            _ => "expected_hash",
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Section(path) => write!(formatter, "section {path}"),
            Self::Tool(name) => write!(formatter, "tool {name}"),
            Self::Example(index) => write!(formatter, "example {index}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Identifier => "identifier",
            Self::Mixed => "mixed",
            Self::Format => "format",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
            Self::Placeholder => "placeholder",
            Self::Description => "description",
            Self::Undocumented => "undocumented",
        })
    }
}

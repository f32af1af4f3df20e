//! The readers, one for each kind of document in a capture.

use std::io;

use super::bench::{csv as bench_csv, md as bench_md, sql as bench_sql};
use super::scan::Scan;
use super::{banner, console, csv, json, link};

/// All readers; another tool's output needs a file with its reader, and a line here. At the beginning
/// of a line the first reader that accepts it reads it; in the middle the last one is asked first.
pub(super) static READERS: [&dyn CaptureReader; 9] = [
    &json::Reader,
    &csv::Reader,
    &console::Reader,
    &bench_csv::Reader,
    &bench_md::Reader,
    &bench_sql::CREATE,
    &bench_sql::INSERT,
    &banner::Reader,
    &link::Reader,
];

/// Reads one kind of document.
///
/// The text is searched for the signs of all readers at once, and a reader gets only lines with its
/// sign. It passes the runs and messages to the [`Scan`]: [`Scan::run`], [`Scan::bad`],
/// [`Scan::note`].
pub(super) trait CaptureReader: Sync {
    /// A text that every first line of a document contains.
    fn sign(&self) -> &'static [u8];

    /// Reads the document, or its first lines, if one begins with the line up to `end`.
    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun>;

    /// Whether a document begins with this line, so that it cannot be a part of another document.
    fn interrupts(&self, _line: &[u8]) -> bool {
        false
    }

    /// Finds a document that begins in the middle of the line up to `end`, after the prefix of a
    /// log; `alone` is whether the line has no other reader's sign.
    fn find(&self, _scan: &mut Scan<'_>, _end: usize, _alone: bool) -> io::Result<Option<Start>> {
        Ok(None)
    }

    /// Finds a complete document in the middle of a line.
    fn find_complete(&self, _line: &[u8]) -> Option<usize> {
        None
    }
}

/// What [`CaptureReader::begin`] has read.
pub(super) enum Begun {
    /// Nothing: no document begins here.
    Nothing,
    /// The complete document.
    Complete,
    /// The first lines of a document.
    Open(Box<dyn OpenDocument>),
}

/// A document that is read piece by piece.
pub(super) trait OpenDocument {
    /// Reads the next piece; returns false if the document has ended.
    fn read(&mut self, scan: &mut Scan<'_>) -> io::Result<bool>;
}

/// The beginning of a document in the middle of a line.
pub(super) struct Start {
    /// The number of bytes before it.
    pub at: usize,
    /// The end of the last line that was examined, from the beginning of the first one.
    pub until: usize,
    /// Whether the next lines continue the document without a prefix.
    pub is_continued: bool,
}

/// Whether a line begins a document of any kind.
pub(super) fn interrupts(line: &[u8]) -> bool {
    READERS.iter().any(|reader| reader.interrupts(line))
}

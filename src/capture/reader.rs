//! What a text can hold: a reader for each kind of document.

use std::io;

use super::scan::Scan;
use super::{banner, console, csv, json, link};

/// All readers: another tool's output is one more of them, in a file of its own. The first one that
/// takes a line reads it; in the middle of a line the last one is asked first.
pub(super) static READERS: [&dyn CaptureReader; 5] = [
    &json::Reader,
    &csv::Reader,
    &console::Reader,
    &banner::Reader,
    &link::Reader,
];

/// Reads one kind of document.
///
/// The text is searched for the signs of all readers at once, and only a line with its sign is shown
/// to a reader. What a document yields goes to the [`Scan`]: [`Scan::run`], [`Scan::bad`],
/// [`Scan::note`].
pub(super) trait CaptureReader: Sync {
    /// What every line has in it with which a document begins.
    fn sign(&self) -> &'static [u8];

    /// Takes the document that begins with the line up to `end` from the text, or its first lines.
    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun>;

    /// Whether this line, before which nothing stands, cannot be a part of another document,
    /// because one begins with it.
    fn interrupts(&self, _line: &[u8]) -> bool {
        false
    }

    /// Where a document begins in the middle of the line up to `end`, behind what a log put there;
    /// `alone` tells whether the line has no other reader's sign.
    fn find(&self, _scan: &mut Scan<'_>, _end: usize, _alone: bool) -> io::Result<Option<Start>> {
        Ok(None)
    }

    /// Where a document stands in the middle of a line and is whole there.
    fn find_whole(&self, _line: &[u8]) -> Option<usize> {
        None
    }
}

/// What became of a line with the sign of a reader.
pub(super) enum Begun {
    /// No document begins with it.
    Nothing,
    /// It was taken from the text, and what belongs to it.
    Whole,
    /// It was taken from the text, and the document goes on.
    Open(Box<dyn OpenDocument>),
}

/// A document that is read piece by piece.
pub(super) trait OpenDocument {
    /// Takes the next piece from the text; false if the document has ended.
    fn read(&mut self, scan: &mut Scan<'_>) -> io::Result<bool>;
}

/// Where a document begins in a line.
pub(super) struct Start {
    /// How many bytes stand before it.
    pub at: usize,
    /// The end of the lines that tell so, from the beginning of the first one.
    pub until: usize,
    /// Whether the lines behind go on with it where they have nothing before them.
    pub goes_on: bool,
}

/// Whether a line begins a document of any kind.
pub(super) fn interrupts(line: &[u8]) -> bool {
    READERS.iter().any(|reader| reader.interrupts(line))
}

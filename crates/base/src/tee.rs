//! Passes the output of another program to our own streams and into a file.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::streams::{Stderr, Stdout};

/// At most this much standard error is held back.
const MAX_HELD: usize = 1 << 20;

/// A temporary file, which is removed unless it is kept. It has a name from the start, so that even
/// a kill or a crash loses nothing.
pub struct Spool {
    file: NamedTempFile,
}

impl Spool {
    /// Creates the file in the current folder, where it is easy to find, or else in the folder for
    /// temporary files.
    pub fn create() -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("localstore-output-").suffix(".log");
        let folder = std::env::temp_dir();
        let file = std::env::current_dir()
            .and_then(|here| builder.tempfile_in(here))
            .or_else(|_| builder.tempfile_in(&folder))
            .map_err(|error| Error::file(&folder, &error))?;
        Ok(Self { file })
    }

    /// The file, rewound to its beginning.
    pub fn read(&mut self) -> Result<&File> {
        let path = self.file.path().to_owned();
        self.file
            .rewind()
            .map_err(|error| Error::file(&path, &error))?;
        Ok(self.file.as_file())
    }

    /// Keeps the file and returns its path; `None` if it is empty and therefore removed.
    pub fn keep(self) -> Result<Option<PathBuf>> {
        let path = self.file.path().to_owned();
        let failed = |error: io::Error| Error::file(&path, &error);
        let length = self.file.as_file().metadata().map_err(failed)?.len();
        if length == 0 {
            return Ok(None);
        }
        let (file, path) = self.file.keep().map_err(|e| failed(e.error))?;
        // Even without a sync the file exists.
        let _ = file.sync_all();
        Ok(Some(path))
    }
}

/// Passes output on, byte for byte and without delay, and spools it. If a stream fails, the other
/// one and the spool continue.
///
/// In the spool, a message of standard error waits for an empty line of standard output, such as
/// LocalScore prints before and after each document: inside a document it would corrupt it.
pub struct Tee<'a> {
    out: &'a mut Stdout,
    spool: &'a mut Spool,
    /// The unfinished line of standard output.
    line: Vec<u8>,
    /// Whether standard output is at its beginning or follows an empty line.
    between: bool,
    /// Standard error held back until an empty line.
    held: Vec<u8>,
    /// Errors, after which a stream gets no more output.
    out_failed: Option<Error>,
    err_failed: bool,
    spool_failed: Option<Error>,
}

impl<'a> Tee<'a> {
    /// Passes to `out` and to stderr, and into the spool.
    pub fn new(out: &'a mut Stdout, spool: &'a mut Spool) -> Self {
        Self {
            out,
            spool,
            line: Vec::new(),
            between: true,
            held: Vec::new(),
            out_failed: None,
            err_failed: false,
            spool_failed: None,
        }
    }

    /// Passes on a piece of standard output.
    pub fn stdout(&mut self, bytes: &[u8]) {
        if self.out_failed.is_none() {
            self.out_failed = self.out.pass(bytes).err();
        }
        self.keep_lines(bytes);
    }

    /// Passes on a piece of standard error.
    pub fn stderr(&mut self, bytes: &[u8]) {
        if !self.err_failed {
            self.err_failed = Stderr::pass(bytes).is_err();
        }
        self.held.extend_from_slice(bytes);
        if self.line.is_empty() && self.between {
            self.keep_held();
        }
        if self.held.len() > MAX_HELD {
            let held = std::mem::take(&mut self.held);
            self.keep(&held);
        }
    }

    /// Ends both streams. Returns the error of the spool, or else of standard output; a closed pipe
    /// or terminal is not an error.
    pub fn finish(mut self) -> Result<()> {
        for rest in [
            std::mem::take(&mut self.line),
            std::mem::take(&mut self.held),
        ] {
            self.keep(&rest);
        }
        if let Some(error) = self.spool_failed {
            return Err(error);
        }
        match self.out_failed {
            Some(error) if !error.is_closed_pipe() && !self.out.is_terminal() => Err(error),
            _ => Ok(()),
        }
    }

    /// Spools whole lines, and after the first empty one what was held back.
    fn keep_lines(&mut self, bytes: &[u8]) {
        let end = line_end(bytes);
        let (whole, rest) = bytes.split_at(end);
        self.line.extend_from_slice(whole);
        let lines = std::mem::take(&mut self.line);
        if end == 0 && lines.len() + rest.len() <= MAX_HELD {
            self.line = lines;
            self.line.extend_from_slice(rest);
            return;
        }
        let mut done = 0;
        if !self.held.is_empty()
            && let Some(gap) = end_of_empty_line(&lines)
        {
            self.keep(&lines[..gap]);
            self.keep_held();
            done = gap;
        }
        self.keep(&lines[done..]);
        self.between = ends_with_empty_line(&lines);
        self.line.extend_from_slice(rest);
    }

    /// Spools the whole lines of what was held back: an unfinished one, such as the colour code that
    /// ends LocalScore's banners, would hide the line that follows it.
    fn keep_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        let end = line_end(&held);
        self.keep(&held[..end]);
        held.drain(..end);
        self.held = held;
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.spool_failed.is_none() {
            let kept = self.spool.file.write_all(bytes);
            let path = self.spool.file.path();
            self.spool_failed = kept.err().map(|error| Error::file(path, &error));
        }
    }
}

/// The end of the last whole line of the text.
fn line_end(text: &[u8]) -> usize {
    memchr::memrchr(b'\n', text).map_or(0, |newline| newline + 1)
}

/// The end of the first empty line of a text that begins with a new line.
fn end_of_empty_line(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'\n') {
        return Some(1);
    }
    memchr::memmem::find(text, b"\n\n").map(|at| at + 2)
}

/// Whether the text ends with an empty line.
fn ends_with_empty_line(text: &[u8]) -> bool {
    text == b"\n" || text.ends_with(b"\n\n")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// What the spool holds of these pieces; those of standard error begin with `!`.
    fn spooled(pieces: &[&str]) -> String {
        let mut out = Stdout::lock();
        let mut spool = Spool {
            file: NamedTempFile::new().unwrap(),
        };
        let mut tee = Tee::new(&mut out, &mut spool);
        // Prints nothing.
        tee.out_failed = Some(Error::stdout(&io::ErrorKind::BrokenPipe.into()));
        tee.err_failed = true;
        for piece in pieces {
            match piece.strip_prefix('!') {
                Some(piece) => tee.stderr(piece.as_bytes()),
                None => tee.stdout(piece.as_bytes()),
            }
        }
        tee.finish().unwrap();
        let mut text = String::new();
        spool.read().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_message_waits_for_an_empty_line() {
        let cases: [(&[&str], &str); 8] = [
            (&["!m\n", "a\n"], "m\na\n"),
            (&["a", "!m\n", "b\n", "c\n"], "ab\nc\nm\n"),
            (&["a\n", "!m\n", "b\n\nc\n"], "a\nb\n\nm\nc\n"),
            (&["a\n", "!m\n", "b\n", "\n", "c\n"], "a\nb\n\nm\nc\n"),
            (&["a\n\n", "!m\n", "c\n"], "a\n\nm\nc\n"),
            (&["a\n\n", "!l\nm", "c\n", "!n\n"], "a\n\nl\nc\nmn\n"),
            (&["a\n", "\nb", "!m\n"], "a\n\nbm\n"),
            (&["a", "b", "c"], "abc"),
        ];
        for (pieces, text) in cases {
            assert_eq!(spooled(pieces), text, "{pieces:?}");
        }
    }
}

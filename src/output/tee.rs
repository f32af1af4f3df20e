//! What another program prints, on its way to our own streams and into a file.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::{Stderr, Stdout};
use crate::error::{Error, Result};

/// An unfinished line that is longer than this is written as it stands.
const MAX_LINE: usize = 1 << 20;

/// A text on disk, which goes away unless it is kept. It has a name all the while, so that even a
/// kill or a crash loses nothing.
pub struct Spool {
    file: NamedTempFile,
}

impl Spool {
    /// Makes the file: in the current folder, where it is found again, else in that for temporary
    /// files.
    pub fn create() -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("localstore-output-").suffix(".log");
        let folder = std::env::temp_dir();
        let file = builder
            .tempfile_in(".")
            .or_else(|_| builder.tempfile_in(&folder))
            .map_err(|error| Error::file(&folder, &error))?;
        Ok(Self { file })
    }

    /// The text, from its beginning.
    pub fn read(&mut self) -> Result<&File> {
        let path = self.file.path().to_owned();
        self.file
            .rewind()
            .map_err(|error| Error::file(&path, &error))?;
        Ok(self.file.as_file())
    }

    /// Leaves the file where it is, and tells where; `None` if it is empty and was removed.
    pub fn keep(self) -> Result<Option<PathBuf>> {
        let path = self.file.path().to_owned();
        let failed = |error: &io::Error| Error::file(&path, error);
        let length = self
            .file
            .as_file()
            .metadata()
            .map_err(|e| failed(&e))?
            .len();
        if length == 0 {
            return Ok(None);
        }
        let (file, path) = self.file.keep().map_err(|e| failed(&e.error))?;
        // As safe as it can be; what cannot be synced is there all the same.
        let _ = file.sync_all();
        Ok(Some(path))
    }
}

/// Passes output on, byte for byte as it comes, and spools it. A stream that fails does not stop
/// the other, nor the spool.
pub struct Tee<'a> {
    out: &'a mut Stdout,
    spool: &'a mut Spool,
    /// The unfinished lines of the two streams: the spool takes whole lines, since a message in the
    /// midst of a line would spoil a document.
    lines: [Vec<u8>; 2],
    failures: [Option<io::Error>; 3],
}

/// The places in [`Tee::failures`].
const STDOUT: usize = 0;
const STDERR: usize = 1;
const SPOOL: usize = 2;

impl<'a> Tee<'a> {
    /// Between these.
    pub fn new(out: &'a mut Stdout, spool: &'a mut Spool) -> Self {
        Self {
            out,
            spool,
            lines: [Vec::new(), Vec::new()],
            failures: [None, None, None],
        }
    }

    /// Takes what came on standard output.
    pub fn stdout(&mut self, bytes: &[u8]) {
        if self.failures[STDOUT].is_none() {
            self.failures[STDOUT] = self.out.pass(bytes).err();
        }
        self.keep_lines(STDOUT, bytes);
    }

    /// Takes what came on standard error.
    pub fn stderr(&mut self, bytes: &[u8]) {
        if self.failures[STDERR].is_none() {
            self.failures[STDERR] = Stderr::pass(bytes).err();
        }
        self.keep_lines(STDERR, bytes);
    }

    /// Ends both streams. The error is that of the spool, else that of standard output; a reader
    /// that has gone is none.
    pub fn finish(mut self) -> Result<()> {
        for stream in [STDOUT, STDERR] {
            let line = std::mem::take(&mut self.lines[stream]);
            self.keep_bytes(&line);
        }
        let [out, _, spool] = self.failures;
        if let Some(error) = spool {
            return Err(Error::file(self.spool.file.path(), &error));
        }
        match out.map(|error| Error::stdout(&error)) {
            Some(error) if !error.is_closed_pipe() => Err(error),
            _ => Ok(()),
        }
    }

    fn keep_lines(&mut self, stream: usize, bytes: &[u8]) {
        let end = memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1);
        let (whole, rest) = bytes.split_at(end);
        let mut line = std::mem::take(&mut self.lines[stream]);
        if !whole.is_empty() {
            self.keep_bytes(&line);
            self.keep_bytes(whole);
            line.clear();
        }
        line.extend_from_slice(rest);
        if line.len() > MAX_LINE {
            self.keep_bytes(&line);
            line.clear();
        }
        self.lines[stream] = line;
    }

    fn keep_bytes(&mut self, bytes: &[u8]) {
        if self.failures[SPOOL].is_none() {
            self.failures[SPOOL] = self.spool.file.write_all(bytes).err();
        }
    }
}

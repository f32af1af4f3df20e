//! The text in which runs are looked for, read in a stream.

use std::io::{self, Read};

/// A run's document that is larger than this is none.
pub const MAX_DOCUMENT: usize = 16 << 20;

/// The least room that a read is given; the buffer grows with the documents.
const CHUNK: usize = 16 << 10;

/// What has been read of the text and not been used yet.
pub struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where the unread part of the buffer begins, and where it ends.
    start: usize,
    end: usize,
    /// The line on which it begins, from 1.
    line: u64,
    ended: bool,
    /// How much was read.
    length: u64,
    pause: bool,
}

impl<R: Read> Input<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            line: 1,
            ended: false,
            length: 0,
            pause: false,
        }
    }

    /// What can be looked at.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The line on which the unread part begins, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Makes the next read fail once with [`io::ErrorKind::WouldBlock`] before it waits for more.
    pub fn pause_before_reading(&mut self) {
        self.pause = true;
    }

    /// The end of the line at `from`, its newline included; the end of the text ends it too.
    pub fn line_end(&mut self, from: usize) -> io::Result<Option<usize>> {
        let mut searched = from;
        loop {
            let unread = self.unread();
            if let Some(step) = memchr::memchr(b'\n', &unread[searched..]) {
                return Ok(Some(searched + step + 1));
            }
            searched = unread.len();
            if searched > MAX_DOCUMENT || !self.fill()? {
                return Ok((searched > from).then_some(searched));
            }
        }
    }

    /// Is done with the first `length` bytes.
    pub fn consume(&mut self, length: usize) {
        self.line += newlines(&self.unread()[..length]);
        self.start += length;
    }

    /// Reads more; false at the end.
    pub fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if std::mem::take(&mut self.pause) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // What has been used makes room once it is the larger part.
        if self.start > self.end - self.start {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < CHUNK {
            let size = (2 * self.buffer.len()).max(2 * CHUNK);
            self.buffer.resize(size, 0);
        }
        let read = loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += read;
        self.length += read as u64;
        self.ended = read == 0;
        Ok(!self.ended)
    }
}

/// The number of newlines.
pub fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

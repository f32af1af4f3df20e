//! The text of a capture, read as a stream.
//!
//! Logs put a prefix before each line: a time stamp, the name of a container, a quotation mark. Once
//! a [`Prefix`] is set, it is stripped from each line. So the buffer has two parts: the stripped
//! text and, after it, raw lines, which are stripped one by one.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::prefix::Prefix;

/// Larger documents are refused.
pub(super) const MAX_DOCUMENT: usize = 16 << 20;

/// The smallest buffer for a read; the buffer grows with the documents.
const CHUNK: usize = 64 << 10;

/// Longer lines are stripped and handed over in pieces.
const LONGEST_PIECE: usize = 1 << 20;

/// The part of the text that has been read and not consumed yet.
pub(super) struct Input<'a> {
    reader: Box<dyn Read + 'a>,
    buffer: Vec<u8>,
    /// The range of the unread text, stripped of prefixes.
    start: usize,
    end: usize,
    /// The range of the raw lines; empty without a prefix.
    raw: usize,
    filled: usize,
    prefix: Option<Prefix>,
    /// The unread lines that have been stripped.
    lines: VecDeque<StrippedLine>,
    line: u64,
    consumed: u64,
    ended: bool,
    pause: bool,
}

/// A line, or the rest of one, while a prefix was set.
struct StrippedLine {
    /// Its length without the prefix.
    length: usize,
    /// The prefix that it had, which is empty once it is consumed.
    prefix: Option<Vec<u8>>,
}

impl<'a> Input<'a> {
    pub(super) fn new(reader: impl Read + 'a) -> Self {
        Self {
            reader: Box::new(reader),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            raw: 0,
            filled: 0,
            prefix: None,
            lines: VecDeque::new(),
            line: 1,
            consumed: 0,
            ended: false,
            pause: false,
        }
    }

    /// The unread text, as far as it has been read from the source.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The line number of the beginning of the unread text, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The number of bytes consumed, including prefixes.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Makes the next read from the source fail once with [`io::ErrorKind::WouldBlock`].
    pub(super) fn pause_before_reading(&mut self) {
        self.pause = true;
    }

    /// Whether a prefix is set.
    pub(super) fn has_prefix(&self) -> bool {
        self.prefix.is_some()
    }

    /// The prefix that the first unread line had.
    pub(super) fn stripped(&self) -> Option<&[u8]> {
        self.lines.front()?.prefix.as_deref()
    }

    /// Sets the prefix that is stripped from the unread lines on.
    pub(super) fn set_prefix(&mut self, prefix: Option<Prefix>) {
        self.restore();
        self.prefix = prefix;
        if self.prefix.is_none() {
            self.raw = self.filled;
            self.end = self.filled;
        }
    }

    /// Restores the prefixes of the unread text, which becomes raw again.
    fn restore(&mut self) {
        if self.prefix.is_none() {
            self.raw = self.start;
            self.end = self.start;
            return;
        }
        let mut text = Vec::new();
        let mut rest = &self.buffer[self.start..self.end];
        for line in self.lines.drain(..) {
            let (this, others) = rest.split_at(line.length);
            text.extend(line.prefix.unwrap_or_default());
            text.extend_from_slice(this);
            rest = others;
        }
        if text.len() > self.raw {
            self.buffer.splice(0..self.raw, text.iter().copied());
            self.filled += text.len() - self.raw;
            self.raw = text.len();
        }
        let begin = self.raw - text.len();
        self.buffer[begin..self.raw].copy_from_slice(&text);
        (self.start, self.end, self.raw) = (begin, begin, begin);
    }

    /// The end of the line at `from`, including its newline; the end of the text if there is none,
    /// or any place beyond the size limit of a document. `None` if there is no text at `from`.
    pub(super) fn line_end(&mut self, from: usize) -> io::Result<Option<usize>> {
        self.line_end_within(from, MAX_DOCUMENT)
    }

    /// As [`Self::line_end`], with another size limit.
    pub(super) fn line_end_within(
        &mut self,
        from: usize,
        most: usize,
    ) -> io::Result<Option<usize>> {
        let mut searched = from;
        loop {
            let unread = self.unread();
            if let Some(step) = memchr::memchr(b'\n', &unread[searched..]) {
                return Ok(Some(searched + step + 1));
            }
            searched = unread.len();
            if searched > most || !self.fill()? {
                return Ok((searched > from).then_some(searched));
            }
        }
    }

    /// Removes the first `length` bytes of the unread text.
    pub(super) fn consume(&mut self, length: usize) {
        self.line += newlines(&self.unread()[..length]);
        self.start += length;
        self.consumed += length as u64;
        let mut left = length;
        while left > 0
            && let Some(line) = self.lines.front_mut()
        {
            if let Some(prefix) = &mut line.prefix {
                self.consumed += std::mem::take(prefix).len() as u64;
            }
            let used = left.min(line.length);
            left -= used;
            line.length -= used;
            if line.length == 0 {
                self.lines.pop_front();
            }
        }
    }

    /// Extends the unread text; returns false at the end.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        if self.prefix.is_none() {
            let more = self.read()?;
            self.end = self.filled;
            self.raw = self.filled;
            return Ok(more);
        }
        let mut searched = self.raw;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[searched..self.filled]);
            let end = found.map_or(self.filled, |step| searched + step + 1);
            if found.is_some() || self.ended || end - self.raw > LONGEST_PIECE {
                let more = end > self.raw;
                self.strip_line(end);
                return Ok(more);
            }
            let before = self.raw;
            self.read()?;
            searched = end - before + self.raw;
        }
    }

    /// Moves the raw line with this end to the unread text, without its prefix.
    fn strip_line(&mut self, end: usize) {
        if end == self.raw {
            return;
        }
        let line = &self.buffer[self.raw..end];
        let found = self.prefix.as_ref().and_then(|prefix| prefix.length(line));
        let begin = self.raw + found.unwrap_or(0);
        self.lines.push_back(StrippedLine {
            length: end - begin,
            prefix: found.map(|length| line[..length].to_vec()),
        });
        self.buffer.copy_within(begin..end, self.end);
        self.end += end - begin;
        self.raw = end;
    }

    /// Reads more from the source into the buffer; returns false at the end.
    fn read(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if std::mem::take(&mut self.pause) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.buffer.len() - self.filled < CHUNK {
            self.make_room();
        }
        let read = loop {
            match self.reader.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.filled += read;
        self.ended = read == 0;
        Ok(!self.ended)
    }

    /// Moves both parts to the beginning of the buffer, and enlarges it if there is too little room.
    fn make_room(&mut self) {
        let used = self.filled - (self.raw - self.end) - self.start;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.buffer.copy_within(self.raw..self.filled, self.end);
        self.raw = self.end;
        self.filled = used;
        if self.buffer.len() - used < CHUNK.max(used / 4) {
            let size = (used + used / 2).max(4 * CHUNK);
            self.buffer.resize(size, 0);
        }
    }
}

/// The number of newlines.
pub(super) fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives three bytes at a time.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(3);
            self.0.read(&mut buffer[..length])
        }
    }

    fn next_line(input: &mut Input<'_>) -> String {
        let end = input.line_end(0).unwrap().unwrap_or(0);
        let line = String::from_utf8_lossy(&input.unread()[..end]).into_owned();
        input.consume(end);
        line
    }

    #[test]
    fn lines_come_without_a_prefix_from_where_it_is_set_to_where_it_is_taken_back() {
        let text = b"> a\n> b\nc\n> d\n> e\n> f\n> g\nlast";
        let mut input = Input::new(Slowly(text));
        assert_eq!(next_line(&mut input), "> a\n");
        input.line_end(0).unwrap();
        input.set_prefix(Some(Prefix::new(b"> ")));
        input.line_end(0).unwrap();
        assert_eq!(input.stripped(), Some(&b"> "[..]));
        assert_eq!(next_line(&mut input), "b\n");
        assert_eq!(next_line(&mut input), "c\n");
        assert_eq!(input.line(), 4);
        // The unread text stays the same.
        let end = input.line_end(0).unwrap().unwrap();
        input.line_end(end).unwrap();
        assert_eq!(input.unread(), b"d\ne\n");
        input.set_prefix(None);
        assert_eq!(next_line(&mut input), "> d\n");
        assert_eq!(next_line(&mut input), "> e\n");
        input.set_prefix(Some(Prefix::new(b"> ")));
        assert_eq!(next_line(&mut input), "f\n");
        assert_eq!(next_line(&mut input), "g\n");
        assert_eq!(next_line(&mut input), "last");
        assert_eq!(next_line(&mut input), "");
        assert_eq!(input.consumed(), text.len() as u64);
    }
}

//! Passes on what the agent prints, and keeps its lines.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

use base::process::SILENCE;
use base::{Error, note};

use super::queue::Queue;
use crate::model::Time;
use crate::place::{Folder, private_file};
use crate::secrets::Masker;

/// The longest line that is read; a longer one is only passed on.
pub(super) const LONGEST: usize = 64 << 20;

/// The number of pieces of output that are read ahead.
const AHEAD: usize = 16;

/// Passes output on until it ends, or until nothing has come for a while after `has_ended` was set:
/// what the agent left behind may hold the pipe.
pub(super) fn pass(
    output: impl Read + Send + 'static,
    ours: Option<File>,
    mut lines: Lines,
    has_ended: &AtomicBool,
) {
    let (sender, pieces) = sync_channel(AHEAD);
    std::thread::spawn(move || read(output, &sender));
    let mut ours = Ours(ours);
    let mut was_ended = false;
    while let Some(piece) = next(&pieces, has_ended, &mut was_ended) {
        // Whatever was passed on is there for a repair.
        lines.take(&piece, Time::now());
        ours.pass(&piece);
    }
    lines.end(Time::now());
}

fn read(mut output: impl Read, sender: &SyncSender<Vec<u8>>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match output.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
            Ok(length) => {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        }
    }
}

fn next(
    pieces: &Receiver<Vec<u8>>,
    has_ended: &AtomicBool,
    was_ended: &mut bool,
) -> Option<Vec<u8>> {
    loop {
        match pieces.recv_timeout(SILENCE) {
            Ok(piece) => return Some(piece),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if *was_ended => return None,
            // What it printed last may still be on its way.
            Err(RecvTimeoutError::Timeout) => *was_ended = has_ended.load(Ordering::Acquire),
        }
    }
}

/// Our standard output; none once it has failed. That never stops the recording.
struct Ours(Option<File>);

impl Ours {
    fn pass(&mut self, piece: &[u8]) {
        let Some(file) = &mut self.0 else {
            return;
        };
        if let Err(error) = file.write_all(piece) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                let why = base::reason(&error);
                note(&format!("standard output: {why}; the recording goes on"));
            }
            self.0 = None;
        }
    }
}

/// Cuts output into lines, masks them, appends them to `events.jsonl` and queues them.
pub(super) struct Lines {
    line: Vec<u8>,
    /// The longest line that is read.
    longest: usize,
    /// Whether the line that goes on is too long.
    is_skipped: bool,
    was_told: bool,
    masker: Masker,
    events: Option<Events>,
    queue: Arc<Queue>,
}

impl Lines {
    pub(super) fn new(events: Option<Events>, queue: Arc<Queue>) -> Self {
        Self {
            line: Vec::new(),
            longest: LONGEST,
            is_skipped: false,
            was_told: false,
            masker: Masker::default(),
            events,
            queue,
        }
    }

    pub(super) fn take(&mut self, piece: &[u8], arrived: Time) {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.extend(&rest[..end]);
            self.finish(arrived);
            rest = &rest[end + 1..];
        }
        self.extend(rest);
    }

    /// The last line may have no newline.
    pub(super) fn end(&mut self, arrived: Time) {
        if !self.line.is_empty() {
            self.finish(arrived);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.line.len() + bytes.len() > self.longest {
            self.is_skipped = true;
            self.line = Vec::new();
        }
        if !self.is_skipped {
            self.line.extend_from_slice(bytes);
        }
    }

    fn finish(&mut self, arrived: Time) {
        if std::mem::take(&mut self.is_skipped) {
            if !std::mem::replace(&mut self.was_told, true) {
                note("lines of more than 64 MiB are passed on, but not read");
            }
            return;
        }
        let line = std::mem::take(&mut self.line);
        let masked = match self.masker.line(&line) {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(masked) => Some(masked),
        };
        let line = masked.unwrap_or(line);
        let place = self.keep(&line);
        self.queue.push(line, place, arrived);
    }

    /// Appends the line to `events.jsonl`; where it is there. After a failure nothing more is kept: a
    /// file with gaps would mislead a repair.
    fn keep(&mut self, line: &[u8]) -> Option<(u64, u64)> {
        match self.events.as_mut()?.append(line) {
            Ok(place) => Some(place),
            Err(error) => {
                note(&format!("{error}; the agent's lines are no longer kept"));
                self.events = None;
                None
            }
        }
    }
}

/// `events.jsonl`, at its end.
pub(super) struct Events {
    file: File,
    path: PathBuf,
    end: u64,
}

impl Events {
    /// Opens it for more lines.
    pub(super) fn open(folder: &Folder) -> base::Result<Self> {
        let path = folder.events();
        let open = || {
            let mut file = private_file(&path, false)?;
            let mut end = file.metadata()?.len();
            if end > 0 && !ends_with_newline(&path)? {
                file.write_all(b"\n")?;
                end += 1;
            }
            Ok((file, end))
        };
        let (file, end) = open().map_err(|error: io::Error| Error::file(&path, &error))?;
        Ok(Self { file, path, end })
    }

    /// Appends a line and its newline; the place of both.
    pub(super) fn append(&mut self, line: &[u8]) -> base::Result<(u64, u64)> {
        let from = self.end;
        let to = from + line.len() as u64 + 1;
        let newline = b"\n";
        let written = if line.len() < 64 << 10 {
            self.file.write_all(&[line, newline].concat())
        } else {
            self.file
                .write_all(line)
                .and_then(|()| self.file.write_all(newline))
        };
        if let Err(error) = written {
            // Half a line is none.
            let _ = self.file.set_len(from);
            return Err(Error::file(&self.path, &error));
        }
        self.end = to;
        Ok((from, to))
    }
}

/// Whether the last line is whole. That of a recorder that was killed need not be.
fn ends_with_newline(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::queue::{Next, Waiting};
    use super::*;

    /// The lines that are queued of these pieces.
    fn queued(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let queue = Arc::new(Queue::default());
        let mut lines = Lines::new(None, Arc::clone(&queue));
        lines.longest = 8;
        let now = Time::now();
        for piece in pieces {
            lines.take(piece, now);
        }
        lines.end(now);
        queue.close();
        let mut found = Vec::new();
        while let Next::Waiting(Waiting::Line(line, _)) = queue.next(None) {
            found.push(line);
        }
        found
    }

    #[test]
    fn lines_are_cut_wherever_the_pieces_end() {
        let wanted = vec![b"one".to_vec(), Vec::new(), b"two".to_vec()];
        assert_eq!(queued(&[b"one\n\ntwo"]), wanted);
        assert_eq!(queued(&[b"o", b"ne", b"\n", b"\nt", b"wo\n"]), wanted);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_next_one_is_not() {
        assert_eq!(queued(&[b"aaaa", b"aaaa\nb\n"]), [&b"aaaaaaaa"[..], b"b"]);
        assert_eq!(queued(&[b"aaaa", b"aaaaa", b"a\nb\n"]), [b"b"]);
    }
}

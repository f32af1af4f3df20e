//! Standard output and standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(windows)]
use std::sync::{Mutex, PoisonError};

use crate::command::runnable;
#[cfg(windows)]
use crate::console::Decoder;
use crate::error::{Error, Result};
use crate::screen::{Screen, Style};
use crate::text::printable;

/// Whether colour is wanted, by the rule of the C tool: unless `NO_COLOR` is set to a value that is
/// not empty and does not begin with `0`.
#[must_use]
pub fn color_wanted() -> bool {
    match std::env::var_os("NO_COLOR") {
        None => true,
        Some(value) => matches!(value.as_encoded_bytes().first(), None | Some(b'0')),
    }
}

/// Whether the program was started with its standard output closed.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Checks whether standard output is open. Must be called before Rust opens another file in its
/// place.
#[cfg(unix)]
pub extern "C" fn check_stdout_is_open() {
    let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
    IS_CLOSED.store(flags == Err(rustix::io::Errno::BADF), Ordering::Relaxed);
}

fn check_open() -> io::Result<()> {
    if IS_CLOSED.load(Ordering::Relaxed) {
        return Err(io::Error::other("it is closed"));
    }
    Ok(())
}

/// Standard output, buffered. Text for a terminal is made printable, line by line; a file or a pipe
/// gets every byte unchanged.
pub struct Stdout {
    inner: io::BufWriter<io::StdoutLock<'static>>,
    is_terminal: bool,
    line: Vec<u8>,
    /// Whether [`Stdout::pass`] has failed; the caller has the error.
    lost: bool,
    /// What is printed, kept for the pager until the next flush.
    paged: Option<Vec<u8>>,
    #[cfg(windows)]
    decoder: Decoder,
}

impl Stdout {
    /// Locks standard output.
    #[must_use]
    pub fn lock() -> Self {
        let stdout = io::stdout();
        #[cfg(windows)]
        if stdout.is_terminal() {
            crate::console::obeys_escapes();
        }
        Self {
            is_terminal: stdout.is_terminal(),
            inner: io::BufWriter::with_capacity(64 * 1024, stdout.lock()),
            line: Vec::new(),
            lost: false,
            paged: None,
            #[cfg(windows)]
            decoder: Decoder::new(),
        }
    }

    /// What is printed until the next flush goes through the pager if the terminal is shorter.
    pub fn page(&mut self) {
        if self.is_terminal {
            self.paged = Some(Vec::new());
        }
    }

    /// Whether it is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// What people read it on.
    #[must_use]
    pub fn screen(&self) -> Screen {
        let size = terminal_size::terminal_size_of(io::stdout());
        Screen::of(self.is_terminal, size.map(|(width, _)| width.0))
    }

    /// Writes our own text, which may contain colours, unfiltered.
    pub fn styled(&mut self, text: &[u8]) -> Result<()> {
        check_open()
            .and_then(|()| self.end_line())
            .and_then(|()| self.put(text))
            .map_err(|error| Error::stdout(&error))
    }

    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        match &mut self.paged {
            Some(paged) => paged.extend_from_slice(text),
            None => self.inner.write_all(text)?,
        }
        Ok(())
    }

    /// Passes on the output of another program without delay: every byte unchanged, but for what a console cannot
    /// show.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<()> {
        #[cfg(windows)]
        let text = self.is_terminal.then(|| self.decoder.decode(bytes));
        #[cfg(windows)]
        let bytes = text.as_ref().map_or(bytes, String::as_bytes);
        let passed = check_open()
            .and_then(|()| self.inner.write_all(bytes))
            .and_then(|()| self.inner.flush());
        self.lost = passed.is_err();
        passed.map_err(|error| Error::stdout(&error))
    }

    /// Prints a note for people on stderr, after everything printed so far.
    pub fn note(&mut self, text: &str) {
        // A failure is reported at the end of the command, and then what the note is about is not seen.
        if self.flush().is_ok() {
            note(text);
        }
    }

    /// Flushes everything. Must be called at the end, since a drop cannot report an error.
    pub fn finish(&mut self) -> Result<()> {
        if self.lost {
            return Ok(());
        }
        Ok(self.flush()?)
    }

    fn write_printable(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check_open()?;
        if !self.is_terminal {
            return self.inner.write(bytes);
        }
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            match part.split_last() {
                Some((b'\n', rest)) => {
                    self.line.extend_from_slice(rest);
                    self.end_line()?;
                    self.put(b"\n")?;
                }
                _ => self.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    fn end_line(&mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.put(printable(&String::from_utf8_lossy(&line)).as_bytes())?;
        }
        Ok(())
    }
}

/// An I/O error that holds an [`Error`], into which `?` turns it back.
fn wrapped(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), Error::stdout(error))
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_printable(bytes).map_err(|error| wrapped(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end_line()
            .and_then(|()| match self.paged.take() {
                Some(paged) if !crate::pager::show(&paged) => self.inner.write_all(&paged),
                _ => Ok(()),
            })
            .and_then(|()| self.inner.flush())
            .map_err(|error| wrapped(&error))
    }
}

/// Standard error, unbuffered: notes and errors.
pub struct Stderr;

impl Stderr {
    /// What people read it on.
    #[must_use]
    pub fn screen() -> Screen {
        let stderr = io::stderr();
        let size = terminal_size::terminal_size_of(&stderr);
        Screen::of(stderr.is_terminal(), size.map(|(width, _)| width.0))
    }

    /// Prints the lines, and ignores a failure, which could not be reported anywhere.
    pub fn print(lines: &str) {
        let _ = io::stderr().lock().write_all(lines.as_bytes());
    }

    /// Prints a line for people, made printable and folded at words.
    pub fn line(text: &str) {
        Self::print(&(Self::screen().fold(&printable(text)) + "\n"));
    }

    /// Prints an error, unless it is that the reader has closed our output.
    pub fn error(error: &Error) {
        if !error.is_closed_pipe() {
            let screen = Self::screen();
            let lines = error.lines();
            let folded = lines.lines().map(|line| screen.fold(line) + "\n");
            Self::print(&folded.collect::<String>());
        }
    }

    /// Like [`Stdout::pass`].
    pub(crate) fn pass(bytes: &[u8]) -> io::Result<()> {
        #[cfg(windows)]
        let text = io::stderr().is_terminal().then(|| {
            static DECODER: Mutex<Decoder> = Mutex::new(Decoder::new());
            let mut decoder = DECODER.lock().unwrap_or_else(PoisonError::into_inner);
            decoder.decode(bytes)
        });
        #[cfg(windows)]
        let bytes = text.as_ref().map_or(bytes, String::as_bytes);
        io::stderr().lock().write_all(bytes)
    }
}

/// Prints a note for people on stderr: `localstore: TEXT`.
pub fn note(text: &str) {
    let screen = Stderr::screen();
    let note = screen.fold(&format!("localstore: {}", printable(&runnable(text))));
    let lines = note
        .lines()
        .map(|line| screen.paint(Style::Dim, line) + "\n");
    Stderr::print(&lines.collect::<String>());
}

//! The error type, the exit status of commands and the texts of I/O errors.
//!
//! An error is one line, `WHAT: WHY`, with an optional hint.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::command::runnable;
use crate::text::printable;

/// The result of every fallible function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error message, and a hint what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
    hint: Option<String>,
    is_closed_pipe: bool,
}

/// The exit status of a command that has printed its errors, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// There was no error.
    Success,
    /// An error was printed.
    Failure,
    /// This exit code, such as that of a program we ran.
    Code(u8),
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Success => Self::SUCCESS,
            ExitStatus::Failure => Self::FAILURE,
            ExitStatus::Code(code) => code.into(),
        }
    }
}

impl Error {
    /// An error of the form `WHAT: WHY`.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::plain(format_args!("{what}: {why}"))
    }

    /// An error without a reason.
    pub fn plain(what: impl fmt::Display) -> Self {
        Self {
            message: what.to_string(),
            hint: None,
            is_closed_pipe: false,
        }
    }

    /// An invalid argument, in the words of the C tool.
    pub fn invalid_parameter(argument: impl fmt::Display) -> Self {
        Self::new("invalid parameter for", argument)
    }

    /// A failure to read or write the file at `path`.
    #[must_use]
    pub fn file(path: &Path, error: &io::Error) -> Self {
        let folder = path.parent();
        let has_folder = || folder.is_none_or(|at| at.as_os_str().is_empty() || at.is_dir());
        if error.kind() == io::ErrorKind::NotFound && has_folder() {
            return Self::new(path.display(), "no such file");
        }
        // Windows does not say that it is one.
        if cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied && path.is_dir() {
            return Self::new(path.display(), "is a directory");
        }
        Self::new(path.display(), reason(error))
    }

    /// A failure to write to standard output.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        // Windows has two numbers for it, of which Rust knows one: the other is ERROR_PIPE_NOT_CONNECTED.
        let is_disconnected = cfg!(windows) && error.raw_os_error() == Some(233);
        Self {
            is_closed_pipe: error.kind() == io::ErrorKind::BrokenPipe || is_disconnected,
            ..Self::new("standard output", reason(error))
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the reader of our output has closed it.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        self.is_closed_pipe
    }

    /// The lines for stderr.
    #[must_use]
    pub fn lines(&self) -> String {
        let message = printable(&self.message);
        match &self.hint {
            None => format!("localstore: {message}\n"),
            Some(hint) => format!(
                "localstore: {message}\nhint: {}\n",
                printable(&runnable(hint))
            ),
        }
    }
}

/// An I/O error from [`Stdout`](crate::Stdout) or from a file that we write holds an [`Error`], which
/// is returned unchanged, even if it passed through a csv or JSON writer.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        error
            .downcast::<Self>()
            .unwrap_or_else(|error| Self::plain(reason(&error)))
    }
}

impl From<csv::Error> for Error {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => error.into(),
            kind => Self::plain(format!("{kind:?}")),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// An I/O error in plain words, without the number of the system's error.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    // A library may have put words of its own behind the number.
    let (text, number) = text.split_once(" (os error ").unwrap_or((&text, ""));
    if let Some(words) = words_of_unix(number).filter(|_| cfg!(windows)) {
        return words.to_owned();
    }
    // Windows ends its messages with a full stop.
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

/// Windows words its errors in the language of its user. What is common reads the same on every system, for
/// scripts and for those who are asked to help.
fn words_of_unix(number: &str) -> Option<&'static str> {
    let number = number.split(')').next()?.parse().ok()?;
    Some(match io::Error::from_raw_os_error(number).kind() {
        io::ErrorKind::AddrInUse => "address already in use",
        io::ErrorKind::AlreadyExists => "file exists",
        io::ErrorKind::BrokenPipe => "broken pipe",
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by peer",
        io::ErrorKind::DirectoryNotEmpty => "directory not empty",
        io::ErrorKind::IsADirectory => "is a directory",
        io::ErrorKind::NotADirectory => "not a directory",
        io::ErrorKind::NotFound => "no such file or directory",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::StorageFull => "no space left on device",
        io::ErrorKind::TimedOut => "connection timed out",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_is_shown_without_its_number() {
        let error = Error::file(Path::new("x.json"), &io::Error::from_raw_os_error(2));
        assert_eq!(error.lines(), "localstore: x.json: no such file\n");
    }

    #[test]
    fn control_characters_of_a_name_are_shown_not_sent() {
        let error = Error::new("a\x1b[2J\nb", "bad");
        assert_eq!(error.lines(), "localstore: a\\x1b[2J\\nb: bad\n");
    }

    #[test]
    fn a_closed_pipe_is_recognised_behind_the_writers() {
        let closed = || {
            let error = io::Error::from(io::ErrorKind::BrokenPipe);
            io::Error::new(error.kind(), Error::stdout(&error))
        };
        assert!(Error::from(closed()).is_closed_pipe());
        assert!(Error::from(csv::Error::from(closed())).is_closed_pipe());
        assert!(Error::from(serde_json::Error::io(closed())).is_closed_pipe());
        assert!(!Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_closed_pipe());
    }
}

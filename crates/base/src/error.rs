//! The error type, the exit codes and the one printer of errors.
//!
//! An error is one line, `WHAT: WHY`, and where there is something to do, a hint.

use std::fmt;
use std::io;
use std::path::Path;

/// Result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
    hint: Option<String>,
    kind: Kind,
}

/// What the caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Anything that ends the command with exit code 1.
    Failure,
    /// The same, but all that there is to say has been said.
    Reported,
    /// A program that we ran failed with this exit code, and has said so itself.
    Exit(u8),
    /// The reader of our output has gone: nobody is left to tell.
    ClosedPipe,
}

impl Error {
    /// An error that says `WHAT: WHY`.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::plain(format_args!("{what}: {why}"))
    }

    /// An error that needs no reason.
    pub fn plain(what: impl fmt::Display) -> Self {
        Self {
            message: what.to_string(),
            hint: None,
            kind: Kind::Failure,
        }
    }

    /// An error whose parts have each been printed already.
    #[must_use]
    pub fn reported() -> Self {
        Self {
            kind: Kind::Reported,
            ..Self::plain("")
        }
    }

    /// The failure of a program that we ran, whose exit code becomes ours.
    #[must_use]
    pub fn exit(code: u8) -> Self {
        Self {
            kind: Kind::Exit(code),
            ..Self::plain("")
        }
    }

    /// A wrong argument, in the words of the C tool.
    pub fn invalid_parameter(argument: impl fmt::Display) -> Self {
        Self::new("invalid parameter for", argument)
    }

    /// A failure to read or write the file at `path`.
    #[must_use]
    pub fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(path.display(), Reason(error))
    }

    /// A failure to write to standard output.
    #[must_use]
    pub fn stdout(error: &io::Error) -> Self {
        Self {
            kind: if error.kind() == io::ErrorKind::BrokenPipe {
                Kind::ClosedPipe
            } else {
                Kind::Failure
            },
            ..Self::new("standard output", Reason(error))
        }
    }

    /// A failure of the csv writer on standard output: a closed pipe is hidden in it.
    #[must_use]
    pub fn csv(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => Self::stdout(&error),
            kind => Self::new("standard output", format!("{kind:?}")),
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the reader of our output has gone.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        self.kind == Kind::ClosedPipe
    }

    /// The exit code: 1 for any failure, as in the C tool; that of a program that we ran; 0 if only
    /// the reader has gone.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failure | Kind::Reported => 1,
            Kind::Exit(code) => code,
            Kind::ClosedPipe => 0,
        }
    }

    /// The lines for stderr; `None` if there is nothing to say.
    #[must_use]
    pub fn lines(&self) -> Option<String> {
        if self.kind != Kind::Failure {
            return None;
        }
        let mut lines = format!("localstore: {}\n", one_line(&self.message));
        if let Some(hint) = &self.hint {
            lines.push_str("hint: ");
            lines.push_str(&one_line(hint));
            lines.push('\n');
        }
        Some(lines)
    }
}

/// An I/O error in plain words, without the number of the system's error.
struct Reason<'a>(&'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut chars = text.chars();
        if let Some(first) = chars.next() {
            write!(f, "{}{}", first.to_lowercase(), chars.as_str())?;
        }
        Ok(())
    }
}

/// An I/O error in plain words, for a longer message.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    Reason(error).to_string()
}

/// The text with every control character escaped: an error quotes names that came from outside.
fn one_line(text: &str) -> String {
    crate::text::printable(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_reads_without_its_number() {
        let error = Error::file(Path::new("x.json"), &io::Error::from_raw_os_error(2));
        assert_eq!(
            error.lines().unwrap(),
            "localstore: x.json: no such file or directory\n"
        );
    }

    #[test]
    fn control_characters_of_a_name_are_shown_not_sent() {
        let error = Error::new("a\x1b[2J\nb", "bad");
        assert_eq!(error.lines().unwrap(), "localstore: a\\x1b[2J\\nb: bad\n");
    }
}

//! Standard input that a person types on.

use std::io::{self, BufRead, IsTerminal};

use crate::error::{Error, Result};
use crate::streams::note;

/// Whether a person would see a question and can answer it.
#[must_use]
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Reads the answer to a question.
pub fn answered_yes() -> Result<bool> {
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Error::new("standard input", error))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Says how to end what is about to be typed, if standard input is a terminal.
pub fn note_typed_input() {
    if io::stdin().is_terminal() {
        note(if cfg!(windows) {
            "reading from the terminal; Ctrl-Z and Enter end"
        } else {
            "reading from the terminal; Ctrl-D ends"
        });
    }
}

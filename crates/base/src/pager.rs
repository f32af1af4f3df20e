//! The pager, as git has one: for output that is longer than the terminal.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::process::{self, leave_interrupt};

/// Shows the text in the pager. Returns false if no pager is wanted or found: then the caller
/// prints the text.
pub(crate) fn show(text: &[u8]) -> bool {
    let size = terminal_size::terminal_size_of(io::stdout());
    let height = size.map_or(usize::MAX, |(_, height)| height.0.into());
    // A prompt comes below.
    memchr::memchr_iter(b'\n', text).count() >= height && shown(text)
}

fn shown(text: &[u8]) -> bool {
    let Some(mut pager) = pager() else {
        return false;
    };
    if std::env::var_os("LESS").is_none() {
        pager.env("LESS", "FRX");
    }
    let Ok(mut pager) = pager.stdin(Stdio::piped()).spawn() else {
        return false;
    };
    // Ctrl-C is the pager's.
    leave_interrupt();
    if let Some(mut stdin) = pager.stdin.take() {
        // Who has seen enough ends the pager.
        let _ = stdin.write_all(text);
    }
    // A shell that finds no such program says so, and returns one of these.
    let code = pager.wait().ok().and_then(|status| status.code());
    !matches!(code, Some(126 | 127))
}

/// The pager that the environment names, else `less`; `None` if it is none, or no help to this
/// terminal.
fn pager() -> Option<Command> {
    let named = ["LOCALSTORE_PAGER", "PAGER"]
        .into_iter()
        .find_map(std::env::var_os);
    match named {
        Some(line) => command(line),
        None if std::env::var_os("TERM").is_none_or(|term| term == "dumb") => None,
        None => Some(process::command("less")),
    }
}

/// The command of a line; a shell reads it if it is more than words.
fn command(line: OsString) -> Option<Command> {
    let is_plain = |c: char| cfg!(windows) || c.is_alphanumeric() || " -_./+,:=%@".contains(c);
    let Some(words) = line.to_str().filter(|line| line.chars().all(is_plain)) else {
        let mut shell = process::command("sh");
        shell.arg("-c").arg(line);
        return Some(shell);
    };
    let mut words = words.split_whitespace();
    let mut command = process::command(words.next()?);
    command.args(words);
    Some(command)
}

//! The console of Windows.

use std::io;
use std::sync::LazyLock;

use crossterm_winapi::{ConsoleMode, Handle};

/// The mode of a screen that obeys escape sequences instead of printing them.
const ESCAPES: u32 = 0x0004;

/// Whether the console obeys escape sequences, which it has to be told, once: both streams lead to its screen.
/// Those before Windows 10 cannot.
pub(crate) fn obeys_escapes() -> bool {
    static OBEYS: LazyLock<bool> = LazyLock::new(|| switch_on().is_ok());
    *OBEYS
}

fn switch_on() -> io::Result<()> {
    let screen = ConsoleMode::from(Handle::current_out_handle()?);
    let mode = screen.mode()?;
    if mode & ESCAPES == 0 {
        screen.set_mode(mode | ESCAPES)?;
    }
    Ok(())
}

/// Makes text of another program's output, piece by piece: the console takes nothing else.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The beginning of a character, whose end is in the next piece.
    rest: Vec<u8>,
}

impl Decoder {
    pub(crate) const fn new() -> Self {
        Self { rest: Vec::new() }
    }

    /// The text of a piece, in which each invalid byte sequence is replaced.
    pub(crate) fn decode(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&bytes) {
            Ok(_) => bytes.len(),
            Err(_) => bytes.len() - unfinished(&bytes),
        };
        self.rest = bytes.split_off(whole);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The length of the character at the end that has only begun.
fn unfinished(bytes: &[u8]) -> usize {
    let Some(last) = bytes.utf8_chunks().last() else {
        return 0;
    };
    let begun = last.invalid();
    // Only more bytes can make it valid.
    let is_open = std::str::from_utf8(begun).is_err_and(|error| error.error_len().is_none());
    if is_open { begun.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_does_not_depend_on_the_pieces_and_other_bytes_are_replaced() {
        for bytes in [
            "tok/s \u{2501} \u{1f600}".as_bytes(),
            b"caf\xe9 \xff\xe2\x94",
            b"\xe2\x28\xa1",
        ] {
            let mut decoder = Decoder::new();
            let mut text: String = bytes.iter().map(|byte| decoder.decode(&[*byte])).collect();
            text.push_str(&String::from_utf8_lossy(&decoder.rest));
            assert_eq!(text, String::from_utf8_lossy(bytes));
        }
    }
}

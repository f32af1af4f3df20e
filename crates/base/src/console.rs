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

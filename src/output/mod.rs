//! What people see: standard output, colours, tables. Everything that the program prints goes
//! through here.

mod file;
mod progress;
pub mod score;
mod table;
mod tee;
mod terminal;

pub use file::{Existing, replace_atomically, write_atomically};
pub use progress::Progress;
pub use table::{Column, Table, WIDEST, markdown, shortened};
pub use tee::{Spool, Tee};
#[cfg(unix)]
pub use terminal::look_whether_stdout_is_closed;
pub use terminal::{Stderr, Stdout, color_wanted, note, printable, printable_bytes};

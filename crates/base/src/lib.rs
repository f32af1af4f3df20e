//! The foundation of every crate: errors, the two output streams, tables and rows, numbers and
//! times, files, processes.

#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

pub mod number;
pub mod process;
pub mod rows;
pub mod time;

mod ask;
mod command;
#[cfg(windows)]
mod console;
mod error;
mod file;
mod pager;
mod progress;
mod records;
mod screen;
mod streams;
mod table;
mod tee;
mod text;

pub use ask::{answered_yes, can_ask, note_typed_input};
pub use command::{set_command_options, shell_word};
pub use error::{Error, ExitStatus, Result, reason};
pub use file::{
    Existing, Identity, first_line, identity, is_at, permissions_of_a_new_file, persist,
    refuse_reserved_name, replace_atomically, sync, sync_folder, write_atomically,
};
pub use progress::Progress;
pub use records::Records;
pub use rows::RowFormat;
pub use screen::{Screen, Style};
#[cfg(unix)]
pub use streams::check_stdout_is_open;
pub use streams::{Stderr, Stdout, color_wanted, note};
pub use table::{Column, ColumnOf, Markup, Table, WIDEST, markdown, shortened};
pub use tee::{Spool, Tee};
pub use text::{counted, cut, fold, one_line, printable};

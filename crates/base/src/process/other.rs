//! Systems without the terminals and signals of Unix: pipes, and no signal is caught.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::SyncSender;

use super::{Event, Source, Stream, wait};

/// Nothing has a size here.
pub struct Windows;

/// Gives the program a pipe for each stream.
pub fn connect(command: &mut Command) -> io::Result<(Vec<Source>, Windows)> {
    let (out, to_out) = io::pipe()?;
    let (err, to_err) = io::pipe()?;
    command.stdout(to_out).stderr(to_err);
    let sources: Vec<Source> = vec![(Stream::Out, Box::new(out)), (Stream::Err, Box::new(err))];
    Ok((sources, Windows))
}

/// Waits for the program.
pub fn supervise(child: Child, _: Windows, sender: SyncSender<Event>) {
    std::thread::spawn(move || wait(child, &sender));
}

/// Nobody can tell.
pub fn is_readable<T>(_: T) -> bool {
    false
}

/// There are no signals.
pub fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Does nothing: what was read so far is in a file with a name.
pub fn outlive_interrupt() {}

/// They have ended us all the time.
pub fn end_on_interrupt() {}

/// No signal is caught.
pub struct Interrupt;

impl Interrupt {
    /// Catches nothing.
    #[must_use]
    pub fn catch() -> Self {
        Self
    }

    /// None ever comes.
    #[must_use]
    pub fn came(&self) -> bool {
        false
    }

    /// Does nothing.
    pub fn obey(&self) {}
}

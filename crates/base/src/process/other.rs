//! Systems without the terminals and signals of Unix: only pipes, and no signal handlers.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::SyncSender;

use super::{Event, Source, Stop, Stream, wait};

/// Nothing to resize: the streams are pipes.
pub(crate) struct Windows;

/// Gives the program a pipe for each stream.
pub(crate) fn connect(command: &mut Command) -> io::Result<(Vec<Source>, Windows)> {
    let (out, to_out) = io::pipe()?;
    let (err, to_err) = io::pipe()?;
    command.stdout(to_out).stderr(to_err);
    let sources: Vec<Source> = vec![(Stream::Out, Box::new(out)), (Stream::Err, Box::new(err))];
    Ok((sources, Windows))
}

/// Waits for the program.
pub(crate) fn supervise(child: Child, _: Windows, sender: SyncSender<Event>) {
    std::thread::spawn(move || wait(child, &sender));
}

/// Always false: this system has no readiness check.
pub fn is_readable<T>(_: T) -> bool {
    false
}

/// Always `None`: this system has no signals.
pub(crate) fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// No-op: the output read so far is in a named file.
pub fn outlive_interrupt() {}

/// No-op: the default handlers terminate.
pub fn leave_interrupt() {}

/// No-op: the default handlers terminate.
pub fn end_on_interrupt() {}

/// No signal is caught.
pub struct Interrupt;

impl Interrupt {
    /// Returns at once.
    #[must_use]
    pub fn catch() -> Self {
        Self
    }

    /// Always false.
    #[must_use]
    pub fn came(&self) -> bool {
        false
    }

    /// No-op.
    pub fn obey(&self) {}
}

/// No-op: there are no groups of processes.
pub(crate) fn new_group(_: &mut Command) {}

/// Ends the child, whatever was asked: this system has no signals.
pub(crate) fn stop(child: &mut Child, _: Stop) {
    let _ = child.kill();
}

/// Waits for the end of the child.
pub(crate) fn wait_without_reaping(_: u32) -> bool {
    false
}

//! Terminals and signals.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use super::{Event, Source, Stop, Stream, wait};

/// Whether a read would return without blocking, with data or at the end.
pub fn is_readable(input: impl AsFd) -> bool {
    let mut inputs = [PollFd::new(&input, PollFlags::IN)];
    poll(&mut inputs, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// The terminals that the program prints to, which follow the size of ours.
pub(crate) struct Terminals(Vec<OwnedFd>);

impl Terminals {
    fn resize(&self) {
        let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stderr()));
        if let Ok(size) = size {
            for terminal in &self.0 {
                let _ = tcsetwinsize(terminal, size);
            }
        }
    }
}

/// Gives the program a terminal or a pipe for each stream, matching ours; a single one for both if
/// ours lead to the same place, which preserves their order.
pub(crate) fn connect(command: &mut Command) -> io::Result<(Vec<Source>, Terminals)> {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let mut sources: Vec<Source> = Vec::new();
    let mut terminals = Terminals(Vec::new());
    let mut open = |stream, ours: BorrowedFd| -> io::Result<OwnedFd> {
        let (reader, writer) = if ours.is_terminal() {
            let (reader, writer) = terminal()?;
            terminals.0.push(reader.try_clone()?);
            (reader, writer)
        } else {
            let (reader, writer) = io::pipe()?;
            (reader.into(), writer.into())
        };
        sources.push((stream, Box::new(File::from(reader))));
        Ok(writer)
    };
    let out = open(Stream::Out, stdout.as_fd())?;
    let err = if place(stdout.as_fd())? == place(stderr.as_fd())? {
        out.try_clone()?
    } else {
        open(Stream::Err, stderr.as_fd())?
    };
    command.stdout(out).stderr(err);
    terminals.resize();
    Ok((sources, terminals))
}

/// The identity of a stream: device and inode.
fn place(stream: BorrowedFd) -> io::Result<[u64; 3]> {
    let file = File::from(stream.try_clone_to_owned()?).metadata()?;
    Ok([file.dev(), file.ino(), file.rdev()])
}

/// A terminal: the end that we read and the end to print to. It is in raw mode, since our own
/// terminal processes the output.
fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let reader = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    rustix::io::fcntl_setfd(&reader, FdFlags::CLOEXEC)?;
    rustix::pty::grantpt(&reader)?;
    rustix::pty::unlockpt(&reader)?;
    let name = rustix::pty::ptsname(&reader, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let writer = rustix::fs::open(name, flags, Mode::empty())?;
    let mut settings = tcgetattr(&writer)?;
    settings.make_raw();
    tcsetattr(&writer, OptionalActions::Now, &settings)?;
    Ok((reader, writer))
}

/// Waits for the program. Signals that the terminal sends to the whole group (Ctrl-C, Ctrl-\) are
/// ignored; signals sent only to us are passed on.
///
/// Must be called after the start, so that the program inherits the signals that we ignore, for
/// example under nohup.
pub(crate) fn supervise(child: Child, terminals: Terminals, sender: SyncSender<Event>) {
    match Signals::new([SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH]) {
        Ok(signals) => {
            std::thread::spawn(move || {
                let _ = sender.send(Event::Ended(attend(child, signals, &terminals)));
            });
        }
        Err(_) => {
            std::thread::spawn(move || wait(child, &sender));
        }
    }
}

fn attend(mut child: Child, mut signals: Signals, terminals: &Terminals) -> io::Result<ExitStatus> {
    // It may have ended before the signals were registered.
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    let pass_on = |child: &Child, signal| {
        // The process id is not reused until it is waited for, which only happens here.
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    };
    for signal in signals.forever() {
        match signal {
            SIGCHLD => {
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
            }
            SIGTERM => pass_on(&child, Signal::TERM),
            SIGHUP => pass_on(&child, Signal::HUP),
            SIGWINCH => {
                terminals.resize();
                // Our terminal has sent the signal too, perhaps before the resize.
                pass_on(&child, Signal::WINCH);
            }
            _ => {}
        }
    }
    child.wait()
}

/// The signal that ended the program.
pub(crate) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// From now on, neither the first Ctrl-C nor a closed terminal terminates us: they end the program
/// before us in the pipe, and its output has yet to be stored. A second Ctrl-C terminates us.
pub fn outlive_interrupt() {
    let interrupted = Arc::new(AtomicBool::new(false));
    // The order matters: the first Ctrl-C must find the flag unset. If registration fails, the
    // default handlers stay.
    let _ = signal_hook::flag::register_conditional_default(SIGINT, Arc::clone(&interrupted));
    let _ = signal_hook::flag::register(SIGINT, interrupted);
    let _ = signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)));
}

/// From now on, Ctrl-C is left to the program that has the terminal.
pub fn leave_interrupt() {
    let _ = signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)));
}

/// Makes Ctrl-C and a termination request terminate us again, after a program has ended.
pub fn end_on_interrupt() {
    for signal in [SIGINT, SIGTERM] {
        let always = Arc::new(AtomicBool::new(true));
        // If registration fails, they are still ignored.
        let _ = signal_hook::flag::register_conditional_default(signal, always);
    }
}

/// Whether whoever started us has switched the signal off, as nohup does.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    is_ignored_by_status(signal).unwrap_or_else(|| is_ignored_by_trial(signal))
}

/// What the system tells; `None` where it does not tell that.
fn is_ignored_by_status(signal: i32) -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask & (1 << (signal - 1)) != 0)
}

/// A program ignores what the one that started it ignores: does a shell live after this signal?
fn is_ignored_by_trial(signal: i32) -> bool {
    let mut shell = super::command("/bin/sh");
    shell.args(["-c", &format!("kill -{signal} $$")]);
    shell.stdin(Stdio::null()).stdout(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}

/// Ctrl-C, a termination request or a closed terminal, deferred until the cleanup is done.
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// From now on, the first signal is only recorded; the second terminates us. If registration
    /// fails, the default handlers stay.
    #[must_use]
    pub fn catch() -> Self {
        let came = Arc::new(AtomicUsize::new(0));
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            let again = Arc::new(AtomicBool::new(false));
            let number = usize::try_from(signal).unwrap_or_default();
            let _ = signal_hook::flag::register_conditional_default(signal, Arc::clone(&again));
            let _ = signal_hook::flag::register(signal, again);
            let _ = signal_hook::flag::register_usize(signal, Arc::clone(&came), number);
        }
        Self(came)
    }

    /// Whether a signal was received.
    #[must_use]
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Terminates us by the signal received, if any, so that a shell sees it.
    pub fn obey(&self) {
        if let Ok(signal @ 1..) = i32::try_from(self.0.load(Ordering::Relaxed)) {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    }
}

/// A program that leads a process group of its own.
#[derive(Debug)]
pub(crate) struct Tree(Child);

impl Tree {
    /// Starts the program.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0).spawn().map(Self)
    }

    /// The program.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Signals the group. The program must not have been waited for.
    pub(crate) fn stop(&mut self, how: Stop) {
        let signal = match how {
            Stop::Interrupt => Signal::INT,
            Stop::Hangup => Signal::HUP,
            Stop::Terminate => Signal::TERM,
            Stop::Kill => Signal::KILL,
        };
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// No-op: what is left of the group goes on by itself.
    #[allow(clippy::unused_self, reason = "a job of Windows has to be told")]
    pub(crate) fn release(&mut self) {}
}

/// Waits until the child has ended, and leaves it to be waited for: until then its id stays its own.
/// False if that failed.
pub(crate) fn wait_without_reaping(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    loop {
        match waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            ended => return ended.is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_tells_what_the_system_tells() {
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let told = is_ignored_by_status(signal);
            assert!(told.is_none_or(|told| told == is_ignored_by_trial(signal)));
        }
    }
}

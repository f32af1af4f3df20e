//! Console events, and job objects.
//!
//! Ctrl-C and Ctrl-Break reach every program of a console, unless it leads a process group of its own. A
//! console that is closed, and a user who logs off, end all of them, and us: no handler can prevent that.

use std::io;
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use send_ctrlc::Interruptible;
use win32job::{ExtendedLimitInfo, Job};

use super::{Event, Source, Stop, Stream, wait};

/// The creation flag of a program that leads a process group of its own. It does not see Ctrl-C.
pub const NEW_PROCESS_GROUP: u32 = 0x200;

/// The exit code of a program that Ctrl-C has ended, as a shell of Unix tells it.
const INTERRUPTED: i32 = 130;

/// Nothing to resize: the streams are pipes.
pub(crate) struct Terminals;

/// Gives the program a pipe for each stream.
pub(crate) fn connect(command: &mut Command) -> io::Result<(Vec<Source>, Terminals)> {
    let (out, to_out) = io::pipe()?;
    let (err, to_err) = io::pipe()?;
    command.stdout(to_out).stderr(to_err);
    let sources: Vec<Source> = vec![(Stream::Out, Box::new(out)), (Stream::Err, Box::new(err))];
    Ok((sources, Terminals))
}

/// Waits for the program. Ctrl-C and Ctrl-Break, which it gets from the console as we do, are left to it.
pub(crate) fn supervise(child: Child, _: Terminals, sender: SyncSender<Event>) {
    set_next(Next::Ignored);
    std::thread::spawn(move || wait(child, &sender));
}

/// What the next Ctrl-C or Ctrl-Break does; both do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It terminates us.
    Ends,
    /// It is for another program.
    Ignored,
    /// It is recorded, and the one after it terminates us.
    Deferred,
    /// It is recorded, and so are all that follow.
    Recorded,
}

/// What the next one does, and whether one was recorded.
static EVENTS: Mutex<(Next, bool)> = Mutex::new((Next::Ends, false));

fn events() -> MutexGuard<'static, (Next, bool)> {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set_next(next: Next) {
    static HANDLED: Once = Once::new();
    *events() = (next, false);
    HANDLED.call_once(|| {
        // If that fails, each one terminates us as before.
        if let Err(error) = ctrlc::set_handler(handle) {
            tracing::debug!("Ctrl-C: {error}");
        }
    });
}

/// Runs in a thread of its own.
fn handle() {
    let mut events = events();
    match events.0 {
        Next::Ends => end(),
        Next::Ignored => {}
        Next::Deferred => *events = (Next::Ends, true),
        Next::Recorded => events.1 = true,
    }
}

#[allow(clippy::exit, reason = "nobody is left to return an error to")]
#[allow(clippy::disallowed_methods, reason = "the same")]
fn end() -> ! {
    std::process::exit(INTERRUPTED)
}

/// Always false: this system has no readiness check.
#[must_use]
pub fn is_readable<T>(_: T) -> bool {
    false
}

/// The signal that ended the program, as elsewhere: Ctrl-C is the only one.
pub(crate) fn signal(status: ExitStatus) -> Option<i32> {
    // STATUS_CONTROL_C_EXIT
    let is_interrupted = status.code().map(i32::cast_unsigned) == Some(0xC000_013A);
    is_interrupted.then_some(INTERRUPTED - 128)
}

/// From now on, the first Ctrl-C does not terminate us: it ends the program before us in the pipe, and its
/// output has yet to be stored. A second one terminates us.
pub fn outlive_interrupt() {
    set_next(Next::Deferred);
}

/// From now on, Ctrl-C is left to the program that has the console.
pub fn leave_interrupt() {
    set_next(Next::Ignored);
}

/// Makes Ctrl-C and Ctrl-Break terminate us again, after a program has ended.
pub fn end_on_interrupt() {
    set_next(Next::Ends);
}

/// Ctrl-C or Ctrl-Break, deferred until the cleanup is done.
pub struct Interrupt(());

impl Interrupt {
    /// From now on, the first one is only recorded; the second terminates us.
    #[must_use]
    pub fn catch() -> Self {
        set_next(Next::Deferred);
        Self(())
    }

    /// From now on, each one is only recorded, for [`Interrupt::take`].
    #[must_use]
    pub fn catch_all() -> Self {
        set_next(Next::Recorded);
        Self(())
    }

    /// Whether one was received.
    #[must_use]
    pub fn came(&self) -> bool {
        events().1
    }

    /// Whether one was received since the last call.
    #[must_use]
    pub fn take(&self) -> bool {
        std::mem::take(&mut events().1)
    }

    /// Terminates us, if one was received.
    pub fn obey(&self) {
        if self.came() {
            end();
        }
    }
}

/// A program with all that it starts: a job, whose processes end with us, however we end, and a process
/// group, which is what the console can send Ctrl-Break to.
#[derive(Debug)]
pub(crate) struct Tree {
    child: Child,
    /// `None` once it is closed, which ends its processes.
    job: Option<Job>,
}

impl Tree {
    /// Starts the program.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut limits = ExtendedLimitInfo::new();
        limits.limit_kill_on_job_close();
        let job = Job::create_with_limit_info(&limits).map_err(io::Error::from)?;
        let mut child = command.creation_flags(NEW_PROCESS_GROUP).spawn()?;
        // What it starts before this is not in the job; it has hardly been loaded by now.
        let assigned = job.assign_process(child.as_raw_handle() as isize);
        if let Err(error) = assigned {
            // One that has ended by itself needs no job.
            if !matches!(child.try_wait(), Ok(Some(_))) {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
        }
        Ok(Self {
            child,
            job: Some(job),
        })
    }

    /// The program.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Stops the program, and all that it started: by Ctrl-Break, which a program that does not handle it does
    /// not survive, or by force. Where there is no console, only force helps.
    pub(crate) fn stop(&mut self, how: Stop) {
        if how == Stop::Kill {
            // By itself it would leave the exit code 0.
            let _ = self.child.kill();
            self.job = None;
        } else if let Err(error) = Running(&mut self.child).terminate() {
            tracing::debug!("no Ctrl-Break: {error}");
        }
    }

    /// Lets what is left of the tree go on.
    pub(crate) fn release(&mut self) {
        if let Some(job) = self.job.take()
            && let Err(error) = job.set_extended_limit_info(&ExtendedLimitInfo::new())
        {
            tracing::debug!("{error}");
        }
    }
}

/// A child that leads a process group, so that Ctrl-Break reaches nobody else.
struct Running<'a>(&'a mut Child);

impl Interruptible for Running<'_> {
    fn pid(&mut self) -> io::Result<Option<u32>> {
        Ok(self.0.try_wait()?.is_none().then(|| self.0.id()))
    }
}

/// Always false: the caller asks again and again.
pub(crate) fn wait_without_reaping(_: u32) -> bool {
    false
}

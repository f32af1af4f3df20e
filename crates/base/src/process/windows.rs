//! Console events, and job objects.
//!
//! Ctrl-C and Ctrl-Break reach every program of a console, unless it leads a process group of its own. A
//! console that is closed, and a user who logs off, end all of them, and us: no handler can prevent that.

use std::io;
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;

use send_ctrlc::Interruptible;
use signal_hook::consts::SIGINT;
use signal_hook::low_level;
use win32job::{ExtendedLimitInfo, Job};

use super::{Event, Source, Stop, Stream, wait};

/// Ctrl-Break, which is what a termination request is elsewhere: the C library's number.
pub const SIGBREAK: i32 = 21;

/// The creation flag of a program that leads a process group of its own. It does not see Ctrl-C.
pub const NEW_PROCESS_GROUP: u32 = 0x200;

/// The exit code of a program that Ctrl-C has ended, as a shell of Unix has it.
const INTERRUPTED: i32 = 130;

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

/// Waits for the program. Ctrl-C and Ctrl-Break, which it gets from the console as we do, are left to it.
pub(crate) fn supervise(child: Child, _: Windows, sender: SyncSender<Event>) {
    ignore(&[SIGINT, SIGBREAK]);
    std::thread::spawn(move || wait(child, &sender));
}

/// From now on, these do not end us. If registration fails, they do as before.
fn ignore(signals: &[i32]) {
    for signal in signals {
        let _ = signal_hook::flag::register(*signal, Arc::new(AtomicBool::new(false)));
    }
}

/// Always false: this system has no readiness check.
#[must_use]
pub fn is_readable<T>(_: T) -> bool {
    false
}

/// Always `None`: no program is ended by a signal here.
pub(crate) fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// From now on, the first Ctrl-C does not terminate us: it ends the program before us in the pipe, and its
/// output has yet to be stored. A second one terminates us.
pub fn outlive_interrupt() {
    let interrupted = Arc::new(AtomicBool::new(false));
    end_if(SIGINT, &interrupted);
    let _ = signal_hook::flag::register(SIGINT, interrupted);
}

/// From now on, Ctrl-C is left to the program that has the console.
pub fn leave_interrupt() {
    ignore(&[SIGINT]);
}

/// Makes Ctrl-C and Ctrl-Break terminate us again, after a program has ended.
pub fn end_on_interrupt() {
    for signal in [SIGINT, SIGBREAK] {
        end_if(signal, &Arc::new(AtomicBool::new(true)));
    }
}

/// Terminates us at a signal that comes when the flag is set. If registration fails, it does so at once.
fn end_if(signal: i32, flag: &Arc<AtomicBool>) {
    let flag = Arc::clone(flag);
    let _ = signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, flag);
}

/// Ctrl-C or Ctrl-Break, deferred until the cleanup is done.
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// From now on, the first one is only recorded; the second terminates us. If registration fails, the
    /// default handlers stay.
    #[must_use]
    pub fn catch() -> Self {
        let came = Arc::new(AtomicUsize::new(0));
        for (number, signal) in [SIGINT, SIGBREAK].into_iter().enumerate() {
            let again = Arc::new(AtomicBool::new(false));
            end_if(signal, &again);
            let _ = signal_hook::flag::register(signal, again);
            let _ = signal_hook::flag::register_usize(signal, Arc::clone(&came), number + 1);
        }
        Self(came)
    }

    /// Whether one was received.
    #[must_use]
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Terminates us, if one was received.
    pub fn obey(&self) {
        if self.came() {
            low_level::exit(INTERRUPTED);
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
        // It takes longer to load than this: what it starts is in the job too.
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

/// Always false: nobody waits here, but asks.
pub(crate) fn wait_without_reaping(_: u32) -> bool {
    false
}

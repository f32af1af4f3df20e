//! A program with all that it starts, which can be stopped together.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::system;

/// How a program is asked to end. Where there are no signals, all of them kill it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// As Ctrl-C does.
    Interrupt,
    /// As a closed terminal does.
    Hangup,
    /// As `kill` does.
    Terminate,
    /// It has no choice.
    Kill,
}

/// A running program that leads a process group of its own. If it is dropped, the group is killed.
#[derive(Debug)]
pub struct Group {
    child: Child,
    ended: Receiver<()>,
    has_ended: bool,
    is_finished: bool,
}

impl Group {
    /// Starts the program.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        system::new_group(command);
        let child = command.spawn()?;
        let (sender, ended) = channel();
        let pid = child.id();
        std::thread::spawn(move || {
            if system::wait_without_reaping(pid) {
                let _ = sender.send(());
            }
        });
        Ok(Self {
            child,
            ended,
            has_ended: false,
            is_finished: false,
        })
    }

    /// The child, for its streams.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end of the program, at most this long. It is not waited for in the system's sense,
    /// so that what is left of its group can still be stopped.
    pub fn has_ended_within(&mut self, time: Duration) -> bool {
        if !self.has_ended {
            self.has_ended = match self.ended.recv_timeout(time) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                // Nobody waits for it in a thread: ask.
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(time.min(Duration::from_millis(50)));
                    matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
                }
            };
        }
        self.has_ended
    }

    /// Stops the program and all of its group.
    pub fn stop(&mut self, how: Stop) {
        system::stop(&mut self.child, how);
    }

    /// Waits for the program. What it left behind goes on, unless it was stopped before.
    pub fn finish(mut self) -> io::Result<ExitStatus> {
        while !self.has_ended_within(Duration::from_hours(1)) {}
        self.is_finished = true;
        self.child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its id may be that of another process by now.
        if self.is_finished {
            return;
        }
        system::stop(&mut self.child, Stop::Kill);
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;

    fn shell(script: &str) -> Group {
        let mut command = super::super::command("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        Group::start(&mut command).unwrap()
    }

    #[test]
    fn what_a_program_left_behind_ends_with_its_group() {
        let mut group = shell("sleep 600 & echo started");
        let mut output = group.child().stdout.take().unwrap();
        assert!(group.has_ended_within(Duration::from_mins(1)));
        group.stop(Stop::Kill);
        assert_eq!(group.finish().unwrap().code(), Some(0));
        // It ends when nobody has the pipe any more.
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "started\n");
    }

    #[test]
    fn a_signal_reaches_the_whole_group() {
        let mut group = shell("sleep 600 | sleep 600");
        group.stop(Stop::Terminate);
        assert!(group.has_ended_within(Duration::from_mins(1)));
        let status = group.finish().unwrap();
        assert_eq!(super::super::exit_code(status), 143);
    }
}

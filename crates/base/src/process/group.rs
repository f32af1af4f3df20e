//! A program with all that it starts, which can be stopped together.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::system::{Tree, wait_without_reaping};

/// How a program is asked to end. On Windows the first three are Ctrl-Break.
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

/// How often a program is looked at where nobody can wait for it.
const LOOK: Duration = Duration::from_millis(10);

/// A running program with all that it starts. If it is dropped, they are killed; on Windows also if we are.
#[derive(Debug)]
pub struct Group {
    tree: Tree,
    ended: Receiver<()>,
    has_ended: bool,
    is_finished: bool,
}

impl Group {
    /// Starts the program.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut tree = Tree::start(command)?;
        let (sender, ended) = channel();
        let pid = tree.child().id();
        std::thread::spawn(move || {
            if wait_without_reaping(pid) {
                let _ = sender.send(());
            }
        });
        Ok(Self {
            tree,
            ended,
            has_ended: false,
            is_finished: false,
        })
    }

    /// The child, for its streams.
    pub fn child(&mut self) -> &mut Child {
        self.tree.child()
    }

    /// Waits for the end of the program, at most this long. It is not waited for in the system's sense,
    /// so that what is left of its group can still be stopped.
    pub fn has_ended_within(&mut self, time: Duration) -> bool {
        if !self.has_ended {
            self.has_ended = match self.ended.recv_timeout(time) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => self.is_seen_to_end_within(time),
            };
        }
        self.has_ended
    }

    /// The same, where no thread waits for it.
    fn is_seen_to_end_within(&mut self, time: Duration) -> bool {
        let start = Instant::now();
        loop {
            if matches!(self.tree.child().try_wait(), Ok(Some(_)) | Err(_)) {
                return true;
            }
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    /// Stops the program and all of its group.
    pub fn stop(&mut self, how: Stop) {
        self.tree.stop(how);
    }

    /// Waits for the program. What it left behind goes on, unless it was stopped before.
    pub fn finish(mut self) -> io::Result<ExitStatus> {
        while !self.has_ended_within(Duration::from_hours(1)) {}
        self.is_finished = true;
        self.tree.release();
        self.tree.child().wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its id may be that of another process by now.
        if self.is_finished {
            return;
        }
        self.tree.stop(Stop::Kill);
        let _ = self.tree.child().wait();
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

#[cfg(all(test, windows))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{ChildStdin, ChildStdout, Stdio};

    /// This program again, which then is one of the tests that are ignored otherwise.
    fn program(test: &str) -> Command {
        let mut command = super::super::command(std::env::current_exe().unwrap());
        let name = format!("process::group::tests::{test}");
        command
            .args(["--ignored", "--exact", &name, "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    fn started(test: &str) -> (Group, ChildStdin, BufReader<ChildStdout>) {
        let mut group = Group::start(&mut program(test)).unwrap();
        let input = group.child().stdin.take().unwrap();
        let mut output = BufReader::new(group.child().stdout.take().unwrap());
        wait_for("started", &mut output);
        (group, input, output)
    }

    fn wait_for(word: &str, output: &mut impl BufRead) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "no '{word}'");
        }
    }

    fn say(text: &str) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).unwrap();
    }

    #[test]
    #[ignore = "a program for other tests"]
    fn reads_to_the_end() {
        say("started");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        say("the end");
    }

    #[test]
    #[ignore = "a program for other tests"]
    fn leaves_a_program_behind() {
        let mut left = program("reads_to_the_end");
        left.stdin(Stdio::inherit()).stdout(Stdio::inherit());
        assert!(left.spawn().unwrap().try_wait().unwrap().is_none());
    }

    #[test]
    #[ignore = "a program for other tests"]
    fn leads_a_group() {
        let mut led = program("reads_to_the_end");
        led.stdin(Stdio::inherit()).stdout(Stdio::inherit());
        Group::start(&mut led).unwrap().finish().unwrap();
    }

    #[test]
    fn what_a_program_left_behind_ends_with_its_group() {
        let (mut group, _input, mut output) = started("leaves_a_program_behind");
        assert!(group.has_ended_within(Duration::from_mins(1)));
        group.stop(Stop::Kill);
        assert_eq!(group.finish().unwrap().code(), Some(0));
        // It ends when nobody has the pipe any more.
        output.read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn a_program_that_is_killed_does_not_end_well() {
        let (mut group, _input, _output) = started("reads_to_the_end");
        group.stop(Stop::Kill);
        assert!(group.has_ended_within(Duration::from_mins(1)));
        assert_eq!(group.finish().unwrap().code(), Some(1));
    }

    #[test]
    fn a_group_ends_when_its_owner_is_killed() {
        let mut owner = program("leads_a_group").spawn().unwrap();
        let _input = owner.stdin.take();
        let mut output = BufReader::new(owner.stdout.take().unwrap());
        wait_for("started", &mut output);
        owner.kill().unwrap();
        owner.wait().unwrap();
        output.read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn what_is_not_stopped_goes_on_after_its_owner() {
        let (group, input, mut output) = started("leaves_a_program_behind");
        assert_eq!(group.finish().unwrap().code(), Some(0));
        drop(input);
        wait_for("the end", &mut output);
        output.read_to_end(&mut Vec::new()).unwrap();
    }
}

//! A suite of tests that a command runs.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::process::{self, Group, Stop};
use serde::Deserialize;

use super::report::Outcome;
use super::{Job, Limits, TICK};
use crate::repo;

/// The longest line of a suite that is read as its result, in bytes.
const LONGEST_LINE: usize = 1 << 20;

/// How long output is waited for after the end of a suite, if something outside of its process group
/// still holds its streams open.
const SILENCE: Duration = Duration::from_millis(500);

/// The exit code of a shell that did not find a command.
const NOT_FOUND: i32 = 127;

/// How long an interrupted suite may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// A suite of tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) name: String,
    /// For the shell.
    pub(crate) command: String,
}

impl std::str::FromStr for Suite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, command)) if !name.trim().is_empty() && !command.trim().is_empty() => {
                Ok(Self {
                    name: name.trim().to_owned(),
                    command: command.to_owned(),
                })
            }
            _ => Err("a name and a command for the shell: NAME=CMD".to_owned()),
        }
    }
}

/// What a suite may print as its last line.
#[derive(Deserialize)]
struct Counts {
    passed: u64,
    failed: u64,
    total: u64,
}

impl Suite {
    /// Runs the suite in the folder; `None` if it was interrupted.
    pub(crate) fn run(&self, folder: &Path, job: &Job<'_>, limits: &Limits) -> Option<Outcome> {
        let mut command = shell(&self.command);
        repo::leave_repository(&mut command);
        command
            .current_dir(folder)
            .env("LOCALSTORE_TRACE_PART", job.part.to_string())
            .env("LOCALSTORE_TRACE_COMMIT", job.commit)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        tracing::info!("part {}: {}", job.part, self.name);
        let mut group = match Group::start(&mut command) {
            Ok(group) => group,
            Err(error) => return Some(Outcome::error(base::reason(&error))),
        };
        let child = group.child();
        let out = child.stdout.take().map(|out| Output::follow(out, None));
        let err = child
            .stderr
            .take()
            .map(|err| Output::follow(err, Some(self.name.clone())));
        let end = wait(&mut group, limits);
        // What it left behind must not disturb the next one.
        group.stop(Stop::Kill);
        let status = group.finish();
        let last = out.map(Output::last_line).unwrap_or_default();
        drop(err.map(Output::last_line));
        match (end, status) {
            (End::Interrupted, _) => None,
            (End::TimedOut(time), _) => Some(Outcome::error(format!(
                "it did not end within {} s",
                time.as_secs_f64()
            ))),
            (End::Itself, Err(error)) => Some(Outcome::error(base::reason(&error))),
            (End::Itself, Ok(status)) => {
                if !status.success() {
                    tracing::info!("{}: {status}", self.name);
                }
                // An array could be read as the struct too.
                let is_object = last.starts_with(b"{");
                let counts = serde_json::from_slice::<Counts>(&last).ok();
                let outcome = counts.filter(|_| is_object).map_or_else(
                    || Outcome::of_exit(status.success()),
                    |counts| Outcome::of(counts.passed, counts.failed, counts.total),
                );
                Some(Outcome {
                    is_not_found: status.code() == Some(NOT_FOUND),
                    ..outcome
                })
            }
        }
    }
}

#[cfg(unix)]
fn shell(line: &str) -> Command {
    let mut command = process::command("sh");
    command.arg("-c").arg(line);
    command
}

#[cfg(windows)]
fn shell(line: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut command = process::command("cmd");
    // cmd has its own rules for quotes.
    command
        .args(["/D", "/S", "/C"])
        .raw_arg(format!("\"{line}\""));
    command
}

/// How a suite ended.
enum End {
    Itself,
    TimedOut(Duration),
    Interrupted,
}

fn wait(group: &mut Group, limits: &Limits) -> End {
    let started = Instant::now();
    loop {
        let left = limits
            .timeout
            .map(|time| time.saturating_sub(started.elapsed()));
        if group.has_ended_within(left.unwrap_or(TICK).min(TICK)) {
            return End::Itself;
        }
        if limits.is_stopped() {
            group.stop(Stop::Terminate);
            group.has_ended_within(GRACE);
            return End::Interrupted;
        }
        if let Some(time) = limits.timeout
            && left == Some(Duration::ZERO)
        {
            return End::TimedOut(time);
        }
    }
}

/// The output of a suite while it is read, of which the last line is kept.
struct Output {
    lines: Arc<Mutex<Lines>>,
    /// Disconnected at the end of the output.
    is_open: Receiver<()>,
}

impl Output {
    /// Reads in a thread. The lines are shown by `-v` if there is a name.
    fn follow(mut source: impl Read + Send + 'static, name: Option<String>) -> Self {
        let lines = Arc::new(Mutex::new(Lines::default()));
        let (sender, is_open) = channel();
        let filled = Arc::clone(&lines);
        std::thread::spawn(move || {
            let _open = sender;
            let mut buffer = vec![0; 64 << 10];
            loop {
                match source.read(&mut buffer) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                    Ok(length) => {
                        let mut lines = filled.lock().unwrap_or_else(PoisonError::into_inner);
                        lines.push(buffer.get(..length).unwrap_or_default(), name.as_deref());
                    }
                }
            }
        });
        Self { lines, is_open }
    }

    /// The last line that is not blank; empty if it is longer than a result can be.
    fn last_line(self) -> Vec<u8> {
        let _ = self.is_open.recv_timeout(SILENCE);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.end_line(None);
        lines.last.trim_ascii().to_vec()
    }
}

/// The last lines of a text that comes in pieces.
#[derive(Default)]
struct Lines {
    /// The last complete line that is not blank.
    last: Vec<u8>,
    /// The beginning of the next one.
    next: Vec<u8>,
    is_cut: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], name: Option<&str>) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.next.len());
            self.next
                .extend_from_slice(piece.get(..room).unwrap_or(piece));
            self.is_cut |= piece.len() > room;
            if piece.ends_with(b"\n") {
                self.end_line(name);
            }
        }
    }

    fn end_line(&mut self, name: Option<&str>) {
        let line = self.next.trim_ascii();
        let is_blank = line.is_empty();
        // A suite may print hundreds of megabytes that nobody looks at.
        if let Some(name) = name
            && tracing::enabled!(tracing::Level::INFO)
            && !is_blank
        {
            let text = String::from_utf8_lossy(line);
            let text = crate::secrets::text(&text);
            tracing::info!("{name}: {}", base::one_line(&text, 400));
        }
        if self.is_cut {
            self.last.clear();
        } else if !is_blank {
            std::mem::swap(&mut self.last, &mut self.next);
        }
        self.next.clear();
        self.is_cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn last_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut lines = Lines::default();
        pieces.into_iter().for_each(|piece| lines.push(piece, None));
        lines.end_line(None);
        lines.last.trim_ascii().to_vec()
    }

    proptest! {
        #[test]
        fn the_last_line_does_not_depend_on_the_pieces(text in "[ab \r\n]{0,40}", at in 0..40_usize) {
            let bytes = text.as_bytes();
            let (one, two) = bytes.split_at(at.min(bytes.len()));
            let expected = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
            prop_assert_eq!(last_of([one, two]), expected.as_bytes());
        }
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_and_is_no_result() {
        let mut lines = Lines::default();
        lines.push(b"{\"passed\":1}\n", None);
        for _ in 0..40 {
            lines.push(&vec![b'x'; 64 << 10], None);
        }
        assert!(lines.next.len() <= LONGEST_LINE);
        lines.end_line(None);
        assert_eq!(lines.last, b"");
    }

    #[test]
    fn a_suite_is_a_name_and_a_command() {
        let suite: Suite = "unit=make test A=1".parse().unwrap();
        assert_eq!(
            (suite.name.as_str(), suite.command.as_str()),
            ("unit", "make test A=1")
        );
        for bad in ["", "unit", "=true", " =true", "unit=", "unit= "] {
            assert!(bad.parse::<Suite>().is_err(), "{bad}");
        }
    }
}

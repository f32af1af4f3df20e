//! The process of an engine.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::process::{Group, Stop};
use base::{Error, Result, printable};

/// The last lines of an engine that are kept, and the bytes of each.
const LINES: usize = 20;
const LONGEST: usize = 2000;

/// How long an engine has to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// How often it is looked at while it ends.
const LOOK: Duration = Duration::from_millis(20);

/// The lines that an engine printed last.
type Tail = Arc<Mutex<VecDeque<String>>>;

/// An engine that runs. If it is dropped, its process group is killed.
pub(super) struct Process {
    group: Group,
    /// Where it listens, on loopback.
    pub(super) port: u16,
    tail: Tail,
    reader: JoinHandle<()>,
}

impl Process {
    /// Starts the engine on a free port, which stands for `${PORT}` in its arguments.
    pub(super) fn start(command: &[OsString]) -> io::Result<Self> {
        // Whoever takes the port before the engine does makes it fail; the next start takes another one.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let mut command = self_as_engine(command.iter().map(|word| with_port(word, port)));
        let (output, written) = io::pipe()?;
        // An address with a password, as a rule, which is the gateway's alone.
        command.env_remove("REDIS_URL");
        command
            .stdin(Stdio::null())
            .stdout(written.try_clone()?)
            .stderr(written);
        let group = Group::start(&mut command)?;
        // It has the write ends of the pipe.
        drop(command);
        let tail = Tail::default();
        let kept = Arc::clone(&tail);
        let reader = std::thread::spawn(move || keep_lines(output, &kept));
        Ok(Self {
            group,
            port,
            tail,
            reader,
        })
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.group.has_ended_within(Duration::ZERO)
    }

    /// Ends it, with all that it started: by a termination request, and if that does not help by force.
    pub(super) async fn stop(mut self) {
        self.group.stop(Stop::Terminate);
        let deadline = tokio::time::Instant::now() + GRACE;
        while !self.has_ended() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        self.group.stop(Stop::Kill);
        while !self.has_ended() {
            tokio::time::sleep(LOOK).await;
        }
        let _ = self.group.finish();
    }

    /// After its end: how it ended, and its last lines. What it left behind is killed.
    pub(super) async fn ended(mut self) -> (String, Vec<String>) {
        self.group.stop(Stop::Kill);
        let how = match self.group.finish() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        // Its last words may be on their way.
        for _ in 0..25 {
            if self.reader.is_finished() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        (how, lines(&self.tail))
    }

    /// Its last lines.
    pub(super) fn lines(&self) -> Vec<String> {
        lines(&self.tail)
    }
}

fn lines(tail: &Tail) -> Vec<String> {
    let tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    tail.iter().cloned().collect()
}

fn with_port(word: &OsStr, port: u16) -> OsString {
    match word.to_str() {
        Some(word) => word.replace("${PORT}", &port.to_string()).into(),
        // An argument that is not Unicode is a path, as a rule.
        None => word.to_owned(),
    }
}

/// Keeps the last lines of what the engine prints, none longer than a screen.
fn keep_lines(output: impl Read, tail: &Tail) {
    let mut line = Vec::new();
    for byte in BufReader::new(output).bytes() {
        let Ok(byte) = byte else {
            break;
        };
        if byte != b'\n' {
            if line.len() < LONGEST {
                line.push(byte);
            }
            continue;
        }
        keep(&mut line, tail);
    }
    if !line.is_empty() {
        keep(&mut line, tail);
    }
}

fn keep(line: &mut Vec<u8>, tail: &Tail) {
    let text = String::from_utf8_lossy(line);
    let text = printable(text.trim_end_matches('\r')).into_owned();
    line.clear();
    tracing::info!("engine: {text}");
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    if tail.len() == LINES {
        tail.pop_front();
    }
    tail.push_back(text);
}

/// The command of an engine that ends when this process is killed, as far as the system knows how: this
/// program again, which then becomes the engine.
#[cfg(target_os = "linux")]
fn self_as_engine(words: impl Iterator<Item = OsString>) -> Command {
    let mut command = base::process::command("/proc/self/exe");
    let parent = std::process::id().to_string();
    command.args(["agent", "--engine-of", &parent, "--"]);
    command.args(words);
    command
}

#[cfg(not(target_os = "linux"))]
fn self_as_engine(mut words: impl Iterator<Item = OsString>) -> Command {
    let mut command = base::process::command(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Becomes the engine that `parent` has started, and is killed with it. Returns only if that fails.
#[cfg(target_os = "linux")]
pub(crate) fn become_engine(parent: u32, words: &[OsString]) -> Result<std::convert::Infallible> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    use std::os::unix::process::CommandExt;

    let failed = |error: rustix::io::Errno| Error::new("cannot start", error);
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    // It may have been killed before.
    let is_there = getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent);
    if !is_there {
        return Err(Error::new("cannot start", "the agent has ended"));
    }
    let Some((program, words)) = words.split_first() else {
        return Err(Error::invalid_parameter("CMD"));
    };
    let error = base::process::command(program).args(words).exec();
    let program = Path::new(program);
    Err(Error::new(program.display(), base::reason(&error)))
}

#[cfg(target_os = "linux")]
use std::path::Path;

#[cfg(not(target_os = "linux"))]
pub(crate) fn become_engine(_: u32, _: &[OsString]) -> Result<std::convert::Infallible> {
    Err(Error::invalid_parameter("--engine-of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_none_is_long() {
        let tail = Tail::default();
        let mut output = Vec::new();
        for line in 0..LINES * 2 {
            output.extend_from_slice(format!("line {line}\r\n").as_bytes());
        }
        output.extend_from_slice(&vec![b'x'; LONGEST * 3]);
        output.extend_from_slice(b"\n\x1b[31mend");
        keep_lines(output.as_slice(), &tail);
        let lines = lines(&tail);
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0], format!("line {}", LINES + 2));
        assert_eq!(lines[LINES - 2].len(), LONGEST);
        assert!(!lines[LINES - 1].contains('\x1b'));
    }

    #[test]
    fn the_port_is_put_into_every_argument() {
        assert_eq!(with_port(OsStr::new("--at=${PORT},${PORT}"), 7), "--at=7,7");
        assert_eq!(with_port(OsStr::new("$PORT"), 7), "$PORT");
    }
}

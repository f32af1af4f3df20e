//! Runs another program and reads its output.
//!
//! Programs buffer output to a pipe in large pieces, which would hide questions and delay progress
//! messages. So if we print to a terminal, the program gets a terminal of its own; on Windows, a pipe.

mod group;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use group::{Group, Stop};
#[cfg(windows)]
pub use system::NEW_PROCESS_GROUP;
#[cfg(unix)]
pub use system::is_ignored;
pub use system::{Interrupt, end_on_interrupt, is_readable, leave_interrupt, outlive_interrupt};

/// How long to wait for more output after the program has ended, while a process that it left behind
/// still holds the streams open.
pub const SILENCE: Duration = Duration::from_millis(500);

/// The number of buffered pieces of output.
const QUEUE: usize = 16;

/// What no other program needs to know of our environment.
const SECRETS: [&str; 4] = [
    "LOCALSTORE_KEY",
    "LOCALSTORE_KEY_FILE",
    "LOCALSTORE_TOKEN",
    "LOCALSTORE_TOKEN_FILE",
];

/// A program to be started, without the secrets of our environment: those, and the keys of providers. Every
/// program is started by this.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if is_secret(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn is_secret(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let is_key = name.starts_with(b"EXTERNAL_") && name.ends_with(b"_KEY");
    is_key || SECRETS.iter().any(|secret| secret.as_bytes() == name)
}

/// An output stream of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output; both streams, if ours lead to the same place.
    Out,
    /// Standard error.
    Err,
}

/// An event of the program.
enum Event {
    Output(Stream, Vec<u8>),
    /// A stream has ended.
    Closed,
    Ended(io::Result<ExitStatus>),
}

/// A stream to read from.
type Source = (Stream, Box<dyn Read + Send>);

/// A running program.
pub struct Watched {
    events: Receiver<Event>,
    open: usize,
}

impl Watched {
    /// Starts the program with our own standard input. From then on, Ctrl-C is left to the program,
    /// and a termination request is passed on.
    pub fn start(program: &OsString, args: &[OsString]) -> io::Result<Self> {
        let mut command = command(program);
        command.args(args);
        let (sources, terminals) = system::connect(&mut command)?;
        let child = command.spawn()?;
        // The command holds the write ends of the streams.
        drop(command);
        let (sender, events) = sync_channel(QUEUE);
        let open = sources.len();
        system::supervise(child, terminals, sender.clone());
        for source in sources {
            let sender = sender.clone();
            std::thread::spawn(move || pump(source, &sender));
        }
        Ok(Self { events, open })
    }

    /// Passes the output to `output` as it arrives, until the program has ended.
    pub fn follow(mut self, mut output: impl FnMut(Stream, &[u8])) -> io::Result<ExitStatus> {
        let mut ended = None;
        loop {
            let event = match ended {
                Some(_) if self.open == 0 => None,
                Some(_) => self.events.recv_timeout(SILENCE).ok(),
                None => self.events.recv().ok(),
            };
            match event {
                Some(Event::Output(stream, bytes)) => output(stream, &bytes),
                Some(Event::Closed) => self.open -= 1,
                Some(Event::Ended(status)) => ended = Some(status),
                None => break,
            }
        }
        ended.unwrap_or_else(|| Err(io::Error::other("its exit status was lost")))
    }
}

/// The exit code of a program; as in a shell, 128 plus the number of the signal that killed it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> u8 {
    let signal = system::signal(status).map(|signal| signal + 128);
    let code = signal.or(status.code());
    // A larger code, which Windows allows, must not become 0.
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn pump((stream, mut source): Source, sender: &SyncSender<Event>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match source.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal returns an error when its other end is closed.
            Ok(0) | Err(_) => break,
            Ok(length) => {
                let event = Event::Output(stream, buffer[..length].to_vec());
                if sender.send(event).is_err() {
                    return;
                }
            }
        }
    }
    let _ = sender.send(Event::Closed);
}

/// Waits for the program, and reports its end.
fn wait(mut child: Child, sender: &SyncSender<Event>) {
    let _ = sender.send(Event::Ended(child.wait()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(windows)]
    #[test]
    fn a_program_that_ctrl_c_ended_was_interrupted() {
        use std::os::windows::process::ExitStatusExt;
        let code = |code| exit_code(ExitStatus::from_raw(code));
        assert_eq!(code(0xC000_013A), 130);
        assert_eq!(
            [code(0), code(3), code(256), code(0xC000_0005)],
            [0, 3, 1, 1]
        );
    }

    #[test]
    fn keys_and_tokens_are_kept_from_other_programs() {
        for name in [
            "LOCALSTORE_KEY",
            "LOCALSTORE_KEY_FILE",
            "LOCALSTORE_TOKEN",
            "LOCALSTORE_TOKEN_FILE",
            "EXTERNAL_OPENAI_KEY",
            "EXTERNAL_MY_CO_KEY",
        ] {
            assert!(is_secret(OsStr::new(name)), "{name}");
        }
        for name in [
            "PATH",
            "LOCALSTORE_DB",
            "EXTERNAL_OPENAI_URL",
            "OPENAI_API_KEY",
        ] {
            assert!(!is_secret(OsStr::new(name)), "{name}");
        }
    }
}

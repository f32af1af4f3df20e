//! Records an agent while it works.
//!
//! One thread passes its lines on and keeps them, one makes parts of them, one renews the bundle and one
//! writes the index; the agent waits for none of them.

mod bundles;
mod file;
mod journal;
mod lock;
mod pass;
mod queue;
mod rows;
mod supervise;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use base::process::{self, Group, exit_code};
use base::{Error, ExitStatus, Result, Stderr, note};
use db::Location;

use crate::model::{Artifacts, Checkpoint, Extra, Origin, Reason, Time, Trace};
use crate::place::{Folder, Root, private_folder};
use crate::repo::{Private, is_in_repository, require, write_bundle};
use crate::stream::{Agent, Reader};
use bundles::Bundles;
use journal::{Code, Journal};
pub(crate) use lock::is_recorded;
use lock::{Goals, Lock};
use pass::{Events, Lines, pass};
use queue::{Next, Queue, Waiting};
use rows::Rows;
use supervise::{Signals, Watch, supervise};

/// What is recorded, and how.
#[derive(Debug)]
pub(crate) struct Recording<'a> {
    pub(crate) agent: Option<Agent>,
    /// The id of the new trajectory; a new one without.
    pub(crate) id: Option<&'a str>,
    /// The trajectory that goes on.
    pub(crate) resumed: Option<&'a str>,
    /// The folder to work in; the current one without.
    pub(crate) folder: Option<&'a Path>,
    /// 0: no limit.
    pub(crate) max_parts: u64,
    pub(crate) timeout: Option<Duration>,
    /// The suites that must pass.
    pub(crate) require: &'a [String],
    /// The request of the first turn.
    pub(crate) prompt: Option<&'a str>,
    /// Whether the agent's lines are kept.
    pub(crate) has_events: bool,
    /// The program and its arguments.
    pub(crate) command: &'a [OsString],
}

impl Code for Private {
    fn head(&self) -> Option<&str> {
        Self::head(self)
    }

    fn checkpoint(&mut self, message: &str) -> Result<Option<Checkpoint>> {
        Self::checkpoint(self, message)
    }
}

/// Runs the command and records it.
pub(crate) fn record(
    recording: &Recording,
    root: &Root,
    location: &Location,
) -> Result<ExitStatus> {
    require()?;
    let dir = recording.dir()?;
    let (folder, is_new) = recording.place(root)?;
    let prepared = prepare(recording, root, location, &folder, &dir, is_new);
    let (lock, journal) = match prepared {
        Err(error) if is_new => {
            let _ = std::fs::remove_dir_all(&folder.path);
            return Err(error);
        }
        prepared => prepared?,
    };
    // They are read by programs too.
    Stderr::print(&format!(
        "TRAJECTORY_ID: {}\nTRACE: {}\nBUNDLE: {}\n",
        folder.id,
        folder.trace().display(),
        folder.bundle().display()
    ));
    let status = run(recording, journal, root, location, &folder, &dir);
    drop(lock);
    status
}

impl Recording<'_> {
    /// The folder to work in. Outside of a repository it must have been named.
    fn dir(&self) -> Result<PathBuf> {
        let named = self.folder.unwrap_or(Path::new("."));
        let dir = std::fs::canonicalize(named).map_err(|error| Error::file(named, &error))?;
        if !dir.is_dir() {
            return Err(Error::new(named.display(), "is not a directory"));
        }
        if self.folder.is_none() && !is_in_repository(&dir)? {
            let why = "is in no git repository";
            return Err(Error::new(dir.display(), why)
                .hint("'--repo DIR' names the folder to record, a repository or not"));
        }
        Ok(dir)
    }

    /// The folder of the trajectory, and whether it is a new one.
    fn place(&self, root: &Root) -> Result<(Folder, bool)> {
        if let Some(resumed) = self.resumed {
            return Ok((root.find(resumed)?, false));
        }
        let id = self.id.map_or_else(new_id, str::to_owned);
        let folder = root.folder(&id);
        let trajectories = root.trajectories();
        private_folder(&trajectories).map_err(|error| Error::file(&trajectories, &error))?;
        // Only one of two recorders makes the folder.
        match std::fs::create_dir(&folder.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(
                    Error::new(&id, "this trajectory is there already").hint(format!(
                        "'localstore trace record --continue {id} …' goes on with it"
                    )),
                );
            }
            made => made.map_err(|error| Error::file(&folder.path, &error))?,
        }
        make_private(&folder.path).map_err(|error| Error::file(&folder.path, &error))?;
        Ok((folder, true))
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// An id that no other trajectory has; ids of later ones are greater.
fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// What belongs to us and is no part of the code.
fn own_files(root: &Root, location: &Location) -> Vec<PathBuf> {
    let store = ["", "-wal", "-shm", "-journal"].map(|ending| {
        let mut path = location.path.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    });
    std::iter::once(root.trajectories()).chain(store).collect()
}

/// All that can go wrong before the agent starts.
fn prepare(
    recording: &Recording,
    root: &Root,
    location: &Location,
    folder: &Folder,
    dir: &Path,
    is_new: bool,
) -> Result<(Lock, Journal<Private>)> {
    let mut lock = Lock::take(folder)?;
    let mut require = recording.require.to_vec();
    require.sort();
    require.dedup();
    let goals = Goals {
        require,
        max_parts: recording.max_parts,
    };
    let exclude = own_files(root, location);
    let (mut trace, private) = if is_new {
        let trace = Trace {
            origin: Origin {
                trajectory_id: folder.id.clone(),
                ..Origin::default()
            },
            started_at: Time::now(),
            parts: Vec::new(),
            turns: Vec::new(),
            artifacts: Artifacts::default(),
            session_end: None,
            extra: Extra::new(),
        };
        (trace, Private::begin(folder, dir, &exclude)?)
    } else {
        let trace = Trace::read(&folder.trace())?;
        let parts = trace.part_count();
        if goals.max_parts > 0 && parts >= goals.max_parts {
            let parts = base::counted(parts, "part");
            return Err(
                Error::new(&folder.id, format!("it has {parts} already")).hint(format!(
                    "'--max-parts N' with N above {}",
                    trace.part_count()
                )),
            );
        }
        (trace, Private::resume(folder, dir, &exclude)?)
    };
    trace.session_end = None;
    trace.artifacts.agent_trace = Some(folder.trace().display().to_string());
    trace.artifacts.repo_bundle = Some(folder.bundle().display().to_string());
    let path = folder.lock();
    lock.leave(&goals)
        .map_err(|error| Error::file(&path, &error))?;
    let mut journal = Journal::new(folder, trace, private, goals);
    journal.set_prompt(recording.prompt);
    if let Some(agent) = recording.agent {
        journal.set_agent(agent);
    }
    journal.save(true)?;
    Ok((lock, journal))
}

fn run(
    recording: &Recording,
    mut journal: Journal<Private>,
    root: &Root,
    location: &Location,
    folder: &Folder,
    dir: &Path,
) -> Result<ExitStatus> {
    let events = if recording.has_events {
        Some(Events::open(folder)?)
    } else {
        None
    };
    let mut rows = Rows::start(root, location, folder, journal.row());
    let git = journal.code.git().clone();
    let bundles = Bundles::start(git, folder.id.clone(), folder.bundle());
    if journal.code.head().is_some() {
        bundles.renew();
    }
    let mut signals = Signals::catch();
    let mut command = command(recording.command, dir);
    let mut group = match Group::start(&mut command) {
        Ok(group) => group,
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            };
            let program = recording.command.first().cloned().unwrap_or_default();
            let why = match error.kind() {
                io::ErrorKind::NotFound => "command not found".to_owned(),
                _ => base::reason(&error),
            };
            Stderr::error(&Error::new(program.display(), why));
            journal.end(None, true);
            finish(journal, bundles, rows, folder);
            return Ok(ExitStatus::Code(code));
        }
    };
    let output = group.child().stdout.take();
    let queue = Arc::new(Queue::default());
    let lines = Lines::new(events, Arc::clone(&queue));
    let (is_full, has_ended) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let (alive, passed) = channel();
    let passing = Arc::clone(&queue);
    let ended = Arc::clone(&has_ended);
    std::thread::spawn(move || {
        if let Some(output) = output {
            pass(output, our_stdout(), lines, &ended);
        }
        passing.close();
        drop(alive);
    });
    let stopped = std::thread::scope(|scope| {
        let handler = scope.spawn(|| {
            let reader = Reader::new(recording.agent);
            let mut handler = Handler {
                journal: &mut journal,
                reader,
                rows: &mut rows,
                bundles: &bundles,
                is_full: &is_full,
                events: folder.events(),
            };
            handler.follow(&queue);
        });
        let stopped = supervise(
            &mut group,
            Watch {
                signals: &mut signals,
                timeout: recording.timeout,
                is_full: &is_full,
                has_ended: &has_ended,
                passed: &passed,
            },
        );
        queue.close();
        if handler.join().is_err() {
            note("part of what the agent printed was not recorded");
        }
        stopped
    });
    let status = group.finish().map_or(1, exit_code);
    journal.end(stopped, status != 0);
    let is_full = journal.is_full();
    let is_whole = finish(journal, bundles, rows, folder);
    Ok(match status {
        _ if is_full && is_whole => ExitStatus::Success,
        0 if is_whole => ExitStatus::Success,
        0 => ExitStatus::Failure,
        _ if is_full => ExitStatus::Failure,
        code => ExitStatus::Code(code),
    })
}

/// The agent's command. A terminal is not passed on: a background group that reads one is stopped.
fn command(words: &[OsString], dir: &Path) -> Command {
    let (program, args) = words
        .split_first()
        .map_or((None, words), |(program, args)| (Some(program), args));
    let mut command = process::command(program.map_or("".as_ref(), OsString::as_os_str));
    command.args(args).current_dir(dir).stdout(Stdio::piped());
    if io::stdin().is_terminal() {
        command.stdin(Stdio::null());
    }
    command
}

/// Our standard output, without Rust's buffer.
#[cfg(unix)]
fn our_stdout() -> Option<File> {
    use std::os::fd::AsFd;
    let ours = io::stdout().as_fd().try_clone_to_owned();
    ours.ok().map(File::from)
}

/// Our standard output, without Rust's buffer.
#[cfg(windows)]
fn our_stdout() -> Option<File> {
    use std::os::windows::io::AsHandle;
    let ours = io::stdout().as_handle().try_clone_to_owned();
    ours.ok().map(File::from)
}

/// Makes parts of lines.
struct Handler<'a> {
    journal: &'a mut Journal<Private>,
    reader: Reader,
    rows: &'a mut Rows,
    bundles: &'a Bundles,
    is_full: &'a AtomicBool,
    /// Where lines are that did not wait in memory.
    events: PathBuf,
}

impl Handler<'_> {
    fn follow(&mut self, queue: &Queue) {
        loop {
            match queue.next(self.journal.wait()) {
                Next::Waiting(Waiting::Line(line, arrived)) => self.line(&line, arrived),
                Next::Waiting(Waiting::Place { from, to, arrived }) => {
                    if let Err(error) = self.lines_at(from, to, arrived) {
                        note(&Error::file(&self.events, &error).to_string());
                    }
                }
                Next::Nothing => {
                    let _ = self.journal.save(false);
                }
                Next::End => break,
            }
        }
        for event in self.reader.end() {
            self.event(event, Time::now());
        }
    }

    fn lines_at(&mut self, from: u64, to: u64, arrived: Time) -> io::Result<()> {
        let mut file = File::open(&self.events)?;
        file.seek(SeekFrom::Start(from))?;
        let mut lines = BufReader::new(file.take(to.saturating_sub(from)));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            line.pop();
            self.line(&line, arrived);
            line.clear();
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], arrived: Time) {
        let events = self.reader.line(line);
        if let Some(agent) = self.reader.agent() {
            self.journal.set_agent(agent);
        }
        for event in events {
            self.event(event, arrived);
        }
    }

    fn event(&mut self, event: crate::stream::Event, arrived: Time) {
        let Some(part) = self.journal.event(event, arrived) else {
            return;
        };
        self.journal.save_part(&part);
        if self.journal.is_full() {
            self.is_full.store(true, Ordering::Release);
        }
        let checkpoint = part.repo_checkpoint.as_ref();
        if checkpoint.is_some_and(|checkpoint| checkpoint.committed) {
            self.bundles.renew();
        }
        self.rows.write(self.journal.row(), Some(part));
    }
}

/// Writes the last version of everything; whether all is there.
fn finish(mut journal: Journal<Private>, bundles: Bundles, rows: Rows, folder: &Folder) -> bool {
    bundles.finish();
    let mut is_whole = !journal.has_checkpoint_failed();
    is_whole &= journal.save(true).is_ok();
    rows.write(journal.row(), None);
    let code = journal.code;
    let bundle = folder.bundle();
    let written = match code.head() {
        Some(_) => write_bundle(code.git(), &folder.id, &bundle),
        None => Ok(()),
    };
    if let Err(error) = written.and_then(|()| code.finish(&bundle)) {
        note(&format!("{}: {error}", bundle.display()));
        is_whole = false;
    }
    rows.finish();
    is_whole
}

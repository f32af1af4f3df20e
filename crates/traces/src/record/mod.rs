//! Records an agent while it works.
//!
//! One thread passes its lines on and keeps them, one makes parts of them, one renews the bundle and one
//! writes the index; the agent waits for none of them.

mod bundles;
mod file;
mod journal;
mod keeper;
mod lock;
mod pass;
mod queue;
mod repair;
mod rows;
mod supervise;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::Duration;

use base::process::{self, Group, exit_code};
use base::{Error, ExitStatus, Result, Stderr, note};
use db::Location;

use crate::model::{Checkpoint, Reason, Trace};
use crate::place::{Folder, Root, private_folder};
use crate::repo::{Private, User, require};
use crate::s3::{Address, Storage};
use crate::stream::{Agent, Reader};
use journal::{Code, Journal};
use keeper::Keeper;
use lock::Goals;
pub(crate) use lock::{Lock, is_recorded, is_surely_recorded};
use pass::{Events, Lines, pass};
use queue::Queue;
pub(crate) use repair::{Repaired, repair};
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
    /// Where the files are sent while it works.
    pub(crate) to: Option<&'a Address>,
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

/// A folder without commits.
struct Nothing;

impl Code for Nothing {
    fn head(&self) -> Option<&str> {
        None
    }

    fn checkpoint(&mut self, _: &str) -> Result<Option<Checkpoint>> {
        Ok(None)
    }
}

/// Runs the command and records it.
pub(crate) fn record(
    recording: &Recording,
    root: &Root,
    location: &Location,
) -> Result<ExitStatus> {
    require()?;
    let storage = recording.to.map(Storage::new).transpose()?;
    let (dir, user) = recording.dir()?;
    let (folder, is_new) = recording.place(root)?;
    let mut lock = Lock::take(&folder)?;
    if is_new && folder.trace().exists() {
        // Another one was faster.
        return Err(is_there(&folder.id));
    }
    if !is_new {
        repair::complete(&folder, lock.left.as_ref(), location)?;
    }
    let own = own_files(root, location);
    let (journal, events) = match prepare(recording, &mut lock, &own, &folder, (&dir, user), is_new)
    {
        Ok(prepared) => prepared,
        Err(error) => {
            lock.release();
            if is_new {
                let _ = std::fs::remove_dir_all(&folder.path);
            }
            return Err(error);
        }
    };
    // They are read by programs too.
    Stderr::print(&format!(
        "TRAJECTORY_ID: {}\nTRACE: {}\nBUNDLE: {}\n",
        folder.id,
        folder.trace().display(),
        folder.bundle().display()
    ));
    if let Some(to) = recording.to {
        Stderr::print(&format!(
            "TRACE_S3_URI: {}\nBUNDLE_S3_URI: {}\n",
            to.trace(&folder.id),
            to.bundle(&folder.id)
        ));
    }
    let rows = Rows::start(root, location, &folder, journal.row(), is_new);
    let mut keeper = Keeper::new(folder, lock, journal, rows, storage);
    let mut signals = Signals::catch();
    let end = match Group::start(&mut command(recording.command, &dir)) {
        Ok(group) => run(recording, group, &mut signals, &mut keeper, events),
        Err(error) => not_started(recording.command, &error),
    };
    let has_limit = keeper.is_full();
    let is_whole = keeper.finish(end.stopped, end.code != 0);
    Ok(match end.code {
        0 if is_whole => ExitStatus::Success,
        // The limit stopped it, whatever it said to that.
        _ if has_limit && is_whole => ExitStatus::Success,
        0 => ExitStatus::Failure,
        _ if has_limit => ExitStatus::Failure,
        code => ExitStatus::Code(code),
    })
}

impl Recording<'_> {
    /// The folder to work in, and the repository that it lies in. Outside of one it must have been named.
    fn dir(&self) -> Result<(PathBuf, Option<User>)> {
        let named = self.folder.unwrap_or(Path::new("."));
        // Neither git nor a shell takes a folder as Windows itself writes it, with `\\?\` at its beginning.
        let dir = dunce::canonicalize(named).map_err(|error| Error::file(named, &error))?;
        if !dir.is_dir() {
            return Err(Error::new(named.display(), "is not a directory"));
        }
        let user = User::find(&dir)?;
        if self.folder.is_none() && user.is_none() {
            let why = "is in no git repository";
            return Err(Error::new(dir.display(), why)
                .hint("'--repo DIR' names the folder to record, a repository or not"));
        }
        Ok((dir, user))
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
            // Killed before it began: nothing was recorded.
            Err(_) if repair::has_nothing(&folder) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(is_there(&id));
            }
            made => made.map_err(|error| Error::file(&folder.path, &error))?,
        }
        #[cfg(unix)]
        make_private(&folder.path).map_err(|error| Error::file(&folder.path, &error))?;
        Ok((folder, true))
    }
}

fn is_there(id: &str) -> Error {
    let hint = format!("'localstore trace record --continue {id} …' goes on with it");
    Error::new(id, "this trajectory is there already").hint(hint)
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
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

/// All that can go wrong before the agent starts. What is in `own` is no part of the code.
fn prepare(
    recording: &Recording,
    lock: &mut Lock,
    own: &[PathBuf],
    folder: &Folder,
    (dir, user): (&Path, Option<User>),
    is_new: bool,
) -> Result<(Journal<Private>, Option<Events>)> {
    let mut require = recording.require.to_vec();
    require.sort();
    require.dedup();
    let goals = Goals {
        require,
        max_parts: recording.max_parts,
        agent: recording.agent.map(|agent| agent.name().to_owned()),
    };
    let mut trace = if is_new {
        Trace::new(&folder.id)
    } else {
        Trace::read(&folder.trace())?
    };
    let parts = trace.part_count();
    if goals.max_parts > 0 && parts >= goals.max_parts {
        let why = format!("it has {} already", base::counted(parts, "part"));
        let hint = format!("'--max-parts N' with an N above {parts} goes on");
        return Err(Error::new(&folder.id, why).hint(hint));
    }
    trace.session_end = None;
    trace.artifacts.agent_trace = Some(folder.trace().display().to_string());
    trace.artifacts.repo_bundle = Some(folder.bundle().display().to_string());
    lock.leave(&goals)
        .map_err(|error| Error::file(&folder.lock(), &error))?;
    let mark = repair::mark(&trace)?;
    let private = if is_new {
        // So that there is a trace whenever we are killed.
        Journal::new(folder, trace.clone(), Nothing, goals.clone()).save(true)?;
        Private::begin(folder, dir, user, own)?
    } else {
        Private::resume(folder, dir, user, own)?
    };
    let mut events = None;
    if recording.has_events {
        let events = events.insert(Events::open(folder)?);
        if !is_new {
            events.append(&mark)?;
        }
    }
    let mut journal = Journal::new(folder, trace, private, goals);
    journal.set_prompt(recording.prompt);
    if let Some(agent) = recording.agent {
        journal.set_agent(agent);
    }
    journal.save(true)?;
    Ok((journal, events))
}

/// How the agent ended.
struct End {
    code: u8,
    /// Why it was stopped, if it was.
    stopped: Option<Reason>,
}

/// Follows the agent until it has ended, and its output with it.
fn run(
    recording: &Recording,
    mut group: Group,
    signals: &mut Signals,
    keeper: &mut Keeper,
    events: Option<Events>,
) -> End {
    let output = group.child().stdout.take();
    let queue = Arc::new(Queue::default());
    let lines = Lines::new(events, Arc::clone(&queue));
    let is_full = AtomicBool::new(false);
    let has_ended = Arc::new(AtomicBool::new(false));
    let (passing, passed) = channel();
    {
        let (queue, has_ended) = (Arc::clone(&queue), Arc::clone(&has_ended));
        std::thread::spawn(move || {
            if let Some(output) = output {
                pass(output, our_stdout(), lines, &has_ended);
            }
            queue.close();
            drop(passing);
        });
    }
    let stopped = std::thread::scope(|scope| {
        let reader = Reader::new(recording.agent);
        let handler = scope.spawn(|| keeper.follow(&queue, reader, &is_full));
        let mut watch = Watch {
            signals,
            timeout: recording.timeout,
            is_full: &is_full,
            has_ended: &has_ended,
            passed: &passed,
        };
        let stopped = supervise(&mut group, &mut watch);
        queue.close();
        if handler.join().is_err() {
            note("part of what the agent printed was not recorded");
        }
        stopped
    });
    let code = group.finish().map_or(1, exit_code);
    End { code, stopped }
}

/// Tells why the agent could not be started.
fn not_started(command: &[OsString], error: &io::Error) -> End {
    let program = command.first().cloned().unwrap_or_default();
    let (code, why) = match error.kind() {
        io::ErrorKind::NotFound => (127, "command not found".to_owned()),
        _ => (126, base::reason(error)),
    };
    Stderr::error(&Error::new(program.display(), why));
    End {
        code,
        stopped: None,
    }
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

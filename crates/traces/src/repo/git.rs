//! git, by its command line, and free of what the user's configuration and environment would change.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use base::{Error, Result, process};

/// The oldest git that has what is needed.
const OLDEST: (u32, u32) = (2, 25);

/// Variables that lead git to another repository, or change what it prints.
const VARIABLES: [&str; 23] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DEFAULT_HASH",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_TRACE",
    "GIT_WORK_TREE",
];

/// Settings that hold whatever the user's configuration says: no hooks, no signing, no conversion of
/// content, no helpers that run beside.
const SETTINGS: [&str; 20] = [
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.quotePath=false",
    "core.alternateRefsCommand=:",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "i18n.commitEncoding=UTF-8",
    "advice.addEmbeddedRepo=false",
    "advice.detachedHead=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "transfer.fsckObjects=false",
    "safe.directory=*",
];

/// A git directory, and what goes with it.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    /// The git directory.
    pub(crate) dir: PathBuf,
    /// The worktree; without one git works in the git directory.
    pub(crate) worktree: Option<PathBuf>,
}

impl Git {
    /// A git command on this git directory. Arguments are added by the caller.
    pub(crate) fn command(&self) -> Command {
        let mut command = bare();
        command.env("GIT_DIR", &self.dir);
        match &self.worktree {
            Some(worktree) => command.env("GIT_WORK_TREE", worktree).current_dir(worktree),
            None => command.current_dir(&self.dir),
        };
        command
    }

    /// What git prints; an error if it fails.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>> {
        run(self.command().args(args), b"")
    }

    /// The same, with this on its standard input.
    pub(crate) fn run_with<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Result<Vec<u8>> {
        run(self.command().args(args), input)
    }

    /// What git prints, as one line of text.
    pub(crate) fn line<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String> {
        let printed = self.run(args)?;
        Ok(String::from_utf8_lossy(&printed).trim_end().to_owned())
    }

    /// The paths that differ between two commits, in byte order, both of a move; without `before` all paths
    /// of `after`.
    pub(crate) fn changed_files(&self, before: Option<&str>, after: &str) -> Result<Vec<String>> {
        let names = match before {
            Some(before) => self.run(&[
                "diff-tree",
                "-r",
                "-z",
                "--no-renames",
                "--name-only",
                // Without it '.gitmodules' is read, which may be damaged or say what is to be ignored.
                "--ignore-submodules=none",
                before,
                after,
            ])?,
            None => self.run(&["ls-tree", "-r", "-z", "--name-only", after])?,
        };
        let mut names: Vec<&[u8]> = names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .collect();
        names.sort_unstable();
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        Ok(names.into_iter().map(text).collect())
    }

    /// Whether git succeeds.
    pub(crate) fn succeeds<S: AsRef<OsStr>>(&self, args: &[S]) -> bool {
        self.run(args).is_ok()
    }
}

/// A git command without a git directory.
pub(crate) fn bare() -> Command {
    let mut command = process::command("git");
    // Ctrl-C is for the agent: what git has begun, it ends.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut command, process::NEW_PROCESS_GROUP);
    leave_repository(&mut command);
    command
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ADVICE", "0")
        .env("GIT_PAGER", "cat")
        .env("LC_ALL", "C");
    for name in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{name}_NAME"), "localstore")
            .env(format!("GIT_{name}_EMAIL"), "localstore@localhost")
            .env_remove(format!("GIT_{name}_DATE"));
    }
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command
}

/// Takes out of the environment of a program what would lead its git to another repository.
pub(crate) fn leave_repository(command: &mut Command) {
    for name in VARIABLES {
        command.env_remove(name);
    }
}

/// Runs a git command: what it prints, or an error with what it complains about.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let output = output(command.stdout(Stdio::piped()), input)?;
    checked(command, output).map(|output| output.stdout)
}

/// The same, and what it prints goes into the file.
pub(crate) fn run_into(command: &mut Command, file: std::fs::File) -> Result<()> {
    let output = output(command.stdout(file), b"")?;
    checked(command, output).map(drop)
}

/// An error with what git complains about, unless it has succeeded.
pub(super) fn checked(command: &Command, output: Output) -> Result<Output> {
    if output.status.success() {
        return Ok(output);
    }
    Err(complaint(command, &output.stderr, output.status))
}

/// Runs a git command and passes on what it prints, piece by piece. An error of `pass` ends it.
pub(crate) fn stream(
    command: &mut Command,
    mut pass: impl FnMut(&mut dyn BufRead) -> Result<()>,
) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tracing::debug!("{command:?}");
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let printed = child.stdout.take();
    let complaints = child.stderr.take();
    std::thread::scope(|scope| {
        let complaints = scope.spawn(move || {
            let mut read = Vec::new();
            if let Some(mut pipe) = complaints {
                let _ = pipe.by_ref().take(64 << 10).read_to_end(&mut read);
                let _ = std::io::copy(&mut pipe, &mut std::io::sink());
            }
            read
        });
        let mut passed = Ok(());
        if let Some(printed) = printed {
            passed = pass(&mut BufReader::with_capacity(64 << 10, printed));
        }
        if passed.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| failed(&error))?;
        let complaints = complaints.join().unwrap_or_default();
        passed?;
        if status.success() {
            return Ok(());
        }
        Err(complaint(command, &complaints, status))
    })
}

/// What git complains about, as an error.
fn complaint(command: &Command, stderr: &[u8], status: ExitStatus) -> Error {
    // The settings stand before the subcommand.
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    let subcommand = arguments
        .skip(2 * SETTINGS.len())
        .find(|argument| !argument.starts_with('-'));
    let what = format!("git {}", subcommand.unwrap_or_default());
    let complaint = String::from_utf8_lossy(stderr);
    let mut lines = complaint.lines().filter(|line| !line.is_empty());
    let told = lines
        .clone()
        .find(|line| line.starts_with("fatal: ") || line.starts_with("error: "));
    let why = told
        .or_else(|| lines.next())
        .map_or_else(|| status.to_string(), str::to_owned);
    let why = why
        .trim_start_matches("fatal: ")
        .trim_start_matches("error: ");
    Error::new(what, base::printable(why))
}

/// Runs a git command; its standard output goes where the caller has said.
pub(super) fn output(command: &mut Command, input: &[u8]) -> Result<Output> {
    let stdin = if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    command.stdin(stdin).stderr(Stdio::piped());
    tracing::debug!("{command:?}");
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let pipe = child.stdin.take();
    std::thread::scope(|scope| {
        // git may print before it has read everything.
        if let Some(mut pipe) = pipe {
            scope.spawn(move || drop(pipe.write_all(input)));
        }
        child.wait_with_output().map_err(|error| failed(&error))
    })
}

fn failed(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => missing("it is not installed"),
        _ => Error::file(Path::new("git"), error),
    }
}

fn missing(why: &str) -> Error {
    let (major, minor) = OLDEST;
    Error::new(
        "git",
        format!("{why}; version {major}.{minor} or later is needed"),
    )
}

/// Refuses to go on without a git that has what is needed.
pub(crate) fn require() -> Result<()> {
    let printed = run(bare().arg("--version"), b"")?;
    let printed = String::from_utf8_lossy(&printed);
    let version = printed.split_whitespace().nth(2).unwrap_or_default();
    let mut numbers = version
        .split('.')
        .map_while(|number| number.parse::<u32>().ok());
    let version = numbers.next().zip(numbers.next());
    if version.is_some_and(|version| version >= OLDEST) {
        return Ok(());
    }
    Err(missing(&format!(
        "this is '{}'",
        base::printable(printed.trim_end())
    )))
}

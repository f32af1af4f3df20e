//! An empty home folder in which the program runs with an environment of its own.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;

/// The variable that names the home folder.
pub(crate) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

pub(crate) struct Sandbox {
    path: PathBuf,
    variables: Vec<(&'static str, OsString)>,
    /// Removed at the end of the test.
    _folder: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Without links, which lead to it on macOS, and with long names, as messages show it.
        let path = folder.path().canonicalize().unwrap();
        let path = path.to_str().unwrap().trim_start_matches(r"\\?\");
        Self {
            path: slashed(path.to_owned()).into(),
            _folder: folder,
            variables: Vec::new(),
        }
    }

    /// Sets a variable of the environment of every program that runs here from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.into()));
    }

    /// The folder, which is also the home and the current folder of the program.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store is if nobody says otherwise.
    pub(crate) fn store(&self) -> PathBuf {
        self.path().join(".llamafile/llamafile.sqlite3")
    }

    /// Moves the store into the folder, under another name.
    pub(crate) fn move_store(&self, name: &str) {
        std::fs::copy(self.store(), self.path().join(name)).unwrap();
        std::fs::remove_file(self.store()).unwrap();
    }

    /// A connection of another program to the store.
    pub(crate) fn db(&self) -> Connection {
        Connection::open(self.store()).unwrap()
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(content.as_ref()).unwrap();
        path
    }

    /// The program with these arguments, not yet started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("localstore"));
        command
            .args(args)
            .env_clear()
            .env(HOME, self.path())
            // Nothing that a test sends by mistake leaves this machine.
            .env("LOCALSCORE_URL", "http://127.0.0.1:9")
            // Without it a program of Windows finds neither sockets nor random numbers.
            .envs(std::env::var_os("SYSTEMROOT").map(|folder| ("SYSTEMROOT", folder)))
            .envs(self.variables.iter().cloned())
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Runs the program with this on its standard input.
    pub(crate) fn run_with_input<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || {
            // The program may stop reading at the first thing that is wrong.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Ran::from(output)
    }

    /// Adds captures of the fixtures; each must be fine.
    pub(crate) fn add<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let files: Vec<PathBuf> = names.into_iter().map(fixture).collect();
        let mut args = vec![OsStr::new("add")];
        args.extend(files.iter().map(|file| file.as_os_str()));
        self.run(args).ok();
    }
}

/// What a run of the program left.
pub(crate) struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: slashed(String::from_utf8(output.stderr).expect("messages are UTF-8")),
        }
    }
}

impl Ran {
    /// The standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("UTF-8")
    }

    /// Asserts that all went well; gives the standard output.
    #[track_caller]
    pub(crate) fn ok(&self) -> Vec<u8> {
        assert_eq!(self.code, Some(0), "stderr: {}", self.stderr);
        self.stdout.clone()
    }

    /// Asserts exit code 1 and one error, of one line and perhaps a hint; gives the message.
    #[track_caller]
    pub(crate) fn failed(&self) -> String {
        assert_eq!(self.code, Some(1), "stderr: {}", self.stderr);
        let mut lines = self.stderr.lines();
        let first = lines.next().unwrap_or_default();
        let message = first.strip_prefix("localstore: ");
        let message = message.unwrap_or_else(|| panic!("no message: {first}"));
        let rest: Vec<&str> = lines.collect();
        assert!(
            rest.len() <= 1 && rest.iter().all(|line| line.starts_with("hint: ")),
            "more than a line and a hint: {}",
            self.stderr
        );
        message.to_owned()
    }

    /// Code, output and messages in one text, for snapshots. The sandbox's path reads `~`, and paths below it have `/`.
    pub(crate) fn snapshot(&self, sandbox: &Sandbox) -> String {
        let mut text = String::new();
        let home = sandbox.path().to_str().unwrap();
        let code = self
            .code
            .map_or("killed".to_owned(), |code| code.to_string());
        // Data may have backslashes of its own.
        let below_home = home.replace('/', std::path::MAIN_SEPARATOR_STR);
        let stdout = String::from_utf8_lossy(&self.stdout);
        let words = stdout.split_inclusive(char::is_whitespace);
        let words = words.map(|word| {
            if word.starts_with(&below_home) {
                slashed(word.to_owned())
            } else {
                word.to_owned()
            }
        });
        let stdout = words.collect::<String>().replace(home, "~");
        let stderr = self.stderr.replace(home, "~");
        let _ = write!(
            text,
            "exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}"
        );
        text
    }
}

/// Paths as tests write them, whatever separates their parts on this system. What quotes a quote stays.
pub(crate) fn slashed(text: String) -> String {
    if cfg!(windows) {
        let parts = text.split(r"'\''").map(|part| part.replace('\\', "/"));
        return parts.collect::<Vec<_>>().join(r"'\''");
    }
    text
}

/// The path of a fixture.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    // Built on another system, it has no drive yet.
    let path = std::path::absolute(folder.join(name)).unwrap();
    slashed(path.into_os_string().into_string().unwrap()).into()
}

/// The example of a page of the docs in this language that has these words.
#[track_caller]
pub(crate) fn example(page: &'static str, language: &str, words: &str) -> &'static str {
    let examples = page.split("```").skip(1).step_by(2);
    let mut found = examples.filter_map(|example| {
        let text = example.strip_prefix(language)?.strip_prefix('\n')?;
        text.contains(words).then_some(text)
    });
    let example = found.next().expect(words);
    assert!(found.next().is_none(), "two examples have {words}");
    example
}

/// The content of a fixture.
pub(crate) fn read_fixture(name: &str) -> Vec<u8> {
    let path = fixture(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

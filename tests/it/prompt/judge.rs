//! The real weakincentives, asked over pipes: `judge.py` in an environment where it is installed.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The last version that reads each format.
const VERSIONS: [(u8, &str); 2] = [(1, "0.18.1"), (2, "0.27.0")];

/// The library of one format. Its process ends with it.
pub(super) struct Judge {
    pub(super) format: u8,
    process: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Judge {
    /// A judge for each format; none, and loudly so, where weakincentives is not installed.
    pub(super) fn both() -> Option<[Self; 2]> {
        is_there().then(|| VERSIONS.map(|(format, version)| Self::start(format, version)))
    }

    fn start(format: u8, version: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(interpreter(version))
            .arg(root.join("tests/it/prompt/judge.py"))
            .arg(root.join("docs/prompt.md"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            format,
            questions: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
        }
    }

    /// Asks. An error is what the library raised.
    pub(super) fn ask(&mut self, question: &Value) -> Result<Value, String> {
        self.begin(question);
        self.answer()
    }

    /// Asks, and leaves the answer for [`Judge::answer`].
    pub(super) fn begin(&mut self, question: &Value) {
        writeln!(self.questions, "{question}").unwrap();
    }

    /// The answer to what was asked.
    pub(super) fn answer(&mut self) -> Result<Value, String> {
        let answer = self.answers.next().expect("the judge answers").unwrap();
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        match &answer["error"] {
            Value::String(error) => Err(error.clone()),
            _ => Ok(answer["is"].take()),
        }
    }

    /// Has the judge make this prompt. Gives its document, and what the descriptor says.
    pub(super) fn make(&mut self, prompt: &Value) -> Value {
        self.ask(&json!({"op": "make", "prompt": prompt})).unwrap()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether both versions are installed. With `LOCALSTORE_NEED_SERVERS=1` they must be, unless
/// `LOCALSTORE_NO_WEAKINCENTIVES=1` says that they cannot.
fn is_there() -> bool {
    if VERSIONS
        .iter()
        .all(|(_, version)| interpreter(version).exists())
    {
        return true;
    }
    let is_set = |name| std::env::var_os(name).is_some_and(|value| value == "1");
    assert!(
        !is_set("LOCALSTORE_NEED_SERVERS") || is_set("LOCALSTORE_NO_WEAKINCENTIVES"),
        "no weakincentives: none in {}",
        folder().display()
    );
    let thread = std::thread::current();
    // Only what is printed by macros is hidden while a test passes.
    let line = format!(
        "NOT TESTED: no weakincentives: {}\n",
        thread.name().unwrap_or_default()
    );
    let _ = std::io::stderr().write_all(line.as_bytes());
    false
}

/// A virtual environment a version: `WEAKINCENTIVES`, else in the target folder.
fn folder() -> PathBuf {
    let named = std::env::var_os("WEAKINCENTIVES").filter(|folder| !folder.is_empty());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    named.map_or_else(|| target.join("weakincentives"), PathBuf::from)
}

/// A Python for other programs; none, and loudly so, where there is no library either.
pub(super) fn python() -> Option<PathBuf> {
    is_there().then(|| interpreter(VERSIONS[0].1))
}

fn interpreter(version: &str) -> PathBuf {
    folder().join(version).join("bin/python")
}

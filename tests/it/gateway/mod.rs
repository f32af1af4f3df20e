//! The gateway as its clients see it.

#[cfg(unix)]
mod agent;
mod backend;
mod cache;
mod client;
mod errors;
mod faults;
mod idle;
mod infer;
mod key;
mod keys;
#[cfg(unix)]
mod limits;
mod live;
mod metrics;
mod model;
mod names;
mod openai;
mod pass;
#[cfg(unix)]
mod recipe;
mod register;
mod routing;
mod rows;
mod secrets;
#[cfg(unix)]
mod shutdown;
mod store;
mod streams;
#[cfg(unix)]
mod torture;
mod usage;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::backend::Backend;
use self::client::{Answer, Client};
use crate::sandbox::{Ran, Sandbox};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// The route that most tests take.
const CHAT: &str = "/v1/chat/completions";

/// A sandbox with a store, whose models tests add.
struct Place(Sandbox);

impl Place {
    fn new() -> Self {
        Self(Sandbox::new())
    }

    /// A place with one model, `m`, that these serve in this order.
    fn with(backends: &[&Backend]) -> Self {
        let place = Self::new();
        for backend in backends {
            place.model("m", &backend.url(), "m");
        }
        place
    }

    /// Runs `localstore model` with these words.
    #[track_caller]
    fn run_model(&self, words: &[&str]) {
        self.0.run([&["model"], words].concat()).ok();
    }

    /// Adds a backend for a model.
    #[track_caller]
    fn model(&self, name: &str, url: &str, upstream: &str) {
        self.run_model(&["add", name, "--url", url, "--upstream", upstream]);
    }

    /// Creates a key; gives its text.
    #[track_caller]
    fn key(&self, name: &str, options: &[&str]) -> String {
        key::create(&self.0, &[&[name], options].concat())
    }

    /// The rows of requests, in the order in which they ended.
    fn rows(&self) -> Vec<Value> {
        let db = self.0.db();
        let sql = "SELECT json_object('request_id', request_id, 'key_id', key_id, 'model', model,
               'backend', CAST(backend_id AS TEXT), 'route', route, 'status', status, 'error', error,
               'tries', tries, 'cached', cached, 'streamed', streamed, 'prompt_tokens', prompt_tokens,
               'completion_tokens', completion_tokens, 'estimated', estimated, 'bytes_in', bytes_in,
               'bytes_out', bytes_out)
             FROM localstore_gateway_requests ORDER BY id";
        let mut rows = db.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|row| serde_json::from_str(&row.unwrap()).unwrap())
            .collect()
    }

    /// Starts the gateway with these options, on a free port.
    #[track_caller]
    fn serve(&self, options: &[&str]) -> Served {
        self.serve_at("127.0.0.1:0", options)
    }

    /// The same at another address.
    #[track_caller]
    fn serve_at(&self, address: &str, options: &[&str]) -> Served {
        let mut words = vec!["serve", "--addr", address];
        words.extend(options);
        self.start(&words)
    }

    /// Starts the gateway or an agent, which prints its address.
    #[track_caller]
    fn start(&self, words: &[&str]) -> Served {
        Self::start_command(self.0.command(words))
    }

    #[track_caller]
    fn start_command(mut command: Command) -> Served {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let messages = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let url = line.trim_end().to_owned();
        let Some(address) = url.strip_prefix("http://") else {
            let _ = child.kill();
            panic!("no address: {line:?} {}", messages.join().unwrap());
        };
        Served {
            address: address.parse().unwrap(),
            child,
            stdout,
            messages: Some(messages),
            key: None,
        }
    }
}

/// Waits until this holds.
#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A gateway that runs. It is killed at the end of a test that does not end it.
struct Served {
    address: SocketAddr,
    child: Child,
    stdout: BufReader<ChildStdout>,
    messages: Option<JoinHandle<String>>,
    /// What its clients show.
    key: Option<String>,
}

impl Served {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A connection to it.
    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The same with clients that show a key.
    fn shown(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The same with clients that show none.
    fn shown_nothing(mut self) -> Self {
        self.key = None;
        self
    }

    /// The answer to a body in JSON, on a connection of its own.
    #[track_caller]
    fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask(&format!("POST {path}"), client::JSON, body)
    }

    /// The answer to a chat with this model.
    #[track_caller]
    fn chat(&self, model: &str) -> Answer {
        let body = serde_json::json!({"model": model, "messages": []});
        self.post(CHAT, body.to_string())
    }

    /// The answer to a request without a body.
    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "", "")
    }

    /// The answer to a request, on a connection of its own.
    #[track_caller]
    fn ask(&self, line: &str, head: &str, body: impl AsRef<[u8]>) -> Answer {
        let shown = self.key.as_ref();
        let shown = shown.map(|key| format!("authorization: Bearer {key}\r\n"));
        let mut client = self.connect();
        client.request(line, &(shown.unwrap_or_default() + head), body);
        client.answer()
    }

    /// The memory that it has filled, in KiB; `None` where that is not known.
    fn memory(&self) -> Option<u64> {
        let file = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(file).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    #[cfg(unix)]
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end, and waits for that.
    #[cfg(unix)]
    #[track_caller]
    fn stop(self) -> Ran {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Kills it; what it had said.
    fn kill(mut self) -> Ran {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    fn wait(mut self) -> Ran {
        let deadline = Instant::now() + PATIENCE * 2;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).unwrap();
        Ran {
            code: status.code(),
            stdout,
            stderr: self.messages.take().unwrap().join().unwrap(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The gateway as its clients see it.

#![allow(dead_code, reason = "the ground of tests that are still to come")]

mod backend;
mod client;
mod errors;
mod faults;
mod key;
mod limits;
mod model;
mod names;
mod pass;
mod shutdown;
mod streams;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

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
        let place = Self(Sandbox::new());
        place.serve(&[]).kill();
        place
    }

    /// A place with one model, `m`, that these serve in this order.
    fn with(backends: &[&Backend]) -> Self {
        let place = Self::new();
        for backend in backends {
            place.model("m", &backend.url(), "m");
        }
        place
    }

    /// Adds a backend for a model; gives its id.
    fn model(&self, name: &str, url: &str, upstream: &str) -> String {
        let db = self.0.db();
        db.execute(
            "INSERT INTO localstore_gateway_backends (model, url, upstream, added_at) VALUES (?1, ?2, ?3, 1)",
            [name, url, upstream],
        )
        .unwrap();
        db.last_insert_rowid().to_string()
    }

    /// Gives a model another name.
    fn alias(&self, model: &str, alias: &str) {
        let sql = "INSERT INTO localstore_gateway_aliases (model, alias) VALUES (?1, ?2)";
        self.0.db().execute(sql, [model, alias]).unwrap();
    }

    /// Names the models that answer when no backend of this one can.
    fn fallback(&self, model: &str, others: &[&str]) {
        let sql = "INSERT INTO localstore_gateway_fallbacks VALUES (?1, ?2, ?3)";
        for (position, other) in others.iter().enumerate() {
            let position = position.to_string();
            self.0.db().execute(sql, [model, &position, other]).unwrap();
        }
    }

    /// Removes a model.
    fn remove(&self, name: &str) {
        let sql = "DELETE FROM localstore_gateway_backends WHERE model = ?1";
        self.0.db().execute(sql, [name]).unwrap();
    }

    /// Starts the gateway with these options, on a free port.
    #[track_caller]
    fn serve(&self, options: &[&str]) -> Served {
        let mut words = vec!["serve", "--addr", "127.0.0.1:0"];
        words.extend(options);
        let mut child = self
            .0
            .command(words)
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
}

impl Served {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A connection to it.
    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The answer to a body in JSON, on a connection of its own.
    #[track_caller]
    fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.post(path, body);
        client.answer()
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
        let mut client = self.connect();
        client.request(&format!("GET {path}"), "", "");
        client.answer()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end, and waits for that.
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

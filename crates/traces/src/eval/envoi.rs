//! Suites that a server of envoi runs: it gets the code as an archive, and answers with counts.

use std::fmt::Write as _;
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use base::{Error, Result};
use memchr::memmem;
use net::{Client, Response};
use serde_json::{Map, Value};

use super::checkout::Checkout;
use super::{Job, Limits, Outcome, Results, TICK};
use crate::repo::Git;

/// The largest archive that is sent, in bytes.
const LARGEST: u64 = 1 << 30;

/// How long a suite may take if no limit is given; the server ends a session after that time too.
const LONGEST: Duration = Duration::from_hours(2);

/// How long a server may take to close a session.
const CLOSING: Duration = Duration::from_secs(40);

/// A server of envoi, and the suites that it is to run.
pub(crate) struct Envoi {
    client: Arc<Client>,
    closer: Arc<Client>,
    address: String,
    pub(super) paths: Vec<String>,
    /// The longest that a suite may take.
    timeout: Duration,
}

impl Envoi {
    /// A client for the server at this address. An error if that is none, or has a password, which others
    /// could see among the arguments of this program.
    pub(crate) fn new(address: &str, paths: &[String], timeout: Option<Duration>) -> Result<Self> {
        let address = address.trim_end_matches('/');
        let (scheme, rest) = address.split_once("://").unwrap_or_default();
        let host = rest.split('/').next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || host.is_empty() || rest.contains(['?', '#']) {
            return Err(Error::invalid_parameter("--envoi")
                .hint("an address looks like http://127.0.0.1:8000"));
        }
        if host.contains('@') {
            return Err(Error::invalid_parameter("--envoi")
                .hint("the address may hold no password: others could see it"));
        }
        let timeout = timeout.unwrap_or(LONGEST);
        let client = |longest: Duration| {
            let limits = net::Limits {
                connect: Duration::from_secs(15),
                idle: longest,
                total: longest,
                max_body_mib: 64,
            };
            Client::new(address, limits, |name| std::env::var(name).ok()).map(Arc::new)
        };
        Ok(Self {
            client: client(timeout)?,
            closer: client(CLOSING)?,
            address: address.to_owned(),
            paths: paths.to_vec(),
            timeout,
        })
    }

    /// The address of the server.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What the suites find at a commit; `None` if they were interrupted. An error if there is no session.
    pub(super) fn run(
        &self,
        checkout: &Checkout,
        job: &Job<'_>,
        limits: &Limits,
    ) -> Result<Option<Results>> {
        let form = self.form(&archive(checkout.git(), job.commit)?);
        let kind = format!("multipart/form-data; boundary={}", form.boundary);
        let path = "/session".to_owned();
        let failed = |why| Error::new(&self.address, why);
        let Some(answer) = send(&self.client, path, Some(kind), form.body, limits) else {
            return Ok(None);
        };
        let answer = answer.map_err(failed)?;
        let Some(session) = answer.get("session_id").and_then(Value::as_str) else {
            return Err(failed("the answer names no session".to_owned()));
        };
        let session = format!("/session/{}", encoded(session));
        let results = self.paths.iter().map(|path| {
            let url = format!("{session}/test/{}", encoded(path));
            let answer = send(&self.client, url, None, Vec::new(), limits)?;
            let outcome = answer.map_or_else(Outcome::error, |answer| outcome(&answer));
            Some((path.clone(), outcome))
        });
        let results = results.collect();
        // The server would close it by itself, some time.
        if let Err(failure) = self.closer.send("DELETE", &session, &[], b"") {
            tracing::info!("{}: {}", self.address, failure.why);
        }
        Ok(results)
    }

    /// The form that opens a session.
    fn form(&self, archive: &[u8]) -> Form {
        let mut boundary = "localstore-archive".to_owned();
        while memmem::find(archive, boundary.as_bytes()).is_some() {
            boundary.push('-');
        }
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"timeout\"\r\n\r\n{}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"repo.tar.gz\"\r\n\
             Content-Type: application/gzip\r\n\r\n",
            self.timeout.as_secs().max(1),
        );
        let end = format!("\r\n--{boundary}--\r\n");
        Form {
            body: [head.as_bytes(), archive, end.as_bytes()].concat(),
            boundary,
        }
    }
}

struct Form {
    boundary: String,
    body: Vec<u8>,
}

/// The code of a commit, byte for byte, as a compressed archive.
fn archive(git: &Git, commit: &str) -> Result<Vec<u8>> {
    let mut child = git
        .command()
        .args(["archive", "--format=tar.gz", commit, "--"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::new("git archive", base::reason(&error)))?;
    let mut archive = Vec::new();
    let read = match child.stdout.take() {
        Some(out) => out.take(LARGEST + 1).read_to_end(&mut archive),
        None => Ok(0),
    };
    let is_too_large = archive.len() as u64 > LARGEST;
    if is_too_large {
        let _ = child.kill();
    }
    let status = child.wait();
    let why = match (read, status) {
        _ if is_too_large => format!("the archive is larger than {} MiB", LARGEST >> 20),
        (Ok(_), Ok(status)) if status.success() => return Ok(archive),
        (Err(error), _) | (_, Err(error)) => base::reason(&error),
        (_, Ok(status)) => status.to_string(),
    };
    Err(Error::new("git archive", why))
}

/// Posts a request and reads the object that answers it; the error is the server's, or why there is no
/// answer. `None` if it was interrupted.
fn send(
    client: &Arc<Client>,
    path: String,
    kind: Option<String>,
    body: Vec<u8>,
    limits: &Limits,
) -> Option<Result<Map<String, Value>, String>> {
    let (sender, received) = channel();
    let client = Arc::clone(client);
    std::thread::spawn(move || {
        let headers = kind.iter().map(|kind| ("content-type", kind.as_str()));
        let headers: Vec<_> = headers.collect();
        let answer = client.send("POST", &path, &headers, &body);
        let _ = sender.send(answer);
    });
    loop {
        match received.recv_timeout(TICK) {
            Ok(Ok(answer)) => return Some(read(&answer)),
            Ok(Err(failure)) => return Some(Err(failure.why)),
            Err(RecvTimeoutError::Disconnected) => return Some(Err("the request was lost".into())),
            Err(RecvTimeoutError::Timeout) if limits.is_stopped() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// The object of an answer, or its error.
fn read(answer: &Response) -> Result<Map<String, Value>, String> {
    if let Some(why) = &answer.incomplete {
        return Err(why.clone());
    }
    let value = serde_json::from_slice(&answer.body);
    let failed = |told: &str| format!("the server answered {}: {}", answer.status, shown(told));
    match value {
        Ok(Value::Object(object)) if (200..300).contains(&answer.status) => {
            match object.get("error") {
                Some(error) => Err(shown(&words(error))),
                None => Ok(object),
            }
        }
        Ok(Value::Object(object)) => Err(failed(
            &object
                .get("error")
                .or(object.get("detail"))
                .map(words)
                .unwrap_or_default(),
        )),
        _ => Err(failed(&String::from_utf8_lossy(&answer.body))),
    }
}

/// The text of an error, which may be any value.
fn words(error: &Value) -> String {
    match error {
        Value::String(text) => text.clone(),
        Value::Object(object) => match object.get("message") {
            Some(Value::String(text)) => text.clone(),
            _ => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// What a server says, masked and short.
fn shown(text: &str) -> String {
    base::one_line(&crate::secrets::text(text), 400)
}

/// The outcome that the server tells: counts or, where a path names several suites, an object of those.
fn outcome(answer: &Map<String, Value>) -> Outcome {
    if ["passed", "failed", "total"]
        .iter()
        .any(|key| answer.contains_key(*key))
    {
        let count = |key| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
        return Outcome::of(count("passed"), count("failed"), count("total"));
    }
    let suites: Option<Vec<&Map<String, Value>>> = answer.values().map(Value::as_object).collect();
    let Some(suites) = suites.filter(|suites| !suites.is_empty()) else {
        return Outcome::error("the answer of the server has no counts");
    };
    if let Some(error) = suites.iter().find_map(|suite| suite.get("error")) {
        return Outcome::error(shown(&words(error)));
    }
    let sum = |key: &str| {
        let mut counts = suites
            .iter()
            .map(|suite| suite.get(key).and_then(Value::as_u64));
        counts.try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))
    };
    match (sum("passed"), sum("failed"), sum("total")) {
        (Some(passed), Some(failed), Some(total)) => Outcome::of(passed, failed, total),
        _ => Outcome::error("the answer of the server has no counts"),
    }
}

/// The path with everything escaped that means something in an address, but for its slashes.
fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(answer: &Value) -> Outcome {
        outcome(answer.as_object().unwrap())
    }

    #[test]
    fn the_counts_of_an_answer_are_its_own_or_those_of_the_suites_in_it() {
        let one = json!({"passed": 2, "failed": 1, "total": 3, "tests": []});
        assert_eq!(of(&one), Outcome::of(2, 1, 3));
        assert_eq!(of(&json!({"a/x": one, "a/y": one})), Outcome::of(4, 2, 6));
        assert_eq!(
            of(&json!({"a/x": one, "a/y": {"error": "no cc"}}))
                .error
                .unwrap(),
            "no cc"
        );
        for bad in [
            json!({}),
            json!({"a": 1}),
            json!({"a": {}}),
            json!({"a": one, "b": {"passed": 1}}),
        ] {
            assert!(of(&bad).error.is_some());
        }
    }

    #[test]
    fn an_error_of_the_server_is_told_and_masked() {
        let answer = |status, body: &str| Response {
            status,
            body: body.as_bytes().to_vec(),
            ..Response::default()
        };
        let error = |status, body: &str| read(&answer(status, body)).unwrap_err();
        assert_eq!(error(200, r#"{"error": {"message": "no cc"}}"#), "no cc");
        assert_eq!(
            error(404, r#"{"error": "No tests match: x"}"#),
            "the server answered 404: No tests match: x"
        );
        assert_eq!(
            error(502, "bad\n\u{1b}[2Jgateway"),
            "the server answered 502: bad \\x1b[2Jgateway"
        );
        assert!(!error(500, r#"{"error": "key sk-abcdefghijkl"}"#).contains("abcdefgh"));
        assert!(read(&answer(200, r#"{"session_id": "x"}"#)).is_ok());
    }

    #[test]
    fn a_path_stays_a_path() {
        assert_eq!(encoded("a/b c?#%é"), "a/b%20c%3F%23%25%C3%A9");
    }

    #[test]
    fn an_address_is_checked_before_anything_runs() {
        for bad in [
            "",
            "localhost:8000",
            "ftp://x",
            "http://",
            "http://u:p@x",
            "http://x/?a=1",
        ] {
            assert!(Envoi::new(bad, &[], None).is_err(), "{bad}");
        }
        assert_eq!(
            Envoi::new("http://x:1/", &[], None).unwrap().address(),
            "http://x:1"
        );
    }
}

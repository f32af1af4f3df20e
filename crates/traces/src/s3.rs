//! The two files of a trajectory in a bucket, below `trajectories/ID/`.
//!
//! The bundle is sent first and the trace last, and the trace is fetched first: so a trace always has the
//! commits that it names. A signed URL is a secret, and no message has it.

use std::fs::File;
use std::io::Write;
use std::str::FromStr;
use std::time::Duration;

use base::{Error, Result};
use net::{Client, Failure, FailureKind, Limits, Response, backoff, is_temporary, retry};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use crate::place::Folder;

/// How long a signed URL is valid: as long as a large file may take.
const VALID: Duration = Duration::from_hours(12);

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    idle: Duration::from_mins(1),
    total: Duration::from_hours(12),
    max_body_mib: 1,
};

const ATTEMPTS: u32 = 3;

/// The region that is meant if none is named.
const REGION: &str = "us-east-1";

/// The files of a trajectory, the one that names the other last.
const TRACE: &str = "agent_trace.json";
const BUNDLE: &str = "repo.bundle";

/// `s3://BUCKET[/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    bucket: String,
    /// With a slash at its end, unless it is empty.
    prefix: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (bucket, prefix) = text
            .strip_prefix("s3://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .ok_or("an address looks like s3://BUCKET or s3://BUCKET/PREFIX")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if bucket.is_empty() || !bucket.chars().all(is_name) {
            return Err(format!("invalid bucket '{bucket}'"));
        }
        let prefix = prefix.trim_matches('/');
        // A URL would lead elsewhere, even to another bucket.
        if prefix.split('/').any(|name| matches!(name, "." | "..")) {
            return Err("a prefix has no '.' and no '..'".to_owned());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
        })
    }
}

impl Address {
    fn key(&self, id: &str, file: &str) -> String {
        format!("{}trajectories/{id}/{file}", self.prefix)
    }

    fn uri(&self, id: &str, file: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(id, file))
    }

    /// The URI of the trace of this trajectory.
    pub(crate) fn trace(&self, id: &str) -> String {
        self.uri(id, TRACE)
    }

    /// The URI of its bundle.
    pub(crate) fn bundle(&self, id: &str) -> String {
        self.uri(id, BUNDLE)
    }
}

/// A bucket, as the variables `AWS_…` say how to reach it.
pub(crate) struct Storage {
    address: Address,
    bucket: Bucket,
    credentials: Credentials,
    client: Client,
    /// What the client puts before each path.
    origin: String,
}

impl Storage {
    /// An error if a variable is missing or invalid.
    pub(crate) fn new(address: &Address) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let needed = |name: &str| {
            let hint = "'AWS_ACCESS_KEY_ID' and 'AWS_SECRET_ACCESS_KEY' are needed";
            variable(name).ok_or_else(|| Error::new(name, "not set").hint(hint))
        };
        let key = needed("AWS_ACCESS_KEY_ID")?;
        let secret = needed("AWS_SECRET_ACCESS_KEY")?;
        let credentials = match variable("AWS_SESSION_TOKEN") {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(|| REGION.to_owned());
        let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
            .into_iter()
            .find_map(|name| Some((name, variable(name)?)));
        // A dot in the name of a bucket fits no certificate.
        let style = if named.is_some() || address.bucket.contains('.') {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let (name, endpoint) =
            named.unwrap_or_else(|| ("AWS_REGION", format!("https://s3.{region}.amazonaws.com")));
        let invalid = || Error::new(name, "invalid address of a server");
        let url = endpoint.parse().map_err(|_| invalid())?;
        let bucket =
            Bucket::new(url, style, address.bucket.clone(), region).map_err(|_| invalid())?;
        let origin = bucket.base_url().origin().ascii_serialization();
        let client = Client::new(&origin, LIMITS, variable)?;
        Ok(Self {
            address: address.clone(),
            bucket,
            credentials,
            client,
            origin,
        })
    }

    /// Sends the bundle, if there is one, and then the trace, which was opened before the bundle was
    /// written.
    pub(crate) fn push(&self, folder: &Folder, trace: &File) -> Result<()> {
        let bundle = folder.bundle();
        if bundle.exists() {
            let file = File::open(&bundle).map_err(|error| Error::file(&bundle, &error))?;
            self.put(&folder.id, BUNDLE, &file)?;
        }
        self.put(&folder.id, TRACE, trace)
    }

    /// Fetches both files. An error if there is no trace; a bundle need not be there.
    pub(crate) fn pull(&self, id: &str, trace: &mut File, bundle: &mut File) -> Result<bool> {
        if !self.get(id, TRACE, trace)? {
            let why = "no such object";
            return Err(Error::new(self.address.trace(id), why));
        }
        self.get(id, BUNDLE, bundle)
    }

    fn put(&self, id: &str, name: &str, file: &File) -> Result<()> {
        let key = self.address.key(id, name);
        let uri = self.address.uri(id, name);
        let failed = |error: std::io::Error| Error::new(&uri, base::reason(&error));
        let response = attempt(&uri, || {
            let mut file = file;
            std::io::Seek::rewind(&mut file).map_err(failed)?;
            let length = file.metadata().map_err(failed)?.len();
            let url = self
                .bucket
                .put_object(Some(&self.credentials), &key)
                .sign(VALID);
            let path = self.path(url.as_str());
            let sent = if length == 0 {
                self.client
                    .send("PUT", path, &[("content-length", "0")], b"")
            } else {
                let body = std::io::Read::take(file, length);
                self.client.upload("PUT", path, &[], body, length)
            };
            sent.map_err(|failure| unsent(&uri, &failure))
        })?;
        match response.status {
            200..300 => Ok(()),
            _ => Err(refused(&uri, &response)),
        }
    }

    /// Whether the object is there.
    fn get(&self, id: &str, name: &str, file: &mut File) -> Result<bool> {
        let key = self.address.key(id, name);
        let uri = self.address.uri(id, name);
        let failed = |error: std::io::Error| Error::new(&uri, base::reason(&error));
        let response = attempt(&uri, || {
            std::io::Seek::rewind(file)
                .and_then(|()| file.set_len(0))
                .map_err(failed)?;
            let url = self
                .bucket
                .get_object(Some(&self.credentials), &key)
                .sign(VALID);
            let got = self.client.download(self.path(url.as_str()), file);
            got.map_err(|failure| unsent(&uri, &failure))
        })?;
        match response.status {
            200 => match response.incomplete {
                None => file.flush().map(|()| true).map_err(failed),
                Some(why) => Err(Error::new(&uri, why)),
            },
            404 if code(&response) != Some("NoSuchBucket") => Ok(false),
            _ => Err(refused(&uri, &response)),
        }
    }

    /// The path of a URL of this server.
    fn path<'a>(&self, url: &'a str) -> &'a str {
        url.strip_prefix(&self.origin).unwrap_or(url)
    }
}

/// Sends it again where that may help.
fn attempt(uri: &str, send: impl FnMut() -> Result<Response>) -> Result<Response> {
    let pause =
        |response: &Response, made: u32| is_temporary(response.status).then(|| backoff(made));
    let wait = |attempt: u32, pause: Duration| {
        tracing::info!("{uri}: attempt {attempt} in {} s", pause.as_secs());
        std::thread::sleep(pause);
    };
    retry(ATTEMPTS, send, pause, wait)
}

fn unsent(uri: &str, failure: &Failure) -> Error {
    let error = Error::new(uri, &failure.why);
    match failure.kind {
        FailureKind::Rejected => error,
        FailureKind::NotSent | FailureKind::MaybeSent => {
            error.hint("AWS_ENDPOINT_URL and AWS_REGION say where the server is")
        }
    }
}

fn refused(uri: &str, response: &Response) -> Error {
    let status = response.status;
    // More of the answer may repeat the key.
    match code(response) {
        Some(code) => Error::new(uri, format!("the server answered {status} {code}")),
        None => Error::new(uri, format!("the server answered {status}")),
    }
}

/// The word of the server for what is wrong.
fn code(response: &Response) -> Option<&str> {
    let text = std::str::from_utf8(&response.body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    is_word.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_perhaps_a_prefix() {
        for (text, uri) in [
            ("s3://b", "s3://b/trajectories/x/agent_trace.json"),
            ("s3://b/", "s3://b/trajectories/x/agent_trace.json"),
            ("s3://b/a/c/", "s3://b/a/c/trajectories/x/agent_trace.json"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().trace("x"), uri);
        }
        for text in [
            "",
            "b",
            "s3://",
            "s3:///x",
            "https://b/x",
            "s3://a b",
            "s3://b/..",
            "s3://b/a/./c",
        ] {
            text.parse::<Address>().unwrap_err();
        }
    }

    #[test]
    fn of_an_answer_only_the_code_is_told() {
        let response = |body: &str| Response {
            status: 403,
            body: body.as_bytes().to_vec(),
            ..Response::default()
        };
        let body =
            "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIAX</AWSAccessKeyId>";
        let error = refused("s3://b/k", &response(body)).to_string();
        assert_eq!(
            error,
            "s3://b/k: the server answered 403 SignatureDoesNotMatch"
        );
        let error = refused("s3://b/k", &response("<Code>a b</Code>")).to_string();
        assert_eq!(error, "s3://b/k: the server answered 403");
    }
}

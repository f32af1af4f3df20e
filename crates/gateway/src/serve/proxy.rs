//! Takes a request to its backends, one after the other, until one answers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT,
};
use hyper::http::Extensions;
use hyper::http::response::Parts;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::IgnoredAny;

use super::held::Hold;
use super::lock;
use super::metrics::Metrics;
use crate::answer::{Next, Source, is_framed, is_stream};
use crate::connector::{Connector, Untaken};
use crate::fault::Fault;
use crate::request::Fields;
use crate::routing::{Backend, Budget, Health};

/// The largest answer that is read to its end before it goes on.
const LARGEST: usize = 8 << 20;

/// The tries of one request, the first included.
pub(crate) const TRIES: usize = 3;

/// How long a connection that is not used is kept. Model servers close theirs after five seconds: a request
/// that met the end of its connection would be lost.
const IDLE: Duration = Duration::from_secs(4);

/// How many connections that a backend has closed are replaced for one request.
const REPLACED: usize = 3;

/// What is read ahead of a backend at most, and the longest headers of an answer.
const READ_AHEAD: usize = 16 << 10;

/// The headers of a request that go on, beside content-type and accept.
const PASSED: [&str; 3] = ["traceparent", "tracestate", "openai-beta"];

/// What asks other servers, over HTTP or HTTPS. No redirect is followed.
pub(crate) type HttpClient = Client<Connector, Full<Bytes>>;

/// What the gateway knows of its backends.
pub(crate) struct Proxy {
    client: HttpClient,
    states: Arc<Mutex<States>>,
    budget: Mutex<Budget>,
    timeout: Duration,
}

/// The health and the load of backends, by their labels.
#[derive(Default)]
struct States {
    by_label: HashMap<String, State>,
    cool_down: Duration,
}

#[derive(Default)]
struct State {
    health: Health,
    running: u32,
}

/// What goes to a backend, but for its own name of the model.
pub(crate) struct Outgoing<'a> {
    /// The path behind `/v1`, with the query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) fields: &'a Fields,
    pub(crate) request_id: &'a str,
}

/// A backend to try, and what it is shown.
pub(crate) struct Target {
    pub(crate) backend: Arc<Backend>,
    /// The canonical name of the model that it was chosen for.
    pub(crate) model: String,
    pub(crate) authorization: Option<HeaderValue>,
}

/// What a backend answered.
pub(crate) enum Answer {
    /// A whole one.
    Whole(Bytes),
    /// A stream, whose first events are there.
    Stream(Bytes, Source, Running),
    /// One that is too long to be held; its beginning is there.
    Long(Bytes, Incoming, Running),
}

/// What came of all tries.
pub(crate) struct Outcome {
    pub(crate) answer: Result<(Parts, Answer), Fault>,
    /// Which target answered, or was tried last.
    pub(crate) target: Option<usize>,
    pub(crate) tries: u32,
}

/// The body of an answer, which may go on.
enum Begun {
    Whole(Bytes),
    Stream(Bytes, Source),
    Long(Bytes, Incoming),
}

/// Why a try failed.
struct Failure {
    /// What to say if no other backend does better.
    fault: Fault,
    /// For the metrics; `None` if no other backend may be asked.
    reason: Option<&'static str>,
    /// As it came, from a backend that has too much to do.
    busy: Option<(Parts, Bytes)>,
}

impl Proxy {
    pub(crate) fn new(connector: Connector, timeout: Duration, cool_down: Duration) -> Self {
        let states = States {
            cool_down,
            ..States::default()
        };
        Self {
            client: client(connector),
            states: Arc::new(Mutex::new(states)),
            budget: Mutex::default(),
            timeout,
        }
    }

    /// Whether the backend cools down, and how many requests run on it.
    pub(crate) fn state(&self, backend: &Backend) -> (bool, u32) {
        let states = lock(&self.states);
        states
            .by_label
            .get(&backend.label)
            .map_or((false, 0), |state| {
                (state.health.is_cooling(Instant::now()), state.running)
            })
    }

    /// Asks the targets in their order, each once.
    pub(crate) async fn ask(
        &self,
        outgoing: &Outgoing<'_>,
        targets: &[Target],
        hold: &mut Hold,
        metrics: &Metrics,
    ) -> Outcome {
        lock(&self.budget).request(Instant::now());
        let none = Fault::new(503, "no_healthy_backend", "no backend of the model is up");
        let mut outcome = Outcome {
            answer: Err(none.retry_after(10)),
            target: None,
            tries: 0,
        };
        // Of all tries together: a client waits for its first byte, wherever that comes from.
        let deadline = tokio::time::Instant::now() + self.timeout;
        let mut busy = None;
        let mut reason = None;
        for (index, target) in targets.iter().take(TRIES).enumerate() {
            if let Some(reason) = reason {
                if !lock(&self.budget).retry(Instant::now()) {
                    break;
                }
                metrics.retried(reason);
            }
            outcome.target = Some(index);
            outcome.tries += 1;
            let mut running = self.run(&target.backend);
            let tried = tokio::time::timeout_at(deadline, self.once(outgoing, target, hold)).await;
            let failure = match tried {
                Ok(Ok((head, begun))) => {
                    // What goes on tells at its end whether it was whole.
                    let answer = match begun {
                        Begun::Whole(body) => {
                            running.succeeded();
                            Answer::Whole(body)
                        }
                        Begun::Stream(first, source) => Answer::Stream(first, source, running),
                        Begun::Long(first, rest) => Answer::Long(first, rest, running),
                    };
                    outcome.answer = Ok((head, answer));
                    return outcome;
                }
                Ok(Err(failure)) => failure,
                // It may be working on it: nobody else is asked.
                Err(_) => Failure {
                    fault: Fault::new(
                        504,
                        "upstream_timeout",
                        "the backend did not answer in time",
                    ),
                    reason: None,
                    busy: None,
                },
            };
            // A full gateway is not the backend's fault, nor is a key that it does not take.
            if !matches!(failure.reason, Some("auth" | "busy"))
                && failure.fault.code != "overloaded"
            {
                running.failed();
            }
            if failure.busy.is_some() {
                busy = failure.busy.map(|answer| (index, answer));
            }
            outcome.answer = Err(failure.fault);
            reason = failure.reason;
            if reason.is_none() {
                return outcome;
            }
        }
        if let Some((index, (head, body))) = busy {
            outcome.target = Some(index);
            outcome.answer = Ok((head, Answer::Whole(body)));
        }
        outcome
    }

    async fn once(
        &self,
        outgoing: &Outgoing<'_>,
        target: &Target,
        hold: &mut Hold,
    ) -> Result<(Parts, Begun), Failure> {
        let response = self.send(outgoing, target).await?;
        let status = response.status();
        if status.is_server_error() {
            let why = format!("the last status was {}", status.as_u16());
            return Err(failed("status", &why));
        }
        if matches!(status.as_u16(), 401 | 403) {
            let message = "a backend refused what the gateway shows it";
            return Err(Failure {
                fault: Fault::new(502, "upstream_auth", message),
                reason: Some("auth"),
                busy: None,
            });
        }
        // Nobody asked for that, and the client would not be told how to read it.
        if status.is_success() && is_encoded(response.headers()) {
            return Err(failed("not_json", "the last answer was compressed"));
        }
        if status.is_success() && is_stream(response.headers()) {
            return self
                .first_events(response)
                .await
                .ok_or_else(|| failed("cut", "the last was cut"));
        }
        whole(response, hold).await
    }

    /// Sends the request; gives what has come with the headers of the answer.
    async fn send(
        &self,
        outgoing: &Outgoing<'_>,
        target: &Target,
    ) -> Result<Response<Incoming>, Failure> {
        let mut replaced = 0;
        loop {
            let mut request = outgoing
                .request(target)
                .ok_or_else(|| failed("connect", "its address is invalid"))?;
            let connection = capture_connection(&mut request);
            match self.client.request(request).await {
                Ok(response) => return Ok(response),
                Err(error) if error.is_connect() => {
                    return Err(failed("connect", "the last could not be connected to"));
                }
                Err(_) if replaced < REPLACED && was_untaken(&connection) => replaced += 1,
                Err(_) => return Err(failed("cut", "the last closed the connection")),
            }
        }
    }

    /// The stream with its first events; `None` if it ends without any.
    async fn first_events(&self, response: Response<Incoming>) -> Option<(Parts, Begun)> {
        let (head, incoming) = response.into_parts();
        let mut source = Source::new(incoming, is_framed(&head.headers), self.timeout);
        match poll_fn(|context| source.poll_next(context)).await {
            Next::Events(first) => Some((head, Begun::Stream(first, source))),
            Next::End(_) => None,
        }
    }

    fn run(&self, backend: &Backend) -> Running {
        let mut states = lock(&self.states);
        states
            .by_label
            .entry(backend.label.clone())
            .or_default()
            .running += 1;
        Running {
            states: Arc::clone(&self.states),
            label: backend.label.clone(),
        }
    }
}

impl Outgoing<'_> {
    fn request(&self, target: &Target) -> Option<Request<Full<Bytes>>> {
        let uri = format!("{}{}", target.backend.url, self.path);
        let mut request = Request::builder().method(Method::POST).uri(uri);
        for name in [CONTENT_TYPE.as_str(), ACCEPT.as_str()]
            .into_iter()
            .chain(PASSED)
        {
            for value in self.headers.get_all(name) {
                request = request.header(name, value);
            }
        }
        if let Some(authorization) = &target.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = match self.fields.with_model(&self.body, &target.backend.upstream) {
            Cow::Borrowed(_) => self.body.clone(),
            Cow::Owned(replaced) => Bytes::from(replaced),
        };
        request
            .header(
                USER_AGENT,
                concat!("localstore/", env!("CARGO_PKG_VERSION")),
            )
            .header("x-request-id", self.request_id)
            .body(Full::new(body))
            .ok()
    }
}

/// Reads an answer that is not a stream to its end, or as far as it is held.
async fn whole(response: Response<Incoming>, hold: &mut Hold) -> Result<(Parts, Begun), Failure> {
    let status = response.status();
    let (head, mut incoming) = response.into_parts();
    let mut read = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| failed("cut", "the last was cut"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let held = hold.add(data.len());
        held.map_err(|fault| Failure {
            fault,
            reason: None,
            busy: None,
        })?;
        read.extend_from_slice(&data);
        if read.len() > LARGEST && status.as_u16() != 429 {
            return Ok((head, Begun::Long(read.freeze(), incoming)));
        }
    }
    let body = read.freeze();
    if status.as_u16() == 429 {
        let fault = Fault::new(429, "rate_limit_exceeded", "the backend has too much to do");
        return Err(Failure {
            fault,
            reason: Some("busy"),
            busy: Some((head, body)),
        });
    }
    if !status.is_client_error() && serde_json::from_slice::<IgnoredAny>(&body).is_err() {
        return Err(failed("not_json", "the last answer was not JSON"));
    }
    Ok((head, Begun::Whole(body)))
}

/// Another backend may do it; for the metrics and for the client.
fn failed(reason: &'static str, why: &str) -> Failure {
    Failure {
        fault: Fault::new(
            502,
            "upstream_failed",
            format!("no backend of the model answered: {why}"),
        ),
        reason: Some(reason),
        busy: None,
    }
}

/// A client with a pool of its own.
pub(crate) fn client(connector: Connector) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(READ_AHEAD)
        .build(connector)
}

/// Whether the server had closed the connection before it took the request.
fn was_untaken(connection: &CaptureConnection) -> bool {
    let mut extras = Extensions::new();
    if let Some(connected) = connection.connection_metadata().as_ref() {
        connected.get_extras(&mut extras);
    }
    extras.get::<Untaken>().is_some_and(Untaken::get)
}

/// Whether the body of an answer with these headers is not what it stands for, but compressed.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// A request that runs on a backend.
pub(crate) struct Running {
    states: Arc<Mutex<States>>,
    label: String,
}

impl Running {
    /// The backend has done well.
    pub(crate) fn succeeded(&mut self) {
        if let Some(state) = lock(&self.states).by_label.get_mut(&self.label) {
            state.health.succeeded();
        }
    }

    /// The backend has failed.
    pub(crate) fn failed(&mut self) {
        let mut states = lock(&self.states);
        let cool_down = states.cool_down;
        if let Some(state) = states.by_label.get_mut(&self.label) {
            state.health.failed(Instant::now(), cool_down);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(state) = lock(&self.states).by_label.get_mut(&self.label) {
            state.running = state.running.saturating_sub(1);
        }
    }
}

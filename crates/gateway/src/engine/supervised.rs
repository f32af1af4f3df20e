//! The engine of an agent: started, watched, stopped when nobody needs it, started again when it dies.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base::{Error, Result, Stderr, note};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use tokio::sync::{Notify, watch};

use super::process::Process;
use crate::fault::Fault;
use crate::routing::{Backend, Registry};
use crate::serve::{Gateway, HttpClient};

/// How often the engine is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The longest wait for the answer whether it is ready.
const ANSWER: Duration = Duration::from_secs(5);

/// The waits before it is started again double up to this.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// An engine that ran for so long is not one that cannot run.
const RAN_WELL: Duration = Duration::from_mins(1);

/// What the engine of an agent is, and how it is treated.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// The names that it serves.
    pub(crate) models: Vec<String>,
    pub(crate) parallel: u32,
    /// How long it is kept without a request; zero: always.
    pub(crate) idle: Duration,
    /// How long it may take to be ready.
    pub(crate) ready: Duration,
}

/// The engine as the requests see it.
pub(crate) struct Engine {
    states: watch::Sender<State>,
    uses: Mutex<Uses>,
    wanted: Notify,
    /// Whether its last start failed.
    cannot_start: AtomicBool,
    ending: watch::Sender<bool>,
}

struct Uses {
    running: usize,
    /// When the last one ended.
    last: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Starting,
    Ready,
    Stopping,
    Stopped,
    /// It died, and is started again then.
    Waiting(Instant),
}

/// A request that needs the engine.
pub(crate) struct Using(Arc<Engine>);

impl Drop for Using {
    fn drop(&mut self) {
        let mut uses = self.0.uses();
        uses.running -= 1;
        uses.last = Instant::now();
    }
}

impl Engine {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            states: watch::Sender::new(State::Starting),
            uses: Mutex::new(Uses {
                running: 0,
                last: Instant::now(),
            }),
            wanted: Notify::new(),
            cannot_start: AtomicBool::new(false),
            ending: watch::Sender::new(false),
        })
    }

    /// Waits until the engine can be asked, and keeps it so until what is given is dropped. An error while it
    /// waits to be started again.
    pub(crate) async fn wake(self: &Arc<Self>) -> Result<Using, Fault> {
        self.uses().running += 1;
        let using = Using(Arc::clone(self));
        self.wanted.notify_one();
        let mut states = self.states.subscribe();
        let is_known = |state: &State| matches!(state, State::Ready | State::Waiting(_));
        let state = states.wait_for(is_known).await.map(|state| *state);
        let until = match state {
            Ok(State::Ready) => return Ok(using),
            Ok(State::Waiting(until)) => until,
            _ => Instant::now(),
        };
        let seconds = until.saturating_duration_since(Instant::now()).as_secs() + 1;
        let message = "the engine has ended, and is started again in a moment";
        Err(Fault::new(503, "no_healthy_backend", message).retry_after(seconds))
    }

    /// Whether its last start went well.
    pub(crate) fn can_start(&self) -> bool {
        !self.cannot_start.load(Ordering::Relaxed)
    }

    /// Ends [`Engine::run`].
    pub(crate) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Starts the engine and sees to it, until [`Engine::end`]. An error if it does not start the first time:
    /// then its last lines are on standard error. `is_ready` is called once it is ready for the first time.
    pub(crate) async fn run(
        &self,
        setup: &Setup,
        gateway: &Gateway,
        client: &HttpClient,
        is_ready: impl FnOnce(),
    ) -> Result<()> {
        let mut process = None;
        let mut ending = self.ending.subscribe();
        let ended = tokio::select! {
            ended = self.attend(&mut process, setup, gateway, client, is_ready) => ended,
            _ = ending.wait_for(|is_ending| *is_ending) => Ok(()),
        };
        self.set(State::Stopping);
        if let Some(process) = process {
            process.stop().await;
        }
        ended
    }

    async fn attend(
        &self,
        process: &mut Option<Process>,
        setup: &Setup,
        gateway: &Gateway,
        client: &HttpClient,
        is_ready: impl FnOnce(),
    ) -> Result<()> {
        let mut is_ready = Some(is_ready);
        let mut wait = Duration::from_secs(1);
        loop {
            self.set(State::Starting);
            let started = self.start(process, setup, client).await;
            let died = match started {
                Err((why, lines)) if is_ready.is_some() => {
                    for line in lines {
                        Stderr::line(&line);
                    }
                    return Err(Error::new("the engine did not start", why));
                }
                Err((why, _)) => {
                    self.cannot_start.store(true, Ordering::Relaxed);
                    why
                }
                Ok(port) => {
                    gateway.update(registry(setup, port));
                    self.cannot_start.store(false, Ordering::Relaxed);
                    self.uses().last = Instant::now();
                    self.set(State::Ready);
                    if let Some(is_ready) = is_ready.take() {
                        is_ready();
                    }
                    let since = Instant::now();
                    let Some(how) = self.watch(process, setup.idle).await else {
                        tracing::info!("the engine stops: nobody asked it for a while");
                        self.stop(process).await;
                        while self.uses().running == 0 {
                            self.wanted.notified().await;
                        }
                        continue;
                    };
                    if since.elapsed() >= RAN_WELL {
                        wait = Duration::from_secs(1);
                    }
                    format!("it ended: {how}")
                }
            };
            let seconds = wait.as_secs();
            note(&format!(
                "the engine: {died}; it is started again in {seconds} s ('-v' shows its output)"
            ));
            self.set(State::Waiting(Instant::now() + wait));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Starts the engine and waits until it is ready; gives its port, else why it is not, and its last lines.
    async fn start(
        &self,
        process: &mut Option<Process>,
        setup: &Setup,
        client: &HttpClient,
    ) -> Result<u16, (String, Vec<String>)> {
        let started = Process::start(&setup.command);
        let started = started.map_err(|error| (base::reason(&error), Vec::new()))?;
        let port = started.port;
        let deadline = Instant::now() + setup.ready;
        let running = process.insert(started);
        loop {
            if running.has_ended() {
                break;
            }
            if is_ready(client, port).await {
                return Ok(port);
            }
            if Instant::now() >= deadline {
                let lines = running.lines();
                self.stop(process).await;
                let seconds = setup.ready.as_secs();
                let why = format!("it was not ready after {seconds} s ('--ready' allows more)");
                return Err((why, lines));
            }
            tokio::time::sleep(LOOK).await;
        }
        match process.take() {
            Some(process) => {
                let (how, lines) = process.ended().await;
                Err((format!("it ended: {how}"), lines))
            }
            None => Err((String::new(), Vec::new())),
        }
    }

    /// Waits until it has ended, and tells how; `None` if nobody needs it for so long.
    async fn watch(&self, process: &mut Option<Process>, idle: Duration) -> Option<String> {
        loop {
            let running = process.as_mut()?;
            if running.has_ended() {
                let (how, _) = process.take()?.ended().await;
                return Some(how);
            }
            {
                let uses = self.uses();
                if !idle.is_zero() && uses.running == 0 && uses.last.elapsed() >= idle {
                    // Whoever comes from here on waits until it runs again.
                    self.set(State::Stopping);
                    return None;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the process.
    async fn stop(&self, process: &mut Option<Process>) {
        self.set(State::Stopping);
        if let Some(process) = process.take() {
            process.stop().await;
        }
        self.set(State::Stopped);
    }

    fn set(&self, state: State) {
        self.states.send_replace(state);
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an agent's requests are routed by: its models, all served by the engine.
fn registry(setup: &Setup, port: u16) -> Registry {
    let mut registry = Registry::default();
    for model in &setup.models {
        let backend = Backend {
            label: "engine".to_owned(),
            model: model.clone(),
            url: format!("http://127.0.0.1:{port}/v1"),
            upstream: model.clone(),
            parallel: setup.parallel,
            added_at: crate::serve::unix_seconds(),
            ..Backend::default()
        };
        registry
            .models
            .insert(model.clone(), vec![Arc::new(backend)]);
    }
    registry
}

/// Whether the engine says that it is ready; where it has no such address, whether it lists its models.
async fn is_ready(client: &HttpClient, port: u16) -> bool {
    match status(client, port, "/health").await {
        Some(StatusCode::NOT_FOUND) => {
            status(client, port, "/v1/models").await == Some(StatusCode::OK)
        }
        status => status == Some(StatusCode::OK),
    }
}

async fn status(client: &HttpClient, port: u16, path: &str) -> Option<StatusCode> {
    let uri = format!("http://127.0.0.1:{port}{path}");
    let request = Request::get(uri).body(Full::new(Bytes::new())).ok()?;
    let response = tokio::time::timeout(ANSWER, client.request(request)).await;
    Some(response.ok()?.ok()?.status())
}

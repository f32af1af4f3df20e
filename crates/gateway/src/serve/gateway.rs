//! What all requests share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::agents::Agents;
use super::auth::Keys;
use super::held::Held;
use super::listener::Stage;
use super::lock;
use super::log::Log;
use super::metrics::Metrics;
use super::proxy::{Proxy, Target};
use crate::cache::Cache;
use crate::connector::Connector;
use crate::engine::Engine;
use crate::routing::{Backend, Live, Meaning, Providers, Registry};
use crate::speeds::{Measured, Speed};
use crate::store::requests::Request;

/// How the backends of a model are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Route {
    /// The least expected time first
    Fastest,
    /// As they were added
    First,
    /// In turn
    RoundRobin,
}

/// What a gateway is told at its start.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) route: Route,
    /// To the first byte of an answer, and between two.
    pub(crate) timeout: Duration,
    pub(crate) cool_down: Duration,
    /// The most bytes of the body of a request.
    pub(crate) max_body: u64,
    pub(crate) max_inflight: usize,
}

/// What all requests share.
pub(crate) struct Gateway {
    pub(crate) options: Options,
    pub(crate) providers: Providers,
    pub(crate) keys: Keys,
    /// `None` where none register.
    pub(crate) agents: Option<Agents>,
    pub(crate) cache: Cache,
    pub(crate) proxy: Proxy,
    pub(crate) metrics: Metrics,
    /// `None` where nothing is written down.
    pub(crate) log: Option<Log>,
    /// What an agent serves.
    pub(crate) engine: Option<Arc<Engine>>,
    pub(crate) held: Held,
    pub(crate) stage: watch::Receiver<Stage>,
    registry: RwLock<Arc<Registry>>,
    /// The stored speeds, by the id of the backend.
    stored: RwLock<HashMap<i64, Measured>>,
    live: Mutex<Live>,
    inflight: Arc<AtomicUsize>,
    turn: AtomicUsize,
}

/// A request that is counted among those that run.
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gateway {
    pub(crate) fn new(
        options: Options,
        providers: Providers,
        keys: Keys,
        agents: Option<Agents>,
        cache: Cache,
        log: Option<Log>,
        stage: watch::Receiver<Stage>,
    ) -> base::Result<Self> {
        let proxy = Proxy::new(Connector::new()?, options.timeout, options.cool_down);
        Ok(Self {
            options,
            providers,
            keys,
            agents,
            cache,
            proxy,
            metrics: Metrics::default(),
            log,
            engine: None,
            held: Held::default(),
            stage,
            registry: RwLock::default(),
            stored: RwLock::default(),
            live: Mutex::default(),
            inflight: Arc::default(),
            turn: AtomicUsize::default(),
        })
    }

    /// The models as of now.
    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what the store has now, unless something newer is there already.
    pub(crate) fn update(&self, registry: Registry) {
        let mut known = self
            .registry
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if registry.generation >= known.generation {
            *known = Arc::new(registry);
        }
    }

    /// Takes over the stored speeds, by the ids of backends.
    pub(crate) fn update_speeds(&self, speeds: HashMap<i64, Measured>) {
        *self.stored.write().unwrap_or_else(PoisonError::into_inner) = speeds;
    }

    /// A place among the requests that run; `None` if there are too many.
    pub(crate) fn slot(&self) -> Option<Slot> {
        let slot = Slot(Arc::clone(&self.inflight));
        let before = self.inflight.fetch_add(1, Ordering::Relaxed);
        (before < self.options.max_inflight).then_some(slot)
    }

    /// The requests that run.
    pub(crate) fn running(&self) -> usize {
        self.inflight.load(Ordering::Relaxed)
    }

    /// Whether requests are no longer taken.
    pub(crate) fn is_draining(&self) -> bool {
        *self.stage.borrow() > Stage::Serving
    }

    /// Remembers how fast a backend was.
    pub(crate) fn note_live_speed(&self, row: &Request) {
        if row.streamed {
            self.live().note(row);
        }
    }

    /// Takes over the speeds that the rows in the store tell.
    pub(crate) fn update_live(&self, live: Live) {
        *self.live() = live;
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }

    /// The speed that is expected of a backend; `None` if it must be measured first.
    fn speed(&self, backend: &Backend) -> Option<Speed> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        match stored.get(&backend.id) {
            Some(measured) => Some(measured.speed),
            None => self.live().speed(backend.id),
        }
    }

    /// The backends to try: those of what the name means, then those of its fallbacks. Empty if all of them are
    /// agents that are dead.
    pub(crate) fn targets(
        &self,
        registry: &Registry,
        meaning: &Meaning,
        body_bytes: usize,
        max_tokens: Option<u64>,
    ) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut waiting = vec![meaning.clone()];
        let mut seen = Vec::new();
        while let Some(meaning) = waiting.pop() {
            let (model, backends) = match meaning {
                Meaning::Model(model) => {
                    let backends = registry.models.get(&model).cloned().unwrap_or_default();
                    (model, backends)
                }
                Meaning::Rule(backend) => (backend.model.clone(), vec![backend]),
                Meaning::Unset(_) | Meaning::Unknown => continue,
            };
            if seen.contains(&model) {
                continue;
            }
            for backend in self.ordered(backends, body_bytes, max_tokens) {
                let authorization = self.authorization(&backend);
                targets.push(Target {
                    backend,
                    model: model.clone(),
                    authorization,
                });
            }
            let fallbacks = registry.fallbacks.get(&model).into_iter().flatten().rev();
            waiting.extend(fallbacks.map(|name| registry.meaning(name, &self.providers)));
            seen.push(model);
        }
        targets
    }

    /// The backends that may be tried, the best first.
    fn ordered(
        &self,
        mut backends: Vec<Arc<Backend>>,
        body_bytes: usize,
        max_tokens: Option<u64>,
    ) -> Vec<Arc<Backend>> {
        backends.retain(|backend| self.is_alive(backend));
        if backends.len() < 2 {
            return backends;
        }
        match self.options.route {
            Route::First => {}
            Route::RoundRobin => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) % backends.len();
                backends.rotate_left(turn);
            }
            Route::Fastest => {
                let seconds = |backend: &Arc<Backend>| {
                    let (_, running) = self.proxy.state(backend);
                    let speed = self.speed(backend);
                    speed.map_or(0.0, |speed| {
                        speed.seconds(body_bytes, max_tokens, running, backend.parallel)
                    })
                };
                let mut timed: Vec<_> = backends
                    .into_iter()
                    .map(|backend| (seconds(&backend), backend))
                    .collect();
                timed.sort_by(|(one, _), (other, _)| one.total_cmp(other));
                backends = timed.into_iter().map(|(_, backend)| backend).collect();
            }
        }
        backends.sort_by_key(|backend| self.proxy.state(backend).0);
        backends
    }

    /// The backends that are up now.
    pub(crate) fn up(&self, registry: &Registry) -> usize {
        let backends = registry.models.values().flatten();
        backends.filter(|backend| self.is_up(backend)).count()
    }

    /// Whether the backend is up: alive, and not cooling down.
    pub(crate) fn is_up(&self, backend: &Backend) -> bool {
        let has_engine = self.engine.as_ref().is_none_or(|engine| engine.can_start());
        has_engine && self.is_alive(backend) && !self.proxy.state(backend).0
    }

    /// Whether the backend may be tried: agents must have said lately that they are there.
    fn is_alive(&self, backend: &Backend) -> bool {
        let Some(name) = &backend.agent else {
            return true;
        };
        let agents = self.agents.as_ref();
        agents.is_some_and(|agents| agents.is_alive(name))
    }

    /// What the backend is shown.
    fn authorization(&self, backend: &Backend) -> Option<hyper::header::HeaderValue> {
        if let Some(name) = &backend.agent {
            return self.agents.as_ref()?.authorization(name);
        }
        let provider = backend.provider.as_ref()?;
        self.providers.authorization(provider).cloned()
    }
}

//! The agents, and whether they live.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use base::{Error, Result};
use db::{Database, Location};
use hyper::header::HeaderValue;
use tokio::sync::oneshot;

use super::unix_seconds;
use crate::routing::Registry;
use crate::store::agents::{self, AgentState, DEAD_AFTER, Refused, Registration};
use crate::store::{backends, keys};

/// The orders that may wait for the store.
const QUEUE: usize = 64;

/// How long a locked store is waited for, order by order.
const BUSY: Duration = Duration::from_secs(3);

/// How long an agent waits for its order to be done.
const PATIENCE: Duration = Duration::from_secs(5);

/// The beats of an agent are written down at most this often.
const WRITTEN_EVERY: Duration = Duration::from_secs(4);

/// The agents of this store.
pub(crate) struct Agents {
    known: RwLock<Known>,
    orders: SyncSender<Order>,
}

#[derive(Default)]
struct Known {
    agents: HashMap<String, Agent>,
    /// The generation of the store that they are of.
    generation: i64,
}

struct Agent {
    state: AgentState,
    /// The last beat, here or at another gateway on the same store; `None` once it has stopped.
    beat: Option<Instant>,
    /// When a beat was last given to the store.
    written: Option<Instant>,
    /// What its backends are shown.
    authorization: Option<HeaderValue>,
}

/// What the store is to be told.
enum Order {
    Register(Box<Registration>, oneshot::Sender<Result<Registered>>),
    Beat(String),
    Stop(String, oneshot::Sender<()>),
}

/// What the store has once an agent is registered.
pub(crate) type Registered =
    std::result::Result<(i64, Registry, Vec<(String, AgentState)>), Refused>;

impl Agents {
    /// Starts the thread that writes to this store.
    pub(crate) fn start(location: &Location) -> Result<Self> {
        let (orders, received) = sync_channel(QUEUE);
        let location = location.clone();
        let thread = std::thread::Builder::new().name("agents".to_owned());
        let started = thread.spawn(move || write(&location, &received));
        started.map_err(|error| Error::new("cannot start", base::reason(&error)))?;
        Ok(Self {
            known: RwLock::default(),
            orders,
        })
    }

    /// Takes over the agents that the store has at this generation, unless a newer one was seen.
    pub(crate) fn update(&self, generation: i64, states: Vec<(String, AgentState)>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if generation < known.generation {
            return;
        }
        known.generation = generation;
        let mut before = std::mem::take(&mut known.agents);
        known.agents = states
            .into_iter()
            .map(|(name, state)| {
                let agent = Agent::new(&name, state, before.remove(&name));
                (name, agent)
            })
            .collect();
    }

    /// Whether the agent has beaten lately, with a key that is still valid.
    pub(crate) fn is_alive(&self, name: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.agents.get(name).is_some_and(|agent| {
            let longest = Duration::from_secs(DEAD_AFTER.unsigned_abs());
            let is_fresh = agent.beat.is_some_and(|beat| beat.elapsed() <= longest);
            is_fresh && !agent.state.is_refused(unix_seconds())
        })
    }

    /// What the backends of the agent are shown.
    pub(crate) fn authorization(&self, name: &str) -> Option<HeaderValue> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.agents.get(name)?.authorization.clone()
    }

    /// Whether who shows this key may speak for the agent; `None` if there is no such agent.
    pub(crate) fn is_of(&self, name: &str, key_id: Option<i64>) -> Option<bool> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let key = known.agents.get(name)?.state.key.as_ref();
        Some(key.is_none_or(|(id, _)| Some(*id) == key_id))
    }

    /// The agent lives. The store learns it later.
    pub(crate) fn beat(&self, name: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(agent) = known.agents.get_mut(name) else {
            return;
        };
        let was_stopped = agent.beat.is_none();
        agent.beat = Some(Instant::now());
        let is_due = agent.written.is_none_or(|at| at.elapsed() >= WRITTEN_EVERY);
        // A full queue: the next beat will do.
        if (is_due || was_stopped) && self.orders.try_send(Order::Beat(name.to_owned())).is_ok() {
            agent.written = agent.beat;
        }
    }

    /// The agent says goodbye. A locked store is waited for, but not for long.
    pub(crate) async fn stop(&self, name: &str) {
        let (done, is_done) = oneshot::channel();
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(agent) = known.agents.get_mut(name) {
                agent.beat = None;
            }
            let _ = self.orders.try_send(Order::Stop(name.to_owned(), done));
        }
        let _ = tokio::time::timeout(PATIENCE, is_done).await;
    }

    /// Registers an agent in the store; `None` if that cannot be written now.
    pub(crate) async fn register(&self, agent: Registration) -> Option<Registered> {
        let (done, is_done) = oneshot::channel();
        self.orders
            .try_send(Order::Register(Box::new(agent), done))
            .ok()?;
        match tokio::time::timeout(PATIENCE, is_done).await.ok()?.ok()? {
            Ok(registered) => Some(registered),
            Err(error) => {
                tracing::info!("an agent cannot be registered: {error}");
                None
            }
        }
    }
}

impl Agent {
    fn new(name: &str, state: AgentState, before: Option<Self>) -> Self {
        let (mut beat, written, was) = match before {
            Some(before) => (before.beat, before.written, Some(before.state)),
            None => (None, None, None),
        };
        let said = |state: &AgentState| (state.heartbeat_at, state.stopped_at);
        if was.is_none_or(|was| said(&was) != said(&state)) {
            let age = (unix_seconds() - state.heartbeat_at).clamp(0, i64::from(u32::MAX));
            let at = Instant::now().checked_sub(Duration::from_secs(age.unsigned_abs()));
            beat = match state.stopped_at {
                Some(_) => None,
                None => beat.max(at),
            };
        }
        let authorization = state.key.as_ref();
        let authorization = authorization.and_then(|(_, hash)| keys::agent_bearer(hash, name));
        Self {
            state,
            beat,
            written,
            authorization,
        }
    }
}

/// Does what is ordered, one after the other.
fn write(location: &Location, orders: &Receiver<Order>) {
    let mut db = None;
    while let Ok(order) = orders.recv() {
        let done = do_order(&mut db, location, order);
        if let Err(error) = done {
            tracing::info!("a beat is not written down: {error}");
        }
    }
}

fn do_order(db: &mut Option<Database>, location: &Location, order: Order) -> Result<()> {
    let opened = match db.take() {
        Some(opened) => Ok(opened),
        None => open(location),
    };
    match order {
        Order::Register(agent, done) => {
            let registered = opened.and_then(|opened| register(db.insert(opened), &agent));
            let _ = done.send(registered);
        }
        Order::Beat(name) => {
            let now = unix_seconds();
            db.insert(opened?)
                .write(|db| Ok(agents::beat(db, &name, now)?))?;
        }
        Order::Stop(name, done) => {
            let now = unix_seconds();
            db.insert(opened?)
                .write(|db| Ok(agents::stop(db, &name, now)?))?;
            let _ = done.send(());
        }
    }
    Ok(())
}

fn open(location: &Location) -> Result<Database> {
    let db = Database::open(location, &[&crate::ROOM])?;
    db.read(|db| Ok(db.busy_timeout(BUSY)?))?;
    Ok(db)
}

fn register(db: &mut Database, agent: &Registration) -> Result<Registered> {
    let now = unix_seconds();
    db.write(|db| {
        Ok(match agents::register(db, agent, now)? {
            Ok(()) => Ok((
                backends::generation(db)?,
                backends::registry(db)?,
                agents::all(db)?,
            )),
            Err(refused) => Err(refused),
        })
    })
}

//! Who may ask.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use db::Database;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};

use super::{lock, unix_seconds};
use crate::address::is_loopback;
use crate::fault::Fault;
use crate::store::keys::{self, Key};

/// When clients need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Auth {
    /// As soon as one was created, and always where others can reach the gateway
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// The keys as the store has them at each moment.
pub(crate) struct Keys {
    auth: Auth,
    is_loopback: bool,
    /// `None` of an agent, which has no store.
    db: Option<Mutex<Database>>,
    /// What callers of an agent show, hashed.
    bearer: Option<[u8; 32]>,
    /// Whether a key for clients was ever created. It stays so: a revoked one is still there.
    was_created: AtomicBool,
    /// The keys that were read, for the time that the store is locked.
    known: Mutex<HashMap<[u8; 32], Key>>,
    buckets: Mutex<HashMap<i64, Bucket>>,
}

/// The requests that a key has left.
struct Bucket {
    left: f64,
    at: Instant,
}

impl Keys {
    pub(crate) fn new(auth: Auth, is_loopback: bool, db: Database) -> Self {
        // A request does not wait for a locked store.
        let _ = db.read(|db| Ok(db.busy_timeout(Duration::ZERO)?));
        Self {
            auth,
            is_loopback,
            db: Some(Mutex::new(db)),
            bearer: None,
            was_created: AtomicBool::new(false),
            known: Mutex::default(),
            buckets: Mutex::default(),
        }
    }

    /// Those of an agent: callers show `bearer` if there is one.
    pub(crate) fn of_agent(is_loopback: bool, bearer: Option<&HeaderValue>) -> Self {
        let bearer = bearer.and_then(|bearer| bearer.to_str().ok()?.split_once(' '));
        Self {
            auth: Auth::Off,
            is_loopback,
            db: None,
            bearer: bearer.map(|(_, bearer)| keys::hash(bearer)),
            was_created: AtomicBool::new(false),
            known: Mutex::default(),
            buckets: Mutex::default(),
        }
    }

    /// Reads the store; `None` if that cannot be done now.
    fn read<T>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        let db = lock(self.db.as_ref()?);
        let read = db.read(|db| Ok(work(db)?));
        read.inspect_err(|error| tracing::info!("a key cannot be looked up: {error}"))
            .ok()
    }

    /// Whether clients need a key now.
    pub(crate) fn is_needed(&self) -> bool {
        match self.auth {
            Auth::On => true,
            Auth::Off => false,
            Auth::Auto if !self.is_loopback => true,
            Auth::Auto => {
                if !self.was_created.load(Ordering::Relaxed) {
                    let read = self.read(|db| keys::was_created(db, false));
                    self.was_created
                        .fetch_or(read.unwrap_or(false), Ordering::Relaxed);
                }
                self.was_created.load(Ordering::Relaxed)
            }
        }
    }

    /// The key that a client shows; `None` where none is needed.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Result<Option<Key>, Fault> {
        if let Some(bearer) = self.bearer {
            let is_shown = shown_text(headers)? == bearer;
            return is_shown.then_some(None).ok_or_else(unknown_key);
        }
        if !self.is_needed() {
            self.check_host(headers)?;
            return Ok(None);
        }
        let key = self.shown(headers)?;
        if key.is_agent {
            let message = "this key registers agents, and does nothing else";
            return Err(Fault::new(403, "not_allowed", message));
        }
        self.take(&key)?;
        Ok(Some(key))
    }

    /// The key that an agent shows; `None` where none is needed.
    pub(crate) fn agent(&self, headers: &HeaderMap) -> Result<Option<Key>, Fault> {
        if !self.is_needed() && !self.has_agent_key()? {
            self.check_host(headers)?;
            return Ok(None);
        }
        let key = self.shown(headers)?;
        if !key.is_agent {
            let message = "this key registers no agents: 'localstore key create --agent' makes one";
            return Err(Fault::new(403, "not_allowed", message));
        }
        self.take(&key)?;
        Ok(Some(key))
    }

    /// Whether a key for agents was ever created.
    fn has_agent_key(&self) -> Result<bool, Fault> {
        self.read(|db| keys::was_created(db, true))
            .ok_or_else(Fault::overloaded)
    }

    /// Without a key, a web page could use the gateway by a name of its own that leads here.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Fault> {
        if !self.is_loopback {
            return Ok(());
        }
        // One that is there twice, or is no plain host and port, means what somebody else makes of it.
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let name = host.and_then(|host| host.parse::<hyper::http::uri::Authority>().ok());
        if hosts.next().is_none() && name.is_some_and(|name| is_this_machine(&name)) {
            return Ok(());
        }
        let message = "without keys only the names of this machine are served, such as localhost";
        Err(Fault::new(403, "bad_host", message))
    }

    /// The valid key that is shown.
    pub(crate) fn shown(&self, headers: &HeaderMap) -> Result<Key, Fault> {
        let hash = shown_text(headers)?;
        let read = self.read(|db| keys::find(db, &hash));
        let mut known = lock(&self.known);
        let found = match read {
            Some(Some(key)) => {
                known.insert(hash, key.clone());
                Some(key)
            }
            Some(None) => None,
            None => Some(known.get(&hash).cloned().ok_or_else(Fault::overloaded)?),
        };
        found
            .filter(|key| key.is_valid(unix_seconds()))
            .ok_or_else(unknown_key)
    }

    /// Takes a request from what the key has left in this minute.
    fn take(&self, key: &Key) -> Result<(), Fault> {
        let Some(rpm) = key.rpm else {
            return Ok(());
        };
        let most = f64::from(rpm);
        let now = Instant::now();
        let mut buckets = lock(&self.buckets);
        let bucket = buckets.entry(key.id).or_insert(Bucket {
            left: most,
            at: now,
        });
        let refilled = now.duration_since(bucket.at).as_secs_f64() * most / 60.0;
        bucket.left = (bucket.left + refilled).min(most);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few seconds"
        )]
        let seconds = ((1.0 - bucket.left) * 60.0 / most).ceil() as u64;
        let message = format!("the key has {} a minute", base::counted(rpm, "request"));
        Err(Fault::new(429, "rate_limit_exceeded", message).retry_after(seconds.max(1)))
    }
}

/// The hash of the key that is shown.
fn shown_text(headers: &HeaderMap) -> Result<[u8; 32], Fault> {
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|shown| shown.to_str().ok());
    let shown = shown.and_then(|shown| shown.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, text) = shown.ok_or_else(|| {
        let message = "no key: it is sent as 'Authorization: Bearer KEY'";
        Fault::new(401, "invalid_api_key", message)
    })?;
    Ok(keys::hash(text.trim()))
}

/// Whether this is a name of this machine with nothing but a port.
fn is_this_machine(name: &hyper::http::uri::Authority) -> bool {
    let rest = name.as_str().strip_prefix(name.host());
    let is_plain = rest.is_some_and(|rest| rest.is_empty() || name.port_u16().is_some());
    is_plain && is_loopback(name.host())
}

/// The same text for all, so that nobody learns what a key was.
fn unknown_key() -> Fault {
    let message = "the key is unknown, revoked or expired";
    Fault::new(401, "invalid_api_key", message)
}

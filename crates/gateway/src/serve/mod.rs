//! The gateway.

mod account;
mod agents;
mod auth;
mod body;
mod client;
mod gateway;
mod held;
mod infer;
mod listener;
mod log;
mod metrics;
mod proxy;
mod register;
mod reply;
mod routes;
mod watch;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use agents::Agents;
pub(crate) use auth::{Auth, Keys};
pub(crate) use gateway::{Gateway, Options, Route};
pub(crate) use listener::{Stage, serve};
pub(crate) use log::Log;
pub(crate) use proxy::{HttpClient, client};
pub(crate) use routes::answer;
pub(crate) use watch::watch_store;

/// The time in seconds since 1970.
pub(crate) fn unix_seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

/// Locks it. A panic in another request does not matter: what is guarded here is never half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

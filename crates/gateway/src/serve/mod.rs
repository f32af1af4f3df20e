//! The gateway.

mod account;
mod auth;
mod body;
mod gateway;
mod held;
mod listener;
mod log;
mod metrics;
mod proxy;
mod reply;
mod routes;
mod watch;

pub(crate) use auth::{Auth, Keys};
pub(crate) use gateway::{Gateway, Options, Route};
pub(crate) use listener::{Stage, serve};
pub(crate) use log::Log;
pub(crate) use routes::answer;
pub(crate) use watch::watch_store;

//! The server beside an engine: starts the engine, tells gateways of it, and passes requests on to it.

mod key;
mod process;
mod router;
mod supervised;

pub(crate) use key::AgentKey;
pub(crate) use process::become_engine;
pub(crate) use router::{Announcement, Router};
pub(crate) use supervised::{Engine, Setup, Using};

//! One address for every model: an OpenAI-compatible router in front of model servers, which knows from
//! the stored results how fast each of them is.
//!
//! `store` keeps models, keys, agents and requests; `request` and `answer` read what passes by; `routing`
//! chooses the backends; `cache` keeps answers; `serve` is the gateway; `engine` an engine and the agent
//! beside it; `cmd` are the commands.
//! Only `serve`, `agent` and `model test` start a runtime.

#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

mod address;
mod answer;
mod cache;
mod cmd;
mod connector;
mod engine;
mod fault;
mod request;
mod routing;
mod serve;
mod speeds;
mod store;
mod suggest;

pub use cmd::{Context, agent, key, model, serve as server, usage};
pub use speeds::{Filters, Measured, Newest, Speed, Speeds};
pub use store::{Problem, ROOM, check};
pub use suggest::{Wanted, suggestions};

//! Which backends a request goes to.

mod budget;
mod health;
mod live;
mod providers;
mod registry;

pub(crate) use budget::Budget;
pub(crate) use health::Health;
pub(crate) use live::{Answer, Live};
pub(crate) use providers::Providers;
pub(crate) use registry::{Backend, Meaning, Registry};

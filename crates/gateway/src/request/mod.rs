//! What is read of a request.

mod body;
mod canonical;

pub(crate) use body::{Fields, Refused};
pub(crate) use canonical::cache_key;

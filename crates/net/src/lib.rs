//! The HTTP client: proxies, certificates, limits of time and size, retries.
//!
//! It is independent of what is sent. No error contains a header, a body or the password of a proxy.

#![forbid(unsafe_code)]

mod client;
mod proxy;
mod retry;

pub use client::{Client, Failure, FailureKind, Limits, Response, certificates};
pub use retry::{backoff, is_temporary, retry, retry_after};

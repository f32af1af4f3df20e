//! Sending runs to LocalScore: the payload, the site's rules, the client and the schedule.
//!
//! No SQL: what becomes of an attempt is told, and the store records it. This is the only part of
//! the program that opens connections, and only with the feature `submit`.

#[cfg(feature = "submit")]
mod answer;
mod check;
#[cfg(feature = "submit")]
mod client;
#[cfg(not(feature = "submit"))]
#[path = "no_client.rs"]
mod client;
mod outcome;
mod payload;
#[cfg(feature = "submit")]
mod proxy;
mod schedule;

pub(crate) use crate::model::Site;
pub use check::{Violation, violations};
pub use client::Client;
pub use outcome::{Exchange, Outcome};
pub use payload::Payload;
pub use schedule::{ATTEMPTS, persist};

use std::time::Duration;

/// How long the client waits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// For everything, up to the last byte of the answer.
    pub total: Duration,
}

impl Default for Timeouts {
    /// The C tool waits a minute for a socket.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            total: Duration::from_mins(1),
        }
    }
}

//! What is counted for Prometheus.

use std::sync::atomic::{AtomicI64, Ordering};

use super::gateway::Gateway;
use crate::store::requests::Request;

/// The counters of this process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    inflight: AtomicI64,
}

impl Metrics {
    /// A request begins.
    pub(crate) fn begin(&self) {
        self.inflight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has ended. `model` is empty unless it is known, so that no client makes new series.
    pub(crate) fn end(&self, _row: &Request, _model: &str) {
        self.inflight.fetch_sub(1, Ordering::Relaxed);
    }

    /// All of it as Prometheus reads it.
    pub(crate) fn text(&self, _gateway: &Gateway) -> String {
        String::new()
    }

    /// Another backend is tried, for this reason.
    pub(crate) fn retried(&self, _reason: &'static str) {}
}

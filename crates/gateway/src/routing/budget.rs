//! How many tries may be repeated.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time that is looked back.
const WINDOW: Duration = Duration::from_secs(10);

/// Retries that are always free within that time.
const FREE: usize = 10;

/// One request in this many may be retried.
const SHARE: usize = 5;

/// The retries and requests of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    requests: VecDeque<(Instant, usize)>,
    retries: VecDeque<Instant>,
}

impl Budget {
    /// Counts a request.
    pub(crate) fn request(&mut self, now: Instant) {
        self.forget(now);
        // Those of the same moment share an entry, so that memory does not grow with their number.
        match self.requests.back_mut() {
            Some((at, count)) if now.duration_since(*at) < Duration::from_millis(100) => {
                *count += 1;
            }
            _ => self.requests.push_back((now, 1)),
        }
    }

    /// Whether a try may be repeated now; if so it is counted.
    pub(crate) fn retry(&mut self, now: Instant) -> bool {
        self.forget(now);
        let requests: usize = self.requests.iter().map(|(_, count)| count).sum();
        let may = self.retries.len() < FREE.max(requests / SHARE);
        if may {
            self.retries.push_back(now);
        }
        may
    }

    fn forget(&mut self, now: Instant) {
        let is_old = |at: Instant| now.duration_since(at) > WINDOW;
        while self.requests.front().is_some_and(|(at, _)| is_old(*at)) {
            self.requests.pop_front();
        }
        while self.retries.front().is_some_and(|at| is_old(*at)) {
            self.retries.pop_front();
        }
    }
}

//! Whether a backend is up.

use std::time::{Duration, Instant};

/// Failures in a row that start the cool-down.
const FAILURES: u32 = 3;

/// The longest cool-down.
const LONGEST: Duration = Duration::from_mins(5);

/// What is known of a backend from its last answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Health {
    failures: u32,
    /// The end of the cool-down, and how long it was.
    cooling: Option<(Instant, Duration)>,
}

impl Health {
    /// Whether it is cooling down.
    pub(crate) fn is_cooling(&self, now: Instant) -> bool {
        self.cooling.is_some_and(|(until, _)| now < until)
    }

    /// An answer that was no failure.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A failure; `first` is the length of the first cool-down.
    pub(crate) fn failed(&mut self, now: Instant, first: Duration) {
        self.failures = self.failures.saturating_add(1);
        match self.cooling {
            // Requests that were under way when it began do not lengthen it.
            Some((until, _)) if now < until => {}
            Some((_, last)) => self.cool(now, (last * 2).min(LONGEST)),
            None if self.failures >= FAILURES => self.cool(now, first),
            None => {}
        }
    }

    fn cool(&mut self, now: Instant, length: Duration) {
        self.cooling = Some((now + length, length));
    }
}

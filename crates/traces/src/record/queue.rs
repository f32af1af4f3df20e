//! The lines that wait to be handled, so that the agent never waits for us.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::Time;

/// At most this many bytes of lines wait in memory.
const MEMORY: usize = 64 << 20;

/// A longer line need not wait in memory.
const LONG: usize = 1 << 20;

/// What a line takes besides its bytes.
const OVERHEAD: usize = 64;

/// Lines in `events.jsonl` that came within this time are handled as if they had come together.
const TOGETHER: Duration = Duration::from_millis(100);

/// Lines that wait, in order.
#[derive(Debug, PartialEq)]
pub(super) enum Waiting {
    /// One line, without its newline.
    Line(Vec<u8>, Time),
    /// Whole lines, to be read from `events.jsonl`.
    Place { from: u64, to: u64, arrived: Time },
}

/// What the handler finds.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Waiting(Waiting),
    /// Nothing came in time.
    Nothing,
    /// All was handled.
    End,
}

/// The queue between the thread that passes lines on and the one that handles them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line. `place` says where it is in `events.jsonl`: then it need not wait in memory. Without
    /// one the caller waits until there is room.
    pub(super) fn push(&self, line: Vec<u8>, place: Option<(u64, u64)>, arrived: Time) {
        let mut state = self.state();
        let size = line.len() + OVERHEAD;
        let is_full = |state: &State| state.bytes > 0 && state.bytes + size > MEMORY;
        if let Some((from, to)) = place.filter(|_| line.len() > LONG || is_full(&state)) {
            match state.waiting.back_mut() {
                Some(Waiting::Place {
                    to: end,
                    arrived: first,
                    ..
                }) if *end == from
                    && (arrived.milliseconds_since(*first))
                        .is_some_and(|passed| u128::from(passed) < TOGETHER.as_millis()) =>
                {
                    *end = to;
                }
                _ => state
                    .waiting
                    .push_back(Waiting::Place { from, to, arrived }),
            }
        } else {
            while is_full(&state) && !state.is_closed {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_closed {
                return;
            }
            state.bytes += size;
            state.waiting.push_back(Waiting::Line(line, arrived));
        }
        self.changed.notify_all();
    }

    /// No more lines come.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// The next lines; waits for them, at most this long.
    pub(super) fn next(&self, longest: Option<Duration>) -> Next {
        let is_empty = |state: &mut State| state.waiting.is_empty() && !state.is_closed;
        let state = self.state();
        let mut state = match longest {
            None => self
                .changed
                .wait_while(state, is_empty)
                .unwrap_or_else(PoisonError::into_inner),
            Some(longest) => {
                self.changed
                    .wait_timeout_while(state, longest, is_empty)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        match state.waiting.pop_front() {
            Some(waiting) => {
                if let Waiting::Line(line, _) = &waiting {
                    state.bytes -= line.len() + OVERHEAD;
                    self.changed.notify_all();
                }
                Next::Waiting(waiting)
            }
            None if state.is_closed => Next::End,
            None => Next::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_memory_wait_in_the_file_and_keep_their_order() {
        let queue = Queue::default();
        let now = Time::now();
        let line = vec![b'a'; LONG];
        let count = MEMORY / (LONG + OVERHEAD);
        for _ in 0..count {
            queue.push(line.clone(), Some((0, 10)), now);
        }
        queue.push(line.clone(), Some((10, 12)), now);
        queue.push(line.clone(), Some((12, 14)), now);
        queue.close();
        for _ in 0..count {
            assert_eq!(
                queue.next(None),
                Next::Waiting(Waiting::Line(line.clone(), now))
            );
        }
        let place = Waiting::Place {
            from: 10,
            to: 14,
            arrived: now,
        };
        assert_eq!(queue.next(None), Next::Waiting(place));
        assert_eq!(queue.next(None), Next::End);
    }

    #[test]
    fn without_a_file_whoever_adds_a_line_waits_for_room() {
        let queue = Queue::default();
        let now = Time::now();
        queue.push(vec![b'a'; MEMORY], None, now);
        std::thread::scope(|scope| {
            scope.spawn(|| queue.push(b"b".to_vec(), None, now));
            assert!(matches!(
                queue.next(None),
                Next::Waiting(Waiting::Line(line, _)) if line.len() == MEMORY
            ));
            assert_eq!(
                queue.next(None),
                Next::Waiting(Waiting::Line(b"b".to_vec(), now))
            );
        });
        assert_eq!(queue.next(Some(Duration::ZERO)), Next::Nothing);
    }
}

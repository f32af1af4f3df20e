//! Answers in the memory of this process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// What an answer takes beside its bytes and those of its key.
const BESIDE: usize = 256;

/// Answers in memory; the one that was used least recently goes first.
pub(super) struct Memory {
    ttl: Duration,
    most: u64,
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    by_key: HashMap<Arc<str>, Answer>,
    /// Their keys, by the turn in which they were used last.
    by_use: BTreeMap<u64, Arc<str>>,
    turn: u64,
    bytes: u64,
}

struct Answer {
    bytes: Bytes,
    until: Instant,
    used: u64,
}

impl Memory {
    /// Keeps so many bytes at most, each answer for this time.
    pub(super) fn new(most: u64, ttl: Duration) -> Self {
        Self {
            ttl,
            most,
            answers: Mutex::default(),
        }
    }

    /// The answer that is kept under the key.
    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        let mut answers = self.lock();
        let answers = &mut *answers;
        let answer = answers.by_key.get_mut(key)?;
        if answer.until <= Instant::now() {
            answers.remove(key);
            return None;
        }
        answers.turn += 1;
        let key = answers.by_use.remove(&answer.used)?;
        answer.used = answers.turn;
        answers.by_use.insert(answers.turn, key);
        Some(answer.bytes.clone())
    }

    /// Keeps an answer under the key.
    pub(super) fn keep(&self, key: String, bytes: Bytes) {
        let size = size(&key, &bytes);
        let now = Instant::now();
        let Some(until) = now.checked_add(self.ttl).filter(|_| size <= self.most) else {
            return;
        };
        let mut answers = self.lock();
        answers.remove(&key);
        while answers.bytes + size > self.most {
            let Some((_, oldest)) = answers.by_use.first_key_value() else {
                break;
            };
            let oldest = Arc::clone(oldest);
            answers.remove(&oldest);
        }
        answers.turn += 1;
        let (key, used) = (Arc::from(key), answers.turn);
        answers.by_use.insert(used, Arc::clone(&key));
        answers.bytes += size;
        let answer = Answer { bytes, until, used };
        answers.by_key.insert(key, answer);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn remove(&mut self, key: &str) {
        if let Some(answer) = self.by_key.remove(key) {
            self.by_use.remove(&answer.used);
            self.bytes -= size(key, &answer.bytes);
        }
    }
}

fn size(key: &str, bytes: &Bytes) -> u64 {
    (key.len() + bytes.len() + BESIDE) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let answer = || Bytes::from(vec![0; 1000]);
        let memory = Memory::new(3 * size("1", &answer()), LONG);
        for key in ["1", "2", "3"] {
            memory.keep(key.to_owned(), answer());
        }
        assert!(memory.get("1").is_some());
        memory.keep("4".to_owned(), answer());
        let is_there = |key| memory.get(key).is_some();
        assert_eq!(
            ["1", "2", "3", "4"].map(is_there),
            [true, false, true, true]
        );
        memory.keep("5".to_owned(), Bytes::from(vec![0; 4000]));
        assert_eq!(
            ["1", "3", "4", "5"].map(is_there),
            [true, true, true, false]
        );
        memory.keep("5".to_owned(), Bytes::from(vec![0; 2500]));
        assert_eq!(
            ["1", "3", "4", "5"].map(is_there),
            [false, false, false, true]
        );
    }

    #[test]
    fn the_bytes_are_counted_whatever_happens() {
        let memory = Memory::new(10_000, LONG);
        for turn in 0..1000_usize {
            let answer = Bytes::from(vec![0; turn * 37 % 5000]);
            memory.keep((turn % 17).to_string(), answer);
            memory.get(&(turn % 5).to_string());
            let answers = memory.lock();
            let counted: u64 = answers
                .by_key
                .iter()
                .map(|(key, answer)| size(key, &answer.bytes))
                .sum();
            assert_eq!(answers.bytes, counted);
            assert!(counted <= 10_000);
            assert_eq!(answers.by_key.len(), answers.by_use.len());
        }
    }

    #[test]
    fn an_answer_is_kept_for_its_time() {
        let memory = Memory::new(10_000, Duration::ZERO);
        memory.keep("1".to_owned(), Bytes::from_static(b"x"));
        assert_eq!(memory.get("1"), None);
        assert_eq!(memory.lock().bytes, 0);
        let forever = Memory::new(10_000, Duration::MAX);
        forever.keep("1".to_owned(), Bytes::from_static(b"x"));
        assert_eq!(forever.get("1"), None);
    }
}

//! The speeds of backends as their latest answers show them.

use std::collections::{HashMap, VecDeque};

use crate::speeds::Speed;
use crate::store::requests::Request;

/// The answers of a backend that count, the latest ones.
pub(crate) const ANSWERS: usize = 32;

/// The answers that tell a speed; with fewer the backend is still to be measured.
const ENOUGH: usize = 3;

/// The tokens of an answer that is long enough to tell a speed.
const TOKENS: u64 = 16;

/// The latest answers of each backend, by its id.
#[derive(Debug, Default)]
pub(crate) struct Live(HashMap<i64, VecDeque<Answer>>);

/// A streamed answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) bytes_in: u64,
    pub(crate) tokens: u64,
    pub(crate) ttft_ms: f64,
    pub(crate) total_ms: f64,
}

impl Live {
    /// Takes the answer of a request, if it tells a speed.
    pub(crate) fn note(&mut self, row: &Request) {
        let id = row.backend.as_deref().and_then(|label| label.parse().ok());
        if !row.streamed || row.cached || row.status >= 400 {
            return;
        }
        if let (Some(id), Some(tokens), Some(ttft_ms)) = (id, row.completion_tokens, row.ttft_ms) {
            let answer = Answer {
                bytes_in: row.bytes_in,
                tokens,
                ttft_ms,
                total_ms: row.total_ms,
            };
            self.push(id, answer);
        }
    }

    /// Takes an answer of a backend, which is newer than those before; one that is too short is left out.
    pub(crate) fn push(&mut self, backend: i64, answer: Answer) {
        let has_times = answer.ttft_ms > 0.0 && answer.total_ms > answer.ttft_ms;
        if answer.tokens < TOKENS || !has_times {
            return;
        }
        let answers = self.0.entry(backend).or_default();
        if answers.len() == ANSWERS {
            answers.pop_front();
        }
        answers.push_back(answer);
    }

    /// The mean speed of the backend, weighted by time; `None` if it has answered too little yet.
    pub(crate) fn speed(&self, backend: i64) -> Option<Speed> {
        let answers = self
            .0
            .get(&backend)
            .filter(|answers| answers.len() >= ENOUGH)?;
        let sum = |of: fn(&Answer) -> f64| answers.iter().map(of).sum::<f64>();
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let (bytes, tokens) = (
            sum(|answer| answer.bytes_in as f64),
            sum(|answer| answer.tokens as f64),
        );
        Some(Speed {
            prompt_tps: bytes / 4.0 / sum(|answer| answer.ttft_ms) * 1e3,
            gen_tps: tokens / sum(|answer| answer.total_ms - answer.ttft_ms) * 1e3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(tokens: u64, total_ms: f64) -> Request {
        Request {
            backend: Some("7".to_owned()),
            status: 200,
            streamed: true,
            completion_tokens: Some(tokens),
            ttft_ms: Some(100.0),
            total_ms,
            bytes_in: 400,
            ..Request::default()
        }
    }

    #[test]
    fn three_answers_tell_a_speed_and_only_the_latest_count() {
        let mut live = Live::default();
        for _ in 0..2 {
            live.note(&answer(20, 1100.0));
        }
        assert_eq!(live.speed(7), None);
        live.note(&answer(20, 1100.0));
        let speed = live.speed(7).unwrap();
        assert_eq!((speed.prompt_tps, speed.gen_tps), (1000.0, 20.0));
        for _ in 0..ANSWERS {
            live.note(&answer(20, 600.0));
        }
        assert_eq!(live.speed(7).unwrap().gen_tps, 40.0);
        assert_eq!(live.speed(8), None);
    }

    #[test]
    fn what_tells_no_speed_is_left_out() {
        let mut live = Live::default();
        let good = answer(20, 1100.0);
        for _ in 0..ENOUGH {
            for bad in [
                answer(15, 1100.0),
                answer(20, 100.0),
                Request {
                    streamed: false,
                    ..good.clone()
                },
                Request {
                    status: 499,
                    ..good.clone()
                },
                Request {
                    cached: true,
                    ..good.clone()
                },
                Request {
                    completion_tokens: None,
                    ..good.clone()
                },
                Request {
                    backend: Some("openai".to_owned()),
                    ..good.clone()
                },
            ] {
                live.note(&bad);
            }
        }
        assert!(live.0.is_empty());
    }
}

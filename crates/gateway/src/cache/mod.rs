//! Answers that are kept, and given again to requests that mean the same.

mod address;
mod memory;
mod redis;

use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::CACHE_CONTROL;

use crate::connector::Connector;
use crate::request::{Fields, cache_key};
pub(crate) use address::Address;
use memory::Memory;
use redis::Redis;

/// The largest answer that is kept, and the largest request that a key is made of: that takes time and memory.
const LARGEST: usize = 1 << 20;

/// Where answers are kept, as it is told at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Off,
    Memory,
    Redis(Address),
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "memory" => Ok(Self::Memory),
            "redis" => Ok(Self::Redis(Address::default())),
            _ => text.parse().map(Self::Redis),
        }
    }
}

/// How answers are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How long an answer is kept.
    pub(crate) ttl: Duration,
    /// The most bytes in memory.
    pub(crate) size: u64,
    /// Whether answers that are not the same every time are kept too.
    pub(crate) any: bool,
}

/// The answers that are kept.
pub(crate) struct Cache {
    rules: Rules,
    kept: Kept,
}

enum Kept {
    Off,
    Memory(Memory),
    Redis(Redis),
}

/// What the cache has for a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The answer.
    Hit(Bytes),
    /// Nothing; the answer will be kept under this key.
    Miss(String),
    /// There is no cache, it cannot be reached, or the request is none for it.
    Off,
}

/// What a request says of its answer: whether it may be read from the cache, and kept there.
struct Wish {
    may_read: bool,
    may_keep: bool,
}

impl Cache {
    /// One that keeps nothing.
    pub(crate) fn off() -> Self {
        let rules = Rules {
            ttl: Duration::ZERO,
            size: 0,
            any: false,
        };
        let kept = Kept::Off;
        Self { rules, kept }
    }

    /// Opens the cache. What cannot be reached yet is tried again later: this waits 50 ms at most.
    pub(crate) async fn open(place: Place, rules: Rules) -> base::Result<Self> {
        let kept = match place {
            Place::Off => Kept::Off,
            Place::Memory => Kept::Memory(Memory::new(rules.size, rules.ttl)),
            Place::Redis(address) => {
                Kept::Redis(Redis::open(address, Connector::new()?, rules.ttl).await)
            }
        };
        Ok(Self { rules, kept })
    }

    /// Where answers are kept, without a user and a password; `None` if nowhere, for now.
    pub(crate) fn place(&self) -> Option<String> {
        match &self.kept {
            Kept::Off => None,
            Kept::Memory(_) => Some("memory".to_owned()),
            Kept::Redis(redis) => redis.address(),
        }
    }

    /// Looks for the answer to a request for this model, by its canonical name. `path` is that of the route
    /// behind `/v1`, with the query.
    pub(crate) async fn find(
        &self,
        path: &str,
        headers: &HeaderMap,
        fields: &Fields,
        model: &str,
        body: &[u8],
    ) -> Found {
        let wish = wish(headers);
        if matches!(self.kept, Kept::Off) || !wish.may_keep || body.len() > LARGEST {
            return Found::Off;
        }
        let key = self.kind(path, fields).and_then(|kind| {
            let body = std::str::from_utf8(body).ok()?;
            cache_key(kind, model, body)
        });
        let Some(key) = key else {
            return Found::Off;
        };
        let found = match &self.kept {
            Kept::Off => return Found::Off,
            Kept::Memory(_) | Kept::Redis(_) if !wish.may_read => None,
            Kept::Memory(memory) => memory.get(&key),
            Kept::Redis(redis) => match redis.get(&key).await {
                Some(found) => found,
                None => return Found::Off,
            },
        };
        found.map_or(Found::Miss(key), Found::Hit)
    }

    /// Keeps an answer; waits for that, but not for long.
    pub(crate) async fn keep(&self, key: String, answer: &Bytes) {
        if answer.len() > LARGEST {
            return;
        }
        // A copy: the bytes may be part of a much larger buffer.
        let answer = Bytes::copy_from_slice(answer);
        match &self.kept {
            Kept::Off => {}
            Kept::Memory(memory) => memory.keep(key, answer),
            Kept::Redis(redis) => redis.keep(key, answer).await,
        }
    }

    /// The first part of the key; `None` if the answer may be another one the next time, as far as the request
    /// says. A query may change the answer, and is not in the key.
    fn kind(&self, path: &str, fields: &Fields) -> Option<&'static str> {
        let is_fixed = self.rules.any || fields.temperature == Some(0.0);
        let kind = match path {
            "/chat/completions" if is_fixed => "chat",
            "/completions" if is_fixed => "completions",
            "/embeddings" => "embeddings",
            _ => return None,
        };
        (!fields.stream && fields.n.is_none_or(|n| n == 1.0)).then_some(kind)
    }
}

fn wish(headers: &HeaderMap) -> Wish {
    let mut wish = Wish {
        may_read: true,
        may_keep: true,
    };
    for value in headers.get_all(CACHE_CONTROL) {
        for word in value.as_bytes().split(|byte| *byte == b',') {
            let word = word.trim_ascii();
            wish.may_keep &= !word.eq_ignore_ascii_case(b"no-store");
            wish.may_read &= !word.eq_ignore_ascii_case(b"no-cache");
        }
    }
    wish
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn memory(rules: Rules) -> Cache {
        Cache::open(Place::Memory, rules).await.unwrap()
    }

    async fn found(headers: &[&str], path: &str, body: &str, any: bool) -> &'static str {
        let rules = Rules {
            ttl: Duration::from_mins(1),
            size: 1 << 20,
            any,
        };
        let cache = memory(rules).await;
        let fields = Fields::read(body.as_bytes()).unwrap();
        let none = HeaderMap::new();
        let first = cache.find(path, &none, &fields, "m", body.as_bytes()).await;
        if let Found::Miss(key) = first {
            cache.keep(key, &Bytes::from_static(b"{}")).await;
        }
        let mut sent = HeaderMap::new();
        for value in headers {
            sent.append(CACHE_CONTROL, value.parse().unwrap());
        }
        match cache.find(path, &sent, &fields, "m", body.as_bytes()).await {
            Found::Hit(answer) => {
                assert_eq!(answer, "{}");
                "hit"
            }
            Found::Miss(_) => "miss",
            Found::Off => "off",
        }
    }

    #[tokio::test]
    async fn only_answers_that_stay_the_same_are_kept() {
        let chat = "/chat/completions";
        for (path, body, expected, expected_with_any) in [
            (chat, r#"{"model":"a","temperature":0}"#, "hit", "hit"),
            (
                chat,
                r#"{"model":"a","temperature":-0.0,"n":1}"#,
                "hit",
                "hit",
            ),
            (
                chat,
                r#"{"model":"a","temperature":0.0,"n":null}"#,
                "hit",
                "hit",
            ),
            (chat, r#"{"model":"a"}"#, "off", "hit"),
            (chat, r#"{"model":"a","temperature":null}"#, "off", "hit"),
            (chat, r#"{"model":"a","temperature":0.1}"#, "off", "hit"),
            (chat, r#"{"model":"a","temperature":0,"n":2}"#, "off", "off"),
            (
                chat,
                r#"{"model":"a","temperature":0,"n":2.0}"#,
                "off",
                "off",
            ),
            (
                chat,
                r#"{"model":"a","temperature":0,"n":"2"}"#,
                "off",
                "off",
            ),
            (
                chat,
                r#"{"model":"a","temperature":0,"stream":true}"#,
                "off",
                "off",
            ),
            (
                chat,
                r#"{"model":"a","temperature":0,"temperature":0}"#,
                "off",
                "off",
            ),
            (
                "/chat/completions?v=1",
                r#"{"model":"a","temperature":0}"#,
                "off",
                "off",
            ),
            (
                "/completions",
                r#"{"model":"a","temperature":0}"#,
                "hit",
                "hit",
            ),
            ("/embeddings", r#"{"model":"a"}"#, "hit", "hit"),
            (
                "/responses",
                r#"{"model":"a","temperature":0}"#,
                "off",
                "off",
            ),
        ] {
            assert_eq!(found(&[], path, body, false).await, expected, "{body}");
            assert_eq!(
                found(&[], path, body, true).await,
                expected_with_any,
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_request_may_forbid_to_read_or_to_keep() {
        let body = r#"{"model":"a","temperature":0}"#;
        for (headers, expected) in [
            (&["max-age=0"][..], "hit"),
            (&["no-cache"], "miss"),
            (&["max-age=0, No-Cache"], "miss"),
            (&["no-store"], "off"),
            (&["no-cache", "no-store"], "off"),
        ] {
            let found = found(headers, "/chat/completions", body, false).await;
            assert_eq!(found, expected, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn a_very_long_answer_is_not_kept() {
        let rules = Rules {
            ttl: Duration::from_mins(1),
            size: 64 << 20,
            any: false,
        };
        let cache = memory(rules).await;
        let body = br#"{"model":"a"}"#;
        let fields = Fields::read(body).unwrap();
        let none = HeaderMap::new();
        for (length, is_kept) in [(LARGEST + 1, false), (LARGEST, true)] {
            cache
                .keep(
                    cache_key("embeddings", "m", r#"{"model":"a"}"#).unwrap(),
                    &Bytes::from(vec![b'1'; length]),
                )
                .await;
            let found = cache.find("/embeddings", &none, &fields, "m", body).await;
            assert_eq!(matches!(found, Found::Hit(_)), is_kept, "{length}");
        }
    }
}

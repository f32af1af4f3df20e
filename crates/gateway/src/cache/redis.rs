//! Answers in Redis, by its protocol of version 2: as little of it as this needs.
//!
//! One task has a connection for reading, on which requests do not wait for each other, and tells whether
//! Redis can be used. Another has a connection for writing, so that no request waits for a long answer that
//! is being kept.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{note, printable};
use bytes::{Buf, Bytes, BytesMut};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use serde::de::IgnoredAny;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tower_service::Service;

use super::LARGEST;
use super::address::Address;
use crate::connector::{Connector, Listening};

/// The longest that a request waits for Redis, and that an answer of it takes.
const SLOW: Duration = Duration::from_millis(50);

/// How long a connection may take to be ready, or an answer to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time between two tries to reach it again.
const AGAIN: Duration = Duration::from_secs(5);

/// The requests that may wait to be asked, and the answers that may wait to be written.
const ASKS: usize = 1024;
const KEEPS: usize = 32;

/// The longest line of an answer.
const LINE: usize = 4 << 10;

/// How much is read at once at least.
const READ: usize = 16 << 10;

/// A key that no answer has: whether Redis can be used is tried with it.
const NO_ANSWER: &str = "chat:";

/// Answers in Redis.
pub(super) struct Redis {
    address: Address,
    asks: mpsc::Sender<Ask>,
    keeps: mpsc::Sender<Keep>,
    is_up: Arc<AtomicBool>,
}

struct Ask {
    key: String,
    answer: oneshot::Sender<Option<Bytes>>,
}

struct Keep {
    key: String,
    answer: Bytes,
    /// Dropped when it is written, or is not going to be.
    _done: oneshot::Sender<()>,
}

/// Why Redis cannot be used; in our words, as what answers there may repeat a password.
type Why = Cow<'static, str>;

impl Redis {
    /// Connects; if that takes longer than a moment, it goes on behind.
    pub(super) async fn open(address: Address, connector: Connector, ttl: Duration) -> Self {
        let link = Link {
            connector,
            address: address.clone(),
            is_up: Arc::default(),
        };
        let is_up = Arc::clone(&link.is_up);
        let (asks, asked) = mpsc::channel(ASKS);
        let (keeps, kept) = mpsc::channel(KEEPS);
        let (first, mut tried) = watch::channel(false);
        tokio::spawn(link.clone().write(kept, ttl));
        tokio::spawn(link.read(asked, first));
        let _ = timeout(SLOW, tried.wait_for(|tried| *tried)).await;
        Self {
            address,
            asks,
            keeps,
            is_up,
        }
    }

    /// Where it is, without user and password; `None` if it cannot be used now.
    pub(super) fn address(&self) -> Option<String> {
        let is_up = self.is_up.load(Ordering::Relaxed);
        is_up.then(|| self.address.to_string())
    }

    /// The answer that is kept under the key, if any; `None` if Redis cannot be used now.
    pub(super) async fn get(&self, key: &str) -> Option<Option<Bytes>> {
        if !self.is_up.load(Ordering::Relaxed) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let key = key.to_owned();
        self.asks.try_send(Ask { key, answer }).ok()?;
        let found = timeout(SLOW, answered).await.ok()?.ok()?;
        // Who knows who wrote it.
        let is_json = |bytes: &Bytes| serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        Some(found.filter(is_json))
    }

    /// Keeps an answer, if there are not too many that wait for it. This is over when it is there, so that the
    /// same request finds it next, but after a moment in any case.
    pub(super) async fn keep(&self, key: String, answer: Bytes) {
        if !self.is_up.load(Ordering::Relaxed) {
            return;
        }
        let (written, done) = oneshot::channel();
        let keep = Keep {
            key,
            answer,
            _done: written,
        };
        if self.keeps.try_send(keep).is_ok() {
            let _ = timeout(SLOW, done).await;
        }
    }
}

/// What both tasks need.
#[derive(Clone)]
struct Link {
    connector: Connector,
    address: Address,
    is_up: Arc<AtomicBool>,
}

impl Link {
    /// Answers what is asked while Redis can be used, and tries again while it cannot.
    async fn read(self, mut asks: mpsc::Receiver<Ask>, first: watch::Sender<bool>) {
        let mut was_told = false;
        loop {
            let opened = timeout(PATIENCE, self.opened()).await;
            let mut why = "it does not answer".into();
            let mut lived = Duration::ZERO;
            match opened {
                Err(_) => {}
                Ok(Err(failed)) => why = failed,
                Ok(Ok(connection)) => {
                    self.is_up.store(true, Ordering::Relaxed);
                    first.send_replace(true);
                    if was_told {
                        note(&format!("cache: {} is back", self.address));
                        was_told = false;
                    }
                    let since = Instant::now();
                    match converse(connection, &mut asks).await {
                        None => return,
                        Some(failed) => why = failed,
                    }
                    lived = since.elapsed();
                }
            }
            self.is_up.store(false, Ordering::Relaxed);
            // A server may close connections on which nothing happens: no word of that.
            if lived > AGAIN && why == CLOSED {
                continue;
            }
            if !was_told {
                let address = &self.address;
                note(&format!(
                    "cache: {address}: {why}; requests go on without it"
                ));
                was_told = true;
            }
            first.send_replace(true);
            let again = Instant::now() + AGAIN;
            // Those who ask meanwhile have no answer.
            while let Ok(ask) = tokio::time::timeout_at(again, asks.recv()).await {
                if ask.is_none() {
                    return;
                }
            }
        }
    }

    /// A connection on which an answer came in time.
    async fn opened(&self) -> Result<Connection, Why> {
        let mut connection = self.connect().await?;
        match timeout(SLOW, connection.call(&[b"GET", NO_ANSWER.as_bytes()])).await {
            Err(_) => Err(TOO_SLOW.into()),
            Ok(Ok(Reply::Error(code))) => Err(refusal(code)),
            Ok(Ok(_)) => Ok(connection),
            Ok(Err(why)) => Err(why),
        }
    }

    async fn connect(&self) -> Result<Connection, Why> {
        let uri = self.address.uri().ok_or("the address is invalid")?;
        let connected = self.connector.clone().call(uri).await;
        let stream = connected.map_err(|error| connect_reason(error.as_ref()))?;
        let mut connection = Connection {
            stream: TokioIo::new(stream),
            replies: Replies::default(),
        };
        let Address { user, database, .. } = &self.address;
        if let Some(password) = &self.address.password {
            let command = [b"AUTH", user.as_bytes(), password.as_bytes()];
            let reply = if user.is_empty() {
                connection.call(&[command[0], command[2]]).await?
            } else {
                connection.call(&command).await?
            };
            if matches!(reply, Reply::Error(_)) {
                return Err("it refuses the user or the password".into());
            }
        }
        if *database > 0 {
            let number = database.to_string();
            let reply = connection.call(&[b"SELECT", number.as_bytes()]).await?;
            if let Reply::Error(code) = reply {
                return Err(match code {
                    "NOAUTH" => refusal(code),
                    _ => "it does not have this database".into(),
                });
            }
        }
        Ok(connection)
    }

    /// Writes what is to be kept, one after the other.
    async fn write(self, mut keeps: mpsc::Receiver<Keep>, ttl: Duration) {
        // Redis adds the time of day to it: a thousand years are far from too large.
        let ttl = ttl.as_millis().min(1000 * 365 * 86_400_000).to_string();
        let mut connection = None;
        let mut was_told = false;
        while let Some(Keep { key, answer, _done }) = keeps.recv().await {
            if !self.is_up.load(Ordering::Relaxed) {
                connection = None;
                continue;
            }
            let words = [
                b"SET".as_slice(),
                key.as_bytes(),
                &answer,
                b"PX",
                ttl.as_bytes(),
            ];
            // One on which nothing happened may be closed by now. That Redis is gone is noticed, and told,
            // by the other task.
            let mut reply = None;
            for _ in 0..2 {
                let is_new = connection.is_none();
                reply = timeout(PATIENCE, self.call(&mut connection, &words))
                    .await
                    .ok();
                if !matches!(reply, Some(Err(_))) || is_new {
                    break;
                }
            }
            let address = &self.address;
            match reply {
                Some(Ok(Reply::Error(code))) if !was_told => {
                    let why = refusal(code);
                    note(&format!("cache: {address} keeps no new answers: {why}"));
                    was_told = true;
                }
                Some(Ok(Reply::Done)) if was_told => {
                    note(&format!("cache: {address} keeps answers again"));
                    was_told = false;
                }
                _ => {}
            }
        }
    }

    /// Sends a command on the connection, or on a new one if there is none. Afterwards there is one if it can
    /// be used further.
    async fn call(
        &self,
        connection: &mut Option<Connection>,
        words: &[&[u8]],
    ) -> Result<Reply, Why> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        let reply = open.call(words).await?;
        *connection = Some(open);
        Ok(reply)
    }
}

/// Asks, many at once, until something goes wrong; `None` if nobody asks any more.
async fn converse(mut connection: Connection, asks: &mut mpsc::Receiver<Ask>) -> Option<Why> {
    let mut waiting = VecDeque::new();
    let mut commands = Vec::new();
    loop {
        let oldest: Option<&(Instant, _)> = waiting.front();
        let deadline = oldest.map(|(asked, _)| *asked + SLOW);
        tokio::select! {
            ask = asks.recv(), if waiting.len() < ASKS => {
                let mut next = Some(ask?);
                let now = Instant::now();
                while let Some(Ask { key, answer }) = next {
                    write_command(&mut commands, &[b"GET", key.as_bytes()]);
                    waiting.push_back((now, answer));
                    next = asks.try_recv().ok();
                }
                match timeout(SLOW, connection.send(&commands)).await {
                    Err(_) => return Some(TOO_SLOW.into()),
                    Ok(Err(why)) => return Some(why),
                    Ok(Ok(())) => commands.clear(),
                }
            }
            read = connection.read() => {
                if let Err(why) = read {
                    return Some(why);
                }
                loop {
                    let found = match connection.replies.next() {
                        Err(why) => return Some(why),
                        Ok(None) => break,
                        Ok(Some(Reply::Found(found))) => Some(found),
                        // Of another type: whoever wrote that, it is no answer.
                        Ok(Some(Reply::Nothing | Reply::Error("WRONGTYPE"))) => None,
                        Ok(Some(Reply::Error(code))) => return Some(refusal(code)),
                        Ok(Some(Reply::Done)) => return Some(NOT_REDIS.into()),
                    };
                    let Some((_, answer)) = waiting.pop_front() else {
                        return Some(NOT_REDIS.into());
                    };
                    // Who asked may have left.
                    let _ = answer.send(found);
                }
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                return Some(TOO_SLOW.into());
            }
        }
    }
}

const CLOSED: &str = "it closed the connection";
const NOT_REDIS: &str = "what answers there is not Redis";
const TOO_SLOW: &str = "no answer within 50 ms";

/// What an error of Redis means.
fn refusal(code: &str) -> Why {
    match code {
        "NOAUTH" | "NOPERM" | "WRONGPASS" => "it asks for another user or password".into(),
        "OOM" => "it is full".into(),
        "READONLY" => "it is a replica, which is only read".into(),
        "LOADING" => "it still reads its data".into(),
        "MISCONF" => "it cannot write its data to disk".into(),
        _ => "it answers with an error".into(),
    }
}

/// The innermost reason why there is no connection.
fn connect_reason(error: &(dyn std::error::Error + 'static)) -> Why {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => base::reason(error).into(),
        None => printable(&error.to_string()).into_owned().into(),
    }
}

/// An answer of Redis.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Done,
    Nothing,
    Found(Bytes),
    /// One of those that mean something here, else empty.
    Error(&'static str),
}

/// The errors of Redis that mean something here.
const CODES: [&str; 8] = [
    "WRONGTYPE",
    "NOAUTH",
    "NOPERM",
    "WRONGPASS",
    "OOM",
    "READONLY",
    "LOADING",
    "MISCONF",
];

struct Connection {
    stream: TokioIo<MaybeHttpsStream<TokioIo<Listening>>>,
    replies: Replies,
}

impl Connection {
    /// Sends a command, and waits for its answer.
    async fn call(&mut self, words: &[&[u8]]) -> Result<Reply, Why> {
        let mut command = Vec::new();
        write_command(&mut command, words);
        self.send(&command).await?;
        loop {
            if let Some(reply) = self.replies.next()? {
                return Ok(reply);
            }
            self.read().await?;
        }
    }

    async fn send(&mut self, commands: &[u8]) -> Result<(), Why> {
        let sent = self.stream.write_all(commands).await;
        sent.map_err(|_| CLOSED)?;
        self.stream.flush().await.map_err(|_| CLOSED.into())
    }

    async fn read(&mut self) -> Result<(), Why> {
        // Without this a long answer would come in many small pieces.
        self.replies.open.reserve(READ);
        match self.stream.read_buf(&mut self.replies.open).await {
            Ok(0) | Err(_) => Err(CLOSED.into()),
            Ok(_) => Ok(()),
        }
    }
}

/// The answers in what came.
#[derive(Debug, Default)]
struct Replies {
    open: BytesMut,
    /// The bytes of an answer that is too long, which are left out as they come.
    skipped: u64,
}

impl Replies {
    /// The next answer, if all of it is there.
    fn next(&mut self) -> Result<Option<Reply>, Why> {
        if self.skipped > 0 {
            let there = self
                .open
                .len()
                .min(usize::try_from(self.skipped).unwrap_or(usize::MAX));
            self.open.advance(there);
            self.skipped -= there as u64;
            return Ok((self.skipped == 0).then_some(Reply::Nothing));
        }
        let Some(end) = memchr::memchr(b'\n', &self.open) else {
            return match self.open.len() {
                ..LINE => Ok(None),
                _ => Err(NOT_REDIS.into()),
            };
        };
        let line = self
            .open
            .get(..end)
            .and_then(|line| line.strip_suffix(b"\r"));
        let (kind, text) = line.and_then(|line| line.split_first()).ok_or(NOT_REDIS)?;
        let reply = match kind {
            b'+' => Reply::Done,
            b'-' => {
                let is_it = |code: &&str| text.starts_with(code.as_bytes());
                Reply::Error(CODES.into_iter().find(is_it).unwrap_or_default())
            }
            b'$' if text == b"-1" => Reply::Nothing,
            b'$' => {
                let length = std::str::from_utf8(text).ok();
                let length: u64 = length
                    .and_then(|length| length.parse().ok())
                    .ok_or(NOT_REDIS)?;
                let Some(length) = usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= LARGEST)
                else {
                    self.open.advance(end + 1);
                    self.skipped = length.saturating_add(2);
                    return self.next();
                };
                let whole = end + 1 + length + 2;
                if self.open.len() < whole {
                    self.open.reserve(whole - self.open.len());
                    return Ok(None);
                }
                let mut whole = self.open.split_to(whole);
                whole.advance(end + 1);
                if !whole.ends_with(b"\r\n") {
                    return Err(NOT_REDIS.into());
                }
                whole.truncate(length);
                return Ok(Some(Reply::Found(whole.freeze())));
            }
            _ => return Err(NOT_REDIS.into()),
        };
        self.open.advance(end + 1);
        Ok(Some(reply))
    }
}

fn write_command(to: &mut Vec<u8>, words: &[&[u8]]) {
    to.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        to.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        to.extend_from_slice(word);
        to.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(pieces: &[&[u8]]) -> Result<Vec<Reply>, Why> {
        let mut replies = Replies::default();
        let mut all = Vec::new();
        for piece in pieces {
            replies.open.extend_from_slice(piece);
            while let Some(reply) = replies.next()? {
                all.push(reply);
            }
        }
        Ok(all)
    }

    #[tokio::test]
    async fn an_answer_is_written_before_the_client_has_it() {
        let (asks, _asked) = mpsc::channel(1);
        let (keeps, mut kept) = mpsc::channel(1);
        let redis = Redis {
            address: Address::default(),
            asks,
            keeps,
            is_up: Arc::new(AtomicBool::new(true)),
        };
        let mut keeping = std::pin::pin!(redis.keep("k".to_owned(), Bytes::new()));
        tokio::select! {
            biased;
            () = &mut keeping => panic!("it is not written yet"),
            keep = kept.recv() => drop(keep),
        }
        keeping.await;
        // Nobody waits for one that finds no place, or for a Redis that is gone.
        let full = redis.keeps.try_reserve().unwrap();
        redis.keep("k".to_owned(), Bytes::new()).await;
        drop(full);
        redis.is_up.store(false, Ordering::Relaxed);
        redis.keep("k".to_owned(), Bytes::new()).await;
        assert!(kept.try_recv().is_err());
    }

    #[test]
    fn answers_are_read_wherever_they_are_cut() {
        let stream = b"+OK\r\n$-1\r\n-OOM used\r\n$3\r\n{\r}\r\n-SECRET x\r\n$0\r\n\r\n";
        let expected = [
            Reply::Done,
            Reply::Nothing,
            Reply::Error("OOM"),
            Reply::Found(Bytes::from_static(b"{\r}")),
            Reply::Error(""),
            Reply::Found(Bytes::new()),
        ];
        for cut in 0..=stream.len() {
            let (before, after) = stream.split_at(cut);
            assert_eq!(replies(&[before, after]).unwrap(), expected, "{cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(replies(&bytes).unwrap(), expected);
    }

    #[test]
    fn a_value_that_is_too_long_is_left_out_as_it_comes() {
        let head = format!("${}\r\n", LARGEST + 1);
        let long = vec![b'x'; LARGEST + 1];
        let all = replies(&[head.as_bytes(), &long, b"\r", b"\n+OK\r\n"]).unwrap();
        assert_eq!(all, [Reply::Nothing, Reply::Done]);
        let mut replies = Replies::default();
        replies
            .open
            .extend_from_slice(b"$18446744073709551615\r\nx");
        assert_eq!(replies.next(), Ok(None));
        assert!(replies.open.is_empty());
    }

    #[test]
    fn what_is_not_redis_is_not_believed() {
        for stream in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\n",
            "\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$1\r\nabc",
            "*1\r\n",
            ":1\r\n",
            "+OK\n",
        ] {
            assert!(replies(&[stream.as_bytes()]).is_err(), "{stream:?}");
        }
        assert!(replies(&[&[b'+'; LINE]]).is_err());
    }
}

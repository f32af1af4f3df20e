//! Answers that are kept: in memory, and in a real Redis.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::backend::{Backend, Reply, completion};
use super::client::JSON;
use super::{CHAT, PATIENCE, Place, Served};

/// A chat whose answer is kept.
const ZERO: &str = r#"{"model":"m","temperature":0,"messages":[]}"#;

/// What the answer says of the cache.
#[track_caller]
fn cached(served: &Served, path: &str, head: &str, body: &str) -> String {
    let mut client = served.connect();
    client.request(&format!("POST {path}"), &format!("{JSON}{head}"), body);
    let answer = client.answer();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.header("x-localstore-cache").unwrap().to_owned()
}

/// Asks until the answer says this of the cache: what is kept is written behind the answer.
#[track_caller]
fn wait_for(served: &Served, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    while cached(served, CHAT, "", ZERO) != expected {
        assert!(Instant::now() < deadline, "no {expected}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(unix)]
#[test]
fn a_hit_makes_no_request_and_has_the_same_bytes() {
    let backend = Backend::playing([Reply::says("one"), Reply::says("two")]);
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--cache", "memory"]);
    assert_eq!(cached(&served, CHAT, "", ZERO), "miss");
    let same = r#"{"messages":[ ], "temperature" : 0, "model":"\u006d"}"#;
    let answer = served.post(CHAT, same);
    assert_eq!(answer.header("x-localstore-cache"), Some("hit"));
    assert_eq!(answer.header("x-localstore-backend"), None);
    assert_eq!(answer.text(), completion("one"));
    assert_eq!(backend.count(), 1);
    // Another spelling of a number may mean another thing.
    let other = r#"{"messages":[],"temperature":0.0,"model":"m"}"#;
    assert_eq!(cached(&served, CHAT, "", other), "miss");
    assert_eq!(backend.count(), 2);
    assert!(
        served
            .get("/metrics")
            .text()
            .contains("router_cache_hits_total{model=\"m\"} 1\n")
    );
    assert_eq!(served.stop().code, Some(0));
    let rows = "SELECT cached, tries, backend_id IS NULL, prompt_tokens IS NULL
        FROM localstore_gateway_requests ORDER BY id";
    let db = place.0.db();
    let mut rows = db.prepare(rows).unwrap();
    let rows = rows.query_map([], |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    });
    let rows: Vec<[i64; 4]> = rows.unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, [[0, 1, 0, 0], [1, 0, 1, 1], [0, 1, 0, 0]]);
}

#[test]
fn what_is_not_kept_says_so() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--cache", "memory"]);
    let warm = r#"{"model":"m"}"#;
    let responses = "/v1/responses";
    for (path, head, body, expected) in [
        (CHAT, "", warm, ["off", "off"]),
        (CHAT, "cache-control: no-store\r\n", ZERO, ["off", "off"]),
        (CHAT, "cache-control: no-cache\r\n", ZERO, ["miss", "miss"]),
        (CHAT, "", ZERO, ["hit", "hit"]),
        (responses, "", ZERO, ["off", "off"]),
        ("/v1/embeddings", "", warm, ["miss", "hit"]),
        ("/v1/completions", "", ZERO, ["miss", "hit"]),
    ] {
        for expected in expected {
            let found = cached(&served, path, head, body);
            assert_eq!(found, expected, "{path} {head}{body}");
        }
    }
    let any = place.serve(&["--cache", "memory", "--cache-any"]);
    assert_eq!(cached(&any, CHAT, "", warm), "miss");
    assert_eq!(cached(&any, CHAT, "", warm), "hit");
    let off = place.serve(&[]);
    assert_eq!(cached(&off, CHAT, "", ZERO), "off");
}

#[test]
fn only_whole_answers_of_the_model_itself_are_kept() {
    let place = Place::new();
    let failing = Backend::always(Reply::json(500, "{}"));
    let other = Backend::always(Reply::says("other"));
    place.model("m", &failing.url(), "m");
    place.model("other", &other.url(), "other");
    place
        .0
        .db()
        .execute_batch("INSERT INTO localstore_gateway_fallbacks VALUES ('m', 1, 'other')")
        .unwrap();
    let refusing = Backend::always(Reply::json(400, "{}"));
    place.model("refused", &refusing.url(), "refused");
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    let long = Backend::always(Reply::json(200, long));
    place.model("long", &long.url(), "long");
    let text = Backend::always(Reply::with(200, "content-type: text/plain\r\n", "{}"));
    place.model("text", &text.url(), "text");
    let served = place.serve(&["--cache", "memory"]);
    for model in ["m", "refused", "long", "text"] {
        let body = ZERO.replace("\"m\"", &format!("\"{model}\""));
        for _ in 0..2 {
            let answer = served.post(CHAT, &body);
            assert_eq!(answer.header("x-localstore-cache"), Some("miss"), "{model}");
        }
    }
}

#[test]
fn rights_are_looked_at_before_the_cache_and_aliases_share_it() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    place
        .0
        .db()
        .execute_batch("INSERT INTO localstore_gateway_aliases VALUES ('alias', 'm')")
        .unwrap();
    let key = |models: &str| {
        let made = place.0.run(["key", "create", "--models", models]);
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let keys = [key("m"), key("a*"), key("x")];
    let served = place.serve(&["--cache", "memory"]);
    let ask = |key: &str, model: &str| {
        let mut client = served.connect();
        let head = format!("{JSON}authorization: Bearer {key}\r\n");
        let body = ZERO.replace("\"m\"", &format!("\"{model}\""));
        client.request(&format!("POST {CHAT}"), &head, body);
        let answer = client.answer();
        let found = answer.header("x-localstore-cache").map(str::to_owned);
        (answer.status(), found.unwrap_or_default())
    };
    assert_eq!(ask(&keys[0], "m"), (200, "miss".to_owned()));
    assert_eq!(ask(&keys[1], "alias"), (200, "hit".to_owned()));
    assert_eq!(ask(&keys[1], "m"), (403, String::new()));
    assert_eq!(ask(&keys[2], "m"), (403, String::new()));
    assert_eq!(ask("sk-ls-none", "m"), (401, String::new()));
    assert_eq!(backend.count(), 1);
}

#[test]
fn an_invalid_address_is_refused_without_its_password() {
    let place = Place::new();
    for (options, variable) in [
        (&["--cache", "redis://:secret@h:x"][..], ""),
        (&["--cache", "redis://:secret@h/x"], ""),
        (&[], "http://:secret@h"),
        (&["--cache", "redis"], "secret"),
    ] {
        let mut words = vec!["serve", "--addr", "127.0.0.1:0"];
        words.extend(options);
        let mut command = place.0.command(words);
        let output = command.env("REDIS_URL", variable).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!error.contains("secret"), "{error}");
        let what = if variable.is_empty() {
            "--cache: "
        } else {
            "REDIS_URL: "
        };
        assert!(error.starts_with(&format!("localstore: {what}")), "{error}");
    }
}

/// The program of a real Redis; `None`, and loudly so, where there is none. With `LOCALSTORE_NEED_SERVERS=1`
/// there must be one, unless `LOCALSTORE_NO_REDIS=1`.
fn program() -> Option<PathBuf> {
    let told = std::env::var_os("LOCALSTORE_REDIS_SERVER").filter(|path| !path.is_empty());
    let path = told.map_or_else(|| "redis-server".into(), PathBuf::from);
    let started = Command::new(&path)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if started.is_ok_and(|status| status.success()) {
        return Some(path);
    }
    let is_set = |name| std::env::var_os(name).is_some_and(|value| value == "1");
    assert!(
        !is_set("LOCALSTORE_NEED_SERVERS") || is_set("LOCALSTORE_NO_REDIS"),
        "no redis-server: neither in LOCALSTORE_REDIS_SERVER nor in PATH"
    );
    let thread = std::thread::current();
    let line = format!(
        "NOT TESTED: no redis-server: {}\n",
        thread.name().unwrap_or_default()
    );
    // Only what is printed by macros is hidden while a test passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}

/// A real Redis with a password, which keeps nothing on disk.
struct Redis {
    program: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
}

impl Redis {
    fn start() -> Option<Self> {
        let program = program()?;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut redis = Self {
            program,
            address,
            child: None,
        };
        redis.restart();
        Some(redis)
    }

    /// Starts it at its address, and waits until it answers.
    fn restart(&mut self) {
        self.kill();
        let child = Command::new(&self.program)
            .args(["--port", &self.address.port().to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--requirepass", "se@cret", "--enable-debug-command", "yes"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn url(&self) -> String {
        format!("redis://:se%40cret@{}/2", self.address)
    }

    /// The lines of the answer to a command; those of the lengths of texts are left out.
    fn call(&self, words: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "AUTH se@cret\r\nSELECT 2\r\n{words}\r\nQUIT\r\n").unwrap();
        let mut all = String::new();
        BufReader::new(stream).read_to_string(&mut all).unwrap();
        let lines = all.lines().filter(|line| !line.starts_with(['$', '*']));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        assert_eq!(lines.drain(..2).collect::<Vec<_>>(), ["+OK", "+OK"]);
        assert_eq!(lines.pop().as_deref(), Some("+OK"));
        lines
    }

    /// The one key that is there.
    #[track_caller]
    fn key(&self) -> String {
        let keys = self.call("KEYS *");
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys.into_iter().next().unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Place {
    /// Starts the gateway with a cache at this address.
    fn serve_with_redis(&mut self, url: &str, options: &[&str]) -> Served {
        self.0.set("REDIS_URL", url);
        self.serve(options)
    }
}

#[cfg(unix)]
#[test]
fn answers_are_in_redis_for_their_time() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let backend = Backend::always(Reply::says("hi"));
    let mut place = Place::with(&[&backend]);
    place.0.set("CACHE_TTL", "60");
    let served = place.serve_with_redis(&redis.url(), &["-vvv"]);
    wait_for(&served, "miss");
    wait_for(&served, "hit");
    let key = redis.key();
    // The hash of {"messages":[],"model":"m","temperature":0}.
    assert_eq!(
        key,
        "chat:m:e9ef107c6a652a29f51a9c3ba43968951ea1fc5abca3587e5dee53e12588dd71"
    );
    assert_eq!(redis.call(&format!("GET {key}")), [completion("hi")]);
    let left = redis.call(&format!("PTTL {key}"));
    let left: u64 = left[0].strip_prefix(':').unwrap().parse().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    // Another gateway shares it; its own option comes before the variable.
    let other = place.serve(&["--cache-ttl", "1h"]);
    wait_for(&other, "hit");
    redis.call("FLUSHALL");
    wait_for(&other, "miss");
    wait_for(&other, "hit");
    let left = redis.call(&format!("PTTL {key}"));
    let left: u64 = left[0].strip_prefix(':').unwrap().parse().unwrap();
    assert!((60_001..=3_600_000).contains(&left), "{left}");
    let said = served.stop().stderr;
    assert!(said.contains(&format!("cache: redis://{}/2\n", redis.address)));
    assert!(
        !said.contains("se@cret") && !said.contains("se%40cret"),
        "{said}"
    );
}

#[test]
fn what_somebody_else_wrote_is_no_answer() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let backend = Backend::always(Reply::says("hi"));
    let mut place = Place::with(&[&backend]);
    let served = place.serve_with_redis(&redis.url(), &[]);
    wait_for(&served, "hit");
    let key = redis.key();
    for command in [
        format!("SET {key} {{cut"),
        format!("SET {key} \"\""),
        format!("SETRANGE {key} 3000000 x"),
    ] {
        redis.call(&command);
        wait_for(&served, "miss");
        wait_for(&served, "hit");
    }
    redis.call(&format!("DEL {key}"));
    redis.call(&format!("LPUSH {key} x"));
    wait_for(&served, "miss");
    wait_for(&served, "hit");
}

#[cfg(unix)]
#[test]
fn requests_go_on_while_redis_is_killed_and_started_again() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let backend = Backend::always(Reply::says("hi"));
    let mut place = Place::with(&[&backend]);
    let served = place.serve_with_redis(&redis.url(), &[]);
    wait_for(&served, "hit");
    redis.kill();
    wait_for(&served, "off");
    for _ in 0..20 {
        assert_eq!(cached(&served, CHAT, "", ZERO), "off");
    }
    redis.restart();
    wait_for(&served, "miss");
    wait_for(&served, "hit");
    let said = served.stop().stderr;
    // On a busy machine it may have been slow in between; each time is told once.
    let told = said.matches("requests go on without it").count();
    assert!((1..10).contains(&told), "{said}");
    assert_eq!(said.matches("is back").count(), told, "{said}");
}

#[cfg(unix)]
#[test]
fn a_slow_redis_is_left_out() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let backend = Backend::always(Reply::says("hi"));
    let mut place = Place::with(&[&backend]);
    let served = place.serve_with_redis(&redis.url(), &[]);
    wait_for(&served, "hit");
    let sleeping = std::thread::scope(|scope| {
        let slept = scope.spawn(|| redis.call("DEBUG SLEEP 3"));
        wait_for(&served, "off");
        slept.join().unwrap()
    });
    assert_eq!(sleeping, ["+OK"]);
    wait_for(&served, "hit");
    let said = served.stop().stderr;
    assert!(
        said.contains("no answer within 50 ms; requests go on without it"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_full_redis_is_still_read() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let backend = Backend::always(Reply::says("hi"));
    let mut place = Place::with(&[&backend]);
    let served = place.serve_with_redis(&redis.url(), &[]);
    wait_for(&served, "hit");
    redis.call("CONFIG SET maxmemory 1");
    let other = ZERO.replace("[]", "[1]");
    for _ in 0..5 {
        assert_ne!(cached(&served, CHAT, "", &other), "hit");
    }
    wait_for(&served, "hit");
    redis.call("CONFIG SET maxmemory 0");
    let deadline = Instant::now() + PATIENCE;
    while cached(&served, CHAT, "", &other) != "hit" {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = served.stop().stderr;
    for line in ["keeps no new answers: it is full", "keeps answers again"] {
        assert_eq!(said.matches(line).count(), 1, "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_redis_that_cannot_be_used_is_told_once_at_the_start() {
    let backend = Backend::always(Reply::says("hi"));
    let mut place = Place::with(&[&backend]);
    let not_redis = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let urls = [&not_redis, &silent].map(|listener| {
        let address = listener.local_addr().unwrap();
        format!("redis://:se%40cret@{address}/2")
    });
    let [echoing, silent_url] = urls;
    // Repeats what it is sent, the password too.
    std::thread::spawn(move || {
        for stream in not_redis.incoming().flatten().take(3) {
            let mut answers = stream.try_clone().unwrap();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let _ = write!(answers, "-{line}\r\n");
            }
        }
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("redis://:se%40cret@{}", nobody.local_addr().unwrap());
    drop(nobody);
    for (url, is_told) in [(&echoing, true), (&gone, true), (&silent_url, false)] {
        let served = place.serve_with_redis(url, &["-vvv"]);
        for _ in 0..3 {
            assert_eq!(cached(&served, CHAT, "", ZERO), "off", "{url}");
        }
        let said = served.stop().stderr;
        let told = said.matches("requests go on without it").count();
        assert_eq!(told, usize::from(is_told), "{said}");
        assert!(
            !said.contains("se@cret") && !said.contains("se%40"),
            "{said}"
        );
    }
    drop(silent);
    if let Some(redis) = Redis::start() {
        let wrong = redis.url().replace("se%40cret", "wrong-one");
        let served = place.serve_with_redis(&wrong, &[]);
        assert_eq!(cached(&served, CHAT, "", ZERO), "off");
        let said = served.stop().stderr;
        assert!(
            said.contains("it refuses the user or the password"),
            "{said}"
        );
        assert!(!said.contains("wrong-one"), "{said}");
    }
}

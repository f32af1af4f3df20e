//! `agent`: an engine, and the server beside it.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};

use super::key::create;
use super::{CHAT, Place, Served, eventually};
use crate::sandbox::fixture;

/// The words that start an agent with these options, whose engine has these.
fn words(place: &Place, options: &[&str], engine: &[&str]) -> Vec<String> {
    let script = fixture("gateway/engine.py");
    let (script, folder) = (script.to_str().unwrap(), place.0.path().to_str().unwrap());
    let start = ["agent", "--name", "box", "--model", "m"];
    let command = ["--", "python3", script, "${PORT}", folder];
    let all = start.iter().chain(options).chain(&command).chain(engine);
    all.map(|word| (*word).to_owned()).collect()
}

/// Starts an agent on a free port.
#[track_caller]
fn agent(place: &Place, options: &[&str], engine: &[&str]) -> Served {
    let options = [&["--addr", "127.0.0.1:0"], options].concat();
    let words = words(place, &options, engine);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    place.start(&words)
}

/// Process ids of the engines that were started.
fn starts(place: &Place) -> Vec<Pid> {
    let starts = std::fs::read_to_string(place.0.path().join("starts")).unwrap_or_default();
    let starts = starts.lines().map(|line| line.parse().unwrap());
    starts.map(|pid| Pid::from_raw(pid).unwrap()).collect()
}

fn is_running(pid: Pid) -> bool {
    let is_there = test_kill_process(pid).is_ok();
    // One that nobody has waited for yet has ended all the same.
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    is_there && !stat.contains(") Z ")
}

fn seen(place: &Place) -> Value {
    let text = std::fs::read(place.0.path().join("seen.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn what_clients_ask_passes_to_the_engine_and_back() {
    let place = Place::new();
    let agent = agent(&place, &[], &["load=0.3"]);
    let body = "{ \"model\":\"m\" ,\"x\":1.50, \"messages\":[]}";
    let answer = agent.post(CHAT, body);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "hi");
    let bodies = std::fs::read_to_string(place.0.path().join("bodies")).unwrap();
    assert_eq!(bodies, format!("{body}\n"));
    let answer = agent.post(CHAT, r#"{"model":"m","stream":true}"#);
    let chunk = |text| json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let events: Vec<&str> = answer.text().split("\r\n\r\n").collect();
    assert_eq!(events.len(), 3);
    for (event, text) in events.iter().zip(["a", "b\n"]) {
        let event: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event, chunk(text));
    }
    assert_eq!(events[2], "data: [DONE]\n\n");
    let answer = agent.post("/infer", r#"{"prompt":"a"}"#);
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    assert_eq!(
        answer.json(),
        json!({"model": "m", "text": "hi", "finish_reason": "stop", "usage": usage})
    );
    assert_eq!(agent.get("/health").json()["status"], "ok");
    for path in ["/register", "/heartbeat"] {
        assert_eq!(
            agent.post(path, "{}").error(),
            (404, "unknown_url".to_owned())
        );
    }
    let engine = starts(&place)[0];
    assert!(is_running(engine));
    assert_eq!(agent.stop().code, Some(0));
    assert!(!is_running(engine));
}

#[test]
fn a_client_that_leaves_closes_the_connection_to_the_engine() {
    let place = Place::new();
    let agent = agent(&place, &[], &[]);
    let mut client = agent.connect();
    client.post(CHAT, r#"{"model":"m","stream":true,"do":"hold"}"#);
    client.head();
    client.event();
    drop(client);
    eventually("left", || place.0.path().join("left").exists());
}

#[test]
fn an_engine_that_nobody_asks_is_stopped_and_the_next_request_starts_it() {
    let place = Place::new();
    let agent = agent(&place, &["--idle", "2s"], &["load=0.3", "child=1"]);
    let child = std::fs::read_to_string(place.0.path().join("child")).unwrap();
    let child = Pid::from_raw(child.parse().unwrap()).unwrap();
    let first = starts(&place)[0];
    eventually("stopped", || !is_running(first) && !is_running(child));
    // Many at once start one.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(agent.chat("m").status(), 200));
        }
    });
    assert_eq!(starts(&place).len(), 2);
    // A request that runs keeps it.
    let mut client = agent.connect();
    client.post(CHAT, r#"{"model":"m","do":"wait"}"#);
    std::thread::sleep(Duration::from_millis(2500));
    std::fs::File::create(place.0.path().join("go")).unwrap();
    assert_eq!(client.answer().status(), 200);
    assert_eq!(starts(&place).len(), 2);
}

#[test]
fn an_engine_that_does_not_start_is_shown_with_its_last_lines() {
    let place = Place::new();
    for (options, engine, why) in [
        (&["--addr", "127.0.0.1:0"][..], "fail=9", "exit status: 1"),
        (
            &["--addr", "127.0.0.1:0", "--ready", "5s"],
            "never=1",
            "it was not ready after 5 s",
        ),
    ] {
        let ran = place.0.run(words(&place, options, &[engine]));
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert_eq!(ran.text(), "");
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(lines.len(), 21, "{}", ran.stderr);
        let last = lines.last().unwrap();
        assert!(
            last.starts_with("localstore: the engine did not start: ") && last.contains(why),
            "{last}"
        );
        assert!(lines[18].starts_with("engine says"));
    }
    assert!(!starts(&place).into_iter().any(is_running));
    let ran = place.0.run([
        "agent",
        "--model",
        "m",
        "--addr",
        "127.0.0.1:0",
        "--",
        "./none",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("./none"), "{}", ran.stderr);
    let ran = place.0.run(["agent", "--model", "m"]);
    assert!(ran.failed().contains("CMD"));
}

#[test]
fn an_engine_without_a_health_address_lists_its_models() {
    let place = Place::new();
    let agent = agent(&place, &[], &["health=404"]);
    assert_eq!(agent.chat("m").status(), 200);
}

#[test]
fn an_engine_that_dies_is_started_again() {
    let place = Place::new();
    let agent = agent(&place, &[], &[]);
    let answer = agent.post(CHAT, r#"{"model":"m","do":"die"}"#);
    assert_eq!(answer.error(), (502, "upstream_failed".to_owned()));
    eventually("another one", || {
        let answer = agent.chat("m");
        match answer.status() {
            200 => true,
            502 => false,
            _ => {
                assert_eq!(answer.error(), (503, "no_healthy_backend".to_owned()));
                assert!(answer.header("retry-after").is_some());
                false
            }
        }
    });
    assert_eq!(starts(&place).len(), 2);
    let ran = agent.stop();
    assert!(
        ran.stderr.contains("it ended: exit status: 3"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_killed_agent_leaves_no_engine() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let place = Place::new();
    let agent = agent(&place, &[], &["deaf=1"]);
    let engine = starts(&place)[0];
    assert!(is_running(engine));
    agent.kill();
    eventually("ended", || !is_running(engine));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let agent = agent(&place, &[], &["deaf=1"]);
    let engine = starts(&place)[0];
    agent.signal(Signal::TERM);
    eventually("a closed door", || {
        std::net::TcpStream::connect(agent.address).is_err()
    });
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code, Some(1));
    eventually("ended", || !is_running(engine));
}

#[test]
fn a_gateway_asks_the_agent_until_it_says_goodbye() {
    let place = Place::new();
    let served = place.serve(&[]);
    let url = served.url();
    let options = [
        "--router",
        &url,
        "--parallel",
        "4",
        "--results-model",
        "Llama",
    ];
    let agent = agent(&place, &options, &[]);
    eventually("registered", || served.chat("m").status() == 200);
    let sql = "SELECT parallel || filters || agent FROM localstore_gateway_backends";
    let row: String = place.0.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(row, "4{\"model\":\"Llama\"}box");
    let ran = agent.stop();
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr
            .contains(&format!("registered with {url} as box: m")),
        "{}",
        ran.stderr
    );
    assert_eq!(
        served.chat("m").error(),
        (503, "no_healthy_backend".to_owned())
    );
}

#[test]
fn a_gateway_that_comes_later_finds_the_agent() {
    let place = Place::new();
    let first = place.serve(&[]);
    let (url, address) = (first.url(), first.address.to_string());
    first.kill();
    let deaf = std::net::TcpListener::bind(&address).unwrap();
    let agent = agent(&place, &["--router", &url], &[]);
    drop(deaf.accept().unwrap());
    drop(deaf);
    let served = place.start(&["serve", "--addr", &address]);
    eventually("registered", || served.chat("m").status() == 200);
    let said = agent.stop().stderr;
    assert_eq!(said.matches("cannot be reached").count(), 1, "{said}");
}

#[test]
fn where_others_reach_it_callers_show_what_the_key_tells() {
    let mut place = Place::new();
    let refused = words(&place, &["--addr", "0.0.0.0:0"], &[]);
    let ran = place.0.run(refused);
    assert!(ran.failed().contains("LOCALSTORE_KEY"), "{}", ran.stderr);
    assert!(starts(&place).is_empty());

    let served = place.serve(&[]);
    let key = create(&place.0, &["box", "--agent"]);
    let file = place.0.file("key", format!("{key}\nanother line\n"));
    place.0.set("LOCALSTORE_KEY_FILE", file);
    place.0.set("EXTERNAL_OPENAI_KEY", "sk-external");
    place.0.set("REDIS_URL", "redis://:sk-redis@127.0.0.1:1");
    // It is free again before the agent takes it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (url, addr) = (served.url(), format!("0.0.0.0:{port}"));
    let endpoint = format!("http://127.0.0.1:{port}");
    let options = [
        "--router",
        &url,
        "--addr",
        &addr,
        "--endpoint",
        &endpoint,
        "-v",
    ];
    let words = words(&place, &options, &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let agent = place.start(&words);
    eventually("registered", || served.chat("m").status() == 200);
    let answer = agent.chat("m");
    assert_eq!(answer.error(), (401, "invalid_api_key".to_owned()));
    let mut client = agent.connect();
    let head = format!("content-type: application/json\r\nauthorization: Bearer {key}\r\n");
    client.request(&format!("POST {CHAT}"), &head, r#"{"model":"m"}"#);
    assert_eq!(client.answer().error(), (401, "invalid_api_key".to_owned()));
    assert_eq!(agent.get("/health").status(), 200);

    // Neither key is in the environment, the arguments, the messages or the store.
    let seen = seen(&place).to_string();
    for secret in [&key, "sk-external", "sk-redis", "LOCALSTORE_KEY"] {
        assert!(!seen.contains(secret), "{seen}");
    }
    for pid in [Pid::from_child(&agent.child), starts(&place)[0]] {
        let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
        assert_has_none(Path::new(&path), &key);
    }
    // The agent used it.
    let ran = place.0.run(["key", "list", "-o", "jsonl"]);
    assert!(
        !ran.stdout
            .windows(16)
            .any(|bytes| bytes == b"\"last_used\":null")
    );
    let said = agent.stop().stderr;
    assert!(
        said.contains("engine says 29") && !said.contains("sk-"),
        "{said}"
    );
    served.stop();
    for entry in std::fs::read_dir(place.0.store().parent().unwrap()).unwrap() {
        assert_has_none(&entry.unwrap().path(), &key);
    }
}

/// Asserts that the secret part of a key is not in the file.
#[track_caller]
fn assert_has_none(path: &Path, key: &str) {
    let secret = &key.as_bytes()["sk-ls-".len() + 4..];
    let bytes = std::fs::read(path).unwrap_or_default();
    assert!(!bytes.windows(secret.len()).any(|bytes| bytes == secret));
}

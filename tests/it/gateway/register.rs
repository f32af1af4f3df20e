//! What agents say to the gateway, and what it does with them.

use serde_json::{Value, json};

use super::backend::{Backend, Reply, completion};
use super::client::{Answer, JSON};
use super::key::create;
use super::{Place, Served, eventually};

/// Registers an agent; the key is shown if there is one.
fn register(served: &Served, key: Option<&str>, body: &Value) -> Answer {
    post(served, "/register", key, body)
}

fn post(served: &Served, path: &str, key: Option<&str>, body: &Value) -> Answer {
    let key = key.map_or(String::new(), |key| {
        format!("authorization: Bearer {key}\r\n")
    });
    let mut client = served.connect();
    let head = format!("{JSON}{key}");
    client.request(&format!("POST {path}"), &head, body.to_string());
    client.answer()
}

fn agent(name: &str, backend: &Backend, models: &[&str]) -> Value {
    json!({"name": name, "endpoint": backend.url(), "models": models})
}

fn beat(served: &Served, name: &str) -> Answer {
    post(served, "/heartbeat", None, &json!({"name": name}))
}

fn goodbye(served: &Served, name: &str) -> Answer {
    let body = json!({"name": name, "stopping": true});
    post(served, "/heartbeat", None, &body)
}

#[test]
fn a_registered_agent_is_asked_at_once() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    let served = place.serve(&[]);
    let answer = register(&served, None, &agent("box", &backend, &["m", "n"]));
    assert_eq!(
        (answer.status(), answer.text()),
        (200, "{\"status\":\"ok\"}")
    );
    let answer = served.chat("m");
    assert_eq!(answer.text(), completion("hi"));
    assert_eq!(backend.only().header("authorization"), None);
    let id = answer.header("x-localstore-backend").unwrap();
    let listed = place.0.run(["model", "list", "-o", "json"]).ok();
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed[0]["id"].to_string().trim_matches('"'), id);
    // Again, with other models.
    register(&served, None, &agent("box", &backend, &["n"]));
    assert_eq!(
        served.chat("m").error(),
        (404, "model_not_found".to_owned())
    );
    assert_eq!(served.chat("n").status(), 200);
}

#[test]
fn an_agent_that_said_goodbye_is_not_asked_until_it_beats() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    let served = place.serve(&[]);
    let answer = beat(&served, "box");
    assert_eq!(answer.error(), (404, "agent_not_found".to_owned()));
    register(&served, None, &agent("box", &backend, &["m"]));
    assert_eq!(goodbye(&served, "box").status(), 200);
    let answer = served.chat("m");
    assert_eq!(answer.error(), (503, "no_healthy_backend".to_owned()));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(beat(&served, "box").status(), 200);
    assert_eq!(served.chat("m").status(), 200);
    assert_eq!(backend.count(), 1);
}

#[test]
fn an_agent_without_a_beat_for_thirty_seconds_is_dead() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    let served = place.serve(&[]);
    register(&served, None, &agent("box", &backend, &["m"]));
    served.kill();
    let sql = "UPDATE localstore_gateway_agents SET heartbeat_at = heartbeat_at - 31";
    place.0.db().execute(sql, []).unwrap();
    let served = place.serve(&[]);
    assert_eq!(
        served.chat("m").error(),
        (503, "no_healthy_backend".to_owned())
    );
    assert_eq!(served.get("/health").json()["up"], 0);
    assert_eq!(beat(&served, "box").status(), 200);
    assert_eq!(served.chat("m").status(), 200);
}

#[test]
fn a_killed_gateway_knows_its_agents_when_it_is_back() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    let served = place.serve(&[]);
    register(&served, None, &agent("box", &backend, &["m"]));
    served.kill();
    let served = place.serve(&[]);
    assert_eq!(served.chat("m").status(), 200);
    assert_eq!(beat(&served, "box").status(), 200);
    served.kill();
    place.0.run(["check"]).ok();
}

#[test]
fn gateways_on_one_store_know_each_others_agents() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    let (one, other) = (place.serve(&[]), place.serve(&[]));
    register(&one, None, &agent("box", &backend, &["m"]));
    eventually("known", || other.chat("m").status() == 200);
    goodbye(&one, "box");
    eventually("stopped", || other.chat("m").status() == 503);
    assert_eq!(beat(&other, "box").status(), 200);
    eventually("back", || one.chat("m").status() == 200);
}

#[test]
fn once_there_was_an_agent_key_agents_need_one() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    let key = create(&place.0, &["box", "--agent", "--models", "llama*"]);
    let other = create(&place.0, &["other", "--agent"]);
    let served = place.serve(&[]);
    let agent = agent("box", &backend, &["llama8"]);
    let invalid = (401, "invalid_api_key".to_owned());
    assert_eq!(register(&served, None, &agent).error(), invalid);
    assert_eq!(register(&served, Some("sk-ls-x"), &agent).error(), invalid);
    let not_allowed = (403, "not_allowed".to_owned());
    let forbidden = json!({"name": "box", "endpoint": backend.url(), "models": ["llama8", "m"]});
    assert_eq!(
        register(&served, Some(&key), &forbidden).error(),
        not_allowed
    );
    assert_eq!(register(&served, Some(&key), &agent).status(), 200);
    // The name and the address are those of the first key.
    assert_eq!(register(&served, Some(&other), &agent).error(), not_allowed);
    let name = json!({"name": "box"});
    let answer = post(&served, "/heartbeat", Some(&other), &name);
    assert_eq!(answer.error(), not_allowed);
    assert_eq!(post(&served, "/heartbeat", Some(&key), &name).status(), 200);
    // Clients need none yet. The backend is shown what its key tells, and not the key.
    assert_eq!(served.chat("llama8").status(), 200);
    let shown = backend.only().header("authorization").unwrap().to_owned();
    let shown = shown.strip_prefix("Bearer ").unwrap();
    assert_eq!(shown.len(), 64);
    assert!(shown.bytes().all(|byte| byte.is_ascii_hexdigit()) && !shown.contains(&key));
    // An agent key is none for clients.
    let client = create(&place.0, &["client"]);
    let chat = json!({"model": "llama8"});
    let answer = post(&served, super::CHAT, Some(&key), &chat);
    assert_eq!(answer.error(), not_allowed);
    assert_eq!(
        register(&served, Some(&client), &agent).error(),
        not_allowed
    );
    assert_eq!(
        post(&served, super::CHAT, Some(&client), &chat).status(),
        200
    );
    place.0.run(["key", "revoke", "box"]).ok();
    eventually("not asked", || {
        post(&served, super::CHAT, Some(&client), &chat).status() == 503
    });
    assert_eq!(register(&served, Some(&key), &agent).error(), invalid);
    // Whose key opens nothing any more gives its name up.
    assert_eq!(register(&served, Some(&other), &agent).status(), 200);
    assert_eq!(
        post(&served, super::CHAT, Some(&client), &chat).status(),
        200
    );
}

#[test]
fn a_backend_that_somebody_added_is_not_an_agents() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let answer = register(&served, None, &agent("box", &backend, &["m"]));
    assert_eq!(answer.error(), (403, "not_allowed".to_owned()));
    assert_eq!(served.chat("m").status(), 200);
}

#[test]
fn a_registration_that_makes_no_sense_is_refused() {
    let place = Place::new();
    let served = place.serve(&[]);
    for (body, field) in [
        (json!({"endpoint": "http://a:1", "models": ["m"]}), "name"),
        (
            json!({"name": "", "endpoint": "http://a:1", "models": ["m"]}),
            "name",
        ),
        (
            json!({"name": "a\n", "endpoint": "http://a:1", "models": ["m"]}),
            "name",
        ),
        (
            json!({"name": "a".repeat(201), "endpoint": "http://a:1", "models": ["m"]}),
            "name",
        ),
        (json!({"name": "a", "models": ["m"]}), "endpoint"),
        (
            json!({"name": "a", "endpoint": "a:1", "models": ["m"]}),
            "endpoint",
        ),
        (
            json!({"name": "a", "endpoint": "http://u:secret@a", "models": ["m"]}),
            "endpoint",
        ),
        (json!({"name": "a", "endpoint": "http://a:1"}), "models"),
        (
            json!({"name": "a", "endpoint": "http://a:1", "models": []}),
            "models",
        ),
        (
            json!({"name": "a", "endpoint": "http://a:1", "models": [1]}),
            "models",
        ),
        (
            json!({"name": "a", "endpoint": "http://a:1", "models": vec!["m"; 101]}),
            "models",
        ),
        (
            json!({"name": "a", "endpoint": "http://a:1", "models": ["m"], "parallel": 0}),
            "parallel",
        ),
        (
            json!({"name": "a", "endpoint": "http://a:1", "models": ["m"], "filters": {"x": 1}}),
            "filters",
        ),
        (
            json!({"name": "a", "endpoint": "http://a:1", "models": ["m"], "filters": []}),
            "filters",
        ),
    ] {
        let answer = register(&served, None, &body);
        assert_eq!(answer.error(), (400, "invalid_value".to_owned()), "{body}");
        assert_eq!(answer.json()["error"]["param"], field, "{body}");
        assert!(!answer.text().contains("secret"));
    }
    for body in ["", "[]", "{", "{\"name\":\"\\ud800\"}"] {
        let answer = served.post("/register", body);
        assert_eq!(answer.error(), (400, "invalid_json".to_owned()), "{body}");
    }
    let large = json!({"name": "a".repeat(70_000)});
    let answer = register(&served, None, &large);
    assert_eq!(answer.error(), (413, "request_too_large".to_owned()));
    let answer = post(
        &served,
        "/heartbeat",
        None,
        &json!({"name": "a", "stopping": 1}),
    );
    assert_eq!(answer.error(), (400, "invalid_value".to_owned()));
    let answer = served.get("/register");
    assert_eq!(answer.error(), (405, "method_not_allowed".to_owned()));
    assert_eq!(served.chat("m").status(), 404);
}

#[test]
fn a_web_page_registers_nothing() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    let served = place.serve(&[]);
    let body = agent("box", &backend, &["m"]).to_string();
    for (head, error) in [
        (
            "content-type: text/plain\r\n",
            (415, "unsupported_media_type"),
        ),
        (
            "content-type: application/json\r\nhost: example.org\r\n",
            (403, "bad_host"),
        ),
    ] {
        let mut client = served.connect();
        client.request("POST /register", head, &body);
        assert_eq!(client.answer().error(), (error.0, error.1.to_owned()));
    }
}

#[test]
fn a_locked_store_holds_no_beat() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    let served = place.serve(&[]);
    register(&served, None, &agent("box", &backend, &["m"]));
    let db = place.0.db();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(beat(&served, "box").status(), 200);
    assert_eq!(served.chat("m").status(), 200);
    let answer = register(&served, None, &agent("other", &backend, &["n"]));
    assert_eq!(answer.error(), (503, "overloaded".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    db.execute_batch("COMMIT").unwrap();
    let answer = register(&served, None, &agent("other", &backend, &["n"]));
    assert_eq!(answer.status(), 200);
}

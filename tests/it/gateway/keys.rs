//! Keys as clients show them, while the gateway runs.

use super::backend::{Backend, Reply};
use super::client::JSON;
use super::{CHAT, Place, eventually};

fn fine() -> Backend {
    Backend::always(Reply::says("hi"))
}

#[track_caller]
fn is(answer: &super::Answer, status: u16, code: &str) {
    assert_eq!(answer.error(), (status, code.to_owned()));
}

#[test]
fn a_key_lets_in_and_nothing_else_does() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    let key = place.key("alice", &[]);
    let served = place.serve(&[]);
    let body = r#"{"model":"m"}"#;
    let short = &key[..key.len() - 1];
    for shown in [
        String::new(),
        format!("authorization: {key}\r\n"),
        format!("authorization: Basic {key}\r\n"),
        "authorization: Bearer\r\n".to_owned(),
        "authorization: Bearer \r\n".to_owned(),
        format!("authorization: Bearer {short}\r\n"),
        format!("authorization: Bearer {key}x\r\n"),
        format!("authorization: Bearer {}\r\n", key.to_uppercase()),
        format!("authorization: Bearer {}\r\n", "x".repeat(10_000)),
        format!("x-api-key: {key}\r\n"),
        format!("cookie: key={key}\r\n"),
    ] {
        for (line, body) in [
            (format!("POST {CHAT}"), body),
            (format!("POST {CHAT}?key={key}"), body),
            ("GET /v1/models".to_owned(), ""),
            ("GET /v1/models/m".to_owned(), ""),
            ("GET /metrics".to_owned(), ""),
        ] {
            is(
                &served.ask(&line, &format!("{shown}{JSON}"), body),
                401,
                "invalid_api_key",
            );
        }
    }
    assert_eq!(served.get("/health").status(), 200);
    assert_eq!(backend.count(), 0);
    let served = served.shown(&key);
    for answer in [
        served.chat("m"),
        served.get("/v1/models"),
        served.get("/metrics"),
    ] {
        assert_eq!(answer.status(), 200);
    }
    // A key is for the gateway alone.
    assert_eq!(backend.only().header("authorization"), None);
    // A page with a key is as good as any client, by whatever name it came.
    let head = format!("host: gateway.example.org\r\nauthorization: bearer {key}\r\n");
    let served = served.shown_nothing();
    assert_eq!(served.ask("GET /v1/models", &head, "").status(), 200);
}

#[test]
fn what_a_key_was_is_not_told() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    place.key("valid", &[]);
    let revoked = place.key("revoked", &[]);
    let expired = place.key("expired", &["--expires", "1s"]);
    place.0.run(["key", "revoke", "revoked"]).ok();
    let served = place.serve(&[]);
    let texts = |key: &str| {
        let head = format!("authorization: Bearer {key}\r\n");
        let answer = served.ask("GET /v1/models", &head, "");
        (answer.status(), answer.text().to_owned())
    };
    let unknown = texts("sk-ls-unknown");
    assert_eq!(unknown.0, 401);
    assert_eq!(texts(&revoked), unknown);
    eventually("the end of the key", || texts(&expired).0 == 401);
    assert_eq!(texts(&expired), unknown);
}

#[test]
fn a_right_is_for_the_name_as_asked() {
    let (one, two) = (fine(), fine());
    let broken = Backend::always(Reply::json(500, "{}"));
    let place = Place::new();
    place.model("one", &one.url(), "one");
    place.model("two", &two.url(), "two");
    place.model("broken", &broken.url(), "broken");
    place.run_model(&["alias", "one", "other"]);
    place.run_model(&["fallback", "broken", "two"]);
    let key = place.key(
        "alice",
        &["--models", "o?e", "--models", "broken", "--models", "x*"],
    );
    let served = place.serve(&[]).shown(&key);
    assert_eq!(served.chat("one").status(), 200);
    // Rights are looked at before the name: nobody learns what is there.
    for name in ["two", "other", "nobody", "ONE", "oe", ""] {
        is(&served.chat(name), 403, "model_not_allowed");
    }
    is(&served.chat("xyz"), 404, "model_not_found");
    // A fallback needs no right of its own.
    assert_eq!(
        served.chat("broken").header("x-localstore-model"),
        Some("two")
    );
    let list = served.get("/v1/models").json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert_eq!(ids, ["broken", "one"]);
    for name in ["two", "other"] {
        is(
            &served.get(&format!("/v1/models/{name}")),
            404,
            "model_not_found",
        );
    }
}

#[test]
fn a_revoked_key_ends_at_once_and_what_it_runs_goes_on() {
    let backend = Backend::always(Reply::stream().word("a").hold().done());
    let place = Place::with(&[&backend]);
    let keys = [place.key("alice", &[]), place.key("bob", &[])];
    let gateways = [place.serve(&[]), place.serve(&[])];
    let [served, other] = gateways.map(|served| served.shown(&keys[0]));
    let mut running = served.connect();
    let head = format!("authorization: Bearer {}\r\n{JSON}", keys[0]);
    running.request(
        &format!("POST {CHAT}"),
        &head,
        r#"{"model":"m","stream":true}"#,
    );
    assert_eq!(running.head().status, 200);
    running.event();
    place.0.run(["key", "revoke", "alice"]).ok();
    is(&served.get("/v1/models"), 401, "invalid_api_key");
    is(&other.get("/v1/models"), 401, "invalid_api_key");
    backend.release(1);
    assert_eq!(running.event(), "data: [DONE]\n\n");
    assert_eq!(served.shown(&keys[1]).get("/v1/models").status(), 200);
}

#[test]
fn a_key_has_so_many_requests_a_minute() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    let key = place.key("alice", &["--rpm", "2"]);
    let other = place.key("bob", &[]);
    let served = place.serve(&[]).shown(&key);
    let answers: Vec<_> = (0..4).map(|_| served.chat("m")).collect();
    let refused = answers
        .iter()
        .filter(|answer| answer.status() == 429)
        .count();
    // Half a minute brings another one.
    assert!((1..=2).contains(&refused));
    for answer in answers.iter().filter(|answer| answer.status() != 200) {
        is(answer, 429, "rate_limit_exceeded");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&seconds));
    }
    assert_eq!(backend.count(), 4 - refused);
    assert_eq!(served.shown(&other).chat("m").status(), 200);
}

#[test]
fn the_first_key_closes_an_open_gateway() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    let (auto, off) = (place.serve(&[]), place.serve(&["--auth", "off"]));
    assert_eq!(auto.chat("m").status(), 200);
    // A key for agents closes nothing.
    place.key("agent", &["--agent"]);
    assert_eq!(auto.chat("m").status(), 200);
    let key = place.key("alice", &[]);
    is(&auto.chat("m"), 401, "invalid_api_key");
    assert_eq!(auto.shown(&key).chat("m").status(), 200);
    assert_eq!(off.chat("m").status(), 200);
    // It stays closed: a key was there once.
    place.0.run(["key", "revoke", "alice"]).ok();
    is(&place.serve(&[]).chat("m"), 401, "invalid_api_key");
    is(
        &place.serve(&["--auth", "on"]).chat("m"),
        401,
        "invalid_api_key",
    );
}

#[test]
fn with_auth_on_a_key_is_always_needed() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    let served = place.serve(&["--auth", "on"]);
    is(&served.chat("m"), 401, "invalid_api_key");
    let key = place.key("alice", &[]);
    assert_eq!(served.shown(&key).chat("m").status(), 200);
}

#[test]
fn a_key_of_agents_does_nothing_else() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    let (agent, client) = (place.key("agent", &["--agent"]), place.key("alice", &[]));
    let served = place.serve(&[]).shown(&agent);
    for answer in [
        served.chat("m"),
        served.get("/v1/models"),
        served.get("/metrics"),
    ] {
        is(&answer, 403, "not_allowed");
    }
    let served = served.shown(&client);
    let body = r#"{"name":"a","endpoint":"http://127.0.0.1:9","models":["m"]}"#;
    is(&served.post("/register", body), 403, "not_allowed");
}

#[cfg(unix)]
#[test]
fn others_can_reach_it_only_with_a_key() {
    let backend = fine();
    let place = Place::with(&[&backend]);
    let ran = place.0.run(["serve", "--addr", "0.0.0.0:0"]);
    let message = ran.failed();
    assert!(message.contains("0.0.0.0:0"), "{message}");
    assert!(
        ran.stderr.contains("hint: localstore key create"),
        "{}",
        ran.stderr
    );
    // The last word on the command line holds.
    let ran = place.serve_at("0.0.0.0:0", &["--auth", "off"]).stop();
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("everybody"), "{}", ran.stderr);
    let key = place.key("alice", &[]);
    let served = place.serve_at("0.0.0.0:0", &[]);
    is(&served.get("/v1/models"), 401, "invalid_api_key");
    let head = format!("host: gateway.example.org\r\nauthorization: Bearer {key}\r\n");
    assert_eq!(served.ask("GET /v1/models", &head, "").status(), 200);
}

//! Which backend of a model is asked first.

use super::backend::{Backend, Reply};
use super::{Answer, CHAT, Place, Served, eventually};
use crate::bench::{Bench, store};

fn fine() -> Backend {
    Backend::always(Reply::says("hi"))
}

/// The id of the backend that answered.
fn by(answer: &Answer) -> &str {
    assert_eq!(answer.status(), 200);
    answer.header("x-localstore-backend").unwrap()
}

/// Two backends of a model; the second is on a machine that is faster by this factor.
fn measured(factor: f64, slow: &Backend, fast: &Backend, parallel: &str) -> Place {
    let benches = [
        Bench::default(),
        Bench {
            accelerator: "GPU Two",
            speed: factor,
            ..Bench::default()
        },
    ];
    let place = Place(store(&benches));
    for (backend, gpu) in [(slow, "GPU One"), (fast, "GPU Two")] {
        let url = backend.url();
        place.run_model(&[
            "add",
            "m",
            "--url",
            &url,
            "--accelerator",
            gpu,
            "--parallel",
            parallel,
        ]);
    }
    place
}

/// Asks, and leaves the answer open; the backend that got it.
fn hold(served: &Served) -> (super::Client, String) {
    let mut client = served.connect();
    client.post(CHAT, r#"{"model":"m","stream":true,"max_tokens":256}"#);
    let head = client.head();
    client.event();
    let by = head.header("x-localstore-backend").unwrap().to_owned();
    (client, by)
}

#[test]
fn the_first_is_the_first_and_in_turn_is_in_turn() {
    let three = [fine(), fine(), fine()];
    let place = Place::with(&[&three[0], &three[1], &three[2]]);
    let served = place.serve(&["--route", "first"]);
    for _ in 0..4 {
        assert_eq!(by(&served.chat("m")), "1");
    }
    let served = place.serve(&["--route", "round-robin"]);
    let turns: Vec<String> = (0..7).map(|_| by(&served.chat("m")).to_owned()).collect();
    let mut sorted = turns[..3].to_vec();
    sorted.sort();
    assert_eq!(sorted, ["1", "2", "3"]);
    assert_eq!(turns[3..6], turns[..3]);
    assert_eq!(turns[6], turns[0]);
}

#[test]
fn the_fastest_by_stored_results_is_asked_first() {
    let (slow, fast) = (fine(), fine());
    let place = measured(2.0, &slow, &fast, "1");
    for options in [&[][..], &["--route", "fastest"]] {
        let served = place.serve(options);
        for _ in 0..3 {
            assert_eq!(by(&served.chat("m")), "2");
        }
    }
    assert_eq!(by(&place.serve(&["--route", "first"]).chat("m")), "1");
    // What it measured stays with it while it is down: the other answers.
    fast.now(Reply::json(500, "{}"));
    assert_eq!(by(&place.serve(&[]).chat("m")), "1");
}

#[test]
fn what_runs_on_a_backend_makes_it_slower() {
    let reply = Reply::stream().word("a").hold().done();
    let (slow, fast) = (Backend::always(reply.clone()), Backend::always(reply));
    let place = measured(1.5, &slow, &fast, "1");
    let served = place.serve(&[]);
    // 1/1.5 of the time; 2/1.5 with one before it; then both have one: 2 and 2/1.5.
    let held: Vec<_> = (0..3).map(|_| hold(&served)).collect();
    let asked: Vec<_> = held.iter().map(|(_, by)| by.as_str()).collect();
    assert_eq!(asked, ["2", "1", "2"]);
    drop(held);
    fast.wait_for_left(2);
    slow.wait_for_left(1);
    eventually("idle backends", || hold(&served).1 == "2");

    // One that serves several at once does not get slower by the first of them.
    let reply = Reply::stream().word("a").hold().done();
    let (slow, fast) = (Backend::always(reply.clone()), Backend::always(reply));
    let place = measured(1.5, &slow, &fast, "2");
    let served = place.serve(&[]);
    let held: Vec<_> = (0..3).map(|_| hold(&served)).collect();
    let asked: Vec<_> = held.iter().map(|(_, by)| by.as_str()).collect();
    assert_eq!(asked, ["2", "2", "1"]);
}

/// Backends without stored results are measured by their answers; one is far slower than any machine is late.
#[cfg(unix)]
#[test]
fn backends_without_results_are_measured_by_their_answers() {
    let answer = |pause: u64| {
        let words = (0..20).fold(Reply::stream(), |reply, _| {
            let pause = std::time::Duration::from_millis(pause);
            reply.word("a").sleep(pause)
        });
        Backend::always(words.done())
    };
    let (slow, fast) = (answer(50), answer(1));
    let place = Place::with(&[&slow, &fast]);
    let served = place.serve(&[]);
    let ask = |served: &Served| {
        let body = r#"{"model":"m","stream":true,"max_tokens":20}"#;
        by(&served.post(CHAT, body)).to_owned()
    };
    let asked: Vec<_> = (0..8).map(|_| ask(&served)).collect();
    assert_eq!(asked, ["1", "1", "1", "2", "2", "2", "2", "2"]);
    // It knows after a restart what its rows tell.
    assert_eq!(served.stop().code, Some(0));
    assert_eq!(ask(&place.serve(&[])), "2");
}

#[test]
fn agents_that_are_silent_are_not_asked() {
    let engine = fine();
    let place = Place::new();
    let served = place.serve(&[]);
    let endpoint = engine.url();
    let register = |name: &str, models: &str| {
        let body =
            format!("{{\"name\":\"{name}\",\"endpoint\":\"{endpoint}\",\"models\":{models}}}");
        served.post("/register", body)
    };
    let beat = |body: &str| served.post("/heartbeat", body);
    assert_eq!(beat(r#"{"name":"a"}"#).error().0, 404);
    assert_eq!(register("a", r#"["m"]"#).text(), r#"{"status":"ok"}"#);
    assert_eq!(served.chat("m").status(), 200);
    assert_eq!(beat(r#"{"name":"a"}"#).text(), r#"{"status":"ok"}"#);
    assert_eq!(beat(r#"{"name":"b"}"#).error().0, 404);
    // It says goodbye, and comes back with a beat.
    assert_eq!(beat(r#"{"name":"a","stopping":true}"#).status(), 200);
    let answer = served.chat("m");
    assert_eq!(answer.error(), (503, "no_healthy_backend".to_owned()));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(engine.count(), 1);
    assert_eq!(beat(r#"{"name":"a"}"#).status(), 200);
    assert_eq!(served.chat("m").status(), 200);
    for body in [
        "",
        "[]",
        "{}",
        r#"{"name":1}"#,
        r#"{"name":""}"#,
        r#"{"name":"a","models":["m"]}"#,
        r#"{"name":"a","endpoint":"http://u:p@h","models":["m"]}"#,
        r#"{"name":"a","endpoint":"http://h","models":[]}"#,
        r#"{"name":"a","endpoint":"http://h","models":"m"}"#,
    ] {
        assert_eq!(served.post("/register", body).error().0, 400, "{body}");
    }
    // A key for agents may register what it may.
    let key = place.key("agents", &["--agent", "--models", "x*"]);
    assert_eq!(register("c", r#"["x1"]"#).error().0, 401);
    let served = served.shown(&key);
    let register = |models: &str| {
        let body = format!("{{\"name\":\"c\",\"endpoint\":\"{endpoint}\",\"models\":{models}}}");
        served.post("/register", body)
    };
    assert_eq!(
        register(r#"["x1","m"]"#).error(),
        (403, "not_allowed".to_owned())
    );
    assert_eq!(register(r#"["x1"]"#).status(), 200);
}

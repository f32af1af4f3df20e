//! The speeds of backends that no stored result tells: their latest answers do.

use std::time::Duration;

use super::backend::{Backend, Reply};
use super::{CHAT, Place, eventually};

/// Writes down three streamed answers of a backend: of so many tokens a second.
fn answered(place: &Place, backend: u32, speed: u32) {
    let sql = "INSERT INTO localstore_gateway_requests (at_ms, request_id, model, backend_id, route, status, tries,
           cached, streamed, completion_tokens, estimated, ttft_ms, total_ms, bytes_in, bytes_out)
         VALUES (1, 'r', 'm', ?1, '/v1/chat/completions', 200, 1, 0, 1, ?2, 0, 100.0, 1100.0, 400, 1)";
    for _ in 0..3 {
        place.0.db().execute(sql, [backend, speed]).unwrap();
    }
}

/// A stream of 16 tokens, which takes a while.
fn slow() -> Reply {
    let begun = Reply::stream().word("a").sleep(Duration::from_millis(100));
    (0..15).fold(begun, |reply, _| reply.word("a")).done()
}

#[test]
fn what_is_not_measured_comes_first_until_it_is_and_then_the_fastest() {
    let (one, fast, new) = (
        Backend::always(Reply::says("hi")),
        Backend::always(Reply::stream().word("a").done()),
        Backend::always(slow()),
    );
    let place = Place::with(&[&one, &fast, &new]);
    answered(&place, 1, 20);
    answered(&place, 2, 5_000);
    let served = place.serve(&[]);
    let stream = r#"{"model":"m","stream":true,"max_tokens":2000}"#;
    for count in 1..=3 {
        served.post(CHAT, stream);
        assert_eq!((one.count(), fast.count(), new.count()), (0, 0, count));
    }
    // The third is known when its stream is over, which the client may see a moment before.
    eventually("the fastest is asked", || {
        served.post(CHAT, stream);
        fast.count() > 0
    });
    assert_eq!(one.count(), 0);
}

#[test]
fn the_list_of_models_has_them_too() {
    let place = Place::new();
    place.model("m", "http://127.0.0.1:1/v1", "m");
    place.model("n", "http://127.0.0.1:2/v1", "n");
    answered(&place, 1, 20);
    let csv = place.0.run(["model", "list", "-o", "csv"]).text();
    let of = |line: usize| csv.lines().nth(line).unwrap();
    assert!(of(1).contains(",20,live,"), "{csv}");
    assert!(of(2).contains(",,,"), "{csv}");
}

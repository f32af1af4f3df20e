//! `/metrics`: what Prometheus reads.

use std::collections::HashMap;

use super::backend::{Backend, Reply};
use super::key::create;
use super::{CHAT, Place, Served};

/// The samples by their names with labels.
#[track_caller]
fn samples(served: &Served) -> HashMap<String, f64> {
    let answer = served.get("/metrics");
    assert_eq!(answer.status(), 200);
    let kind = answer.head.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    let mut types = HashMap::new();
    let mut samples = HashMap::new();
    for line in answer.text().lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            if what == "TYPE" {
                let is_new = types.insert(name.to_owned(), words.next().unwrap().to_owned());
                assert_eq!(is_new, None, "{name}");
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let name = sample.split('{').next().unwrap();
        let of = |ending| types.contains_key(name.strip_suffix(ending).unwrap_or_default());
        let is_typed = types.contains_key(name) || of("_bucket") || of("_sum") || of("_count");
        assert!(is_typed, "{line}");
        let is_new = samples.insert(sample.to_owned(), value.parse().unwrap());
        assert_eq!(is_new, None, "{line}");
    }
    samples
}

#[test]
fn requests_tokens_times_and_tries_are_counted() {
    let backend = Backend::playing([
        Reply::says("hi"),
        Reply::stream().word("a").word("b").done(),
        Reply::json(500, "{}"),
    ]);
    let other = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend, &other]);
    let served = place.serve(&["--route", "first"]);
    served.chat("m");
    served.post(CHAT, r#"{"model":"m","stream":true}"#);
    served.chat("m");
    served.chat("another");
    served.chat("a third");
    let samples = samples(&served);
    for (sample, value) in [
        (
            r#"router_requests_total{model="m",backend="1",status="200"}"#,
            2.0,
        ),
        (
            r#"router_requests_total{model="m",backend="2",status="200"}"#,
            1.0,
        ),
        (
            r#"router_requests_total{model="",backend="",status="404"}"#,
            2.0,
        ),
        (r#"router_cache_hits_total{model="m"}"#, 0.0),
        (r#"router_request_latency_seconds_count{backend="1"}"#, 2.0),
        (
            r#"router_request_latency_seconds_bucket{backend="2",le="+Inf"}"#,
            1.0,
        ),
        (r#"router_ttft_seconds_count{backend="2"}"#, 1.0),
        (r#"router_tokens_total{model="m",kind="prompt"}"#, 6.0),
        (r#"router_tokens_total{model="m",kind="completion"}"#, 6.0),
        (r#"router_retries_total{reason="status"}"#, 1.0),
        (r#"router_backend_up{model="m",backend="1"}"#, 1.0),
        ("router_inflight", 0.0),
        ("router_rows_dropped_total", 0.0),
    ] {
        assert_eq!(samples.get(sample), Some(&value), "{sample} {samples:#?}");
    }
    assert!(!samples.keys().any(|sample| sample.contains("third")));
}

#[test]
fn what_runs_and_what_is_down_is_told() {
    let backend = Backend::always(Reply::stream().word("a").hold().done());
    let place = Place::with(&[&backend]);
    place.model("down", "http://127.0.0.1:1/v1", "down");
    let served = place.serve(&[]);
    for _ in 0..3 {
        assert_eq!(served.chat("down").status(), 502);
    }
    let mut client = served.connect();
    client.post(CHAT, r#"{"model":"m","stream":true}"#);
    client.head();
    let before = samples(&served);
    assert_eq!(before["router_inflight"], 1.0);
    assert_eq!(
        before[r#"router_backend_up{model="down",backend="2"}"#],
        0.0
    );
    backend.release(1);
    while client.piece().unwrap().is_some() {}
    super::eventually("nothing runs", || {
        samples(&served)["router_inflight"] == 0.0
    });
}

#[test]
fn a_key_is_needed_where_clients_need_one() {
    let place = Place::new();
    create(&place.0, &["ann"]);
    let served = place.serve(&[]);
    assert_eq!(served.get("/metrics").status(), 401);
    assert_eq!(served.get("/health").status(), 200);
}

//! Connections on which nothing happens.

use std::time::Duration;

use super::Place;
use super::backend::{Backend, Reply};
use super::client::JSON;

/// Longer than the headers of a request may take.
const LONGER: Duration = Duration::from_millis(10_500);

#[test]
fn a_pooled_connection_stays_and_one_that_does_not_end_its_headers_is_closed() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut pooled = served.connect();
    let body = r#"{"model":"m"}"#;
    pooled.post(super::CHAT, body);
    assert_eq!(pooled.answer().status(), 200);
    let mut silent = served.connect();
    let mut slow = served.connect();
    slow.send("POST /v1/chat/completions HTTP/1.1\r\nhost: loc");
    let mut slow_later = served.connect();
    slow_later.post(super::CHAT, body);
    assert_eq!(slow_later.answer().status(), 200);
    slow_later.send("P");
    std::thread::sleep(LONGER);
    pooled.request(&format!("POST {}", super::CHAT), JSON, body);
    assert_eq!(pooled.answer().status(), 200);
    for client in [&mut silent, &mut slow, &mut slow_later] {
        assert!(client.is_closed());
    }
}

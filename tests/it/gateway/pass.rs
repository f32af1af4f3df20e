//! What passes by stays as it is.

use super::backend::{Backend, Reply, completion};
use super::client::JSON;
use super::{CHAT, Place};

/// A body whose every spelling is unusual.
const ODD: &str = "{ \"x\":1.50e+00,\r\n\t\"big\":123456789012345678901234567890 , \"model\":\"m\",\
    \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\\/ü\"}], \"unknown\" : {\"model\":\"n\",\"b\":-0.0,\"a\":null}}\n ";

#[test]
fn a_body_passes_byte_for_byte() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let answer = served.post(CHAT, ODD);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text(), completion("hi"));
    assert_eq!(backend.only().body, ODD.as_bytes());
    assert_eq!(served.stop().code, Some(0));
}

#[test]
fn another_name_replaces_the_bytes_of_that_string_alone() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::new();
    place.model("m", &backend.url(), "org/\"M\"");
    let served = place.serve(&[]);
    assert_eq!(served.post(CHAT, ODD).status(), 200);
    let expected = ODD.replacen("\"model\":\"m\"", "\"model\":\"org/\\\"M\\\"\"", 1);
    assert_eq!(backend.only().text(), expected);
}

#[test]
fn a_request_has_the_headers_of_the_list_and_no_others() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut client = served.connect();
    let head = format!(
        "{JSON}accept: text/plain\r\ntraceparent: 00-a\r\ntracestate: b\r\nopenai-beta: c\r\n\
         authorization: Bearer sk-own\r\ncookie: d\r\nx-stainless-os: Linux\r\n\
         x-forwarded-for: 10.0.0.1\r\naccept-encoding: gzip\r\nuser-agent: client\r\n\
         openai-organization: o\r\nx-api-key: e\r\n"
    );
    client.request(&format!("POST {CHAT}?api-version=1&x=%20"), &head, ODD);
    assert_eq!(client.answer().status(), 200);
    let seen = backend.only();
    assert_eq!(seen.line(), "POST /v1/chat/completions?api-version=1&x=%20");
    assert_eq!(
        seen.header_names(),
        [
            "accept",
            "content-length",
            "content-type",
            "host",
            "openai-beta",
            "traceparent",
            "tracestate",
            "user-agent",
            "x-request-id"
        ]
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        seen.header("user-agent").unwrap(),
        format!("localstore/{version}")
    );
    assert_eq!(seen.header("accept"), Some("text/plain"));
}

//! What passes by stays as it is.

use super::backend::{Backend, Reply, completion};
use super::client::JSON;
use super::{CHAT, Place};

/// A body whose every spelling is unusual.
const ODD: &str = "{ \"x\":1.50e+00,\r\n\t\"big\":123456789012345678901234567890 , \"model\":\"m\",\
    \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\\/ü\"}], \"unknown\" : {\"model\":\"n\",\"b\":-0.0,\"a\":null}}\n ";

#[cfg(unix)]
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

#[test]
fn each_route_goes_to_the_same_path_behind_the_base_url() {
    let backend = Backend::always(Reply::json(200, "{}"));
    let place = Place::new();
    place.model("m", &format!("{}/deep/er", backend.url()), "m");
    let served = place.serve(&[]);
    for route in ["chat/completions", "completions", "embeddings", "responses"] {
        assert_eq!(served.post(&format!("/v1/{route}"), ODD).status(), 200);
        let seen = backend.requests().pop().unwrap();
        assert_eq!(seen.line(), format!("POST /v1/deep/er/{route}"));
    }
}

#[test]
fn an_answer_has_the_headers_of_the_list_and_no_others() {
    let head = "content-type: application/json; charset=x\r\nretry-after: 3\r\n\
         x-ratelimit-limit-requests: 5\r\nopenai-processing-ms: 7\r\nset-cookie: a=b\r\n\
         server: engine\r\nx-request-id: theirs\r\nx-localstore-cache: hit\r\nlink: <x>\r\n\
         access-control-allow-origin: *\r\n";
    let backend = Backend::always(Reply::with(201, head, " {\"a\" : 1.0}\n"));
    let place = Place::with(&[&backend]);
    let answer = place.serve(&[]).post(CHAT, ODD);
    assert_eq!((answer.status(), answer.text()), (201, " {\"a\" : 1.0}\n"));
    let mut names: Vec<_> = answer
        .head
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-length",
            "content-type",
            "date",
            "openai-processing-ms",
            "retry-after",
            "x-localstore-backend",
            "x-localstore-cache",
            "x-ratelimit-limit-requests",
            "x-request-id"
        ]
    );
    for (name, value) in [
        ("content-type", "application/json; charset=x"),
        ("retry-after", "3"),
        ("x-ratelimit-limit-requests", "5"),
        ("openai-processing-ms", "7"),
        ("x-localstore-backend", "1"),
        ("x-localstore-cache", "off"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert_ne!(answer.header("x-request-id"), Some("theirs"));
}

#[test]
fn a_body_in_chunks_passes_whole() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut client = served.connect();
    client.send(format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{JSON}transfer-encoding: chunked\r\n\r\n"
    ));
    for piece in ODD.as_bytes().chunks(7) {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    assert_eq!(backend.only().body, ODD.as_bytes());
}

#[test]
fn a_client_that_waits_for_a_word_before_its_body_gets_it() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let mut client = served.connect();
    client.send(format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{JSON}expect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        ODD.len()
    ));
    assert_eq!(client.head().status, 100);
    client.send(ODD);
    assert_eq!(client.answer().status(), 200);
    assert_eq!(backend.only().header("expect"), None);
}

/// Whatever stands around the model stays, however it is spelled, and whatever it is called there.
#[test]
fn any_body_passes() {
    use proptest::collection::vec;
    use proptest::test_runner::{Config, TestRunner};

    const UPSTREAMS: [&str; 5] = ["m", "a\"b\\", "🦙 x", "org/Ü:8b", "\\u006d"];
    let backend = Backend::always(Reply::json(200, "{}"));
    let place = Place::new();
    for (number, upstream) in UPSTREAMS.iter().enumerate() {
        place.model(&format!("m{number}"), &backend.url(), upstream);
    }
    let served = place.serve(&[]);
    let field = (
        "[a-z\"\\\\ü]{0,6}",
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?",
    );
    let cases = (
        vec(field, 0..5),
        "[ \t\r\n]{0,3}",
        0..6_usize,
        0..UPSTREAMS.len(),
    );
    let mut runner = TestRunner::new(Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&cases, |(fields, space, at, number)| {
        let mut fields: Vec<String> = fields
            .iter()
            .filter(|(key, _)| key != "model")
            .map(|(key, value)| {
                format!("{space}{} :{value}", serde_json::Value::from(key.as_str()))
            })
            .collect();
        let asked = format!("\"\\u006d{number}\"");
        let model = format!("\"model\":{space}{asked}");
        fields.insert(at.min(fields.len()), model.clone());
        let body = format!("{{{}}}{space}", fields.join(","));
        let sent = serde_json::Value::from(UPSTREAMS[number]);
        let expected = body.replacen(&model, &format!("\"model\":{space}{sent}"), 1);
        assert_eq!(served.post(CHAT, &body).status(), 200);
        assert_eq!(backend.requests().pop().unwrap().text(), expected);
        Ok(())
    });
    result.unwrap();
}

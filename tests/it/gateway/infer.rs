//! `/infer`: a prompt in, text out.

use serde_json::{Value, json};

use super::Place;
use super::backend::{Backend, Reply};
use super::key::create;

#[cfg(unix)]
#[test]
fn a_prompt_is_asked_as_a_chat_and_answered_as_text() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let answer = served.post("/infer", r#"{"prompt":"a\u00e9","x":1}"#);
    assert_eq!(answer.status(), 200);
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    assert_eq!(
        answer.json(),
        json!({"model": "m", "text": "hi", "finish_reason": "stop", "usage": usage})
    );
    let seen = backend.only();
    assert_eq!(seen.line(), "POST /v1/chat/completions");
    let body: Value = serde_json::from_str(seen.text()).unwrap();
    assert_eq!(
        body,
        json!({"model": "m", "messages": [{"role": "user", "content": "a\u{e9}"}],
            "max_tokens": 512, "temperature": 0.7, "stream": false})
    );
    assert_eq!(served.stop().code, Some(0));
    let sql = "SELECT route || status || completion_tokens FROM localstore_gateway_requests";
    let row: String = place.0.db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(row, "/infer2002");
}

#[test]
fn a_stream_is_a_stream_of_texts() {
    let stream = Reply::stream()
        .then(": hello\n\n")
        .word("a")
        .word("")
        .word("b\n");
    let backend = Backend::always(stream.done());
    let place = Place::with(&[&backend]);
    let served = place.serve(&[]);
    let answer = served.post("/infer", r#"{"prompt":"a","model":"m","stream":true}"#);
    let events = "data: {\"text\":\"a\"}\n\ndata: {\"text\":\"b\\n\"}\n\ndata: [DONE]\n\n";
    assert_eq!(answer.text(), events);
    backend.now(Reply::stream().word("a").cut());
    let answer = served.post("/infer", r#"{"prompt":"a","model":"m","stream":true}"#);
    let (first, error) = answer.text().split_once("\n\n").unwrap();
    assert_eq!(first, "data: {\"text\":\"a\"}");
    assert!(
        error.contains("upstream_cut") && !error.contains("[DONE]"),
        "{error}"
    );
}

#[test]
fn without_a_model_there_must_be_one_only() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    place.model("n", &backend.url(), "n");
    let served = place.serve(&[]);
    let answer = served.post("/infer", r#"{"prompt":"a"}"#);
    assert_eq!(answer.error(), (400, "missing_model".to_owned()));
    let answer = served.post("/infer", r#"{"prompt":"a","model":"n"}"#);
    assert_eq!(answer.json()["model"], "n");
    let answer = served.post("/infer", r#"{"prompt":"a","model":"x"}"#);
    assert_eq!(answer.error(), (404, "model_not_found".to_owned()));
    let answer = served.post("/infer", r#"{"prompt":1,"model":"n"}"#);
    assert_eq!(answer.error(), (400, "invalid_value".to_owned()));
    assert_eq!(answer.json()["error"]["param"], "prompt");
    assert_eq!(
        served.get("/infer").error(),
        (405, "method_not_allowed".to_owned())
    );
}

#[test]
fn keys_and_tries_are_those_of_a_chat() {
    let bad = Backend::always(Reply::json(500, "{}"));
    let good = Backend::playing([
        Reply::says("hi"),
        Reply::json(422, r#"{"error":{"message":"no"}}"#),
        Reply::json(200, "{}"),
    ]);
    let place = Place::with(&[&bad, &good]);
    let key = create(&place.0, &["k", "--models", "m"]);
    let served = place.serve(&["--route", "first"]);
    let post = |model: &str| {
        let mut client = served.connect();
        let head = format!("content-type: application/json\r\nauthorization: Bearer {key}\r\n");
        let body = json!({"prompt": "a", "model": model});
        client.request("POST /infer", &head, body.to_string());
        client.answer()
    };
    assert_eq!(post("n").error(), (403, "model_not_allowed".to_owned()));
    assert_eq!(post("m").json()["text"], "hi");
    assert_eq!(bad.count(), 1);
    // What a backend refuses comes as it came.
    let answer = post("m");
    assert_eq!(answer.status(), 422);
    assert_eq!(answer.text(), r#"{"error":{"message":"no"}}"#);
    assert_eq!(post("m").error(), (502, "upstream_failed".to_owned()));
    assert_eq!(served.post("/infer", r#"{"prompt":"a"}"#).status(), 401);
}

//! `model`: backends, other names, fallbacks.

use std::net::TcpListener;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// The rows of `model list -o json`.
fn list(sandbox: &Sandbox) -> Vec<Value> {
    serde_json::from_slice(&sandbox.run(["model", "list", "-o", "json"]).ok()).unwrap()
}

/// Runs `model` with these words; what it said.
#[track_caller]
fn model(sandbox: &Sandbox, words: &[&str]) -> String {
    let ran = sandbox.run([&["model"], words].concat());
    ran.ok();
    ran.stderr
}

/// The same where it must fail.
#[track_caller]
fn refused(sandbox: &Sandbox, words: &[&str]) -> String {
    sandbox.run([&["model"], words].concat()).failed()
}

/// The address of a server that takes connections, and one of none.
fn addresses() -> (TcpListener, String, String) {
    let there = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let urls = (url(&there), url(&gone));
    (there, urls.0, urls.1)
}

#[test]
fn a_backend_is_added_updated_and_removed() {
    let sandbox = Sandbox::new();
    let (_server, there, gone) = addresses();
    assert_eq!(list(&sandbox), [Value::Null; 0]);
    let said = model(&sandbox, &["add", "m", "--url", &there]);
    assert!(
        said.contains("/v1 was added") && !said.contains("warning"),
        "{said}"
    );
    let said = model(
        &sandbox,
        &[
            "add",
            "m",
            "--url",
            &format!("{gone}/v1/"),
            "--upstream",
            "n",
        ],
    );
    assert!(
        said.contains("warning") && said.contains("does not answer"),
        "{said}"
    );
    assert!(!said.contains("/v1 was added"), "{said}");
    model(
        &sandbox,
        &[
            "add",
            "m",
            "--url",
            &there,
            "--parallel",
            "4",
            "--upstream",
            "o",
        ],
    );
    let rows = list(&sandbox);
    let row = |id: i64, url: &str, upstream: &str, parallel: i64| {
        serde_json::json!({
            "id": id, "model": "m", "url": format!("{url}/v1"), "upstream": upstream, "provider": null,
            "gen_tps": null, "from": null, "parallel": parallel, "agent": null,
        })
    };
    assert_eq!(rows, [row(1, &there, "o", 4), row(2, &gone, "n", 1)]);
    model(&sandbox, &["rm", "m", "--url", &there]);
    assert_eq!(list(&sandbox), rows[1..]);
    assert!(refused(&sandbox, &["rm", "m", "--url", &there]).contains("no such backend"));
    assert!(refused(&sandbox, &["rm", "n"]).contains("no such model"));
    model(&sandbox, &["rm", "m"]);
    assert_eq!(list(&sandbox), [Value::Null; 0]);
    // An id is never given out again: rows of requests name it.
    model(&sandbox, &["add", "m", "--url", &there]);
    assert_eq!(list(&sandbox)[0]["id"], 3);
}

#[test]
fn a_known_provider_needs_no_url_and_its_key_is_told_by_its_variable() {
    let mut sandbox = Sandbox::new();
    let (_server, there, _) = addresses();
    let said = refused(&sandbox, &["add", "m", "--provider", "my-co"]);
    assert!(said.contains("no base URL"), "{said}");
    sandbox.set("EXTERNAL_MY_CO_URL", &there);
    let said = model(&sandbox, &["add", "m", "--provider", "My-Co"]);
    assert!(said.contains("EXTERNAL_MY_CO_KEY is not set"), "{said}");
    sandbox.set("EXTERNAL_MY_CO_KEY", "very-secret");
    let said = model(&sandbox, &["add", "m", "--provider", "my-co"]);
    assert!(
        !said.contains("warning") && !said.contains("secret"),
        "{said}"
    );
    let rows = list(&sandbox);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["provider"], &rows[0]["url"]),
        (&"my-co".into(), &format!("{there}/v1").into())
    );
    assert!(refused(&sandbox, &["add", "m"]).contains("--url"));
    refused(&sandbox, &["add", "m", "--provider", "a b"]);
}

#[test]
fn a_name_or_a_url_that_cannot_be_is_refused() {
    let sandbox = Sandbox::new();
    for name in ["", " m", "m\n", "\u{7}", &"m".repeat(257)] {
        refused(&sandbox, &["add", name, "--url", "http://127.0.0.1:9"]);
    }
    for url in [
        "",
        "127.0.0.1",
        "ftp://a",
        "http://",
        "http://a?k=1",
        "http://a/#b",
        "http://a:x",
        "http://a:99999",
    ] {
        refused(&sandbox, &["add", "m", "--url", url]);
    }
    let said = refused(
        &sandbox,
        &["add", "m", "--url", "http://u:secret@127.0.0.1:9"],
    );
    assert!(
        said.contains("a user or a password") && !said.contains("secret"),
        "{said}"
    );
    refused(
        &sandbox,
        &["add", "m", "--url", "http://127.0.0.1:9", "--parallel", "0"],
    );
    assert!(!sandbox.store().exists());
}

#[test]
fn another_name_leads_to_one_model_and_goes_with_it() {
    let sandbox = Sandbox::new();
    let (_server, there, _) = addresses();
    for name in ["a", "b"] {
        model(&sandbox, &["add", name, "--url", &there]);
    }
    assert!(refused(&sandbox, &["alias", "c", "fast"]).contains("no such model"));
    assert!(refused(&sandbox, &["alias", "a", "b"]).contains("a model itself"));
    model(&sandbox, &["alias", "a", "fast"]);
    // Another name of another name is one of the model.
    model(&sandbox, &["alias", "fast", "quick"]);
    let names = sandbox.run(["model", "alias", "quick"]).ok();
    assert_eq!(names, b"fast\nquick\n");
    let said = model(&sandbox, &["alias", "b", "quick"]);
    assert!(said.contains("no longer of a"), "{said}");
    model(&sandbox, &["alias", "--rm", "quick"]);
    assert!(refused(&sandbox, &["alias", "--rm", "quick"]).contains("quick"));
    assert!(refused(&sandbox, &["rm", "fast"]).contains("another name of a"));
    assert!(model(&sandbox, &["rm", "a"]).contains("fast went with it"));
    assert!(refused(&sandbox, &["alias", "--rm", "fast"]).contains("fast"));
}

#[test]
fn fallbacks_never_form_a_loop() {
    let mut sandbox = Sandbox::new();
    let (_server, there, _) = addresses();
    for name in ["a", "b", "c"] {
        model(&sandbox, &["add", name, "--url", &there]);
    }
    model(&sandbox, &["alias", "a", "first"]);
    assert!(refused(&sandbox, &["fallback", "a", "a"]).contains("a → a"));
    assert!(refused(&sandbox, &["fallback", "a", "first"]).contains("a → a"));
    assert!(refused(&sandbox, &["fallback", "a", "zzz"]).contains("no such model"));
    model(&sandbox, &["fallback", "a", "b", "b", "gpt-5"]);
    model(&sandbox, &["fallback", "b", "c"]);
    assert!(refused(&sandbox, &["fallback", "c", "first"]).contains("c → a → b → c"));
    let said = model(&sandbox, &["fallback", "c", "gpt-5"]);
    assert!(said.contains("EXTERNAL_OPENAI_KEY"), "{said}");
    sandbox.set("EXTERNAL_OPENAI_KEY", "k");
    let said = model(&sandbox, &["fallback", "c", "gpt-5"]);
    assert!(!said.contains("EXTERNAL_OPENAI_KEY"), "{said}");
    assert!(model(&sandbox, &["list"]).contains("a falls back to b, gpt-5"));
    let said = model(&sandbox, &["fallback", "a"]);
    assert!(said.contains("nothing; before: b, gpt-5"), "{said}");
    model(&sandbox, &["fallback", "c", "first"]);
    let said = model(&sandbox, &["rm", "c"]);
    assert!(
        said.contains("b does not fall back to it any more"),
        "{said}"
    );
}

#[cfg(feature = "network")]
#[test]
fn each_backend_is_asked_once_and_one_that_fails_is_told() {
    use super::backend::{Backend, Reply};
    let mut sandbox = Sandbox::new();
    let (_server, _, gone) = addresses();
    let mut stream = Reply::stream();
    for word in ["one", "two", "three"] {
        stream = stream.word(word).sleep(std::time::Duration::from_millis(5));
    }
    let good = Backend::always(stream.done().end());
    let whole = Backend::always(Reply::says("one two"));
    let full = Backend::always(Reply::json(429, "{}"));
    let cut = Backend::always(Reply::stream().word("one").cut());
    let junk = Backend::always(Reply::json(200, "junk"));
    model(
        &sandbox,
        &["add", "m", "--url", &good.url(), "--upstream", "n"],
    );
    let test = |sandbox: &Sandbox, code| {
        let ran = sandbox.run(["model", "test", "m", "-o", "json"]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(!ran.stderr.contains("secret"));
        serde_json::from_slice::<Vec<Value>>(&ran.stdout).unwrap()
    };
    let rows = test(&sandbox, 0);
    assert_eq!((rows.len(), &rows[0]["status"]), (1, &200.into()));
    assert!(rows[0]["ttft_ms"].as_f64() > Some(0.0) && rows[0]["gen_tps"].as_f64() > Some(0.0));
    let seen = good.only();
    assert_eq!(seen.line(), "POST /v1/chat/completions");
    let body: Value = serde_json::from_str(seen.text()).unwrap();
    assert_eq!(
        (&body["model"], &body["max_tokens"]),
        (&"n".into(), &16.into())
    );
    assert_eq!(seen.header("authorization"), None);
    sandbox.set("EXTERNAL_OPENAI_KEY", "secret");
    model(
        &sandbox,
        &["add", "m", "--url", &whole.url(), "--provider", "openai"],
    );
    for url in [full.url(), cut.url(), junk.url(), gone] {
        model(&sandbox, &["add", "m", "--url", &url]);
    }
    let rows = test(&sandbox, 1);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row["status"].as_u64(), row["error"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(200), None),
            (Some(200), None),
            (Some(429), Some("it has too much to do")),
            (Some(200), Some("it cut its answer")),
            (Some(200), Some("its answer is not a completion")),
            (None, Some("no connection")),
        ]
    );
    assert_eq!(whole.only().header("authorization"), Some("Bearer secret"));
    assert!(refused(&sandbox, &["test", "n"]).contains("no such model"));
}

#[test]
fn a_narrow_screen_shows_the_hosts_of_all_backends() {
    let mut sandbox = Sandbox::new();
    let hosts = ["127.100.100.10:18000", "127.100.100.11:18000"];
    for host in hosts {
        let url = format!("http://{host}/a/rather/long/path/of/a/base/url/v1");
        let name = "a-model-with-a-long-name";
        let upstream = "organisation/the-same-model-with-a-longer-name.gguf";
        model(
            &sandbox,
            &["add", name, "--url", &url, "--upstream", upstream],
        );
    }
    for width in ["60", "80", "100"] {
        sandbox.set("COLUMNS", width);
        let ran = sandbox.run(["model", "list"]);
        let text = String::from_utf8(ran.ok()).unwrap();
        let most = text.lines().map(|line| line.chars().count()).max();
        assert!(most <= width.parse().ok(), "{text}");
        assert!(hosts.iter().all(|host| text.contains(host)), "{text}");
        assert!(ran.stderr.contains("hidden: agent"), "{}", ran.stderr);
    }
}

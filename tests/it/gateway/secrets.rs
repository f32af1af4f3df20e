//! Secrets and texts are found nowhere: not in the store, in what is said, in metrics or arguments.

use std::path::Path;

use super::backend::{Backend, Reply};
use super::client::JSON;
use super::{CHAT, Place};

const PROVIDER_KEY: &str = "sk-provider-5f2c91";
const PROMPT: &str = "the prompt that nobody keeps 7c1";
const REPLY: &str = "the answer that nobody keeps 9d4";
const HEADER: &str = "a-header-that-nobody-keeps-3b8";
const QUERY: &str = "a-query-that-nobody-keeps-1e0";
const UPSTREAM_ERROR: &str = "an error that quotes sk-provider-5f2c91";

/// All bytes of a file or of the files of a folder.
fn bytes(path: &Path) -> Vec<u8> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries
            .flat_map(|entry| bytes(&entry.unwrap().path()))
            .collect();
    }
    std::fs::read(path).unwrap()
}

#[track_caller]
fn has_none(what: &str, bytes: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let mut windows = bytes.windows(secret.len());
        assert!(
            !windows.any(|found| found == secret.as_bytes()),
            "{secret} in {what}"
        );
    }
}

#[cfg(unix)]
#[test]
fn no_secret_and_no_text_is_left_anywhere() {
    let says = Reply::says(REPLY);
    let refuses = Reply::json(401, UPSTREAM_ERROR);
    let streams = Reply::stream().word(REPLY).word(REPLY).cut();
    let broken = Reply::json(500, UPSTREAM_ERROR);
    let backend = Backend::playing([says, refuses, streams, broken]);
    let mut place = Place::new();
    place.0.set("EXTERNAL_OPENAI_KEY", PROVIDER_KEY);
    place.0.set("EXTERNAL_OPENAI_URL", backend.url());
    let key = place.key("alice", &["--rpm", "100"]);
    for level in ["-v", "-vvv"] {
        let served = place.serve(&[level]).shown(&key);
        let mut heard = Vec::new();
        let body = format!(
            r#"{{"model":"gpt-4o","stream":true,"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
        );
        let head = format!("{JSON}cookie: {HEADER}\r\nx-own: {HEADER}\r\naccept: {HEADER}\r\n");
        for _ in 0..4 {
            let answer = served.ask(&format!("POST {CHAT}?q={QUERY}"), &head, &body);
            if answer.status() != 200 {
                heard.extend(answer.body);
            }
            heard.extend(format!("{:?}", answer.head).into_bytes());
        }
        // What is wrong is not quoted either.
        let wrong = "sk-ls-wrong-6a6";
        let shown = format!("authorization: Bearer {wrong}\r\n{head}");
        let served = served.shown_nothing();
        heard.extend(served.ask(&format!("POST {CHAT}"), &shown, &body).body);
        let served = served.shown(&key);
        heard.extend(
            served
                .ask(&format!("POST {CHAT}"), &head, format!("{PROMPT}{body}"))
                .body,
        );
        heard.extend(served.get(&format!("/v1/{QUERY}?{QUERY}")).body);
        heard.extend(served.chat(PROMPT).body);
        heard.extend(served.get("/metrics").body);
        heard.extend(served.get("/health").body);
        heard.extend(served.get("/v1/models").body);
        let process = format!("/proc/{}/cmdline", served.child.id());
        heard.extend(std::fs::read(process).unwrap_or_default());
        assert_eq!(
            backend.requests()[0].header("authorization").unwrap(),
            format!("Bearer {PROVIDER_KEY}")
        );
        backend.now(Reply::says(REPLY));
        let ran = served.stop();
        assert_eq!(ran.code, Some(0));
        assert!(ran.stderr.contains("gpt-4o"), "{}", ran.stderr);
        heard.extend(ran.stderr.into_bytes());
        for words in [
            &["model", "list"][..],
            &["key", "list", "-o", "json"],
            &["usage"],
            &["usage", "--by", "key"],
        ] {
            let ran = place.0.run(words);
            heard.extend(ran.stdout);
            heard.extend(ran.stderr.into_bytes());
        }
        let secrets = [PROVIDER_KEY, REPLY, HEADER, QUERY, &key[10..], wrong];
        has_none("what was heard", &heard, &secrets);
        has_none("the store", &bytes(place.0.path()), &secrets);
        has_none(
            "the store",
            &bytes(place.0.path()),
            &[PROMPT, UPSTREAM_ERROR, "127.0.0.1"],
        );
    }
}

#[cfg(unix)]
#[test]
fn a_line_tells_of_a_request_and_none_can_be_forged() {
    let backend = Backend::always(Reply::says("hi"));
    let place = Place::with(&[&backend]);
    let served = place.serve(&["-v"]);
    assert_eq!(served.chat("m").status(), 200);
    assert_eq!(served.chat("x\n200 forged\u{1b}[31m").status(), 404);
    let ran = served.stop();
    let lines: Vec<_> = ran
        .stderr
        .lines()
        .filter(|line| line.contains(" ms"))
        .collect();
    assert_eq!(lines.len(), 2, "{}", ran.stderr);
    assert!(
        lines[0].contains(" 200 chat/completions m from 1, "),
        "{}",
        lines[0]
    );
    assert!(
        !ran.stderr.contains("forged") && !ran.stderr.contains("[31m"),
        "{}",
        ran.stderr
    );
}

//! `key`: what lets a client in, and what the store has of it.

use serde_json::Value;

use super::Place;
use crate::sandbox::{Ran, Sandbox};

/// Creates a key; gives its text.
#[track_caller]
pub(super) fn create(sandbox: &Sandbox, options: &[&str]) -> String {
    let ran = sandbox.run([&["key", "create"], options].concat());
    let key = String::from_utf8(ran.ok()).unwrap();
    assert_eq!(key.matches('\n').count(), 1, "{key}");
    key.trim_end().to_owned()
}

fn list(sandbox: &Sandbox) -> Vec<Value> {
    serde_json::from_slice(&sandbox.run(["key", "list", "-o", "json"]).ok()).unwrap()
}

#[test]
fn a_key_is_printed_once_and_its_hash_stored() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run([
        "key", "create", "alice", "--models", "llama*", "--models", "b",
    ]);
    let key = String::from_utf8(ran.stdout.clone()).unwrap();
    let key = key.trim_end();
    let letters = key.strip_prefix("sk-ls-").unwrap();
    assert_eq!(letters.len(), 43);
    assert!(letters.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(ran.stdout, format!("{key}\n").as_bytes());
    assert!(!ran.stderr.contains(letters));
    let [row] = &list(&sandbox)[..] else { panic!() };
    assert_eq!(row["name"], "alice");
    assert_eq!(row["prefix"], key[..10]);
    assert_eq!(row["models"], serde_json::json!(["llama*", "b"]));
    for name in ["rpm", "expires", "revoked", "last_used"] {
        assert_eq!(row[name], Value::Null, "{name}");
    }
    for entry in std::fs::read_dir(sandbox.store().parent().unwrap()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let part = &letters.as_bytes()[4..20];
        assert!(!bytes.windows(part.len()).any(|bytes| bytes == part));
    }
    assert_ne!(create(&sandbox, &[]), create(&sandbox, &[]));
}

#[test]
fn names_are_unique_and_look_like_no_id_and_no_key() {
    let sandbox = Sandbox::new();
    create(&sandbox, &["alice"]);
    assert!(
        sandbox
            .run(["key", "create", "alice"])
            .failed()
            .contains("alice: there is a key")
    );
    sandbox.run(["key", "revoke", "alice"]).ok();
    assert!(
        sandbox
            .run(["key", "create", "alice"])
            .failed()
            .contains("a revoked key")
    );
    for name in ["", " a", "12", "sk-ls-abc", "a\u{1b}b", &"a".repeat(257)] {
        sandbox.run(["key", "create", name]).failed();
    }
    let key = format!("sk-ls-{}", "k".repeat(43));
    let refused = sandbox.run(["key", "create", &key]).failed();
    assert!(
        refused.contains("a key") && !refused.contains("kkkkk"),
        "{refused}"
    );
    for option in ["--rpm=0", "--expires=0", "--expires=x", "--models="] {
        sandbox.run(["key", "create", "x", option]).failed();
    }
    assert_eq!(list(&sandbox).len(), 1);
}

#[test]
fn a_key_is_revoked_by_its_id_its_name_its_beginning_or_itself() {
    let sandbox = Sandbox::new();
    let keys = ["a", "b", "c", "d"].map(|name| create(&sandbox, &[name]));
    for meant in ["1", "b", &keys[2][..10], &keys[3]] {
        let ran = sandbox.run(["key", "revoke", meant]);
        ran.ok();
        assert!(!ran.stderr.contains(&keys[3][10..]));
    }
    assert!(list(&sandbox).iter().all(|row| row["revoked"].is_string()));
    let again = sandbox.run(["key", "revoke", "a"]);
    again.ok();
    assert!(again.stderr.contains("revoked before"), "{}", again.stderr);
    assert!(
        sandbox
            .run(["key", "revoke", "sk-ls-"])
            .failed()
            .contains("4 keys begin like this: 1, 2, 3, 4")
    );
    let ran = sandbox.run(["key", "revoke", &keys[2][..20]]);
    let hint = format!("hint: localstore key revoke {}", &keys[2][..10]);
    assert!(ran.failed().contains("only a part of a key") && ran.stderr.contains(&hint));
    assert!(!ran.stderr.contains(&keys[2][..11]));
    let unknown = format!("sk-ls-{}", "x".repeat(43));
    let nothing = sandbox.run(["key", "revoke", ""]).failed();
    assert!(nothing.contains("invalid parameter"), "{nothing}");
    for meant in ["5", "e", "sk-ls-_", &unknown] {
        let ran = sandbox.run(["key", "revoke", meant]);
        assert!(!ran.stderr.contains("xxxxx"));
        assert!(ran.failed().contains("no such key"));
    }
}

#[test]
fn a_revoked_key_is_refused_from_the_end_of_the_command_on() {
    let place = Place::new();
    let key = create(&place.0, &["alice", "--expires", "1h"]);
    let served = place.serve(&[]);
    let status = |key: &str| {
        let mut client = served.connect();
        client.request(
            "GET /v1/models",
            &format!("authorization: Bearer {key}\r\n"),
            "",
        );
        client.answer().status()
    };
    assert_eq!((status(&key), status("sk-ls-x")), (200, 401));
    place.0.run(["key", "revoke", "alice"]).ok();
    assert_eq!(status(&key), 401);
}

#[test]
fn the_list_fits_on_a_screen() {
    let mut sandbox = Sandbox::new();
    create(
        &sandbox,
        &[
            "alice",
            "--models",
            "llama*",
            "--rpm",
            "60",
            "--expires",
            "30d",
        ],
    );
    create(
        &sandbox,
        &[
            "a-machine-with-a-long-name",
            "--agent",
            "--models",
            "meta-llama/*",
        ],
    );
    sandbox.run(["key", "revoke", "1"]).ok();
    let whole = sandbox.run(["key", "list"]);
    assert!(whole.stdout.starts_with(b"id  name"));
    for width in ["40", "60", "80", "120"] {
        sandbox.set("COLUMNS", width);
        let ran: Ran = sandbox.run(["key", "list"]);
        let text = String::from_utf8(ran.stdout.clone()).unwrap();
        let most = text.lines().map(|line| line.chars().count()).max();
        assert!(most <= width.parse().ok(), "{text}");
        assert!(text.contains("alice"), "{text}");
    }
}

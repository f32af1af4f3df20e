//! A token, and what else is nobody's business, is not where it does not belong.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::fleet::proxy::Proxy;
use crate::fleet::sqld::{self, Options, Sqld};
use crate::fleet::token::Issuer;
use crate::fleet::{hrana, url};
#[cfg(unix)]
use crate::pager::seen;
use crate::sandbox::Sandbox;
use crate::server::{Reply, Server};

/// Asserts that no piece of the token is in there.
#[track_caller]
fn assert_hidden(token: &str, text: &[u8], what: &str) {
    assert_without(token, 12, text, what);
}

/// Asserts that no piece of this length is in there.
#[track_caller]
fn assert_without(secret: &str, length: usize, text: &[u8], what: &str) {
    for piece in secret.as_bytes().windows(length) {
        let found = memchr::memmem::find(text, piece);
        let piece = String::from_utf8_lossy(piece);
        assert!(found.is_none(), "{what}: {piece}");
    }
}

/// The bytes of all files below this folder.
fn bytes_of(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes_of(&path, bytes);
        } else {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
}

#[test]
fn a_token_is_neither_printed_nor_stored() {
    if sqld::is_missing() {
        return;
    }
    let issuer = Issuer::new();
    let server = Sqld::with(Options {
        key: Some(issuer.key()),
        ..Options::default()
    });
    let [full, read_only, expired] = [issuer.full(), issuer.read_only(), issuer.expired()];
    let mut sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json", "golden/single-test.json"]);
    sandbox.set("LOCALSTORE_REMOTE", url(server.address()));
    let outside = tempfile::tempdir().unwrap();
    let remote = url(server.address());
    let rm = ["rm", "-y", "-vvv", "--remote", &remote, "2"];
    for (token, args, code) in [
        (&full, &["push", "-vvv", "--init"][..], 0),
        (&expired, &["push", "-vvv"], 1),
        (&read_only, &["push", "-vvv"], 1),
        (&full, &["push", "-vvv"], 0),
        (&expired, &["pull", "-vvv"], 1),
        (&read_only, &["pull", "-vvv"], 0),
        (&read_only, &rm, 1),
        (&full, &rm, 0),
        (&full, &["push", "-vvv"], 0),
    ] {
        for is_file in [false, true] {
            let mut command = sandbox.command(args);
            if is_file {
                let path = outside.path().join("token");
                let line = format!("{token}\nno token\n");
                File::create(&path)
                    .and_then(|mut file| file.write_all(line.as_bytes()))
                    .unwrap();
                command.env("LOCALSTORE_TOKEN_FILE", path);
            } else {
                command.env("LOCALSTORE_TOKEN", token);
            }
            let output = command.output().unwrap();
            let what = format!("{args:?}");
            let is_second_rm = is_file && args == rm && code == 0;
            let expected = if is_second_rm { 1 } else { code };
            assert_eq!(output.status.code(), Some(expected), "{what}");
            assert_hidden(token, &output.stdout, &what);
            assert_hidden(token, &output.stderr, &what);
        }
    }
    let mut bytes = Vec::new();
    bytes_of(sandbox.path(), &mut bytes);
    assert!(bytes.len() > 10_000);
    let mut there = Vec::new();
    bytes_of(
        &server.db_path().parent().unwrap().join("../.."),
        &mut there,
    );
    assert!(there.len() > 10_000);
    for token in [full, read_only, expired] {
        assert_hidden(&token, &bytes, "the store");
        assert_hidden(&token, &there, "the remote");
    }
}

/// The script of docs/fleet.md.
#[test]
fn a_shell_can_sign_tokens() {
    if sqld::is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("set -e; {script}")]);
        shell.env("examples", concat!(env!("CARGO_MANIFEST_DIR"), "/examples"));
        let output = shell.current_dir(&folder).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim_end().to_owned())
    };
    let keys = "openssl genpkey -algorithm ed25519 -out fleet.key
                openssl pkey -in fleet.key -pubout";
    let Some(key) = shell(keys) else {
        let _ = std::io::stderr().write_all(b"NOT TESTED: openssl makes no Ed25519 key\n");
        return;
    };
    let server = Sqld::with(Options {
        key: Some(key),
        ..Options::default()
    });
    let token = |words: &str| {
        shell(&format!(
            "sh \"$examples/fleet-token.sh\" fleet.key {words}"
        ))
    };
    let mut sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.set("LOCALSTORE_REMOTE", url(server.address()));
    sandbox.set("LOCALSTORE_TOKEN", token("rw 1").unwrap());
    sandbox.run(["push", "--init"]).ok();
    sandbox.set("LOCALSTORE_TOKEN", token("ro 1").unwrap());
    sandbox.run(["pull"]).ok();
    let why = sandbox.run(["push"]);
    assert!(
        why.stderr.contains(": the token may only read: "),
        "{}",
        why.stderr
    );
    sandbox.set("LOCALSTORE_TOKEN", token("rw -1").unwrap());
    let why = sandbox.run(["pull"]).failed();
    assert!(
        why.contains(": the token was not accepted (401): "),
        "{why}"
    );
    assert_eq!(token("all 1"), None);
}

#[cfg(unix)]
#[test]
fn other_programs_do_not_see_the_token() {
    let mut sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.set("LOCALSTORE_TOKEN", "secret");
    sandbox.set("LOCALSTORE_TOKEN_FILE", "secret");
    sandbox.set("LOCALSTORE_REMOTE", "http://localhost:8080");
    let check = |environment: &str| {
        assert!(environment.contains("LOCALSTORE_REMOTE="), "{environment}");
        assert!(!environment.contains("secret"), "{environment}");
    };
    let args = ["record", "--", "/bin/sh", "-c", "export -p"];
    let ran = sandbox.run(args);
    check(&ran.text());
    let (text, _) = seen(&sandbox, "record -- /bin/sh -c export", &[]);
    check(&text);
    for pager in ["sh pager", "export -p > environment; true"] {
        sandbox.file("pager", "export -p > environment");
        seen(&sandbox, "show 1 --details", &[("PAGER", pager)]);
        let path = sandbox.path().join("environment");
        check(&std::fs::read_to_string(&path).unwrap());
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_server_that_repeats_the_token_is_not_repeated() {
    let token = Issuer::new().full();
    let every = |form: &dyn Fn(u8) -> String| token.bytes().map(form).collect::<String>();
    let spellings = [
        token.clone(),
        format!("Authorization: Bearer {token}"),
        token[5..token.len() - 5].to_owned(),
        token.replace('.', "\\u002e"),
        every(&|byte| format!("\\u{byte:04x}")),
        every(&|byte| format!("%{byte:02X}")),
        every(&|byte| format!("&#{byte};")),
        every(&|byte| format!("&#x{byte:x};")),
    ];
    let mut sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.set("LOCALSTORE_TOKEN", &token);
    for spelling in &spellings {
        let error = json!({"error": spelling}).to_string();
        let raw = format!("{{\"error\": \"{spelling}\"}}");
        let message = json!({"message": spelling, "code": spelling});
        let result = json!({"step_results": [null], "step_errors": [message]});
        let response = json!({"type": "batch", "result": result});
        let bodies = [
            spelling.clone(),
            error,
            raw,
            json!({"results": [{"type": "error", "error": message}]}).to_string(),
            json!({"results": [{"type": "ok", "response": response}]}).to_string(),
            format!("{{\"results\": {spelling}"),
            format!("<html>{spelling}</html>"),
        ];
        let location = format!("Location: http://a.org/?{spelling}\r\n");
        let statuses = [
            "200 OK",
            "302 Found",
            "400 Bad",
            "401 No",
            "403 No",
            "404 No",
            "413 No",
            "500 No",
        ];
        let replies = statuses.iter().flat_map(|status| {
            let reply = |body: &String| Reply::status(status, &location, body);
            bodies.iter().map(reply).collect::<Vec<_>>()
        });
        let server = Server::start(replies);
        for _ in 0..statuses.len() * bodies.len() {
            let ran = sandbox.run(["push", "-vvv", &server.url()]);
            assert_eq!(ran.code, Some(1), "{}", ran.stderr);
            assert!(
                ran.stderr.contains("localstore: localhost:"),
                "{}",
                ran.stderr
            );
            assert_hidden(&token, ran.stderr.as_bytes(), &ran.stderr);
            if !spelling.contains(&token) {
                assert_without(spelling, 60, ran.stderr.as_bytes(), &ran.stderr);
            }
        }
    }
}

#[test]
fn chats_do_not_travel() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let proxy = Proxy::http(server.address());
    let mut sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.set("LOCALSTORE_REMOTE", url(proxy.address()));
    sandbox.run(["chat", "add", "a private title"]).ok();
    sandbox
        .run(["message", "add", "1", "user", "a private word"])
        .ok();
    assert!(
        sandbox
            .run(["chat", "search", "private"])
            .text()
            .contains("private")
    );
    for args in [&["push", "--init"][..], &["push"], &["pull"]] {
        sandbox.run(args).ok();
    }
    assert!(proxy.saw("benchmark_runs"));
    assert!(!proxy.saw("private"));
    let remote = hrana::Client::new(server.address());
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('chats', 'messages')";
    assert_eq!(remote.value(tables), 0);
    let mut there = Vec::new();
    bytes_of(server.db_path().parent().unwrap(), &mut there);
    assert!(memchr::memmem::find(&there, b"private").is_none());
}

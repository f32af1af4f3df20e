//! The client of `OpenAI`, the real one in Python, in front of the gateway.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Place;
use super::backend::{Backend, Reply, completion, word};
use crate::sandbox::{Ran, fixture};

/// Its Python; none, and loudly so, where it is not installed. With `LOCALSTORE_NEED_SERVERS=1` it must be,
/// unless `LOCALSTORE_NO_OPENAI=1` says that it cannot.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("LOCALSTORE_OPENAI").filter(|folder| !folder.is_empty());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = named.map_or_else(|| target.join("openai"), PathBuf::from);
    let python = folder.join("bin/python");
    if python.exists() {
        return Some(python);
    }
    let is_set = |name| std::env::var_os(name).is_some_and(|value| value == "1");
    assert!(
        !is_set("LOCALSTORE_NEED_SERVERS") || is_set("LOCALSTORE_NO_OPENAI"),
        "no openai: none in {}",
        folder.display()
    );
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    // Only what is printed by macros is hidden while a test passes.
    let line = format!("NOT TESTED: no openai: {name}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}

/// What the backend answers to a request for this model.
fn reply(model: &str, times: usize) -> Reply {
    let wait = "content-type: application/json\r\nretry-after: 1\r\n";
    let busy = r#"{"error":{"message":"slow down","type":"x","param":null,"code":"slow_down"}}"#;
    match model {
        "chat" => Reply::says("hi \u{fc}"),
        "stream" => Reply::stream().word("a").word("b").word("c").done(),
        "usage" => {
            let usage = r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7,"total_tokens":10}}"#;
            let stream = Reply::stream().word("a");
            stream.then(format!("data: {usage}\n\n")).done()
        }
        "completion" => Reply::json(
            200,
            r#"{"id":"x","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"y","finish_reason":"stop","logprobs":null}]}"#,
        ),
        // The client asks for base64.
        "embedding" => Reply::json(
            200,
            r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":"AAAAPwAAgL8="}],"usage":{"prompt_tokens":1,"total_tokens":1}}"#,
        ),
        "refused" => Reply::json(
            400,
            r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        ),
        "busy once" if times > 0 => Reply::json(200, completion("hi \u{fc}")),
        "busy" | "busy once" => Reply::with(429, wait, busy),
        "broken" => Reply::json(500, busy),
        "locked" => Reply::json(401, busy),
        "cut" => Reply::stream().word("a").cut(),
        "cut in an event" => Reply::stream().word("a").then(&word("b")[..20]).cut(),
        "silent" | "endless" => Reply::stream().word("a").hold(),
        "slow" => Reply::hang(),
        other => panic!("{other}"),
    }
}

#[cfg(unix)]
#[test]
fn the_client_of_openai_understands_all_of_it() {
    let Some(python) = python() else { return };
    let script = |_: usize, seen: &super::backend::Seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        reply(body["model"].as_str().unwrap(), 0)
    };
    let backend = Backend::start(script);
    // The only ones that know how often they were asked, and what has left them.
    let busy = Backend::start(|number, _| reply("busy once", number));
    let endless = Backend::always(reply("endless", 0));
    let place = Place::new();
    for model in [
        "chat",
        "stream",
        "usage",
        "completion",
        "embedding",
        "refused",
        "busy",
        "broken",
        "locked",
        "cut",
        "cut in an event",
        "silent",
        "slow",
        "forbidden",
        "org/name",
    ] {
        place.model(model, &backend.url(), model);
    }
    place.model("busy once", &busy.url(), "busy once");
    place.model("endless", &endless.url(), "endless");
    let allowed = [
        "chat", "stream", "usage", "c*", "e*", "refused", "b*", "locked", "s*", "org/*", "nobody",
    ];
    let mut options = Vec::new();
    for glob in allowed {
        options.extend(["--models", glob]);
    }
    let key = place.key("python", &options);
    let served = place.serve(&["--timeout", "2s"]);
    let output = Command::new(python)
        .arg(fixture("gateway/client.py"))
        .args([&served.url(), &key])
        .env_clear()
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.text(), ran.stderr);
    assert!(ran.text().ends_with("done\n"), "{}", ran.text());
    assert_eq!(busy.count(), 2);
    endless.wait_for_left(2);
    assert_eq!(served.stop().code, Some(0));
}

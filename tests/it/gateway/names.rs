//! What a name means: models, aliases, rules, fallbacks.

use super::backend::{Backend, Reply};
use super::{CHAT, Place};

fn named(name: &str) -> Backend {
    Backend::always(Reply::says(name))
}

#[test]
fn models_are_listed_by_name_with_their_aliases() {
    let backend = named("a");
    let place = Place::new();
    for (number, name) in ["zebra", "org/Model 1", "m", "m"].iter().enumerate() {
        place.model(name, &format!("{}/{number}", backend.url()), name);
    }
    place.run_model(&["alias", "m", "b\u{e9}"]);
    let served = place.serve(&[]);
    let answer = served.get("/v1/models");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let list = answer.json();
    assert_eq!(list["object"], "list");
    let data = list["data"].as_array().unwrap();
    let ids: Vec<_> = data
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["b\u{e9}", "m", "org/Model 1", "zebra"]);
    for model in data {
        assert_eq!(model["object"], "model");
        assert_eq!(model["owned_by"], "localstore");
        assert!(model["created"].as_i64().unwrap() > 0);
        assert_eq!(model.as_object().unwrap().len(), 4);
    }
    for path in ["org/Model%201", "org%2FModel%201", "b%C3%A9", "m"] {
        let answer = served.get(&format!("/v1/models/{path}"));
        assert_eq!(answer.status(), 200, "{path}");
        assert!(data.contains(&answer.json()), "{path}");
    }
    for path in ["", "n", "%", "%zz", "org", "M"] {
        assert_eq!(
            served.get(&format!("/v1/models/{path}")).error(),
            (404, "model_not_found".to_owned()),
            "{path}"
        );
    }
}

#[test]
fn an_alias_is_its_model() {
    let backend = named("a");
    let place = Place::new();
    place.model("m", &backend.url(), "up");
    place.run_model(&["alias", "m", "other"]);
    let served = place.serve(&[]);
    let answer = served.chat("other");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-localstore-model"), None);
    assert_eq!(backend.only().text(), r#"{"messages":[],"model":"up"}"#);
}

#[test]
fn models_of_the_store_are_seen_while_it_runs() {
    let backend = named("a");
    let place = Place::new();
    let served = place.serve(&[]);
    assert_eq!(served.chat("m").status(), 404);
    place.model("m", &backend.url(), "m");
    super::eventually("the model", || served.chat("m").status() == 200);
    place.run_model(&["alias", "m", "n"]);
    super::eventually("the alias", || served.chat("n").status() == 200);
    place.run_model(&["rm", "m"]);
    super::eventually("no model", || served.chat("m").status() == 404);
}

#[test]
fn a_fallback_answers_when_no_backend_can() {
    let broken = Backend::always(Reply::json(500, "{}"));
    let (good, last) = (named("b"), named("c"));
    let place = Place::new();
    place.model("a", &broken.url(), "a");
    place.model("b", &good.url(), "b-there");
    place.model("c", &last.url(), "c");
    place.run_model(&["fallback", "a", "b", "c"]);
    let served = place.serve(&[]);
    let answer = served.chat("a");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-localstore-model"), Some("b"));
    assert_eq!(answer.header("x-localstore-backend"), Some("2"));
    assert_eq!(good.only().text(), r#"{"messages":[],"model":"b-there"}"#);
    assert_eq!(last.count(), 0);
    good.now(Reply::json(500, "{}"));
    assert_eq!(served.chat("a").header("x-localstore-model"), Some("c"));
    // The model itself, while it answers.
    broken.now(Reply::says("a"));
    assert_eq!(served.chat("a").header("x-localstore-model"), None);
}

#[test]
fn rules_hold_while_their_variables_are_set() {
    let backend = named("a");
    let mut place = Place::new();
    for provider in [
        "OPENAI",
        "ANTHROPIC",
        "GOOGLE",
        "XAI",
        "VENICE",
        "OPENROUTER",
        "MY_CO",
    ] {
        let name = |end: &str| -> &'static str { format!("EXTERNAL_{provider}_{end}").leak() };
        place.0.set(name("KEY"), format!("key of {provider}"));
        place
            .0
            .set(name("URL"), format!("{}/{provider}", backend.url()));
    }
    let served = place.serve(&[]);
    for (asked, provider, sent) in [
        ("gpt-4o", "OPENAI", "gpt-4o"),
        ("claude-x", "ANTHROPIC", "claude-x"),
        ("gemini-x", "GOOGLE", "gemini-x"),
        ("grok-1", "XAI", "grok-1"),
        ("venice-x", "VENICE", "venice-x"),
        ("openai/o3", "OPENAI", "o3"),
        ("openrouter/a/b", "OPENROUTER", "a/b"),
        ("my-co/x", "MY_CO", "x"),
    ] {
        let before = backend.count();
        let answer = served.chat(asked);
        assert_eq!(answer.status(), 200, "{asked}");
        assert!(answer.header("x-localstore-backend").is_some());
        let seen = backend.requests().swap_remove(before);
        assert_eq!(seen.line(), format!("POST /v1/{provider}/chat/completions"));
        let key = format!("Bearer key of {provider}");
        assert_eq!(seen.header("authorization"), Some(key.as_str()), "{asked}");
        assert_eq!(
            seen.text(),
            format!(r#"{{"messages":[],"model":"{sent}"}}"#)
        );
    }
    // Rules do not show.
    assert_eq!(
        served.get("/v1/models").json()["data"],
        serde_json::json!([])
    );
}

#[test]
fn a_cluster_of_llmd_is_asked_under_its_own_name() {
    let backend = named("a");
    let base = backend.url();
    let base = base.strip_suffix("/v1").unwrap();
    for url in [
        base.to_owned(),
        format!("{base}/"),
        format!("{base}/v1"),
        format!("{base}/v1/"),
    ] {
        let mut place = Place::new();
        place.0.set("LLMD_ENDPOINT", &url);
        let before = backend.count();
        assert_eq!(place.serve(&[]).chat("llmd-org/m").status(), 200, "{url}");
        let seen = backend.requests().swap_remove(before);
        assert_eq!(seen.line(), format!("POST {CHAT}"));
        assert_eq!(seen.text(), r#"{"messages":[],"model":"org/m"}"#);
        assert_eq!(seen.header("authorization"), None);
    }
}

#[test]
fn a_model_of_the_store_goes_before_a_rule() {
    let (ours, theirs) = (named("a"), named("b"));
    let mut place = Place::new();
    place.0.set("EXTERNAL_OPENAI_KEY", "k");
    place.0.set("EXTERNAL_OPENAI_URL", theirs.url());
    place.model("gpt-oss", &ours.url(), "gpt-oss");
    place.run_model(&["alias", "gpt-oss", "gpt-4o"]);
    let served = place.serve(&[]);
    assert_eq!(served.chat("gpt-oss").status(), 200);
    assert_eq!(served.chat("gpt-4o").status(), 200);
    assert_eq!((ours.count(), theirs.count()), (2, 0));
    assert_eq!(ours.requests()[0].header("authorization"), None);
    assert_eq!(served.chat("gpt-5").status(), 200);
    assert_eq!(theirs.count(), 1);
}

#[test]
fn the_example_of_an_environment_changes_nothing() {
    let example = include_str!("../../../.env.example");
    let lines = example
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let names: Vec<&'static str> = lines
        .map(|line| line.strip_suffix('=').expect(line))
        .collect();
    let backend = named("a");
    let mut place = Place::with(&[&backend]);
    for name in &names {
        place.0.set(name, "");
    }
    let served = place.serve(&[]);
    let answer = served.chat("m");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-localstore-cache"), Some("off"));
    assert_eq!(served.chat("llmd-m").status(), 404);
    // It has the variable of each rule.
    for provider in [
        "openai",
        "anthropic",
        "google",
        "openrouter",
        "xai",
        "groq",
        "mistral",
        "huggingface",
        "venice",
    ] {
        let answer = served.chat(&format!("{provider}/m"));
        let named = names
            .iter()
            .any(|name| name.ends_with("_KEY") && answer.text().contains(name));
        assert!(answer.status() == 404 && named, "{}", answer.text());
    }
}

#[test]
fn a_provider_has_one_name_that_is_no_id() {
    let backend = named("a");
    let mut place = Place::new();
    let url = backend.url();
    place.model("m", &url, "m");
    for (name, value) in [
        ("EXTERNAL_1_KEY", "k"),
        ("EXTERNAL_MY_CO_KEY", "k"),
        ("EXTERNAL_1_URL", url.as_str()),
        ("EXTERNAL_MY_CO_URL", url.as_str()),
    ] {
        place.0.set(name, value);
    }
    let served = place.serve(&[]);
    for (asked, name) in [
        ("m", "1"),
        ("1/x", "1/"),
        ("my-co/x", "my_co"),
        ("My.Co/x", "my_co"),
        ("MY_CO/x", "my_co"),
    ] {
        let answer = served.chat(asked);
        assert_eq!(answer.status(), 200, "{asked}");
        assert_eq!(answer.header("x-localstore-backend"), Some(name), "{asked}");
    }
}

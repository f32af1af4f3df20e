//! `prompt accept`: stale overrides apply again when somebody has read them.

use std::fs;

use serde_json::json;

use super::{DOCUMENT, HASH_OF_INTRO, Project};

/// A record with a stale section, a stale tool and unknown ones of both.
fn stale() -> Project {
    let project = Project::with(DOCUMENT);
    let old = "0".repeat(64);
    let record = json!({
        "version": 2, "ns": "demo", "prompt_key": "welcome", "tag": "latest",
        "sections": {
            "system/intro": {"expected_hash": old, "body": "kept", "path": ["system", "intro"], "by": "me"},
            "gone": {"expected_hash": old, "body": "g"}},
        "tools": {
            "search": {"expected_contract_hash": old, "description": "D", "param_descriptions": null},
            "lost": {"expected_contract_hash": old, "description": null}}});
    project.write(
        ".weakincentives/prompts/overrides/demo/welcome/latest.json",
        record.to_string(),
    );
    project
}

#[test]
fn the_text_stays_and_the_hash_becomes_the_documents() {
    let project = stale();
    let mut wanted = project.json("demo/welcome/latest");
    let ran = project.run("accept demo/welcome --section system/intro");
    assert!(ran.ok().is_empty());
    assert_eq!(
        ran.stderr,
        "demo/welcome@latest: section system/intro accepted\n"
    );
    wanted["sections"]["system/intro"]["expected_hash"] = HASH_OF_INTRO.into();
    assert_eq!(project.json("demo/welcome/latest"), wanted);
    let before = fs::read(project.record("demo/welcome/latest")).unwrap();
    let ran = project.run("accept demo/welcome --section system/intro -o json");
    assert_eq!(ran.ok(), before);
    assert_eq!(ran.stderr, "demo/welcome@latest: nothing to accept\n");
    project.run("accept demo/welcome --tool search").ok();
    assert_eq!(project.run("check").code, Some(1));
}

#[test]
fn all_leaves_unknown_entries() {
    let project = stale();
    let before = project.json("demo/welcome/latest");
    let ran = project.run("accept demo/welcome --all");
    ran.ok();
    assert_eq!(
        ran.stderr,
        "demo/welcome@latest: section system/intro accepted\n\
         demo/welcome@latest: tool search accepted\n"
    );
    let after = project.json("demo/welcome/latest");
    for (entries, unknown) in [("sections", "gone"), ("tools", "lost")] {
        assert_eq!(after[entries][unknown], before[entries][unknown]);
    }
    let resolved: serde_json::Value =
        serde_json::from_slice(&project.run("resolve demo/welcome").ok()).unwrap();
    assert_eq!(resolved["sections"]["system/intro"]["body"], "kept");
    assert_eq!(resolved["tools"]["search"]["description"], "D");
}

#[test]
fn what_cannot_be_accepted_is_an_error() {
    let project = stale();
    let before = fs::read(project.record("demo/welcome/latest")).unwrap();
    let cases = [
        (
            "accept demo/welcome",
            "missing parameter: --section PATH, --tool NAME or --all",
        ),
        (
            "accept demo/welcome --section gone",
            "demo/welcome: section gone: not in the prompts document",
        ),
        (
            "accept demo/welcome --section system",
            "demo/welcome@latest: section system: not overridden",
        ),
        (
            "accept demo/welcome --tool lost",
            "demo/welcome: tool lost: not in the prompts document",
        ),
        (
            "accept demo/welcome@v9 --all",
            "demo/welcome@v9: no such record",
        ),
        ("accept demo/other --all", "demo/other: no prompts document"),
        (
            "accept demo/welcome --all --section system",
            "invalid parameter for: --all",
        ),
    ];
    for (line, message) in cases {
        assert_eq!(project.run(line).failed(), message, "{line}");
    }
    assert_eq!(
        fs::read(project.record("demo/welcome/latest")).unwrap(),
        before
    );
}

#[test]
fn what_could_not_be_read_then_is_not_accepted() {
    let project = stale();
    let mut record = project.json("demo/welcome/latest");
    record["sections"]["system/intro"]["body"] = 5.into();
    let file = project.record("demo/welcome/latest");
    fs::write(&file, record.to_string()).unwrap();
    let message = project.run("accept demo/welcome --all").failed();
    assert!(
        message.contains("section system/intro: malformed: body: not a string"),
        "{message}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), record.to_string());
}

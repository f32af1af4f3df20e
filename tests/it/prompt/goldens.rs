//! What the library weakincentives has answered.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use serde_json::value::RawValue;

use super::Project;
use crate::sandbox::{Ran, fixture, read_fixture};

/// The cases of this name: a JSON document, and the bytes of a file if it has one.
fn cases(kind: &str) -> Vec<(String, Value, Option<Vec<u8>>)> {
    let folder = fixture("prompt");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_none_or(|end| end != "json") || !name.contains(kind) {
            continue;
        }
        let case = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let file = std::fs::read(path.with_extension("file")).ok();
        cases.push((name, case, file));
    }
    assert!(!cases.is_empty(), "no case of {kind}");
    cases.sort_by(|(one, ..), (two, ..)| one.cmp(two));
    cases
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

/// A project with the prompt of a case, and its file.
fn project(case: &Value, file: Option<&[u8]>) -> Project {
    let project = Project::with(&case["prompt"].to_string());
    if let Some(bytes) = file {
        let path = Path::new(".weakincentives/prompts/overrides").join(text(case, "path"));
        project.write(path, bytes);
    }
    project
}

fn resolve(project: &Project, tag: &str) -> Ran {
    let args = ["prompt", "resolve", "--tag", tag, "-o", "json"];
    project.sandbox().run(args)
}

#[test]
fn what_applies_is_what_the_library_says() {
    for (id, case, file) in cases("-read-") {
        let project = project(&case, file.as_deref());
        let ran = resolve(&project, text(&case, "tag"));
        let override_ = case["expect"].get("override");
        let Some(expected) = override_.filter(|_| case.get("ours").is_none()) else {
            let message = ran.failed();
            let path = text(&case, "path");
            let path = project.at(format!(".weakincentives/prompts/overrides/{path}"));
            assert!(
                message.starts_with(path.to_str().unwrap()),
                "{id}: {message}"
            );
            assert_eq!(ran.text(), "", "{id}");
            continue;
        };
        let found: Value = serde_json::from_slice(&ran.ok()).unwrap();
        assert_eq!(&found, expected, "{id}");
    }
}

#[test]
fn check_finds_what_resolve_fails_on_and_nothing_in_what_applies_whole() {
    for (id, case, file) in cases("-read-") {
        let project = project(&case, file.as_deref());
        let name = resolve(&project, text(&case, "tag"));
        let ran = project.run("check -o json");
        let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
        let problems = report["problems"].as_array().unwrap();
        let kinds: Vec<&str> = problems.iter().map(|row| text(row, "kind")).collect();
        let is_fatal = kinds
            .iter()
            .any(|kind| matches!(*kind, "malformed" | "header" | "format"));
        assert_eq!(name.code == Some(1), is_fatal, "{id}: {kinds:?}");
        assert_eq!(ran.code == Some(1), !kinds.is_empty(), "{id}");
    }
}

/// Every error of a file that the library cannot read, as a person sees it.
#[test]
fn errors_name_the_file_the_entry_and_the_place() {
    let mut all = String::new();
    for (id, case, file) in cases("-read-") {
        let project = project(&case, file.as_deref());
        let ran = resolve(&project, text(&case, "tag"));
        if ran.code == Some(1) {
            let folder = project.at(".weakincentives/prompts/overrides");
            let message = ran.failed().replace(folder.to_str().unwrap(), "…");
            all.extend([id.as_str(), "\n  ", &message, "\n"]);
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn hashes_are_those_of_the_library() {
    let cases: Value = serde_json::from_slice(&read_fixture("prompt/hashes.json")).unwrap();
    let project = Project::new();
    let hash = |args: &str, input: &str| {
        let ran = project.run_with_input(&format!("hash {args}"), input.as_bytes());
        String::from_utf8(ran.ok()).unwrap()
    };
    let list = |key: &str| cases[key].as_array().unwrap().clone();
    for case in list("texts") {
        let found = hash("-", text(&case, "text"));
        assert_eq!(found.trim_end(), text(&case, "content_hash"), "{case}");
    }
    for case in list("json") {
        let found = hash("--json -", text(&case, "json"));
        assert_eq!(found.trim_end(), text(&case, "hash"), "{case}");
    }
    // As they are in the file: a value would round their large integers.
    let file = read_fixture("prompt/hashes.json");
    let parts: HashMap<String, Box<RawValue>> = serde_json::from_slice(&file).unwrap();
    let tools: Vec<Box<RawValue>> = serde_json::from_str(parts["tools"].get()).unwrap();
    for (case, tool) in list("tools").iter().zip(tools) {
        let found = hash("--tool -", tool.get());
        assert_eq!(found.trim_end(), text(case, "contract_hash"), "{case}");
    }
}

#[test]
fn identifiers_are_those_of_the_library() {
    let cases: Value = serde_json::from_slice(&read_fixture("prompt/identifiers.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let [ns, key, tag] = ["ns", "prompt_key", "tag"].map(|part| text(case, part));
        let document = serde_json::json!({"ns": ns, "prompt_key": key, "sections": []});
        let project = Project::with(&document.to_string());
        let ran = resolve(&project, tag);
        let Some(path) = case.get("path") else {
            ran.failed();
            continue;
        };
        assert_eq!(ran.ok(), b"null\n", "{case}");
        // A file at that place with that header is what is read.
        let file = Path::new(".weakincentives/prompts/overrides").join(path.as_str().unwrap());
        let header = case["header"].as_array().unwrap();
        let example = serde_json::json!({"version": 2, "ns": header[0], "prompt_key": header[1],
            "tag": header[2], "task_example_overrides":
                [{"path": [], "index": 0, "action": "remove"}]});
        project.write(file, example.to_string());
        let found: Value = serde_json::from_slice(&resolve(&project, tag).ok()).unwrap();
        assert_eq!(found["ns"], header[0], "{case}");
        assert_eq!(project.run("check").code, Some(0), "{case}");
    }
}

//! What the library weakincentives has answered.

use std::path::Path;

use serde_json::Value;

use super::Project;
use crate::sandbox::{Ran, fixture};

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
            let path = project.root().join(".weakincentives/prompts/overrides");
            let path = path.join(text(&case, "path"));
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
            let folder = project.root().join(".weakincentives/prompts/overrides");
            let message = ran.failed().replace(folder.to_str().unwrap(), "…");
            all += &format!("{id}\n  {message}\n");
        }
    }
    insta::assert_snapshot!(all);
}

//! `prompt convert`: from one version of the library to the other.

use std::fs;

use serde_json::json;

use super::{DOCUMENT, Project};

#[test]
fn to_the_other_format_and_back_changes_nothing() {
    let project = Project::with(DOCUMENT);
    project.run("seed --format 1").ok();
    let file = project.record("demo/welcome/latest");
    let before = fs::read(&file).unwrap();
    let ran = project.run("convert --to 2 --dry-run");
    assert!(ran.ok().is_empty());
    assert_eq!(
        ran.stderr,
        "demo/welcome@latest: would be converted to format 2\n"
    );
    assert_eq!(fs::read(&file).unwrap(), before);
    let ran = project.run("convert --to 2");
    assert!(ran.ok().is_empty());
    assert_eq!(ran.stderr, "demo/welcome@latest: converted to format 2\n");
    let record = project.json("demo/welcome/latest");
    assert_eq!(record["version"], 2);
    assert_eq!(record["task_example_overrides"], json!([]));
    assert_eq!(
        record["sections"]["system/intro"]["path"],
        json!(["system", "intro"])
    );
    // The same bytes as of a new record.
    project.run("seed --tag two --format 2").ok();
    let text = |name: &str| fs::read_to_string(project.record(name)).unwrap();
    let seeded = text("demo/welcome/two").replace("\"two\"", "\"latest\"");
    assert_eq!(text("demo/welcome/latest"), seeded);
    let ran = project.run("convert --to 2");
    ran.ok();
    assert_eq!(
        ran.stderr,
        "localstore: 2 records, none of another format than 2\n"
    );
    project.run("convert --to 1 demo/welcome").ok();
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(project.json("demo/welcome/two")["version"], 2);
}

#[test]
fn what_has_no_place_in_format_1_is_listed_and_nothing_is_written() {
    let project = Project::with(DOCUMENT);
    project.run("seed --tag a --format 2").ok();
    project.run("seed --tag b --format 2").ok();
    project.run("seed --tag c --format 2").ok();
    project
        .run("set demo/welcome@b --section system --summary s --visibility full")
        .ok();
    let mut record = project.json("demo/welcome/c");
    record["task_example_overrides"] =
        json!([{"path": ["system"], "index": 0, "expected_hash": null, "action": "remove"}]);
    record["sections"]["system"]["summary"] = json!(null);
    fs::write(project.record("demo/welcome/c"), record.to_string()).unwrap();
    let files = ["a", "b", "c"].map(|tag| project.record(&format!("demo/welcome/{tag}")));
    let before = files.each_ref().map(|file| fs::read(file).unwrap());
    let ran = project.run("convert --to 1");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.is_empty());
    let problems = [
        "b.json: section system: format: format 1 has no summary",
        "b.json: section system: format: format 1 has no visibility",
        "c.json: example 0: format: format 1 has no overrides of examples",
    ];
    for problem in problems {
        assert!(ran.stderr.contains(problem), "{}", ran.stderr);
    }
    assert!(
        ran.stderr.ends_with("localstore: nothing was converted\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(files.each_ref().map(|file| fs::read(file).unwrap()), before);
    // Null and empty ones just go.
    record["task_example_overrides"] = json!(null);
    record["sections"]["system/intro"]["summary"] = json!("");
    fs::write(project.record("demo/welcome/c"), record.to_string()).unwrap();
    project
        .run("convert --to 1 demo/welcome@c demo/welcome@a")
        .ok();
    let record = project.json("demo/welcome/c");
    assert_eq!(record.get("task_example_overrides"), None);
    for section in ["system", "system/intro"] {
        assert_eq!(record["sections"][section].as_object().unwrap().len(), 2);
    }
}

#[test]
fn all_are_checked_before_the_first_is_written() {
    let project = Project::with(DOCUMENT);
    project.run("seed --tag a --format 1").ok();
    let folder = ".weakincentives/prompts/overrides/demo/welcome";
    let bad = project.write(format!("{folder}/b.json"), "{");
    let before = fs::read(project.record("demo/welcome/a")).unwrap();
    let ran = project.run("convert --to 2");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("b.json: malformed"), "{}", ran.stderr);
    let ran = project.run("convert --to 2 demo/welcome@a demo/welcome@none");
    assert!(
        ran.stderr.contains("demo/welcome@none: no such record"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read(project.record("demo/welcome/a")).unwrap(), before);
    fs::remove_file(bad).unwrap();
    // What format 1 does not know may be something in format 2.
    let mut record = project.json("demo/welcome/a");
    record["sections"]["system"]["visibility"] = json!("none");
    let text = record.to_string();
    fs::write(project.record("demo/welcome/a"), &text).unwrap();
    let ran = project.run("convert --to 2");
    assert!(
        ran.stderr.contains("visibility: not full or summary"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        fs::read_to_string(project.record("demo/welcome/a")).unwrap(),
        text
    );
}

#[test]
fn what_else_is_in_a_record_stays_and_other_files_do_not_matter() {
    let project = Project::new();
    let folder = ".weakincentives/prompts/overrides";
    project.write(format!("{folder}/notes.json"), "not a record");
    let record = r#"{"version": 1.0, "ns": "demo", "prompt_key": "k", "tag": "t", "x": 1e400,
        "sections": {"b//a": {"expected_hash": "?", "n": 1.50}}}"#;
    project.write(format!("{folder}/demo/k/t.json"), record);
    let ran = project.run("convert --to 2");
    ran.ok();
    assert!(
        ran.stderr.contains("notes.json: not the file of a record"),
        "{}",
        ran.stderr
    );
    let text = fs::read_to_string(project.record("demo/k/t")).unwrap();
    let wanted = r#"{
  "ns": "demo",
  "prompt_key": "k",
  "sections": {
    "b//a": {
      "expected_hash": "?",
      "n": 1.50,
      "path": [
        "b",
        "a"
      ]
    }
  },
  "tag": "t",
  "task_example_overrides": [],
  "version": 2,
  "x": 1e400
}
"#;
    assert_eq!(text, wanted);
}

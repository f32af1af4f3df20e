//! `prompt copy`: a candidate becomes stable.

use std::fs;

use super::{DOCUMENT, Project};

#[test]
fn a_record_is_promoted_under_the_other_header() {
    let document = DOCUMENT.replace("\"demo\"", "\" demo / web \"");
    let project = Project::with(&document);
    project.run("seed --tag candidate --format 2").ok();
    let ran = project.run("copy demo/web/welcome@candidate @stable");
    assert!(ran.ok().is_empty());
    assert_eq!(
        ran.stderr,
        "demo/web/welcome@stable: copied from demo/web/welcome@candidate\n"
    );
    let mut wanted = project.json("demo/web/welcome/candidate");
    wanted["tag"] = "stable".into();
    assert_eq!(project.json("demo/web/welcome/stable"), wanted);
    assert_eq!(wanted["ns"], " demo / web ");
    project
        .run("copy demo/web/welcome@stable other/prompt")
        .ok();
    for (key, value) in [("ns", "other"), ("prompt_key", "prompt"), ("tag", "latest")] {
        wanted[key] = value.into();
    }
    assert_eq!(project.json("other/prompt/latest"), wanted);
    let printed = project.run("copy other/prompt @x -o json").ok();
    assert_eq!(printed, fs::read(project.record("other/prompt/x")).unwrap());
}

#[test]
fn what_is_there_and_different_is_replaced_with_force_only() {
    let project = Project::with(DOCUMENT);
    project.run("seed --tag candidate --format 1").ok();
    project.run("copy demo/welcome@candidate @stable").ok();
    let file = project.record("demo/welcome/stable");
    // The same in other words is the same.
    let same = project.json("demo/welcome/stable").to_string();
    fs::write(&file, &same).unwrap();
    let ran = project.run("copy demo/welcome@candidate @stable");
    ran.ok();
    let message = "demo/welcome@stable: the same as demo/welcome@candidate already\n";
    assert_eq!(ran.stderr, message);
    assert_eq!(fs::read_to_string(&file).unwrap(), same);
    project
        .run_with_input("set demo/welcome@candidate --section system", b"new")
        .ok();
    let ran = project.run("copy demo/welcome@candidate @stable");
    assert_eq!(
        ran.failed(),
        "demo/welcome@stable: there already, and different"
    );
    assert!(
        ran.stderr
            .contains("prompt diff demo/welcome@candidate demo/welcome@stable")
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), same);
    project
        .run("copy demo/welcome@candidate @stable --force")
        .ok();
    assert_eq!(
        project.json("demo/welcome/stable")["sections"]["system"]["body"],
        "new"
    );
    for bad in ["{", "[]", "\0"] {
        fs::write(&file, bad).unwrap();
        let ran = project.run("copy demo/welcome@candidate @stable");
        assert!(ran.failed().contains("malformed"), "{}", ran.stderr);
        assert_eq!(fs::read_to_string(&file).unwrap(), bad);
        project
            .run("copy demo/welcome@candidate @stable --force")
            .ok();
        assert_eq!(
            project.json("demo/welcome/stable")["sections"]["system"]["body"],
            "new"
        );
    }
}

#[test]
fn a_source_that_is_no_record_is_not_copied() {
    let project = Project::with(DOCUMENT);
    let ran = project.run("copy demo/welcome@candidate @stable");
    assert_eq!(ran.failed(), "demo/welcome@candidate: no such record");
    let folder = ".weakincentives/prompts/overrides/demo/welcome";
    for bad in [
        "{",
        r#"{"version": 1, "ns": "demo", "prompt_key": "welcome", "tag": "other"}"#,
    ] {
        project.write(format!("{folder}/candidate.json"), bad);
        project
            .run("copy demo/welcome@candidate @stable --force")
            .failed();
        assert!(!project.record("demo/welcome/stable").exists());
    }
    project.run("seed --tag good --format 1").ok();
    let ran = project.run("copy demo/welcome@good @stable --format 2");
    assert!(
        ran.stderr.contains("hint: localstore prompt convert"),
        "{}",
        ran.stderr
    );
    project.run("copy demo/welcome@good @Stable").failed();
}

//! `prompt seed`: records of what the code has now, never over one that is there.

use std::fs;

use super::{DOCUMENT, Project};

#[test]
fn a_record_that_is_there_stays() {
    let project = Project::with(DOCUMENT);
    let ran = project.run("seed --format 2");
    assert!(ran.ok().is_empty());
    assert_eq!(ran.stderr, "demo/welcome@latest: seeded\n");
    let record = project.json("demo/welcome/latest");
    assert_eq!(record["version"], 2);
    assert_eq!(record["sections"].as_object().unwrap().len(), 2);
    assert_eq!(record["tools"].as_object().unwrap().len(), 1);
    project
        .run_with_input("set demo/welcome --section system/intro", b"mine")
        .ok();
    let file = project.record("demo/welcome/latest");
    let before = fs::read(&file).unwrap();
    let ran = project.run("seed demo/welcome -o json");
    assert_eq!(ran.ok(), before);
    assert_eq!(ran.stderr, "demo/welcome@latest: there already\n");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_record_of_which_nothing_applies_is_an_error() {
    let project = Project::with(DOCUMENT);
    let record = r#"{"version": 1, "ns": "demo", "prompt_key": "welcome", "tag": "latest"}"#;
    let file = project.write(
        ".weakincentives/prompts/overrides/demo/welcome/latest.json",
        record,
    );
    let ran = project.run("seed");
    let refused = format!("{}: it is there, and nothing in it applies", file.display());
    assert_eq!(ran.failed(), format!("{refused}: it has no overrides"));
    assert_eq!(fs::read_to_string(&file).unwrap(), record);
    let gone = r#", "sections": {"gone": {}, "system": {}}}"#;
    fs::write(&file, record.replace('}', gone)).unwrap();
    let ran = project.run("seed");
    assert!(
        ran.failed()
            .contains("section system: malformed: no expected_hash")
    );
    fs::write(
        &file,
        record.replace('}', &gone.replace(r#", "system": {}"#, "")),
    )
    .unwrap();
    let unknown = "section gone: unknown: not in the prompts document";
    assert_eq!(
        project.run("seed").failed(),
        format!("{refused}: {unknown}")
    );
    fs::write(&file, "\u{feff}{}").unwrap();
    assert!(project.run("seed").failed().contains("byte order mark"));
}

#[test]
fn a_record_of_another_format_than_was_asked_for_is_an_error() {
    let project = Project::with(DOCUMENT);
    project.run("seed --format 1").ok();
    let file = project.record("demo/welcome/latest");
    let before = fs::read(&file).unwrap();
    let ran = project.run("seed --format 2");
    // The version is in the last line but one.
    let line = before.split(|&byte| byte == b'\n').count() - 2;
    let told = format!("format: format 1, not 2, line {line} column 14");
    assert!(ran.failed().ends_with(&told), "{}", ran.stderr);
    let hint = "hint: localstore prompt convert --to 2\n";
    assert!(ran.stderr.ends_with(hint), "{}", ran.stderr);
    assert_eq!(fs::read(&file).unwrap(), before);
    project.run("convert --to 2 demo/welcome@latest").ok();
    project.run("seed --format 2").ok();
}

#[test]
fn a_tag_or_all_prompts_may_be_named() {
    let second =
        r#"{"ns": "demo", "prompt_key": "other", "sections": [{"path": ["a"], "body": ""}]}"#;
    let project = Project::with(&format!("{DOCUMENT}\n{second}\n"));
    assert!(project.run("seed").failed().contains("2 prompts documents"));
    project.run("seed demo/other@v1 --format 1").ok();
    assert!(project.record("demo/other/v1").exists());
    let ran = project.run("seed --all --tag v1 -o jsonl");
    assert_eq!(ran.text().lines().count(), 2);
    assert_eq!(
        ran.stderr,
        "demo/welcome@v1: seeded\ndemo/other@v1: there already\n"
    );
    let all: serde_json::Value =
        serde_json::from_slice(&project.run("seed --all -o json").ok()).unwrap();
    assert_eq!(all[1]["prompt_key"], "other");
    project.run("seed demo/welcome --tag v1").failed();
    project.run("seed demo/welcome --all").failed();
    project.run("seed --tag Not").failed();
    // One that fails keeps none of the others from being seeded.
    fs::write(project.record("demo/welcome/latest"), "{").unwrap();
    fs::remove_file(project.record("demo/other/latest")).unwrap();
    let ran = project.run("seed --all -o jsonl");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.is_empty());
    assert!(project.record("demo/other/latest").exists());
}

#[test]
fn what_the_document_does_not_tell_cannot_be_seeded() {
    let hash = "0".repeat(64);
    let document = format!(
        r#"{{"ns": "demo", "prompt_key": "welcome", "sections": [{{"path": ["a"], "content_hash": "{hash}"}}]}}"#
    );
    let project = Project::with(&document);
    assert_eq!(
        project.run("seed").failed(),
        "section a: no body in the prompts document"
    );
    assert!(
        !project
            .root()
            .join(".weakincentives/prompts/overrides")
            .exists()
    );
    assert!(
        Project::new()
            .run("seed")
            .failed()
            .contains("no prompts document")
    );
    assert!(
        Project::new()
            .run("seed --all")
            .failed()
            .contains("no prompts documents")
    );
    assert!(
        Project::new()
            .run("seed demo/x")
            .failed()
            .contains("no prompts document")
    );
}

#[test]
fn a_folder_of_templates_is_seeded() {
    let project = Project::new();
    project.write("prompts/system.md", "Hi.\r\n");
    project.write("prompts/guide/tone.txt", "$ is text\n");
    let ran = project.run("seed demo/welcome --templates prompts --format 1");
    assert!(ran.ok().is_empty());
    let sections = &project.json("demo/welcome/latest")["sections"];
    assert_eq!(sections["system"]["body"], "Hi.\r\n");
    assert_eq!(sections["guide/tone"]["body"], "$ is text\n");
    assert!(
        project
            .run("seed --templates prompts")
            .failed()
            .contains("needs a NAME")
    );
}

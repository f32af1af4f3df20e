//! docs/prompt.md: its examples work as they stand there.

use std::process::Command;

use serde_json::Value;

use super::Project;
use super::judge::python;
use crate::sandbox::{Ran, example};

const PAGE: &str = include_str!("../../../docs/prompt.md");

/// Runs a program of the page that greets Ann; `localstore` is in reach.
fn greeting(project: &Project, program: &str, script: &str) -> String {
    let localstore = project.sandbox().command([] as [&str; 0]);
    let localstore = std::path::Path::new(localstore.get_program());
    let folder = localstore.parent().unwrap().to_str().unwrap();
    let path = std::env::var("PATH").unwrap();
    // From elsewhere: a program finds its files beside itself.
    let ran = Command::new(program)
        .arg(project.root().join(script))
        .arg("Ann")
        .env("PATH", format!("{folder}:{path}"))
        .current_dir(project.root().join("prompts"))
        .output()
        .unwrap();
    let ran = Ran::from(ran);
    ran.ok();
    ran.text()
}

/// Both programs say the same, which is this; the Python one where a Python is known.
#[track_caller]
fn assert_greets(project: &Project, greets: &str) {
    if cfg!(unix) {
        assert_eq!(greeting(project, "sh", "greet.sh"), greets);
    }
    if let Some(python) = python() {
        assert_eq!(
            greeting(project, python.to_str().unwrap(), "greet.py"),
            greets
        );
    }
}

#[test]
fn programs_in_any_language_use_what_is_in_use() {
    let project = Project::new();
    project.write("greet.sh", example(PAGE, "sh", "greet.sh WHO"));
    project.write("greet.py", example(PAGE, "python", "greet.py WHO"));
    project.write("prompts/welcome/system.txt", "Hi {who}, 😀\n");
    project.write("prompts/welcome/system/intro.md", "I am new.\n");
    let templates = "--templates prompts/welcome";
    assert_greets(&project, "Hi Ann, 😀\n");
    let set = format!("set demo/welcome@stable --section system - {templates}");
    let other = set.replace("section system", "section system/intro");
    project.run_with_input(&other, b"Here I am.\n").ok();
    assert_greets(&project, "Hi Ann, 😀\n");
    project
        .run_with_input(&set, "Grüße, {who}\n".as_bytes())
        .ok();
    assert_greets(&project, "Grüße, Ann\n");
    let check = format!("check demo/welcome@stable {templates} --strict");
    project.run(&check).ok();
    // The code changes: the override was for another text.
    project.write("prompts/welcome/system.txt", "Hello {who}\n");
    assert_greets(&project, "Hello Ann\n");
    let found = project.run(&check);
    assert_eq!(found.code, Some(1));
    assert!(
        found.text().contains("section system: stale: "),
        "{}",
        found.text()
    );
}

#[test]
fn the_files_of_the_page_fit_together() {
    let project = Project::with(example(PAGE, "json", "\"params\""));
    let record = example(PAGE, "json", "\"expected_hash\"");
    let file = project.record("demo/welcome/stable");
    project.write(&file, record);
    project.run("check --strict").ok();
    let resolved = project.run("resolve demo/welcome@stable").ok();
    let [resolved, record]: [Value; 2] =
        [&resolved[..], record.as_bytes()].map(|text| serde_json::from_slice(text).unwrap());
    assert_eq!(resolved, record);
    // It is printed as a file is written.
    let body = record["sections"]["system"]["body"].as_str().unwrap();
    let before = std::fs::read(&file).unwrap();
    let set = "set demo/welcome@stable --section system -";
    project.run_with_input(set, b"another").ok();
    project.run_with_input(set, body.as_bytes()).ok();
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_candidate_is_promoted_by_the_commands_of_the_page() {
    let project = Project::with(super::DOCUMENT);
    project.run("seed demo/welcome@stable").ok();
    let lines = example(PAGE, "sh", "@stable --force").lines();
    let commands = lines.filter_map(|line| line.strip_prefix("localstore prompt "));
    let commands: Vec<&str> = commands
        .map(|line| line.split(" #").next().unwrap())
        .collect();
    assert_eq!(commands.len(), 6);
    for command in commands {
        // For the editor stands a command that needs no terminal.
        let line = command.replace("edit demo", "set demo");
        if line == command {
            project.run(&line).ok();
        } else {
            project
                .run_with_input(&format!("{line} -"), b"Be brief.\n")
                .ok();
        }
    }
    let body = project.run("resolve demo/welcome@stable --section system");
    assert_eq!(body.text(), "Be brief.\n");
    assert!(!project.record("demo/welcome/candidate").exists());
}

//! `prompt rm`: removes what is named, and nothing that is not there.

use std::fs;

use super::{DOCUMENT, Project};

fn seeded() -> Project {
    let project = Project::with(DOCUMENT);
    project.run("seed --format 1").ok();
    project
}

#[test]
fn a_record_goes_with_the_folders_that_are_empty_then() {
    let project = seeded();
    project.run("copy demo/welcome other/prompt@v1").ok();
    let ran = project.run("rm demo/welcome --dry-run");
    assert!(ran.ok().is_empty());
    let what = "record of 2 sections and 1 tool";
    assert_eq!(
        ran.stderr,
        format!("demo/welcome@latest: {what} would be removed\n")
    );
    assert!(project.record("demo/welcome/latest").exists());
    let ran = project.run("rm demo/welcome");
    assert!(ran.ok().is_empty());
    assert_eq!(ran.stderr, format!("demo/welcome@latest: {what} removed\n"));
    let folder = project.root().join(".weakincentives/prompts/overrides");
    assert!(!folder.join("demo").exists());
    assert!(folder.join("other/prompt/v1.json").exists());
    let ran = project.run("rm -y demo/welcome");
    ran.ok();
    assert_eq!(ran.stderr, "demo/welcome@latest: no such record\n");
    project.run("rm other/prompt@v1").ok();
    assert!(folder.exists() && !folder.join("other").exists());
}

#[test]
fn one_override_goes_and_the_rest_stays() {
    let project = seeded();
    let ran = project.run("rm demo/welcome --section /system//intro");
    ran.ok();
    assert_eq!(
        ran.stderr,
        "demo/welcome@latest: section system/intro removed\n"
    );
    let record = project.json("demo/welcome/latest");
    assert_eq!(record["sections"].as_object().unwrap().len(), 1);
    let before = fs::read(project.record("demo/welcome/latest")).unwrap();
    let ran = project.run("rm demo/welcome --section system/intro");
    ran.ok();
    assert_eq!(ran.stderr, "demo/welcome@latest: no section system/intro\n");
    project.run("rm demo/welcome --tool nope").ok();
    project.run("rm demo/welcome --tool search --dry-run").ok();
    project.run("rm demo/other --tool nope").ok();
    assert_eq!(
        fs::read(project.record("demo/welcome/latest")).unwrap(),
        before
    );
    project.run("rm demo/welcome --tool search").ok();
    project.run("rm demo/welcome --section system").ok();
    // The record that has lost its last override stays.
    let record = project.json("demo/welcome/latest");
    assert_eq!(record["sections"], serde_json::json!({}));
    assert_eq!(record["tools"], serde_json::json!({}));
}

#[test]
fn what_cannot_be_read_can_be_removed_whole_only() {
    let project = Project::new();
    for content in ["{", "[]", "\u{feff}", "{\"version\": 7}"] {
        let file = project.write(
            ".weakincentives/prompts/overrides/demo/welcome/latest.json",
            content,
        );
        project.run("rm demo/welcome --section system").failed();
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
        let ran = project.run("rm demo/welcome");
        ran.ok();
        assert_eq!(
            ran.stderr,
            "demo/welcome@latest: record that cannot be read removed\n"
        );
        assert!(!file.exists());
    }
}

#[cfg(unix)]
#[test]
fn of_a_link_the_link_goes() {
    let project = seeded();
    let file = project.record("demo/welcome/latest");
    let target = project.root().join("kept.json");
    fs::rename(&file, &target).unwrap();
    std::os::unix::fs::symlink(&target, &file).unwrap();
    project.run("rm demo/welcome").ok();
    assert!(target.exists() && fs::symlink_metadata(&file).is_err());
    // Also one that leads nowhere, or round in a circle.
    for target in ["/nowhere/at/all.json", "latest.json"] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, &file).unwrap();
        project.run("rm demo/welcome").ok();
        assert!(fs::symlink_metadata(&file).is_err(), "{target}");
    }
}

#[test]
fn a_folder_is_not_removed() {
    let project = Project::new();
    let inner = project.write(
        ".weakincentives/prompts/overrides/demo/welcome/latest.json/x",
        "",
    );
    project.run("rm demo/welcome").failed();
    assert!(inner.exists());
}

#[cfg(unix)]
#[test]
fn on_a_terminal_it_asks_first() {
    use std::io::{Read, Write};
    let project = seeded();
    let line = ["prompt", "rm", "demo/welcome"];
    for (answer, code) in [("n\n", 1), ("y\n", 0)] {
        let (mut person, program) = crate::record::terminal();
        person.write_all(answer.as_bytes()).unwrap();
        let mut command = project.sandbox().command(line);
        command.stdin(program.try_clone().unwrap()).stderr(program);
        let output = command.output().unwrap();
        drop(command);
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(length @ 1..) = person.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..length]);
        }
        let seen = String::from_utf8(seen).unwrap();
        assert!(
            seen.contains("demo/welcome@latest: record of 2 sections and 1 tool\r\n"),
            "{seen}"
        );
        assert!(seen.contains("Remove it (y/n)? "), "{seen}");
        assert_eq!(output.status.code(), Some(code));
        assert!(output.stdout.is_empty());
        assert_eq!(project.record("demo/welcome/latest").exists(), code == 1);
    }
}

//! `prompt edit`: a section in an editor, here a line of shell.
#![cfg(unix)]

use std::fs;
use std::path::Path;

use super::{DOCUMENT, HASH_OF_INTRO, Project};
use crate::sandbox::Ran;

/// Runs `prompt edit` with this editor; the file is `"$1"` for its functions.
fn edit(project: &Project, line: &str, editor: &str) -> Ran {
    let args = ["prompt", "edit"]
        .into_iter()
        .chain(line.split_whitespace());
    let mut command = project.sandbox().command(args);
    command
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", project.root().join("tmp"))
        .env("HOME", project.root())
        .env("LOCALSTORE", assert_cmd::cargo::cargo_bin!("localstore"))
        .env("EDITOR", format!("edit() {{ {editor}; }}; edit"))
        .env("VISUAL", "");
    fs::create_dir_all(project.root().join("tmp")).unwrap();
    Ran::from(command.output().unwrap())
}

/// The drafts that were left.
fn left(project: &Project) -> usize {
    fs::read_dir(project.root().join("tmp")).unwrap().count()
}

const INTRO: &str = "demo/welcome --section system/intro";

#[test]
fn it_starts_with_the_template_and_then_with_the_override() {
    let project = Project::with(DOCUMENT);
    project.run("seed --tag other --format 2").ok();
    let ran = edit(&project, INTRO, r#"cp "$1" seen; printf 'first' > "$1""#);
    assert!(ran.ok().is_empty());
    assert_eq!(
        ran.stderr,
        "demo/welcome@latest: section system/intro edited\n"
    );
    let seen = || fs::read_to_string(project.root().join("seen")).unwrap();
    assert_eq!(seen(), "Introduce yourself.\n");
    let entry = || project.json("demo/welcome/latest")["sections"]["system/intro"].clone();
    assert_eq!(entry()["body"], "first");
    assert_eq!(entry()["expected_hash"], HASH_OF_INTRO);
    assert_eq!(entry()["path"], serde_json::json!(["system", "intro"]));
    // The newline that the editor adds goes again; one that was there stays.
    edit(&project, INTRO, r#"cp "$1" seen; printf 'second\n' > "$1""#).ok();
    assert_eq!(seen(), "first");
    assert_eq!(entry()["body"], "second");
    edit(&project, INTRO, r#"printf 'a\n\n' > "$1""#).ok();
    assert_eq!(entry()["body"], "a\n");
    edit(&project, INTRO, r#"printf 'b\r\n' > "$1""#).ok();
    assert_eq!(entry()["body"], "b\r\n");
    // An editor may put another file in its place.
    let ran = edit(
        &project,
        &format!("{INTRO} -o json"),
        r#"echo chatter; echo c > "$1.new"; mv "$1.new" "$1""#,
    );
    assert_eq!(
        ran.ok(),
        fs::read(project.record("demo/welcome/latest")).unwrap()
    );
    assert!(ran.stderr.starts_with("chatter\n"));
    assert_eq!(entry()["body"], "c\n");
    assert_eq!(left(&project), 0);
}

#[test]
fn unchanged_or_failed_nothing_is_written() {
    let project = Project::with(DOCUMENT);
    let ran = edit(&project, INTRO, "true");
    ran.ok();
    assert_eq!(
        ran.stderr,
        "demo/welcome@latest: section system/intro unchanged\n"
    );
    assert_eq!(
        edit(&project, &format!("{INTRO} -o jsonl"), "true").text(),
        "null\n"
    );
    let ran = edit(&project, INTRO, "false");
    assert!(
        ran.failed().ends_with("it failed, with exit code 1"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("hint"));
    assert_eq!(left(&project), 0);
    let ran = edit(&project, INTRO, r#"echo mine > "$1"; exit 3"#);
    assert!(
        ran.failed().ends_with("it failed, with exit code 3"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_to_string(kept(&ran)).unwrap(), "mine\n");
    let ran = edit(&project, INTRO, r#"rm "$1""#);
    assert!(ran.failed().ends_with("no such file"), "{}", ran.stderr);
    assert!(
        !project
            .root()
            .join(".weakincentives/prompts/overrides")
            .exists()
    );
    // The newline that an editor adds is no change.
    project
        .run_with_input("set demo/welcome --section system", b"x")
        .ok();
    let before = fs::read(project.record("demo/welcome/latest")).unwrap();
    edit(&project, "demo/welcome --section system", r#"echo >> "$1""#).ok();
    assert_eq!(
        fs::read(project.record("demo/welcome/latest")).unwrap(),
        before
    );
}

/// The file that an error names.
fn kept(ran: &Ran) -> &Path {
    let path = ran
        .stderr
        .lines()
        .last()
        .unwrap()
        .strip_prefix("hint: the text is in ");
    let path = Path::new(path.unwrap_or_else(|| panic!("{}", ran.stderr)));
    assert!(path.is_absolute());
    path
}

#[test]
fn a_section_that_others_have_changed_meanwhile_is_refused() {
    let project = Project::with(DOCUMENT);
    project.run("seed --format 1").ok();
    let script = r#"printf theirs | "$LOCALSTORE" prompt set demo/welcome --section system/intro -
        echo mine > "$1""#;
    let ran = edit(&project, INTRO, script);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr
            .contains("section system/intro: others changed it meanwhile"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_to_string(kept(&ran)).unwrap(), "mine\n");
    assert_eq!(
        project.json("demo/welcome/latest")["sections"]["system/intro"]["body"],
        "theirs"
    );
    let ran = edit(
        &project,
        INTRO,
        r#""$LOCALSTORE" prompt rm demo/welcome; echo mine > "$1""#,
    );
    assert!(
        ran.stderr.contains("others changed it meanwhile"),
        "{}",
        ran.stderr
    );
    assert!(!project.record("demo/welcome/latest").exists());
}

#[test]
fn what_others_have_changed_elsewhere_stays() {
    let project = Project::with(DOCUMENT);
    project.run("seed --format 1").ok();
    let script = r#"printf theirs | "$LOCALSTORE" prompt set demo/welcome --section system -
        echo mine > "$1""#;
    edit(&project, INTRO, script).ok();
    let sections = &project.json("demo/welcome/latest")["sections"];
    assert_eq!(sections["system"]["body"], "theirs");
    assert_eq!(sections["system/intro"]["body"], "mine\n");
}

#[test]
fn what_is_not_utf_8_or_cannot_be_written_is_kept() {
    let project = Project::with(DOCUMENT);
    let ran = edit(&project, INTRO, r#"printf 'a\n\377' > "$1""#);
    assert_eq!(ran.failed(), "the edited text: not UTF-8, line 2 column 1");
    assert_eq!(fs::read(kept(&ran)).unwrap(), b"a\n\xff");
    let ran = edit(&project, INTRO, r#"mv "$1" mine; mkdir "$1"; mv mine "$1""#);
    assert!(ran.failed().contains("directory"), "{}", ran.stderr);
    assert_eq!(
        fs::read(kept(&ran).join("mine")).unwrap(),
        b"Introduce yourself.\n"
    );
    let ran = edit(
        &project,
        INTRO,
        r#"mkdir -p .weakincentives/prompts/overrides/demo; echo mine > "$1"
        echo x > .weakincentives/prompts/overrides/demo/welcome"#,
    );
    assert_eq!(ran.code, Some(1));
    assert_eq!(fs::read_to_string(kept(&ran)).unwrap(), "mine\n");
}

#[test]
fn a_stale_override_is_where_it_starts() {
    let project = Project::with(DOCUMENT);
    project
        .run_with_input(
            "set demo/welcome --section system/intro --format 1",
            b"mine",
        )
        .ok();
    let file = project.record("demo/welcome/latest");
    let stale = fs::read_to_string(&file)
        .unwrap()
        .replace(HASH_OF_INTRO, &"0".repeat(64));
    fs::write(&file, &stale).unwrap();
    let ran = edit(&project, INTRO, "true");
    assert!(
        ran.stderr
            .ends_with("section system/intro unchanged, and still stale\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), stale);
    let ran = edit(&project, INTRO, r#"printf ' too' >> "$1""#);
    assert!(
        ran.stderr
            .starts_with("localstore: demo/welcome@latest: section system/intro is stale")
    );
    let entry = &project.json("demo/welcome/latest")["sections"]["system/intro"];
    assert_eq!(entry["body"], "mine too");
    assert_eq!(entry["expected_hash"], HASH_OF_INTRO);
}

#[test]
fn without_a_document_it_starts_with_the_override_or_a_template() {
    let project = Project::new();
    let touched = "echo > started";
    let ran = edit(&project, INTRO, touched);
    assert!(
        ran.failed()
            .contains("the hash of what it replaces is not known"),
        "{}",
        ran.stderr
    );
    let ran = edit(
        &project,
        &format!("{INTRO} --hash {HASH_OF_INTRO}"),
        touched,
    );
    assert!(
        ran.failed().contains("no template to start from"),
        "{}",
        ran.stderr
    );
    project.write("doc.json", DOCUMENT);
    let ran = edit(
        &project,
        "demo/welcome --section nope --prompts doc.json",
        touched,
    );
    ran.failed();
    assert!(!project.root().join("started").exists());
    project.write("intro.txt", "Introduce yourself.\n");
    edit(
        &project,
        &format!("{INTRO} --template intro.txt"),
        r#"echo more >> "$1""#,
    )
    .ok();
    edit(&project, INTRO, r#"echo more >> "$1""#).ok();
    let entry = &project.json("demo/welcome/latest")["sections"]["system/intro"];
    assert_eq!(entry["body"], "Introduce yourself.\nmore\nmore\n");
    assert_eq!(entry["expected_hash"], HASH_OF_INTRO);
}

#[test]
fn the_editor_may_have_arguments_and_odd_keys_are_no_trouble() {
    let project = Project::new();
    project.write("my editor", "#!/bin/sh\nprintf \"$2\" > \"$3\"\n");
    project.write("t", "");
    let args = [
        "prompt",
        "edit",
        "demo/x",
        "--template",
        "t",
        "--section",
        "../-a b'\"$(x)é\n*/..",
    ];
    for (variable, other) in [("VISUAL", "EDITOR"), ("EDITOR", "PAGER")] {
        let mut command = project.sandbox().command(args);
        command
            .env("PATH", "/usr/bin:/bin")
            .env(variable, format!("sh 'my editor' -x {variable}"))
            .env(other, "false");
        Ran::from(command.output().unwrap()).ok();
        let record = project.json("demo/x/latest");
        assert_eq!(record["sections"][args[6]]["body"], variable);
    }
}

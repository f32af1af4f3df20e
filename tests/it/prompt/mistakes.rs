//! What is typed wrong: each error says what is wrong, and its hint what to type.

use super::{DOCUMENT, Project};

#[test]
fn a_wrong_or_missing_argument_is_named_with_what_it_should_be() {
    let project = Project::new();
    let identifier = "at most 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first";
    for (line, message, hint) in [
        (
            "show",
            "missing parameter: NAME",
            "localstore prompt show demo/welcome".to_owned(),
        ),
        (
            "edit",
            "missing parameter: --section PATH",
            "localstore prompt edit demo/welcome --section system/intro".to_owned(),
        ),
        (
            "convert",
            "missing parameter: --to FORMAT",
            "localstore prompt convert --to 2".to_owned(),
        ),
        (
            "show welcome",
            "invalid parameter for: welcome",
            "invalid name: no namespace before 'welcome', as in NS/KEY or NS/KEY@TAG".to_owned(),
        ),
        (
            "path demo/Welcome",
            "invalid parameter for: demo/Welcome",
            format!("invalid key 'Welcome': {identifier}"),
        ),
        (
            "copy demo/welcome @-x",
            "invalid parameter for: @-x",
            format!("invalid tag '-x': {identifier}"),
        ),
        (
            "rm demo/welcome --section a --tool b",
            "invalid parameter for: --section",
            "not together with '--tool'".to_owned(),
        ),
        (
            "set demo/welcome --section // -",
            "invalid parameter for: --section",
            "a path is keys joined by '/', one at least".to_owned(),
        ),
    ] {
        let ran = project.run(line);
        assert_eq!(ran.failed(), message, "{line}");
        assert_eq!(
            ran.stderr.lines().nth(1),
            Some(&*format!("hint: {hint}")),
            "{line}"
        );
        assert!(ran.stdout.is_empty(), "{line}");
    }
}

#[test]
fn the_hint_for_a_record_of_the_other_format_runs_as_printed() {
    let project = Project::with(&DOCUMENT.replacen('{', r#"{"format": 2, "#, 1));
    project.run("seed demo/welcome --format 1").ok();
    let refused = project.run("resolve demo/welcome");
    let hint = refused.stderr.lines().nth(1).unwrap_or_default();
    let command = hint.strip_prefix("hint: localstore prompt ").unwrap();
    assert_eq!(command, "convert --to 2");
    project.run(command).ok();
    project.run("resolve demo/welcome").ok();
}

#[test]
fn a_document_that_is_empty_opens_no_gate() {
    let project = Project::new();
    let ran = project.run_with_input("check --prompts -", b"\n");
    let message = "standard input: empty: no prompts document";
    assert_eq!(ran.failed(), message);
    project.run_with_input("check --prompts -", b"[]").ok();
    // The default document says nothing of prompts that it lacks.
    project.write(".weakincentives/prompts/prompts.jsonl", "");
    project.run("check").ok();
}

#[test]
fn a_folder_that_is_not_there_is_named_and_not_made() {
    let project = Project::new();
    let gone = project.at("gone");
    let message = format!("{}: no such folder", gone.display());
    assert_eq!(project.run("list --root gone").failed(), message);
    let ran = project.run("resolve demo/welcome --templates gone");
    assert_eq!(ran.failed(), "gone: no such folder");
    assert!(!gone.exists());
}

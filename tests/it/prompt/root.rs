//! Which project it is: what git says, a `.git` above, `--root` and `--dir`.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use super::Project;
use crate::sandbox::{Ran, Sandbox};

/// Runs git in this folder; the configuration of the machine does not count.
fn git(folder: &Path, line: &str) {
    let mut git = Command::new("git");
    let names = [
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
    ];
    let ran = git
        .args(["-c", "protocol.file.allow=always"])
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_remove("GIT_DIR")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(names.map(|name| (name, "ann@localhost")))
        .output()
        .expect("git is installed");
    let message = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "git {line}: {message}");
}

/// `prompt path` in this folder, with git in reach or not.
fn path(sandbox: &Sandbox, folder: &Path, has_git: bool, options: &[&str]) -> Command {
    let mut command = sandbox.command(["prompt", "path"]);
    let nowhere = sandbox.path().join("nowhere").into_os_string();
    let path = std::env::var_os("PATH").filter(|_| has_git);
    command
        .args(options)
        .current_dir(folder)
        .env("PATH", path.unwrap_or(nowhere));
    command
}

#[track_caller]
fn assert_root(mut command: Command, root: &Path) {
    let ran = Ran::from(command.output().unwrap());
    ran.ok();
    assert_eq!(ran.stderr, "");
    let folder = root.canonicalize().unwrap();
    let folder = folder.join(".weakincentives/prompts/overrides");
    assert_eq!(ran.text().trim_end(), folder.to_str().unwrap());
}

#[test]
fn a_project_is_found_from_any_folder_inside_with_git_and_without() {
    let sandbox = Sandbox::new();
    let top = sandbox.path().join("project");
    let inside = top.join("a/b c/ü");
    std::fs::create_dir_all(&inside).unwrap();
    git(&top, "init -q");
    for has_git in [true, false] {
        for folder in [&top, &inside] {
            assert_root(path(&sandbox, folder, has_git, &[]), &top);
        }
    }
    // Within `.git` git names no work tree.
    assert_root(path(&sandbox, &top.join(".git"), true, &[]), &top);
    assert!(!top.join(".weakincentives").exists());
}

#[test]
fn a_worktree_and_a_submodule_are_projects_of_their_own() {
    let sandbox = Sandbox::new();
    let at = |name: &str| sandbox.path().join(name);
    for name in ["one", "two"] {
        std::fs::create_dir(at(name)).unwrap();
        git(&at(name), "init -q");
        git(&at(name), "commit -q --allow-empty -m begin");
    }
    git(&at("one"), "worktree add -q ../tree");
    git(&at("one"), "submodule add -q ../two lib/two");
    for root in ["tree", "one/lib/two"].map(at) {
        assert!(root.join(".git").is_file());
        std::fs::create_dir(root.join("inside")).unwrap();
        for has_git in [true, false] {
            assert_root(path(&sandbox, &root.join("inside"), has_git, &[]), &root);
        }
    }
    for has_git in [true, false] {
        assert_root(path(&sandbox, &at("one/lib"), has_git, &[]), &at("one"));
    }
}

#[test]
fn git_has_the_first_word() {
    let sandbox = Sandbox::new();
    let at = |name: &str| sandbox.path().join(name);
    for name in ["one", "two/inside"] {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    git(&at("one"), "init -q");
    // An entry `.git` that is no repository: git goes on to look, and without it that is the nearest.
    git(sandbox.path(), "init -q");
    std::fs::create_dir(at("two/.git")).unwrap();
    let inside = at("two/inside");
    assert_root(path(&sandbox, &inside, true, &[]), sandbox.path());
    assert_root(path(&sandbox, &inside, false, &[]), &at("two"));
    // And what git is told by its environment holds too.
    let mut command = path(&sandbox, &inside, true, &[]);
    command
        .env("GIT_DIR", at("one/.git"))
        .env("GIT_WORK_TREE", at("one"));
    assert_root(command, &at("one"));
    let mut command = path(&sandbox, &inside, true, &[]);
    command.env("GIT_DIR", at("nowhere"));
    assert_root(command, &at("two"));
}

#[test]
fn what_git_complains_about_is_not_shown() {
    let sandbox = Sandbox::new();
    let project = sandbox.path().join("project");
    std::fs::create_dir_all(&project).unwrap();
    sandbox.file("project/.git", "gitdir: /nowhere/at/all\n");
    for has_git in [true, false] {
        assert_root(path(&sandbox, &project, has_git, &[]), &project);
    }
}

#[test]
fn without_a_repository_the_error_says_what_to_do() {
    let sandbox = Sandbox::new();
    let bare = sandbox.path().join("bare");
    std::fs::create_dir(&bare).unwrap();
    git(&bare, "init -q --bare");
    for (folder, has_git) in [
        (sandbox.path(), true),
        (sandbox.path(), false),
        (&bare, true),
        (&bare, false),
    ] {
        let ran = Ran::from(path(&sandbox, folder, has_git, &[]).output().unwrap());
        assert_eq!((ran.code, ran.text().as_str()), (Some(1), ""));
        let folder = folder.canonicalize().unwrap();
        let expected = format!(
            "localstore: no Git repository at {} or above: nothing to keep overrides in\n\
             hint: name the project's folder with --root\n",
            folder.display()
        );
        assert_eq!(ran.stderr, expected);
    }
}

#[test]
fn root_and_dir_name_the_place_themselves() {
    let project = Project::new();
    let sandbox = project.sandbox();
    let here = project.root().canonicalize().unwrap();
    std::fs::create_dir(here.join("other")).unwrap();
    for name in ["other", "./other", "other/"] {
        let command = path(sandbox, &here, true, &["--root", name]);
        assert_root(command, &here.join("other"));
    }
    project.write("file", "");
    for name in ["nowhere", "file", ""] {
        for command in ["path", "list", "path demo/welcome"] {
            let mut args: Vec<&str> = ["prompt"].into_iter().chain(command.split(' ')).collect();
            args.extend(["--root", name]);
            let ran = sandbox.run(args);
            assert!(!ran.failed().is_empty());
            assert_eq!(ran.text(), "");
        }
    }
    assert!(!here.join("nowhere").exists());
    // The folder of the overrides itself need not be there.
    let printed = project.run("path demo/welcome --dir elsewhere/x").text();
    let file = here.join("elsewhere/x/demo/welcome/latest.json");
    assert_eq!(Path::new(printed.trim_end()), file);
    assert!(!here.join("elsewhere").exists());
    let both = project.run("path --dir x --root .");
    assert!(both.failed().contains("--dir") || both.failed().contains("--root"));
}

#[test]
fn how_the_root_was_found_is_told_when_asked() {
    let project = Project::new();
    let found = project.run("-v path").stderr;
    assert!(found.contains("it has a '.git'"), "{found}");
    let named = project.run("path -v --root .").stderr;
    assert!(named.contains("--root"), "{named}");
}

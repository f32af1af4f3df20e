//! Repositories of all kinds, and agents that work on them.

use serde_json::{Value, json};

use super::checkpoints::{PART, changed};
use super::{Work, git};

impl Work {
    fn with_commit() -> Self {
        let work = Self::new();
        work.write("a", "1\n");
        work.write("sub/b", "1\n");
        work.git(&["add", "-A"]);
        work.git(&["commit", "-q", "-m", "first"]);
        work
    }

    /// Records in another folder of the sandbox.
    fn record_in(&self, folder: &str, script: &str) -> Value {
        let ran = self.record("t", &["--repo", folder], &format!("{PART}\n{script}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        self.trace("t")
    }
}

#[test]
fn an_agent_may_do_what_it_wants_with_git() {
    let work = Work::with_commit();
    let trace = work.record_parts(
        "
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x
echo 2 > a; git commit -qam two; git rev-parse HEAD > two; part 1
echo 3 > a; git commit -qam three; git rebase -q --onto HEAD~2 HEAD~1 2>/dev/null; part 2
git rebase --abort 2>/dev/null
git reflog expire --expire=now --all; git gc -q --prune=now; echo 4 > a; part 3
rm -rf .git; echo 5 > a; part 4
git init -q; echo 6 > a; part 5",
    );
    assert_eq!(trace["parts"].as_array().unwrap().len(), 5);
    let clone = work.cloned();
    for (part, content) in [(1, "2\n"), (3, "4\n"), (4, "5\n"), (5, "6\n")] {
        let commit = trace["parts"][part - 1]["git_commit"].as_str().unwrap();
        assert_eq!(git(&clone, &["show", &format!("{commit}:a")]), content);
    }
    // Its first commit is a parent.
    let first = trace["parts"][0]["git_commit"].as_str().unwrap();
    let theirs = std::fs::read_to_string(work.repo().join("two")).unwrap();
    let second = git(&clone, &["rev-parse", &format!("{first}^2")]);
    assert_eq!(second, theirs);
    git(&clone, &["fsck", "--full", "--no-dangling"]);
}

#[test]
fn a_subfolder_is_recorded_with_all_of_its_repository() {
    let work = Work::with_commit();
    let trace = work.record_in("sub", "pwd > where; echo 2 > ../a; part 1");
    assert_eq!(changed(&trace, 1), &json!(["a", "sub/where"]));
    work.cloned();
}

#[test]
fn a_folder_that_is_no_repository_is_recorded_where_it_is_named() {
    let work = Work::new();
    let plain = work.sandbox().path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    let trace = work.record_in("../plain", "part 1; echo 1 > a; part 2");
    assert_eq!(trace["parts"][0]["git_commit"], Value::Null);
    assert_eq!(changed(&trace, 2), &json!(["a"]));
    assert_eq!(
        trace["parts"][1]["repo_checkpoint"]["commit_before"],
        Value::Null
    );
    assert!(!plain.join(".git").exists());
    work.cloned();
}

#[test]
fn where_nothing_was_committed_there_is_no_bundle() {
    let work = Work::new();
    let trace = work.record_parts("part 1");
    assert_eq!(trace["session_end"]["final_git_commit"], Value::Null);
    work.has_files("t", &["agent_trace.json", "events.jsonl"]);
}

#[test]
fn linked_worktrees_and_detached_heads_are_recorded() {
    let work = Work::with_commit();
    work.git(&["worktree", "add", "-q", "--detach", "../linked"]);
    let trace = work.record_in("../linked", "echo 2 > a; part 1");
    assert_eq!(changed(&trace, 1), &json!(["a"]));
    let head = work.git(&["rev-parse", "HEAD"]);
    assert_eq!(
        trace["parts"][0]["repo_checkpoint"]["commit_before"],
        head.trim()
    );
    work.cloned();
}

#[test]
fn shallow_clones_begin_anew_and_name_their_commit() {
    let work = Work::with_commit();
    work.write("a", "2\n");
    work.git(&["commit", "-q", "-a", "-m", "second"]);
    let head = work.git(&["rev-parse", "HEAD"]);
    let from = format!("file://{}", work.repo().display());
    git(
        work.sandbox().path(),
        &["clone", "-q", "--depth=1", &from, "shallow"],
    );
    work.record_in("../shallow", "echo 3 > a; part 1");
    let clone = work.cloned();
    let log = git(&clone, &["log", "--format=%s"]);
    assert_eq!(log, format!("part 1 checkpoint\nstart, from {head}"));
}

#[test]
fn sha256_repositories_keep_their_objects() {
    let work = Work::new();
    git(
        work.sandbox().path(),
        &["init", "-q", "--object-format=sha256", "long"],
    );
    let trace = work.record_in("../long", "echo 1 > a; part 1");
    let commit = trace["parts"][0]["git_commit"].as_str().unwrap();
    assert_eq!(commit.len(), 64);
    let clone = work.cloned();
    assert_eq!(git(&clone, &["show", &format!("{commit}:a")]), "1\n");
}

#[test]
fn a_git_directory_has_nothing_to_record() {
    let work = Work::with_commit();
    git(
        work.sandbox().path(),
        &["clone", "-q", "--bare", "repo", "bare"],
    );
    for folder in ["../bare", ".git"] {
        let ran = work.record("t", &["--repo", folder], "exit 7");
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.stderr.contains("no files of its own to record"),
            "{}",
            ran.stderr
        );
        assert!(!work.folder("t").exists());
    }
}

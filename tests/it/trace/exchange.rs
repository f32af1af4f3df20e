//! `import` and `export`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::made::Made;
use super::{Work, git};

/// A trajectory that lies outside of the root, in `../from`.
fn made<'a>(
    work: &'a Work,
    id: &'static str,
    change: impl FnOnce(&mut Value),
) -> (Made<'a>, PathBuf) {
    work.write("a", "1");
    let mut made = Made::begin(work, id);
    made.turn("do").part("text", "first");
    work.write("a", "2");
    made.part("patch", "second").end("completed");
    change(&mut made.trace);
    made.save();
    let from = work.sandbox().path().join("from");
    fs::rename(work.folder(id), &from).unwrap();
    (made, from)
}

#[track_caller]
fn assert_refused(work: &Work, why: &str) {
    let error = work.run(&["import", "../from"]).failed();
    assert!(error.contains(why), "{error}");
    let root = work.folder("x");
    let left = fs::read_dir(root.parent().unwrap()).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn what_was_exported_is_imported_elsewhere() {
    let work = Work::new();
    let (made, from) = made(&work, "there", |_| {});
    work.run(&["import", "../from"]).ok();
    let folder = work.folder("there");
    let trace = work.trace("there");
    assert_eq!(
        trace["artifacts"]["repo_bundle"],
        folder.join("repo.bundle").to_str().unwrap()
    );
    assert_eq!(trace["parts"], made.trace["parts"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.clone()), 0o700);
        assert_eq!(mode(folder.join("agent_trace.json")), 0o600);
        assert_eq!(mode(folder.join("repo.bundle")), 0o600);
    }
    work.run(&["verify", "there"]).ok();
    work.run(&["checkout", "there", "--part", "2", "--dest", "../then"])
        .ok();

    let out = work.sandbox().path().join("new/out");
    work.run(&["export", "there", "../new/out"]).ok();
    assert_eq!(
        fs::read(out.join("repo.bundle")).unwrap(),
        fs::read(from.join("repo.bundle")).unwrap()
    );
    work.run(&["verify", out.to_str().unwrap()]).ok();
    let error = work.run(&["export", "there", "../new/out"]).failed();
    assert!(error.contains("the file exists"), "{error}");

    // The same once more is no error; another one of that id is.
    let text = work.run(&["import", "../new/out"]).text();
    assert!(text.starts_with("there is there already"), "{text}");
    let mut other = made.trace.clone();
    other["session_id"] = "other".into();
    fs::write(from.join("agent_trace.json"), other.to_string()).unwrap();
    let error = work.run(&["import", "../from"]).failed();
    assert_eq!(error, "there: another trajectory has this id");
    assert_eq!(work.trace("there")["session_id"], "s-1");
}

#[test]
fn a_trace_and_a_bundle_are_named_one_by_one() {
    let work = Work::new();
    let (_, from) = made(&work, "apart", |_| {});
    fs::rename(from.join("repo.bundle"), from.join("b")).unwrap();
    let error = work.run(&["import", "../from/agent_trace.json"]).failed();
    assert!(error.ends_with("repo.bundle: no such file"), "{error}");
    work.run(&[
        "import",
        "../from/agent_trace.json",
        "--bundle",
        "../from/b",
    ])
    .ok();
    work.run(&["verify", "apart"]).ok();
}

#[test]
fn a_trace_of_the_harness_loses_what_its_turns_repeat() {
    let work = Work::new();
    let (_, from) = made(&work, "harness", |trace| {
        let first = trace["parts"][0].clone();
        trace["parts"][1]["part_type"] = Value::Null;
        trace["parts"][1]["extra"] = json!({"kept": 1.5});
        trace["turns"][0]["parts"] = json!([first, trace["parts"][1]]);
        trace["evaluations"] = json!({"x": 1});
    });
    let work_tree = from.join("w");
    git(&from, &["clone", "-q", "repo.bundle", "w"]);
    git(&work_tree, &["checkout", "-q", "-b", "master"]);
    git(
        &work_tree,
        &["bundle", "create", "-q", "../repo.bundle", "--all"],
    );
    work.run(&["import", "../from"]).ok();
    let trace = work.trace("harness");
    assert_eq!(trace["turns"][0].get("parts"), None);
    assert_eq!(trace["parts"][1]["part_type"], Value::Null);
    assert_eq!(trace["parts"][1]["extra"]["kept"], 1.5);
    assert_eq!(trace["evaluations"]["x"], 1);
}

#[test]
fn parts_of_turns_that_differ_are_kept() {
    let work = Work::new();
    made(&work, "differs", |trace| {
        let mut first = trace["parts"][0].clone();
        first["summary"] = "other".into();
        trace["turns"][0]["parts"] = json!([first]);
    });
    work.run(&["import", "../from"]).ok();
    assert_eq!(
        work.trace("differs")["turns"][0]["parts"][0]["summary"],
        "other"
    );
}

#[test]
fn what_is_wrong_is_not_taken() {
    for (pointer, value, why) in [
        (
            "/trajectory_id",
            json!("../x"),
            "$.trajectory_id: invalid id '../x'",
        ),
        ("/parts", Value::Null, "agent_trace.json: $.parts: missing"),
        (
            "/parts/1/part",
            json!(1),
            "$.parts[1].part: 1 is there twice",
        ),
        (
            "/parts/1/part",
            json!(3),
            "agent_trace.json: $.parts[1].part: 3 where 2",
        ),
        (
            "/parts/1/git_commit",
            json!("3".repeat(40)),
            "repo.bundle has no commit 333",
        ),
    ] {
        let work = Work::new();
        made(&work, "wrong", |trace| {
            *trace.pointer_mut(pointer).unwrap() = value;
        });
        assert_refused(&work, why);
    }
    let work = Work::new();
    let (_, from) = made(&work, "wrong", |_| {});
    let bundle = from.join("repo.bundle");
    let whole = fs::read(&bundle).unwrap();
    for (content, why) in [
        (&whole[..whole.len() / 2], "../from/repo.bundle: "),
        (b"", "../from/repo.bundle: "),
        (b"# v2 git bundle\n\nPACK", "repo.bundle has no commit"),
    ] {
        fs::write(&bundle, content).unwrap();
        assert_refused(&work, why);
    }
    fs::write(from.join("agent_trace.json"), "[]").unwrap();
    assert_refused(&work, "agent_trace.json: $: an object is expected");
    fs::remove_file(from.join("agent_trace.json")).unwrap();
    assert_refused(&work, "agent_trace.json: no such file");
}

#[test]
fn hostile_trees_are_data() {
    let work = Work::new();
    work.write("a", "1");
    let mut made = Made::begin(&work, "hostile");
    made.turn("do").part("text", "first");
    let folder = work.folder("hostile");
    // A tree that no git would make: a file in .git, one above, and a submodule.
    let blob = made.git(&["hash-object", "-w", "a"]);
    let commit = made.commit_of(1).to_owned();
    for name in ["..", ".git", "module"] {
        let mode = if name == "module" { "160000" } else { "40000" };
        let hash = if name == "module" {
            commit.clone()
        } else {
            let tree = format!("100644 blob {blob}\thooks\n");
            made.git_with(&["mktree"], tree.as_bytes())
        };
        let mut entry = format!("{mode} {name}\0").into_bytes();
        entry.extend(
            (0..hash.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hash[at..at + 2], 16).unwrap()),
        );
        let tree = made.git_with(
            &["hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
            &entry,
        );
        let next = made.git(&["commit-tree", &tree, "-p", &commit, "-m", "end"]);
        made.git(&["update-ref", "refs/heads/trace/hostile", &next]);
        made.trace["parts"][0]["git_commit"] = next.clone().into();
        made.trace["turns"][0]["git_commit"] = next.clone().into();
        made.trace["session_end"] = json!({"reason": "completed", "total_parts": 1, "total_turns": 1,
            "final_git_commit": next});
        made.bundle();
        made.save();
        let dest = work
            .sandbox()
            .path()
            .join("dest")
            .join(name.trim_matches('.'));
        let ran = work.run(&[
            "checkout",
            "hostile",
            "--part",
            "1",
            "--dest",
            dest.to_str().unwrap(),
        ]);
        assert!(!work.sandbox().path().join("hooks").exists());
        assert!(!work.sandbox().path().join("dest/hooks").exists());
        if name == "module" {
            ran.ok();
            assert_eq!(
                fs::read_dir(dest.join("module")).map_or(0, Iterator::count),
                0
            );
        } else {
            ran.failed();
            assert!(!dest.exists());
        }
    }
    assert!(folder.exists());
}

#[test]
fn an_unfinished_one_is_taken_with_a_note() {
    let work = Work::new();
    made(&work, "cut", |trace| trace["session_end"] = Value::Null);
    let ran = work.run(&["import", "../from"]);
    ran.ok();
    assert!(
        ran.stderr.contains("cut: the recording never ended"),
        "{}",
        ran.stderr
    );
}
